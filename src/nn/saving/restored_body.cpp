#include "nn/saving/restored_body.h"

#include "nn/model_inputs.h"
#include "nn/module_state.h"

namespace tandem::nn::detail {

RestoredBody::RestoredBody(const Restored& from)
    : main_(from.archive.main), forward_(from.program(parts::forward)) {
  const std::vector<ModelValue>& inputs = main_.inputs();
  inputs_ = from.form(parts::inputs, inputs.size()).map([&](int i) {
    const ModelValue& v = inputs[static_cast<size_t>(i)];
    TD_CHECK(v.has_shape && v.shape.rank() > 0, ErrorCode::io, "{}: the input {} counts no examples",
             from.path, v.to_string());
    const std::vector<int64_t> sizes = v.shape.to_vector();
    return Input(Dims(std::vector<int64_t>(sizes.begin() + 1, sizes.end())),
                 {.name = v.name, .dtype = v.dtype});
  });
  outputs_ = from.form(parts::outputs, main_.outputs().size());
  if (const std::string* names = from.text(parts::output_names)) output_names_ = split_names(*names);
  TD_CHECK(!forward_.defined() || (forward_.inputs().size() == inputs.size() &&
                                   forward_.outputs().size() >= main_.outputs().size()),
           ErrorCode::io, "{}: training and inference take or give other tensors", from.path);
}

Nest RestoredBody::call_nest(ModuleState& state, const Nest& given) {
  const std::vector<Tensor> inputs = match_inputs(inputs_, given, warned_);
  const bool training = is_training();
  TD_CHECK(!training || forward_.defined(), "the model was saved without what training needs");
  std::vector<Tensor> results = (training ? forward_ : main_).run(inputs);
  const auto own = results.begin() + static_cast<ptrdiff_t>(main_.outputs().size());
  for (auto loss = own; loss != results.end(); ++loss) record_loss(state, *loss, false, state.where);
  results.erase(own, results.end());
  return outputs_.with_leaves(results);
}
}  // namespace tandem::nn::detail
