#pragma once
// oneDNN's own matrix product: the yardstick for ours. Made once, run many times.

#include <cstdint>
#include <memory>

namespace tandem::bench {

class OneDnnProduct {
 public:
  /// c[m,n] = a[m,k] * b[k,n] of f32; a transposed operand stands in memory as its transpose.
  OneDnnProduct(int64_t m, int64_t k, int64_t n, const float* a, bool a_transposed, const float* b,
                bool b_transposed, float* c);
  ~OneDnnProduct();
  void run();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

/// Tells oneDNN, called by this thread, how many threads it may use, the caller included.
void use_threads_in_onednn(int count);

}  // namespace tandem::bench
