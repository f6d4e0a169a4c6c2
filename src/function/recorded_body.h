#pragma once
// A body recorded as a graph of its own inside a trace, so that it can be run again, in this trace or in one
// that replays it.

#include "function/trace_mode.h"

namespace tandem {

struct RecordedBody {
  Graph graph;                   ///< its arguments, then what it captures
  std::vector<Tensor> captures;  ///< tensors of the enclosing trace, in the order of the last arguments
};

/// Runs `body` on new symbolic arguments. `what` names it in messages: "the rule of custom_gradient".
/// Undefined results are none.
RecordedBody record_body(std::string_view what, std::span<const Spec> arguments,
                         const std::function<std::vector<Tensor>(std::vector<Tensor>)>& body, Location where);

}  // namespace tandem
