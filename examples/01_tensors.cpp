// Tensors: values with a dtype and a shape, immutable, printed as NumPy prints them.

#include <tandem/tandem.h>

#include <iostream>

namespace td = tandem;

int main() {
  const td::Tensor x = {{1.f, 2.f, 3.f}, {4.f, 5.f, 6.f}};
  std::cout << "x\n" << x << "\n\n";

  // Arithmetic broadcasts; numbers take the tensor's dtype.
  std::cout << "x * 2 + {10, 20, 30}\n" << x * 2 + td::Tensor({10.f, 20.f, 30.f}) << "\n\n";

  // Views share the elements and cost nothing.
  std::cout << "x, transposed\n" << td::transpose(x) << "\n\n";
  std::cout << "all rows, columns 1 and 2\n" << x[{td::all, {1, 3}}] << "\n\n";

  // Reductions, products, conversions.
  std::cout << "sums of the columns\n" << td::sum(x, {0}) << "\n\n";
  std::cout << "x times x transposed\n" << td::matmul(x, td::transpose(x)) << "\n\n";
  std::cout << "x as int32\n" << td::cast(x, td::int32) << "\n\n";

  // What goes wrong names the operation, the values and this very line.
  try {
    td::softmax(x, 3);
  } catch (const td::Error& e) {
    std::cout << "softmax along axis 3 says\n" << e.what() << '\n';
  }
}
