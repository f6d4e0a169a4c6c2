// What users of Keras expect of callbacks: T-59 to T-63.

#include <cmath>

#include "tandem/nn.h"
#include "tandem/tandem.h"
#include "tests/support.h"

namespace td = tandem;
namespace nn = td::nn;

using Words = std::vector<std::string>;

namespace {

constexpr nn::Mode modes[] = {nn::Mode::eager, nn::Mode::graph};

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
  for (const nn::Mode mode : modes) {
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
  }
}

TEST(Behaviour, T_60_StoppingEndsAfterThePresentBatch) {
  struct Stop : Recorder {
    void on_train_batch_end(int64_t b, nn::Logs& l) override {
      Recorder::on_train_batch_end(b, l);
      model().stop_training();
    }
  };
  for (const nn::Mode mode : modes) {
    const nn::Sequential model = compiled_model(mode);
    const auto stop = std::make_shared<Stop>();
    const nn::History history = model.fit(td::ones({4, 4}), td::zeros({4, 3}),
                                          {.batch_size = 1, .epochs = 3, .callbacks = {stop}, .verbose = 0});
    EXPECT_EQ(stop->calls, (Words{"train begin", "epoch begin 0", "batch begin 0", "batch end 0 loss",
                                  "epoch end 0 loss", "train end loss"}));
    EXPECT_EQ(history.epochs.size(), 1u);
  }
}
