#include "onnx/emitter.h"

#include <algorithm>
#include <array>

#include "compiler/pass.h"
#include "core/check.h"
#include "function/trace_mode.h"
#include "graph/text.h"
#include "onnx/attribute_proto.h"
#include "onnx/dtypes.h"
#include "onnx/opset17.h"
#include "onnx/state.h"
#include "onnx/tensor_proto.h"
#include "ops/dispatch.h"
#include "tandem/ops/shape.h"

namespace tandem::onnx {

namespace {

constexpr const char* own_domain = "ai.tandem";

bool equal(const AttributeValue& a, const AttributeValue& b) {
  return std::visit(
      [&]<class T>(const T& v) {
        const T* other = std::get_if<T>(&b);
        if constexpr (std::is_same_v<T, Tensor>)
          return other && other->impl() == v.impl();
        else
          return other && *other == v;
      },
      a);
}

// Attributes that some op of ONNX has no default for.
constexpr std::array<std::string_view, 4> required = {"axis", "blocksize", "direction", "to"};

/// Attributes that are not at their default: newer ones, which opset 17 knows nothing of, mostly are.
void write_settings(const AttributeBox& attributes, NodeProto& node) {
  if (!attributes.type()) return;
  const AttributeDraft defaults(*attributes.type());
  std::map<std::string, AttributeValue, std::less<>> unset;
  attributes.type()->each(defaults.get(), [&](std::string_view name, const AttributeValue& value) {
    unset.emplace(name, value);
  });
  attributes.type()->each(attributes.get(), [&](std::string_view name, const AttributeValue& value) {
    const auto found = unset.find(name);
    if (found == unset.end() || !equal(found->second, value) ||
        std::find(required.begin(), required.end(), name) != required.end())
      write_attribute(name, value, *node.add_attribute());
  });
}

/// Variables that ops with one of these traits touch, in a graph or its bodies, in that order.
void add_variables(const Graph& graph, uint32_t traits, std::vector<VariablePointer>& found) {
  for (const Node& n : graph.nodes) {
    if (n.op->has(has_bodies))
      for (const Graph* g : bodies_of(n).graphs) add_variables(*g, traits, found);
    if ((n.op->traits & traits) == 0) continue;
    const VariablePointer& v = n.attributes.as<VariableAttributes>().variable;
    if (std::find(found.begin(), found.end(), v) == found.end()) found.push_back(v);
  }
}
std::vector<VariablePointer> assigned_in(const std::vector<const Graph*>& graphs) {
  std::vector<VariablePointer> found;
  for (const Graph* g : graphs) add_variables(*g, writes_variable, found);
  return found;
}

std::string option(const std::vector<std::string>& names, size_t i, const char* otherwise) {
  return i < names.size() ? names[i] : otherwise;
}

}  // namespace

std::string Names::unique(const std::string& wanted) {
  std::string name = wanted;
  for (int i = 1; !taken_.insert(name).second; ++i) name = fmt::format("{}_{}", wanted, i);
  return name;
}

std::string Emitter::size_name(int64_t symbol) {
  return size_names_.emplace(symbol, fmt::format("size_{}", size_names_.size())).first->second;
}

void Emitter::describe(ValueInfoProto& info, const std::string& name, const Spec& spec) {
  info.set_name(name);
  auto& type = *info.mutable_type()->mutable_tensor_type();
  type.set_elem_type(code_of(spec.dtype));
  auto& shape = *type.mutable_shape();
  for (int64_t d : spec.shape) {
    auto& dim = *shape.add_dim();
    if (d >= 0)
      dim.set_dim_value(d);
    else if (is_symbol(d))
      dim.set_dim_param(size_name(d));
  }
}

void Emitter::locate(NodeProto& proto, Location where) const {
  if (options_.locations && where.known())
    proto.set_doc_string(fmt::format("{}:{}", where.file_name(), where.line));
}

std::string Emitter::emit_constant(const Tensor& value, const std::string& name, Target& to) {
  std::string given = to.names->unique(name);
  if (to.initializers) {
    write_tensor(value, given, *to.initializers->Add());
    return given;
  }
  NodeProto& node = *to.nodes->Add();
  node.set_op_type("Constant");
  node.add_output(given);
  write_attribute("value", value, *node.add_attribute());
  return given;
}

std::string Emitter::own_name(const std::string& value, const std::string& wanted, Target& to) {
  NodeProto& node = *to.nodes->Add();
  node.set_op_type("Identity");
  node.set_name(wanted);
  node.add_input(value);
  node.add_output(wanted);
  return wanted;
}

std::string& Emitter::state(const VariablePointer& variable) {
  const auto found = states_.find(variable);
  TD_CHECK(found != states_.end(), "the variable {} cannot be used inside the body of an operation",
           variable->name);
  return found->second;
}

// ---- models

void Emitter::begin_model() {
  model_.set_ir_version(8);
  model_.set_producer_name("tandem");
  OperatorSetIdProto& standard = *model_.add_opset_import();
  standard.set_domain("");
  standard.set_version(saved_opset);
}

void Emitter::end_model() {
  if (model_.functions_size() == 0) return;
  OperatorSetIdProto& own = *model_.add_opset_import();
  own.set_domain(own_domain);
  own.set_version(1);
}

void Emitter::name_variable(const VariablePointer& variable, const std::string& name) {
  state_names_.emplace(variable, names_.unique(name.empty() ? "variable" : name));
}

void Emitter::emit_model(const Graph& graph, const std::string& name) {
  begin_model();
  TD_CHECK(options_.inputs.size() <= graph.inputs.size(), "{} names are given for {} inputs",
           options_.inputs.size(), graph.inputs.size());
  TD_CHECK(options_.outputs.size() <= graph.outputs.size(), "{} names are given for {} outputs",
           options_.outputs.size(), graph.outputs.size());
  GraphProto& main = *model_.mutable_graph();
  for (const State& s : emit_graph(graph, name, options_.inputs, options_.outputs, main)) {
    const Tensor value = s.variable->load();
    write_tensor(value, s.before, *main.add_initializer());
    describe(*main.add_input(), s.before, value.spec());
    write_state(model_, {s.before, s.after, s.variable->trainable});
  }
  end_model();
}

std::vector<Emitter::State> Emitter::emit_graph(const Graph& graph, const std::string& name,
                                                const std::vector<std::string>& input_names,
                                                const std::vector<std::string>& output_names,
                                                GraphProto& main) {
  main.set_name(name.empty() ? "function" : name);
  // Names that the caller chose are taken first.
  ValueNames values;
  std::vector<std::string> outputs;
  for (size_t i = 0; i < graph.inputs.size(); ++i) {
    const ValueRef v{graph.inputs[i], 0};
    values[v] = names_.unique(option(input_names, i, "input"));
    describe(*main.add_input(), values[v], graph.spec(v));
  }
  for (size_t i = 0; i < graph.outputs.size(); ++i)
    outputs.push_back(names_.unique(option(output_names, i, "output")));

  std::vector<VariablePointer> variables;
  add_variables(graph, reads_variable | writes_variable, variables);
  const std::vector<VariablePointer> assigned = assigned_in({&graph});
  states_.clear();
  for (const VariablePointer& v : variables) {
    TD_CHECK(v->load().defined(), "the variable {} has no value yet", v->name);
    if (!state_names_.contains(v)) name_variable(v, v->name);
    states_[v] = state_names_.at(v);
  }

  Target to{main.mutable_node(), main.mutable_initializer(), &names_, false};
  const std::vector<std::string> results = emit(graph, std::move(values), to);
  for (size_t i = 0; i < results.size(); ++i) {
    TD_CHECK(!results[i].empty(), "output {} is undefined; a saved function returns tensors", i);
    describe(*main.add_output(), own_name(results[i], outputs[i], to), graph.spec(graph.outputs[i]));
  }
  std::vector<State> states;
  for (const VariablePointer& v : variables) {
    State s{v, state_names_.at(v), {}};
    if (std::find(assigned.begin(), assigned.end(), v) != assigned.end()) {
      s.after = own_name(states_[v], names_.unique(s.before + ".next"), to);
      describe(*main.add_output(), s.after, v->load().spec());
    }
    states.push_back(std::move(s));
  }
  return states;
}

std::vector<std::string> Emitter::emit(const Graph& graph, ValueNames values, Target& to) {
  Graph known_of = graph;  // inference may add symbols
  GraphInference inference(known_of);
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const Node& n = graph.nodes[i];
    const auto id = static_cast<int32_t>(i);
    if (n.op->has(is_input)) continue;
    try {
      emit_op(graph, inference, n, id, values, to);
    } catch (Error& e) {
      e.set_origin(n.op->display_name(), n.where);
      throw;
    }
  }
  std::vector<std::string> results;
  for (ValueRef v : graph.outputs) results.push_back(v.present() ? values.at(v) : std::string());
  return results;
}

void Emitter::emit_op(const Graph& graph, GraphInference& inference, const Node& n, int32_t id,
                      ValueNames& values, Target& to) {
  if (n.op->has(is_constant)) {
    values[{id, 0}] = emit_constant(graph.constant({id, 0}), n.name, to);
    return;
  }
  if (n.op->has(has_bodies)) return emit_bodies(graph, n, id, values, to);
  const bool reads = n.op->has(reads_variable), writes = n.op->has(writes_variable);
  if (reads && !writes) {
    values[{id, 0}] = state(n.attributes.as<VariableAttributes>().variable);
    return;
  }
  if (writes && !reads) {
    state(n.attributes.as<VariableAttributes>().variable) = values.at(n.inputs[0]);
    return;
  }
  if (n.outputs.size() == 0) {
    TD_CHECK(!options_.strict, "other runtimes have nothing like it; without `strict` it is left out");
    return;
  }
  NodeProto proto;
  proto.set_name(n.name);
  locate(proto, n.where);
  for (ValueRef v : n.inputs) proto.add_input(v.present() ? values.at(v) : std::string());
  if (!emit_standard(proto, graph, inference, n, to)) {
    proto.set_op_type(function_for(graph, inference, n));
    proto.set_domain(own_domain);
    write_attributes(n.attributes, proto);
    if (writes) {
      proto.clear_attribute();
      proto.add_input(state(n.attributes.as<VariableAttributes>().variable));
    }
  }
  while (proto.input_size() > 0 && proto.input(proto.input_size() - 1).empty())
    proto.mutable_input()->RemoveLast();
  for (int k = 0; k < n.outputs.size(); ++k) {
    const std::string wanted = n.outputs.size() == 1 ? n.name : fmt::format("{}:{}", n.name, k);
    proto.add_output(values[{id, k}] = to.names->unique(wanted));
  }
  if (reads && writes) {
    const VariablePointer& v = n.attributes.as<VariableAttributes>().variable;
    proto.add_output(state(v) = to.names->unique(v->name));
  }
  *to.nodes->Add() = std::move(proto);
}

bool Emitter::emit_standard(NodeProto& proto, const Graph& graph, GraphInference& inference, const Node& n,
                            Target& to) {
  if (!in_saved_opset(*n.op)) return false;
  NodeProto written = proto;
  written.set_op_type(std::string(n.op->name));
  write_settings(n.attributes, written);
  SavedNode saved{written, n,
                  [&](int i, Tensor& value) {
                    const KnownValue& k = inference.known(n.inputs[i]);
                    if (!k.value.defined() || k.symbolic) return false;
                    value = cast(k.value, DType::i64);
                    return true;
                  },
                  [&](int i) { return graph.spec(n.inputs[i]).dtype; },
                  [&](const Tensor& value) { return emit_constant(value, n.name + "_constant", to); }};
  try {
    for (const AttributeProto& a : written.attribute())
      TD_CHECK(a.type() != AttributeProto::INTS || a.ints_size() > 0, "opset 17 has no empty list for \"{}\"",
               a.name());
    downgrade(saved);
  } catch (const Error&) {
    if (!n.op->decomposition) throw;
    return false;
  }
  // Axes and sizes of any integer dtype are welcome here, but int64 alone in files.
  for (int i = 0; i < written.input_size(); ++i) {
    const ValueRef v = n.inputs[i];
    const InputDef& def = n.op->inputs[std::min(static_cast<size_t>(i), n.op->inputs.size() - 1)];
    if (!v.present() || !(def.flags & InputDef::parameter) || def.types != types::index ||
        graph.spec(v).dtype == DType::i64)
      continue;
    if (Tensor value; saved.known(i, value)) {
      written.set_input(i, saved.constant(value));
      continue;
    }
    NodeProto& wide = *to.nodes->Add();
    wide.set_op_type("Cast");
    wide.add_input(written.input(i));
    write_attribute("to", DType::i64, *wide.add_attribute());
    written.set_input(i, to.names->unique(n.name + "_int64"));
    wide.add_output(written.input(i));
  }
  proto = std::move(written);
  return true;
}

// ---- ops of our own

std::string Emitter::function_for(const Graph& graph, GraphInference& inference, const Node& n) {
  const bool stateful = n.op->has(writes_variable);
  if (!n.op->decomposition) {
    TD_CHECK(!options_.strict && n.op->domain == own_domain, "it cannot be written as operations of opset {}",
             saved_opset);
    return std::string(n.op->name);
  }
  // A body is made for these types, shapes and settings. Parameters that are known belong to it.
  NodeProto settings;
  write_attributes(n.attributes, settings);
  std::string key = fmt::format("{}{}", n.op->name, settings.SerializeAsString());
  std::vector<StandIn> inputs;
  for (ValueRef v : n.inputs) {
    StandIn in;
    in.present = v.present();
    if (in.present) {
      in.spec = graph.spec(v);
      const KnownValue& k = inference.known(v);
      in.value = k.value;
      key += fmt::format(" {}{}", in.spec.dtype, in.spec.shape);
      if (k.value.defined())
        key.append(static_cast<const char*>(k.value.impl()->data),
                   static_cast<size_t>(k.value.size()) * size_of(k.value.dtype()));
    } else {
      key += " none";
    }
    inputs.push_back(std::move(in));
  }
  const auto found = functions_.find(key);
  if (found != functions_.end()) return found->second;

  TraceMode trace;
  trace.graph.next_symbol = graph.next_symbol - 4096;
  std::vector<Tensor> arguments;
  std::vector<int32_t> input_of;  // of each argument; -1: none
  for (size_t i = 0; i < inputs.size(); ++i) {
    const StandIn& in = inputs[i];
    const bool fixed = in.value.defined() && !inference.known(n.inputs[static_cast<int>(i)]).symbolic;
    arguments.push_back(!in.present ? Tensor() : fixed ? in.value : trace.add_input("x", in.spec, in.value));
    input_of.push_back(in.present && !fixed ? trace.graph.inputs.back() : -1);
  }
  if (stateful)
    arguments.push_back(
        trace.add_input("state", n.attributes.as<VariableAttributes>().variable->load().spec()));
  try {
    const ModeScope scope(&trace);
    for (const Tensor& t : n.op->decomposition(arguments, n.attributes.get()))
      trace.graph.outputs.push_back(trace.value_of(t, n.where));
  } catch (const Error& e) {
    // Some bodies need to know more than a dynamic shape or an axis among the inputs says.
    fail("it cannot be written as operations of opset {}: {}", saved_opset, e.message());
  }
  optimize(trace.graph);

  const std::string name = function_names_.unique(std::string(n.op->name));
  FunctionProto body;
  body.set_name(name);
  body.set_domain(own_domain);
  OperatorSetIdProto& standard = *body.add_opset_import();
  standard.set_domain("");
  standard.set_version(saved_opset);
  Names names;
  ValueNames values;
  for (int32_t input : input_of) {
    body.add_input(names.unique("x"));
    if (input >= 0) values[{input, 0}] = body.input(body.input_size() - 1);
  }
  if (stateful) body.add_input(values[{trace.graph.inputs.back(), 0}] = names.unique("state"));
  if (!stateful && n.attributes.type())
    n.attributes.type()->each(n.attributes.get(), [&](std::string_view attribute, const AttributeValue&) {
      body.add_attribute(std::string(attribute));
    });
  Target to{body.mutable_node(), nullptr, &names, true};
  for (const std::string& result : emit(trace.graph, std::move(values), to))
    body.add_output(own_name(result, names.unique("y"), to));
  for (const NodeProto& node : body.node())
    if (node.domain() == own_domain) {
      OperatorSetIdProto& own = *body.add_opset_import();
      own.set_domain(own_domain);
      own.set_version(1);
      break;
    }
  *model_.add_functions() = std::move(body);
  return functions_[key] = name;
}

// ---- branches, loops, calls

std::vector<std::string> Emitter::emit_body(const Graph& body, const std::vector<std::string>& inputs,
                                            GraphProto& graph) {
  ValueNames values;
  for (size_t i = 0; i < body.inputs.size(); ++i) values[{body.inputs[i], 0}] = inputs[i];
  Target to{graph.mutable_node(), graph.mutable_initializer(), &names_, false};
  return emit(body, std::move(values), to);
}

void Emitter::emit_bodies(const Graph&, const Node& n, int32_t id, ValueNames& values, Target& to) {
  const GraphBodies::View view = bodies_of(n);
  TD_CHECK(!to.in_function, "it cannot be part of an operation's body");
  if (view.kind == GraphBodies::Kind::branches) return emit_branches(n, id, view, values, to);
  if (view.kind == GraphBodies::Kind::loop) return emit_loop(n, id, view, values, to);
  ValueNames inner;
  for (int i = 0; i < n.inputs.size(); ++i)
    inner[{view.graphs[0]->inputs[static_cast<size_t>(i)], 0}] = values.at(n.inputs[i]);
  const std::vector<std::string> results = emit(*view.graphs[0], std::move(inner), to);
  for (int k = 0; k < n.outputs.size(); ++k) values[{id, k}] = results[static_cast<size_t>(k)];
}

void Emitter::emit_branches(const Node& n, int32_t id, const GraphBodies::View& view, ValueNames& values,
                            Target& to) {
  const std::vector<VariablePointer> assigned = assigned_in(view.graphs);
  std::vector<std::string> captures;
  for (int i = 1; i < n.inputs.size(); ++i) captures.push_back(values.at(n.inputs[i]));
  NodeProto proto;
  proto.set_op_type("If");
  proto.set_name(n.name);
  locate(proto, n.where);
  proto.add_input(values.at(n.inputs[0]));
  const std::map<VariablePointer, std::string> before = states_;
  for (int b = 0; b < 2; ++b) {
    states_ = before;
    AttributeProto& attribute = *proto.add_attribute();
    attribute.set_name(b == 0 ? "then_branch" : "else_branch");
    attribute.set_type(AttributeProto::GRAPH);
    GraphProto& graph = *attribute.mutable_g();
    graph.set_name(names_.unique(n.name + (b == 0 ? "_then" : "_else")));
    Target inside{graph.mutable_node(), graph.mutable_initializer(), &names_, false};
    const std::vector<std::string> results = emit_body(*view.graphs[static_cast<size_t>(b)], captures, graph);
    for (int k = 0; k < n.outputs.size(); ++k)
      describe(*graph.add_output(),
               own_name(results[static_cast<size_t>(k)], names_.unique(n.name + "_result"), inside),
               n.outputs[k]);
    for (const VariablePointer& v : assigned)
      describe(*graph.add_output(), own_name(states_[v], names_.unique(v->name), inside), v->load().spec());
  }
  states_ = before;
  for (int k = 0; k < n.outputs.size(); ++k)
    proto.add_output(values[{id, k}] =
                         names_.unique(n.outputs.size() == 1 ? n.name : fmt::format("{}:{}", n.name, k)));
  for (const VariablePointer& v : assigned) proto.add_output(states_[v] = names_.unique(v->name));
  *to.nodes->Add() = std::move(proto);
}

// Ours asks before each iteration; ONNX's takes the first answer as an input and the others from its body.
void Emitter::emit_loop(const Node& n, int32_t id, const GraphBodies::View& view, ValueNames& values,
                        Target& to) {
  const Graph &condition = *view.graphs[0], &body = *view.graphs[1];
  const auto count = static_cast<size_t>(view.loop_variables);
  const std::vector<VariablePointer> assigned = assigned_in({&body}),
                                     in_condition = assigned_in({&condition});
  TD_CHECK(in_condition.empty(), "its condition assigns the variable {}, which ONNX's Loop cannot",
           in_condition.empty() ? "" : in_condition[0]->name);
  std::vector<std::string> start, captures;
  for (int i = 0; i < n.inputs.size(); ++i)
    (static_cast<size_t>(i) < count ? start : captures).push_back(values.at(n.inputs[i]));
  auto with_captures = [&](std::vector<std::string> list) {
    list.insert(list.end(), captures.begin(), captures.end());
    return list;
  };
  ValueNames first;
  const std::vector<std::string> first_inputs = with_captures(start);
  for (size_t i = 0; i < condition.inputs.size(); ++i) first[{condition.inputs[i], 0}] = first_inputs[i];

  NodeProto proto;
  proto.set_op_type("Loop");
  proto.set_name(n.name);
  locate(proto, n.where);
  proto.add_input(view.maximum_iterations < 0
                      ? std::string()
                      : emit_constant(Tensor(view.maximum_iterations, DType::i64), n.name + "_limit", to));
  proto.add_input(emit(condition, std::move(first), to)[0]);
  for (const std::string& s : start) proto.add_input(s);
  for (const VariablePointer& v : assigned) proto.add_input(state(v));
  AttributeProto& attribute = *proto.add_attribute();
  attribute.set_name("body");
  attribute.set_type(AttributeProto::GRAPH);
  GraphProto& graph = *attribute.mutable_g();
  graph.set_name(names_.unique(n.name + "_body"));
  describe(*graph.add_input(), names_.unique(n.name + "_iteration"), {DType::i64, {}, {}});
  describe(*graph.add_input(), names_.unique(n.name + "_condition"), {DType::boolean, {}, {}});
  std::vector<std::string> state_names;
  const std::map<VariablePointer, std::string> before = states_;
  for (size_t i = 0; i < count; ++i) {
    state_names.push_back(names_.unique(n.name + "_value"));
    describe(*graph.add_input(), state_names.back(), body.spec({body.inputs[i], 0}));
  }
  for (const VariablePointer& v : assigned) {
    states_[v] = names_.unique(v->name);
    describe(*graph.add_input(), states_[v], v->load().spec());
  }
  Target inside{graph.mutable_node(), graph.mutable_initializer(), &names_, false};
  const std::vector<std::string> results = emit_body(body, with_captures(state_names), graph);
  const std::vector<std::string> next(results.begin(), results.begin() + static_cast<ptrdiff_t>(count));
  const std::string again = emit_body(condition, with_captures(next), graph)[0];
  describe(*graph.add_output(), own_name(again, names_.unique(n.name + "_again"), inside),
           {DType::boolean, {}, {}});
  auto result = [&](size_t k) {
    describe(*graph.add_output(), own_name(results[k], names_.unique(n.name + "_next"), inside),
             body.spec(body.outputs[k]));
  };
  for (size_t k = 0; k < count; ++k) result(k);
  for (const VariablePointer& v : assigned)
    describe(*graph.add_output(), own_name(states_[v], names_.unique(v->name), inside), v->load().spec());
  for (size_t k = count; k < results.size(); ++k) result(k);
  states_ = before;
  auto output = [&](size_t k) {
    proto.add_output(values[{id, static_cast<int>(k)}] = names_.unique(fmt::format("{}:{}", n.name, k)));
  };
  for (size_t k = 0; k < count; ++k) output(k);
  for (const VariablePointer& v : assigned) proto.add_output(states_[v] = names_.unique(v->name));
  for (size_t k = count; k < results.size(); ++k) output(k);
  *to.nodes->Add() = std::move(proto);
}

}  // namespace tandem::onnx
