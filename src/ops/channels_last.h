#pragma once
// How ops take part where a graph keeps channels last in memory between convolutions: the order that oneDNN
// computes with.

#include <span>

#include "ops/op_def.h"

namespace tandem {

/// What an op offers for given attributes and sizes.
struct ChannelsLast {
  /// The op with the same attributes whose output 0 has its channels last; null: there is none, or it would
  /// save nothing.
  const OpDef* form = nullptr;
  /// The form takes input 0 with channels last too, as a shape. Otherwise memory in either order does.
  bool moves_input = false;
  /// Bit i: input i's memory may have its channels last, at no cost.
  uint32_t readers = 0;
  /// The op itself moves channels of input 0, or of its output, which such memory makes unnecessary.
  bool saves_input = false, saves_output = false;
};

/// Of no op where every member is as above. Absent inputs have an empty spec; of sizes only the batch may be
/// unknown.
ChannelsLast channels_last(const OpDef& op, const void* attributes, std::span<const Spec> inputs,
                           std::span<const Spec> outputs);

/// (batch, channels, sizes...) from (batch, sizes..., channels) in memory of its own, and back.
const OpDef& channels_first_op();
const OpDef& channels_last_op();

/// The family of these two.
std::span<const OpDef* const> channel_order_ops();

/// A row for an op that offers something.
struct ChannelsLastRow {
  const OpDef* op;
  ChannelsLast (*offer)(const void* attributes, std::span<const Spec> inputs, std::span<const Spec> outputs);
};
std::span<const ChannelsLastRow> convolutions_with_channels_last();
std::span<const ChannelsLastRow> pools_with_channels_last();
std::span<const ChannelsLastRow> max_pools_with_channels_last();

/// (batch, channels, sizes...) as (batch, sizes..., channels).
Shape with_channels_last(const Shape& shape);
Shape with_channels_first(const Shape& shape);
/// The same for tensors, as views.
Tensor with_channels_last(const Tensor& x);
Tensor with_channels_first(const Tensor& x);

}  // namespace tandem
