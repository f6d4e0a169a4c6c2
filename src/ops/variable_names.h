#pragma once
// Which names living variables have.

#include <memory>
#include <string>

namespace tandem {

/// Makes `name` one that no other living variable has: "w" again becomes "w_1". The name is free once the
/// result is gone.
std::shared_ptr<const void> register_variable_name(std::string& name);

}  // namespace tandem
