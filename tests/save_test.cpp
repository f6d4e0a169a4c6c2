// Saved functions: the file is sound by ONNX's own checker and shape inference, and what comes back means the
// same, bit for bit, in either mode.

#include <gtest/gtest.h>
#include <onnx/checker.h>
#include <onnx/onnx_pb.h>
#include <onnx/shape_inference/implementation.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <set>

#include "ops/dispatch.h"
#include "tandem/load.h"
#include "tandem/tandem.h"
#include "tests/op_samples.h"
#include "tests/same_bits.h"

namespace td = tandem;
namespace fs = std::filesystem;
using td::Tensor;
using td::testing::same_bits;
using TensorList = std::vector<Tensor>;

namespace {

/// A file that goes when the test ends.
struct Scratch {
  std::string path = (fs::temp_directory_path() / fmt_name()).string();
  ~Scratch() { fs::remove(path); }
  static std::string fmt_name() {
    static int count = 0;
    return "tandem_save_" + std::to_string(getpid()) + "_" + std::to_string(count++) + ".onnx";
  }
};

/// What the file holds, after ONNX's checker and shape inference have found nothing wrong.
onnx::ModelProto checked(const std::string& path) {
  onnx::ModelProto model;
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(model.ParseFromIstream(&in)) << path;
  EXPECT_EQ(model.opset_import(0).domain(), "");
  EXPECT_EQ(model.opset_import(0).version(), 17);
  try {
    onnx::checker::check_model(model);
    // This version's inference takes auto_pad of transposed convolutions for something else, and knows no
    // broadcasting in an ellipsis.
    for (const auto& n : model.graph().node())
      for (const auto& a : n.attribute())
        if ((n.op_type() == "ConvTranspose" && a.name() == "auto_pad") ||
            (n.op_type() == "Einsum" && a.s().find("...") != std::string::npos))
          return model;
    onnx::ModelProto inferred = model;
    onnx::shape_inference::InferShapes(inferred, onnx::OpSchemaRegistry::Instance(),
                                       onnx::ShapeInferenceOptions(true, 1));
  } catch (const std::exception& e) {
    ADD_FAILURE() << e.what() << '\n' << model.DebugString().substr(0, 4000);
  }
  return model;
}

void expect_same_bits(const TensorList& a, const TensorList& b, const std::string& what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_TRUE(same_bits(a[i], b[i])) << what << ": " << a[i] << " and " << b[i];
  }
}

/// Saves f, checks the file, and compares what comes back with f. Throws what saving throws.
template <class F>
void expect_round_trip(const F& f, const TensorList& inputs, const std::string& what) {
  const Scratch file;
  const td::Function<TensorList(TensorList)> function(f);
  td::save(function, file.path, inputs, {.strict = true});
  const TensorList expected = function(inputs);
  checked(file.path);
  const td::LoadedModel loaded = td::load(file.path);
  expect_same_bits(loaded(inputs), expected, what + ", as a graph");
  expect_same_bits(loaded.run_eagerly(inputs), expected, what + ", eagerly");
}

TEST(Save, AFunctionOfSpecs) {
  const Scratch file;
  auto f = td::function([](Tensor x, Tensor y) { return td::exp(x) * 2 + td::relu(y); });
  td::save(f, file.path, td::spec({-1, 3}), td::spec({3}), {.inputs = {"x", "y"}, .outputs = {"z"}});
  const onnx::ModelProto model = checked(file.path);
  EXPECT_EQ(model.graph().input(0).name(), "x");
  EXPECT_EQ(model.graph().input(0).type().tensor_type().shape().dim(0).dim_param(), "size_0");
  EXPECT_EQ(model.graph().output(0).name(), "z");
  EXPECT_EQ(model.graph().output(0).type().tensor_type().shape().dim(0).dim_param(), "size_0");
  EXPECT_EQ(model.graph().node(0).doc_string().substr(0, 14), "save_test.cpp:");
  const td::LoadedModel loaded = td::load(file.path);
  const Tensor y({1.f, -1.f, 0.5f});
  for (int64_t rows : {1, 2, 5}) {
    const Tensor x = td::random::normal({rows, 3});
    expect_same_bits(loaded(TensorList{x, y}), {f(x, y)}, "of " + std::to_string(rows) + " rows");
  }
}

TEST(Save, ALambdaAndAModel) {
  const Scratch file;
  td::save([](Tensor x) { return td::sum(x); }, file.path, td::spec({2}));
  EXPECT_EQ(td::load(file.path)(TensorList{Tensor({1.f, 2.f})})[0].item<float>(), 3);
  td::nn::Sequential model({td::nn::Dense(4, "relu"), td::nn::Dense(2)});
  const Tensor x = td::random::normal({3, 5});
  const Tensor expected = model(x);
  td::save(model, file.path, td::spec({-1, 5}));
  expect_same_bits(td::load(file.path)(TensorList{x}), {expected}, "a model");
}

// Each op of the table on its samples: as opset 17 says it, or as a function of Tandem's domain with a body.
TEST(Save, EveryOpOfTheTable) {
  int saved = 0;
  std::string without_body, not_in_17;
  for (const td::OpDef* op : td::all_ops()) {
    if (op->has(td::is_input) || op->has(td::effect) || op->has(td::has_bodies) ||
        op->has(td::reads_variable) || op->has(td::writes_variable) || op->has(td::is_constant))
      continue;
    for (const td::Sample& s : op->samples()) {
      if (!td::testing::is_accepted(*op, s)) continue;
      // Parameters are known when a function is saved; the rest are its inputs.
      TensorList inputs;
      for (size_t i = 0; i < s.inputs.size(); ++i)
        if (s.inputs[i].defined() && !td::testing::is_parameter(*op, i)) inputs.push_back(s.inputs[i]);
      auto f = [&](const TensorList& given) {
        TensorList all;
        size_t next = 0;
        for (size_t i = 0; i < s.inputs.size(); ++i)
          all.push_back(s.inputs[i].defined() && !td::testing::is_parameter(*op, i) ? given[next++]
                                                                                    : s.inputs[i]);
        return td::testing::run(*op, s, all);
      };

      try {
        expect_round_trip(f, inputs, std::string(op->name));
        ++saved;
      } catch (const td::Error& e) {
        const std::string text = e.what();
        const bool has_none = text.find("cannot be written as operations") != std::string::npos;
        EXPECT_TRUE(has_none || text.find("opset 17") != std::string::npos) << op->name << ": " << text;
        std::string& list = has_none ? without_body : not_in_17;
        if (list.find(std::string(op->name)) == std::string::npos) list += " " + std::string(op->name);
      }
    }
  }
  std::cout << saved << " samples saved and restored; without a body of standard ops:"
            << (without_body.empty() ? " none" : without_body)
            << "; in part beyond opset 17:" << (not_in_17.empty() ? " none" : not_in_17) << '\n';
  EXPECT_GT(saved, 500);
}

TEST(Save, BranchesAndLoops) {
  auto branch = [](const TensorList& x) {
    return TensorList{td::cond(
        td::sum(x[0]) > 0, [&] { return x[0] * 2; }, [&] { return -x[0]; })};
  };
  expect_round_trip(branch, {Tensor({1.f, 2.f})}, "then");
  expect_round_trip(branch, {Tensor({-1.f, -2.f})}, "else");
  auto loop = [](const TensorList& x) {
    auto [n, y] = td::while_loop([](Tensor n, Tensor) { return n < 5; },
                                 [&](Tensor n, Tensor y) { return std::tuple(n + 1, y * x[0]); },
                                 std::tuple(Tensor(0), x[0]));
    return TensorList{n, y};
  };
  expect_round_trip(loop, {Tensor({1.5f, 2.f})}, "a loop");
}

// Five steps, saved, five more here and there: the same losses, and the same variables in the end.
// The graphs of a model's training are as sound as what it predicts with: they see all initializers.
TEST(Save, ModelsWithTheirTraining) {
  namespace nn = td::nn;
  const nn::Value x = nn::Input({1, 8, 8});
  nn::Value h = nn::Conv2D(3, 3, {}, {.data_format = "channels_first"})(x);
  h = nn::BatchNormalization({.axis = 1})(h);
  h = nn::Dropout(0.25)(nn::Flatten()(h));
  const nn::Model model(x, nn::Dense(4, "softmax")(h));
  model.compile(
      {.optimizer = nn::Adam(), .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"}});
  model.fit(td::random::normal({6, 1, 8, 8}), td::Tensor({0, 1, 2, 3, 0, 1}, td::int64),
            {.batch_size = 3, .epochs = 1, .verbose = 0});
  const Scratch file, single;
  model.save(file.path);
  const onnx::ModelProto whole = checked(file.path);
  ASSERT_GE(whole.training_info_size(), 4);
  for (const auto& info : whole.training_info()) {
    onnx::ModelProto one = whole;
    one.clear_training_info();
    *one.mutable_graph() = info.algorithm();
    std::set<std::string> known;
    for (const auto& t : info.algorithm().initializer()) known.insert(t.name());
    auto add = [&](const onnx::GraphProto& g) {
      for (const auto& t : g.initializer())
        if (known.insert(t.name()).second) *one.mutable_graph()->add_initializer() = t;
    };
    add(whole.graph());
    for (const auto& other : whole.training_info()) add(other.algorithm());
    std::ofstream(single.path, std::ios::binary) << one.SerializeAsString();
    checked(single.path);
    for (const auto& binding : info.update_binding())
      EXPECT_TRUE(known.contains(binding.key())) << binding.key();
  }
}

TEST(Save, ATrainingStepGoesOnWhereItStopped) {
  td::random::seed(3);
  const td::Variable w(td::random::normal({6, 8}) * 0.3f, {.name = "w"}), b(td::zeros({8}), {.name = "b"}),
      v(td::random::normal({8, 3}), {.name = "v"});
  const td::Variable count(Tensor(0, td::int64), {.name = "count", .trainable = false});
  const auto step = td::function([=](Tensor x, Tensor y) {
    td::GradientTape tape;
    const Tensor h = td::dropout(td::gelu(td::matmul(x, w) + b), 0.25, true);
    const Tensor loss = td::mean(td::sparse_softmax_cross_entropy(td::matmul(h, v), y));
    const TensorList d = tape.gradient(loss, std::vector<td::Variable>{w, b, v});
    w.assign_sub(0.1f * d[0]);
    b.assign_sub(0.1f * d[1]);
    v.assign_sub(0.1f * d[2]);
    count.assign_add(1);
    return loss;
  });
  auto batch = [](uint64_t i) {
    const td::Variable g = td::random::make_generator(i);
    return std::pair(td::random::normal({16, 6}, 0, 1, td::float32, g),
                     td::random::randint(0, 3, {16}, td::int64, g));
  };
  for (uint64_t i = 0; i < 5; ++i) step(batch(i).first, batch(i).second);
  const Scratch file;
  td::save(step, file.path, td::spec({-1, 6}), td::spec({-1}, td::int64));
  checked(file.path);
  const td::LoadedModel restored = td::load(file.path);
  EXPECT_EQ(restored.outputs().size(), 1U);
  ASSERT_EQ(restored.variables().size(), 5U);  // ours, and the generator that dropout draws from
  for (uint64_t i = 5; i < 10; ++i) {
    const auto [x, y] = batch(i);
    expect_same_bits(i == 7 ? restored.run_eagerly({x, y}) : restored({x, y}), {step(x, y)},
                     "loss " + std::to_string(i));
  }
  int compared = 0;
  for (const td::Variable& mine : {w, b, v, count})
    for (const td::Variable& theirs : restored.variables())
      if (theirs.name() == mine.name() && ++compared > 0)
        expect_same_bits({theirs.value()}, {mine.value()}, mine.name());
  EXPECT_EQ(compared, 4);
  // By names the state is the caller's.
  const auto [x, y] = batch(10);
  const auto results = restored.by_name({{"input", x}, {"input_1", y}, {"count", Tensor(41, td::int64)}});
  EXPECT_EQ(results.at("count.next").item<int64_t>(), 42);
}

}  // namespace
