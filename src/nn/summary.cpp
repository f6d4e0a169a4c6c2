// Module::summary.

#include <set>

#include "core/check.h"
#include "core/text_table.h"
#include "nn/module_state.h"
#include "nn/probe.h"

namespace tandem::nn {

namespace {

using detail::ModuleState;
using detail::Visit;

/// What one row, or the whole, has of variables.
struct Parameters {
  int64_t count = 0, trainable = 0;
  uint64_t bytes = 0;

  void add(const Visit& v, const ModuleState::Member& m) {
    const int64_t elements = m.variable.shape().element_count();
    count += elements;
    if (v.trainable && m.variable.trainable()) trainable += elements;
    bytes += static_cast<uint64_t>(elements) * size_of(m.variable.dtype());
  }
};

std::string counted(int64_t count, const char* what) {
  return fmt::format("{} {}{}", format_count(count), what, count == 1 ? "" : "s");
}

}  // namespace

std::string Module::summary() const {
  TextTable table({"layer", "type", "output shape", "parameters", "trained", "FLOPs"});
  table.align(1, TextTable::Align::left).align(2, TextTable::Align::left);
  Parameters total;
  int64_t not_called = 0;
  int64_t flops = 0;           // -1: unknown
  std::set<const void*> seen;  // a variable counts where it stands first
  for (const Visit& v : detail::walk(state_)) {
    bool has_modules = false, has_variables = false;
    Parameters own;
    for (const ModuleState::Member& m : v.module->members_now()) {
      has_modules |= m.module != nullptr;
      has_variables |= m.module == nullptr;
      if (m.module || !seen.insert(m.variable.impl().get()).second) continue;
      own.add(v, m);
      total.add(v, m);
    }
    if (has_modules && !has_variables) continue;  // its members have rows of their own
    // A module whose operator() the user calls directly is known only by its parameters.
    const bool called = v.module->has_output_shape.load(std::memory_order_acquire);
    not_called += called || has_variables ? 0 : 1;
    const int64_t cost = has_modules ? -1 : detail::cost_of(*v.module, false).flops;
    flops = cost < 0 || flops < 0 ? -1 : flops + cost;
    const bool known = called || has_variables;
    table.add({v.path.empty() ? v.module->display_name() : v.path, v.module->class_name(),
               called ? to_string(v.module->output_shape) : "-", known ? format_count(own.count) : "-",
               known ? format_count(own.trainable) : "-", cost < 0 ? "-" : format_count(cost)});
  }
  // The whole knows better than its parts: a layer that is called twice costs twice.
  const detail::CallCost whole = detail::cost_of(*state_, true);
  if (whole.flops >= 0) flops = whole.flops;

  std::string text =
      fmt::format("{} ({})\n{}", state_->display_name(), state_->class_name(), table.to_string());
  text += fmt::format("{} ({})", counted(total.count, "parameter"), format_bytes(total.bytes));
  if (total.trainable != total.count)
    text += fmt::format(", {} of them trained", format_count(total.trainable));
  if (not_called > 0)
    text += fmt::format("; {} layer{} not been called, which is when parameters are made", not_called,
                        not_called == 1 ? " has" : "s have");
  text += '\n';
  if (not_called == 0 && flops >= 0) {
    text += fmt::format("{} an example", counted(flops, "FLOP"));
    if (whole.peak_bytes >= 0)
      text += fmt::format(", {} of memory beside the parameters",
                          format_bytes(static_cast<uint64_t>(whole.peak_bytes)));
    text += '\n';
  }
  return text;
}

}  // namespace tandem::nn
