#include "onnx/opset17.h"

#include <algorithm>
#include <array>

#include "core/check.h"
#include "core/tensor_impl.h"
#include "onnx/attribute_proto.h"
#include "onnx/dtypes.h"
#include "onnx/tensor_proto.h"

namespace tandem::onnx {

namespace {

// ---- the forms that changed since

AttributeProto* find(NodeProto& node, std::string_view name) {
  for (AttributeProto& a : *node.mutable_attribute())
    if (a.name() == name) return &a;
  return nullptr;
}
void drop(NodeProto& node, std::string_view name) {
  auto& all = *node.mutable_attribute();
  for (int i = 0; i < all.size(); ++i)
    if (all[i].name() == name) return all.DeleteSubrange(i, 1);
}
bool has_input(const NodeProto& node, int i) { return i < node.input_size() && !node.input(i).empty(); }

/// The axes of a reduction were an attribute.
void reduce(SavedNode& n) {
  const AttributeProto* noop = find(n.proto, "noop_with_empty_axes");
  const bool keeps = noop && noop->i() != 0;
  Tensor axes;
  if (has_input(n.proto, 1)) {
    TD_CHECK(n.known(1, axes), "opset 17 needs axes that are known when the function is saved");
    while (n.proto.input_size() > 1) n.proto.mutable_input()->RemoveLast();
  }
  const bool none = !axes.defined() || axes.size() == 0;
  TD_CHECK(!none || !keeps, "opset 17 has no reduction over no axes");
  drop(n.proto, "noop_with_empty_axes");
  if (!none) write_attribute("axes", axes.to_vector<int64_t>(), *n.proto.add_attribute());
}

/// The number of parts was that of the outputs, and they were equal unless sizes were given.
void split(SavedNode& n) {
  drop(n.proto, "num_outputs");
  if (has_input(n.proto, 1)) return;
  const AttributeProto* axis = find(n.proto, "axis");
  std::vector<int64_t> sizes;
  for (const Spec& s : n.node.outputs) {
    const int64_t at = axis ? axis->i() : 0;
    sizes.push_back(s.shape[static_cast<int>(at < 0 ? at + s.shape.rank() : at)]);
  }
  if (std::all_of(sizes.begin(), sizes.end(), [&](int64_t s) { return s == sizes[0]; })) return;
  TD_CHECK(std::all_of(sizes.begin(), sizes.end(), [](int64_t s) { return s >= 0; }),
           "opset 17 needs the sizes of unequal parts");
  if (n.proto.input_size() < 2) n.proto.add_input();
  n.proto.set_input(1, n.constant(from_span<int64_t>(sizes, {static_cast<int64_t>(sizes.size())})));
}

/// Every axis was padded.
void pad(SavedNode& n) {
  const AttributeProto* mode = find(n.proto, "mode");
  TD_CHECK(!mode || mode->s() != "wrap", "opset 17 has no mode \"wrap\"");
  if (!has_input(n.proto, 3)) return;
  Tensor pads, axes;
  TD_CHECK(n.known(1, pads) && n.known(3, axes),
           "opset 17 needs paddings and axes that are known when the function is saved");
  const int rank = n.node.outputs[0].shape.rank();
  std::vector<int64_t> all(static_cast<size_t>(2 * rank), 0);
  const std::vector<int64_t> of = pads.to_vector<int64_t>(), at = axes.to_vector<int64_t>();
  for (size_t i = 0; i < at.size(); ++i) {
    const auto axis = static_cast<size_t>(at[i] < 0 ? at[i] + rank : at[i]);
    all[axis] = of[i];
    all[axis + static_cast<size_t>(rank)] = of[i + at.size()];
  }
  n.proto.mutable_input()->RemoveLast();
  n.proto.set_input(1, n.constant(from_span<int64_t>(all, {2 * rank})));
}

void scatter(SavedNode& n) {
  const AttributeProto* reduction = find(n.proto, "reduction");
  TD_CHECK(!reduction || (reduction->s() != "min" && reduction->s() != "max"),
           "opset 17 has no reduction \"{}\"", reduction->s());
}

void cast(SavedNode& n) {
  drop(n.proto, "saturate");
  drop(n.proto, "round_mode");
}

/// Dilated windows are newer, and LpPool's last parts of one.
void pool(SavedNode& n) {
  const AttributeProto* dilations = find(n.proto, "dilations");
  if (!dilations) return;
  for (int64_t d : dilations->ints()) TD_CHECK(d == 1, "opset 17 has no dilations of {}", n.node.op->name);
  drop(n.proto, "dilations");
}

void lp_pool(SavedNode& n) {
  TD_CHECK(!find(n.proto, "ceil_mode"), "opset 17 has no ceil_mode of LpPool");
  pool(n);
}

/// Statistics were float.
void layer_normalization(SavedNode& n) {
  const AttributeProto* stash = find(n.proto, "stash_type");
  TD_CHECK(!stash || stash->i() == code_of(DType::f32), "opset 17 normalizes by way of float only");
}

/// Our two numbers are ONNX's tensor of one element.
void constant_of_shape(SavedNode& n) {
  const AttributeProto* given = find(n.proto, "bits");
  const int64_t bits = given ? given->i() : 0;
  const Tensor value = detail::from_bytes(&bits, n.node.outputs[0].dtype, 1, {1});
  n.proto.clear_attribute();
  write_attribute("value", value, *n.proto.add_attribute());
}

void grid_sample(SavedNode& n) {
  TD_CHECK(n.node.outputs[0].shape.rank() == 4, "opset 17 samples two-dimensional grids only");
  TD_CHECK(n.dtype(0) == n.dtype(1), "opset 17 has no GridSample of {} at positions of {}", n.dtype(0),
           n.dtype(1));
  if (AttributeProto* mode = find(n.proto, "mode"))
    mode->set_s(mode->s() == "linear" ? "bilinear" : mode->s() == "cubic" ? "bicubic" : mode->s());
}

void resize(SavedNode& n) {
  for (const char* newer : {"antialias", "axes", "keep_aspect_ratio_policy"})
    TD_CHECK(!find(n.proto, newer), "opset 17 has no {} of Resize", newer);
}

struct Row {
  std::string_view op;
  void (*bring)(SavedNode&);
};
// Sorted by name. Ops that gained element types only need no row.
constexpr std::array rows = {Row{"AveragePool", pool},
                             Row{"Cast", cast},
                             Row{"CastLike", cast},
                             Row{"ConstantOfShape", constant_of_shape},
                             Row{"GridSample", grid_sample},
                             Row{"LayerNormalization", layer_normalization},
                             Row{"LpPool", lp_pool},
                             Row{"Pad", pad},
                             Row{"ReduceL1", reduce},
                             Row{"ReduceL2", reduce},
                             Row{"ReduceLogSum", reduce},
                             Row{"ReduceLogSumExp", reduce},
                             Row{"ReduceMax", reduce},
                             Row{"ReduceMean", reduce},
                             Row{"ReduceMin", reduce},
                             Row{"ReduceProd", reduce},
                             Row{"ReduceSumSquare", reduce},
                             Row{"Resize", resize},
                             Row{"ScatterElements", scatter},
                             Row{"ScatterND", scatter},
                             Row{"Split", split}};

// What came after opset 17, sorted.
constexpr std::array<std::string_view, 16> newer = {
    "AffineGrid",    "BitCast",          "BitwiseAnd",      "BitwiseNot", "BitwiseOr", "BitwiseXor",
    "CenterCropPad", "Col2Im",           "CumProd",         "DeformConv", "Gelu",      "GroupNormalization",
    "Mish",          "RMSNormalization", "RotaryEmbedding", "Swish"};

}  // namespace

bool in_saved_opset(const OpDef& op) {
  return op.domain.empty() && !std::binary_search(newer.begin(), newer.end(), op.name);
}

void downgrade(SavedNode& n) {
  const auto row = std::lower_bound(rows.begin(), rows.end(), n.node.op->name,
                                    [](const Row& r, std::string_view name) { return r.op < name; });
  if (row != rows.end() && row->op == n.node.op->name) row->bring(n);
}

}  // namespace tandem::onnx
