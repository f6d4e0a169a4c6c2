// Module::summary.

#include <set>

#include "core/check.h"
#include "core/text_table.h"
#include "nn/module_state.h"

namespace tandem::nn {

std::string Module::summary() const {
  TextTable table({"layer", "type", "output shape", "parameters"});
  table.align(1, TextTable::Align::left).align(2, TextTable::Align::left);
  int64_t total = 0, trainable = 0, not_called = 0;
  uint64_t bytes = 0;
  std::set<const void*> seen;  // a variable counts where it stands first
  for (const detail::Visit& v : detail::walk(state_)) {
    bool has_modules = false, has_variables = false;
    int64_t own = 0;
    for (const detail::ModuleState::Member& m : v.module->members_now()) {
      has_modules |= m.module != nullptr;
      has_variables |= m.module == nullptr;
      if (m.module || !seen.insert(m.variable.impl().get()).second) continue;
      const int64_t count = m.variable.shape().element_count();
      own += count;
      if (m.variable.trainable()) trainable += count;
      bytes += static_cast<uint64_t>(count) * size_of(m.variable.dtype());
    }
    total += own;
    if (has_modules && !has_variables) continue;  // its members have rows of their own
    // A module whose operator() the user calls directly is known only by its parameters.
    const bool called = v.module->has_output_shape.load(std::memory_order_acquire);
    not_called += called || has_variables ? 0 : 1;
    table.add({v.path.empty() ? v.module->display_name() : v.path, v.module->class_name(),
               called ? to_string(v.module->output_shape) : "-",
               called || has_variables ? format_count(own) : "-"});
  }
  std::string text =
      fmt::format("{} ({})\n{}", state_->display_name(), state_->class_name(), table.to_string());
  text += fmt::format("{} parameter{} ({})", format_count(total), total == 1 ? "" : "s", format_bytes(bytes));
  if (trainable != total) text += fmt::format(", {} of them trainable", format_count(trainable));
  if (not_called > 0)
    text += fmt::format("; {} layer{} not been called, which is when parameters are made", not_called,
                        not_called == 1 ? " has" : "s have");
  return text + '\n';
}

}  // namespace tandem::nn
