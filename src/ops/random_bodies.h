#pragma once
// Random numbers in standard ops: what other runtimes compute when they meet ours.

#include "tandem/tensor.h"

namespace tandem {

/// Words of 32 random bits as int64, `words` for each element of a tensor of shape `shape`: one column a
/// word. `key` and `counter` are uint64 scalars.
Tensor random_words(const Tensor& key, const Tensor& counter, const Tensor& shape, int64_t words);
/// One column.
Tensor random_word(const Tensor& words, int64_t column);
/// The upper `bits` of words of 32 bits.
Tensor upper_bits(const Tensor& word, int bits);
/// 53 random bits of two columns as a double.
Tensor wide_bits(const Tensor& words, int64_t column);
/// Numbers in [0, 1) with as many random bits as the dtype's precision has; in the dtype they are computed
/// in.
Tensor unit_interval(const Tensor& key, const Tensor& counter, const Tensor& shape, DType dtype);

}  // namespace tandem
