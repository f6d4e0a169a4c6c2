// What Keras's users expect of optimizers and schedules, T-48 to T-58: docs/behaviours.md has the list.

#include <cmath>
#include <numbers>

#include "tandem/tandem.h"
#include "tests/lines.h"
#include "tests/support.h"

namespace td = tandem;
namespace nn = td::nn;
namespace schedules = td::nn::schedules;

using Doubles = std::vector<double>;
using Names = std::vector<std::string>;

namespace {

td::Tensor from(Doubles values) {
  const auto count = static_cast<int64_t>(values.size());
  return td::from_vector(std::move(values), {count});
}

constexpr bool both_modes[] = {false, true};

void expect_near(const td::Tensor& x, const Doubles& expected, double tolerance = 1e-6) {
  const Doubles values = td::cast(x, td::float64).to_vector<double>();
  ASSERT_EQ(values.size(), expected.size());
  for (size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], expected[i], tolerance) << i;
}

/// Applies these gradients one after the other, each at once or by one graph, and gives the value after each.
class Stepper {
 public:
  Stepper(const nn::Optimizer& optimizer, const td::Variable& w, bool graph)
      : w_(w),
        step_([optimizer, w](td::Tensor gradient) {
          optimizer.apply_gradients({gradient}, {w});
          return w.value();
        }),
        traced_(td::function(step_)),
        graph_(graph) {}

  td::Tensor by(const td::Tensor& gradient) const {
    if (!graph_) return step_(gradient);
    const td::Tensor moved = traced_(gradient);
    EXPECT_EQ(td::testing::lines_of_the_library(traced_), "");
    return moved;
  }
  td::Tensor operator()(const Doubles& gradient) const { return by(td::cast(from(gradient), w_.dtype())); }

 private:
  td::Variable w_;
  std::function<td::Tensor(td::Tensor)> step_;
  td::Function<td::Tensor(td::Tensor)> traced_;
  bool graph_;
};

td::Variable variable(const Doubles& values, td::VariableOptions options = {}) {
  return td::Variable(td::cast(from(values), td::float32), std::move(options));
}

double at(const nn::LearningRate& rate, double step) { return rate(step).item<double>(); }

const float infinity = std::numeric_limits<float>::infinity();

}  // namespace

TEST(Behaviour, T_48_OneStepOfEach) {
  for (const bool graph : both_modes) {
    const auto stepped = [&](const nn::Optimizer& optimizer, const Doubles& expected) {
      SCOPED_TRACE(optimizer.name());
      const td::Variable w = variable({1, 2, 3, 4});
      expect_near(Stepper(optimizer, w, graph)({1, 6, 7, 2}), expected, 1e-4);
    };
    stepped(nn::SGD(0.5), {0.5, -1, -0.5, 3});
    stepped(nn::Adam(0.5), {0.5, 1.5, 2.5, 3.5});
    stepped(nn::AdamW(0.5, {}, {.weight_decay = 0.004}), {0.498, 1.496, 2.494, 3.492});
    stepped(nn::RMSprop(0.5), {-0.5811, 0.4189, 1.4189, 2.4189});
    stepped(nn::Adagrad(0.5), {0.5233, 1.5007, 2.5005, 3.5061});
    stepped(nn::Adamax(0.5), {0.5, 1.5, 2.5, 3.5});
    stepped(nn::Nadam(0.5), {0.4752, 1.4752, 2.4752, 3.4752});
    stepped(nn::RAdam(0.5), {0.5, -1, -0.5, 3});
    stepped(nn::Lion(0.5), {0.5, 1.5, 2.5, 3.5});
    stepped(nn::Adadelta(1), {0.9986, 1.9986, 2.9986, 3.9986});
    // The update's direction is (1, 1, 1, 1), the variable sqrt(30) long.
    stepped(nn::LAMB(0.5), {1 - 0.25 * std::sqrt(30.), 2 - 0.25 * std::sqrt(30.), 3 - 0.25 * std::sqrt(30.),
                            4 - 0.25 * std::sqrt(30.)});
    stepped(nn::Ftrl(0.5), {0.2218, 1.3954, 2.3651, 2.8814});
    stepped(nn::Rprop(0.5), {0.5, 1.5, 2.5, 3.5});
    stepped(nn::ASGD(0.5), {0.49995, -1.0001, -0.50015, 2.9998});
  }
}

TEST(Behaviour, T_49_DecoupledDecay) {
  for (const bool graph : both_modes) {
    const td::Variable w = variable({2, 2});
    expect_near(Stepper(nn::AdamW(1, {}, {.weight_decay = 0.004}), w, graph)({0, 0}), {1.992, 1.992});
    const td::Variable v = variable({2});
    expect_near(
        Stepper(nn::SGD(1, {}, {.weight_decay = 0.004, .decoupled_weight_decay = true}), v, graph)({1}),
        {0.992});
    // Left out by name, or by handle.
    for (const bool by_name : {false, true}) {
      const nn::AdamW optimizer(1, {}, {.weight_decay = 0.004});
      const td::Variable kernel = variable({2}, {.name = "layer/kernel", .unique_name = false}),
                         bias = variable({2}, {.name = "layer/bias", .unique_name = false});
      if (by_name)
        optimizer.exclude_from_weight_decay({"bias"});
      else
        optimizer.exclude_from_weight_decay(std::vector<td::Variable>{bias});
      const td::Tensor zero = td::zeros({1});
      const auto step = [&] { optimizer.apply_gradients({zero, zero}, {kernel, bias}); };
      graph ? td::function(step)() : step();
      expect_near(kernel.value(), {1.992});
      expect_near(bias.value(), {2});
      EXPECT_ERROR(optimizer.exclude_from_weight_decay({"kernel"}),
                   "exclude_from_weight_decay: the optimizer has begun; leave variables out of weight decay "
                   "before that (behaviours_optimizers_test.cpp:LINE)");
    }
  }
}

TEST(Behaviour, T_50_IterationsAndState) {
  for (const bool graph : both_modes) {
    const nn::Adam optimizer(0.1);
    EXPECT_EQ(optimizer.variables().size(), 2u);
    const td::Variable w = variable({1}, {.name = "hidden/kernel", .unique_name = false});
    const Stepper run(optimizer, w, graph);
    for (int i = 0; i < 3; ++i) run({1});
    EXPECT_EQ(optimizer.iterations().value().item<int64_t>(), 3);
    Names names;
    for (const auto& [name, v] : optimizer.named_variables()) names.push_back(name);
    EXPECT_EQ(names, (Names{"adam/iterations", "adam/learning_rate", "adam/hidden/kernel/momentum",
                            "adam/hidden/kernel/velocity"}));
  }
  const nn::SGD first(0.1, {.momentum = 0.9}), second(0.1);
  EXPECT_EQ(first.name(), "sgd");
  EXPECT_EQ(second.name(), "sgd_1");
  EXPECT_EQ(second.iterations().name(), "sgd_1/iterations");

  const td::Variable a = variable({1, 2}, {.name = "a", .unique_name = false}),
                     b = variable({3}, {.name = "b", .unique_name = false});
  const std::vector<td::Tensor> state = {td::Tensor(7, td::int64), td::Tensor(0.5, td::float64),
                                         td::Tensor({1.f, 2.f}), td::Tensor({3.f})};
  EXPECT_ERROR(first.set_state(state),
               "set_state: optimizer sgd has no state yet; build it, or take a step, first "
               "(behaviours_optimizers_test.cpp:LINE)");
  first.build({a, b});
  first.set_state(state);
  EXPECT_EQ(first.named_variables()[2].first, "sgd/a/momentum");
  EXPECT_EQ(first.named_variables()[3].first, "sgd/b/momentum");
  expect_near(first.variables()[2].value(), {1, 2});
  EXPECT_EQ(first.learning_rate().value().item<double>(), 0.5);
  EXPECT_ERROR(first.set_state({state[0], state[1], state[3], state[2]}),
               "set_state: \"sgd/a/momentum\" is float32(2,), and its value float32(1,) "
               "(behaviours_optimizers_test.cpp:LINE)");

  EXPECT_ERROR(nn::SGD(0.1, {.momentum = 2}),
               "sgd: momentum is 2; expected 0 to 1 (behaviours_optimizers_test.cpp:LINE)");
  EXPECT_ERROR(nn::Adam(0.1, {.beta_1 = 1}),
               "adam: beta_1 is 1; expected 0 up to, not including, 1 (behaviours_optimizers_test.cpp:LINE)");
  EXPECT_ERROR(nn::Adam(-1),
               "adam: the learning rate is -1; expected 0 or more "
               "(behaviours_optimizers_test.cpp:LINE)");
  EXPECT_ERROR(
      nn::SGD(0.1, {.nesterov = true}),
      "sgd: nesterov needs a momentum above 0 and no dampening (behaviours_optimizers_test.cpp:LINE)");
  EXPECT_ERROR(nn::Optimizer("adams"),
               "optimizer: \"adams\" is not known; known: sgd, adam, adamw, adamax, nadam, radam, rmsprop, "
               "adagrad, adadelta, ftrl, lion, lamb, rprop, asgd (behaviours_optimizers_test.cpp:LINE)");
  EXPECT_EQ(nn::Optimizer("RMSprop").learning_rate().value().item<double>(), 0.001);
}

TEST(Behaviour, T_51_MissingGradients) {
  for (const bool graph : both_modes) {
    const td::Variable a = variable({1}, {.name = "seen"}), b = variable({1}, {.name = "unseen"}),
                       frozen = variable({1}, {.trainable = false});
    const nn::SGD optimizer(1);
    const td::Tensor gradient = td::ones({1});
    const auto step = [&] { optimizer.apply_gradients({gradient, td::Tensor(), gradient}, {a, b, frozen}); };
    testing::internal::CaptureStderr();
    const auto traced = td::function(step);
    for (int i = 0; i < 2; ++i) graph ? traced() : step();
    EXPECT_EQ(testing::internal::GetCapturedStderr(),
              "tandem: variable unseen has no gradient and stays as it is\n");
    expect_near(a.value(), {-1});
    expect_near(b.value(), {1});
    expect_near(frozen.value(), {1});
    EXPECT_ERROR(optimizer.apply_gradients({td::Tensor(), gradient}, {b, frozen}),
                 "apply_gradients: none of the 1 variables has a gradient; was the loss computed from them "
                 "while the tape recorded? (behaviours_optimizers_test.cpp:LINE)");
  }
}

TEST(Behaviour, T_52_Clipping) {
  for (const bool graph : both_modes) {
    const auto moved = [&](const nn::OptimizerOptions& options, const Doubles& gradient) {
      const td::Variable w = variable(Doubles(gradient.size(), 0));
      return -Stepper(nn::SGD(1, {}, options), w, graph)(gradient);
    };
    expect_near(moved({.clipnorm = 1.0}, {100, 100}), {std::numbers::sqrt2 / 2, std::numbers::sqrt2 / 2});
    expect_near(moved({.clipvalue = 1.0}, {100, 100}), {1, 1});
    expect_near(moved({.global_clipnorm = 1.0}, {100, 100}),
                {std::numbers::sqrt2 / 2, std::numbers::sqrt2 / 2});
    expect_near(moved({.clipnorm = 1.0}, {0.1, -0.2}), {0.1, -0.2});
    expect_near(moved({.clipnorm = 1.0}, {0, 0}), {0, 0});

    // The global norm spans all variables, the other each.
    for (const bool global : {false, true}) {
      const td::Variable a = variable({0}), b = variable({0});
      nn::OptimizerOptions options;
      (global ? options.global_clipnorm : options.clipnorm) = 1;
      const nn::SGD optimizer(1, {}, options);
      const td::Tensor three = td::Tensor({3.f}), four = td::Tensor({4.f});
      const auto step = [&] { optimizer.apply_gradients({three, four}, {a, b}); };
      graph ? td::function(step)() : step();
      expect_near(a.value(), {global ? -0.6 : -1});
      expect_near(b.value(), {global ? -0.8 : -1});
    }
    // Before decay.
    const td::Variable w = variable({10});
    expect_near(Stepper(nn::SGD(1, {}, {.weight_decay = 0.5, .clipvalue = 1.0}), w, graph)({100}),
                {10 - 1 - 5});
  }
  EXPECT_ERROR(nn::SGD(1, {}, {.clipnorm = 1.0, .clipvalue = 1.0}),
               "sgd: more than one of clipnorm, clipvalue and global_clipnorm was given "
               "(behaviours_optimizers_test.cpp:LINE)");
}

TEST(Behaviour, T_53_GradientAccumulation) {
  for (const bool graph : both_modes)
    for (const double decay : {0.0, 0.1}) {
      const td::Variable w = variable({1, 2}), reference = variable({1, 2});
      const nn::Adam accumulating(0.1, {}, {.weight_decay = decay, .gradient_accumulation_steps = 3});
      const nn::Adam plain(0.1, {}, {.weight_decay = decay});
      const Stepper run(accumulating, w, graph), once(plain, reference, graph);
      for (int update = 0; update < 2; ++update) {
        const td::Tensor before = w.value();
        run({1, 1});
        run({2, 0});
        EXPECT_EQ(w.value().to_vector<float>(), before.to_vector<float>());
        EXPECT_EQ(accumulating.iterations().value().item<int64_t>(), update);
        run({3, 2});
        EXPECT_EQ(accumulating.iterations().value().item<int64_t>(), update + 1);
        EXPECT_EQ(w.value().to_vector<float>(), once({2, 1}).to_vector<float>());
      }
    }
}

TEST(Behaviour, T_54_MovingAverages) {
  for (const bool graph : both_modes) {
    const auto run = [&](std::optional<int64_t> frequency) {
      const td::Variable w = variable({3});
      const nn::SGD optimizer(1, {},
                              {.use_ema = true, .ema_momentum = 0.9, .ema_overwrite_frequency = frequency});
      const Stepper run(optimizer, w, graph);
      return std::tuple(w, optimizer, run);
    };
    {
      const auto [w, optimizer, step] = run({});
      for (const auto& [value, average] : {std::pair{2., 2.}, {1., 1.9}, {0., 1.71}}) {
        expect_near(step({1}), {value});
        expect_near(optimizer.average_of(w).value(), {average});
      }
      optimizer.finalize_variable_values({w});
      expect_near(w.value(), {1.71});
    }
    {
      const auto [w, optimizer, step] = run(3);
      step({1});
      expect_near(step({1}), {1});
      expect_near(step({1}), {1.71});
      expect_near(step({1}), {0.71});
      optimizer.finalize_variable_values({w});
      expect_near(w.value(), {0.71});
    }
  }
  EXPECT_ERROR(nn::SGD(1).average_of(variable({1})),
               "average_of: the optimizer keeps no averages; give it .use_ema = true "
               "(behaviours_optimizers_test.cpp:LINE)");
}

TEST(Behaviour, T_55_ConstraintsAndGatheredRows) {
  for (const bool graph : both_modes) {
    const td::Variable w = variable({1, 1}, {.constraint = nn::Constraint("non_neg").function()});
    const Stepper run(nn::SGD(1), w, graph);
    expect_near(run({2, 0.5}), {0, 0.5});
    expect_near(run({-1, 1}), {1, 0});

    // A gradient that comes from rows alone, some of them twice.
    const td::Variable rows(td::Tensor({{1.f, 2.f}, {3.f, 4.f}, {5.f, 6.f}})), dense(rows.value());
    const td::Tensor indices = {2, 0, 2};
    const auto trained = [&](const td::Variable& v, bool gathered) {
      const nn::Adam optimizer(0.1);
      const auto step = [&, gathered] {
        td::GradientTape tape;
        const td::Tensor chosen = gathered ? td::gather(v, indices) : td::matmul(td::one_hot(indices, 3), v);
        const td::Tensor g = tape.gradient(td::sum(chosen * chosen), v);
        optimizer.apply_gradients({g}, {v});
      };
      const auto traced = td::function(step);
      for (int i = 0; i < 3; ++i) graph ? traced() : step();
    };
    trained(rows, true);
    trained(dense, false);
    EXPECT_EQ(rows.value().to_vector<float>(), dense.value().to_vector<float>());
    EXPECT_EQ(rows.value().to_vector<float>()[2], 3);
  }
}

TEST(Behaviour, T_56_LossScales) {
  const auto value_after = [](const nn::Optimizer& optimizer, bool graph) {
    const td::Variable w = variable({1, 2});
    const auto step = [&] {
      td::GradientTape tape;
      const td::Tensor loss = td::sum(w * w);
      const td::Tensor g = tape.gradient(optimizer.scale_loss(loss), w);
      optimizer.apply_gradients({g}, {w});
      return optimizer.scale_loss(loss);
    };
    const td::Tensor loss = graph ? td::function(step)() : step();
    return std::pair(loss.item<float>(), w.value().to_vector<float>());
  };
  for (const bool graph : both_modes) {
    const auto plain = value_after(nn::SGD(0.125), graph);
    const auto by_option = value_after(nn::SGD(0.125, {}, {.loss_scale_factor = 8}), graph);
    EXPECT_EQ(by_option.first, 8 * plain.first);
    EXPECT_EQ(by_option.second, plain.second);
    const auto fixed =
        value_after(nn::LossScaleOptimizer(nn::SGD(0.125), {.initial_scale = 4, .dynamic = false}), graph);
    EXPECT_EQ(fixed.first, 4 * plain.first);
    EXPECT_EQ(fixed.second, plain.second);

    // Steps that are not finite change nothing but the scale.
    const td::Variable w = variable({1, 2});
    const nn::LossScaleOptimizer optimizer(nn::Adam(0.1), {.initial_scale = 400});
    const Stepper run(optimizer, w, graph);
    for (const float bad : {infinity, -infinity, std::nanf(""), infinity})
      EXPECT_EQ(run.by(td::Tensor({1.f, bad})).to_vector<float>(), (std::vector<float>{1, 2}));
    EXPECT_EQ(optimizer.named_variables()[0].first, "loss_scale/scale");
    EXPECT_EQ(optimizer.variables()[0].value().item<float>(), 25);
    EXPECT_EQ(optimizer.iterations().value().item<int64_t>(), 0);
    expect_near(optimizer.variables()[4].value(), {0, 0});
    expect_near(run({25, 50}), {0.9, 1.9});

    // One inside the other: a bad step is not accumulated.
    const td::Variable u = variable({1});
    const nn::LossScaleOptimizer both(nn::SGD(1, {}, {.gradient_accumulation_steps = 2}),
                                      {.initial_scale = 2});
    const Stepper accumulated(both, u, graph);
    accumulated({4});
    accumulated.by(td::Tensor({infinity}));
    expect_near(u.value(), {1});
    expect_near(accumulated({4}), {1 - (2. + 4.) / 2});  // the scale is 1 by now

    const nn::LossScaleOptimizer growing(nn::SGD(0), {.initial_scale = 2, .dynamic_growth_steps = 2});
    const td::Variable v = variable({1});
    const Stepper good(growing, v, graph);
    for (int i = 0; i < 8; ++i) good({1});
    EXPECT_EQ(growing.variables()[0].value().item<float>(), 32);
    EXPECT_EQ(growing.iterations().value().item<int64_t>(), 8);
  }
}

TEST(Behaviour, T_56_ModelsInHalvesScaleTheirLoss) {
  td::random::seed(1);
  const td::Tensor x = td::random::normal({8, 3}), y = td::random::normal({8, 2});
  const auto trained = [&](const char* policy, nn::Mode mode, const nn::Optimizer& optimizer) {
    td::random::seed(2);
    const nn::Sequential model({nn::Input({3}), nn::Dense(2)});
    model.layers()[0].set_dtype_policy(policy);
    model.set_mode(mode);
    model.compile({.optimizer = optimizer, .loss = "mse"});
    model.fit(x, y, {.batch_size = 8, .epochs = 3, .shuffle = false, .verbose = 0});
    return std::pair(model.optimizer(), model.variables()[0].value().to_vector<float>());
  };
  const auto scales = [](const nn::Optimizer& o) {
    return o.named_variables()[0].first == "loss_scale/scale";
  };
  const auto [eager, eager_weights] = trained("mixed_float16", nn::Mode::eager, nn::SGD(0.1));
  const auto [graph, graph_weights] = trained("mixed_float16", nn::Mode::graph, nn::SGD(0.1));
  EXPECT_TRUE(scales(eager));
  EXPECT_EQ(eager.iterations().value().item<int64_t>(), 3);
  EXPECT_EQ(eager_weights, graph_weights);
  EXPECT_FALSE(scales(trained("mixed_bfloat16", nn::Mode::graph, nn::SGD(0.1)).first));
  EXPECT_FALSE(
      scales(trained("mixed_float16", nn::Mode::graph, nn::SGD(0.1, {}, {.loss_scale_factor = 8})).first));
}

TEST(Behaviour, T_57_LearningRates) {
  for (const bool graph : both_modes) {
    // The rate of step k is that of iteration k, from 0.
    const nn::SGD optimizer(schedules::PiecewiseConstantDecay({0, 2}, {1, 0.5, 0.25}));
    const td::Variable w = variable({3});
    const Stepper run(optimizer, w, graph);
    for (const double expected : {2., 1.5, 1., 0.75}) expect_near(run({1}), {expected});
    EXPECT_TRUE(optimizer.has_schedule());
    EXPECT_EQ(optimizer.current_learning_rate().item<double>(), 0.25);
    EXPECT_ERROR(optimizer.set_learning_rate(1),
                 "set_learning_rate: the learning rate of " + optimizer.name() +
                     " follows a function, so it cannot be set (behaviours_optimizers_test.cpp:LINE)");
    EXPECT_EQ(optimizer.variables().size(), 1u);

    const td::Variable rate(0.5);
    const Stepper callable(nn::SGD([&rate] { return rate.value(); }), variable({3}), graph);
    expect_near(callable({1}), {2.5});
    rate.assign(1);
    expect_near(callable({1}), {1.5});

    const nn::SGD number(0.5);
    const Stepper numbered(number, variable({3}), graph);
    expect_near(numbered({1}), {2.5});
    number.set_learning_rate(1);
    expect_near(numbered({1}), {1.5});
    number.learning_rate().assign(0.25);
    expect_near(numbered({1}), {1.25});
  }
  EXPECT_ERROR(nn::SGD(1).set_learning_rate(-1),
               "set_learning_rate: the learning rate is -1; expected 0 or more "
               "(behaviours_optimizers_test.cpp:LINE)");
}

TEST(Behaviour, T_58_Schedules) {
  const auto follows = [](const nn::LearningRate& rate,
                          const std::vector<std::pair<double, double>>& expected) {
    const auto graph = td::function([&](const td::Tensor& step) { return rate(step); });
    for (const auto& [step, value] : expected) {
      EXPECT_NEAR(at(rate, step), value, 1e-15 + 1e-14 * std::abs(value)) << step;
      EXPECT_EQ(graph(td::Tensor(step)).item<double>(), at(rate, step));
      if (step == std::floor(step)) {
        EXPECT_EQ(rate(static_cast<int64_t>(step)).item<double>(), at(rate, step)) << step;
      }
    }
  };
  const double pi = std::numbers::pi;
  follows(schedules::ExponentialDecay(2, 10, 0.25),
          {{0, 2}, {5, 1}, {10, 0.5}, {12.5, 0.5 * std::sqrt(0.5)}, {20, 0.125}});
  follows(schedules::ExponentialDecay(2, 10, 0.25, {.staircase = true}),
          {{0, 2}, {9.5, 2}, {10, 0.5}, {19, 0.5}, {20, 0.125}});
  follows(schedules::InverseTimeDecay(1, 10, 3), {{0, 1}, {5, 0.4}, {10, 0.25}, {20, 1 / 7.}});
  follows(schedules::InverseTimeDecay(1, 10, 3, {.staircase = true}), {{9.5, 1}, {10, 0.25}, {19, 0.25}});

  follows(schedules::PolynomialDecay(1, 10, {.end = 0.5}), {{0, 1}, {5, 0.75}, {10, 0.5}, {11, 0.5}});
  follows(schedules::PolynomialDecay(1, 10, {.end = 0, .power = 2}), {{0, 1}, {5, 0.25}, {10, 0}, {20, 0}});
  follows(schedules::PolynomialDecay(1, 10, {.end = 0, .cycle = true}),
          {{0, 1}, {5, 0.5}, {10, 0}, {15, 0.25}, {20, 0}, {25, 1 / 6.}});

  follows(schedules::PiecewiseConstantDecay({1, 3}, {0.1, 0.2, 0.3}),
          {{0, 0.1}, {1, 0.1}, {1.5, 0.2}, {3, 0.2}, {4, 0.3}});
  follows(schedules::PiecewiseConstantDecay({}, {0.1}), {{0, 0.1}, {9, 0.1}});

  follows(schedules::CosineDecay(2, 10), {{0, 2}, {2.5, 1 + std::cos(pi / 4)}, {5, 1}, {10, 0}, {15, 0}});
  follows(schedules::CosineDecay(2, 10, {.alpha = 0.5}), {{0, 2}, {5, 1.5}, {10, 1}, {15, 1}});
  follows(schedules::CosineDecay(1, 10, {.warmup_target = 2, .warmup_steps = 4}),
          {{0, 1}, {2, 1.5}, {4, 2}, {9, 1}, {14, 0}, {20, 0}});

  follows(schedules::CosineDecayRestarts(2, 10),
          {{0, 2}, {5, 1}, {10, 2}, {20, 1}, {30, 2}, {50, 1}, {70, 2}});
  follows(schedules::CosineDecayRestarts(2, 10, {.t_mul = 1, .m_mul = 0.5, .alpha = 0.5}),
          {{0, 2}, {5, 1.5}, {10, 1.5}, {15, 1.25}, {20, 1.25}});
  follows(schedules::CosineDecayRestarts(1, 1000, {.t_mul = 3}), {{13'000, 1}, {40'000, 1}, {121'000, 1}});

  follows(schedules::StepDecay(1, 10, 0.5), {{0, 1}, {9, 1}, {10, 0.5}, {19.5, 0.5}, {20, 0.25}});

  const double low = 1 / 25., last = low / 1e4;
  follows(schedules::OneCycle(1, 11, {.rising = 6 / 11.}),
          {{0, low}, {2.5, (1 + low) / 2}, {5, 1}, {7.5, (1 + last) / 2}, {10, last}, {12, last}});
  follows(schedules::OneCycle(1, 11, {.rising = 6 / 11., .annealing = "linear"}),
          {{0, low}, {1, low + (1 - low) / 5}, {5, 1}, {6, 1 + (last - 1) / 5}, {10, last}});

  follows(schedules::WarmUp(schedules::CosineDecay(2, 10), 4), {{0, 0}, {1, 0.5}, {4, 2}, {9, 1}, {14, 0}});
  follows(schedules::WarmUp(0.5, 4, 0.1), {{0, 0.1}, {2, 0.3}, {4, 0.5}, {100, 0.5}});

  EXPECT_ERROR(schedules::ExponentialDecay(1, 0, 0.5),
               "exponential_decay: a period of 0 steps was asked for; expected 1 or more "
               "(behaviours_optimizers_test.cpp:LINE)");
  EXPECT_ERROR(schedules::PiecewiseConstantDecay({1}, {1}),
               "piecewise_constant_decay: 1 boundaries and 1 values were given; expected 2 values "
               "(behaviours_optimizers_test.cpp:LINE)");
}
