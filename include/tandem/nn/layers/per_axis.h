#pragma once
// Numbers given once for all spatial dimensions, or one for each; one axis, or several.

#include "tandem/location.h"
#include "tandem/shape.h"

namespace tandem::nn {

/// One number for all spatial dimensions, or one for each: `3`, `{3, 5}`.
class PerAxis {
 public:
  PerAxis() = default;
  template <class T>
  requires(std::is_integral_v<T> && !std::is_same_v<T, bool>) PerAxis(T number)
      : numbers_{static_cast<int64_t>(number)} {}
  PerAxis(std::initializer_list<int64_t> numbers) : numbers_(numbers) {}

  bool empty() const { return numbers_.empty(); }
  const Dims& numbers() const { return numbers_; }

 private:
  Dims numbers_;
};

/// One axis, or several: `-1`, `{1, 2}`.
class Axes : public PerAxis {
 public:
  using PerAxis::PerAxis;
};

}  // namespace tandem::nn
