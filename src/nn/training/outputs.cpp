#include "nn/training/outputs.h"

#include <algorithm>

#include "core/check.h"

namespace tandem::nn::detail {

namespace {

void add_names(const Nest& nest, const std::string& name, std::vector<std::string>& names) {
  if (nest.is_leaf()) return names.push_back(name);
  for (size_t i = 0; i < nest.size(); ++i) {
    const std::string own = nest.is_map() ? nest.keys()[i] : std::to_string(i);
    add_names(nest[i], name.empty() ? (nest.is_map() ? own : "output_" + own) : name + '_' + own, names);
  }
}

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

// A leaf, or an empty list for nothing.
Tensor tensor_in(const Nest& nest, const std::string& output, const char* what) {
  if (nest.is_leaf()) return nest.leaf();
  if (nest.is_list() && nest.size() == 1) return tensor_in(nest[0], output, what);
  TD_CHECK(nest.flatten().empty(), "the {} of output {} are {}; expected one tensor", what, output,
           nest.form());
  return {};
}

}  // namespace

size_t OutputNames::index_of(const std::string& name, const char* what) const {
  const auto found = std::find(names.begin(), names.end(), name);
  TD_CHECK(found != names.end(), "the {} name an output \"{}\"; the outputs are {}", what, name,
           listed(names));
  return static_cast<size_t>(found - names.begin());
}

OutputNames names_of_outputs(const Model& model, const Nest& predictions) {
  OutputNames result;
  add_names(predictions, "", result.names);
  if (predictions.is_list() && predictions.size() == result.names.size())
    if (std::vector<std::string> own = model.body()->output_names(); own.size() == result.names.size())
      result.names = std::move(own);
  return result;
}

std::vector<Tensor> by_output(const Nest& given, const Nest& predictions, const OutputNames& names,
                              const char* what) {
  const size_t count = names.names.size();
  std::vector<Tensor> result(count);
  if (given.is_list() && given.size() == 0) return result;
  if (given.is_map()) {
    if (!predictions.is_map() && count == 1 && given.size() == 1)
      return {tensor_in(given[size_t{0}], names.names[0], what)};
    if (!(predictions.is_map() && given.same_form(predictions))) {
      for (size_t i = 0; i < given.size(); ++i)
        result[names.index_of(given.keys()[i], what)] = tensor_in(given[i], given.keys()[i], what);
      return result;
    }
  }
  if (count == 1) return {tensor_in(given, names.names[0], what)};
  if (given.same_form(predictions)) return given.flatten();
  TD_CHECK(given.is_list() && given.size() == count,
           "the {} are {}, and the model has {} outputs: {}; expected one entry for each", what, given.form(),
           count, listed(names.names));
  for (size_t i = 0; i < count; ++i) result[i] = tensor_in(given[i], names.names[i], what);
  return result;
}

}  // namespace tandem::nn::detail
