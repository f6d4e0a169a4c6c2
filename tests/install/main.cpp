// A program that knows Tandem only as installed.

#include <tandem/tandem.h>

#include <iostream>
#include <sstream>

namespace td = tandem;

int main() {
  td::Tensor x = {1, 2, 3, 4, 5.f};
  td::GradientTape tape;
  tape.watch(x);
  const td::Tensor y = td::sum(td::pow(x, 2));
  std::ostringstream text;
  text << tape.gradient(y, x) << '\n' << td::matmul(td::ones({2, 300}), td::ones({300, 1}));
  std::cout << text.str() << '\n';
  const bool right = text.str() ==
                     "Tensor([ 2.  4.  6.  8. 10.], shape=(5,), dtype=float32)\n"
                     "Tensor([[300.]\n        [300.]], shape=(2, 1), dtype=float32)";
  try {
    td::matmul(x, td::ones({4}));
  } catch (const td::Error& e) {
    std::cout << e.what() << '\n';
    return right ? 0 : 1;
  }
  return 1;
}
