#pragma once
// Random numbers. A generator is a Variable that holds a key and a counter; each call takes the next numbers
// of its stream, which depends on nothing but the seed: not on threads, not on eager or graph mode.

#include "tandem/operand.h"
#include "tandem/variable.h"

namespace tandem {

namespace random {

/// The generator that is used unless another is given. It starts from seed 0 in every process.
const Variable& generator();
/// The generator that parameters of layers take their first values from. It is apart from the common one, so
/// that what a model draws does not depend on when its layers are first called.
const Variable& parameter_generator();
/// A generator of its own stream: a uint64 variable (key, counter). Assigning a value read earlier goes back
/// there.
Variable make_generator(uint64_t seed, Location where = here());
/// Starts the common generator's stream over, and outside graphs the one for parameters too.
/// `td::random::seed(42)`
void seed(uint64_t seed, Location where = here());

/// Uniform in [low, high). Floating dtypes. `td::random::uniform({2, 3}, -1, 1)`
Tensor uniform(const Operand& shape, double low = 0, double high = 1, DType dtype = DType::f32,
               const Variable& generator = {});
/// Normally distributed around `mean`. Floating dtypes.
Tensor normal(const Operand& shape, double mean = 0, double stddev = 1, DType dtype = DType::f32,
              const Variable& generator = {});
/// Integers in [low, high). Integer dtypes. `td::random::randint(0, 10, {5})`. Errors: an empty or unfit
/// range.
Tensor randint(int64_t low, int64_t high, const Operand& shape, DType dtype = DType::i64,
               const Variable& generator = {});
/// True with probability p: one result for each element of p, or of `shape`, to which p then broadcasts.
Tensor bernoulli(const Operand& p, const Operand& shape = nullptr, const Variable& generator = {});
/// 0 to n-1 in random order, as int64.
Tensor permutation(const Operand& n, const Variable& generator = {});
/// The slices along `axis` in random order.
Tensor shuffle(const Operand& x, int64_t axis = 0, const Variable& generator = {});

}  // namespace random

/// Zeros a share `ratio` of the elements at random and scales the others by 1 / (1 - ratio), so that sums
/// keep their size; without `training` x itself, ONNX Dropout. Floating dtypes. Errors: a ratio outside 0
/// to 1.
Tensor dropout(const Operand& x, const Operand& ratio = 0.5, const Operand& training = true,
               const Variable& generator = {});

}  // namespace tandem
