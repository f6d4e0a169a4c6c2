#pragma once
// What If, Loop and Call share: bodies that run on tensors.

#include <functional>
#include <vector>

#include "graph/graph.h"
#include "ops/structured.h"

namespace tandem {

class RunnableBody : public Structured {
 public:
  virtual void run(std::span<const Tensor> inputs, std::span<Tensor> outputs) = 0;

  enum class Kind {
    call,      ///< one graph, of the op's inputs
    branches,  ///< then and else, of the op's inputs after the predicate
    loop,      ///< condition and body, of the op's inputs: first those that change, then captured ones
  };
  struct View {
    Kind kind = Kind::call;
    std::vector<const Graph*> graphs = {};
    int loop_variables = 0;
    int64_t maximum_iterations = -1;  ///< -1: no limit
  };
  /// What is inside, for whoever writes it down.
  virtual View view() const = 0;
};

namespace detail {

/// A while_loop that also returns what the body returns beyond the variables: its values of all iterations,
/// stacked along a new first axis. `scans` is what each of them is, in case no iteration runs (-1: any size).
/// Loop variables may change their sizes, not their ranks.
std::vector<Tensor> loop_with_scans(const std::function<Tensor(std::vector<Tensor>)>& condition,
                                    const std::function<std::vector<Tensor>(std::vector<Tensor>)>& body,
                                    std::vector<Tensor> variables, std::span<const Spec> scans,
                                    Location where);

}  // namespace detail

}  // namespace tandem
