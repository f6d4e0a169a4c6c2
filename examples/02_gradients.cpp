// Gradients: a tape records, and goes back; a line is fitted to points.

#include <tandem/tandem.h>

#include <iostream>

namespace td = tandem;

int main() {
  const td::Tensor x = {0.f, 1.f, 2.f, 3.f}, y = {1.f, 3.f, 5.f, 7.f};
  const td::Variable slope(td::Tensor(0.f)), offset(td::Tensor(0.f));
  for (int i = 0; i < 500; ++i) {
    td::GradientTape tape;  // trainable variables are watched when read
    const td::Tensor error = x * slope + offset - y;
    const td::Tensor loss = td::sum(error * error);
    const auto [d_slope, d_offset] = tape.gradient(loss, slope, offset);
    slope.assign_sub(0.02f * d_slope);
    offset.assign_sub(0.02f * d_offset);
  }
  std::cout << "The points lie on y = " << slope.value().item<float>() << " x + "
            << offset.value().item<float>() << '\n';

  // Derivatives of derivatives: d2(x^3)/dx2 = 6x.
  auto cube = [](const td::Tensor& t) { return t * t * t; };
  std::cout << "The second derivative of x^3 at 2: " << td::grad(td::grad(cube))(td::Tensor(2.f)) << '\n';
}
