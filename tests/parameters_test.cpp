// How parameters begin, what penalizes them and what they must satisfy.

#include <cmath>
#include <cstring>

#include "tandem/tandem.h"
#include "tests/support.h"

namespace td = tandem;
namespace nn = td::nn;

using Floats = std::vector<float>;

namespace {

/// Mean and deviation.
std::pair<double, double> moments(const td::Tensor& x) {
  double sum = 0, squares = 0;
  for (float v : x.to_vector<float>()) {
    sum += v;
    squares += static_cast<double>(v) * v;
  }
  const double n = static_cast<double>(x.size()), mean = sum / n;
  return {mean, std::sqrt(squares / n - mean * mean)};
}

double largest(const td::Tensor& x) { return td::amax(td::abs(x)).item<float>(); }

void expect_near(const td::Tensor& x, const std::vector<double>& expected, double tolerance = 1e-6) {
  const std::vector<double> values = td::cast(x, td::float64).to_vector<double>();
  ASSERT_EQ(values.size(), expected.size());
  for (size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], expected[i], tolerance) << i;
}

/// A module with one parameter, which it gives back.
struct Holder : nn::Module {
  explicit Holder(nn::ParameterOptions options, nn::Initializer initializer = "ones")
      : options_(std::move(options)), initializer_(std::move(initializer)) {}
  td::Tensor operator()(const td::Tensor& x) const {
    return x * parameter("w", {2, 2}, initializer_, options_);
  }

 private:
  nn::ParameterOptions options_;
  nn::Initializer initializer_;
};

}  // namespace

// ---- initializers

TEST(Initializers, NumbersAndMatrices) {
  EXPECT_EQ(nn::Initializer("zeros")({2}).to_vector<float>(), (Floats{0, 0}));
  EXPECT_EQ(nn::Initializer("ones")({2}).to_vector<float>(), (Floats{1, 1}));
  EXPECT_EQ(nn::Initializer("constant")({1}).to_vector<float>(), (Floats{0}));
  EXPECT_EQ(nn::initializers::Constant(0.5)({2}, td::float64).to_vector<double>(),
            (std::vector<double>{0.5, 0.5}));
  EXPECT_EQ(nn::initializers::Identity(2)({2, 3}).to_vector<float>(), (Floats{2, 0, 0, 0, 2, 0}));
  EXPECT_ERROR(nn::Initializer("identity")({2, 2, 2}),
               "an identity matrix has 2 dimensions; shape (2, 2, 2) was asked for");
}

TEST(Initializers, RandomOnesHaveTheirMoments) {
  td::random::seed(1);
  const td::Shape shape{100, 200};
  const struct {
    nn::Initializer initializer;
    double mean, deviation, limit;
  } cases[] = {
      {"random_uniform", 0, 0.1 / std::sqrt(12), 0.05},
      {"random_normal", 0, 0.05, 1},
      {"truncated_normal", 0, 0.05 * 0.8796, 0.1},
      {nn::initializers::RandomUniform({.low = 1, .high = 3}), 2, 2 / std::sqrt(12), 3},
      {nn::initializers::RandomNormal({.mean = 1, .stddev = 2}), 1, 2, 100},
      {nn::initializers::TruncatedNormal({.mean = 1, .stddev = 2}), 1, 2 * 0.8796, 5},
      {"glorot_uniform", 0, std::sqrt(1 / 150.), std::sqrt(3 / 150.)},
      {"glorot_normal", 0, std::sqrt(1 / 150.), 2 * std::sqrt(1 / 150.) / 0.8796},
      {"he_uniform", 0, std::sqrt(2 / 100.), std::sqrt(6 / 100.)},
      {"he_normal", 0, std::sqrt(2 / 100.), 2 * std::sqrt(2 / 100.) / 0.8796},
      {"lecun_uniform", 0, std::sqrt(1 / 100.), std::sqrt(3 / 100.)},
      {"lecun_normal", 0, std::sqrt(1 / 100.), 2 * std::sqrt(1 / 100.) / 0.8796},
      {"variance_scaling", 0, std::sqrt(1 / 100.), 2 * std::sqrt(1 / 100.) / 0.8796},
      {nn::initializers::VarianceScaling(
           {.scale = 3, .mode = "fan_out", .distribution = "untruncated_normal"}),
       0, std::sqrt(3 / 200.), 10},
  };
  int number = 0;
  for (const auto& c : cases) {
    SCOPED_TRACE(number++);
    const td::Tensor x = c.initializer(shape);
    const auto [mean, deviation] = moments(x);
    EXPECT_NEAR(mean, c.mean, 0.03 * c.deviation);
    EXPECT_NEAR(deviation, c.deviation, 0.03 * c.deviation);
    EXPECT_LE(largest(x), c.limit * 1.0001);
  }
}

TEST(Initializers, WindowsCountForTheFans) {
  const td::Tensor x = nn::Initializer("he_uniform")({3, 3, 8, 16});
  EXPECT_LE(largest(x), std::sqrt(6 / 72.));
  EXPECT_GE(largest(x), 0.98 * std::sqrt(6 / 72.));
}

TEST(Initializers, OrthogonalHasOrthonormalRowsOrColumns) {
  const td::Tensor tall = nn::initializers::Orthogonal({.gain = 2})({2, 3, 4});
  const td::Tensor columns = td::reshape(tall, {6, 4});
  expect_near(td::matmul(td::transpose(columns), columns),
              td::cast(4 * td::eye(4), td::float64).to_vector<double>(), 1e-5);
  const td::Tensor wide = nn::Initializer("orthogonal")({2, 5}, td::float64);
  expect_near(td::matmul(wide, td::transpose(wide)), {1, 0, 0, 1}, 1e-12);
  EXPECT_ERROR(nn::Initializer("orthogonal")({2}),
               "orthogonal parameters have at least 2 dimensions; shape (2,) was asked for");
}

TEST(Initializers, SeedsRepeat) {
  const nn::Initializer seeded = nn::initializers::GlorotNormal({.seed = 3});
  EXPECT_EQ(seeded({3, 4}).to_vector<float>(), seeded({3, 4}).to_vector<float>());
  const nn::Initializer free = "glorot_normal";
  td::random::seed(5);
  const Floats first = free({3, 4}).to_vector<float>(), second = free({3, 4}).to_vector<float>();
  EXPECT_NE(first, second);
  td::random::seed(5);
  td::random::uniform({7});  // what a model draws does not change how another begins
  EXPECT_EQ(free({3, 4}).to_vector<float>(), first);
  td::random::seed(6);
  EXPECT_NE(free({3, 4}).to_vector<float>(), first);
}

TEST(Initializers, RefuseBadOptions) {
  EXPECT_ERROR(nn::Initializer("glorot"),
               "initializer: \"glorot\" is not known; known: zeros, ones, constant, random_uniform, uniform, "
               "random_normal, normal, truncated_normal, variance_scaling, glorot_uniform, glorot_normal, "
               "he_uniform, he_normal, lecun_uniform, lecun_normal, orthogonal, identity "
               "(parameters_test.cpp:LINE)");
  EXPECT_ERROR(nn::initializers::RandomNormal({.stddev = -1}),
               "random_normal: the deviation is -1; expected 0 or more (parameters_test.cpp:LINE)");
  EXPECT_ERROR(nn::initializers::VarianceScaling({.mode = "fan"}),
               "variance_scaling: the mode is \"fan\"; expected \"fan_in\", \"fan_out\" or \"fan_avg\" "
               "(parameters_test.cpp:LINE)");
}

// ---- regularizers

TEST(Regularizers, Penalties) {
  const td::Tensor x({{1., -2.}, {3., 0.}}, td::float64);
  expect_near(nn::regularizers::L1(0.5)(x), {3});
  expect_near(nn::regularizers::L2(0.5)(x), {7});
  expect_near(nn::regularizers::L1L2({.l1 = 0.1, .l2 = 0.01})(x), {0.74});
  expect_near(nn::Regularizer("l1_l2")(x), {0.2});
  expect_near(nn::Regularizer("l2")(x), {0.14});
  expect_near(nn::Regularizer([](const td::Tensor& w) { return td::amax(w); })(x), {3});
  // The rows' cosine is 1 / sqrt(5), the columns' -1.
  const td::Tensor y({{1., -2.}, {3., 0.}}, td::float64);
  expect_near(nn::regularizers::OrthogonalRegularizer({.factor = 1})(y), {1 / std::sqrt(5.)});
  expect_near(nn::regularizers::OrthogonalRegularizer({.factor = 1, .mode = "columns"})(y),
              {1 / std::sqrt(10.)});
  EXPECT_ERROR(nn::regularizers::L2(-1),
               "l2: the factor is -1; expected 0 or more (parameters_test.cpp:LINE)");
  EXPECT_ERROR(nn::Regularizer([](const td::Tensor& w) { return w; })(x),
               "regularizer: the penalty of a value of shape (2, 2) is of shape (2, 2); expected a scalar "
               "(parameters_test.cpp:LINE)");
}

TEST(Regularizers, OfAModuleFollowThePresentValues) {
  const Holder holder({.regularizer = nn::regularizers::L2(0.5)});
  EXPECT_TRUE(holder.regularization_losses().empty());
  holder(td::ones({2, 2}));
  ASSERT_EQ(holder.regularization_losses().size(), 1u);
  EXPECT_EQ(holder.regularization_losses()[0].item<float>(), 2);
  const auto graph = td::function([&] { return holder.regularization_losses()[0]; });
  EXPECT_EQ(graph().item<float>(), 2);
  holder.variables()[0].assign(td::full({2, 2}, 2.f));
  EXPECT_EQ(holder.regularization_losses()[0].item<float>(), 8);
  EXPECT_EQ(graph().item<float>(), 8);
  td::GradientTape tape;
  const td::Tensor loss = holder.regularization_losses()[0];
  EXPECT_EQ(tape.gradient(loss, holder.variables()[0]).to_vector<float>(), (Floats{2, 2, 2, 2}));

  const Holder frozen({.trainable = false, .regularizer = "l2"});
  frozen(td::ones({2, 2}));
  EXPECT_TRUE(frozen.regularization_losses().empty());
}

// ---- constraints

TEST(Constraints, Values) {
  const td::Tensor x({{3., -0.3}, {4., 0.4}}, td::float64);
  expect_near(nn::Constraint("non_neg")(x), {3, 0, 4, 0.4});
  expect_near(nn::Constraint("max_norm")(x), {1.2, -0.3, 1.6, 0.4});
  expect_near(nn::constraints::MaxNorm({.max_value = 0.25, .axes = {1}})(x),
              {0.2487593, -0.0248759, 0.2487593, 0.0248759});
  expect_near(nn::Constraint("unit_norm")(x), {0.6, -0.6, 0.8, 0.8}, 1e-5);
  expect_near(nn::constraints::MinMaxNorm({.min_value = 1, .max_value = 2})(x), {1.2, -0.6, 1.6, 0.8}, 1e-5);
  expect_near(nn::constraints::MinMaxNorm({.min_value = 1, .max_value = 2, .rate = 0.5})(x),
              {2.1, -0.45, 2.8, 0.6}, 1e-5);
  EXPECT_ERROR(nn::constraints::MinMaxNorm({.min_value = 3, .max_value = 2}),
               "min_max_norm: the norms' limits are 3 and 2; expected 0 or more, the smaller first "
               "(parameters_test.cpp:LINE)");
}

TEST(Constraints, OfAParameterHoldAfterEachUpdate) {
  for (const bool graph : {false, true}) {
    const Holder holder({.constraint = "non_neg"});
    holder(td::ones({2, 2}));
    const td::Variable w = holder.variables()[0];
    const nn::SGD optimizer(1);
    const auto step = [&](const td::Tensor& gradient) {
      optimizer.apply_gradients({gradient}, {w});
      return w.value();
    };
    const td::Tensor gradient = {{2.f, 0.f}, {0.5f, -1.f}};
    const td::Tensor next = graph ? td::function(step)(gradient) : step(gradient);
    EXPECT_EQ(next.to_vector<float>(), (Floats{0, 1, 0.5, 2}));
  }
}
