// What users of Keras expect of the data of fit, evaluate and predict: T-27 to T-37.

#include <algorithm>
#include <numeric>

#include "tests/training_support.h"

namespace td = tandem;
namespace nn = td::nn;
namespace data = td::data;

using namespace tandem::testing;

using Floats = std::vector<float>;
using Numbers = std::vector<double>;
using Sizes = std::vector<int64_t>;

namespace {

/// A model that trains on nothing and writes down its batches: x, y and weights of each.
struct Seen {
  std::vector<Floats> x, y, weights;
};

nn::CompileOptions watching(const std::shared_ptr<Seen>& seen) {
  const auto step = [seen](const nn::Model&, const nn::Batch& batch) {
    const auto note = [](const td::Nest& nest, std::vector<Floats>& to) {
      for (const td::Tensor& t : nest.flatten()) to.push_back(td::cast(t, td::float32).to_vector<float>());
    };
    note(batch.x, seen->x);
    note(batch.y, seen->y);
    note(batch.sample_weight, seen->weights);
    return nn::StepResults{{"loss", td::Tensor(0.f)}};
  };
  return {.metrics = {"mae"}, .train_step = step, .test_step = step};
}

struct Watched {
  std::shared_ptr<Seen> seen = std::make_shared<Seen>();
  nn::Sequential model = ones_model(nn::Mode::eager, 1, 1);
  Watched() { model.compile(watching(seen)); }
  Sizes sizes() const {
    Sizes list;
    for (const Floats& f : seen->x) list.push_back(static_cast<int64_t>(f.size()));
    return list;
  }
  Floats all() const {
    Floats list;
    for (const Floats& f : seen->x) list.insert(list.end(), f.begin(), f.end());
    return list;
  }
};

td::Tensor count_to(int64_t n) { return td::reshape(td::arange(static_cast<float>(n)), {n, 1}); }

Floats sorted(Floats list) {
  std::sort(list.begin(), list.end());
  return list;
}

/// Gives batches of (1, 1) with the numbers from 0 on; `passes` of `length`.
nn::BatchGenerator generator(int64_t length, std::optional<int64_t> known = {}) {
  auto next = std::make_shared<int64_t>(0);
  return {.next = [next, length]() -> std::optional<td::Nest> {
            if (*next == length) {
              *next = 0;
              return {};
            }
            const td::Tensor x = td::full({1, 1}, static_cast<float>((*next)++));
            return td::Nest{x, x};
          },
          .batches = known};
}

}  // namespace

TEST(Behaviour, T_27_BatchesStayPairedAndThePartialOneIsUsed) {
  Watched w;
  const td::Tensor x = count_to(34), y = td::cast(td::reshape(x, {34}), td::int64);
  w.model.fit(x, y, {.batch_size = 16, .sample_weight = td::reshape(x, {34}) * 2, .verbose = 0});
  EXPECT_EQ(w.sizes(), (Sizes{16, 16, 2}));
  EXPECT_EQ(w.seen->x, w.seen->y);
  for (size_t i = 0; i < w.seen->x.size(); ++i)
    for (size_t j = 0; j < w.seen->x[i].size(); ++j) EXPECT_EQ(w.seen->weights[i][j], 2 * w.seen->x[i][j]);
  EXPECT_EQ(sorted(w.all()), x.to_vector<float>());
  // Labels keep their integer dtype on their way to the loss.
  const auto [inputs, labels] = examples(34);
  in_both_modes([&, inputs = inputs, labels = labels](nn::Mode mode) {
    const nn::Sequential model = classifier(mode);
    model.compile({.optimizer = nn::SGD(), .loss = "sparse_categorical_crossentropy"});
    model.fit(inputs, labels, {.batch_size = 16, .epochs = 2, .verbose = 0});
    return bits_of(model);
  });
}

TEST(Behaviour, T_28_Shuffling) {
  const td::Tensor x = count_to(10);
  const auto orders = [&](nn::Shuffle shuffle) {
    td::random::seed(3);
    Watched w;
    w.model.fit(x, x, {.batch_size = 4, .epochs = 2, .shuffle = shuffle, .verbose = 0});
    return w.seen->x;
  };
  const auto all = orders(true);
  EXPECT_EQ(orders(true), all);  // the seed decides
  EXPECT_NE(all[0], all[3]);     // anew each epoch
  Floats first;
  for (int i = 0; i < 3; ++i) first.insert(first.end(), all[i].begin(), all[i].end());
  EXPECT_NE(first, sorted(first));
  EXPECT_EQ(sorted(first), x.to_vector<float>());
  const auto none = orders(false);
  EXPECT_EQ(none[1], (Floats{4, 5, 6, 7}));
  EXPECT_EQ(none[4], none[1]);
  const auto inside = orders("batch");
  EXPECT_EQ(sorted(inside[0]), (Floats{0, 1, 2, 3}));
  EXPECT_EQ(sorted(inside[2]), (Floats{8, 9}));
  EXPECT_NE(inside, none);
  EXPECT_ERROR(nn::Shuffle("batches"),
               "shuffle: shuffle is \"batches\"; expected true, false or \"batch\" "
               "(behaviours_training_data_test.cpp:LINE)");
}

TEST(Behaviour, T_29_ValidationSplit) {
  const td::Tensor x = count_to(10);
  Watched w;
  w.model.fit(x, x, {.batch_size = 8, .epochs = 2, .validation_split = 0.2, .verbose = 0});
  ASSERT_EQ(w.seen->x.size(), 4u);
  EXPECT_EQ(sorted(w.seen->x[0]), (Floats{0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(w.seen->x[1], (Floats{8, 9}));
  EXPECT_EQ(w.seen->x[3], (Floats{8, 9}));
  // Explicit data win.
  Watched v;
  v.model.fit(x, x, {.validation_split = 0.2, .validation_data = {x * 2, x}, .verbose = 0});
  EXPECT_EQ(v.sizes(), (Sizes{10, 10}));
  EXPECT_EQ(v.seen->x[1][9], 18);
  EXPECT_ERROR(w.model.fit(x, x, {.validation_split = 0.99, .verbose = 0}),
               "fit: a validation split of 0.99 leaves 0 of 10 examples to train on "
               "(behaviours_training_data_test.cpp:LINE)");
  EXPECT_ERROR(w.model.fit(x, x, {.validation_split = 1, .verbose = 0}),
               "fit: the validation split is 1; expected 0 up to, not including, 1 "
               "(behaviours_training_data_test.cpp:LINE)");
  EXPECT_ERROR(w.model.fit(generator(3), {.validation_split = 0.5, .verbose = 0}),
               "fit: a validation split needs arrays; data that bring their own batches cannot be cut "
               "(behaviours_training_data_test.cpp:LINE)");
}

TEST(Behaviour, T_30_CountsThatDiffer) {
  Watched w;
  EXPECT_ERROR(w.model.fit(count_to(5), count_to(4), {.verbose = 0}),
               "fit: the numbers of examples differ: x 5; y 4 (behaviours_training_data_test.cpp:LINE)");
  EXPECT_ERROR(w.model.evaluate({{"a", count_to(5)}, {"b", {count_to(5), count_to(6)}}}, count_to(5),
                                {.sample_weight = td::zeros({5})}),
               "evaluate: the numbers of examples differ: x 5, 5, 6; y 5; sample_weight 5 "
               "(behaviours_training_data_test.cpp:LINE)");
  EXPECT_ERROR(w.model.predict(count_to(0)),
               "predict: there are no examples (behaviours_training_data_test.cpp:LINE)");
  EXPECT_ERROR(w.model.predict(td::Tensor(1.f)),
               "predict: x has a scalar; the first dimension counts the examples "
               "(behaviours_training_data_test.cpp:LINE)");
}

TEST(Behaviour, T_31_ClassWeights) {
  const td::Tensor x = count_to(3), labels({0, 2, 1}, td::int64);
  const std::map<int64_t, double> weights = {{0, 0.5}, {2, 4}};
  for (const td::Tensor& y :
       {labels, td::reshape(labels, {3, 1}), td::cast(td::one_hot(labels, 3), td::float32)}) {
    Watched w;
    w.model.fit(x, y, {.shuffle = false, .class_weight = weights, .verbose = 0});
    EXPECT_EQ(w.seen->weights, (std::vector<Floats>{{0.5, 4, 1}}));
  }
  Watched w;
  EXPECT_ERROR(
      w.model.fit(x, labels, {.class_weight = weights, .sample_weight = td::ones({3}), .verbose = 0}),
      "fit: both class weights and sample weights were given; expected one of them "
      "(behaviours_training_data_test.cpp:LINE)");
  EXPECT_ERROR(w.model.fit(x, {labels, labels}, {.class_weight = weights, .verbose = 0}),
               "fit: class weights need one output, and the targets are [*, *] "
               "(behaviours_training_data_test.cpp:LINE)");
  in_both_modes([](nn::Mode mode) {
    const nn::Model model = two_outputs(mode);
    model.compile({.loss = "mse"});
    const td::Tensor two = td::ones({2, 2}), one = td::ones({2, 1});  // outputs 2, 2
    const td::Tensor twice({2.f, 2.f}), half({0.5f, 0.5f});
    EXPECT_EQ(model.evaluate(two, {one, one}, {.sample_weight = {twice, half}})["loss"], 2.5);
    EXPECT_ERROR(model.evaluate(two, {one, one}, {.sample_weight = twice}),
                 "evaluate: the sample weights are *, and the model has 2 outputs: sum, twin; expected one "
                 "entry for each (behaviours_training_data_test.cpp:LINE)");
  });
}

TEST(Behaviour, T_32_GeneratorsAndDatasets) {
  for (const nn::TrainingData& source :
       {nn::TrainingData(generator(3)),
        nn::TrainingData(data::Dataset::from_tensors({count_to(3), count_to(3)}).batch(1))}) {
    Watched w;
    w.model.fit(source, {.epochs = 2, .verbose = 0});
    EXPECT_EQ(w.seen->x, (std::vector<Floats>{{0}, {1}, {2}, {0}, {1}, {2}}));  // none is lost
    EXPECT_EQ(w.seen->y, w.seen->x);
    EXPECT_ERROR(w.model.fit(source, {.sample_weight = td::ones({3}), .verbose = 0}),
                 "fit: sample weights were given beside data that bring their own batches "
                 "(behaviours_training_data_test.cpp:LINE)");
  }
  Watched w;
  EXPECT_ERROR(w.model.fit(generator(0), {.verbose = 0}),
               "fit: the data gave no batch; expected at least one (behaviours_training_data_test.cpp:LINE)");
  EXPECT_ERROR(w.model.evaluate(nn::BatchGenerator{[one = td::ones({1})]() -> std::optional<td::Nest> {
                                  return td::Nest{one, one, one, one};
                                }},
                                {}),
               "evaluate: a batch is [*, *, *, *]; expected [x], [x, y] or [x, y, sample_weight] "
               "(behaviours_training_data_test.cpp:LINE)");
  // Targets beside a data set do not compile.
  static_assert(!std::is_invocable_v<decltype([](auto d, auto y) -> decltype(w.model.fit(d, y)) {}),
                                     data::Dataset, td::Tensor>);
}

TEST(Behaviour, T_33_BatchesMayVaryInSizesOnly) {
  in_both_modes([](nn::Mode mode) {
    const auto source = [](std::vector<td::Shape> shapes) {
      auto next = std::make_shared<size_t>(0);
      return nn::BatchGenerator{[=]() -> std::optional<td::Nest> {
        if (*next == shapes.size()) return {};
        return td::Nest{td::ones(shapes[(*next)++])};
      }};
    };
    struct Total : nn::Module {
      td::Tensor operator()(const td::Tensor& x) const { return td::sum(x, {-1}); }
    };
    const nn::Model model{Total()};
    model.set_mode(mode);
    EXPECT_EQ(model.predict(source({{2, 3}, {4, 3}, {1, 5}})).leaf().to_vector<float>(),
              (Floats{3, 3, 3, 3, 3, 3, 5}));
    EXPECT_ERROR(model.predict(source({{2, 3}, {2, 3, 1}})),
                 "predict: batch 1 is [*, [], []]: float32(2, 3, 1); the batches before are [*, [], []]: "
                 "float32(2, 3) (behaviours_training_data_test.cpp:LINE)");
  });
}

TEST(Behaviour, T_34_SourcesThatEnd) {
  Watched w;
  ::testing::internal::CaptureStderr();
  w.model.fit(generator(2), {.epochs = 2, .steps_per_epoch = 3, .verbose = 0});  // nobody knew
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  EXPECT_EQ(w.all(), (Floats{0, 1, 0, 1}));
  ::testing::internal::CaptureStderr();
  w.model.fit(generator(2, 2), {.epochs = 2, .steps_per_epoch = 3, .verbose = 0});
  EXPECT_EQ(::testing::internal::GetCapturedStderr(),
            "tandem: the data gave 2 batches and an epoch was to have 3; epochs end early\n");
  EXPECT_EQ(w.all(), (Floats{0, 1, 0, 1, 0, 1, 0, 1}));
}

TEST(Behaviour, T_35_EpochsShorterThanTheData) {
  Watched w;
  const nn::History history = w.model.fit(generator(10), {.epochs = 3, .steps_per_epoch = 9, .verbose = 0});
  EXPECT_EQ(history.step_losses.size(),
            27u);  // 9 each: a pass that ends inside an epoch is followed by another
  EXPECT_EQ(w.seen->x[9], Floats{9});
  EXPECT_EQ(w.seen->x[10], Floats{0});
  EXPECT_EQ(w.seen->x[26], Floats{6});
}

TEST(Behaviour, T_36_SourcesWithoutEnd) {
  const nn::BatchGenerator endless{[n = 0]() mutable -> std::optional<td::Nest> {
    const td::Tensor x = td::full({1, 1}, static_cast<float>(n++));
    return td::Nest{x, x};
  }};
  Watched w;
  w.model.fit(endless,
              {.epochs = 2,
               .validation_data = data::Dataset::from_tensors({count_to(1), count_to(1)}).batch(1).repeat(),
               .validation_steps = 2,
               .steps_per_epoch = 3,
               .verbose = 0});
  EXPECT_EQ(w.seen->x.size(), 10u);
  const auto stop = std::make_shared<nn::LambdaCallback>();
  stop->train_batch_end = [&](int64_t batch, nn::Logs&) {
    if (batch == 6) w.model.stop_training();
  };
  EXPECT_EQ(w.model.fit(endless, {.callbacks = {stop}, .verbose = 0}).step_losses.size(), 7u);
}

TEST(Behaviour, T_37_HooksAndPrefetching) {
  std::vector<std::string> calls;
  nn::BatchGenerator hooked = generator(2);
  hooked.on_epoch_begin = [&](int64_t e) { calls.push_back("begin " + std::to_string(e)); };
  hooked.on_epoch_end = [&](int64_t e) { calls.push_back("end " + std::to_string(e)); };
  Watched w;
  w.model.fit(hooked, {.epochs = 2, .verbose = 0});
  EXPECT_EQ(calls, (std::vector<std::string>{"begin 0", "end 0", "begin 1", "end 1"}));
  const auto [x, y] = examples(64);
  const auto rows = data::Dataset::from_tensors({x, y}).shuffle(5).batch(10);
  calls.clear();
  const nn::Sequential of_rows = classifier(nn::Mode::eager);
  of_rows.compile({.optimizer = nn::SGD(0.1), .loss = "sparse_categorical_crossentropy"});
  of_rows.fit(rows.on_epoch(hooked.on_epoch_begin, hooked.on_epoch_end).prefetch(),
              {.epochs = 3, .initial_epoch = 1, .verbose = 0});
  EXPECT_EQ(calls, (std::vector<std::string>{"begin 1", "end 1", "begin 2", "end 2"}));
  in_both_modes([&](nn::Mode mode) {
    std::vector<std::vector<std::string>> bits;
    for (const data::Dataset& source :
         {rows, rows.prefetch(), rows.map([](const td::Nest& n) { return n; }, {.workers = 3}).prefetch(4)}) {
      td::random::seed(0);
      const nn::Sequential model = classifier(mode);
      model.compile({.optimizer = nn::SGD(0.1), .loss = "sparse_categorical_crossentropy"});
      model.fit(source, {.epochs = 2, .verbose = 0});
      bits.push_back(bits_of(model));
      // A fit that throws leaves no thread behind, and the next one is well.
      const auto fails = std::make_shared<nn::LambdaCallback>();
      fails->train_batch_end = [](int64_t, nn::Logs&) { throw std::runtime_error("enough"); };
      EXPECT_THROW(model.fit(source, {.callbacks = {fails}, .verbose = 0}), std::runtime_error);
      model.fit(source, {.verbose = 0});
    }
    EXPECT_EQ(bits[0], bits[1]);
    EXPECT_EQ(bits[0], bits[2]);
    return bits;
  });
}
