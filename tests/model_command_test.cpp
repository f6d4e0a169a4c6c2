// `tandem run`, `inspect`, `check`, `graph`, `convert` and `test`, as their users run them.

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "command.h"
#include "event_reader.h"
#include "onnx/imported.h"
#include "onnx_models.h"
#include "tandem/data/npy.h"
#include "tandem/data/safetensors.h"
#include "tandem/tandem.h"

namespace tandem::testing {
namespace {

class ModelCommand : public ::testing::Test {
 protected:
  ModelCommand() {
    std::filesystem::create_directories(folder_ / "cases/test_good/test_data_set_0");
    ModelBuilder b;
    b.input("x", float32, "n 3").constant("w", ones({3, 2})).node("MatMul", "x w", "y").output("y");
    write("model.onnx", b.bytes());
  }
  ~ModelCommand() override { std::filesystem::remove_all(folder_); }
  void write(const std::string& name, const std::string& bytes) const {
    std::ofstream(folder_ / name, std::ios::binary) << bytes;
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  nlohmann::json json(const std::string& name) const {
    std::ifstream in(folder_ / name);
    return nlohmann::json::parse(in);
  }

  std::filesystem::path folder_ =
      std::filesystem::temp_directory_path() / ("tandem_model_" + std::to_string(getpid()));
};

TEST_F(ModelCommand, RunsOnFilesAndOnRandomNumbers) {
  data::write_npy(path("x.npy"), reshape(arange(0, 6, 1, float32), {2, 3}));
  for (const char* mode : {"eager", "graph"}) {
    const Outcome outcome =
        run("run " + path("model.onnx") + " --input x=" + path("x.npy") + " --output y=" + path("y.npy") +
            " --repeat 3 --json " + path("run.json") + " --mode " + mode);
    EXPECT_EQ(outcome.status, 0) << outcome.output;
    EXPECT_NE(outcome.output.find("y: float32(2, 2) in "), std::string::npos) << outcome.output;
    EXPECT_EQ(data::read_npy(path("y.npy")).to_vector<float>(), (std::vector<float>{3, 3, 12, 12}));
    const nlohmann::json figures = json("run.json");
    EXPECT_EQ(figures["mode"], mode);
    EXPECT_EQ(figures["outputs"][0]["shape"], (std::vector<int>{2, 2}));
    EXPECT_GE(figures["first_ms"].get<double>(), 0);
  }
  EXPECT_EQ(run("run " + path("model.onnx") + " " + "--input " + path("x.npy")).status, 0)
      << "the only input";
  const Outcome random = run("run " + path("model.onnx") + " --random --size n=4 --json -");
  EXPECT_EQ(nlohmann::json::parse(random.output)["outputs"][0]["shape"], (std::vector<int>{4, 2}));
  const Outcome missing = run("run " + path("model.onnx"));
  EXPECT_EQ(missing.status, 2);
  EXPECT_EQ(missing.output, "tandem: --input is missing for x: float32(n, 3); or give --random\n");
  EXPECT_EQ(run("run " + path("none.onnx")).status, 2);
  EXPECT_GT(run("run").status, 100);
}

TEST_F(ModelCommand, Inspects) {
  const Outcome outcome = run("inspect " + path("model.onnx") + " --size n=5 --json " + path("i.json"));
  EXPECT_EQ(outcome.status, 0);
  for (const char* text : {"input     x: float32(n, 3)\n", "weights   6 numbers, 24 B\n", "MatMul        1\n",
                           "60 floating-point operations"})
    EXPECT_NE(outcome.output.find(text), std::string::npos) << text << outcome.output;
  const nlohmann::json figures = json("i.json");
  EXPECT_EQ(figures["inputs"][0]["shape"], nlohmann::json({"n", 3}));
  EXPECT_EQ(figures["run"]["flops"], 60);
  EXPECT_EQ(figures["opsets"]["ai.onnx"], 28);
}

TEST_F(ModelCommand, WritesTheGraphForTensorBoard) {
  for (const bool known : {false, true}) {
    const Outcome outcome =
        run("graph " + path("model.onnx") + " --tensorboard " + path("board") + (known ? " --size n=5" : ""));
    EXPECT_EQ(outcome.status, 0) << outcome.output;
    const auto nodes = graph_of(read_events(outcome.output.substr(0, outcome.output.find('\n'))));
    expect_sound(nodes);
    std::vector<std::vector<int64_t>> shapes;
    for (const auto& [name, node] : nodes)
      if (node.op == "MatMul") shapes = node.shapes;
    EXPECT_EQ(shapes, (std::vector<std::vector<int64_t>>{{known ? 5 : -1, 2}}));
  }
  EXPECT_EQ(run("graph " + path("none.onnx") + " --tensorboard " + path("board")).status, 2);
}

TEST_F(ModelCommand, ChecksEveryNode) {
  EXPECT_EQ(run("check " + path("model.onnx")).status, 0);
  ModelBuilder b;
  b.input("x", float32, "3")
      .node("Foo", "x", "y")
      .node("Bar", "y", "z")
      .node("Relu", "z", "out")
      .output("out");
  write("bad.onnx", b.bytes());
  const Outcome outcome = run("check " + path("bad.onnx") + " --json " + path("c.json"));
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.output.find("node 1 (Foo of opset 28): there is no such operator here"),
            std::string::npos);
  EXPECT_NE(outcome.output.find("bad.onnx: 2 problems\n"), std::string::npos) << outcome.output;
  EXPECT_EQ(json("c.json")["problems"].size(), 2u);
  write("text.onnx", "this is no model");
  EXPECT_EQ(run("check " + path("text.onnx")).status, 2);
}

TEST_F(ModelCommand, ConvertsToTheSavedOpset) {
  ModelBuilder b;
  b.input("x", float32, "batch 2").input("y", float32, "batch 2");
  b.constant("w", Tensor({{1.5f, -2.f}, {0.25f, 3.f}})).constant("axis", Tensor({1}, int64));
  b.node("MatMul", "x w", "m").node("Gelu", "m", "g").node("Add", "g y", "s");
  b.node("ReduceSum", "s axis", "z", {{"keepdims", int64_t{0}}}).output("z");
  write("new.onnx", b.bytes());
  const Outcome outcome =
      run("convert " + path("new.onnx") + " " + path("old.onnx") + " --opset 17 --json " + path("c.json"));
  EXPECT_EQ(outcome.status, 0) << outcome.output;
  EXPECT_EQ(json("c.json")["opsets"]["ai.onnx"], 17);
  const LoadedModel before = b.load(), after = load(path("old.onnx"));
  ASSERT_EQ(after.inputs().size(), 2u);
  EXPECT_EQ(after.inputs()[1].to_string(), "y: float32(batch, 2)");
  EXPECT_EQ(after.outputs()[0].to_string(), "z: float32(batch,)");
  EXPECT_TRUE(after.imported().initializers.contains("w"));
  const Tensor x = {{1.f, 2}, {3, -4}, {0.5f, 0.25f}};
  EXPECT_EQ(after({x, x})[0].to_vector<float>(), before({x, x})[0].to_vector<float>());
}

TEST_F(ModelCommand, MovesWeightsOut) {
  std::filesystem::create_directories(folder_ / "out");
  ModelBuilder b;
  const Tensor w = reshape(arange(0, 600, 1, float32), {3, 200});
  b.input("x", float32, "n 3").constant("w", w).constant("b", ones({200}));
  b.node("MatMul", "x w", "m").node("Add", "m b", "y").output("y");
  write("big.onnx", b.bytes());
  const std::string weights = path("out/big.safetensors");
  EXPECT_EQ(run("convert " + path("big.onnx") + " --weights " + weights).status, 0);
  EXPECT_EQ(load_weights(weights).at("w").to_vector<float>(), w.to_vector<float>());
  std::filesystem::remove(weights);
  const Outcome moved =
      run("convert " + path("big.onnx") + " " + path("out/big.onnx") + " --weights " + weights);
  EXPECT_EQ(moved.status, 0) << moved.output;
  EXPECT_NE(moved.output.find("big.safetensors: 2 tensors, "), std::string::npos) << moved.output;
  EXPECT_LT(std::filesystem::file_size(path("out/big.onnx")), 1500u) << "w is elsewhere, b is small";
  const Tensor x = ones({2, 3});
  EXPECT_EQ(load(path("out/big.onnx"))({x})[0].to_vector<float>(), b.load()({x})[0].to_vector<float>());
  // And back in: another form, another folder.
  EXPECT_EQ(run("convert " + path("out/big.onnx") + " " + path("again.onnx") + " --strip-training").status,
            0);
  EXPECT_EQ(load(path("again.onnx"))({x})[0].to_vector<float>(), b.load()({x})[0].to_vector<float>());
  const Outcome outside =
      run("convert " + path("big.onnx") + " " + path("out/x.onnx") + " --weights " + path("w.safetensors"));
  EXPECT_EQ(outside.status, 2);
  EXPECT_NE(outside.output.find("must lie in its folder or below"), std::string::npos) << outside.output;
}

TEST_F(ModelCommand, StripsTraining) {
  const Variable w(Tensor({{1.f, 2.f}, {3.f, 4.f}}), {.name = "w"});
  const auto step = function([&](Tensor x) {
    GradientTape tape;
    const Tensor y = matmul(x, w), loss = mean(y * y);
    w.assign_sub(0.1f * tape.gradient(loss, w));
    return std::vector<Tensor>{y, loss};
  });
  save(step, path("step.onnx"), spec({-1, 2}), {.inputs = {"x"}, .outputs = {"y", "loss"}});
  const Outcome outcome = run("convert " + path("step.onnx") + " " + path("plain.onnx") +
                              " --strip-training --json " + path("c.json"));
  EXPECT_EQ(outcome.status, 0) << outcome.output;
  EXPECT_GT(json("c.json")["nodes_taken_out"], 3);
  const LoadedModel plain = load(path("plain.onnx"));
  EXPECT_TRUE(plain.variables().empty());
  EXPECT_TRUE(plain.defaults().empty());
  const Tensor x = {{1.f, 1.f}};
  for (int i = 0; i < 2; ++i) EXPECT_EQ(plain({x})[0].to_vector<float>(), (std::vector<float>{4, 6}));

  ModelBuilder b;
  b.input("x", float32, "2 2").constant("ratio", Tensor(0.5f)).constant("on", Tensor(true));
  b.constant("one", ones({2})).constant("zero", zeros({2}));
  b.node("Dropout", "x ratio on", "d");
  b.node("BatchNormalization", "d one zero zero one", "y mean var",
         {{"training_mode", int64_t{1}}, {"epsilon", 0.f}});
  b.output("y");
  b.model().add_training_info()->mutable_algorithm()->set_name("what another program trains with");
  write("train.onnx", b.bytes());
  EXPECT_EQ(run("convert " + path("train.onnx") + " " + path("plain.onnx") + " --strip-training").status, 0);
  EXPECT_EQ(load(path("plain.onnx"))({ones({2, 2})})[0].to_vector<float>(), (std::vector<float>{1, 1, 1, 1}));
  EXPECT_FALSE(load(path("plain.onnx")).imported().initializers.contains("ratio"));

  // A whole model, of which the part that predicts stays.
  const nn::Value input = nn::Input({2});
  const nn::Model model(input, nn::Dense(1)(input));
  model.compile({.optimizer = "adam", .loss = "mse"});
  model.fit(ones({4, 2}), ones({4, 1}), {.verbose = 0});
  model.save(path("model_file.onnx"));
  EXPECT_EQ(run("convert " + path("model_file.onnx") + " " + path("plain.onnx") + " --strip-training").status,
            0);
  EXPECT_EQ(load(path("plain.onnx"))({ones({3, 2})})[0].to_vector<float>(),
            model.predict(ones({3, 2})).to_vector<float>());
  EXPECT_TRUE(load(path("plain.onnx")).metadata().empty());
  EXPECT_EQ(load(path("plain.onnx")).imported().initializers.size(), 2u);

  const Outcome nothing = run("convert " + path("train.onnx") + " " + path("plain.onnx"));
  EXPECT_EQ(nothing.status, 2);
  EXPECT_EQ(nothing.output, "tandem: nothing is to be done; give --opset, --weights or --strip-training\n");
  EXPECT_EQ(run("convert " + path("train.onnx") + " " + path("plain.onnx") + " --opset 21").output,
            "tandem: models are written in opset 17; --opset is 21\n");
}

TEST_F(ModelCommand, TestsCases) {
  auto add_case = [&](const std::string& name, float expected) {
    const std::string set = "cases/" + name + "/test_data_set_0/";
    std::filesystem::create_directories(folder_ / set);
    ModelBuilder b;
    b.input("x", float32, "1").node("Neg", "x", "y").output("y");
    write("cases/" + name + "/model.onnx", b.bytes());
    onnx::TensorProto in, out;
    onnx::write_tensor(Tensor({1.f}), "x", in);
    onnx::write_tensor(Tensor({expected}), "y", out);
    write(set + "input_0.pb", in.SerializeAsString());
    write(set + "output_0.pb", out.SerializeAsString());
  };
  add_case("test_good", -1);
  for (const char* mode : {"eager", "graph", "both"}) {
    const Outcome good = run("test " + path("cases") + " --mode " + mode);
    EXPECT_EQ(good.status, 0);
    EXPECT_EQ(good.output, "1 passed, 0 failed\n");
  }
  add_case("test_wrong", -1.01f);
  const Outcome wrong = run("test " + path("cases") + " --json " + path("t.json"));
  EXPECT_EQ(wrong.status, 1);
  EXPECT_EQ(wrong.output,
            "test_wrong: eager: output 0 (\"y\") has -1 instead of -1.0099999904632568 at position 0\n"
            "1 passed, 1 failed\n");
  EXPECT_EQ(json("t.json")["failures"][0]["case"], "test_wrong");
  EXPECT_EQ(run("test " + path("nowhere")).status, 2);
  EXPECT_GT(run("test " + path("cases") + " --mode sideways").status, 100);
}

}  // namespace
}  // namespace tandem::testing
