// Event files for TensorBoard, read back by a reader of their own.

#include "tandem/summary.h"

#include <zlib.h>

#include <cmath>
#include <filesystem>
#include <limits>

#include "summary/event_file.h"
#include "tandem/control_flow.h"
#include "tandem/name_scope.h"
#include "tandem/nn.h"
#include "tandem/ops.h"
#include "tandem/variable.h"
#include "tests/event_reader.h"
#include "tests/support.h"

namespace td = tandem;
namespace nn = td::nn;
using td::testing::Message;
using Sizes = std::vector<int64_t>;

namespace {

/// A folder of this test's own, empty.
std::string folder() {
  const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
  const std::string path = ::testing::TempDir() + "tandem_summary_" + test->name();
  std::filesystem::remove_all(path);
  return path;
}

std::vector<double> doubles_of(const std::string& bytes) {
  std::vector<double> values(bytes.size() / 8);
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

struct Picture {
  uint32_t width = 0, height = 0;
  int colour_type = 0;
  std::string rows;  ///< each behind the number of its filter
};

uint32_t big_endian(const std::string& bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(bytes.at(at + i));
  return value;
}

Picture read_png(const std::string& png) {
  EXPECT_EQ(png.substr(0, 8), "\x89PNG\r\n\x1a\n");
  Picture picture;
  std::string packed, kinds;
  for (size_t at = 8; at < png.size();) {
    const uint32_t size = big_endian(png, at);
    const std::string checked = png.substr(at + 4, 4 + size), data = checked.substr(4);
    EXPECT_EQ(big_endian(png, at + 8 + size),
              crc32(0, reinterpret_cast<const Bytef*>(checked.data()), checked.size()));
    kinds += checked.substr(0, 4) + ' ';
    if (checked.starts_with("IHDR")) {
      picture.width = big_endian(data, 0);
      picture.height = big_endian(data, 4);
      EXPECT_EQ(data[8], 8);
      picture.colour_type = data[9];
    }
    if (checked.starts_with("IDAT")) packed += data;
    at += 12 + size;
  }
  EXPECT_TRUE(kinds.starts_with("IHDR ") && kinds.ends_with("IEND ")) << kinds;
  constexpr int channels[] = {1, 0, 3, 0, 2, 0, 4};
  picture.rows.resize(picture.height * (1 + picture.width * channels[picture.colour_type]));
  uLongf size = picture.rows.size();
  EXPECT_EQ(uncompress(reinterpret_cast<Bytef*>(picture.rows.data()), &size,
                       reinterpret_cast<const Bytef*>(packed.data()), packed.size()),
            Z_OK);
  EXPECT_EQ(size, picture.rows.size());
  return picture;
}

}  // namespace

TEST(Summary, TheFirstRecord) {
  td::summary::ProtoEncoder event = td::summary::detail::event_at(1.0, 0);
  event.bytes(3, "brain.Event:2");
  std::string hex;
  for (const char c : td::summary::detail::framed(event.str())) {
    constexpr char digits[] = "0123456789abcdef";
    hex += digits[static_cast<unsigned char>(c) >> 4];
    hex += digits[c & 15];
  }
  EXPECT_EQ(hex, "1800000000000000a37f4b2209000000000000f03f1a0d627261696e2e4576656e743a3286bf577a");
}

TEST(Summary, FilesOfARun) {
  const std::string where = folder();
  const td::summary::Writer a(where + "/deep/run"), b(where + "/deep/run", {.suffix = ".v2"});
  EXPECT_NE(a.path(), b.path());
  EXPECT_NE(a.path().find("/events.out.tfevents."), std::string::npos);
  EXPECT_TRUE(b.path().ends_with(".v2"));
  const auto events = td::testing::read_events(a.path());
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].text(3), "brain.Event:2");
  EXPECT_GT(events[0].real(1), 1.6e9);
  { const std::ofstream file(where + "/file"); }
  EXPECT_EQ(td::testing::message_of([&] { td::summary::Writer(where + "/file/run"); }).substr(0, 27),
            "Writer: the folder " + where.substr(0, 8));
}

TEST(Summary, Scalars) {
  const std::string where = folder();
  const td::summary::Writer modern(where), old(where, {.scalars = td::summary::ScalarForm::simple_value});
  for (const td::summary::Writer& writer : {modern, old}) {
    writer.scalar("loss", 0.5, 0);
    writer.scalar("loss", td::Tensor(0.25, td::float64), int64_t{1} << 40);
    writer.scalar("count", 3, -1);
    writer.flush();
  }
  const auto values = td::testing::values_of(td::testing::read_events(modern.path()));
  ASSERT_EQ(values.size(), 3u);
  const std::vector<std::pair<int64_t, float>> expected = {{0, 0.5f}, {int64_t{1} << 40, 0.25f}, {-1, 3}};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(values[i].tag, i == 2 ? "count" : "loss");
    EXPECT_EQ(values[i].step, expected[i].first);
    EXPECT_EQ(values[i].plugin, "scalars");
    EXPECT_EQ(values[i].data_class, 1);
    EXPECT_EQ(values[i].tensor.integer(1), 1);  // float
    EXPECT_TRUE(values[i].tensor.has(2));       // the shape of a scalar
    EXPECT_EQ(td::testing::sizes_of(values[i].tensor.message(2)), Sizes{});
    float number = 0;
    ASSERT_EQ(values[i].tensor.text(5).size(), 4u);
    std::memcpy(&number, values[i].tensor.text(5).data(), 4);
    EXPECT_EQ(number, expected[i].second);
  }
  const auto simple = td::testing::values_of(td::testing::read_events(old.path()));
  ASSERT_EQ(simple.size(), 3u);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(simple[i].value.single(2), expected[i].second);
  EXPECT_ERROR(modern.scalar("loss", td::ones({2}), 0),
               "scalar: item: the tensor of shape (2,) has 2 elements, not one (summary_test.cpp:LINE)");
}

TEST(Summary, WhatIsWrittenIsThereInTime) {
  const td::summary::Writer prompt(folder(), {.flush_seconds = 0});
  prompt.scalar("x", 1, 0);
  EXPECT_EQ(td::testing::read_events(prompt.path()).size(), 2u);
  std::string path;
  {
    const td::summary::Writer slow(folder(), {.flush_seconds = 1e9});
    path = slow.path();
    slow.scalar("x", 1, 0);
    EXPECT_EQ(td::testing::read_events(path).size(), 1u);
  }
  EXPECT_EQ(td::testing::read_events(path).size(), 2u);
}

TEST(Summary, Histograms) {
  const td::summary::Writer writer(folder());
  const float infinity = std::numeric_limits<float>::infinity();
  writer.histogram("h", td::Tensor({0.f, 0.1f, 1.f, 3.9f, 4.f, NAN, infinity}), 7, {.buckets = 4});
  writer.histogram("same", td::Tensor({2, 2, 2}), 0, {.buckets = 2});
  writer.histogram("none", td::zeros({0}), 0, {.buckets = 1});
  writer.histogram("many", td::ones({5}), 0);
  writer.flush();
  const auto values = td::testing::values_of(td::testing::read_events(writer.path()));
  ASSERT_EQ(values.size(), 4u);
  EXPECT_EQ(values[0].plugin, "histograms");
  EXPECT_EQ(values[0].step, 7);
  EXPECT_EQ(values[0].tensor.integer(1), 2);  // double
  EXPECT_EQ(td::testing::sizes_of(values[0].tensor.message(2)), (Sizes{4, 3}));
  EXPECT_EQ(doubles_of(values[0].tensor.text(4)), (std::vector<double>{0, 1, 2, 1, 2, 1, 2, 3, 0, 3, 4, 2}));
  EXPECT_EQ(doubles_of(values[1].tensor.text(4)), (std::vector<double>{2, 2, 0, 2, 2, 3}));
  EXPECT_EQ(doubles_of(values[2].tensor.text(4)), (std::vector<double>{0, 0, 0}));
  EXPECT_EQ(td::testing::sizes_of(values[3].tensor.message(2)), (Sizes{30, 3}));
}

TEST(Summary, Images) {
  const td::summary::Writer writer(folder());
  const td::Tensor grey = {{{0.f}, {0.5f}, {1.f}}, {{-1.f}, {2.f}, {0.25f}}};
  writer.image("grey", grey, 3);
  const td::Tensor colours = td::reshape(td::cast(td::arange(2 * 2 * 1 * 3), td::uint8), {2, 2, 1, 3});
  writer.image("colours", colours, 4);
  writer.image("few", colours, 5, {.max_outputs = 1});
  writer.image("alpha", td::ones({1, 1, 4}), 6);
  writer.flush();
  const auto values = td::testing::values_of(td::testing::read_events(writer.path()));
  ASSERT_EQ(values.size(), 4u);
  EXPECT_EQ(values[0].plugin, "images");
  EXPECT_EQ(values[0].data_class, 3);
  EXPECT_EQ(values[0].tensor.integer(1), 7);  // strings
  EXPECT_EQ(td::testing::sizes_of(values[0].tensor.message(2)), (Sizes{3}));
  EXPECT_EQ(values[0].tensor.text(8, 0), "3");  // width
  EXPECT_EQ(values[0].tensor.text(8, 1), "2");
  const Picture p = read_png(values[0].tensor.text(8, 2));
  EXPECT_EQ(p.width, 3u);
  EXPECT_EQ(p.height, 2u);
  EXPECT_EQ(p.colour_type, 0);
  EXPECT_EQ(p.rows, std::string("\0\x00\x7f\xff\0\x00\xff\x3f", 8));
  ASSERT_EQ(values[1].tensor.count(8), 4u);
  const Picture second = read_png(values[1].tensor.text(8, 3));
  EXPECT_EQ(second.colour_type, 2);
  EXPECT_EQ(second.rows, std::string("\0\x06\x07\x08\0\x09\x0a\x0b", 8));
  EXPECT_EQ(values[2].tensor.count(8), 3u);
  EXPECT_EQ(read_png(values[3].tensor.text(8, 2)).rows, std::string("\0\xff\xff\xff\xff", 5));
  EXPECT_ERROR(
      writer.image("x", td::ones({2, 2}), 0),
      "image: images of shape (2, 2) were given; expected (height, width, channels) or (batch, height, "
      "width, channels) (summary_test.cpp:LINE)");
  EXPECT_ERROR(writer.image("x", td::Tensor({{{1}}}), 0),
               "image: images of dtype int32 were given; expected uint8, or floating between 0 and 1 "
               "(summary_test.cpp:LINE)");
}

TEST(Summary, TextAndHyperparameters) {
  const td::summary::Writer writer(folder());
  writer.text("notes", "**bold** ä", 2);
  writer.hyperparameters({{"rate", 0.1}, {"optimizer", "adam"}, {"nesterov", true}});
  writer.flush();
  const auto values = td::testing::values_of(td::testing::read_events(writer.path()));
  ASSERT_EQ(values.size(), 2u);
  EXPECT_EQ(values[0].plugin, "text");
  EXPECT_EQ(values[0].tensor.integer(1), 7);
  EXPECT_EQ(values[0].tensor.text(8), "**bold** ä");
  EXPECT_EQ(values[1].tag, "_hparams_/session_start_info");
  EXPECT_EQ(values[1].plugin, "hparams");
  const Message info = Message(values[1].plugin_content).message(3);
  ASSERT_EQ(info.count(1), 3u);
  std::map<std::string, Message> entries;
  for (size_t i = 0; i < 3; ++i) entries.emplace(info.message(1, i).text(1), info.message(1, i).message(2));
  EXPECT_EQ(entries.at("rate").real(2), 0.1);
  EXPECT_EQ(entries.at("optimizer").text(3), "adam");
  EXPECT_EQ(entries.at("nesterov").integer(4), 1);
}

TEST(Summary, GraphOfAFunction) {
  const td::summary::Writer writer(folder());
  const td::Variable w(td::ones({3, 2}), {.name = "w"});
  int line = 0;
  const auto f = td::function([&](const td::Tensor& x) {
    const td::NameScope scope("encoder");
    line = __LINE__ + 1;
    const td::Tensor y = td::matmul(x, w);
    const td::TopKResult top = td::topk(y, 1);
    w.assign_sub(0.5f * w);
    w.assign_add(td::ones({3, 2}));
    return td::cast(top.indices, td::float32) + top.values;
  });
  EXPECT_ERROR(writer.graph(f),
               "graph: the function has no graph yet: call it first, or say the specs of its arguments "
               "(summary_test.cpp:LINE)");
  f(td::ones({4, 3}));
  writer.graph(f);
  const auto nodes = td::testing::graph_of(td::testing::read_events(writer.path()));
  td::testing::expect_sound(nodes);
  ASSERT_TRUE(nodes.count("encoder/matmul"));
  const auto& product = nodes.at("encoder/matmul");
  EXPECT_EQ(product.op, "MatMul");
  EXPECT_EQ(product.shapes, (std::vector<Sizes>{{4, 2}}));
  EXPECT_EQ(product.attributes.at("T").integer(6), 1);
  EXPECT_EQ(product.attributes.at("location").text(2), "summary_test.cpp:" + std::to_string(line));
  EXPECT_EQ(nodes.at(product.inputs[0]).op, "Input");
  EXPECT_EQ(nodes.at(product.inputs[1]).op, "ReadVariable");
  EXPECT_EQ(nodes.at(product.inputs[1]).attributes.at("variable").text(2), "w");
  bool second_output = false;
  int after_another = 0;
  for (const auto& [name, node] : nodes)
    for (const std::string& input : node.inputs) {
      second_output = second_output || input == "encoder/topk:1";
      after_another += input[0] == '^';
    }
  EXPECT_TRUE(second_output);
  EXPECT_EQ(after_another, 1);  // the second assignment follows the first
}

TEST(Summary, GraphWithBranchesAndUnknownSizes) {
  const td::summary::Writer writer(folder());
  const auto f = [](const td::Tensor& x) {
    return td::cond(
        td::sum(x) > 0, [&] { return td::exp(x); }, [&] { return x * 2; });
  };
  writer.graph(td::function(f), {td::spec({-1, 3})});
  EXPECT_ERROR(writer.graph(f, {}), "graph: 0 specs were given for 1 arguments (summary_test.cpp:LINE)");
  const auto nodes = td::testing::graph_of(td::testing::read_events(writer.path()));
  td::testing::expect_sound(nodes);
  std::string found;
  for (const auto& [name, node] : nodes)
    if (node.op == "Exp") {
      found = name;
      EXPECT_EQ(node.shapes, (std::vector<Sizes>{{-1, 3}}));
    }
  EXPECT_NE(found.find("/then/exp"), std::string::npos) << found;
}

TEST(Summary, GraphOfAModelHasItsLayersAsScopes) {
  const td::summary::Writer writer(folder());
  const nn::Sequential inner({nn::Dense(4, "relu")}, {.name = "inner"});
  const nn::Sequential model({nn::Input({3}), inner, nn::Dense(2, {}, {.name = "head"})}, {.name = "net"});
  writer.graph(model, {td::spec({-1, 3})});
  const auto nodes = td::testing::graph_of(td::testing::read_events(writer.path()));
  td::testing::expect_sound(nodes);
  int in_inner = 0, in_head = 0;
  for (const auto& [name, node] : nodes) {
    in_inner += name.starts_with("net/inner/dense/");
    in_head += name.starts_with("net/head/");
  }
  EXPECT_GE(in_inner, 3);
  EXPECT_GE(in_head, 2);
  // The names of variables are as before.
  EXPECT_EQ(model.variables()[0].name(), "net/inner/dense/kernel");
}

// ---- the callback of fit

namespace {

/// The only file of a run.
std::string file_in(const std::string& run) {
  std::string found;
  for (const auto& entry : std::filesystem::directory_iterator(run)) {
    EXPECT_TRUE(found.empty()) << "two files in " << run;
    found = entry.path();
  }
  return found;
}

float single_of(const td::testing::SummaryValue& v) {
  float number = 0;
  std::memcpy(&number, v.tensor.text(5).data(), 4);
  return number;
}

/// "tag@step", in order.
std::vector<std::string> points_of(const std::vector<td::testing::SummaryValue>& values) {
  std::vector<std::string> points;
  for (const auto& v : values) points.push_back(v.tag + '@' + std::to_string(v.step));
  return points;
}

}  // namespace

TEST(TensorBoard, WritesATraining) {
  using Words = std::vector<std::string>;
  const std::string logs = folder();
  const nn::Sequential model({nn::Input({4}), nn::Dense(1, {}, {.name = "out"})}, {.name = "net"});
  model.compile({.optimizer = nn::SGD(0.125), .loss = "mse", .metrics = {"mae"}});
  model.set_mode(nn::Mode::graph);
  const td::Tensor x = td::ones({6, 4}), y = td::zeros({6, 1});
  const auto board = std::make_shared<nn::TensorBoard>(
      nn::TensorBoardOptions{.log_dir = logs, .histogram_freq = 1, .update_freq = 2});
  const nn::History history = model.fit(
      x, y, {.batch_size = 2, .epochs = 2, .validation_data = {x, y}, .callbacks = {board}, .verbose = 0});

  const auto events = td::testing::read_events(file_in(logs + "/train"));
  const auto train = td::testing::values_of(events);
  const auto held = td::testing::values_of(td::testing::read_events(file_in(logs + "/validation")));
  EXPECT_EQ(points_of(train),
            (Words{"batch_loss@2", "batch_mae@2", "epoch_loss@0", "epoch_mae@0", "epoch_learning_rate@0",
                   "out/kernel/histogram@0", "out/bias/histogram@0", "batch_loss@4", "batch_mae@4",
                   "batch_loss@6", "batch_mae@6", "epoch_loss@1", "epoch_mae@1", "epoch_learning_rate@1",
                   "out/kernel/histogram@1", "out/bias/histogram@1"}));
  EXPECT_EQ(points_of(held), (Words{"evaluation_loss_vs_iterations@3", "evaluation_mae_vs_iterations@3",
                                    "epoch_loss@0", "epoch_mae@0", "evaluation_loss_vs_iterations@6",
                                    "evaluation_mae_vs_iterations@6", "epoch_loss@1", "epoch_mae@1"}));
  EXPECT_EQ(single_of(train[2]), static_cast<float>(history["loss"][0]));
  EXPECT_EQ(single_of(train[4]), 0.125f);
  EXPECT_EQ(single_of(held[2]), static_cast<float>(history["val_loss"][0]));

  const auto nodes = td::testing::graph_of(events);
  td::testing::expect_sound(nodes);
  int layer = 0, loss = 0, gradient = 0, optimizer = 0, metric = 0;
  for (const auto& [name, node] : nodes) {
    layer += name.starts_with("net/out/");
    loss += name.starts_with("mse/");
    gradient += name.starts_with("gradient/");
    optimizer += name.starts_with("optimizer/");
    metric += name.starts_with("mae/");
  }
  for (const int count : {layer, loss, gradient, optimizer, metric}) EXPECT_GE(count, 2);
}

TEST(TensorBoard, EagerTrainingsHaveNoGraph) {
  const std::string logs = folder();
  const nn::Sequential model({nn::Input({2}), nn::Dense(1)});
  model.compile({.optimizer = nn::SGD(0.1), .loss = "mse"});
  model.set_mode(nn::Mode::eager);
  const auto board = std::make_shared<nn::TensorBoard>(
      nn::TensorBoardOptions{.log_dir = logs, .write_steps_per_second = true});
  model.fit(td::ones({2, 2}), td::zeros({2, 1}), {.callbacks = {board}, .verbose = 0});
  const auto events = td::testing::read_events(file_in(logs + "/train"));
  for (const Message& e : events) EXPECT_FALSE(e.has(4));
  EXPECT_EQ(points_of(td::testing::values_of(events)),
            (std::vector<std::string>{"epoch_loss@0", "epoch_learning_rate@0", "epoch_steps_per_second@0"}));
  EXPECT_ERROR(nn::UpdateFrequency("epochs"),
               "TensorBoard: the update frequency \"epochs\" is not known; known: epoch, batch, or a number "
               "(summary_test.cpp:LINE)");
  EXPECT_ERROR(nn::UpdateFrequency(0),
               "TensorBoard: the update frequency is 0 batches; expected 1 or more (summary_test.cpp:LINE)");
}
