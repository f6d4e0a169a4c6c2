// Copies between the two orders of channels, and the list of what works with either.

#include "ops/channels_last.h"

#include <algorithm>

#include "core/check.h"
#include "ops/dispatch.h"
#include "ops/samples.h"
#include "runtime/convolution.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

/// A copy to channels last, or back.
template <bool last>
struct ReorderChannels {
  static constexpr std::string_view name = last ? "ChannelsLast" : "ChannelsFirst", domain = "ai.tandem";
  static constexpr uint32_t traits = moves_only;
  static constexpr std::array<InputDef, 1> inputs{{{"X", types::all}}};
  static void infer(InferContext& c) {
    TD_CHECK(c.rank(0) >= 2, "X has shape {}; a batch and channels are needed", c.shape(0));
    c.output(c.dtype(0), last ? with_channels_last(c.shape(0)) : with_channels_first(c.shape(0)));
  }
  static void kernel(const KernelContext& k) {
    const kernel::View &x = k.inputs[0], &y = k.outputs[0];
    const int64_t count = y.shape.element_count();
    if (count == 0) return;
    const int64_t batch = x.shape[0], channels = last ? x.shape[1] : x.shape.back();
    runtime::move_channels(x.dtype, batch, channels, count / batch / channels, last, x.data, y.data);
  }
  static Tensors decomposition(std::span<const Tensor> in, const NoAttributes&) {
    return {last ? with_channels_last(in[0]) : with_channels_first(in[0])};
  }
  static Tensors gradient(const Gradient& g) {
    return {last ? with_channels_first(g.dy()) : with_channels_last(g.dy())};
  }
  static std::vector<Sample> samples() {
    std::vector<Sample> all;
    for (const Shape& shape : {Shape{2, 3, 4, 5}, Shape{1, 17, 3}, Shape{2, 2, 3, 2, 4}, Shape{3, 2},
                               Shape{0, 3, 4, 5}, Shape{2, 3, 0, 5}})
      all.push_back({{stepped(shape, -1.5f, 0.25f, 7, 19)}, {}});
    return all;
  }
};

constexpr const OpDef& to_channels_first = op_def<ReorderChannels<false>>;
constexpr const OpDef& to_channels_last = op_def<ReorderChannels<true>>;
constexpr const OpDef* channel_order_table[] = {&to_channels_first, &to_channels_last};

}  // namespace

std::span<const OpDef* const> channel_order_ops() { return channel_order_table; }

const OpDef& channels_first_op() { return to_channels_first; }
const OpDef& channels_last_op() { return to_channels_last; }

ChannelsLast channels_last(const OpDef& op, const void* attributes, std::span<const Spec> inputs,
                           std::span<const Spec> outputs) {
  for (const auto rows :
       {convolutions_with_channels_last(), pools_with_channels_last(), max_pools_with_channels_last()})
    for (const ChannelsLastRow& row : rows)
      if (row.op == &op) return row.offer(attributes, inputs, outputs);
  return {};
}

Shape with_channels_last(const Shape& shape) {
  Shape moved = shape;
  std::rotate(moved.begin() + 1, moved.begin() + 2, moved.end());
  return moved;
}
Shape with_channels_first(const Shape& shape) {
  Shape moved = shape;
  std::rotate(moved.begin() + 1, moved.end() - 1, moved.end());
  return moved;
}
Tensor with_channels_last(const Tensor& x) { return moveaxis(x, 1, -1); }
Tensor with_channels_first(const Tensor& x) { return moveaxis(x, -1, 1); }

}  // namespace tandem
