// A layer of one's own: a class with parameters and members, as good as those that come with Tandem.
//
// What to look at:
//   - members are layers inside, parameters are made at the first call, when the input's shape is known;
//   - the same call operator runs eagerly, is traced, and describes functional models;
//   - a parameter may have a penalty and a limit, and the layer may do something else in training.

#include <tandem/tandem.h>

#include <iostream>

namespace td = tandem;
namespace nn = td::nn;

namespace {

/// x plus a share of what a dense layer makes of it. The share is learned, for each feature, between 0 and 1;
/// in training a little noise keeps it from settling too early.
struct Gated : nn::Module {
  explicit Gated(int64_t units) : inner_(member("inner", nn::Dense(units, "tanh"))) {}

  td::Tensor operator()(const td::Tensor& x) const {
    const td::Variable share =
        parameter("share", {x.shape().back()}, nn::initializers::Constant(0.5),
                  {.regularizer = nn::regularizers::L1(1e-4),
                   .constraint = [](const td::Tensor& s) { return td::clip(s, 0, 1); }});
    const td::Tensor y = x + share * inner_(x);
    return nn::is_training() ? y + td::random::normal(y.shape(), 0, 0.01) : y;
  }

 private:
  nn::Dense inner_;
};

/// Two interlocked spirals: points, and to which one each belongs.
std::pair<td::Tensor, td::Tensor> spirals(int64_t points) {
  const td::Tensor which = td::floor_mod(td::arange(points), 2);
  const td::Tensor side = td::cast(which, td::float32) * 2 - 1;
  const td::Tensor turn = 1 + 2 * td::random::uniform({points});
  const td::Tensor x = side * turn * td::cos(3 * turn), y = side * turn * td::sin(3 * turn);
  return {td::stack({x, y}, 1), which};
}

}  // namespace

int main() {
  td::random::seed(1);
  const auto [points, which] = spirals(1'000);

  const auto input = nn::Input({2});
  auto h = nn::Dense(32, "tanh")(input);
  for (int i = 0; i < 2; ++i) h = nn::Layer(Gated(32))(h);
  const nn::Model model(input, nn::Dense(2)(h), {.name = "spirals"});
  std::cout << model.summary() << '\n';

  model.compile({.optimizer = nn::Adam(0.01),
                 .loss = nn::SparseCategoricalCrossentropy({.from_logits = true}),
                 .metrics = {"accuracy"}});
  model.fit(points, which, {.batch_size = 50, .epochs = 30, .validation_split = 0.2, .verbose = 0});
  std::cout << "Which spiral a point belongs to, on all points: " << model.evaluate(points, which) << '\n';

  for (const auto& [name, variable] : model.named_parameters())
    if (name.ends_with("share"))
      std::cout << name << " lies between " << td::amin(variable).item<float>() << " and "
                << td::amax(variable).item<float>() << '\n';
}
