#pragma once
// What callbacks find in their saved state, which comes from a file.

#include <optional>

#include "core/check.h"
#include "tandem/data/safetensors.h"

namespace tandem::nn::detail {

/// Larger than any count that training reaches, and far from overflowing.
inline constexpr int64_t most_steps = int64_t{1} << 53;

inline std::optional<int64_t> find_count(const Weights& state, const std::string& name) {
  const auto found = state.find(name);
  if (found == state.end()) return std::nullopt;
  const auto count = found->second.item<int64_t>();
  TD_CHECK(count >= -1 && count <= most_steps, ErrorCode::io, "\"{}\" is {}, which cannot be", name, count);
  return count;
}
/// Errors (io): there is none, or one that cannot be.
inline int64_t count_in(const Weights& state, const std::string& name) {
  const std::optional<int64_t> count = find_count(state, name);
  TD_CHECK(count, ErrorCode::io, "the callback's saved state has no \"{}\"", name);
  return *count;
}
inline std::optional<double> find_number(const Weights& state, const std::string& name) {
  const auto found = state.find(name);
  return found == state.end() ? std::nullopt : std::optional(found->second.item<double>());
}

}  // namespace tandem::nn::detail
