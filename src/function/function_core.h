#pragma once
// The untyped half of Function: signatures, the retrace contract, calls.

#include <map>
#include <optional>

#include "compiler/compiled_graph.h"
#include "function/structured_call.h"
#include "tandem/function.h"

namespace tandem::detail {

/// What else than its arguments decides what a body does: bits that layers above set for a scope on their
/// thread, such as whether a model is in training. A trace is valid in the context in which it was made.
extern constinit thread_local uint32_t trace_context [[gnu::tls_model("initial-exec")]];

/// One recorded path of a Function, for one signature.
class FunctionTrace {
 public:
  FunctionTrace(Graph graph, const PipelineOptions& options)
      : recorded(std::move(graph)), compiled(recorded, options) {}

  /// True when a call with these tensors may run this trace.
  bool accepts(std::span<const Tensor> tensors, const std::string& key) const;
  bool accepts(std::span<const Tensor* const> tensors) const;

  Graph recorded;  ///< as traced, before optimization: what gradients are built from
  CompiledGraph compiled;
  std::vector<Spec> inputs;
  std::string static_key;
  uint32_t context = trace_context;
  std::shared_ptr<void> skeleton;
  std::string reason;
  Location where;
  double trace_us = 0;
  std::atomic<double> first_run_us{0};
  std::shared_ptr<StructuredCall> structured;  ///< the call as an op under a tape
};

class FunctionCore : public std::enable_shared_from_this<FunctionCore> {
 public:
  explicit FunctionCore(FunctionOptions options);

  FunctionTrace* find(std::span<const Tensor> tensors, const std::string& key) const;
  FunctionTrace* find_simple(std::span<const Tensor* const> tensors) const;
  FunctionTrace* trace(const FunctionCall& call, const TraceBody& body);
  std::vector<FunctionTrace*> traces() const;
  std::string explain() const;
  const FunctionOptions& options() const { return options_; }

 private:
  struct List {  // immutable once published
    std::vector<std::shared_ptr<FunctionTrace>> traces;
  };
  std::vector<Spec> specs_for(const FunctionCall& call, const std::string& key, std::string& reason) const;
  void check_signature(const FunctionCall& call) const;
  std::shared_ptr<FunctionTrace> record(const FunctionCall& call, const TraceBody& body,
                                        const std::string& key);
  std::string describe() const;

  FunctionOptions options_;
  PipelineOptions pipeline_;
  mutable std::recursive_mutex tracing_;  // one trace at a time; the body may call this function again
  std::atomic<const List*> list_;
  std::vector<std::unique_ptr<const List>> lists_;  // old ones stay: readers hold no lock
  struct Pin {
    int argument, axis;
    Location where;
  };
  std::vector<Pin> pins_;
  int depth_ = 0;  // recursion while tracing
  bool traced_before_ = false;
  int retrace_warnings_ = 0;
};

}  // namespace tandem::detail
