#include "nn/functional.h"

#include <algorithm>
#include <map>

#include "core/check.h"
#include "nn/layer_call.h"
#include "nn/module_state.h"
#include "tandem/nn/model.h"

namespace tandem::nn {

namespace detail {

void check_input(const Value& input, size_t index, size_t count, const Tensor& x) {
  const Spec& spec = spec_of(input);
  auto which = [&] {
    if (const std::string name = input.name(); name != "input") return fmt::format("input \"{}\"", name);
    return count == 1 ? std::string("the input") : fmt::format("input {}", index);
  };
  TD_CHECK(x.dtype() == spec.dtype,
           "{} has dtype {} and the model takes {}; convert it with td::cast(x, td::{})", which(), x.dtype(),
           spec.dtype, spec.dtype);
  bool fits = x.rank() == spec.shape.rank();
  for (int i = 0; fits && i < x.rank(); ++i)
    fits = spec.shape[i] < 0 || x.shape()[i] < 0 || spec.shape[i] == x.shape()[i];
  TD_CHECK(fits, "{} has shape {} and the model takes {}", which(), x.shape(), spec.shape);
}

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

FunctionalBody::FunctionalBody(const std::vector<Value>& inputs, const std::vector<Value>& outputs)
    : inputs_(inputs) {
  std::map<std::pair<uint64_t, int>, int> slots;
  for (const Value& v : inputs) {
    const bool is_new = slots.emplace(std::pair(v.node()->serial, v.index()), slot_count_++).second;
    TD_CHECK(is_new, "{} is listed twice among the inputs", v.name());
  }
  for (const auto& node : nodes_between(inputs, outputs)) {
    TD_CHECK(node->layer, "the outputs need {} ({}:{}), which is not among the model's inputs", node->name,
             node->where.file_name(), node->where.line);
    Step step{*node->layer, node->options, node->where, {}, {}, {}};
    for (const Value& v : node->arguments) step.arguments.push_back(slots.at({v.node()->serial, v.index()}));
    for (size_t i = 0; i < node->outputs.size(); ++i) {
      // An inner value that is declared an input keeps the slot of what is given for it.
      step.results.push_back(slot_count_);
      slots.emplace(std::pair(node->serial, static_cast<int>(i)), slot_count_++);
    }
    steps_.push_back(std::move(step));
  }
  for (const Value& v : outputs) outputs_.push_back(slots.at({v.node()->serial, v.index()}));
  std::vector<bool> needed(static_cast<size_t>(slot_count_), false);
  for (int slot : outputs_) needed[static_cast<size_t>(slot)] = true;
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

std::vector<Tensor> FunctionalBody::call_many(ModuleState&, const std::vector<Tensor>& inputs) {
  TD_CHECK(inputs.size() == inputs_.size(), "the model takes {} input{} and got {}", inputs_.size(),
           inputs_.size() == 1 ? "" : "s", inputs.size());
  std::vector<Tensor> values(static_cast<size_t>(slot_count_));
  for (size_t i = 0; i < inputs.size(); ++i) {
    check_input(inputs_[i], i, inputs.size(), inputs[i]);
    values[i] = inputs[i];
  }
  std::vector<Tensor> arguments;
  for (const Step& step : steps_) {
    if (step.arguments.size() == 1 && step.results.size() == 1) {
      values[static_cast<size_t>(step.results[0])] =
          step.layer(values[static_cast<size_t>(step.arguments[0])], step.options, step.where);
    } else {
      arguments.clear();
      for (int slot : step.arguments) arguments.push_back(values[static_cast<size_t>(slot)]);
      std::vector<Tensor> results = step.layer(arguments, step.options, step.where);
      for (size_t i = 0; i < results.size(); ++i)
        values[static_cast<size_t>(step.results[i])] = std::move(results[i]);
    }
    for (int slot : step.last_uses) values[static_cast<size_t>(slot)] = Tensor();
  }
  std::vector<Tensor> outputs;
  for (int slot : outputs_) outputs.push_back(values[static_cast<size_t>(slot)]);
  return outputs;
}

Tensor FunctionalBody::call(ModuleState& state, const Tensor& x) {
  TD_CHECK(outputs_.size() == 1,
           "the model has {} outputs; call it with a list of inputs to get a list of them", outputs_.size());
  return call_many(state, {x})[0];
}

Tensor SequentialBody::call(ModuleState&, const Tensor& x) {
  TD_CHECK(!layers_.empty(), "the model has no layers yet");
  if (input) check_input(*input, 0, 1, x);
  Tensor y = x;
  for (const Layer& layer : layers_) y = layer(y, {}, layer.state()->where);
  return y;
}

}  // namespace detail

namespace {

std::shared_ptr<detail::FunctionalBody> connect(const Values& inputs, const Values& outputs, Location where) {
  return detail::at_line("model", where, [&] {
    TD_CHECK(!inputs.list().empty(), "a model has at least one input");
    TD_CHECK(!outputs.list().empty(), "a model has at least one output");
    for (const Values* list : {&inputs, &outputs})
      for (const Value& v : list->list()) detail::spec_of(v);
    return std::make_shared<detail::FunctionalBody>(inputs.list(), outputs.list());
  });
}

}  // namespace

Model::Model(const Values& inputs, const Values& outputs, ModelOptions options, Location where)
    : Model("Model", std::move(options.name), where, connect(inputs, outputs, where)) {
  for (const Layer& layer : layers()) detail::adopt_layer(*state(), layer, where);
}

std::vector<Layer> Model::layers() const { return body()->layers(); }

Sequential::Sequential(std::initializer_list<SequentialItem> items, ModelOptions options, Location where)
    : Model("Sequential", std::move(options.name), where, std::make_shared<detail::SequentialBody>()) {
  for (const SequentialItem& item : items) add(item, where);
}

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
  forget_graphs();
  if (item.layer() && body.output) {
    const Location made = item.layer()->state()->where;
    body.output = (*item.layer())(*body.output, {}, made.known() ? made : where);
  }
  return *this;
}

}  // namespace tandem::nn
