#pragma once
// What a CloneScope has cloned so far.

#include <map>

#include "nn/module_state.h"
#include "nn/value.h"
#include "tandem/nn/clone.h"

namespace tandem::nn::detail {

struct CloneTable {
  uint64_t begin = 0;  ///< modules with this number or a later one are clones, or parts of clones
  std::map<const ModuleState*, std::shared_ptr<ModuleState>> modules;
  std::map<const LayerBody*, std::shared_ptr<LayerBody>> bodies;
  std::map<const void*, Variable> variables;

  std::shared_ptr<ModuleState> module_for(const std::shared_ptr<ModuleState>& original);
  std::shared_ptr<LayerBody> body_for(const std::shared_ptr<LayerBody>& original);
};

/// The scope's that is open on this thread; null: copies share.
CloneTable* clone_table();

}  // namespace tandem::nn::detail
