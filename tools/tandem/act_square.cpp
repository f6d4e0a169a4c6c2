// Act 1: one line of code, and what a print inside it shows.

#include <fmt/format.h>

#include <iostream>
#include <sstream>
#include <vector>

#include "core/text_table.h"
#include "demo.h"
#include "inspect/sampler.h"
#include "story.h"
#include "tandem/tandem.h"

namespace tandem::cli {

namespace {

constexpr int repetitions = 5;

Tensor square(Tensor x) { return pow(x, 2); }

Tensor square_and_print(Tensor x) {
  Tensor y = pow(x, 2);
  std::cout << y << '\n';
  return y;
}

/// What `f` writes to std::cout.
template <class F>
std::string printed_by(const F& f) {
  std::ostringstream text;
  std::streambuf* const screen = std::cout.rdbuf(text.rdbuf());
  try {
    f();
  } catch (...) {
    std::cout.rdbuf(screen);
    throw;
  }
  std::cout.rdbuf(screen);
  return text.str();
}

template <class F>
double nanoseconds_of(int64_t runs, const F& f) {
  const Stopwatch watch;
  for (int64_t i = 0; i < runs; ++i) static_cast<void>(f());
  return watch.nanoseconds();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

bool show_prints(const Tensor& x) {
  paragraph("Here is a function with a print in it. It is called three times, eagerly:");
  code(
      "td::Tensor square(td::Tensor x) {\n"
      "  td::Tensor y = td::pow(x, 2);\n"
      "  std::cout << y << '\\n';\n"
      "  return y;\n"
      "}");
  const std::string eager = printed_by([&] {
    for (int i = 0; i < 3; ++i) square_and_print(x);
  });
  code(eager);
  paragraph(
      "Ordinary C++: every call computes, and every call prints. Now the same function as a graph, called "
      "three times:");
  code("auto graph = td::function(square);");
  const auto graph = function(square_and_print);
  const std::string traced = printed_by([&] {
    for (int i = 0; i < 3; ++i) graph(x);
  });
  code(traced);
  paragraph(
      "One print: the first call traced the function, with a symbol in place of numbers, and kept what it "
      "did as "
      "a graph. All three calls ran that graph, and no line of the function again.");
  const std::string value = "Tensor([ 1.  4.  9. 16. 25.], shape=(5,), dtype=float32)\n";
  const std::string symbol = "Tensor(\"pow:0\", shape=(5,), dtype=float32)\n";
  const bool eager_good = check(eager == value + value + value, "eager printed values, three times");
  const bool traced_good = check(traced == symbol, "the graph printed a symbol, once, while it was traced");
  return eager_good && traced_good;
}

void show_runs(const Tensor& x) {
  paragraph("Without the print, how long do they take? A graph's first run includes making it.");
  TextTable runs_table({"runs", "eager", "graph", "eager, a run", "graph, a run"});
  runs_table.align(0, TextTable::Align::right);
  for (const int64_t runs : {1, 100, 100'000}) {
    std::vector<double> eager, graph;
    for (int i = 0; i < repetitions; ++i) {
      eager.push_back(nanoseconds_of(runs, [&] { return square(x); }));
      const auto fresh = function(square);
      graph.push_back(nanoseconds_of(runs, [&] { return fresh(x); }));
    }
    const auto count = static_cast<double>(runs);
    runs_table.add({format_count(runs), format_time(median(eager)), format_time(median(graph)),
                    format_time(median(eager) / count), format_time(median(graph) / count)});
  }
  table(runs_table.to_string());
}

}  // namespace

Act play_square() {
  heading(1, "One line of code: x**2 on five floats");
  const Tensor x = {1, 2, 3, 4, 5.f};
  Act act;
  act.good = show_prints(x);
  show_runs(x);
  paragraph(
      "A single operation leaves a graph nothing to improve: it only has to find its trace. Measured "
      "closely, "
      "by td::compare_modes(square, x):");
  act.figures.comparison = compare_modes(function(square, {.name = "square_5"}), x);
  table(act.figures.comparison.to_string());
  act.good &= check(act.figures.comparison.max_ulp == 0, "both modes give the same bits");
  return act;
}

}  // namespace tandem::cli
