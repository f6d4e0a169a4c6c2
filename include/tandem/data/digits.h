#pragma once
// Handwritten-looking digits drawn by Tandem itself, where no data set is at hand.

#include <cstdint>

#include "tandem/tensor.h"

namespace tandem::data {

/// Pictures and what they show.
struct Digits {
  Tensor images;  ///< uint8, (count, 28, 28), light ink on black
  Tensor labels;  ///< int64, (count,), 0 to 9
};

/// Draws `count` distorted digits. The i-th depends on `seed` and i alone, and is the same on every machine;
/// other seeds give other digits, so that one seed can train and another test. Errors: a count below 0.
///
///     auto [images, labels] = td::data::digits(20000);
Digits digits(int64_t count, uint64_t seed = 0);

}  // namespace tandem::data
