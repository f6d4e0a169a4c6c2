#pragma once
// What If, Loop and Call share: bodies that run on tensors.

#include "ops/structured.h"

namespace tandem {

class RunnableBody : public Structured {
 public:
  virtual void run(std::span<const Tensor> inputs, std::span<Tensor> outputs) = 0;
};

}  // namespace tandem
