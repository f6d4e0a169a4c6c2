// An operation of one's own: any function of tensors is one; a rule of one's own replaces its gradient.
//
// What to look at:
//   - functions made of operations work in both modes and have gradients without further ado;
//   - where the derived gradient is useless (rounding has none) or overflows, td::custom_gradient has
//   another;
//   - td::check_gradients compares any gradient with differences.

#include <tandem/tandem.h>

#include <iostream>

namespace td = tandem;
namespace nn = td::nn;

namespace {

/// log(1 + exp(x)), written as in a book. Its value overflows for large x, and its gradient there is NaN.
td::Tensor naive_softplus(const td::Tensor& x) { return td::log(1 + td::exp(x)); }

/// The same with a value that does not overflow, and the gradient that mathematics gives: sigmoid(x).
td::Tensor stable_softplus(const td::Tensor& x) {
  return td::custom_gradient(
      [](std::vector<td::Tensor> a) -> td::CustomGradientResult {
        const td::Tensor value = td::maximum(a[0], 0) + td::log(1 + td::exp(-td::abs(a[0])));
        return {value, [input = a[0]](const td::Tensor& dy) {
                  return std::vector<td::Tensor>{dy * td::sigmoid(input)};
                }};
      },
      {x});
}

/// The signs of x, with the gradient of x itself: so networks of signs can be trained.
td::Tensor signs(const td::Tensor& x) {
  return td::grad_pass_through(
      [](const td::Tensor& t) { return td::where(t >= 0, td::ones_like(t), -td::ones_like(t)); })(x);
}

td::Tensor slope(td::Tensor (*f)(const td::Tensor&), const td::Tensor& x) {
  td::GradientTape tape;
  tape.watch(x);
  return tape.gradient(f(x), x);
}

}  // namespace

int main() {
  const td::Tensor x = {-1.f, 0.f, 1.f, 100.f};
  std::cout << "softplus:             " << naive_softplus(x)
            << "\n  with its own rule:  " << stable_softplus(x)
            << "\nits gradient:         " << slope(naive_softplus, x)
            << "\n  with its own rule:  " << slope(stable_softplus, x) << "\n\n";

  const auto check =
      td::check_gradients([](const std::vector<td::Tensor>& a) { return stable_softplus(a[0]); },
                          {td::Tensor({-2., 0.5, 3.}, td::float64)});
  std::cout << "Its gradient, checked against differences: off by " << check.largest_error << "\n\n";

  // Both modes, as for every function of tensors.
  td::compare_modes(td::function(stable_softplus), td::random::normal({1'000})).print();

  // In a network: weights of which only the signs count.
  td::random::seed(4);
  const td::Tensor inputs = td::random::normal({256, 16}), hidden = td::random::normal({16, 1});
  const td::Tensor targets = td::matmul(inputs, signs(hidden)) / 4;
  const td::Variable w(td::random::normal({16, 1}, 0, 0.1));
  const nn::SGD optimizer(0.05);
  const auto step = td::function([&] {
    td::GradientTape tape;
    const td::Tensor loss = td::mean(td::square(td::matmul(inputs, signs(w)) / 4 - targets));
    optimizer.apply_gradients({tape.gradient(loss, w)}, {w});
    return loss;
  });
  std::cout << "\nA network of signs: loss " << step().item<float>();
  for (int i = 0; i < 200; ++i) step();
  std::cout << " at first, " << step().item<float>() << " after 200 steps\n";
}
