// What users of Keras expect of callbacks: T-59 to T-63.

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "tests/training_support.h"

namespace td = tandem;
namespace nn = td::nn;

using namespace tandem::testing;

using Words = std::vector<std::string>;

namespace {

nn::Sequential compiled_model(nn::Mode mode) {
  nn::Sequential model({nn::Input({4}), nn::Dense(3, {}, {.use_bias = false, .kernel_initializer = "ones"})});
  model.set_mode(mode);
  model.compile({.optimizer = nn::SGD(0.01), .loss = "mse"});
  return model;
}

std::string names_in(const nn::Logs& logs) {
  std::string text;
  for (const auto& [name, value] : logs.entries()) text += ' ' + name;
  return text;
}

/// Writes down every call.
struct Recorder : nn::Callback {
  Words calls;
  void note(const std::string& call, const nn::Logs& logs) { calls.push_back(call + names_in(logs)); }
  void on_train_begin(nn::Logs& l) override { note("train begin", l); }
  void on_train_end(nn::Logs& l) override { note("train end", l); }
  void on_epoch_begin(int64_t e, nn::Logs& l) override { note("epoch begin " + std::to_string(e), l); }
  void on_epoch_end(int64_t e, nn::Logs& l) override { note("epoch end " + std::to_string(e), l); }
  void on_train_batch_begin(int64_t b, nn::Logs& l) override { note("batch begin " + std::to_string(b), l); }
  void on_train_batch_end(int64_t b, nn::Logs& l) override { note("batch end " + std::to_string(b), l); }
  void on_test_begin(nn::Logs& l) override { note("test begin", l); }
  void on_test_end(nn::Logs& l) override { note("test end", l); }
  void on_test_batch_begin(int64_t b, nn::Logs& l) override { note("test batch " + std::to_string(b), l); }
  void on_test_batch_end(int64_t b, nn::Logs& l) override { note("test batch end " + std::to_string(b), l); }
  void on_predict_begin(nn::Logs& l) override { note("predict begin", l); }
  void on_predict_end(nn::Logs& l) override { note("predict end", l); }
  void on_predict_batch_end(int64_t b, nn::Logs& l) override {
    note("predict batch " + std::to_string(b) + ' ' + td::to_string(l.outputs().leaf().shape()), l);
  }
};

}  // namespace

TEST(Behaviour, T_59_TheOrderOfCalls) {
  in_both_modes([](nn::Mode mode) {
    const nn::Sequential model = compiled_model(mode);
    const td::Tensor x = td::ones({4, 4}), y = td::zeros({4, 3});
    const auto recorder = std::make_shared<Recorder>();
    model.fit(x, y,
              {.batch_size = 2,
               .validation_data = {x, y},
               .validation_batch_size = 4,
               .callbacks = {recorder},
               .verbose = 0});
    EXPECT_EQ(recorder->calls,
              (Words{"train begin", "epoch begin 0", "batch begin 0", "batch end 0 loss", "batch begin 1",
                     "batch end 1 loss", "test begin", "test batch 0", "test batch end 0 loss",
                     "test end loss", "epoch end 0 loss val_loss", "train end loss val_loss"}));
    recorder->calls.clear();
    model.predict(x, {.batch_size = 3, .callbacks = {recorder}});
    EXPECT_EQ(recorder->calls,
              (Words{"predict begin", "predict batch 0 (3, 3)", "predict batch 1 (1, 3)", "predict end"}));
  });
}

TEST(Behaviour, T_60_StoppingEndsAfterThePresentBatch) {
  struct Stop : Recorder {
    void on_train_batch_end(int64_t b, nn::Logs& l) override {
      Recorder::on_train_batch_end(b, l);
      model().stop_training();
    }
  };
  in_both_modes([](nn::Mode mode) {
    const nn::Sequential model = compiled_model(mode);
    const auto stop = std::make_shared<Stop>();
    const nn::History history = model.fit(td::ones({4, 4}), td::zeros({4, 3}),
                                          {.batch_size = 1, .epochs = 3, .callbacks = {stop}, .verbose = 0});
    EXPECT_EQ(stop->calls, (Words{"train begin", "epoch begin 0", "batch begin 0", "batch end 0 loss",
                                  "epoch end 0 loss", "train end loss"}));
    EXPECT_EQ(history.epochs.size(), 1u);
  });
}

TEST(Behaviour, T_60_ErrorsAndAssignmentsInCallbacks) {
  in_both_modes([](nn::Mode mode) {
    const nn::Sequential model = compiled_model(mode);
    const td::Tensor x = td::ones({4, 4}), y = td::zeros({4, 3});
    struct Fails : Recorder {
      void on_train_batch_end(int64_t, nn::Logs&) override { throw std::runtime_error("enough"); }
    };
    const auto fails = std::make_shared<Fails>();
    EXPECT_THROW(model.fit(x, y, {.callbacks = {fails}, .verbose = 0}), std::runtime_error);
    EXPECT_EQ(fails->calls, (Words{"train begin", "epoch begin 0", "batch begin 0"}));
    EXPECT_EQ(model.fit(x, y, {.verbose = 0}).epochs.size(), 1u);
    // Assigning takes effect at once.
    const auto assigns = std::make_shared<nn::LambdaCallback>();
    assigns->train_batch_begin = [&](int64_t, nn::Logs&) { model.variables()[0].assign(td::ones({4, 3})); };
    EXPECT_EQ(model.fit(x, y, {.batch_size = 2, .callbacks = {assigns}, .verbose = 0}).step_losses,
              (std::vector<float>{16, 16}));
    // Evaluation and prediction stop as well.
    struct Stops : nn::Callback {
      int batches = 0;
      void on_test_batch_end(int64_t, nn::Logs&) override {
        ++batches;
        model().stop_evaluating();
      }
      void on_predict_batch_end(int64_t, nn::Logs&) override {
        ++batches;
        model().stop_predicting();
      }
    };
    const auto stops = std::make_shared<Stops>();
    model.evaluate(x, y, {.batch_size = 1, .callbacks = {stops}});
    EXPECT_EQ(stops->batches, 1);
    EXPECT_EQ(model.predict(x, {.batch_size = 1, .callbacks = {stops}}).shape(), (td::Shape{1, 3}));
  });
}

namespace {

/// Fits a model whose results are dictated: `values` of the monitored result, one an epoch.
nn::History dictated(nn::Callback& callback, const std::string& key, const std::vector<double>& values,
                     const nn::Sequential& model = compiled_model(nn::Mode::eager)) {
  const auto dictates = std::make_shared<nn::LambdaCallback>();
  dictates->epoch_end = [&](int64_t epoch, nn::Logs& logs) {
    logs.set(key, values[static_cast<size_t>(epoch)]);
    // The weights tell the epoch.
    model.variables()[0].assign(td::full({4, 3}, static_cast<float>(epoch)));
  };
  return model.fit(
      td::ones({2, 4}), td::zeros({2, 3}),
      {.epochs = static_cast<int64_t>(values.size()),
       .callbacks = {dictates, std::shared_ptr<nn::Callback>(std::shared_ptr<void>(), &callback)},
       .verbose = 0});
}

float weight_of(const nn::Module& module) { return module.variables()[0].value().to_vector<float>()[0]; }

}  // namespace

TEST(Behaviour, T_61_EarlyStopping) {
  const std::vector<double> losses = {10, 9, 8, 9, 8.9, 8.8, 8.7, 8.6, 8.5, 8.4};
  for (const int64_t patience : {0, 1, 2, 3}) {
    nn::EarlyStopping stop({.patience = patience});
    for (int again = 0; again < 2; ++again) {  // reusing it starts clean
      const nn::History history = dictated(stop, "val_loss", losses);
      EXPECT_EQ(history.epoch_numbers.back(), std::max<int64_t>(patience, 1) + 2);
      EXPECT_EQ(stop.stopped_epoch(), std::max<int64_t>(patience, 1) + 2);
      EXPECT_EQ(stop.best_epoch(), 2);
    }
  }
  nn::EarlyStopping up({.monitor = "val_acc"});  // up, by its name
  EXPECT_EQ(dictated(up, "val_acc", {0.1, 0.2, 0.3, 0.2, 0.5}).epochs.size(), 4u);
  nn::EarlyStopping down({.monitor = "val_acc", .mode = nn::MonitorMode::min});
  EXPECT_EQ(dictated(down, "val_acc", {0.1, 0.2, 0.3}).epochs.size(), 2u);
  nn::EarlyStopping delta({.min_delta = 0.5});
  EXPECT_EQ(dictated(delta, "val_loss", {3, 2, 1.9, 1.8}).epochs.size(), 3u);
  nn::EarlyStopping late({.start_from_epoch = 3});
  EXPECT_EQ(dictated(late, "val_loss", {1, 2, 3, 4, 5, 6}).epochs.size(), 5u);
  nn::EarlyStopping baseline({.patience = 3, .baseline = 0.5});
  EXPECT_EQ(dictated(baseline, "val_loss", {0.9, 0.8, 0.7, 0.6, 0.5}).epochs.size(), 3u);
  // The best epoch's weights come back.
  const nn::Sequential model = compiled_model(nn::Mode::graph);
  nn::EarlyStopping restores({.patience = 2, .restore_best_weights = true});
  dictated(restores, "val_loss", {3, 1, 2, 2, 2}, model);
  EXPECT_EQ(weight_of(model), 1);
  nn::EarlyStopping never({.patience = 9, .baseline = 0.1, .restore_best_weights = true});
  dictated(never, "val_loss", {3, 2, 1, 2},
           model);  // ended by the number of epochs, never under the baseline
  EXPECT_EQ(weight_of(model), 2);
  nn::EarlyStopping missing({.monitor = "val_los"});
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(dictated(missing, "val_loss", {1, 2, 3}).epochs.size(), 3u);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(),
            "tandem: EarlyStopping found no result \"val_los\"; there are: loss val_loss\n");
}

TEST(Behaviour, T_62_ReduceLROnPlateau) {
  const auto rates = [](nn::ReduceLROnPlateau& callback, const std::vector<double>& losses) {
    nn::Sequential model = compiled_model(nn::Mode::graph);
    model.compile({.optimizer = nn::SGD(0.1), .loss = "mse"});
    const nn::History history = dictated(callback, "val_loss", losses, model);
    EXPECT_EQ(history["learning_rate"].size(), losses.size());
    return model.optimizer().learning_rate().value().item<double>();
  };
  nn::ReduceLROnPlateau once({.patience = 1});
  EXPECT_NEAR(rates(once, {1, 1}), 0.01, 1e-8);
  EXPECT_NEAR(rates(once, {1, 1}), 0.01, 1e-8);  // reuse starts clean
  EXPECT_NEAR(rates(once, {1, 1, 1}), 0.001, 1e-9);
  nn::ReduceLROnPlateau cooling({.patience = 1, .cooldown = 2});
  EXPECT_NEAR(rates(cooling, {1, 1, 1, 1}), 0.001, 1e-9);
  nn::ReduceLROnPlateau floor({.factor = 0.5, .patience = 1, .min_lr = 0.04});
  EXPECT_NEAR(rates(floor, {1, 1, 1, 1, 1}), 0.04, 1e-8);
  nn::ReduceLROnPlateau falling({.patience = 1});
  EXPECT_NEAR(rates(falling, {4, 3, 2, 1}), 0.1, 1e-8);
  EXPECT_ERROR(
      nn::ReduceLROnPlateau({.factor = 1}),
      "reduce_lr_on_plateau: the factor is 1; expected less than 1 (behaviours_callbacks_test.cpp:LINE)");
  nn::Sequential scheduled = compiled_model(nn::Mode::graph);
  scheduled.compile({.optimizer = nn::SGD(nn::schedules::ExponentialDecay(0.1, 10, 0.5)), .loss = "mse"});
  EXPECT_EQ(message_of([&] {
              dictated(once, "val_loss", {1, 1}, scheduled);
            }).find("fit: ReduceLROnPlateau sets the learning rate, and that of sgd"),
            0u);
  // The scheduler.
  const nn::Sequential model = compiled_model(nn::Mode::graph);
  const auto halves = std::make_shared<nn::LearningRateScheduler>(
      [](int64_t epoch, double rate) { return epoch == 0 ? 0.5 : rate / 2; });
  EXPECT_EQ(model.fit(td::ones({2, 4}), td::zeros({2, 3}),
                      {.epochs = 3, .callbacks = {halves}, .verbose = 0})["learning_rate"],
            (std::vector<double>{0.5, 0.25, 0.125}));
}

TEST(Behaviour, T_63_TerminateOnNaN) {
  in_both_modes([](nn::Mode mode) {
    const nn::Sequential model = compiled_model(mode);
    td::Tensor x = td::concat({td::ones({2, 4}), td::full({2, 4}, NAN)}, 0);
    const td::Tensor y = td::zeros({4, 3});
    const nn::FitOptions options = {.batch_size = 1,
                                    .epochs = 3,
                                    .shuffle = false,
                                    .callbacks = {std::make_shared<nn::TerminateOnNaN>()},
                                    .verbose = 0};
    EXPECT_EQ(model.fit(x, y, options).step_losses.size(), 3u);
    const nn::Sequential fresh = compiled_model(mode);
    EXPECT_ERROR(fresh.fit(x, y,
                           {.batch_size = 1,
                            .shuffle = false,
                            .callbacks = {std::make_shared<nn::TerminateOnNaN>(
                                nn::TerminateOnNaNOptions{.raise_error = true})},
                            .verbose = 0}),
                 "fit: the loss is nan at batch 2 (behaviours_callbacks_test.cpp:LINE)");
  });
}

TEST(Behaviour, T_63_ModelCheckpoint) {
  const std::filesystem::path folder = std::filesystem::path(::testing::TempDir()) / "checkpoint_test";
  std::filesystem::remove_all(folder);
  const auto files = [&] {
    Words names;
    if (std::filesystem::exists(folder))
      for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
        if (entry.is_regular_file())
          names.push_back(std::filesystem::relative(entry.path(), folder).string());
    std::sort(names.begin(), names.end());
    std::filesystem::remove_all(folder);
    return names;
  };
  const std::string base = folder.string();
  nn::ModelCheckpoint each(base + "/a/b/w{epoch:02d}-{val_loss:.1f}.safetensors");
  dictated(each, "val_loss", {3, 2.25});
  EXPECT_EQ(files(), (Words{"a/b/w01-3.0.safetensors", "a/b/w02-2.2.safetensors"}));
  nn::ModelCheckpoint best(base + "/{epoch}.safetensors", {.save_best_only = true});
  const nn::Sequential model = compiled_model(nn::Mode::graph);
  dictated(best, "val_loss", {3, 1, 2, 0.5}, model);
  td::load_weights(model, base + "/2.safetensors");
  EXPECT_EQ(weight_of(model), 1);
  EXPECT_EQ(files(), (Words{"1.safetensors", "2.safetensors", "4.safetensors"}));
  nn::ModelCheckpoint batches(base + "/{epoch}-{batch}.safetensors", {.save_every_batches = 2});
  model.fit(td::ones({3, 4}), td::zeros({3, 3}),
            {.batch_size = 1,
             .epochs = 2,
             .callbacks = {std::shared_ptr<nn::Callback>(std::shared_ptr<void>(), &batches)},
             .verbose = 0});
  EXPECT_EQ(files(), (Words{"1-2.safetensors", "2-1.safetensors", "2-3.safetensors"}));
  nn::ModelCheckpoint missing(base + "/m.safetensors", {.monitor = "val_los", .save_best_only = true});
  ::testing::internal::CaptureStderr();
  dictated(missing, "val_loss", {1, 2});
  EXPECT_EQ(::testing::internal::GetCapturedStderr(),
            "tandem: ModelCheckpoint found no result \"val_los\"; there are: loss val_loss\n");
  EXPECT_EQ(files(), Words{});
  nn::ModelCheckpoint misspelt(base + "/{val_los:.2f}.safetensors");
  const std::string text = message_of([&] { dictated(misspelt, "val_loss", {1}); });
  EXPECT_NE(text.find("there are: epoch, batch, loss, val_loss"), std::string::npos) << text;
  Words saved;
  nn::ModelCheckpoint own(
      base + "/{epoch}", {.save = [&](const nn::Model&, const std::string& path) { saved.push_back(path); }});
  dictated(own, "val_loss", {1});
  EXPECT_EQ(saved, Words{base + "/1"});
  std::filesystem::remove_all(folder);
}

TEST(Behaviour, T_63_CSVLogger) {
  const std::string path = ::testing::TempDir() + "/log.csv";
  const auto lines = [&] {
    std::ifstream file(path);
    Words list;
    for (std::string line; std::getline(file, line);) list.push_back(line);
    return list;
  };
  nn::CSVLogger logger(path);
  const nn::Sequential model = compiled_model(nn::Mode::graph);
  dictated(logger, "extra", {0.5, 1.25}, model);
  Words written = lines();
  ASSERT_EQ(written.size(), 3u);
  EXPECT_EQ(written[0], "epoch,loss,extra");
  EXPECT_EQ(written[1], "0,16,0.5");
  EXPECT_EQ(written[2], "1,0,1.25");
  nn::CSVLogger more(path, {.separator = ';', .append = true});
  dictated(more, "extra", {2}, model);
  EXPECT_EQ(lines().size(), 4u);
  // Results that come later have their columns from the start.
  const auto validated = std::make_shared<nn::CSVLogger>(path);
  const td::Tensor x = td::ones({2, 4}), y = td::zeros({2, 3});
  model.fit(
      x, y,
      {.epochs = 2, .validation_data = {x, y}, .validation_freq = 2, .callbacks = {validated}, .verbose = 0});
  written = lines();
  EXPECT_EQ(written[0], "epoch,loss,val_loss");
  EXPECT_TRUE(written[1].ends_with(",NA")) << written[1];
  EXPECT_FALSE(written[2].ends_with(",NA")) << written[2];
}

TEST(Behaviour, T_59_AFitGoesOnFromAPosition) {
  // What BackupAndRestore is made of: the position, the weights and the generator at the end of a batch.
  const auto [x, y] = examples(40);
  for (const nn::Shuffle shuffle : {nn::Shuffle(true), nn::Shuffle(false), nn::Shuffle("batch")})
    in_both_modes([&, x = x, y = y](nn::Mode mode) {
      const nn::CompileOptions options = {.loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"}};
      const auto compiled = [&](const nn::Sequential& model) {
        nn::CompileOptions own = options;
        own.optimizer = nn::SGD(0.1);
        model.compile(own);
      };
      struct Saver : nn::Callback {
        nn::FitPosition saved;
        std::vector<td::Tensor> weights;
        td::Tensor generator;
        int64_t epoch = 0;
        void on_epoch_begin(int64_t e, nn::Logs&) override { epoch = e; }
        void on_train_batch_end(int64_t batch, nn::Logs&) override {
          if (epoch != 1 || batch != 2) return;
          saved = position();
          for (const td::Variable& v : model().variables()) weights.push_back(v);
          generator = td::random::generator();
        }
      };
      struct Resumer : nn::Callback {
        std::shared_ptr<Saver> from;
        void on_train_begin(nn::Logs&) override {
          const auto variables = model().variables();
          for (size_t i = 0; i < variables.size(); ++i) variables[i].assign(from->weights[i]);
          td::random::generator().assign(from->generator);
          resume(from->saved);
        }
      };
      const auto saver = std::make_shared<Saver>();
      const nn::Sequential unbroken = classifier(mode);
      compiled(unbroken);
      const nn::History whole = unbroken.fit(
          x, y, {.batch_size = 8, .epochs = 3, .shuffle = shuffle, .callbacks = {saver}, .verbose = 0});
      const nn::Sequential resumed = classifier(mode);
      compiled(resumed);
      const auto resumer = std::make_shared<Resumer>();
      resumer->from = saver;
      const nn::History rest = resumed.fit(
          x, y, {.batch_size = 8, .epochs = 3, .shuffle = shuffle, .callbacks = {resumer}, .verbose = 0});
      EXPECT_EQ(bits_of(resumed), bits_of(unbroken));
      EXPECT_EQ(rest.step_losses, whole.step_losses);
      EXPECT_EQ(rest["accuracy"], whole["accuracy"]);
      EXPECT_EQ(rest["loss"], whole["loss"]);
      return bits_of(resumed);
    });
}
