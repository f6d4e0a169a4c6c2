#pragma once
// The classifiers of acts 2 to 4.

#include <cstdint>
#include <vector>

#include "tandem/tensor.h"
#include "tandem/variable.h"

namespace tandem::cli {

/// Images of uint8 to rows of numbers, then dense layers with relu between them.
class Network {
 public:
  /// `sizes`: inputs, hidden units, outputs. Two networks of one seed are equal.
  Network(const std::vector<int64_t>& sizes, uint64_t seed);

  /// (N, 28, 28) to (N, 10), before any softmax.
  Tensor operator()(const Tensor& images) const;
  std::vector<Variable> variables() const;

 private:
  struct Layer {
    Variable weights, bias;
  };
  std::vector<Layer> layers_;
  int64_t input_size_;
};

}  // namespace tandem::cli
