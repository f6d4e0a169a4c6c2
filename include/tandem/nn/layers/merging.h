#pragma once
// Layers that make one tensor of several: `auto sum = nn::Add()({a, b});`

#include "tandem/nn/layer.h"
#include "tandem/nn/layers/core.h"

namespace tandem::nn {

// Shapes broadcast; an input of lower rank gets dimensions of size 1 after the batch.

/// The sum of all inputs.
class Add : public Layer {
 public:
  explicit Add(LayerOptions options = {}, Location where = here());
};
/// The first input minus the second. Errors: not two.
class Subtract : public Layer {
 public:
  explicit Subtract(LayerOptions options = {}, Location where = here());
};
/// The product of all inputs.
class Multiply : public Layer {
 public:
  explicit Multiply(LayerOptions options = {}, Location where = here());
};
/// The mean of all inputs.
class Average : public Layer {
 public:
  explicit Average(LayerOptions options = {}, Location where = here());
};
/// The largest of all inputs, element by element.
class Maximum : public Layer {
 public:
  explicit Maximum(LayerOptions options = {}, Location where = here());
};
/// The smallest of all inputs, element by element.
class Minimum : public Layer {
 public:
  explicit Minimum(LayerOptions options = {}, Location where = here());
};

/// Options of Concatenate.
struct ConcatenateOptions {
  int64_t axis = -1;
  std::string name = {};
};

/// The inputs joined along an axis. Errors: shapes that differ elsewhere.
class Concatenate : public Layer {
 public:
  explicit Concatenate(ConcatenateOptions options = {}, Location where = here());
};

/// Options of Dot.
struct DotOptions {
  bool normalize = false;  ///< both to length 1 along their axis first: cosines
  std::string name = {};
};

/// Products of two inputs, example by example, summed over an axis of each: (batch, a, k) and (batch, b, k)
/// with axes 2, or {2, 2}, give (batch, a, b); (batch, k) twice give (batch, 1).
class Dot : public Layer {
 public:
  explicit Dot(int64_t axis, DotOptions options = {}, Location where = here())
      : Dot(axis, axis, std::move(options), where) {}
  explicit Dot(std::pair<int64_t, int64_t> axes, DotOptions options = {}, Location where = here())
      : Dot(axes.first, axes.second, std::move(options), where) {}

 private:
  Dot(int64_t first, int64_t second, DotOptions options, Location where);
};

}  // namespace tandem::nn
