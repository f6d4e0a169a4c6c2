#include "tandem/nn/weights.h"

#include "core/check.h"
#include "nn/layer_call.h"
#include "nn/saving/parts.h"
#include "onnx/archive.h"
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

namespace {

Weights weights_in(const std::string& path) {
  if (!path.ends_with(".onnx")) return load_weights(path);
  Weights weights;
  onnx::read_archive(path, [&](const std::string& name, const std::string& role, const Tensor& value) {
    if (role == nn::detail::parts::trainable || role == nn::detail::parts::fixed) weights[name] = value;
    return Variable(value, {.name = name, .unique_name = false});
  });
  return weights;
}

}  // namespace

std::vector<std::string> load_weights(const nn::Module& module, const std::string& path,
                                      LoadWeightsOptions options, Location where) {
  return nn::detail::in_call("load_weights", where, [&] {
    Weights weights = weights_in(path);
    const auto parameters = module.named_parameters();
    TD_CHECK(!parameters.empty(), "the module has no variables yet; layers make theirs at their first call");
    std::vector<std::string> problems;
    std::vector<std::pair<const Variable*, Tensor>> fitting;
    for (const auto& [name, variable] : parameters) {
      const auto found = weights.find(name);
      if (found == weights.end()) {
        problems.push_back(fmt::format("{} has no tensor \"{}\"", path, name));
        continue;
      }
      const Tensor value = found->second;
      weights.erase(found);
      if (value.dtype() == variable.dtype() && value.shape() == variable.shape())
        fitting.emplace_back(&variable, value);
      else
        problems.push_back(fmt::format("\"{}\" is {}{} in {}, but {}{} in the module", name, value.dtype(),
                                       value.shape(), path, variable.dtype(), variable.shape()));
    }
    for (const auto& [name, value] : weights)
      problems.push_back(
          fmt::format("{} has a tensor \"{}\", which no variable of the module takes", path, name));
    TD_CHECK(options.skip_mismatch || problems.empty(), "{}{}", problems.empty() ? "" : problems[0],
             problems.size() > 1 ? fmt::format(", and {} more", problems.size() - 1) : "");
    for (const auto& [variable, value] : fitting) variable->assign(Operand(value, where));
    return problems;
  });
}

}  // namespace tandem
