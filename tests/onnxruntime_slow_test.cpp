// Saved training steps run unchanged in ONNX Runtime, and agree with ours. Needs npm, which fetches
// onnxruntime-node; without either the test says so and skips.

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/tensor_impl.h"
#include "onnx/state.h"
#include "onnx/tensor_proto.h"
#include "tandem/tandem.h"

namespace td = tandem;
namespace fs = std::filesystem;
using nlohmann::json;
using td::Tensor;
using TensorList = std::vector<Tensor>;

namespace {

/// Where onnxruntime-node is installed; empty when it cannot be.
const std::string& runtime_folder() {
  static const std::string folder = [] {
    const fs::path to = fs::temp_directory_path() / "tandem-onnxruntime";
    fs::create_directories(to);
    for (const char* file : {"package.json", "run.js"})
      fs::copy_file(fs::path(TANDEM_SOURCE_FOLDER) / "tests/onnxruntime" / file, to / file,
                    fs::copy_options::overwrite_existing);
    if (fs::exists(to / "node_modules/onnxruntime-node")) return to.string();
    const std::string install = "cd '" + to.string() +
                                "' && timeout 180 npm install --ignore-scripts --no-audit --no-fund "
                                "--fetch-retries=0 >install.log 2>&1";
    return std::system("command -v npm >/dev/null 2>&1") == 0 && std::system(install.c_str()) == 0
               ? to.string()
               : "";
  }();
  return folder;
}

json to_json(const Tensor& t) {
  const Tensor dense = t.contiguous();
  const auto* bytes = static_cast<const unsigned char*>(dense.impl()->data);
  std::string hex;
  for (size_t i = 0; i < static_cast<size_t>(dense.size()) * td::size_of(dense.dtype()); ++i) {
    constexpr const char* digits = "0123456789abcdef";
    hex += digits[bytes[i] >> 4];
    hex += digits[bytes[i] & 15];
  }
  return {{"type", td::name_of(dense.dtype())}, {"dims", dense.shape().to_vector()}, {"hex", std::move(hex)}};
}

Tensor from_json(const json& j) {
  const std::string hex = j["hex"];
  td::Shape shape;
  for (int64_t d : j["dims"]) shape.push_back(d);
  std::vector<uint8_t> bytes(hex.size() / 2);
  for (size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<uint8_t>(std::stoi(hex.substr(2 * i, 2), nullptr, 16));
  EXPECT_EQ(j["type"], "float32");
  std::vector<float> values(bytes.size() / 4);
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return td::from_vector(std::move(values), shape);
}

/// Runs a saved model on each step's inputs, with its state fed back: each step's outputs by name.
std::vector<std::map<std::string, Tensor>> run_elsewhere(
    const std::string& path, const std::vector<std::map<std::string, Tensor>>& steps) {
  // ONNX Runtime's JavaScript interface, unlike its others, feeds no input that has a default: the defaults
  // are taken out of a copy and given to the first step.
  td::onnx::ModelProto model;
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(model.ParseFromIstream(&file));
  std::map<std::string, std::string> metadata;
  for (const auto& p : model.metadata_props()) metadata[p.key()] = p.value();
  json start = json::object(), state = json::object();
  for (const auto& s : td::onnx::read_states(metadata)) {
    state[s.input] = s.output;
    auto& all = *model.mutable_graph()->mutable_initializer();
    for (int i = 0; i < all.size(); ++i)
      if (all[i].name() == s.input) {
        start[s.input] = to_json(td::onnx::read_tensor(all[i]));
        all.DeleteSubrange(i, 1);
        break;
      }
  }
  const std::string copy = path + ".fed.onnx";
  std::ofstream(copy, std::ios::binary) << model.SerializeAsString();
  json request = {{"model", copy}, {"steps", json::array()}, {"state", state}, {"start", start}};
  for (const auto& step : steps) {
    json given = json::object();
    for (const auto& [name, t] : step) given[name] = to_json(t);
    request["steps"].push_back(std::move(given));
  }
  const std::string in = path + ".request.json", out = path + ".answer.json", log = path + ".log";
  std::ofstream(in) << request;
  const std::string command =
      "cd '" + runtime_folder() + "' && node run.js '" + in + "' '" + out + "' 2>'" + log + "'";
  std::vector<std::map<std::string, Tensor>> results;
  if (std::system(command.c_str()) != 0) {
    std::stringstream text;
    text << std::ifstream(log).rdbuf();
    ADD_FAILURE() << text.str();
    return results;
  }
  for (const json& step : json::parse(std::ifstream(out))) {
    results.emplace_back();
    for (const auto& [name, t] : step.items())
      if (t["type"] == "float32") results.back()[name] = from_json(t);
  }
  for (const std::string& used : {in, out, log, copy}) fs::remove(used);
  return results;
}

void expect_close(const Tensor& a, const Tensor& b, const std::string& what) {
  ASSERT_EQ(a.shape(), b.shape()) << what;
  const std::vector<float> x = a.contiguous().to_vector<float>(), y = b.contiguous().to_vector<float>();
  for (size_t i = 0; i < x.size(); ++i)
    ASSERT_NEAR(x[i], y[i], 1e-5 + 1e-4 * std::abs(y[i])) << what << ", element " << i;
}

constexpr int steps = 20;

/// Trains for 20 steps here and there, from the same start on the same batches.
void expect_same_training(const td::Function<Tensor(Tensor, Tensor)>& step, const td::Shape& shape,
                          const std::vector<td::Variable>& variables) {
  if (runtime_folder().empty()) GTEST_SKIP() << "npm or onnxruntime-node is not there";
  const std::string path =
      (fs::temp_directory_path() / ("tandem_step_" + std::to_string(getpid()) + ".onnx")).string();
  std::vector<std::map<std::string, Tensor>> batches;
  for (int i = 0; i < steps; ++i)
    batches.push_back(
        {{"x", td::random::normal(shape)}, {"y", td::random::randint(0, 3, {shape[0]}, td::int64)}});
  td::save(step, path, td::spec(shape), td::spec({shape[0]}, td::int64),
           {.inputs = {"x", "y"}, .outputs = {"loss"}, .strict = true});
  const auto elsewhere = run_elsewhere(path, batches);
  ASSERT_EQ(elsewhere.size(), static_cast<size_t>(steps));
  for (int i = 0; i < steps; ++i) {
    const auto& batch = batches[static_cast<size_t>(i)];
    const Tensor loss = step(batch.at("x"), batch.at("y"));
    expect_close(elsewhere[static_cast<size_t>(i)].at("loss"), loss, "loss of step " + std::to_string(i));
  }
  for (const td::Variable& v : variables)
    expect_close(elsewhere.back().at(v.name() + ".next"), v.value(), v.name());
  fs::remove(path);
}

Tensor loss_of(const Tensor& logits, const Tensor& y) {
  return td::mean(td::sparse_softmax_cross_entropy(logits, y));
}

TEST(OnnxRuntime, TrainsAnMlpAsWeDo) {
  td::random::seed(1);
  const td::Variable w1(td::random::normal({6, 8}) * 0.3f, {.name = "w1"}),
      b1(td::zeros({8}), {.name = "b1"}), w2(td::random::normal({8, 3}) * 0.3f, {.name = "w2"});
  const auto step = td::function([=](Tensor x, Tensor y) {
    td::GradientTape tape;
    // What dropout drops is the same there: the generator's state and its stream are part of the model.
    const Tensor h = td::dropout(td::relu(td::matmul(x, w1) + b1), 0.25, true);
    const Tensor loss = loss_of(td::matmul(h, w2), y);
    const TensorList d = tape.gradient(loss, std::vector<td::Variable>{w1, b1, w2});
    w1.assign_sub(0.1f * d[0]);
    b1.assign_sub(0.1f * d[1]);
    w2.assign_sub(0.1f * d[2]);
    return loss;
  });
  expect_same_training(step, {16, 6}, {w1, b1, w2});
}

TEST(OnnxRuntime, TrainsASmallConvolutionalNetworkAsWeDo) {
  td::random::seed(2);
  const td::Variable k(td::random::normal({4, 1, 3, 3}) * 0.3f, {.name = "k"}),
      b(td::zeros({4}), {.name = "b"}), w(td::random::normal({64, 3}) * 0.2f, {.name = "w"});
  const auto step = td::function([=](Tensor x, Tensor y) {
    td::GradientTape tape;
    const Tensor h =
        td::max_pool(td::relu(td::conv(x, k, b, {.pads = {1, 1, 1, 1}})), {2, 2}, {.strides = {2, 2}});
    const Tensor loss = loss_of(td::matmul(td::flatten(h), w), y);
    const TensorList d = tape.gradient(loss, std::vector<td::Variable>{k, b, w});
    k.assign_sub(0.1f * d[0]);
    b.assign_sub(0.1f * d[1]);
    w.assign_sub(0.1f * d[2]);
    return loss;
  });
  expect_same_training(step, {16, 1, 8, 8}, {k, b, w});
}

}  // namespace
