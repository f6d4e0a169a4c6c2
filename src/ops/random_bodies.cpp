#include "ops/random_bodies.h"

#include <cmath>

#include "tandem/ops/creation.h"
#include "tandem/ops/indexing.h"
#include "tandem/ops/logic.h"
#include "tandem/ops/math.h"
#include "tandem/ops/reduce.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

// Everything is int64, whose products, quotients and remainders every runtime has; words are below 2^32.
constexpr int64_t two_16 = int64_t{1} << 16, two_32 = int64_t{1} << 32;

Tensor low_half(const Tensor& x) { return cast(mod(x, Tensor(two_32, DType::u64)), DType::i64); }
Tensor high_half(const Tensor& x) { return cast(bit_shift(x, Tensor(32, DType::u64), "RIGHT"), DType::i64); }

/// The 64 bits of the product of two words, as two words.
std::pair<Tensor, Tensor> product(int64_t factor, const Tensor& word) {
  const Tensor low = mod(word, two_16) * factor;
  const Tensor middle = div(word, two_16) * factor + div(low, two_16);
  return {div(middle, two_16), mod(middle, two_16) * two_16 + mod(low, two_16)};
}

/// Bit by bit: opset 17 has no exclusive or of integers.
Tensor exclusive_or(const Tensor& a, const Tensor& b, const Tensor& c) {
  std::vector<int64_t> values;
  for (int i = 0; i < 32; ++i) values.push_back(int64_t{1} << i);
  const Tensor places = from_vector(std::move(values), {32});
  const auto bits = [&](const Tensor& x) { return div(unsqueeze(x, {-1}), places); };
  return reduce_sum(mod(bits(a) + bits(b) + bits(c), 2) * places, {-1});
}

}  // namespace

// Philox4x32-10, as kernel/math.h says.
Tensor random_words(const Tensor& key, const Tensor& counter, const Tensor& shape, int64_t words) {
  const Tensor count = reduce_prod(shape, {0}) * words;
  const Tensor blocks = arange(div(count + 3, 4), DType::i64);
  const Tensor sum = blocks + low_half(counter);
  Tensor c0 = mod(sum, two_32), c1 = mod(div(sum, two_32) + high_half(counter), two_32);
  Tensor c2 = zeros_like(c0), c3 = c2;
  Tensor k0 = low_half(key), k1 = high_half(key);
  for (int round = 0; round < 10; ++round) {
    const auto [p_high, p_low] = product(0xD2511F53, c0);
    const auto [q_high, q_low] = product(0xCD9E8D57, c2);
    const Tensor a = exclusive_or(q_high, c1, k0), b = exclusive_or(p_high, c3, k1);
    c0 = a, c1 = q_low, c2 = b, c3 = p_low;
    k0 = mod(k0 + 0x9E3779B9, two_32), k1 = mod(k1 + 0xBB67AE85, two_32);
  }
  const Tensor all = reshape(stack({c0, c1, c2, c3}, 1), {-1});
  const Tensor used = slice(all, Tensor({0}, DType::i64), reshape(count, {1}));
  return reshape(used, concat({shape, Tensor({words}, DType::i64)}, 0));
}

Tensor random_word(const Tensor& words, int64_t column) {
  return gather(words, Tensor(column, DType::i64), -1);
}

Tensor upper_bits(const Tensor& word, int bits) { return div(word, int64_t{1} << (32 - bits)); }

Tensor wide_bits(const Tensor& words, int64_t column) {
  const Tensor high = upper_bits(random_word(words, column), 27);
  return cast(high * (int64_t{1} << 26) + upper_bits(random_word(words, column + 1), 26), DType::f64);
}

Tensor unit_interval(const Tensor& key, const Tensor& counter, const Tensor& shape, DType dtype) {
  if (dtype == DType::f64) {
    return wide_bits(random_words(key, counter, shape, 2), 0) * 0x1p-53;
  }
  const int bits = dtype == DType::f16 ? 11 : dtype == DType::bf16 ? 8 : 24;
  const Tensor word = random_word(random_words(key, counter, shape, 1), 0);
  return cast(upper_bits(word, bits), DType::f32) * std::ldexp(1.0, -bits);
}

}  // namespace tandem
