#pragma once
// What a model is given, brought into the form that it declared.

#include <atomic>

#include "nn/value.h"

namespace tandem::nn::detail {

/// One tensor for a declared input: of its dtype, and of its rank where only a last dimension of 1 is missing
/// or too much. `path` is its place among several, "" for the only one. Errors: a shape that does not fit.
Tensor fit_input(const Value& input, const std::string& path, const Tensor& x);

/// One tensor for each declared input, in order, whatever structure was given: the declared one, or by the
/// inputs' names or keys, or a list in their order. Absent optional ones are undefined. What is unusual but
/// clear warns once. Errors: an input that is missing, a structure that does not match.
std::vector<Tensor> match_inputs(const Values& declared, const Nest& given, std::atomic<bool>& warned);

}  // namespace tandem::nn::detail
