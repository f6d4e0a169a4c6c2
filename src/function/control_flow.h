#pragma once
// What If, Loop and Call share: bodies that run on tensors.

#include <functional>
#include <vector>

#include "core/named.h"
#include "graph/bodies.h"

namespace tandem {

class RunnableBody : public GraphBodies {
 public:
  virtual void run(std::span<const Tensor> inputs, std::span<Tensor> outputs) = 0;
};

namespace detail {

/// A while_loop that also returns what the body returns beyond the variables: its values of all iterations,
/// stacked along a new first axis. `scans` is what each of them is, in case no iteration runs (-1: any size).
/// Loop variables may change their sizes, not their ranks.
std::vector<Tensor> loop_with_scans(const std::function<Tensor(std::vector<Tensor>)>& condition,
                                    const std::function<std::vector<Tensor>(std::vector<Tensor>)>& body,
                                    std::vector<Tensor> variables, std::span<const Spec> scans,
                                    Location where);

/// While tracing: the same for loop variables that keep their shapes.
std::vector<Tensor> traced_loop_with_scans(
    const std::function<Tensor(std::vector<Tensor>)>& condition,
    const std::function<std::vector<Tensor>(std::vector<Tensor>)>& body, const std::vector<Tensor>& variables,
    Location where);

}  // namespace detail

}  // namespace tandem
