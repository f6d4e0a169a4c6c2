// Our matrix products against oneDNN's alone.

#include <fmt/format.h>

#include <random>
#include <vector>

#include "harness.h"
#include "onednn_products.h"
#include "runtime/matmul.h"
#include "runtime/parallel.h"

namespace bench = tandem::bench;
namespace runtime = tandem::runtime;

int main(int argc, char** argv) {
  bench::Harness harness(argc, argv, "Our matrix products against oneDNN's, f32, M x K x N.");
  runtime::set_thread_count(harness.threads());
  bench::use_threads_in_onednn(harness.threads());

  struct Case {
    int64_t m, k, n;
    const char* layout;  // n: as it stands, t: the operand stands transposed in memory
  };
  const Case cases[] = {{60, 784, 128, "nn"},  {100, 784, 256, "nn"}, {100, 256, 256, "nn"},
                        {100, 256, 10, "nn"},  {60, 128, 10, "nn"},   {1, 784, 128, "nn"},
                        {1, 784, 128, "nt"},   {1, 1024, 1024, "nn"}, {1024, 1024, 1, "nn"},
                        {100, 256, 784, "nt"}, {784, 100, 256, "tn"}, {256, 100, 256, "tn"},
                        {4, 4, 4, "nn"},       {8, 8, 8, "nn"},       {16, 16, 16, "nn"},
                        {32, 32, 32, "nn"},    {512, 512, 512, "nn"}, {1024, 1024, 1024, "nn"}};
  for (const Case& c : cases) {
    const std::string name = fmt::format("{}x{}x{}_{}", c.m, c.k, c.n, c.layout);
    if (!harness.wants(name)) continue;
    const bool left = c.layout[0] == 't', right = c.layout[1] == 't';
    std::vector<float> a(c.m * c.k), b(c.k * c.n), ours(c.m * c.n), theirs(c.m * c.n);
    std::mt19937 random(1);
    std::uniform_real_distribution<float> values(-1, 1);
    for (float& x : a) x = values(random);
    for (float& x : b) x = values(random);
    bench::OneDnnProduct product(c.m, c.k, c.n, a.data(), left, b.data(), right, theirs.data());
    const runtime::Matrix first = {a.data(), left ? 1 : c.k, left ? c.m : 1};
    const runtime::Matrix second = {b.data(), right ? 1 : c.n, right ? c.k : 1};
    const bench::Row& row = harness.compare(
        name,
        [&](int64_t times) {
          for (int64_t i = 0; i < times; ++i)
            runtime::matmul(tandem::DType::f32, c.m, c.n, c.k, first, second, ours.data());
        },
        "onednn",
        [&](int64_t times) {
          for (int64_t i = 0; i < times; ++i) product.run();
        });
    harness.note(fmt::format("ours {:.0f} GFLOP/s", 2.0 * c.m * c.k * c.n / row.ours_ns));
  }
  return harness.finish();
}
