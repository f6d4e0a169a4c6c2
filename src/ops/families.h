#pragma once
// Every family's rows of the op table; joined in op_table.cpp. No self-registration: linkers drop registrars
// from static archives.

#include "ops/op_def.h"

namespace tandem {

std::span<const OpDef* const> activation_ops();
std::span<const OpDef* const> arg_ops();
std::span<const OpDef* const> binary_ops();
std::span<const OpDef* const> channel_normalization_ops();
std::span<const OpDef* const> conversion_ops();
std::span<const OpDef* const> convolution_ops();
std::span<const OpDef* const> copy_ops();
std::span<const OpDef* const> cumulative_ops();
std::span<const OpDef* const> custom_ops();
std::span<const OpDef* const> deform_ops();
std::span<const OpDef* const> dimension_ops();
std::span<const OpDef* const> dynamic_ops();
std::span<const OpDef* const> effect_ops();
std::span<const OpDef* const> einsum_ops();
std::span<const OpDef* const> extreme_ops();
std::span<const OpDef* const> gather_ops();
std::span<const OpDef* const> graph_ops();
std::span<const OpDef* const> grid_ops();
std::span<const OpDef* const> image_ops();
std::span<const OpDef* const> linalg_ops();
std::span<const OpDef* const> logic_ops();
std::span<const OpDef* const> loss_ops();
std::span<const OpDef* const> matmul_ops();
std::span<const OpDef* const> max_pooling_ops();
std::span<const OpDef* const> normalization_ops();
std::span<const OpDef* const> pad_ops();
std::span<const OpDef* const> pooling_ops();
std::span<const OpDef* const> random_ops();
std::span<const OpDef* const> recurrent_ops();
std::span<const OpDef* const> reduce_ops();
std::span<const OpDef* const> resize_ops();
std::span<const OpDef* const> scatter_ops();
std::span<const OpDef* const> select_ops();
std::span<const OpDef* const> sequence_ops();
std::span<const OpDef* const> shape_ops();
std::span<const OpDef* const> slice_ops();
std::span<const OpDef* const> softmax_ops();
std::span<const OpDef* const> suppression_ops();
std::span<const OpDef* const> training_ops();
std::span<const OpDef* const> trigonometry_ops();
std::span<const OpDef* const> unary_ops();
std::span<const OpDef* const> variable_ops();

}  // namespace tandem
