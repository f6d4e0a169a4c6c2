// Eager and graph: the same code in both modes, to the last bit, and which one pays.

#include <tandem/tandem.h>

#include <iostream>

namespace td = tandem;

int main() {
  auto gelu = [](td::Tensor x) {
    for (int i = 0; i < 4; ++i) x = 0.5f * x * (1 + td::tanh(0.7978845608f * (x + 0.044715f * x * x * x)));
    return x;
  };
  auto graph = td::function(gelu);
  const td::Tensor x = td::random::normal({64, 256});
  std::cout << "eagerly:    " << gelu(x)[0][{{0, 5}}] << '\n'
            << "as a graph: " << graph(x)[0][{{0, 5}}] << "\n\n";
  std::cout << "What was traced, and why:\n" << graph.explain() << '\n';

  // Branches on values: cond inside, so that one trace holds both.
  auto absolute = td::function([](td::Tensor t) {
    return td::cond(
        td::sum(t) > 0, [&] { return t; }, [&] { return -t; });
  });
  std::cout << "Two branches in one trace: " << absolute(td::Tensor({-1.f, -2.f})) << " and "
            << absolute(td::Tensor({1.f, 2.f})) << "\n\n";

  // Which mode is faster, from which call on, and whether the results are equal.
  td::compare_modes(graph, x).print();
}
