// Tensors: values with a dtype and a shape, immutable, printed as NumPy prints them.

#include <tandem/tandem.h>

#include <iostream>

namespace td = tandem;

int main() {
  const td::Tensor x = {{1.f, 2.f, 3.f}, {4.f, 5.f, 6.f}};
  std::cout << x << '\n';

  // Arithmetic broadcasts; numbers take the tensor's dtype.
  std::cout << x * 2 + td::Tensor({10.f, 20.f, 30.f}) << '\n';

  // Views share the elements and cost nothing.
  std::cout << td::transpose(x) << '\n' << x[{td::all, {1, 3}}] << '\n';

  // Reductions, products, conversions.
  std::cout << td::sum(x, {0}) << '\n' << td::matmul(x, td::transpose(x)) << '\n';
  std::cout << td::cast(x, td::int32) << '\n';

  // What goes wrong names the operation, the values and this very line.
  try {
    td::softmax(x, 3);
  } catch (const td::Error& e) {
    std::cout << e.what() << '\n';
  }
}
