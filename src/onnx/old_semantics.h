#pragma once
// What operators meant in old opsets, where today's operator needs other inputs or other operators beside it.

#include "onnx/imported.h"

namespace tandem::onnx {

/// Opset 6: `b` is repeated along the axes of `a` from "axis" on.
Tensors old_broadcast(const Call& c);
/// Opset 6: PRelu's slope has an entry a channel.
Tensors slope_by_channel(const Call& c);
/// Opset 12: Softmax and its kin treat all axes from "axis" on as one.
Tensors over_trailing_axes(const Call& c);
/// Opset 5: Tile repeats along one axis.
Tensors tile_one_axis(const Call& c);
/// Opset 11: training is an attribute, the mask had the data's dtype before opset 10.
Tensors old_dropout(const Call& c);
/// Opset 20: GroupNormalization's scale and bias have an entry a group.
Tensors scale_by_group(const Call& c);
/// Resize: inputs without elements count as left out.
Tensors empty_is_left_out(const Call& c);

}  // namespace tandem::onnx
