#include "nn/functional.h"

#include <algorithm>
#include <map>

#include "core/check.h"
#include "nn/layer_call.h"
#include "nn/model_inputs.h"
#include "nn/module_state.h"
#include "tandem/nn/model.h"

namespace tandem::nn {

namespace detail {

void adopt_layer(ModuleState& model, const Layer& layer, Location where) {
  const std::vector<ModuleState::Member> members = model.members_now();
  std::vector<std::string> taken;
  for (const ModuleState::Member& m : members) {
    if (m.module == layer.state()) return;
    taken.push_back(m.name);
  }
  std::string name = layer.state()->given_name;
  if (name.empty()) {
    const std::string base = snake_case(layer.state()->class_name());
    name = base;
    for (int i = 1; std::find(taken.begin(), taken.end(), name) != taken.end(); ++i)
      name = base + '_' + std::to_string(i);
  }
  model.add_module(name, layer.state(), where);
}

FunctionalBody::FunctionalBody(Values inputs, Values outputs)
    : inputs_(std::move(inputs)), outputs_(std::move(outputs)) {
  std::map<std::pair<uint64_t, int>, int> slots;
  const auto slots_of = [&](const Values& values) {
    std::vector<int> list;
    for (const Value& v : values.flatten()) list.push_back(slots.at({v.node()->serial, v.index()}));
    return list;
  };
  for (const Value& v : inputs_.flatten()) {
    const bool is_new = slots.emplace(std::pair(v.node()->serial, v.index()), slot_count_++).second;
    TD_CHECK(is_new, "{} is listed twice among the inputs", v.name());
  }
  for (const auto& node : nodes_between(inputs_.flatten(), outputs_.flatten())) {
    TD_CHECK(node->layer, "the outputs need {} ({}:{}), which is not among the model's inputs",
             node->name.empty() ? "an Input" : fmt::format("input \"{}\"", node->name),
             node->where.file_name(), node->where.line);
    Step step{*node->layer, node->form, {}, node->options, node->where, slots_of(node->arguments), {}, {}};
    if (step.form == CallForm::nest) step.structure = node->arguments;
    for (size_t i = 0; i < node->outputs.size(); ++i) {
      // An inner value that is declared an input keeps the slot of what is given for it.
      step.results.push_back(slot_count_);
      slots.emplace(std::pair(node->serial, static_cast<int>(i)), slot_count_++);
    }
    steps_.push_back(std::move(step));
  }
  output_slots_ = slots_of(outputs_);
  std::vector<bool> needed(static_cast<size_t>(slot_count_), false);
  for (int slot : output_slots_) needed[static_cast<size_t>(slot)] = true;
  for (size_t i = steps_.size(); i-- > 0;)
    for (int slot : steps_[i].arguments) {
      if (!needed[static_cast<size_t>(slot)]) steps_[i].last_uses.push_back(slot);
      needed[static_cast<size_t>(slot)] = true;
    }
}

std::vector<Layer> FunctionalBody::layers() const {
  std::vector<Layer> result;
  for (const Step& step : steps_)
    if (std::none_of(result.begin(), result.end(),
                     [&](const Layer& l) { return l.state() == step.layer.state(); }))
      result.push_back(step.layer);
  return result;
}

std::vector<std::string> FunctionalBody::output_names() const {
  std::vector<std::string> names;
  for (const Value& v : outputs_.flatten()) {
    const std::string base = v.name();
    std::string name = base;
    for (int i = 1; std::find(names.begin(), names.end(), name) != names.end(); ++i)
      name = base + '_' + std::to_string(i);
    names.push_back(std::move(name));
  }
  return names;
}

std::vector<Tensor> FunctionalBody::run(std::vector<Tensor> inputs) const {
  std::vector<Tensor> values = std::move(inputs);
  values.resize(static_cast<size_t>(slot_count_));
  std::vector<Tensor> arguments, results;
  const auto value = [&](int slot) -> Tensor& { return values[static_cast<size_t>(slot)]; };
  for (const Step& step : steps_) {
    // What an absent optional input alone decides is absent too.
    const bool absent = std::none_of(step.arguments.begin(), step.arguments.end(),
                                     [&](int slot) { return value(slot).defined(); });
    if (step.form == CallForm::one && step.results.size() == 1) {
      if (!absent) value(step.results[0]) = step.layer(value(step.arguments[0]), step.options, step.where);
    } else if (!absent) {
      arguments.clear();
      for (int slot : step.arguments) arguments.push_back(value(slot));
      if (step.form == CallForm::nest) {
        results = step.layer(step.structure.with_leaves(arguments), step.options, step.where).flatten();
      } else {
        std::erase_if(arguments, [](const Tensor& t) { return !t.defined(); });
        results = step.layer(arguments, step.options, step.where);
      }
      TD_CHECK(results.size() == step.results.size(),
               "layer {} returned {} tensors and did {} when the model was described", step.layer.path(),
               results.size(), step.results.size());
      for (size_t i = 0; i < results.size(); ++i) value(step.results[i]) = std::move(results[i]);
    }
    for (int slot : step.last_uses) value(slot) = Tensor();
  }
  results.clear();
  for (int slot : output_slots_) results.push_back(value(slot));
  return results;
}

std::vector<Tensor> FunctionalBody::call_many(ModuleState&, const std::vector<Tensor>& inputs) {
  return run(match_inputs(inputs_, inputs, warned_));
}

Nest FunctionalBody::call_nest(ModuleState&, const Nest& inputs) {
  return outputs_.with_leaves(run(match_inputs(inputs_, inputs, warned_)));
}

Tensor FunctionalBody::call(ModuleState&, const Tensor& x) {
  TD_CHECK(output_slots_.size() == 1,
           "the model has {} outputs; call it with a list of inputs to get a list of them",
           output_slots_.size());
  return run(inputs_.is_leaf() ? std::vector<Tensor>{fit_input(inputs_.leaf(), "", x)}
                               : match_inputs(inputs_, x, warned_))[0];
}

std::shared_ptr<LayerBody> FunctionalBody::clone() const {
  const std::vector<Value> inputs = inputs_.flatten();
  std::map<std::pair<uint64_t, int>, Value> clones;
  for (const Value& v : inputs) clones.emplace(std::pair(v.node()->serial, v.index()), v);
  const auto clone_of = [&](const Value& v) { return clones.at({v.node()->serial, v.index()}); };
  for (const auto& node : nodes_between(inputs, outputs_.flatten())) {
    auto copy = std::make_shared<ValueNode>();
    copy->layer = Layer(*node->layer);
    copy->form = node->form;
    copy->arguments = node->arguments.map(clone_of);
    copy->options = node->options;
    copy->results = node->results;
    copy->outputs = node->outputs;
    copy->where = node->where;
    copy->layer->state()->note_description(copy);
    for (size_t i = 0; i < node->outputs.size(); ++i)
      clones.emplace(std::pair(node->serial, static_cast<int>(i)), Value(copy, static_cast<int>(i)));
  }
  return std::make_shared<FunctionalBody>(inputs_, outputs_.map(clone_of));
}

std::shared_ptr<LayerBody> SequentialBody::clone() const {
  auto copy = std::make_shared<SequentialBody>();
  for (const Layer& layer : layers_) copy->layers_.emplace_back(layer);
  copy->input = input;
  if (input && output) {
    // The same description with the clones in it.
    std::vector<std::shared_ptr<const ValueNode>> nodes = nodes_between({*input}, {*output});
    Value value = *input;
    for (size_t i = 0; i < nodes.size(); ++i) {
      auto node = std::make_shared<ValueNode>(*nodes[i]);
      node->serial = ValueNode().serial;
      node->layer = copy->layers_[i];
      node->arguments = value;
      node->layer->state()->note_description(node);
      value = Value(node, 0);
    }
    copy->output = value;
  }
  return copy;
}

// As if it had been called.
void note_described(ModuleState& model, const Values& inputs, const Values& outputs) {
  model.note_call(inputs.map([](const Value& v) { return spec_of(v); }), false,
                  spec_of(outputs.flatten()[0]).shape);
}

std::optional<Values> SequentialBody::declared_inputs() const {
  return input ? std::optional<Values>(*input) : std::nullopt;
}
std::optional<Values> SequentialBody::declared_outputs() const {
  return output ? std::optional<Values>(*output) : std::nullopt;
}

Tensor SequentialBody::call(ModuleState&, const Tensor& x) {
  TD_CHECK(!layers_.empty(), "the model has no layers yet");
  Tensor y = input ? fit_input(*input, "", x) : x;
  for (const Layer& layer : layers_) y = layer(y, {}, layer.state()->where);
  return y;
}

}  // namespace detail

namespace {

std::shared_ptr<detail::FunctionalBody> connect(const Values& inputs, const Values& outputs, Location where) {
  return detail::at_line("model", where, [&] {
    TD_CHECK(!inputs.flatten().empty(), "a model has at least one input");
    TD_CHECK(!outputs.flatten().empty(), "a model has at least one output");
    for (const Values* values : {&inputs, &outputs})
      for (const Value& v : values->flatten()) detail::spec_of(v);
    return std::make_shared<detail::FunctionalBody>(inputs, outputs);
  });
}

}  // namespace

Model::Model(const Values& inputs, const Values& outputs, ModelOptions options, Location where)
    : Model("Model", std::move(options.name), where, connect(inputs, outputs, where)) {
  for (const Layer& layer : layers()) detail::adopt_layer(*state(), layer, where);
  detail::note_described(*state(), inputs, outputs);
}

std::vector<Layer> Model::layers() const {
  std::vector<Layer> layers = body()->layers();
  if (!layers.empty()) return layers;
  // A class of the user's own: its members that are layers.
  for (const detail::ModuleState::Member& m : state()->members_now())
    if (m.module)
      if (const std::shared_ptr<detail::LayerBody> inner = m.module->body.lock())
        layers.emplace_back(m.module, inner);
  return layers;
}

Layer Model::layer(const std::string& name, Location where) const {
  return detail::in_call("layer", where, [&] {
    const size_t slash = name.find('/');
    const std::string first = name.substr(0, slash);
    std::string known;
    for (const detail::ModuleState::Member& m : state()->members_now()) {
      if (!m.module) continue;
      const std::shared_ptr<detail::LayerBody> inner = m.module->body.lock();
      if (!inner) continue;
      const Layer found(m.module, inner);
      if (m.name == first)
        return slash == std::string::npos ? found : Model(found).layer(name.substr(slash + 1), where);
      known += (known.empty() ? "" : ", ") + m.name;
    }
    fail("model {} has no layer \"{}\"; it has: {}", path(), first, known.empty() ? "none" : known);
  });
}

Layer Model::layer(int index, Location where) const {
  return detail::in_call("layer", where, [&] {
    const std::vector<Layer> all = layers();
    const int count = static_cast<int>(all.size());
    TD_CHECK(index >= -count && index < count, "layer {} was asked for; model {} has {}", index, path(),
             count);
    return all[static_cast<size_t>(index < 0 ? index + count : index)];
  });
}

Sequential::Sequential(std::initializer_list<SequentialItem> items, ModelOptions options, Location where)
    : Model("Sequential", std::move(options.name), where, std::make_shared<detail::SequentialBody>()) {
  for (const SequentialItem& item : items) add(item, where);
}

void Sequential::note_change() {
  state()->forget_call();
  forget_graphs();
  if (!state()->parent.expired()) detail::note_structure_change();  // graphs of models around this one
}

namespace {

/// Where the layer was made, for the operations inside.
Location line_of(const Layer& layer, Location where) {
  const Location made = layer.state()->where;
  return made.known() ? made : where;
}

}  // namespace

Sequential& Sequential::add(SequentialItem item, Location where) {
  auto& body = static_cast<detail::SequentialBody&>(*this->body());
  detail::at_line("sequential", where, [&] {
    if (item.input()) {
      TD_CHECK(body.layers_.empty() && !body.input, "an Input may only come first");
      TD_CHECK(detail::spec_of(*item.input()).shape.rank() > 0 && !item.input()->node()->layer,
               "a Sequential begins with an nn::Input, not with the result of a layer");
      body.input = body.output = item.input();
      return;
    }
    detail::adopt_layer(*state(), *item.layer(), where);
    body.layers_.push_back(*item.layer());
  });
  note_change();
  if (item.layer() && body.output) {
    try {
      body.output = (*item.layer())(*body.output, {}, line_of(*item.layer(), where));
    } catch (...) {
      remove_last();
      throw;
    }
    detail::note_described(*state(), *body.input, *body.output);
  }
  return *this;
}

void Sequential::remove_last() {
  auto& body = static_cast<detail::SequentialBody&>(*this->body());
  const Layer last = body.layers_.back();
  body.layers_.pop_back();
  if (std::none_of(body.layers_.begin(), body.layers_.end(),
                   [&](const Layer& l) { return l.state() == last.state(); }))
    state()->remove_module(last.state());
}

Sequential& Sequential::pop(Location where) {
  auto& body = static_cast<detail::SequentialBody&>(*this->body());
  detail::in_call("pop", where, [&] { TD_CHECK(!body.layers_.empty(), "the model has no layers"); });
  remove_last();
  if (body.output) {
    const Values before = body.output->node()->arguments;
    body.output = before.leaf();
  }
  note_change();
  if (body.output && !body.layers_.empty()) detail::note_described(*state(), *body.input, *body.output);
  return *this;
}

void Sequential::build(const Shape& input_shape, DType dtype, Location where) const {
  auto& body = static_cast<detail::SequentialBody&>(*this->body());
  detail::at_line("build", where, [&] {
    TD_CHECK(!body.layers_.empty(), "the model has no layers yet");
    TD_CHECK(input_shape.rank() > 0, "the shape is that of a scalar; its first dimension is the batch");
    if (body.input) {
      const Shape declared = body.input->shape();
      bool fits = declared.rank() == input_shape.rank();
      for (int i = 0; fits && i < declared.rank(); ++i)
        fits = declared[i] < 0 || input_shape[i] < 0 || declared[i] == input_shape[i];
      TD_CHECK(fits, "the shape is {} and the model begins with an Input of {}", input_shape, declared);
      return;
    }
    Shape example = input_shape;
    example.erase(0);
    const Value input = Input(example, {.dtype = dtype}, where);
    Value value = input;
    for (const Layer& layer : body.layers_) value = layer(value, {}, line_of(layer, where));
    body.input = input;
    body.output = value;
    detail::note_described(*state(), input, value);
  });
}

}  // namespace tandem::nn
