// What users of Keras expect of fit, evaluate and predict: T-38 to T-47. Their data are in
// behaviours_training_data_test.cpp.

#include <cmath>
#include <limits>

#include "tandem/nn.h"
#include "tests/training_support.h"

namespace td = tandem;
namespace nn = td::nn;

using namespace tandem::testing;

using Floats = std::vector<float>;
using Numbers = std::vector<double>;
using Words = std::vector<std::string>;

namespace {

/// Counts how often its operator runs: once a trace in graph mode.
struct Counted : nn::Module {
  std::shared_ptr<int> calls = std::make_shared<int>(0);
  nn::Dense dense = member("dense", nn::Dense(3, "softmax"));
  td::Tensor operator()(const td::Tensor& x) const {
    ++*calls;
    return dense(x);
  }
};

const nn::CompileOptions classification = {
    .optimizer = nn::SGD(0.1), .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"}};

nn::CompileOptions fresh_classification(double rate = 0.1) {
  nn::CompileOptions options = classification;
  options.optimizer = nn::SGD(rate, {.momentum = 0.9});
  return options;
}

}  // namespace

TEST(Behaviour, T_38_LossesAreMeansOverSamples) {
  const auto [x, y] = examples(100);
  in_both_modes([&, x = x, y = y](nn::Mode mode) {
    const nn::Sequential model({nn::Input({6}), nn::Dense(3, "softmax")});
    model.set_mode(mode);
    model.compile(fresh_classification(0));
    const nn::History whole = model.fit(x, y, {.batch_size = 100, .verbose = 0});
    const nn::History cut = model.fit(x, y, {.batch_size = 80, .verbose = 0});
    EXPECT_NEAR(cut["loss"][0], whole["loss"][0], 1e-6);
    EXPECT_EQ(cut["accuracy"], whole["accuracy"]);
    EXPECT_NEAR(model.evaluate(x, y, {.batch_size = 30})["loss"], whole["loss"][0], 1e-6);
    EXPECT_EQ(model.evaluate(x, y, {.batch_size = 30})["accuracy"], whole["accuracy"][0]);
    EXPECT_NE(cut.step_losses[0], cut.step_losses[1]);
    return cut["loss"];
  });
}

TEST(Behaviour, T_39_KnownNumbers) {
  in_both_modes([](nn::Mode mode) {
    const nn::Sequential model = ones_model(mode);
    model.compile({.optimizer = nn::SGD(0.01), .loss = "mse", .metrics = {"mse"}});
    const td::Tensor x = td::ones({100, 4}), y = td::zeros({100, 3});
    const nn::Logs logs = model.evaluate(x, y);
    EXPECT_EQ(keys_of(logs), (Words{"loss", "mse"}));
    EXPECT_EQ(logs["loss"], 16);
    EXPECT_EQ(logs["mse"], 16);
    EXPECT_EQ(model.predict(x).to_vector<float>(), Floats(300, 4));
    const nn::History history = model.fit(x, y, {.batch_size = 100, .epochs = 3, .verbose = 0});
    EXPECT_EQ(history["loss"][0], 16);
    EXPECT_NEAR(history["loss"][1], 15.158, 1e-3);
    EXPECT_NEAR(history["loss"][2], 14.360, 1e-3);
    for (int i = 0; i < 3; ++i) EXPECT_NEAR(history["mse"][i], history["loss"][i], 1e-5);
    return history.step_losses;
  });
}

TEST(Behaviour, T_40_EvaluateChangesNothing) {
  const auto [x, y] = examples(20);
  in_both_modes([&, x = x, y = y](nn::Mode mode) {
    const nn::Sequential model = classifier(mode);
    model.compile(fresh_classification());
    model.fit(x, y, {.verbose = 0});
    const auto weights = bits_of(model);
    const nn::Logs logs = model.evaluate(x, y);
    EXPECT_EQ(keys_of(logs), (Words{"loss", "accuracy"}));
    EXPECT_EQ(bits_of(model), weights);
    EXPECT_EQ(model.evaluate(x, y)["loss"], logs["loss"]);  // no dropout
    // Validation in fit is the same measure, also after a fit that failed.
    const auto fails = std::make_shared<nn::LambdaCallback>();
    fails->epoch_end = [](int64_t, nn::Logs&) { throw std::runtime_error("enough"); };
    const nn::FitOptions validated = {.validation_data = {x, y}, .callbacks = {fails}, .verbose = 0};
    EXPECT_THROW(model.fit(x, y, validated), std::runtime_error);
    const nn::History history = model.fit(x, y, {.validation_data = {x, y}, .verbose = 0});
    EXPECT_EQ(history["val_loss"][0], model.evaluate(x, y)["loss"]);
    EXPECT_EQ(keys_of(history.epochs[0]), (Words{"loss", "accuracy", "val_loss", "val_accuracy"}));
    return history["val_loss"];
  });
}

TEST(Behaviour, T_41_PredictKeepsTheOrder) {
  const auto [x, y] = examples(10);
  in_both_modes([&, x = x](nn::Mode mode) {
    const nn::Sequential model = classifier(mode);
    const Floats whole = model.predict(x).to_vector<float>();
    EXPECT_EQ(whole, model(x).to_vector<float>());  // the same batch: the same bits
    Floats parts;
    for (int i = 0; i < 10; i += 4)
      for (float v : model(x[{td::Index(i, std::min(i + 4, 10))}]).to_vector<float>()) parts.push_back(v);
    EXPECT_EQ(model.predict(x, {.batch_size = 4}).to_vector<float>(), parts);
    EXPECT_EQ(model.predict_on_batch(x).leaf().to_vector<float>(), whole);
    const nn::Model two = two_outputs(mode);
    const td::Tensor rows = td::reshape(td::arange(10.f), {5, 2});
    const td::Nest outputs = two.predict(td::Nest(rows), {.batch_size = 2});
    EXPECT_EQ(outputs.form(), "[*, *]");
    EXPECT_EQ(outputs[1].leaf().to_vector<float>(), (Floats{1, 5, 9, 13, 17}));
    EXPECT_ERROR(two.predict(rows, {.batch_size = 2}),
                 "predict: the model gives [*, *]; predict(td::Nest(x)) returns that "
                 "(behaviours_training_test.cpp:LINE)");
    return whole;
  });
}

TEST(Behaviour, T_42_StepsOnOneBatch) {
  const auto [x, y] = examples(8);
  in_both_modes([&, x = x, y = y](nn::Mode mode) {
    const nn::Sequential model({nn::Input({6}), nn::Dense(3, "softmax")});
    model.set_mode(mode);
    model.compile(fresh_classification());
    const nn::Logs before = model.test_on_batch(x, y);
    const nn::Logs trained = model.train_on_batch(x, y);
    EXPECT_EQ(trained["loss"], before["loss"]);
    EXPECT_EQ(trained["accuracy"], before["accuracy"]);
    const nn::Logs after = model.test_on_batch(x, y);  // nothing carried over
    EXPECT_LT(after["loss"], before["loss"]);
    EXPECT_EQ(model.test_on_batch(x, y)["loss"], after["loss"]);
    EXPECT_EQ(model.evaluate(x, y)["loss"], after["loss"]);
    return after["loss"];
  });
}

TEST(Behaviour, T_43_StepsOfOnesOwn) {
  // A class: a penalty on the kernel, and its size in the results.
  struct Penalized : nn::Sequential {
    using nn::Sequential::Sequential;
    td::Tensor compute_loss(const nn::Batch& batch, const td::Nest& predictions,
                            bool training) const override {
      const td::Tensor loss = nn::Sequential::compute_loss(batch, predictions, training);
      return training ? loss + td::sum(td::square(variables()[0])) : loss;
    }
    nn::StepResults train_step(const nn::Batch& batch) const override {
      nn::StepResults results = nn::Sequential::train_step(batch);
      results.emplace_back("norm", td::sum(td::square(variables()[0])));
      return results;
    }
  };
  const td::Tensor x = td::ones({4, 4}), y = td::zeros({4, 3});
  in_both_modes([&](nn::Mode mode) {
    const Penalized model(
        {nn::Input({4}), nn::Dense(3, {}, {.use_bias = false, .kernel_initializer = "ones"})});
    model.set_mode(mode);
    model.compile({.optimizer = nn::SGD(0.01), .loss = "mse"});
    const nn::History history = model.fit(x, y, {.epochs = 2, .verbose = 0});
    EXPECT_EQ(history["loss"][0], 16 + 12);
    EXPECT_EQ(history["norm"].size(), 2u);
    EXPECT_LT(history["norm"][1], 12);
    EXPECT_LT(model.evaluate(x, y)["loss"], 16);
    // A copy that has lost the class trains by the base's steps again.
    const nn::Model plain = model;
    EXPECT_EQ(keys_of(plain.fit(x, y, {.verbose = 0}).epochs[0]), (Words{"loss"}));
    return bits_of(model);
  });
  // Functions.
  in_both_modes([&](nn::Mode mode) {
    const nn::Sequential model = ones_model(mode);
    model.compile({.optimizer = nn::SGD(0.01),
                   .loss = "mse",
                   .train_step = [](const nn::Model& m, const nn::Batch& batch) -> nn::StepResults {
                     td::GradientTape tape;
                     const td::Tensor loss = td::mean(td::abs(m.outputs_for(batch.x, true).leaf()));
                     m.minimize(loss, tape);
                     return {{"loss", loss}, {"twice", loss * 2}};
                   },
                   .compute_loss =
                       [](const nn::Model&, const nn::Batch&, const td::Nest& predictions, bool training) {
                         EXPECT_FALSE(training);
                         return td::sum(predictions.leaf());
                       }});
    const nn::History history = model.fit(x, y, {.verbose = 0});
    EXPECT_EQ(history["loss"], Numbers{4});
    EXPECT_EQ(history["twice"], Numbers{8});
    EXPECT_EQ(history.step_losses, Floats{4});
    EXPECT_NEAR(model.evaluate(x, y)["loss"], 12 * 4 * (1 - 0.01 / 3), 1e-5);
    return bits_of(model);
  });
}

TEST(Behaviour, T_44_StepsPerExecution) {
  const auto [x, y] = examples(50);
  in_both_modes([&, x = x, y = y](nn::Mode mode) {
    std::vector<std::vector<std::string>> bits;
    for (const int64_t group : {1, 2, 3, 9}) {
      td::random::seed(4);
      const nn::Sequential model = classifier(mode);
      nn::CompileOptions options = fresh_classification();
      options.steps_per_execution = group;
      model.compile(options);
      Words calls;
      const auto watch = std::make_shared<nn::LambdaCallback>();
      watch->train_batch_begin = [&](int64_t b, nn::Logs&) { calls.push_back('b' + std::to_string(b)); };
      watch->train_batch_end = [&](int64_t b, nn::Logs&) { calls.push_back('e' + std::to_string(b)); };
      model.fit(x, y, {.batch_size = 10, .callbacks = {watch}, .verbose = 0});
      if (group == 2) {
        EXPECT_EQ(calls, (Words{"b0", "e1", "b2", "e3", "b4", "e4"}));
      } else if (group == 9) {
        EXPECT_EQ(calls, (Words{"b0", "e4"}));
      }
      model.predict(x, {.batch_size = 10});
      bits.push_back(bits_of(model));
      EXPECT_EQ(bits.back(), bits.front());
    }
    return bits;
  });
}

TEST(Behaviour, T_45_TwoTracesAFit) {
  const auto [x, y] = examples(50);
  for (const int64_t batch : {32, 49}) {  // the last batch has 18, or 1
    const Counted network;
    const nn::Model model{network};
    model.set_mode(nn::Mode::graph);
    model.compile(fresh_classification());
    const auto traces = [&](const auto& f) {
      const int before = *network.calls;
      f();
      return *network.calls - before;
    };
    const auto fit = [&, x = x, y = y] { model.fit(x, y, {.batch_size = batch, .epochs = 2, .verbose = 0}); };
    const auto evaluate = [&, x = x, y = y] { model.evaluate(x, y, {.batch_size = batch}); };
    const auto predict = [&, x = x] { model.predict(x, {.batch_size = batch}); };
    EXPECT_LE(traces(fit), 2);
    EXPECT_EQ(traces(fit), 0);
    EXPECT_LE(traces(evaluate), 2);
    EXPECT_EQ(traces(evaluate), 0);
    EXPECT_LE(traces(predict), 2);
    EXPECT_EQ(traces(predict), 0);
  }
}

TEST(Behaviour, T_46_HistoryAndGoingOn) {
  const auto [x, y] = examples(20);
  in_both_modes([&, x = x, y = y](nn::Mode mode) {
    const auto run = [&](const std::vector<nn::FitOptions>& fits) {
      td::random::seed(5);
      const nn::Sequential model = classifier(mode);
      model.compile(fresh_classification());
      nn::History last;
      for (const nn::FitOptions& options : fits) last = model.fit(x, y, options);
      return std::pair(bits_of(model), last);
    };
    const auto [whole, history] =
        run({{.epochs = 4, .validation_data = {x, y}, .validation_freq = 2, .verbose = 0}});
    EXPECT_EQ(history["loss"].size(), 4u);
    EXPECT_EQ(history["val_loss"].size(), 2u);
    EXPECT_FALSE(history.epochs[0].contains("val_loss"));
    EXPECT_TRUE(history.epochs[1].contains("val_loss"));
    const auto [parts, last] =
        run({{.epochs = 3, .verbose = 0}, {.epochs = 4, .initial_epoch = 3, .verbose = 0}});
    EXPECT_EQ(parts, whole);
    EXPECT_EQ(last.epoch_numbers, std::vector<int64_t>{3});
    return whole;
  });
}

TEST(Behaviour, T_47_TheSameBitsAgain) {
  const auto [x, y] = examples(70);
  const auto run = [&, x = x, y = y](nn::Mode mode) {
    td::random::seed(6);
    const nn::Sequential model = classifier(mode);
    model.compile(fresh_classification());
    const nn::History history =
        model.fit(x, y, {.batch_size = 16, .epochs = 3, .validation_split = 0.2, .verbose = 0});
    return std::pair(bits_of(model), history.step_losses);
  };
  const auto first = run(nn::Mode::eager);
  EXPECT_EQ(run(nn::Mode::eager), first);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(run(nn::Mode::graph), first);
}

TEST(Behaviour, T_45_ALossThatIsNotFinite) {
  in_both_modes([](nn::Mode mode) {
    const nn::Sequential model = ones_model(mode);
    model.compile({.optimizer = nn::SGD(0.01), .loss = "mse"});
    const td::Tensor x = td::full({2, 4}, std::numeric_limits<float>::infinity()), y = td::zeros({2, 3});
    const std::string text = message_of([&] { model.fit(x, y, {.batch_size = 1, .verbose = 0}); });
    EXPECT_NE(text.find("fit: the loss is inf at batch 0 of epoch 0"), std::string::npos) << text;
    EXPECT_EQ(model.fit(x, y, {.batch_size = 1, .verbose = 0, .stop_on_nan = false}).step_losses.size(), 2u);
  });
}
