#pragma once
// Losses of classification.

#include <array>
#include <optional>
#include <string_view>

#include "tandem/operand.h"

namespace tandem {

/// -log(softmax(logits)[label]) over the last axis, one number a label: logits of shape (..., classes),
/// labels of shape (...). Floating logits, integer labels. `td::mean(td::sparse_softmax_cross_entropy(logits,
/// y))` Errors: shapes that do not fit, a label outside 0 to classes - 1.
Tensor sparse_softmax_cross_entropy(const Operand& logits, const Operand& labels);

/// Integer labels as int64, each seen to be in 0 to classes - 1 or to be `ignored`; in graphs they are looked
/// at when the graph runs. `td::class_labels(labels, 10)` Errors: a label out of range.
Tensor class_labels(const Operand& labels, const Operand& classes, std::optional<int64_t> ignored = {});

/// How the ONNX losses weigh and reduce.
struct ClassLossOptions {
  std::string_view reduction = "mean";       ///< "none", "sum", or "mean": over the labels' weights
  std::optional<int64_t> ignore_index = {};  ///< labels of this value count for nothing
};
/// Cross entropy of softmax over axis 1, ONNX SoftmaxCrossEntropyLoss: scores of shape (N, classes, ...),
/// labels of shape (N, ...), optional `weights` of shape (classes,). int32 or int64 labels.
/// Errors: a label outside 0 to classes - 1 that is not ignored.
Tensor softmax_cross_entropy_loss(const Operand& scores, const Operand& labels,
                                  const Operand& weights = nullptr, const ClassLossOptions& options = {});
/// The same, with log(softmax(scores)).
std::array<Tensor, 2> softmax_cross_entropy_loss_log_probabilities(const Operand& scores,
                                                                   const Operand& labels,
                                                                   const Operand& weights = nullptr,
                                                                   const ClassLossOptions& options = {});
/// The negated log probability of each label, ONNX NegativeLogLikelihoodLoss: arguments as above, with
/// logarithms of probabilities for scores.
Tensor negative_log_likelihood_loss(const Operand& log_probabilities, const Operand& labels,
                                    const Operand& weights = nullptr, const ClassLossOptions& options = {});

}  // namespace tandem
