// The command `tandem`, run as its users do.

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "command.h"
#include "core/sanitized.h"

namespace {

using tandem::testing::Outcome;
using tandem::testing::run;

/// A file that disappears with the test.
struct TemporaryFile {
  std::string path =
      (std::filesystem::temp_directory_path() / ("tandem_command_" + std::to_string(getpid()))).string();
  ~TemporaryFile() { std::filesystem::remove(path); }
  nlohmann::json json() const {
    std::ifstream in(path);
    return nlohmann::json::parse(in);
  }
};

}  // namespace

TEST(Demo, PlaysItsActsAndWritesTheirFigures) {
  const TemporaryFile file;
  const Outcome outcome = run("demo --json " + file.path);
  EXPECT_EQ(outcome.status, 0) << outcome.output;
  for (const char* text : {"    Tensor([ 1.  4.  9. 16. 25.], shape=(5,), dtype=float32)\n",
                           "    Tensor(\"pow:0\", shape=(5,), dtype=float32)\n", "As a graph:\nepoch 1/3 ",
                           "epoch 1/3 400/400 in ", "epoch 3/3 400/400 in ", "4  Saved", "new process",
                           "equal to the last bit, out of a process that has never seen the network"})
    EXPECT_NE(outcome.output.find(text), std::string::npos) << text << outcome.output;
  EXPECT_EQ(outcome.output.find("FAILED"), std::string::npos) << outcome.output;

  const nlohmann::json figures = file.json();
  ASSERT_EQ(figures.size(), 4u);
  for (const auto& figure : figures) {
    EXPECT_EQ(figure["max_ulp"], 0) << figure;
    // No memory is used again where sanitizers look.
    if (!TANDEM_SANITIZED) {
      EXPECT_EQ(figure["graph_allocations"], 0) << figure;
    }
    for (const char* name : {"eager_ns", "graph_ns", "eager_first_ns", "graph_first_ns"})
      EXPECT_GT(figure[name].get<double>(), 0) << name << figure;
    EXPECT_TRUE(figure["break_even_calls"].is_null() || figure["break_even_calls"] >= 1) << figure;
    EXPECT_GE(figure["eager_allocations"], 0) << figure;
  }
  EXPECT_EQ(figures[0]["name"], "square_5");
  EXPECT_EQ(figures[1]["name"], "mlp256x3_b100");
  EXPECT_EQ(figures[2]["name"], "train_784_128_10");
  EXPECT_GT(figures[2]["accuracy"].get<double>(), 0.9);
  EXPECT_EQ(figures[3]["name"], "restored_784_128_10");
  EXPECT_FALSE(figures[0].contains("accuracy"));
}

TEST(Demo, FailsOnDataThatIsNotThere) {
  const Outcome outcome = run("demo --data /nowhere/at/all");
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.output.find("tandem: /nowhere/at/all: no such folder\n"), std::string::npos)
      << outcome.output;
}

TEST(Compare, MeasuresWhatIsNamed) {
  const TemporaryFile file;
  const Outcome outcome = run("compare chain_5 --json " + file.path);
  EXPECT_EQ(outcome.status, 0) << outcome.output;
  const nlohmann::json figures = file.json();
  ASSERT_EQ(figures.size(), 1u);
  EXPECT_EQ(figures[0]["name"], "chain_5");
  EXPECT_EQ(figures[0]["max_ulp"], 0);
  EXPECT_NE(run("compare --list").output.find("chain_5 "), std::string::npos);
}

TEST(Ops, SaysWhatTheTableSays) {
  const Outcome json = run("ops --json");
  EXPECT_EQ(json.status, 0);
  const nlohmann::json all = nlohmann::json::parse(json.output);
  const auto softmax =
      std::find_if(all.begin(), all.end(), [](const nlohmann::json& op) { return op["name"] == "Softmax"; });
  ASSERT_NE(softmax, all.end());
  EXPECT_EQ(*softmax, nlohmann::json::parse(R"({
    "name": "Softmax", "domain": "ai.onnx", "since": 13, "function": "softmax",
    "inputs": [{"name": "input", "dtypes": ["float16", "bfloat16", "float32", "float64"],
                "optional": false, "variadic": false, "parameter": false}],
    "outputs": 1, "attributes": {"axis": -1}, "gradient": "yes", "lowering": "rows"})"));
  const Outcome markdown = run("ops --markdown");
  EXPECT_EQ(markdown.status, 0);
  EXPECT_NE(markdown.output.find("\n| Softmax | ai.onnx | 13 | input: float | axis=-1 | yes | rows |\n"),
            std::string::npos);
  EXPECT_NE(markdown.output.find("\n" + std::to_string(all.size()) + " operations.\n"), std::string::npos);
}

TEST(Command, SaysWhatItDoesNotUnderstand) {
  const Outcome unknown = run("compare nix");
  EXPECT_EQ(unknown.status, 1);
  EXPECT_EQ(unknown.output,
            "tandem: there is no 'nix' to compare; `tandem compare --list` says what there is\n");
  EXPECT_NE(run("dance").status, 0);
  EXPECT_NE(run("").status, 0);
  EXPECT_EQ(run("--help").status, 0);
  const Outcome unwritable = run("compare square_5 --json /nowhere/figures.json");
  EXPECT_EQ(unwritable.status, 1);
  EXPECT_NE(
      unwritable.output.find("tandem: /nowhere/figures.json: cannot be written: No such file or directory\n"),
      std::string::npos)
      << unwritable.output;
}
