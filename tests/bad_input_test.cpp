// Bad input, as users meet it: what training says of wrong labels, bad numbers, bad files and full disks.

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <limits>
#include <sstream>

#include "tests/training_support.h"

namespace {

namespace fs = std::filesystem;
namespace td = tandem;
namespace nn = td::nn;
using td::testing::in_both_modes;
using td::testing::message_of;

/// A folder of this process, away at the end.
class BadInput : public testing::Test {
 protected:
  BadInput() : folder(testing::TempDir() + "tandem_bad_input_" + std::to_string(getpid())) {
    fs::remove_all(folder);
    fs::create_directories(folder);
  }
  ~BadInput() override { fs::remove_all(folder); }
  std::string file(const std::string& name, const std::string& content) const {
    fs::create_directories(fs::path(folder + "/" + name).parent_path());
    std::ofstream(folder + "/" + name, std::ios::binary) << content;
    return folder + "/" + name;
  }
  const std::string folder;
};

/// Three classes from four numbers.
nn::Sequential network(nn::Mode mode, const nn::Loss& loss, double rate = 0.1) {
  nn::Sequential model({nn::Input({4}), nn::Dense(8, "relu"), nn::Dense(3, "softmax")}, {.name = "net"});
  model.set_mode(mode);
  model.compile({.optimizer = nn::SGD(rate), .loss = loss});
  return model;
}

const nn::FitOptions quiet{.batch_size = 4, .epochs = 20, .shuffle = false, .verbose = 0};

/// The message, without the lines of ours that follow it.
template <class F>
std::string without_line(F f) {
  const std::string text = message_of(f);
  return text.substr(0, text.find(" (bad_input_test.cpp:"));
}

TEST_F(BadInput, ErrorsInsideNameTheCallThatTheyEnded) {
  const auto line = [](int number) { return " (bad_input_test.cpp:" + std::to_string(number) + ")"; };
  in_both_modes([&](nn::Mode mode) {
    const bool eager = mode == nn::Mode::eager;
    const int made = __LINE__ + 1;
    nn::Sequential model({nn::Input({3}), nn::Embedding(5, 2), nn::Flatten()}, {.name = "net"});
    model.set_mode(mode);
    model.compile({.optimizer = nn::SGD(0.1), .loss = nn::MeanSquaredError()});
    const td::Tensor x = td::full({4, 3}, 7, td::int64), y = td::ones({4, 6});
    const std::string index = "gather: index 7 is out of range for size 5 of axis 0; expected -5 to 4" +
                              line(made) + (eager ? "\n  in layer net/embedding" : "\n  in net/embedding");

    int called = __LINE__ + 1;
    std::string said = message_of([&] { model.fit(x, y, quiet); });
    EXPECT_EQ(said, index + "\n  in fit" + line(called));
    called = __LINE__ + 1;
    said = message_of([&] { model(x); });
    EXPECT_EQ(said, index + "\n  in net" + line(called));
    called = __LINE__ + 1;
    said = message_of([&] { model.evaluate(td::ones({4, 2}), y); });
    EXPECT_EQ(said, "sequential: the input has shape (4, 2) and the model takes (?, 3)" + line(made) +
                        "\n  in layer net\n  in evaluate" + line(called));
  });
}

TEST_F(BadInput, LabelsOutsideTheClasses) {
  const td::Tensor x = td::ones({4, 4});
  in_both_modes([&](nn::Mode mode) {
    const auto said = [&](const nn::Loss& loss, const td::Tensor& y) {
      return without_line([&] { network(mode, loss).fit(x, y, quiet); });
    };
    for (const bool from_logits : {false, true}) {
      const nn::SparseCategoricalCrossentropy loss({.from_logits = from_logits});
      EXPECT_EQ(said(loss, td::Tensor({0, 1, 3, 2})),
                "class_labels: label 3 at position 2 is out of range for 3 classes; expected 0 to 2");
      EXPECT_EQ(said(loss, td::Tensor({0, -1, 1, 2}, td::int64)),
                "class_labels: label -1 at position 1 is out of range for 3 classes; expected 0 to 2");
      EXPECT_EQ(said(loss, td::Tensor({0.f, 0.5f, 1.f, 2.f})),
                "sparse_categorical_crossentropy: labels of dtype float32 are not class numbers; expected an "
                "integer dtype");
    }
    for (const char* loss : {"binary_crossentropy", "binary_focal_crossentropy"})
      EXPECT_EQ(said(loss, td::Tensor({{0, 0, 1}, {0, 1, 0}, {1, 0, 2}, {0, 0, 0}})),
                "class_labels: label 2 at position 8 is out of range for 2 classes; expected 0 to 1");
    EXPECT_EQ(said("categorical_crossentropy", td::zeros({4, 4})),
              "categorical_crossentropy: predictions of shape (4, 3) and targets of shape (4, 4) differ");
  });
}

TEST_F(BadInput, ReportsNameTheLayerWhoseResultsAreNotFinite) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  in_both_modes([&](nn::Mode mode) {
    const auto said = [&](const nn::Model& model, const td::Tensor& x, const td::Tensor& y) {
      return without_line([&] { model.fit(x, y, quiet); });
    };
    EXPECT_EQ(said(network(mode, "mse"), td::full({4, 4}, nan), td::ones({4, 3})),
              "fit: the loss is nan at batch 0 of epoch 0: the input has 16 NaN of 16 values");
    EXPECT_EQ(said(network(mode, "mse"), td::ones({4, 4}), td::full({4, 3}, nan)),
              "fit: the loss is nan at batch 0 of epoch 0: every layer's results are finite, so it is the "
              "loss itself");
    const nn::Sequential logarithm({nn::Input({4}), nn::Dense(2, {}, {.kernel_initializer = "ones"}),
                                    nn::Lambda([](const td::Tensor& x) { return td::log(x); }), nn::Dense(3)},
                                   {.name = "net"});
    logarithm.set_mode(mode);
    logarithm.compile({.optimizer = "sgd", .loss = "mse"});
    EXPECT_EQ(said(logarithm, -td::ones({4, 4}), td::ones({4, 3})),
              "fit: the loss is nan at batch 0 of epoch 0: layer net/lambda (Lambda) gave 8 NaN of 8 values");
    // Steps that are too long.
    const nn::Sequential growing({nn::Input({4}), nn::Dense(3, {}, {.kernel_initializer = "ones"})},
                                 {.name = "net"});
    growing.set_mode(mode);
    growing.compile({.optimizer = nn::SGD(1e20), .loss = "mse"});
    EXPECT_EQ(said(growing, td::ones({8, 4}), td::zeros({8, 3})),
              "fit: the loss is inf at batch 1 of epoch 0: every layer's results are finite, so it is the "
              "loss itself");
    growing.compile({.optimizer = nn::SGD(1e38), .loss = "mse"});
    EXPECT_EQ(said(growing, td::ones({8, 4}), td::zeros({8, 3})).substr(0, 23), "fit: the loss is inf at");
  });
}

TEST_F(BadInput, NothingToLearnFrom) {
  const td::Tensor x = td::ones({4, 4}), y = td::zeros({4, 3});
  const auto data = td::data::Dataset::from_tensors({x, y});
  in_both_modes([&](nn::Mode mode) {
    const nn::Sequential model = network(mode, "mse");
    const auto said = [&](const nn::TrainingData& source) {
      return without_line([&] { model.fit(source, quiet); });
    };
    const std::string no_batch = "the data gave no batch; expected at least one";
    EXPECT_EQ(said(nn::TrainingData(td::zeros({0, 4}), td::zeros({0, 3}))), "fit: there are no examples");
    EXPECT_EQ(said(data.take(0).batch(2)), "fit: " + no_batch);
    EXPECT_EQ(said(data.filter([](const td::Nest&) { return false; }).batch(2)), "fit: " + no_batch);
    EXPECT_EQ(said(td::data::Dataset::from_tensors({x}).batch(2)),
              "fit: the output has a loss and no targets");
    EXPECT_EQ(without_line([&] { model.evaluate(data.take(0).batch(2)); }), "evaluate: " + no_batch);
    EXPECT_EQ(without_line([&] { model.predict(nn::TrainingData(data.take(0).batch(2))); }),
              "predict: " + no_batch);
    nn::FitOptions validated = quiet;
    validated.validation_data = data.take(0).batch(2);
    EXPECT_ERROR(model.fit(x, y, validated),
                 "fit: " + no_batch + " (bad_input_test.cpp:LINE)\n  in the validation data");
    validated.validation_data = nn::TrainingData(x, td::zeros({3, 3}));
    EXPECT_ERROR(model.fit(x, y, validated),
                 "fit: the numbers of examples differ: x 4; y 3 (bad_input_test.cpp:LINE)\n  in the "
                 "validation data");
  });
}

TEST_F(BadInput, FilesThatFitReads) {
  const std::string table = file("table.csv", "a,b,c\n1,2,3\n4,5,6\n\n7,8\n");
  in_both_modes([&](nn::Mode mode) {
    const nn::Sequential model = td::testing::ones_model(mode, 2, 1);
    model.compile({.optimizer = "sgd", .loss = "mse"});
    EXPECT_EQ(without_line([&] {
                model.fit(td::data::csv_rows(table, {.label = "c", .vector = true}).batch(2), quiet);
              }),
              table + ":5: the row has 2 columns; expected 3");
  });
  const std::string picture = file("pictures/cats/a.png", "no picture");
  in_both_modes([&](nn::Mode mode) {
    const nn::Sequential model({nn::Input({2, 2, 3}), nn::Flatten(), nn::Dense(1)});
    model.set_mode(mode);
    model.compile({.optimizer = "sgd", .loss = "mse"});
    const auto pictures = td::data::image_folder(folder + "/pictures", {.image = {.size = {2, 2}}});
    EXPECT_EQ(without_line([&] { model.fit(pictures.data.batch(2).prefetch(), quiet); }),
              "fit: " + picture + ": neither PNG nor JPEG");
  });
}

/// Lets files grow to so many bytes at most, as a full disk does.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) {
    getrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit small{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
  }
  ~FullDisk() { setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

TEST_F(BadInput, AFullDiskEndsNoTraining) {
  const td::Tensor x = td::ones({4, 4}), y = td::zeros({4, 3});
  const std::string best = folder + "/best.safetensors", log = folder + "/log.csv";
  // What fits are the begins of files: two lines of the log, and no weights.
  const nn::Sequential model({nn::Input({4}), nn::Dense(1000), nn::Dense(3)});
  model.compile({.optimizer = nn::SGD(1e-4), .loss = "mse"});
  const auto last = std::make_shared<nn::ModelCheckpoint>(
      best, nn::ModelCheckpointOptions{.monitor = "loss", .save_best_only = true});
  nn::FitOptions options = quiet;
  options.epochs = 1;
  options.callbacks = {last};
  model.fit(x, y, options);
  const auto good = td::load_weights(best);
  const std::optional<double> reached = last->best();

  options.epochs = 3;
  options.callbacks = {last, std::make_shared<nn::CSVLogger>(log),
                       std::make_shared<nn::TensorBoard>(nn::TensorBoardOptions{
                           .log_dir = folder + "/logs", .histogram_freq = 1, .write_graph = false})};
  // Captured in memory: a file for it could not grow either.
  std::ostringstream said;
  std::streambuf* const terminal = std::cerr.rdbuf(said.rdbuf());
  {
    const FullDisk full(60);
    EXPECT_EQ(model.fit(x, y, options).epochs.size(), 3u);
  }
  std::cerr.rdbuf(terminal);
  // Curves wait in memory until there are many, or some time has gone.
  std::vector<std::string> lines, of_curves;
  std::istringstream text(said.str());
  for (std::string line; std::getline(text, line);)
    (line.find("TensorBoard") == std::string::npos ? lines : of_curves).push_back(line);
  const std::string end = " cannot be written: File too large; training goes on";
  const auto checkpoint = [&](int epoch) {
    return "tandem: no checkpoint in epoch " + std::to_string(epoch) + ": " + best + ":" + end;
  };
  EXPECT_EQ(lines, (std::vector<std::string>{checkpoint(1), checkpoint(2), checkpoint(3),
                                             "tandem: no line for epoch 3: the file " + log +
                                                 " cannot be written; training goes on"}));
  ASSERT_EQ(of_curves.size(), 1u);
  const std::string begin =
      "tandem: no more curves for TensorBoard: the file " + folder + "/logs/train/events.";
  EXPECT_EQ(of_curves[0].substr(0, begin.size()), begin);
  EXPECT_TRUE(of_curves[0].ends_with(end)) << of_curves[0];
  const std::string logged = td::data::read_text(log);
  EXPECT_EQ(std::count(logged.begin(), logged.end(), '\n'), 3);
  EXPECT_EQ(logged.back(), '\n');
  EXPECT_EQ(last->best(), reached);
  for (const auto& [name, tensor] : td::load_weights(best))
    EXPECT_EQ(tensor.to_vector<float>(), good.at(name).to_vector<float>()) << name;
}

}  // namespace
