#pragma once
// Paired, interleaved measurements of two pieces of work, and the table and JSON file made of them.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/parallel.h"

namespace tandem::bench {

/// Does a piece of work `times` times.
using Work = runtime::FunctionRef<void(int64_t times)>;

/// One line of the table. Times are medians, in nanoseconds for one piece of work; `ratio` is the median of
/// ours / the peer's over pairs measured one right after the other, ratio_low and ratio_high its 95%
/// interval.
struct Row {
  std::string name;
  double ours_ns = 0;
  std::string peer;  ///< empty when there was nothing to compare with
  double peer_ns = 0, ratio = 0, ratio_low = 0, ratio_high = 0;
};

/// Reads the command line (--json FILE, --filter NAME, --threads N), measures, prints as it goes, writes the
/// file.
class Harness {
 public:
  static constexpr int usual_pairs = 101;

  Harness(int argc, char** argv, std::string_view description);

  /// Threads that both sides may use; one, unless the command line says otherwise.
  int threads() const { return threads_; }
  /// True when the command line asks for this row. Rows not asked for need not be prepared.
  bool wants(std::string_view name) const;
  /// Measures both and adds a row; returns it. Fewer pairs for work that takes long.
  const Row& compare(std::string name, Work ours, std::string peer, Work theirs, int pairs = usual_pairs);
  /// A row without a peer, and why there is none.
  const Row& alone(std::string name, Work ours, std::string_view why_alone);
  /// A line of explanation under the row above.
  void note(std::string_view text);
  /// Writes the JSON file. The result is main's.
  int finish();

 private:
  double nanoseconds_each(Work work, int64_t times) const;

  int threads_ = 1;
  std::string filter_, json_file_;
  std::vector<Row> rows_;
};

/// Keeps the compiler from leaving out the computation of `value`.
template <class T>
void keep(const T& value) {
  asm volatile("" : : "g"(&value) : "memory");
}

}  // namespace tandem::bench
