// `tandem run`, `inspect`, `check` and `test`, as their users run them.

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "command.h"
#include "onnx_models.h"
#include "tandem/data/npy.h"
#include "tandem/ops.h"

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
