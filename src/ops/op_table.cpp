// The op table: all families joined, sorted by name.

#include <algorithm>
#include <cctype>

#include "ops/channels_last.h"
#include "ops/families.h"

namespace tandem {

std::span<const OpDef* const> all_ops() {
  static const std::vector<const OpDef*> table = [] {
    std::vector<const OpDef*> all;
    for (auto family : {activation_ops,    arg_ops,           binary_ops,      channel_normalization_ops,
                        channel_order_ops, conversion_ops,    convolution_ops, copy_ops,
                        cumulative_ops,    custom_ops,        deform_ops,      dimension_ops,
                        dynamic_ops,       effect_ops,        einsum_ops,      extreme_ops,
                        gather_ops,        graph_ops,         grid_ops,        image_ops,
                        linalg_ops,        logic_ops,         loss_ops,        matmul_ops,
                        max_pooling_ops,   normalization_ops, pad_ops,         pooling_ops,
                        random_ops,        recurrent_ops,     reduce_ops,      resize_ops,
                        scatter_ops,       select_ops,        sequence_ops,    shape_ops,
                        slice_ops,         softmax_ops,       suppression_ops, training_ops,
                        trigonometry_ops,  unary_ops,         variable_ops})
      for (const OpDef* op : family()) all.push_back(op);
    std::sort(all.begin(), all.end(), [](const OpDef* a, const OpDef* b) { return a->name < b->name; });
    return all;
  }();
  return table;
}

const OpDef* find_op(std::string_view name) {
  const auto table = all_ops();
  const auto it = std::lower_bound(table.begin(), table.end(), name,
                                   [](const OpDef* op, std::string_view n) { return op->name < n; });
  return it != table.end() && (*it)->name == name ? *it : nullptr;
}

std::string OpDef::display_name() const {
  std::string text;
  for (size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    const bool upper = std::isupper(static_cast<unsigned char>(c));
    const bool after_lower = i > 0 && !std::isupper(static_cast<unsigned char>(name[i - 1]));
    const bool before_lower = i + 1 < name.size() && std::islower(static_cast<unsigned char>(name[i + 1]));
    if (upper && i > 0 && (after_lower || before_lower)) text += '_';
    text += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  // Some names of ONNX read as one word to everybody.
  for (const auto& [from, to] : {std::pair{"mat_mul", "matmul"},
                                 {"arg_m", "argm"},
                                 {"cum_", "cum"},
                                 {"non_zero", "nonzero"},
                                 {"top_k", "topk"},
                                 {"col2_im", "col2im"},
                                 {"im2_col", "im2col"},
                                 {"p_relu", "prelu"},
                                 {"na_n", "nan"}})
    if (const size_t at = text.find(from); at != std::string::npos)
      text.replace(at, std::string_view(from).size(), to);
  return text;
}

}  // namespace tandem
