#include "function/recorded_body.h"

namespace tandem {

RecordedBody record_body(std::string_view what, std::span<const Spec> arguments,
                         const std::function<std::vector<Tensor>(std::vector<Tensor>)>& body,
                         Location where) {
  TraceMode trace;
  trace.enclosing = current_mode()->innermost_trace();
  trace.body_of = what;
  trace.graph.next_symbol = trace.enclosing->graph.next_symbol - 4096;  // its symbols and ours do not meet
  std::vector<Tensor> inputs;
  for (const Spec& s : arguments) inputs.push_back(trace.add_input("v", s));
  RecordedBody result;
  {
    const ModeScope scope(&trace);
    for (const Tensor& t : body(std::move(inputs)))
      trace.graph.outputs.push_back(t.defined() ? trace.value_of(t, where) : ValueRef{});
  }
  result.graph = std::move(trace.graph);
  result.captures = std::move(trace.captures);
  return result;
}

}  // namespace tandem
