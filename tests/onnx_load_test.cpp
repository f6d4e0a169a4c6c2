// Loading ONNX models: signatures, bodies, functions, and what is wrong with files.

#include <unistd.h>

#include <filesystem>

#include "core/atomic_file.h"
#include "onnx_models.h"
#include "same_bits.h"
#include "support.h"
#include "tandem/ops.h"
#include "tandem/tape.h"

namespace tandem::testing {
namespace {

using Floats = std::vector<float>;
using Integers64 = std::vector<int64_t>;

/// The first output, the same in both modes.
Tensor run(ModelBuilder& b, const std::vector<Tensor>& inputs) {
  const LoadedModel model = b.load();
  const Tensor eager = model.run_eagerly(inputs)[0].contiguous(), graph = model(inputs)[0].contiguous();
  EXPECT_TRUE(same_bits(eager, graph)) << eager << " and " << graph;
  return eager;
}

TEST(Load, NamesAndTypesWhatItTakesAndGives) {
  ModelBuilder b;
  b.input("x", float32, "batch 3").input("y", float32, "batch ?").constant("w", Tensor({2.f}));
  b.node("Mul", "x w", "z").node("Concat", "z y", "out", {{"axis", int64_t{1}}}).output("out");
  const LoadedModel model = b.load();
  ASSERT_EQ(model.inputs().size(), 2u);
  EXPECT_EQ(model.inputs()[0].to_string(), "x: float32(batch, 3)");
  EXPECT_EQ(model.inputs()[1].to_string(), "y: float32(batch, ?)");
  EXPECT_EQ(model.outputs()[0].name, "out");
  for (int64_t rows : {2, 4, 1, 0}) {
    const Tensor x = ones({rows, 3}), y = zeros({rows, rows});
    const Tensor out = model({x, y})[0];
    EXPECT_EQ(out.shape(), Shape({rows, 3 + rows}));
    EXPECT_EQ(out.to_vector<float>(), model.run_eagerly({x, y})[0].to_vector<float>());
    EXPECT_EQ(model.by_name({{"y", y}, {"x", x}}).at("out").shape(), out.shape());
  }
  EXPECT_ERROR(
      model({ones({2, 4}), ones({2, 1})}),
      "test.onnx: input \"x\" is float32(2, 4); x: float32(batch, 3) is needed (onnx_load_test.cpp:LINE)");
  EXPECT_ERROR(
      model({ones({2, 3}, float64), ones({2, 1})}),
      "test.onnx: input \"x\" is float64(2, 3); x: float32(batch, 3) is needed (onnx_load_test.cpp:LINE)");
  EXPECT_ERROR(
      model({ones({2, 3}), ones({4, 1})}),
      "test.onnx: the size \"batch\" is 2 in input \"x\" and 4 in input \"y\" (onnx_load_test.cpp:LINE)");
  EXPECT_ERROR(model({ones({2, 3})}),
               "test.onnx: 1 tensors were given; 2 are needed: x: float32(batch, 3), y: float32(batch, ?) "
               "(onnx_load_test.cpp:LINE)");
  EXPECT_ERROR(
      model.by_name({{"q", Tensor(1.f)}}),
      "test.onnx: there is no input \"q\"; the inputs are x: float32(batch, 3), y: float32(batch, ?) "
      "(onnx_load_test.cpp:LINE)");
}

TEST(Load, InitializersOfInputsAreDefaults) {
  ModelBuilder b;
  b.input("x", float32, "2").input("w", float32, "2").constant("w", Tensor({2.f, 3.f}));
  b.node("Mul", "x w", "y").output("y");
  const LoadedModel model = b.load();
  ASSERT_EQ(model.inputs().size(), 1u);
  ASSERT_EQ(model.defaults().size(), 1u);
  const Tensor x({1.f, 10.f});
  EXPECT_EQ(model({x})[0].to_vector<float>(), (Floats{2, 30}));
  for (float w : {5.f, 6.f})
    EXPECT_EQ(model.by_name({{"x", x}, {"w", Tensor({w, w})}}).at("y").to_vector<float>(),
              (Floats{w, 10 * w}));
}

TEST(Load, ErrorsOfNodesNameThem) {
  ModelBuilder b;
  b.input("x", float32, "?")
      .input("y", float32, "?")
      .node("Relu", "x", "r")
      .node("Add", "r y", "z")
      .output("z");
  b.last_node().set_name("joint");
  const LoadedModel model = b.load();
  const char* expected =
      "add: shapes (2,) and (3,) do not broadcast: 2 against 3 in dimension 0 (test.onnx:2)\n"
      "  in node \"joint\" (Add of opset 28)";
  EXPECT_ERROR(model.run_eagerly({ones({2}), ones({3})}), expected);
  EXPECT_NE(message_of([&] { model({ones({2}), ones({3})}); }).find(expected), std::string::npos);
}

TEST(Load, GradientsGoThrough) {
  ModelBuilder b;
  b.input("x", float32, "n").node("Mul", "x x", "s").node("Tanh", "s", "y").output("y");
  const LoadedModel model = b.load();
  const Tensor x({0.5f, -1.f});
  auto slope = [&](auto run_model) {
    GradientTape tape;
    tape.watch(x);
    const Tensor y = run_model();
    return tape.gradient(y, x).template to_vector<float>();
  };
  const Floats eager = slope([&] { return model.run_eagerly({x})[0]; });
  EXPECT_EQ(slope([&] { return model({x})[0]; }), eager);
  EXPECT_NEAR(eager[0], 2 * 0.5 * (1 - std::pow(std::tanh(0.25), 2)), 1e-6);
}

TEST(Load, InputsThatDecideRanks) {
  ModelBuilder b;
  b.input("x", float32, "2 3").input("axes", int64, "?");
  b.node("ReduceSum", "x axes", "y", {{"keepdims", int64_t{0}}}).output("y");
  const LoadedModel model = b.load();
  const Tensor x({{1.f, 2.f, 3.f}, {4.f, 5.f, 6.f}});
  EXPECT_EQ(model({x, Tensor({0}, int64)})[0].to_vector<float>(), (Floats{5, 7, 9}));
  EXPECT_EQ(model({x, Tensor({1}, int64)})[0].to_vector<float>(), (Floats{6, 15}));
  EXPECT_EQ(model({x, Tensor({0, 1}, int64)})[0].item<float>(), 21);
  EXPECT_EQ(model({x, Tensor({1}, int64)})[0].to_vector<float>(), (Floats{6, 15}));
}

TEST(Load, ExternalDataLieBesideTheModel) {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("tandem_load_" + std::to_string(getpid()));
  std::filesystem::create_directory(folder);
  const Floats values(5000, 1.5f);
  auto write = [&](const char* name, const std::string& bytes) {
    AtomicFile file((folder / name).string());
    file.write(bytes.data(), bytes.size());
    file.commit();
  };
  write("weights.bin", std::string(reinterpret_cast<const char*>(values.data()), 20000));
  ModelBuilder b;
  b.input("x", float32, "5000").constant("w", zeros({5000})).node("Add", "x w", "y").output("y");
  auto* w = b.proto().mutable_initializer(0);
  w->clear_raw_data();
  w->set_data_location(1);
  auto* entry = w->add_external_data();
  entry->set_key("location");
  entry->set_value("weights.bin");
  write("model.onnx", b.bytes());
  const LoadedModel model = load((folder / "model.onnx").string());
  EXPECT_EQ(model({ones({5000})})[0].to_vector<float>(), Floats(5000, 2.5f));
  EXPECT_ERROR(
      b.load(),
      "test.onnx: tensor \"w\": its elements are in another file, and there is no folder to look in");
  std::filesystem::remove_all(folder);
  EXPECT_EQ(model({zeros({5000})})[0].to_vector<float>(), values) << "the file stays mapped";
  EXPECT_ERROR(load("/nowhere/model.onnx"), "/nowhere/model.onnx: no such file");
}

// ---- bodies

ModelBuilder branches() {
  ModelBuilder b;
  b.input("p", boolean, "").input("x", float32, "n").constant("two", Tensor(2.f));
  b.node("If", "p", "y");
  GraphBuilder yes = b.body("then_branch"), no = b.body("else_branch");
  yes.node("Mul", "x two", "t").output("t");
  no.node("Neg", "x", "t").node("Add", "t two", "u").output("u");
  b.output("y");
  return b;
}

TEST(Bodies, IfRunsOneBranchOnOuterValues) {
  ModelBuilder b = branches();
  const Tensor x({1.f, 2.f, 3.f});
  EXPECT_EQ(run(b, {Tensor(true), x}).to_vector<float>(), (Floats{2, 4, 6}));
  EXPECT_EQ(run(b, {Tensor(false), x}).to_vector<float>(), (Floats{1, 0, -1}));
}

/// v' = v + step while v' < 100; each v' and its square are scanned.
ModelBuilder counting(bool with_condition) {
  ModelBuilder b;
  b.input("m", int64, "").input("v", float32, "").input("step", float32, "");
  b.constant("go", Tensor(true)).constant("limit", Tensor(100.f));
  b.node("Loop", with_condition ? "m go v" : "m _ v", "last all squares");
  GraphBuilder body = b.body("body");
  body.input("i", int64, "").input("c", boolean, "").input("u", float32, "");
  body.node("Add", "u step", "w")
      .node("Less", "w limit", "more")
      .node("Mul", "w w", "s")
      .node("Identity", "w", "k");
  body.output("more", boolean).output("w").output("k").output("s");
  b.output("squares").output("all").output("last");
  return b;
}

TEST(Bodies, LoopScansAndStops) {
  ModelBuilder b = counting(true);
  auto go = [&](int64_t m, float v, float step) {
    const std::vector<Tensor> in{Tensor(m, int64), Tensor(v), Tensor(step)};
    const Tensor squares = run(b, in);
    const std::vector<Tensor> all = b.load()(in);
    EXPECT_EQ(squares.size(), all[1].size());
    return std::pair(squares.to_vector<float>(), all[2].item<float>());
  };
  EXPECT_EQ(go(3, 0, 1), (std::pair(Floats{1, 4, 9}, 3.f)));
  EXPECT_EQ(go(1000, 0, 50), (std::pair(Floats{2500, 10000}, 100.f)));
  EXPECT_EQ(go(0, 7, 1), (std::pair(Floats{}, 7.f)));
}

TEST(Bodies, LoopsHaveGradients) {
  ModelBuilder b = counting(false);
  const LoadedModel model = b.load();
  const Tensor v(1.f), step(0.5f), m(int64_t{3}, int64);
  auto slopes = [&](auto run_model) {
    GradientTape tape;
    tape.watch(v);
    tape.watch(step);
    const std::vector<Tensor> y = run_model();
    const Tensor loss = sum(y[0]) + y[2];
    auto [dv, ds] = tape.gradient(loss, v, step);
    return Floats{dv.template item<float>(), ds.template item<float>()};
  };
  const Floats eager = slopes([&] { return model.run_eagerly({m, v, step}); });
  // Squares of 1.5, 2 and 2.5, and the last value.
  EXPECT_EQ(eager, (Floats{2 * (1.5f + 2 + 2.5f) + 1, 2 * (1.5f + 2 * 2 + 3 * 2.5f) + 3}));
  EXPECT_EQ(slopes([&] { return model({m, v, step}); }), eager);
}

TEST(Bodies, LoopVariablesMayGrow) {
  ModelBuilder b;
  b.input("m", int64, "").input("v", float32, "n");
  b.node("Loop", "m _ v", "last");
  GraphBuilder body = b.body("body");
  body.input("i", int64, "").input("c", boolean, "").input("u", float32, "n");
  body.node("Concat", "u v", "w", {{"axis", int64_t{0}}}).node("Identity", "c", "d");
  body.output("d", boolean).output("w");
  b.output("last");
  EXPECT_EQ(run(b, {Tensor(int64_t{3}, int64), Tensor({1.f, 2.f})}).to_vector<float>(),
            (Floats{1, 2, 1, 2, 1, 2, 1, 2}));
}

TEST(Bodies, LoopsSliceByTheirCounter) {
  ModelBuilder b(13);
  b.input("m", int64, "").input("go", boolean, "").input("y", float32, "1");
  b.node("Loop", "m go y", "last sums");
  GraphBuilder body = b.body("body");
  body.input("i", int64, "").input("c", boolean, "").input("s", float32, "1");
  body.constant("x", Tensor({1.f, 2.f, 3.f, 4.f, 5.f})).constant("one", Tensor(1, int64));
  body.constant("axes", Tensor({0}, int64));
  body.node("Add", "i one", "j").node("Unsqueeze", "i axes", "from").node("Unsqueeze", "j axes", "to");
  body.node("Slice", "x from to", "part").node("Add", "s part", "t").node("Identity", "t", "k");
  body.node("Identity", "c", "d").output("d", boolean).output("t").output("k");
  b.output("sums").output("last");
  const Tensor sums = run(b, {Tensor(5, int64), Tensor(true), Tensor({-2.f})});
  EXPECT_EQ(sums.shape(), Shape({5, 1}));
  EXPECT_EQ(sums.to_vector<float>(), (Floats{-1, 1, 4, 8, 13}));
}

TEST(Bodies, ScanTakesAxesAndDirections) {
  ModelBuilder b;
  b.input("s", float32, "2").input("x", float32, "2 3");
  b.node("Scan", "s x", "last sums",
         {{"num_scan_inputs", int64_t{1}},
          {"scan_input_axes", Integers64{1}},
          {"scan_input_directions", Integers64{1}},
          {"scan_output_axes", Integers64{1}},
          {"scan_output_directions", Integers64{1}}});
  GraphBuilder body = b.body("body");
  body.input("t", float32, "2").input("column", float32, "2");
  body.node("Add", "t column", "u").node("Identity", "u", "v").output("u").output("v");
  b.output("sums").output("last");
  const Tensor x({{1.f, 2.f, 3.f}, {4.f, 5.f, 6.f}});
  EXPECT_EQ(run(b, {zeros({2}), x}).to_vector<float>(), (Floats{6, 5, 3, 15, 11, 6}));
}

TEST(Bodies, ScanOfOpset8HasABatchAndLengths) {
  ModelBuilder b(8);
  b.input("n", int64, "2").input("s", float32, "2 1").input("x", float32, "2 3 1");
  b.node("Scan", "n s x", "last sums", {{"num_scan_inputs", int64_t{1}}});
  GraphBuilder body = b.body("body");
  body.input("t", float32, "1").input("e", float32, "1");
  body.node("Add", "t e", "u").node("Identity", "u", "v").output("u").output("v");
  b.output("sums").output("last");
  const Tensor x = reshape(arange(1, 7, 1, float32), {2, 3, 1});
  EXPECT_EQ(run(b, {Tensor({3, 2}, int64), zeros({2, 1}), x}).to_vector<float>(), (Floats{1, 3, 6, 4, 9, 0}));
}

// ---- functions

ModelBuilder with_functions() {
  ModelBuilder b;
  b.import_opset("mine", 1);
  onnx::FunctionProto& scale = b.function("mine", "Scaled", "x y", "z");
  GraphBuilder::add(*scale.add_node(), "Constant", "", "k", {});
  onnx::AttributeProto& k = *scale.mutable_node(0)->add_attribute();
  k.set_name("value_float");
  k.set_type(onnx::AttributeProto::FLOAT);
  k.set_ref_attr_name("factor");
  GraphBuilder::add(*scale.add_node(), "Mul", "x k", "z", {});
  onnx::write_attribute("factor", 3.0, *scale.add_attribute_proto());
  onnx::FunctionProto& twice = b.function("mine", "Twice", "x", "z");
  GraphBuilder::add(*twice.add_node(), "mine.Scaled", "x", "y", {{"factor", 2.0}});
  GraphBuilder::add(*twice.add_node(), "mine.Scaled", "y", "z", {});
  b.input("x", float32, "n").node("mine.Twice", "x", "y").output("y");
  return b;
}

TEST(Functions, TakeAttributesAndDefaults) {
  ModelBuilder b = with_functions();
  EXPECT_EQ(run(b, {Tensor({1.f, 2.f})}).to_vector<float>(), (Floats{6, 12}));
}

TEST(Functions, MayLeaveOptionalOutputsOut) {
  ModelBuilder b = with_functions();
  b.model().mutable_functions(1)->add_output("none");
  EXPECT_EQ(run(b, {Tensor({1.f, 2.f})}).to_vector<float>(), (Floats{6, 12}));
  b.last_node().add_output("q");
  EXPECT_ERROR(b.load(),
               "test.onnx: node 1 (Twice of opset 1) in mine: the function defines no output 1, which is "
               "used as \"q\"");
}

TEST(Functions, ThatCallThemselvesAreErrors) {
  ModelBuilder b = with_functions();
  GraphBuilder::add(*b.model().mutable_functions(0)->add_node(), "mine.Twice", "x", "q", {});
  EXPECT_ERROR(b.load(),
               "test.onnx: node 3 (Twice of opset 1) in mine: the function \"Twice\" calls itself; and 1 "
               "more problem, "
               "which `tandem check` lists");
}

TEST(Functions, ThatMultiplyWithoutEndAreErrors) {
  ModelBuilder b;
  b.import_opset("mine", 1);
  for (int i = 0; i < 40; ++i) {
    onnx::FunctionProto& f = b.function("mine", "F" + std::to_string(i), "x", "z");
    const std::string next = i == 39 ? "Neg" : "mine.F" + std::to_string(i + 1);
    GraphBuilder::add(*f.add_node(), next, "x", "y", {});
    GraphBuilder::add(*f.add_node(), next, "y", "z", {});
  }
  b.input("x", float32, "n").node("mine.F0", "x", "y").output("y");
  EXPECT_NE(message_of([&] { b.load(); }).find("come to more than 16777216 nodes"), std::string::npos);
}

// ---- what is wrong with files

/// What loading says of x -> Relu -> y, changed.
template <class Change>
std::string complaint(Change&& change, int64_t opset = 28) {
  ModelBuilder b(opset);
  b.input("x", float32, "2").node("Relu", "x", "y").output("y");
  change(b);
  return message_of([&] { b.load(); });
}

TEST(BadModels, SayWhatIsWrong) {
  EXPECT_EQ(complaint([](ModelBuilder&) {}), "no error");
  EXPECT_EQ(complaint([](ModelBuilder& b) { b.node("Foo", "y", "z"); }).substr(0, 75),
            "test.onnx: node 2 (Foo of opset 28): there is no such operator here; suppor");
  EXPECT_EQ(
      complaint([](ModelBuilder& b) { b.last_node().set_domain("com.x"); }),
      "test.onnx: node 1 (Relu of opset 0) in com.x: the model imports no version of the operator set com.x");
  EXPECT_EQ(complaint([](ModelBuilder& b) { b.last_node().set_domain("com.x"), b.import_opset("com.x", 2); }),
            "test.onnx: node 1 (Relu of opset 2) in com.x: the operator set com.x is unknown; supported are "
            "ai.onnx, "
            "ai.onnx.preview.training and functions that the model itself defines");
  EXPECT_EQ(complaint([](ModelBuilder&) {}, 29),
            "test.onnx: node 1 (Relu of opset 29): supported are the opsets 1 to 28");
  EXPECT_EQ(complaint([](ModelBuilder& b) { b.node("Relu", "q", "z").last_node().set_name("late"); }),
            "test.onnx: node \"late\" (Relu of opset 28): it uses \"q\" before anything defines it; nodes "
            "must stand "
            "behind those whose results they use");
  EXPECT_EQ(complaint([](ModelBuilder& b) { b.node("Add", "y w", "z").node("Neg", "z", "w"); }).substr(0, 52),
            "test.onnx: node 2 (Add of opset 28): it uses \"w\" bef");
  EXPECT_EQ(complaint([](ModelBuilder& b) { b.node("Neg", "x", "y"); }),
            "test.onnx: the value \"y\" is defined twice");
  EXPECT_EQ(complaint([](ModelBuilder& b) { b.constant("w", Tensor(1.f)).constant("w", Tensor(1.f)); }),
            "test.onnx: the value \"w\" is defined twice");
  EXPECT_EQ(complaint([](ModelBuilder& b) { b.output("q"); }),
            "test.onnx: the output \"q\" is defined nowhere");
  EXPECT_EQ(complaint([](ModelBuilder& b) {
              b.node("Softmax", "y", "z", {{"axes", int64_t{0}}});
            }),
            "test.onnx: node 2 (Softmax of opset 28): it has no attribute \"axes\"; those with a default "
            "are: axis");
  EXPECT_EQ(complaint([](ModelBuilder& b) {
              b.node("Softmax", "y", "z", {{"axis", 0.5}});
            }),
            "test.onnx: node 2 (Softmax of opset 28): attribute \"axis\" (FLOAT): the attribute has a value "
            "of another "
            "kind");
  EXPECT_EQ(complaint([](ModelBuilder& b) { b.node("Neg", "y x", "z"); }),
            "test.onnx: node 2 (Neg of opset 28): it has 2 inputs; at most 1 are taken");
  EXPECT_EQ(complaint([](ModelBuilder& b) { b.node("If", "y", "z"); }),
            "test.onnx: node 2 (If of opset 28): attribute \"then_branch\", a graph, is missing");
  EXPECT_EQ(complaint([](ModelBuilder& b) { b.model().clear_graph(); }), "test.onnx: the model has no graph");
  EXPECT_EQ(
      complaint([](ModelBuilder& b) { b.proto().mutable_input(0)->mutable_type()->set_sequence_type(""); }),
      "test.onnx: the value \"x\" is a sequence; only tensors are supported");
  EXPECT_EQ(complaint([](ModelBuilder& b) {
              b.proto().mutable_input(0)->mutable_type()->mutable_tensor_type()->set_elem_type(8);
            }).substr(0, 75),
            "test.onnx: the value \"x\": elements of type STRING (8) are not supported; su");
}

TEST(BadModels, DeepBodiesAreRefused) {
  ModelBuilder b;
  b.input("p", boolean, "").input("x", float32, "2");
  auto nest = [](auto& self, GraphBuilder at, int depth) -> void {
    if (depth == 0) return;
    at.node("If", "p", "y").output("y");
    GraphBuilder no = at.body("else_branch");
    no.node("Neg", "x", "z").output("z");
    self(self, at.body("then_branch"), depth - 1);
  };
  nest(nest, b, 200);
  EXPECT_ERROR(b.load(), "test.onnx: this is no ONNX model, or a damaged one");
}

TEST(BadModels, EveryPrefixIsAnErrorAtMost) {
  ModelBuilder b = branches();
  const std::string bytes = b.bytes();
  for (size_t n = 0; n <= bytes.size(); ++n) {
    const std::string part = bytes.substr(0, n);
    const std::string message = message_of([&] { load_bytes(std::as_bytes(std::span(part))); });
    EXPECT_EQ(message.substr(0, n == bytes.size() ? 8 : 7), n == bytes.size() ? "no error" : "model: ") << n;
  }
}

}  // namespace
}  // namespace tandem::testing
