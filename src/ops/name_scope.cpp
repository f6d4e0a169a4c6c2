#include "tandem/name_scope.h"

#include "core/check.h"

namespace tandem {

namespace detail {

namespace {
constinit thread_local const NameLevel* innermost = nullptr;
}

NameLevel::NameLevel(std::string_view name, Named named) : name_(name), named_(named), outer_(innermost) {
  innermost = this;
}
NameLevel::~NameLevel() { innermost = outer_; }

bool NameLevel::any() { return innermost != nullptr; }

std::string NameLevel::full_name(std::string_view name, Named of) {
  std::string text(name);
  for (const NameLevel* level = innermost; level; level = level->outer_)
    if (level->named_ == Named::all || of == Named::operations)
      text.insert(0, std::string(level->name_) + '/');
  return text;
}

}  // namespace detail

namespace {
std::string checked(std::string name) {
  TD_CHECK(!name.empty(), "a name scope needs a name");
  return name;
}
}  // namespace

NameScope::NameScope(std::string name) : name_(checked(std::move(name))), level_(name_) {}

}  // namespace tandem
