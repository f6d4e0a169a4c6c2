#include "tandem/load.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <mutex>

#include "core/check.h"
#include "core/mapped_file.h"
#include "onnx/importer.h"
#include "ops/dispatch.h"

namespace tandem {

using TensorList = std::vector<Tensor>;

namespace {

using ModelFunction = Function<TensorList(TensorList)>;
using SharedModel = std::shared_ptr<const onnx::ImportedModel>;

/// Runs the model on its inputs, then those of its defaults that `replaced` marks.
TensorList run_model(const onnx::ImportedModel& model, const TensorList& inputs,
                     const std::vector<bool>& replaced) {
  TensorList all(inputs.begin(), inputs.begin() + static_cast<ptrdiff_t>(model.inputs.size()));
  size_t next = model.inputs.size();
  for (size_t i = 0; i < model.default_values.size(); ++i)
    all.push_back(i < replaced.size() && replaced[i] ? inputs[next++] : model.default_values[i]);
  return onnx::run_body(model.body, all);
}

ModelFunction function_of(SharedModel model, const FunctionOptions& options,
                          std::vector<bool> replaced = {}) {
  return ModelFunction([model = std::move(model), replaced = std::move(replaced)](
                           const TensorList& inputs) { return run_model(*model, inputs, replaced); },
                       options);
}

}  // namespace

struct LoadedModel::State {
  SharedModel model;
  FunctionOptions options;
  ModelFunction graph;
  /// With some of the defaults replaced: by which.
  mutable std::mutex mutex;
  mutable std::map<std::vector<bool>, ModelFunction> variants;
};

namespace {

/// Adds what a value says of its named sizes; throws when they contradict what others said.
void check_value(const Tensor& t, const ModelValue& v,
                 std::map<std::string, std::pair<int64_t, std::string>>& sizes) {
  auto complain = [&] {
    fail("input \"{}\" is {}{}; {} is needed", v.name, t.dtype(), t.shape(), v.to_string());
  };
  TD_CHECK(t.defined(), "input \"{}\" is an empty tensor handle", v.name);
  if (t.dtype() != v.dtype) complain();
  if (!v.has_shape) return;
  if (t.rank() != v.shape.rank()) complain();
  for (int i = 0; i < t.rank(); ++i) {
    const int64_t size = t.shape()[i];
    if (v.shape[i] >= 0 && size >= 0 && size != v.shape[i]) complain();
    const std::string& name = v.dimension_names[static_cast<size_t>(i)];
    if (name.empty() || size < 0) continue;
    const auto [known, is_new] = sizes.emplace(name, std::pair(size, v.name));
    TD_CHECK(is_new || known->second.first == size,
             "the size \"{}\" is {} in input \"{}\" and {} in input \"{}\"", name, known->second.first,
             known->second.second, size, v.name);
  }
}

}  // namespace

namespace {

void check_values(const onnx::ImportedModel& model, const TensorList& inputs,
                  const std::vector<const ModelValue*>& expected, Location where) {
  try {
    if (inputs.size() != expected.size()) {
      std::vector<std::string> texts;
      for (const ModelValue* v : expected) texts.push_back(v->to_string());
      fail("{} tensors were given; {} are needed: {}", inputs.size(), expected.size(),
           fmt::join(texts, ", "));
    }
    std::map<std::string, std::pair<int64_t, std::string>> sizes;
    for (size_t i = 0; i < inputs.size(); ++i) check_value(inputs[i], *expected[i], sizes);
  } catch (Error& e) {
    e.set_origin(std::filesystem::path(model.path).filename().string(), where);
    throw;
  }
}

std::vector<const ModelValue*> pointers_to(const std::vector<ModelValue>& values) {
  std::vector<const ModelValue*> list;
  for (const ModelValue& v : values) list.push_back(&v);
  return list;
}

}  // namespace

std::string ModelValue::to_string() const {
  std::vector<std::string> sizes;
  for (int i = 0; i < shape.rank(); ++i) {
    const std::string& name_of_size = dimension_names[static_cast<size_t>(i)];
    sizes.push_back(!name_of_size.empty() ? name_of_size : shape[i] < 0 ? "?" : std::to_string(shape[i]));
  }
  return fmt::format(
      "{}: {}{}", name, name_of(dtype),
      has_shape ? fmt::format("({}{})", fmt::join(sizes, ", "), sizes.size() == 1 ? "," : "") : "");
}

LoadedModel LoadedModel::make(onnx::ImportedModel model, const FunctionOptions& options) {
  auto state = std::make_shared<State>();
  state->model = std::make_shared<const onnx::ImportedModel>(std::move(model));
  state->options = options;
  if (state->options.name.empty()) state->options.name = state->model->name;
  state->graph = function_of(state->model, state->options);
  return LoadedModel(std::move(state));
}

const std::vector<ModelValue>& LoadedModel::inputs() const { return state_->model->inputs; }
const std::vector<ModelValue>& LoadedModel::outputs() const { return state_->model->outputs; }
const std::vector<ModelValue>& LoadedModel::defaults() const { return state_->model->defaults; }
const std::string& LoadedModel::name() const { return state_->model->name; }
const std::map<std::string, std::string>& LoadedModel::metadata() const { return state_->model->metadata; }
const onnx::ImportedModel& LoadedModel::imported() const { return *state_->model; }
const ModelFunction& LoadedModel::function() const { return state_->graph; }

TensorList LoadedModel::operator()(const TensorList& inputs, Location where) const {
  check_values(*state_->model, inputs, pointers_to(state_->model->inputs), where);
  return state_->graph(inputs, where);
}

TensorList LoadedModel::run_eagerly(const TensorList& inputs, Location where) const {
  check_values(*state_->model, inputs, pointers_to(state_->model->inputs), where);
  return run_model(*state_->model, inputs, {});
}

std::map<std::string, Tensor> LoadedModel::operator()(const std::map<std::string, Tensor>& inputs,
                                                      Location where) const {
  const onnx::ImportedModel& m = *state_->model;
  TensorList list;
  std::vector<const ModelValue*> expected = pointers_to(m.inputs);
  std::vector<bool> replaced;
  for (const ModelValue& v : m.inputs) {
    const auto found = inputs.find(v.name);
    list.push_back(found == inputs.end() ? Tensor() : found->second);
  }
  bool any = false;
  for (const ModelValue& v : m.defaults) {
    const auto found = inputs.find(v.name);
    replaced.push_back(found != inputs.end());
    if (!replaced.back()) continue;
    any = true;
    list.push_back(found->second);
    expected.push_back(&v);
  }
  for (const auto& [name, tensor] : inputs) {
    const bool known =
        std::any_of(m.inputs.begin(), m.inputs.end(), [&](const auto& v) { return v.name == name; }) ||
        std::any_of(m.defaults.begin(), m.defaults.end(), [&](const auto& v) { return v.name == name; });
    if (known) continue;
    std::vector<std::string> texts;
    for (const ModelValue& v : m.inputs) texts.push_back(v.to_string());
    Error e(ErrorCode::invalid_argument,
            fmt::format("there is no input \"{}\"; the inputs are {}", name, fmt::join(texts, ", ")));
    e.set_origin(std::filesystem::path(m.path).filename().string(), where);
    throw e;
  }
  check_values(m, list, expected, where);
  TensorList results;
  if (!any) {
    results = state_->graph(list, where);
  } else {
    const ModelFunction variant = [&] {
      const std::lock_guard<std::mutex> lock(state_->mutex);
      const auto found = state_->variants.find(replaced);
      if (found != state_->variants.end()) return found->second;
      return state_->variants.emplace(replaced, function_of(state_->model, state_->options, replaced))
          .first->second;
    }();
    results = variant(list, where);
  }
  std::map<std::string, Tensor> named;
  for (size_t i = 0; i < results.size(); ++i) named[m.outputs[i].name] = results[i];
  return named;
}

LoadedModel load(const std::string& path, const FunctionOptions& options) {
  const auto file = MappedFile::open(path);
  onnx::ModelProto model = onnx::parse_model(file->bytes(), path);
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return LoadedModel::make(onnx::import_model(model, path, &folder), options);
}

LoadedModel load_bytes(std::span<const std::byte> bytes, const std::string& name,
                       const FunctionOptions& options) {
  onnx::ModelProto model = onnx::parse_model(bytes, name);
  return LoadedModel::make(onnx::import_model(model, name, nullptr), options);
}

}  // namespace tandem
