// Nodes of old opsets do what they meant then.

#include <limits>

#include "onnx_models.h"
#include "support.h"
#include "tandem/ops.h"

namespace tandem::testing {
namespace {

using Floats = std::vector<float>;
using Attributes = GraphBuilder::Attributes;
using List = std::vector<int64_t>;

const float infinity = std::numeric_limits<float>::infinity();

struct Case {
  int64_t opset;
  std::string op;
  std::vector<Tensor> inputs;
  Attributes attributes;
  Tensor expected;
  int outputs = 1;
  int compared = 0;  // which output
};

Tensor matrix() { return Tensor({{1.f, 2.f, 3.f}, {4.f, 5.f, 6.f}}); }
Tensor cube() { return reshape(arange(0, 8, 1, float32), {2, 2, 2}); }

// One row, so that repeating it is concatenation.
Tensor image() { return reshape(arange(1, 4, 1, float32), {1, 1, 1, 3}); }

std::vector<Case> cases() {
  const Tensor m = matrix(), c = cube();
  const Tensor by_channel({10.f, 20.f});
  return {
      {1, "Relu", {Tensor({-1.f, 2.f})}, {{"consumed_inputs", List{0}}}, Tensor({0.f, 2.f})},
      {6,
       "Add",
       {c, by_channel},
       {{"broadcast", int64_t{1}}, {"axis", int64_t{1}}},
       c + unsqueeze(by_channel, {1})},
      {6, "Mul", {c, by_channel}, {{"broadcast", int64_t{1}}}, c * by_channel},
      {6, "Greater", {m, Tensor(3.f)}, {{"broadcast", int64_t{1}}}, m > 3.f},
      {6, "PRelu", {-c, by_channel}, {}, where(c > 0.f, -c * unsqueeze(by_channel, {1}), -c)},
      {7, "PRelu", {-c, by_channel}, {}, where(c > 0.f, -c * by_channel, -c)},
      {6, "Gemm", {m, transpose(m), Tensor(1.f)}, {{"broadcast", int64_t{1}}}, matmul(m, transpose(m)) + 1.f},
      {12, "Softmax", {c}, {}, reshape(softmax(reshape(c, {2, 4})), {2, 2, 2})},
      {12, "Softmax", {c}, {{"axis", int64_t{0}}}, reshape(softmax(reshape(c, {8})), {2, 2, 2})},
      {13, "Softmax", {c}, {}, softmax(c)},
      {12, "LogSoftmax", {c}, {{"axis", int64_t{2}}}, log_softmax(c)},
      {4, "Reshape", {m}, {{"shape", List{3, -1}}}, reshape(m, {3, 2})},
      {1, "Pad", {m}, {{"paddings", List{0, 1, 0, 0}}, {"value", 7.0}}, pad(m, {0, 1, 0, 0}, "constant", 7)},
      {10,
       "Pad",
       {cast(m, float64)},
       {{"pads", List{1, 0, 0, 0}}, {"value", 0.5}},
       pad(cast(m, float64), {1, 0, 0, 0}, "constant", 0.5)},
      {9, "Slice", {m}, {{"starts", List{1}}, {"ends", List{3}}, {"axes", List{1}}}, slice(m, {1}, {3}, {1})},
      {9, "Slice", {m}, {{"starts", List{0, 1}}, {"ends", List{1, 9}}}, slice(m, {0, 1}, {1, 9})},
      {9, "TopK", {m}, {{"k", int64_t{2}}}, Tensor({{3.f, 2.f}, {6.f, 5.f}}), 2},
      {6,
       "Clip",
       {Tensor({-infinity, 2.f})},
       {{"max", 1.0}},
       Tensor({-std::numeric_limits<float>::max(), 1.f})},
      {10, "Clip", {cast(m, float64)}, {{"min", 2.0}, {"max", 4.0}}, clip(cast(m, float64), 2, 4)},
      {11, "Clip", {m, Tensor(2.f)}, {}, clip(m, 2.f)},
      {12, "Squeeze", {reshape(m, {1, 2, 1, 3})}, {{"axes", List{0}}}, reshape(m, {2, 1, 3})},
      {12, "Unsqueeze", {m}, {{"axes", List{0, 3}}}, reshape(m, {1, 2, 3, 1})},
      {12, "Split", {m}, {{"axis", int64_t{1}}, {"split", List{1, 2}}}, slice(m, {1}, {3}, {1}), 2, 1},
      {2, "Split", {m}, {{"axis", int64_t{1}}}, slice(m, {2}, {3}, {1}), 3, 2},
      {13, "Split", {m}, {}, slice(m, {1}, {2}, {0}), 2, 1},
      {12, "ReduceSum", {m}, {{"axes", List{1}}}, reduce_sum(m, {1}, true)},
      {17, "ReduceMax", {m}, {{"axes", List{0}}, {"keepdims", int64_t{0}}}, reduce_max(m, {0})},
      {17, "ReduceMean", {m}, {}, reduce_mean(m, nullptr, true)},
      {3, "Concat", {m, m}, {}, concat({m, m}, 1)},
      {5, "Selu", {Tensor({-1.f, 1.f})}, {}, selu(Tensor({-1.f, 1.f}), 1.6732f, 1.0507f)},
      {5, "Cast", {m}, {{"to", std::string("INT64")}}, cast(m, int64)},
      {19, "Cast", {m}, {{"to", DType::f16}, {"saturate", int64_t{0}}}, cast(m, float16)},
      {5, "Tile", {m, Tensor(int64_t{2}, int64), Tensor(int64_t{1}, int64)}, {}, tile(m, {1, 2})},
      {7, "Dropout", {m}, {{"ratio", 0.5}}, ones({2, 3}), 2, 1},
      {10, "Dropout", {m}, {}, full({2, 3}, true, boolean), 2, 1},
      {6, "Dropout", {m}, {{"is_test", int64_t{1}}}, m},
      {10,
       "Scatter",
       {m, Tensor({{0}}, int64), Tensor({{9.f}})},
       {{"axis", int64_t{1}}},
       scatter_elements(m, Tensor({{0}}, int64), Tensor({{9.f}}), 1)},
      {9,
       "ConstantOfShape",
       {Tensor({2, 3}, int64)},
       {{"value", Tensor({7}, int16)}},
       full({2, 3}, 7, int16)},
      {9, "ConstantOfShape", {Tensor({2}, int64)}, {}, zeros({2})},
      {9, "Upsample", {image(), Tensor({1.f, 1.f, 2.f, 1.f})}, {}, concat({image(), image()}, 2)},
      {7,
       "Upsample",
       {image()},
       {{"scales", std::vector<double>{1, 1, 2, 1}}},
       concat({image(), image()}, 2)},
      {1,
       "Upsample",
       {image()},
       {{"height_scale", 2.0}, {"width_scale", 1.0}},
       concat({image(), image()}, 2)},
      {10, "Resize", {image(), Tensor({1.f, 1.f, 2.f, 1.f})}, {}, concat({image(), image()}, 2)},
      {11,
       "Resize",
       {Tensor({{1.f, 2.f, 3.f, 4.f}}), zeros({0}), Tensor({1.f, 0.5f})},
       {{"coordinate_transformation_mode", std::string("tf_half_pixel_for_nn")},
        {"nearest_mode", std::string("floor")}},
       Tensor({{2.f, 4.f}})},
      {1, "GlobalLpPool", {Tensor({{{3.f, 4.f}}})}, {{"p", 2.0}}, Tensor({{{5.f}}})},
      {17, "Constant", {}, {{"value_ints", List{1, 2}}}, Tensor({1, 2}, int64)},
      {17, "Constant", {}, {{"value_float", 0.5}}, Tensor(0.5f)},
  };
}

TEST(Upgrade, OldNodesDoWhatTheyMeant) {
  int number = 0;
  for (const Case& c : cases()) {
    SCOPED_TRACE("case " + std::to_string(number++) + ": " + c.op + " of opset " + std::to_string(c.opset));
    ModelBuilder b(c.opset);
    std::string inputs, outputs;
    for (size_t i = 0; i < c.inputs.size(); ++i) {
      const std::string name = "x" + std::to_string(i);
      std::string sizes;
      for (int64_t d : c.inputs[i].shape()) sizes += std::to_string(d) + " ";
      // Inputs that decide shapes are constants, as in real models.
      if (i > 0 && c.inputs[i].dtype() == int64)
        b.constant(name, c.inputs[i]);
      else
        b.input(name, c.inputs[i].dtype(), sizes);
      inputs += name + " ";
    }
    for (int i = 0; i < c.outputs; ++i) outputs += "y" + std::to_string(i) + " ";
    b.node(c.op, inputs, outputs, c.attributes).output("y" + std::to_string(c.compared));
    std::vector<Tensor> given;
    for (size_t i = 0; i < c.inputs.size(); ++i)
      if (i == 0 || c.inputs[i].dtype() != int64) given.push_back(c.inputs[i]);
    try {
      const LoadedModel model = b.load();
      for (const Tensor& y : {model.run_eagerly(given)[0], model(given)[0]}) {
        ASSERT_EQ(y.spec(), c.expected.spec());
        EXPECT_EQ(to_string(y), to_string(c.expected));
      }
    } catch (const Error& e) {
      ADD_FAILURE() << e.what();
    }
  }
}

}  // namespace
}  // namespace tandem::testing
