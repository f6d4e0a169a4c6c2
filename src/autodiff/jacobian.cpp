// Jacobians: one way back for each element of the target, or of one entry of a batch.

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
  return cast(from_vector<float>(std::move(weights), target.shape().codes()), target.dtype());
}

// Weights that choose one element of each entry of a batch.
Tensor one_of_each(const Tensor& target, int64_t position) {
  const ModeScope eager(nullptr);
  const int64_t batch = target.shape().codes()[0], size = target.size() / batch;
  std::vector<float> weights(static_cast<size_t>(target.size()), 0.f);
  for (int64_t i = 0; i < batch; ++i) weights[static_cast<size_t>(i * size + position)] = 1;
  return cast(from_vector<float>(std::move(weights), target.shape().codes()), target.dtype());
}

}  // namespace

/// Goes back over the same records again and again, which a non-persistent tape would drop after the first
/// time.
class TapeMode::ManyGradients {
 public:
  explicit ManyGradients(TapeMode& tape) : tape_(tape), persistent_(tape.options_.persistent) {
    if (tape.recording_ && !persistent_) tape.stop();
    tape.options_.persistent = true;
  }
  ~ManyGradients() {
    tape_.options_.persistent = persistent_;
    if (!persistent_) tape_.recording_data_->clear();
  }
  ManyGradients(const ManyGradients&) = delete;
  ManyGradients& operator=(const ManyGradients&) = delete;

 private:
  TapeMode& tape_;
  bool persistent_;
};

namespace {

Spec spec_of(const GradientSource& source) {
  return source.is_variable() ? detail::coded_spec(source.variable().value())
                              : detail::coded_spec(source.tensor());
}

void check_static(const char* what, const Shape& target, const Shape& source) {
  TD_CHECK(target.is_static() && source.is_static(),
           "the target has shape {} and the source {}; a {} needs sizes that are known while tracing", target,
           source, what);
}

}  // namespace

Tensor TapeMode::jacobian(const Tensor& target, const GradientSource& source, Unconnected unconnected,
                          Location where) {
  check_unused();
  TD_CHECK(target.defined(), "the target is an empty tensor handle");
  const Spec spec = spec_of(source);
  check_static("jacobian", target.shape().codes(), spec.shape);
  Shape shape = target.shape().codes(), row = spec.shape;
  for (int64_t d : spec.shape) shape.push_back(d);
  row.insert(0, 1);
  std::vector<Tensor> rows;
  {
    const ManyGradients many(*this);
    const int64_t count = is_floating(target.dtype()) ? target.shape().codes().element_count() : 0;
    for (int64_t i = 0; i < count; ++i) {
      Tensor found;
      gradients({&target, 1}, {&source, 1}, {unconnected, {one_hot(target, i)}}, where, {&found, 1});
      if (found.defined()) rows.push_back(reshape(Operand(found, where), row));
    }
    TD_ASSERT(rows.empty() || static_cast<int64_t>(rows.size()) == count);
  }
  if (rows.empty()) {
    const bool empty = is_floating(target.dtype()) && target.shape().codes().element_count() == 0;
    return empty || unconnected == Unconnected::zero ? zeros(Operand(shape, where), spec.dtype) : Tensor();
  }
  return reshape(Operand(concat(rows, 0, where), where), shape);
}

Tensor TapeMode::batch_jacobian(const Tensor& target, const GradientSource& source, Unconnected unconnected,
                                Location where) {
  check_unused();
  TD_CHECK(target.defined(), "the target is an empty tensor handle");
  const Spec spec = spec_of(source);
  const Shape& t = target.shape().codes();
  TD_CHECK(
      t.rank() >= 1 && spec.shape.rank() >= 1 && t[0] == spec.shape[0],
      "the target has shape {} and the source {}; both need a first dimension, the batch, of the same size",
      t, spec.shape);
  check_static("batch jacobian", t, spec.shape);
  // The result is built with the target's elements in front, then the batch.
  Shape shape = t, row = spec.shape, entry = t;
  entry.erase(0);
  for (int i = 1; i < spec.shape.rank(); ++i) shape.push_back(spec.shape[i]);
  row.insert(1, 1);
  std::vector<Tensor> columns;
  {
    const ManyGradients many(*this);
    const int64_t count = is_floating(target.dtype()) && t[0] > 0 ? entry.element_count() : 0;
    for (int64_t i = 0; i < count; ++i) {
      Tensor found;
      gradients({&target, 1}, {&source, 1}, {unconnected, {one_of_each(target, i)}}, where, {&found, 1});
      if (found.defined()) columns.push_back(reshape(Operand(found, where), row));
    }
    TD_ASSERT(columns.empty() || static_cast<int64_t>(columns.size()) == count);
  }
  if (columns.empty()) {
    const bool empty = is_floating(target.dtype()) && t.element_count() == 0;
    return empty || unconnected == Unconnected::zero ? zeros(Operand(shape, where), spec.dtype) : Tensor();
  }
  return reshape(Operand(concat(columns, 1, where), where), shape);
}

}  // namespace tandem
