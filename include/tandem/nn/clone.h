#pragma once
// Copies that share nothing.

#include <concepts>

#include "tandem/nn/module.h"

namespace tandem::nn {

namespace detail {

struct CloneTable;

/// While one lives, modules from before it that are copied on this thread are cloned: each once, so that what
/// was shared inside stays shared.
class CloneScope {
 public:
  CloneScope();
  ~CloneScope();
  CloneScope(const CloneScope&) = delete;
  CloneScope& operator=(const CloneScope&) = delete;

 private:
  CloneTable* table_;
  CloneTable* outer_;
};

}  // namespace detail

/// A module of the same structure with parameters of its own, begun anew by their initializers; a layer that
/// stands twice in the original stands twice in the clone. Copies of a module, by contrast, share everything.
/// `Net other = nn::clone(net);` Variables that a class made itself, without parameter(), stay shared.
template <std::derived_from<Module> M>
M clone(const M& module) {
  const detail::CloneScope scope;
  return M(module);
}

}  // namespace tandem::nn
