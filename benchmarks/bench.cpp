// What `./run bench` runs: the budgets of the project, against libtorch where it is installed.

#include <fmt/format.h>

#include <exception>

#include "onednn_products.h"
#include "rows.h"
#include "runtime/parallel.h"

namespace bench = tandem::bench;

int main(int argc, char** argv) try {
  bench::Harness harness(argc, argv, "Measures Tandem against libtorch and oneDNN.");
  tandem::runtime::set_thread_count(harness.threads());
  const bench::Peer* torch = bench::find_peer("torch", harness.threads());
  fmt::print("{}\n\n",
             torch != nullptr ? torch->description : "No libtorch: `./run bench --peers` installs it.");
  bench::use_threads_in_onednn(harness.threads());
  bench::small_rows(harness, torch);
  bench::control_rows(harness);
  bench::network_rows(harness, torch);
  bench::convolution_rows(harness);
  bench::data_rows(harness);
  bench::loading_rows(harness);
  bench::training_rows(harness, torch);
  bench::fit_rows(harness);
  return harness.finish();
} catch (const std::exception& error) {
  fmt::print(stderr, "{}\n", error.what());
  return 1;
}
