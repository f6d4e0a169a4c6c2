#include "onnx/rules.h"

#include <algorithm>
#include <cfloat>
#include <cstring>

#include "core/check.h"
#include "core/tensor_impl.h"
#include "onnx/dtypes.h"
#include "onnx/old_semantics.h"
#include "onnx/tensor_proto.h"

namespace tandem::onnx {

AttributeProto* NodeDraft::find(std::string_view name) {
  return const_cast<AttributeProto*>(attributes.find(name));
}

void NodeDraft::drop(std::string_view name) {
  std::erase_if(attributes.all(), [&](const AttributeProto& a) { return a.name() == name; });
}

AttributeProto& NodeDraft::set(std::string_view name) {
  drop(name);
  AttributeProto& a = attributes.all().emplace_back();
  a.set_name(std::string(name));
  return a;
}

DraftInput& NodeDraft::input(size_t i) {
  if (inputs.size() <= i) inputs.resize(i + 1);
  return inputs[i];
}

namespace {

/// What changes. The fields of Rule that each uses stand behind it.
enum class Change {
  drop,             // attribute
  integers_become,  // attribute -> int64 input
  integer_becomes,  // attribute -> int64 input of one entry
  number_becomes,   // attribute -> input, a number
  default_integer,  // attribute, number
  default_number,   // attribute, number
  rename_text,      // attribute, from, to
  rename,           // to: the operator's new name
  custom,           // rewrite
  compose,          // run
};

struct Rule {
  std::string_view op;  // "*": any
  int64_t last;         // newest opset concerned
  Change change;
  std::string_view attribute = {};
  size_t input = 0;
  double number = 0;
  std::string_view from = {}, to = {};
  void (*rewrite)(NodeDraft&) = nullptr;
  Runner run = nullptr;
  std::string_view taken = {};  // the attributes that `run` reads instead of the operator: "axis broadcast"
};

constexpr Rule drop(std::string_view op, int64_t last, std::string_view attribute) {
  return {op, last, Change::drop, attribute};
}
constexpr Rule integers(std::string_view op, int64_t last, std::string_view attribute, size_t input) {
  return {op, last, Change::integers_become, attribute, input};
}
constexpr Rule number(std::string_view op, int64_t last, std::string_view attribute, size_t input) {
  return {op, last, Change::number_becomes, attribute, input};
}
constexpr Rule otherwise(std::string_view op, int64_t last, std::string_view attribute, int value) {
  return {op, last, Change::default_integer, attribute, 0, static_cast<double>(value)};
}
constexpr Rule otherwise(std::string_view op, int64_t last, std::string_view attribute, double value) {
  return {op, last, Change::default_number, attribute, 0, value};
}
constexpr Rule text(std::string_view op, int64_t last, std::string_view attribute, std::string_view from,
                    std::string_view to) {
  return {op, last, Change::rename_text, attribute, 0, 0, from, to};
}
constexpr Rule renamed(std::string_view op, int64_t last, std::string_view to) {
  return {op, last, Change::rename, {}, 0, 0, {}, to};
}
constexpr Rule custom(std::string_view op, int64_t last, void (*rewrite)(NodeDraft&)) {
  return {op, last, Change::custom, {}, 0, 0, {}, {}, rewrite};
}
constexpr Rule composed(std::string_view op, int64_t last, Runner run, std::string_view taken = {}) {
  return {op, last, Change::compose, {}, 0, 0, {}, {}, nullptr, run, taken};
}

// Cast-1 names the type: "FLOAT".
void cast_to_name(NodeDraft& n) {
  AttributeProto* to = n.find("to");
  if (!to || !to->has_s()) return;
  for (int d = 0; d < dtype_count; ++d) {
    const int32_t code = code_of(static_cast<DType>(d));
    const std::string name = name_of_code(code);
    if (name.substr(0, name.find(' ')) != to->s()) continue;
    AttributeProto& number = n.set("to");
    number.set_type(AttributeProto::INT);
    number.set_i(code);
    return;
  }
  fail("attribute \"to\" names the type \"{}\", which is not supported", to->s());
}

// Until opset 18 equal parts need no attribute: there are as many as outputs.
void split_into_outputs(NodeDraft& n) {
  if (n.inputs.size() > 1) return;
  AttributeProto& a = n.set("num_outputs");
  a.set_type(AttributeProto::INT);
  a.set_i(n.output_count);
}

void upsample_as_resize(NodeDraft& n) {
  auto text = [&](std::string_view name, std::string_view value) {
    AttributeProto& a = n.set(name);
    a.set_type(AttributeProto::STRING);
    a.set_s(std::string(value));
  };
  // Resize has the region of interest between data and scales.
  DraftInput scales;
  if (n.inputs.size() > 1) {
    scales = n.inputs[1];
  } else {
    std::vector<float> values;
    if (const AttributeProto* a = n.find("scales"))
      values.assign(a->floats().begin(), a->floats().end());
    else
      values = {1, 1, n.attributes.number("height_scale", 1), n.attributes.number("width_scale", 1)};
    for (const char* name : {"scales", "height_scale", "width_scale"}) n.drop(name);
    scales.constant = from_range(values);
  }
  n.input(1) = DraftInput();
  n.input(2) = std::move(scales);
  n.op_type = "Resize";
  if (n.attributes.text("mode", "nearest") == "bilinear") text("mode", "linear");
  text("coordinate_transformation_mode", "asymmetric");
  text("nearest_mode", "floor");
}

// A mode that opset 13 dropped: positions half an element further on than those of half_pixel, which other
// roundings make up for.
void shifted_nearest(NodeDraft& n) {
  if (n.attributes.text("coordinate_transformation_mode", "") != "tf_half_pixel_for_nn") return;
  const std::string rounding = n.attributes.text("nearest_mode", "round_prefer_floor");
  const bool down = rounding == "floor";
  TD_CHECK(n.attributes.text("mode", "nearest") == "nearest" && (down || rounding == "round_prefer_floor"),
           "coordinate_transformation_mode \"tf_half_pixel_for_nn\" is supported for mode \"nearest\" and "
           "nearest_mode \"floor\" or \"round_prefer_floor\" only");
  n.set("coordinate_transformation_mode").set_s("half_pixel");
  AttributeProto& a = n.set("nearest_mode");
  a.set_type(AttributeProto::STRING);
  a.set_s(down ? "round_prefer_ceil" : "ceil");
}

// Before opset 14 the number of outputs, and before 7 is_test, says what training_mode says now.
void batch_normalization_mode(NodeDraft& n) {
  const bool training = n.version < 7 ? n.attributes.integer("is_test", 0) == 0 : n.output_count > 1;
  n.drop("is_test");
  TD_CHECK(n.attributes.integer("spatial", 1) == 1, "attribute \"spatial\" is {}; only 1 is supported",
           n.attributes.integer("spatial", 1));
  n.drop("spatial");
  AttributeProto& a = n.set("training_mode");
  a.set_type(AttributeProto::INT);
  a.set_i(training ? 1 : 0);
}

void whole_norm_order(NodeDraft& n) {
  AttributeProto* p = n.find("p");
  if (!p || !p->has_f()) return;
  const float order = p->f();
  TD_CHECK(order == static_cast<float>(static_cast<int>(order)),
           "attribute \"p\" is {}; a whole number is needed", order);
  AttributeProto& a = n.set("p");
  a.set_type(AttributeProto::INT);
  a.set_i(static_cast<int64_t>(order));
}

// Our ConstantOfShape has its value's dtype and bits as attributes of their own.
void constant_as_bits(NodeDraft& n) {
  AttributeProto* a = n.find("value");
  if (!a) return;
  const Tensor value = read_tensor(*a->mutable_t());
  TD_CHECK(value.size() == 1, "attribute \"value\" has shape {}; one element is needed", value.shape());
  int64_t bits = 0;
  std::memcpy(&bits, value.impl()->data, size_of(value.dtype()));
  n.drop("value");
  n.set("dtype").set_i(code_of(value.dtype()));
  n.set("bits").set_i(bits);
}

constexpr double float_max = FLT_MAX;

// From old to new; a row concerns its opset and those before. ONNX's changes that need no row only widened an
// operator: more dtypes, negative axes, further inputs and attributes with the old behaviour as default.
constexpr Rule rules[] = {
    drop("*", 5, "consumed_inputs"),
    // Broadcasting by attributes.
    composed("Add", 6, old_broadcast, "axis broadcast"),
    composed("Sub", 6, old_broadcast, "axis broadcast"),
    composed("Mul", 6, old_broadcast, "axis broadcast"),
    composed("Div", 6, old_broadcast, "axis broadcast"),
    composed("Pow", 6, old_broadcast, "axis broadcast"),
    composed("And", 6, old_broadcast, "axis broadcast"),
    composed("Or", 6, old_broadcast, "axis broadcast"),
    composed("Xor", 6, old_broadcast, "axis broadcast"),
    composed("Equal", 6, old_broadcast, "axis broadcast"),
    composed("Greater", 6, old_broadcast, "axis broadcast"),
    composed("Less", 6, old_broadcast, "axis broadcast"),
    composed("PRelu", 6, slope_by_channel),
    drop("Gemm", 6, "broadcast"),
    // The trailing axes as one.
    composed("Softmax", 12, over_trailing_axes, "axis"),
    composed("LogSoftmax", 12, over_trailing_axes, "axis"),
    composed("Hardmax", 12, over_trailing_axes, "axis"),
    // Attributes that became inputs.
    integers("Reshape", 4, "shape", 1),
    integers("Pad", 1, "paddings", 1),
    integers("Pad", 10, "pads", 1),
    number("Pad", 10, "value", 2),
    integers("Slice", 9, "starts", 1),
    integers("Slice", 9, "ends", 2),
    integers("Slice", 9, "axes", 3),
    {"TopK", 9, Change::integer_becomes, "k", 1},
    {"Clip",
     10,
     Change::custom,
     {},
     0,
     0,
     {},
     {},
     [](NodeDraft& n) {
       for (const auto& [name, limit] : {std::pair("min", -float_max), std::pair("max", float_max)}) {
         if (n.find(name) || n.version < 6) continue;
         AttributeProto& a = n.set(name);
         a.set_f(static_cast<float>(limit));
       }
     }},
    number("Clip", 10, "min", 1),
    number("Clip", 10, "max", 2),
    integers("Squeeze", 12, "axes", 1),
    integers("Unsqueeze", 12, "axes", 1),
    integers("Split", 12, "split", 1),
    custom("Split", 17, split_into_outputs),
    integers("ReduceSum", 12, "axes", 1),
    integers("ReduceL1", 17, "axes", 1),
    integers("ReduceL2", 17, "axes", 1),
    integers("ReduceLogSum", 17, "axes", 1),
    integers("ReduceLogSumExp", 17, "axes", 1),
    integers("ReduceMax", 17, "axes", 1),
    integers("ReduceMean", 17, "axes", 1),
    integers("ReduceMin", 17, "axes", 1),
    integers("ReduceProd", 17, "axes", 1),
    integers("ReduceSumSquare", 17, "axes", 1),
    // Other defaults, other words.
    otherwise("Concat", 3, "axis", 1),
    otherwise("Selu", 5, "alpha", 1.6732),
    otherwise("Selu", 5, "gamma", 1.0507),
    custom("Cast", 5, cast_to_name),
    drop("Cast", newest_opset, "saturate"),  // both matter to dtypes that we have not
    drop("Cast", newest_opset, "round_mode"),
    drop("CastLike", newest_opset, "saturate"),
    drop("CastLike", newest_opset, "round_mode"),
    drop("Range", newest_opset, "stash_type"),  // always float32 at least
    drop("RNN", 6, "output_sequence"),
    drop("GRU", 6, "output_sequence"),
    drop("LSTM", 6, "output_sequence"),
    custom("LpPool", 1, whole_norm_order),
    custom("GlobalLpPool", 1, whole_norm_order),
    text("GridSample", 19, "mode", "bilinear", "linear"),
    text("GridSample", 19, "mode", "bicubic", "cubic"),
    custom("ConstantOfShape", newest_opset, constant_as_bits),
    // Other meanings.
    composed("Tile", 5, tile_one_axis),
    composed("Dropout", 11, old_dropout, "ratio is_test"),
    custom("BatchNormalization", 13, batch_normalization_mode),
    composed("GroupNormalization", 20, scale_by_group),
    // Other operators.
    renamed("Scatter", newest_opset, "ScatterElements"),
    custom("Resize", 12, shifted_nearest),
    custom("Resize", 10, upsample_as_resize),  // before Upsample becomes one
    custom("Upsample", newest_opset, upsample_as_resize),
    composed("Resize", newest_opset, empty_is_left_out),
};

void apply(const Rule& rule, NodeDraft& n) {
  AttributeProto* a = rule.attribute.empty() ? nullptr : n.find(rule.attribute);
  switch (rule.change) {
    case Change::drop:
      n.drop(rule.attribute);
      return;
    case Change::integers_become:
      if (!a) return;
      n.input(rule.input).constant = from_range(std::vector<int64_t>(a->ints().begin(), a->ints().end()));
      n.drop(rule.attribute);
      return;
    case Change::integer_becomes:
      if (!a) return;
      n.input(rule.input).constant = Tensor({a->i()}, DType::i64);
      n.drop(rule.attribute);
      return;
    case Change::number_becomes:
      if (!a) return;
      n.input(rule.input).number = a->f();
      n.drop(rule.attribute);
      return;
    case Change::default_integer:
      if (a) return;
      n.set(rule.attribute).set_i(static_cast<int64_t>(rule.number));
      return;
    case Change::default_number:
      if (a) return;
      n.set(rule.attribute).set_f(static_cast<float>(rule.number));
      return;
    case Change::rename_text:
      if (a && a->s() == rule.from) a->set_s(std::string(rule.to));
      return;
    case Change::rename:
      n.op_type = rule.to;
      return;
    case Change::custom:
      rule.rewrite(n);
      return;
    case Change::compose:
      return;
  }
}

}  // namespace

Upgrade upgrade(NodeDraft& node) {
  Upgrade result;
  for (const Rule& rule : rules) {
    if (node.version > rule.last || (rule.op != "*" && rule.op != node.op_type)) continue;
    if (rule.change == Change::compose)
      result = {rule.run, rule.taken};
    else
      apply(rule, node);
  }
  return result;
}

}  // namespace tandem::onnx
