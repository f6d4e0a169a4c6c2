#include "harness.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

namespace tandem::bench {

namespace {

// Many short batches: long enough for the clock, but much shorter than a scheduler's time slice, so that on a
// busy machine most of them are not interrupted and medians hold.
constexpr double batch_ns = 3e5;

// Threads of OpenMP and of OpenBLAS spin for milliseconds after their work. Each side works this long before
// it is measured, so that it does not share its cores with the other's.
constexpr double until_threads_park_ns = 5e7;

double nanoseconds(Work work, int64_t times) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  work(times);
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count();
}

/// How often the work fits into one batch. Warms it up, too.
int64_t batch_size(Work work) {
  work(1);  // traces, allocates, fills caches
  int64_t times = 1;
  for (;;) {
    const double spent = nanoseconds(work, times);
    if (spent >= batch_ns / 2) return std::max<int64_t>(1, std::llround(times * batch_ns / spent));
    times = spent < batch_ns / 20 ? times * 10 : times * 2;
  }
}

double median(std::vector<double>& values) {
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

std::string time_text(double ns) {
  if (ns < 1e3) return fmt::format("{:.1f} ns", ns);
  if (ns < 1e6) return fmt::format("{:.2f} us", ns / 1e3);
  return fmt::format("{:.2f} ms", ns / 1e6);
}

nlohmann::json to_json(const Row& row) {
  nlohmann::json json = {{"name", row.name}, {"ours_ns", row.ours_ns}};
  const bool compared = !row.peer.empty();
  const auto value = [&](double number) {
    return compared ? nlohmann::json(number) : nlohmann::json(nullptr);
  };
  json["peer"] = compared ? nlohmann::json(row.peer) : nlohmann::json(nullptr);
  json["peer_ns"] = value(row.peer_ns);
  json["ratio"] = value(row.ratio);
  json["ratio_low"] = value(row.ratio_low);
  json["ratio_high"] = value(row.ratio_high);
  return json;
}

}  // namespace

Harness::Harness(int argc, char** argv, std::string_view description) {
  CLI::App app{std::string(description)};
  app.add_option("--json", json_file_, "write the figures to this file");
  app.add_option("--filter", filter_, "only rows whose name contains this");
  app.add_option("--threads", threads_, "threads for both sides")->check(CLI::Range(1, 256));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error));
  }
  fmt::print("{}; medians of {} pairs, measured in turn; [95% interval of the ratio ours / peer].\n\n",
             threads_ == 1 ? "One thread" : fmt::format("{} threads", threads_), usual_pairs);
}

bool Harness::wants(std::string_view name) const { return name.find(filter_) != std::string_view::npos; }

double Harness::nanoseconds_each(Work work, int64_t times) const {
  if (threads_ > 1)
    for (double spent = 0; spent < until_threads_park_ns;) spent += nanoseconds(work, times);
  return nanoseconds(work, times) / static_cast<double>(times);
}

const Row& Harness::compare(std::string name, Work ours, std::string peer, Work theirs, int pairs) {
  fmt::print("{:<30}", name);
  std::fflush(stdout);
  const int64_t our_batch = batch_size(ours), their_batch = batch_size(theirs);
  std::vector<double> our_times(pairs), their_times(pairs), ratios(pairs);
  for (int i = 0; i < pairs; ++i) {
    if (i % 2 == 0) our_times[i] = nanoseconds_each(ours, our_batch);
    their_times[i] = nanoseconds_each(theirs, their_batch);
    if (i % 2 == 1) our_times[i] = nanoseconds_each(ours, our_batch);
    ratios[i] = our_times[i] / their_times[i];
  }
  Row row;
  row.name = std::move(name);
  row.peer = std::move(peer);
  row.ours_ns = median(our_times);
  row.peer_ns = median(their_times);
  row.ratio = median(ratios);
  // The order statistics that enclose the true median 95 times out of 100, whatever the distribution.
  const int reach = static_cast<int>(std::ceil(1.96 * std::sqrt(pairs) / 2));
  row.ratio_low = ratios[std::max(0, pairs / 2 - reach)];
  row.ratio_high = ratios[std::min(pairs - 1, pairs / 2 + reach)];
  fmt::print("ours {:>10}   {} {:>10}   ratio {:.3f} [{:.3f} {:.3f}]\n", time_text(row.ours_ns), row.peer,
             time_text(row.peer_ns), row.ratio, row.ratio_low, row.ratio_high);
  return rows_.emplace_back(std::move(row));
}

const Row& Harness::alone(std::string name, Work ours, std::string_view why_alone) {
  fmt::print("{:<30}", name);
  std::fflush(stdout);
  const int64_t batch = batch_size(ours);
  std::vector<double> times(usual_pairs);
  for (double& time : times) time = nanoseconds_each(ours, batch);
  Row row;
  row.name = std::move(name);
  row.ours_ns = median(times);
  fmt::print("ours {:>10}   ({})\n", time_text(row.ours_ns), why_alone);
  return rows_.emplace_back(std::move(row));
}

void Harness::note(std::string_view text) { fmt::print("{:<30}{}\n", "", text); }

int Harness::finish() {
  if (rows_.empty()) {
    fmt::print(stderr, "no row's name contains '{}'\n", filter_);
    return 1;
  }
  if (json_file_.empty()) return 0;
  nlohmann::json list = nlohmann::json::array();
  for (const Row& row : rows_) list.push_back(to_json(row));
  std::ofstream file(json_file_);
  file << list.dump(2) << '\n';
  if (!file.flush()) {
    fmt::print(stderr, "cannot write '{}'\n", json_file_);
    return 1;
  }
  return 0;
}

}  // namespace tandem::bench
