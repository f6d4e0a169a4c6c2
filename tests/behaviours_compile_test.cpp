// What users of Keras expect of compile: T-18 to T-26.

#include <cmath>

#include "tests/training_support.h"

namespace td = tandem;
namespace nn = td::nn;

using namespace tandem::testing;

using Floats = std::vector<float>;
using Numbers = std::vector<double>;
using Words = std::vector<std::string>;

namespace {

Numbers numbers_in(const nn::Logs& logs) {
  Numbers numbers;
  for (const auto& [name, value] : logs.entries()) numbers.push_back(value);
  return numbers;
}

const td::Tensor rows = {{1.f, 2.f}, {3.f, 4.f}};  // sums 3 and 7
const td::Tensor zeros_of_rows = {{0.f}, {0.f}}, ones_of_rows = {{1.f}, {1.f}};

}  // namespace

TEST(Behaviour, T_18_ObjectsAndNames) {
  const td::Tensor x = td::ones({2, 4}), y = td::zeros({2, 3});
  in_both_modes([&](nn::Mode mode) {
    const nn::Sequential model = ones_model(mode);
    EXPECT_EQ(model.predict(x).to_vector<float>(), Floats(6, 4));  // neither needs compile
    EXPECT_EQ(model(x).to_vector<float>(), Floats(6, 4));
    EXPECT_FALSE(model.is_compiled());
    EXPECT_ERROR(model.fit(x, y),
                 "fit: the model is not compiled; call compile() first (behaviours_compile_test.cpp:LINE)");
    model.compile({.loss = "mse"});
    EXPECT_EQ(model.evaluate(x, y)["loss"], 16);
    model.compile({.metrics = {"mae", nn::Metric("mse")}});
    EXPECT_EQ(numbers_in(model.evaluate(x, y)), (Numbers{4, 16}));
    EXPECT_ERROR(model.fit(x, y),
                 "fit: the model was compiled without an optimizer (behaviours_compile_test.cpp:LINE)");
    Numbers losses;
    for (const nn::Optimizer& optimizer : {nn::Optimizer("sgd"), nn::Optimizer(nn::SGD())}) {
      const nn::Sequential fresh = ones_model(mode);
      fresh.compile({.optimizer = optimizer, .loss = nn::Loss("mse")});
      losses.push_back(fresh.fit(x, y, {.epochs = 2, .verbose = 0})["loss"].back());
    }
    EXPECT_EQ(losses[0], losses.back());
  });
  nn::CompileOptions by_name{.optimizer = "sgd", .loss = "mse", .metrics = "mae"};
  EXPECT_TRUE(by_name.optimizer);
  EXPECT_NE(message_of([] { nn::Losses l("mean_nonsense"); }), "no error");
  EXPECT_NE(message_of([] { nn::Metrics m("nonsense"); }), "no error");
  EXPECT_NE(message_of([] { nn::Optimizer o("sdg"); }), "no error");
  EXPECT_ERROR(ones_model(nn::Mode::eager).compile({}),
               "compile: neither a loss nor a metric was given (behaviours_compile_test.cpp:LINE)");
}

TEST(Behaviour, T_19_LossesByOutput) {
  in_both_modes([&](nn::Mode mode) {
    const nn::Model model = two_outputs(mode);
    const td::Nest y = {zeros_of_rows, ones_of_rows};
    const double first = (9 + 49) / 2., second = (4 + 36) / 2.;
    model.compile({.loss = "mse"});  // both
    EXPECT_EQ(model.evaluate(rows, y)["loss"], first + second);
    model.compile({.loss = {"mse", "mae"}});
    EXPECT_EQ(model.evaluate(rows, y)["loss"], first + 4);
    model.compile({.loss = {{"twin", "mse"}, {"sum", "mae"}}});
    EXPECT_EQ(model.evaluate(rows, {{"sum", zeros_of_rows}, {"twin", ones_of_rows}})["loss"], 5 + second);
    // An output without a loss needs no targets.
    model.compile({.loss = {{"twin", "mse"}}});
    EXPECT_EQ(model.evaluate(rows, {{"twin", ones_of_rows}})["loss"], second);
    EXPECT_EQ(model.evaluate(rows, {td::Nest(), ones_of_rows})["loss"], second);
    model.compile({.loss = {{}, "mse"}, .metrics = {{"sum", {"mae", "mse"}}, {"twin", "mae"}}});
    const nn::Logs logs = model.evaluate(rows, y);
    EXPECT_EQ(keys_of(logs), (Words{"loss", "twin_loss", "sum_mae", "sum_mse", "twin_mae"}));
    EXPECT_EQ(numbers_in(logs), (Numbers{second, second, 5, first, 4}));
    // Errors name what there is.
    model.compile({.loss = {{"son", "mse"}}});
    EXPECT_ERROR(model.evaluate(rows, y),
                 "evaluate: the losses name an output \"son\"; the outputs are sum, twin "
                 "(behaviours_compile_test.cpp:LINE)");
    model.compile({.loss = {"mse", "mse", "mse"}});
    EXPECT_ERROR(
        model.evaluate(rows, y),
        "evaluate: 3 losses were given, and the model has 2 outputs (behaviours_compile_test.cpp:LINE)");
    model.compile({.loss = "mse", .metrics = {"mae"}});
    EXPECT_ERROR(model.evaluate(rows, y),
                 "evaluate: 1 metrics were given, and the model has 2 outputs; expected a list for each "
                 "(behaviours_compile_test.cpp:LINE)");
    model.compile({.loss = "mse"});
    EXPECT_ERROR(model.evaluate(rows, {{"sum", zeros_of_rows}, {"other", ones_of_rows}}),
                 "evaluate: the targets name an output \"other\"; the outputs are sum, twin "
                 "(behaviours_compile_test.cpp:LINE)");
    EXPECT_ERROR(model.evaluate(rows, {{"sum", zeros_of_rows}}),
                 "evaluate: output twin has a loss and no targets (behaviours_compile_test.cpp:LINE)");
    EXPECT_ERROR(
        model.evaluate(rows, zeros_of_rows),
        "evaluate: the targets are *, and the model has 2 outputs: sum, twin; expected one entry for "
        "each (behaviours_compile_test.cpp:LINE)");
  });
}

TEST(Behaviour, T_20_KeysKeepTheirSpelling) {
  in_both_modes([&](nn::Mode mode) {
    const nn::Model model = two_outputs(mode);
    model.compile(
        {.optimizer = nn::SGD(), .loss = "mse", .metrics = {{"sum", {"acc", "mse"}}, {"twin", "mae"}}});
    const td::Nest y = {zeros_of_rows, ones_of_rows};
    const Words keys = {"loss", "sum_loss", "twin_loss", "sum_acc", "sum_mse", "twin_mae"};
    EXPECT_EQ(keys_of(model.evaluate(rows, y)), keys);
    EXPECT_EQ(keys_of(model.fit(rows, y, {.verbose = 0}).epochs[0]), keys);
    const nn::Sequential single = ones_model(mode, 2, 1);
    single.compile({.loss = "mse", .metrics = {"mean_squared_error", "mse", "mse"}});
    EXPECT_EQ(keys_of(single.evaluate(rows, zeros_of_rows)),
              (Words{"loss", "mean_squared_error", "mse", "mse_1"}));
  });
}

TEST(Behaviour, T_22_LossWeightsAndAddedLosses) {
  in_both_modes([&](nn::Mode mode) {
    const nn::Model model = two_outputs(mode);
    const td::Nest y = {zeros_of_rows, ones_of_rows};
    model.compile({.loss = "mse", .loss_weights = {0.5, 2}});
    nn::Logs logs = model.evaluate(rows, y);
    EXPECT_EQ(logs["loss"], 0.5 * 29 + 2 * 20);
    EXPECT_EQ(logs["sum_loss"], 29);  // unweighted
    EXPECT_EQ(logs["twin_loss"], 20);
    model.compile({.loss = "mse", .loss_weights = {{"twin", 0.25}}});
    EXPECT_EQ(model.evaluate(rows, y)["loss"], 29 + 5);
    model.compile({.loss = "mse", .loss_weights = {{"twins", 0.25}}});
    EXPECT_ERROR(model.evaluate(rows, y),
                 "evaluate: the loss weights name an output \"twins\"; the outputs are sum, twin "
                 "(behaviours_compile_test.cpp:LINE)");
    const nn::Sequential single = ones_model(mode, 2, 1);
    single.compile({.loss = "mse", .loss_weights = 3.});
    logs = single.evaluate(rows, zeros_of_rows);
    EXPECT_EQ(logs["loss"], 3 * 29);
    struct Penalty : nn::Module {
      td::Tensor operator()(const td::Tensor& x) const {
        add_loss(td::mean(x) / 2);
        return x;
      }
    };
    const nn::Sequential penalized(
        {nn::Input({2}), Penalty(), nn::Dense(1, {}, {.use_bias = false, .kernel_initializer = "ones"})});
    penalized.set_mode(mode);
    penalized.compile({.loss = "mse"});
    EXPECT_EQ(penalized.evaluate(rows, zeros_of_rows)["loss"], 29 + 1.25);
  });
}

TEST(Behaviour, T_23_WeightedMetricsSeeTheWeights) {
  in_both_modes([&](nn::Mode mode) {
    const nn::Sequential model = ones_model(mode, 2, 1);
    model.compile({.loss = "mse", .metrics = {"mae"}, .weighted_metrics = {"mae"}});
    const nn::Logs logs = model.evaluate(rows, zeros_of_rows, {.sample_weight = td::Tensor({1.f, 3.f})});
    EXPECT_EQ(keys_of(logs), (Words{"loss", "mae", "mae_1"}));
    EXPECT_EQ(logs["loss"], (9 + 3 * 49) / 2.);
    EXPECT_EQ(logs["mae"], 5);
    EXPECT_EQ(logs["mae_1"], (3 + 3 * 7) / 4.);
  });
}

TEST(Behaviour, T_24_ReductionsInTraining) {
  in_both_modes([&](nn::Mode mode) {
    const nn::Sequential model = ones_model(mode, 2, 1);
    const auto loss_of = [&](nn::Loss loss, const td::Tensor& y, td::Nest weights) {
      model.compile({.loss = std::move(loss)});
      return model.evaluate(rows, y, {.sample_weight = std::move(weights)})["loss"];
    };
    const auto squares = [](const td::Tensor& p, const td::Tensor& t) { return td::square(p - t); };
    EXPECT_EQ(loss_of(nn::Loss(squares, {.reduction = nn::Reduction::sum}), zeros_of_rows, {}), 58);
    EXPECT_EQ(loss_of("mse", zeros_of_rows, td::Tensor({0.f, 0.f})), 0);
    EXPECT_EQ(loss_of("mse", td::Tensor({0.f, 0.f}), {}), 29);  // (n) against (n, 1)
    EXPECT_EQ(loss_of("mse", zeros_of_rows, td::Tensor({2.f, 0.f})), 9);
    model.compile({.loss = nn::Loss(squares, {.reduction = nn::Reduction::none, .name = "each"})});
    EXPECT_ERROR(model.evaluate(rows, zeros_of_rows),
                 "evaluate: loss each has no reduction; training needs a sum or a mean "
                 "(behaviours_compile_test.cpp:LINE)");
  });
}

TEST(Behaviour, T_25_Recompiling) {
  const auto [x, y] = examples(12);
  in_both_modes([&, x = x, y = y](nn::Mode mode) {
    const nn::Sequential model = classifier(mode);
    model.compile({.optimizer = nn::SGD(0.1, {.momentum = 0.9}), .loss = "sparse_categorical_crossentropy"});
    model.fit(x, y, {.epochs = 2, .verbose = 0});
    const Floats before = model.predict(x).to_vector<float>();
    model.compile({.optimizer = nn::SGD(0.1, {.momentum = 0.9}),
                   .loss = "sparse_categorical_crossentropy",
                   .metrics = {"accuracy"}});
    EXPECT_EQ(model.predict(x).to_vector<float>(), before);
    EXPECT_EQ(keys_of(model.evaluate(x, y)), (Words{"loss", "accuracy"}));
    EXPECT_EQ(model.optimizer().iterations().value().item<int64_t>(), 0);  // anew
    // An inner model's own metrics are its affair.
    const nn::Sequential outer({nn::Input({6}), model});
    outer.set_mode(mode);
    outer.compile({.loss = "sparse_categorical_crossentropy"});
    EXPECT_EQ(keys_of(outer.evaluate(x, y)), (Words{"loss"}));
  });
}

TEST(Behaviour, T_26_MetricsBeginAnewAndOwnOnesCome) {
  struct Counting : nn::Sequential {
    using nn::Sequential::Sequential;
    nn::Metric steps = add_metric(
        nn::Metric([](const td::Tensor& p, const td::Tensor&) { return td::ones_like(p); }, "share"));
    nn::StepResults test_step(const nn::Batch& batch) const override {
      steps.update(batch.x.leaf(), batch.x.leaf());
      return nn::Sequential::test_step(batch);
    }
  };
  in_both_modes([&](nn::Mode mode) {
    Counting model({nn::Input({2}), nn::Dense(1, {}, {.use_bias = false, .kernel_initializer = "ones"})});
    model.set_mode(mode);
    model.compile({.optimizer = nn::SGD(0.), .loss = "mse", .metrics = {"mae"}});
    for (int i = 0; i < 2; ++i) {
      const nn::Logs logs = model.evaluate(rows, zeros_of_rows, {.batch_size = 1});
      EXPECT_EQ(keys_of(logs), (Words{"loss", "mae", "share"}));
      EXPECT_EQ(numbers_in(logs), (Numbers{29, 5, 1}));
    }
    const nn::History history = model.fit(rows, zeros_of_rows, {.epochs = 3, .verbose = 0});
    EXPECT_EQ(history["mae"], (Numbers{5, 5, 5}));
    EXPECT_EQ(history["share"], (Numbers{0, 0, 0}));
  });
}
