#include "tandem/load.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <mutex>

#include "core/check.h"
#include "core/mapped_file.h"
#include "core/tensor_impl.h"
#include "onnx/importer.h"
#include "onnx/state.h"
#include "ops/dispatch.h"

namespace tandem {

using TensorList = std::vector<Tensor>;

namespace {

using ModelFunction = Function<TensorList(TensorList)>;

/// A model with the Variables that its metadata pair up.
struct ModelWithState {
  struct Cell {
    size_t place;  ///< among the defaults
    int output;    ///< with the next value; -1: it is only read
    Variable variable;
  };
  onnx::ImportedModel model;
  std::vector<Cell> cells;
  std::vector<ModelValue> outputs;  ///< without next values

  const Cell* cell_of(size_t place) const {
    const auto found =
        std::find_if(cells.begin(), cells.end(), [&](const Cell& c) { return c.place == place; });
    return found == cells.end() ? nullptr : &*found;
  }
  /// Whether an output is the next value of a variable that the caller has not replaced.
  bool is_kept_back(size_t output, const std::vector<bool>& replaced) const {
    return std::any_of(cells.begin(), cells.end(), [&](const Cell& c) {
      return c.output == static_cast<int>(output) && !(c.place < replaced.size() && replaced[c.place]);
    });
  }
};
using SharedModel = std::shared_ptr<const ModelWithState>;

// Inputs of so many integers or fewer may be what decides ranks.
constexpr int64_t largest_deciding = 64;
constexpr size_t most_variants = 32;

/// Runs the model on its inputs, then those of its defaults that `replaced` marks. Variables get their next
/// values, unless the caller has replaced them.
TensorList run_model(const ModelWithState& m, const TensorList& inputs, const std::vector<bool>& replaced) {
  const onnx::ImportedModel& model = m.model;
  TensorList all(inputs.begin(), inputs.begin() + static_cast<ptrdiff_t>(model.inputs.size()));
  size_t next = model.inputs.size();
  for (size_t i = 0; i < model.default_values.size(); ++i) {
    const ModelWithState::Cell* cell = m.cell_of(i);
    all.push_back(i < replaced.size() && replaced[i] ? inputs[next++]
                  : cell                             ? cell->variable.value()
                                                     : model.default_values[i]);
  }
  TensorList results = onnx::run_body(model.body, all), shown;
  for (const ModelWithState::Cell& c : m.cells)
    if (c.output >= 0 && m.is_kept_back(static_cast<size_t>(c.output), replaced))
      c.variable.assign(results[static_cast<size_t>(c.output)]);
  for (size_t i = 0; i < results.size(); ++i)
    if (!m.is_kept_back(i, replaced)) shown.push_back(std::move(results[i]));
  return shown;
}

/// The model as a graph. Where inputs decide ranks, as reduction axes that a caller gives, no graph fits all
/// their values: then there is one for each.
class GraphRunner {
 public:
  GraphRunner(SharedModel model, FunctionOptions options, std::vector<bool> replaced = {})
      : model_(std::move(model)), options_(std::move(options)), replaced_(std::move(replaced)) {
    graph_ = function_with({});
  }

  const ModelFunction& graph() const { return graph_; }

  TensorList run(const TensorList& inputs, Location where) {
    if (detail::must_run_body()) return run_model(*model_, inputs, replaced_);
    if (!by_value_.load(std::memory_order_acquire)) {
      try {
        return graph_(inputs, where);
      } catch (const Error&) {
        // The values are tried only where they help; else this is the error to show.
        if (traces(graph_, inputs, where) || !prepares_by_value(inputs, where)) throw;
        by_value_.store(true, std::memory_order_release);
      }
    }
    return for_values(inputs)(inputs, where);
  }

 private:
  using Fixed = std::map<size_t, Tensor>;

  static bool decides(const Tensor& t) { return !is_floating(t.dtype()) && t.size() <= largest_deciding; }

  ModelFunction function_with(Fixed fixed) const {
    return ModelFunction(
        [model = model_, replaced = replaced_, fixed = std::move(fixed)](TensorList inputs) {
          for (const auto& [i, value] : fixed) inputs[i] = value;
          return run_model(*model, inputs, replaced);
        },
        options_);
  }

  static bool traces(const ModelFunction& f, const TensorList& inputs, Location where) {
    try {
      f.prepare(inputs, where);
      return true;
    } catch (const Error&) {
      return false;
    }
  }

  bool prepares_by_value(const TensorList& inputs, Location where) {
    return std::any_of(inputs.begin(), inputs.end(), decides) && traces(for_values(inputs), inputs, where);
  }

  ModelFunction for_values(const TensorList& inputs) {
    std::string key;
    Fixed fixed;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (!decides(inputs[i])) continue;
      const Tensor dense = inputs[i].contiguous();
      key += to_string(dense.shape());
      key.append(static_cast<const char*>(dense.impl()->data),
                 static_cast<size_t>(dense.size()) * size_of(dense.dtype()));
      fixed[i] = dense;
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    if (const auto found = by_values_.find(key); found != by_values_.end()) return found->second;
    if (by_values_.size() == most_variants) by_values_.clear();
    return by_values_.emplace(key, function_with(std::move(fixed))).first->second;
  }

  SharedModel model_;
  FunctionOptions options_;
  std::vector<bool> replaced_;
  ModelFunction graph_;
  std::atomic<bool> by_value_{false};
  std::mutex mutex_;
  std::map<std::string, ModelFunction> by_values_;
};

}  // namespace

struct LoadedModel::State {
  SharedModel model;
  FunctionOptions options;
  std::unique_ptr<GraphRunner> graph;
  /// With some of the defaults replaced: by which.
  mutable std::mutex mutex;
  mutable std::map<std::vector<bool>, std::unique_ptr<GraphRunner>> variants;
};

namespace {

/// A size that has a name, and the input that says it.
struct NamedSize {
  const std::string* name;
  int64_t size;
  const ModelValue* by;
};
using NamedSizes = SmallVector<NamedSize, 8>;

/// Adds what a value says of its named sizes; throws when they contradict what others said.
void check_value(const Tensor& t, const ModelValue& v, NamedSizes& sizes) {
  auto complain = [&] {
    fail("input \"{}\" is {}{}; {} is needed", v.name, t.dtype(), t.shape(), v.to_string());
  };
  TD_CHECK(t.defined(), "input \"{}\" is an empty tensor handle", v.name);
  if (t.dtype() != v.dtype) complain();
  if (!v.has_shape) return;
  if (t.rank() != v.shape.rank()) complain();
  for (int i = 0; i < t.rank(); ++i) {
    const int64_t size = t.shape().codes()[i];
    if (v.shape[i] >= 0 && size >= 0 && size != v.shape[i]) complain();
    const std::string& name = v.dimension_names[static_cast<size_t>(i)];
    if (name.empty() || size < 0) continue;
    const NamedSize* known =
        std::find_if(sizes.begin(), sizes.end(), [&](const NamedSize& s) { return *s.name == name; });
    if (known == sizes.end())
      sizes.push_back({&name, size, &v});
    else
      TD_CHECK(known->size == size, "the size \"{}\" is {} in input \"{}\" and {} in input \"{}\"", name,
               known->size, known->by->name, size, v.name);
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
    NamedSizes sizes;
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

namespace {

size_t place_of(const std::vector<ModelValue>& values, const std::string& name, const onnx::ImportedModel& m,
                const char* what) {
  const auto found =
      std::find_if(values.begin(), values.end(), [&](const ModelValue& v) { return v.name == name; });
  TD_CHECK(found != values.end(), ErrorCode::io, "{}: the metadata speak of a state \"{}\", which is no {}",
           m.path, name, what);
  return static_cast<size_t>(found - values.begin());
}

ModelWithState with_state(onnx::ImportedModel model) {
  ModelWithState m;
  for (const onnx::SavedState& s : onnx::read_states(model.metadata)) {
    const size_t place = place_of(model.defaults, s.input, model, "input with a default");
    const int output =
        s.output.empty() ? -1 : static_cast<int>(place_of(model.outputs, s.output, model, "output"));
    const ModelValue& input = model.defaults[place];
    m.cells.push_back(
        {place, output,
         Variable(model.default_values[place],
                  {.name = s.input, .trainable = s.trainable, .shape = input.shape, .unique_name = false})});
  }
  m.model = std::move(model);
  for (size_t i = 0; i < m.model.outputs.size(); ++i)
    if (!m.is_kept_back(i, {})) m.outputs.push_back(m.model.outputs[i]);
  return m;
}

}  // namespace

LoadedModel LoadedModel::make(onnx::ImportedModel model, const FunctionOptions& options) {
  auto state = std::make_shared<State>();
  state->model = std::make_shared<const ModelWithState>(with_state(std::move(model)));
  state->options = options;
  if (state->options.name.empty()) state->options.name = state->model->model.name;
  state->graph = std::make_unique<GraphRunner>(state->model, state->options);
  return LoadedModel(std::move(state));
}

const std::vector<ModelValue>& LoadedModel::inputs() const { return state_->model->model.inputs; }
const std::vector<ModelValue>& LoadedModel::outputs() const { return state_->model->outputs; }
const std::vector<ModelValue>& LoadedModel::defaults() const { return state_->model->model.defaults; }
std::vector<Variable> LoadedModel::variables() const {
  std::vector<Variable> list;
  for (const ModelWithState::Cell& c : state_->model->cells) list.push_back(c.variable);
  return list;
}
const std::string& LoadedModel::name() const { return state_->model->model.name; }
const std::map<std::string, std::string>& LoadedModel::metadata() const {
  return state_->model->model.metadata;
}
const onnx::ImportedModel& LoadedModel::imported() const { return state_->model->model; }
const ModelFunction& LoadedModel::function() const { return state_->graph->graph(); }

TensorList LoadedModel::operator()(const TensorList& inputs, Location where) const {
  check_values(state_->model->model, inputs, pointers_to(state_->model->model.inputs), where);
  return state_->graph->run(inputs, where);
}

TensorList LoadedModel::run_eagerly(const TensorList& inputs, Location where) const {
  check_values(state_->model->model, inputs, pointers_to(state_->model->model.inputs), where);
  return run_model(*state_->model, inputs, {});
}

std::map<std::string, Tensor> LoadedModel::by_name(const std::map<std::string, Tensor>& inputs,
                                                   Location where) const {
  return run_named(inputs, false, where);
}

std::map<std::string, Tensor> LoadedModel::by_name_eagerly(const std::map<std::string, Tensor>& inputs,
                                                           Location where) const {
  return run_named(inputs, true, where);
}

std::map<std::string, Tensor> LoadedModel::run_named(const std::map<std::string, Tensor>& inputs,
                                                     bool eagerly, Location where) const {
  const onnx::ImportedModel& m = state_->model->model;
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
    // clang 14 captures no structured bindings.
    const auto is_it = [&text = name](const ModelValue& v) { return v.name == text; };
    const bool known = std::any_of(m.inputs.begin(), m.inputs.end(), is_it) ||
                       std::any_of(m.defaults.begin(), m.defaults.end(), is_it);
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
  if (eagerly) {
    results = run_model(*state_->model, list, replaced);
  } else if (!any) {
    results = state_->graph->run(list, where);
  } else {
    GraphRunner& variant = [&]() -> GraphRunner& {
      const std::lock_guard<std::mutex> lock(state_->mutex);
      auto& runner = state_->variants[replaced];
      if (!runner) runner = std::make_unique<GraphRunner>(state_->model, state_->options, replaced);
      return *runner;
    }();
    results = variant.run(list, where);
  }
  std::map<std::string, Tensor> named;
  size_t next = 0;
  for (size_t i = 0; i < m.outputs.size(); ++i)
    if (!state_->model->is_kept_back(i, replaced)) named[m.outputs[i].name] = results[next++];
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
