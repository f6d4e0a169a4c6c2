#include "tandem/nn/layers/merging.h"

#include <algorithm>

#include "nn/layers/layer_support.h"
#include "tandem/ops.h"

namespace tandem::nn {

namespace {

using detail::LayerBody;
using detail::ModuleState;

/// A layer of several inputs and one result.
class MergingBody : public LayerBody {
 public:
  Tensor call(ModuleState& state, const Tensor& x) final { return call_many(state, {x})[0]; }
};

/// How two of the inputs become one.
using Merge = Tensor (*)(const Operand& a, const Operand& b);

class ElementwiseBody final : public MergingBody {
 public:
  ElementwiseBody(Merge merge, bool averages = false, size_t inputs = 0)
      : merge_(merge), averages_(averages), inputs_(inputs) {}

  std::vector<Tensor> call_many(ModuleState&, const std::vector<Tensor>& inputs) override {
    TD_CHECK(!inputs.empty() && (inputs_ == 0 || inputs.size() == inputs_),
             "the layer was called on {} inputs; expected {}", inputs.size(),
             inputs_ == 0 ? "at least 1" : "exactly 2");
    int rank = 0;
    for (const Tensor& x : inputs) rank = std::max(rank, x.rank());
    Tensor y, mask;
    for (size_t i = 0; i < inputs.size(); ++i) {
      const Tensor x = with_rank(inputs[i], rank);
      y = i == 0 ? x : merge_(y, x);
      // What counts in one input counts; an input without a mask counts as a whole.
      const Tensor own = mask_of(inputs[i]);
      mask = i == 0 ? own : mask.defined() && own.defined() ? logical_or(mask, own) : Tensor();
    }
    if (averages_) y = y / static_cast<double>(inputs.size());
    if (mask.defined()) set_mask(y, mask);
    return {y};
  }

 private:
  static Tensor with_rank(const Tensor& x, int rank) {
    if (x.rank() == rank || x.rank() == 0) return x;
    Dims axes;
    for (int i = 0; i < rank - x.rank(); ++i) axes.push_back(1 + i);
    return unsqueeze(x, axes);
  }

  Merge merge_;
  bool averages_;
  size_t inputs_;  ///< 0: any number
};

class ConcatenateBody final : public MergingBody {
 public:
  explicit ConcatenateBody(int64_t axis) : axis_(axis) {}

  std::vector<Tensor> call_many(ModuleState&, const std::vector<Tensor>& inputs) override {
    TD_CHECK(!inputs.empty(), "the layer was called on no input; expected at least 1");
    const Tensor y = concat(inputs, axis_);
    if (const Tensor mask = joined_masks(inputs, y); mask.defined()) set_mask(y, mask);
    return {y};
  }

 private:
  // Along a dimension of the masks they are joined; along another, what counts in one input counts.
  Tensor joined_masks(const std::vector<Tensor>& inputs, const Tensor& y) const {
    std::vector<Tensor> masks;
    int rank = 0;
    for (const Tensor& x : inputs) {
      masks.push_back(mask_of(x));
      if (masks.back().defined()) rank = std::max(rank, masks.back().rank());
    }
    if (rank == 0) return {};
    const int at = static_cast<int>(axis_ < 0 ? axis_ + y.rank() : axis_);
    for (size_t i = 0; i < inputs.size(); ++i)
      if (!masks[i].defined()) masks[i] = cast(ones(shape_of(inputs[i], 0, rank), DType::u8), DType::boolean);
    if (at < rank) return concat(masks, at);
    Tensor any = masks[0];
    for (size_t i = 1; i < masks.size(); ++i) any = logical_or(any, masks[i]);
    return any;
  }

  int64_t axis_;
};

class DotBody final : public MergingBody {
 public:
  DotBody(int64_t first, int64_t second, bool normalize) : axes_{first, second}, normalize_(normalize) {}

  std::vector<Tensor> call_many(ModuleState&, const std::vector<Tensor>& inputs) override {
    TD_CHECK(inputs.size() == 2, "the layer was called on {} inputs; expected exactly 2", inputs.size());
    Tensor sides[2];
    int64_t sizes[2];
    for (size_t i = 0; i < 2; ++i) {
      const Tensor& x = inputs[i];
      const int64_t axis = axes_[i] < 0 ? axes_[i] + x.rank() : axes_[i];
      TD_CHECK(axis >= 1 && axis < x.rank(), "axis {} is out of range for input shape {}; expected 1 to {}",
               axes_[i], x.shape(), x.rank() - 1);
      sizes[i] = x.shape().codes()[static_cast<int>(axis)];
      sides[i] = moveaxis(x, axis, -1);
      if (normalize_) sides[i] = sides[i] * rsqrt(maximum(reduce_sum_square(sides[i], {-1}, true), 1e-12));
    }
    TD_CHECK(sizes[0] == sizes[1] || sizes[0] < 0 || sizes[1] < 0,
             "the sizes to sum over differ: {} of input shape {} and {} of {}", sizes[0], inputs[0].shape(),
             sizes[1], inputs[1].shape());
    if (inputs[0].rank() == 2 && inputs[1].rank() == 2) return {reduce_sum(sides[0] * sides[1], {-1}, true)};
    const Tensor product = matmul(as_matrices(sides[0]), transpose(as_matrices(sides[1]), {0, 2, 1}));
    const Tensor batch = shape_of(product, 0, 1);
    std::vector<Tensor> shape{batch};
    for (const Tensor& side : sides)
      if (side.rank() > 2) shape.push_back(shape_of(side, 1, side.rank() - 1));
    return {reshape(product, concat(shape, 0))};
  }

 private:
  /// (batch, ..., k) as (batch, n, k).
  static Tensor as_matrices(const Tensor& x) {
    if (x.rank() == 3) return x;
    if (x.rank() == 2) return unsqueeze(x, {1});
    return reshape(x, concat({shape_of(x, 0, 1), Tensor({int64_t{-1}}), shape_of(x, x.rank() - 1)}, 0));
  }

  int64_t axes_[2];
  bool normalize_;
};

}  // namespace

#define TANDEM_MERGING(Kind, ...)                  \
  Kind::Kind(LayerOptions options, Location where) \
      : Layer(#Kind, options.name, where, detail::make_clonable<ElementwiseBody>(__VA_ARGS__)) {}
TANDEM_MERGING(Add, static_cast<Merge>(add))
TANDEM_MERGING(Subtract, static_cast<Merge>(sub), false, 2)
TANDEM_MERGING(Multiply, static_cast<Merge>(mul))
TANDEM_MERGING(Average, static_cast<Merge>(add), true)
TANDEM_MERGING(Maximum, static_cast<Merge>(maximum))
TANDEM_MERGING(Minimum, static_cast<Merge>(minimum))
#undef TANDEM_MERGING

Concatenate::Concatenate(ConcatenateOptions options, Location where)
    : Layer("Concatenate", options.name, where, detail::make_clonable<ConcatenateBody>(options.axis)) {}

Dot::Dot(int64_t first, int64_t second, DotOptions options, Location where)
    : Layer("Dot", options.name, where, detail::make_clonable<DotBody>(first, second, options.normalize)) {}

}  // namespace tandem::nn
