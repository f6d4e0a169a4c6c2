#include "tandem/nn/weights.h"

#include "core/check.h"
#include "nn/layer_call.h"
#include "tandem/data/safetensors.h"

namespace tandem {

void save_weights(const nn::Module& module, const std::string& path, Location where) {
  Weights weights;
  for (const auto& [name, variable] : module.named_parameters()) weights[name] = variable.value(where);
  nn::detail::in_call("save_weights", where, [&] {
    TD_CHECK(!weights.empty(), "the module has no variables yet; layers make theirs at their first call");
  });
  save_weights(weights, path, {}, where);
}

void load_weights(const nn::Module& module, const std::string& path, Location where) {
  Weights weights = load_weights(path);
  nn::detail::in_call("load_weights", where, [&] {
    const auto parameters = module.named_parameters();
    TD_CHECK(!parameters.empty(), "the module has no variables yet; layers make theirs at their first call");
    for (const auto& [name, variable] : parameters) {
      const auto found = weights.find(name);
      TD_CHECK(found != weights.end(), "{} has no tensor \"{}\"", path, name);
      const Tensor& value = found->second;
      TD_CHECK(value.dtype() == variable.dtype() && value.shape() == variable.shape(),
               "\"{}\" is {}{} in {}, but {}{} in the module", name, value.dtype(), value.shape(), path,
               variable.dtype(), variable.shape());
    }
    TD_CHECK(weights.size() == parameters.size(), "{} has {} tensors, the module {} variables", path,
             weights.size(), parameters.size());
    for (const auto& [name, variable] : parameters) variable.assign(Operand(weights.at(name), where));
  });
}

}  // namespace tandem
