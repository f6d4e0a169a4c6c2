// Jacobians: one way back for each element of the target.

#include "autodiff/tape_mode.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

// Weights that choose one element of the target.
Tensor one_hot(const Tensor& target, int64_t position) {
  const ModeScope eager(nullptr);
  std::vector<float> weights(static_cast<size_t>(target.size()), 0.f);
  weights[static_cast<size_t>(position)] = 1;
  return cast(from_vector<float>(std::move(weights), target.shape()), target.dtype());
}

}  // namespace

Tensor TapeMode::jacobian(const Tensor& target, const GradientSource& source, Unconnected unconnected,
                          Location where) {
  check_unused();
  TD_CHECK(target.defined(), "the target is an empty tensor handle");
  const Spec spec = source.is_variable() ? source.variable().value().spec() : source.tensor().spec();
  TD_CHECK(target.shape().is_static() && spec.shape.is_static(),
           "the target has shape {} and the source {}; a jacobian needs sizes that are known while tracing",
           target.shape(), spec.shape);
  Shape shape = target.shape(), row = spec.shape;
  for (int64_t d : spec.shape) shape.push_back(d);
  row.insert(0, 1);
  // All rows go over the same records, which a non-persistent tape would drop after the first.
  struct Persistent {
    explicit Persistent(bool& flag) : flag_(flag), before_(std::exchange(flag, true)) {}
    ~Persistent() { flag_ = before_; }
    bool& flag_;
    bool before_;
  };
  if (recording_ && !options_.persistent) stop();
  std::vector<Tensor> rows;
  {
    const Persistent all_rows(options_.persistent);
    const int64_t count = is_floating(target.dtype()) ? target.shape().element_count() : 0;
    for (int64_t i = 0; i < count; ++i) {
      const Tensor weights[] = {one_hot(target, i)};
      const Tensor found = gradients({&target, 1}, {&source, 1}, {unconnected, {weights[0]}}, where)[0];
      if (found.defined()) rows.push_back(reshape(Operand(found, where), row));
    }
    TD_ASSERT(rows.empty() || static_cast<int64_t>(rows.size()) == count);
  }
  if (!options_.persistent) recording_data_->clear();
  if (rows.empty()) {
    const bool empty = is_floating(target.dtype()) && target.shape().element_count() == 0;
    return empty || unconnected == Unconnected::zero ? zeros(Operand(shape, where), spec.dtype) : Tensor();
  }
  return reshape(Operand(concat(rows, 0, where), where), shape);
}

}  // namespace tandem
