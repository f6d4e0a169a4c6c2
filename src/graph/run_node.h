#pragma once
// One step of a run, as RunScopes and errors see it.

#include "graph/graph.h"
#include "runtime/run_control.h"

namespace tandem {

/// Runs `f` with errors that name the node's op, line and calls. `node` may be null: a step of the plan's
/// own.
template <class F>
void run_node(const Node* node, F&& f) {
  try {
    const detail::RunControl* control = detail::current_run_control;
    if (!control) [[likely]] {
      f();
      return;
    }
    detail::run_controlled(*control, f, [&](StepTime& step) {
      step.name = node ? node->name : "copy";
      if (!node) return;
      step.op = node->op->name;
      step.where = node->where;
    });
  } catch (Error& e) {
    if (node) {
      e.set_origin(node->op->display_name(), node->where);
      // "model/dense/matmul": the layer or name scope.
      if (const size_t last = node->name.rfind('/'); last != std::string::npos)
        e.add_context("in " + node->name.substr(0, last));
      add_calls(e, node->calls);
    }
    throw;
  }
}

}  // namespace tandem
