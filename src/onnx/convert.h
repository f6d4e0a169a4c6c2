#pragma once
// Models changed without the code that made them.

#include "onnx/model.pb.h"
#include "tandem/load.h"

namespace tandem::onnx {

/// The model as td::save writes models: in opset 17 and, where that lacks an op, functions. Names of inputs,
/// outputs, sizes and initializers stay. Errors: inputs of any rank; what opset 17 cannot express.
ModelProto in_saved_opset(const LoadedModel& model);

/// Takes out what only training needs: training information, next values of a saved state, which becomes
/// constants, and the training forms of dropout and batch normalization; then what nothing uses any more.
/// How many nodes went.
int strip_training(ModelProto& model);

/// Takes out nodes, initializers and functions that no output needs. How many nodes went.
int remove_unused(ModelProto& model);

}  // namespace tandem::onnx
