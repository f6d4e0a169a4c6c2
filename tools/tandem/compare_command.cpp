#include "compare_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "core/check.h"
#include "figures.h"
#include "story.h"
#include "tandem/tandem.h"

namespace tandem::cli {

namespace {

struct Workload {
  const char* name;
  const char* what;
  Comparison (*measure)();
};

template <class F>
Comparison measure(const char* name, F f, const Tensor& x) {
  Comparison comparison = compare_modes(f, x);
  comparison.name = name;
  return comparison;
}

Tensor ramp(const Shape& shape) {
  std::vector<float> values(static_cast<size_t>(shape.element_count()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 97) * 0.01f;
  return from_vector(std::move(values), shape);
}

const Workload workloads[] = {
    {"square_5", "x**2 on five floats",
     [] {
       return measure(
           "square_5", [](Tensor x) { return pow(x, 2); }, ramp({5}));
     }},
    {"chain_5", "100 additions and products on five floats",
     [] {
       return measure(
           "chain_5",
           [](Tensor x) {
             for (int i = 0; i < 50; ++i) x = x * 1.01f + 0.5f;
             return x;
           },
           ramp({5}));
     }},
    {"chain_1m", "seven element-wise operations on a million floats",
     [] {
       return measure(
           "chain_1m", [](Tensor x) { return (x * 2.f + 1.f) * x - x / 3.f + exp(-x); }, ramp({1000, 1000}));
     }},
};

}  // namespace

bool run_compare(const CompareOptions& options) {
  if (options.list) {
    for (const Workload& w : workloads) fmt::print("{:12}{}\n", w.name, w.what);
    return true;
  }
  const auto is_known = [](const std::string& name) {
    return std::any_of(std::begin(workloads), std::end(workloads),
                       [&](const Workload& w) { return name == w.name; });
  };
  for (const std::string& name : options.names)
    TD_CHECK(is_known(name), "there is no '{}' to compare; `tandem compare --list` says what there is", name);
  std::vector<Figures> figures;
  bool good = true;
  for (const Workload& w : workloads) {
    const auto& names = options.names;
    if (!names.empty() && std::find(names.begin(), names.end(), w.name) == names.end()) continue;
    figures.push_back({w.measure(), {}});
    fmt::print("{}{}: {}\n\n{}", figures.size() > 1 ? "\n" : "", w.name, w.what,
               figures.back().comparison.to_string());
    std::fflush(stdout);
    good &= figures.back().comparison.max_ulp == 0;
  }
  if (!options.json.empty()) write_json(options.json, figures);
  return good;
}

}  // namespace tandem::cli
