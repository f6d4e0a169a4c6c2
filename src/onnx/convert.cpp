#include "onnx/convert.h"

#include <algorithm>
#include <array>
#include <set>

#include "core/check.h"
#include "function/trace_mode.h"
#include "onnx/emitter.h"
#include "onnx/imported.h"
#include "onnx/state.h"

namespace tandem::onnx {

namespace {
constexpr std::string_view own_metadata = "tandem.";
}

// ---- opset

ModelProto in_saved_opset(const LoadedModel& model) {
  const ImportedModel& m = model.imported();
  SaveOptions options;
  TraceMode trace;
  std::vector<Tensor> inputs;
  std::map<std::string, int64_t> sizes;
  for (const ModelValue& v : model.inputs()) {
    TD_CHECK(v.has_shape, "the input {} has any rank; a graph needs one", v.to_string());
    Spec spec{v.dtype, v.shape, {}};
    for (int i = 0; i < spec.shape.rank(); ++i) {
      if (spec.shape[i] >= 0) continue;
      const std::string& name = v.dimension_names[static_cast<size_t>(i)];
      spec.shape[i] = name.empty() || !sizes.contains(name) ? trace.fresh_symbol() : sizes.at(name);
      if (!name.empty()) sizes[name] = spec.shape[i];
    }
    inputs.push_back(trace.add_input(v.name, spec));
    options.inputs.push_back(v.name);
  }
  // Each initializer as a constant of its name. Those that only decided shapes go again below.
  for (const auto& [name, value] : m.initializers)
    if (std::none_of(m.defaults.begin(), m.defaults.end(),
                     [&, n = &name](const ModelValue& v) { return v.name == *n; }))
      trace.graph.node(trace.value_of(value, {}).node).name = name;
  {
    const ModeScope scope(&trace);
    for (const Tensor& t : model(inputs)) trace.graph.outputs.push_back(trace.value_of(t, {}));
  }
  for (const ModelValue& v : model.outputs()) options.outputs.push_back(v.name);
  ModelProto written;
  Emitter emitter(written, options);
  for (const auto& [name, symbol] : sizes) emitter.name_size(symbol, name);
  emitter.emit_model(trace.graph, m.name);
  // What is not Tandem's own stays; a saved state has been written anew, and training is gone.
  for (const auto& [key, value] : m.metadata) {
    if (key.starts_with(own_metadata)) continue;
    StringStringEntryProto& entry = *written.add_metadata_props();
    entry.set_key(key);
    entry.set_value(value);
  }
  remove_unused(written);
  return written;
}

// ---- unused

namespace {

using Nodes = google::protobuf::RepeatedPtrField<NodeProto>;

/// Adds the values that a node uses, those of its bodies too.
void add_uses(const NodeProto& node, std::set<std::string>& used) {
  used.insert(node.input().begin(), node.input().end());
  auto body = [&](const GraphProto& g) {
    for (const NodeProto& n : g.node()) add_uses(n, used);
    for (const ValueInfoProto& v : g.output()) used.insert(v.name());
  };
  for (const AttributeProto& a : node.attribute()) {
    if (a.has_g()) body(a.g());
    for (const GraphProto& g : a.graphs()) body(g);
  }
}

/// Keeps the elements for which `keep` is true, in order.
template <class Field, class F>
int keep_only(Field& field, F keep) {
  int kept = 0;
  for (int i = 0; i < field.size(); ++i) {
    if (!keep(field.Get(i))) continue;
    if (kept != i) field.SwapElements(kept, i);
    ++kept;
  }
  const int gone = field.size() - kept;
  field.DeleteSubrange(kept, gone);
  return gone;
}

void add_functions(const Nodes& nodes, const ModelProto& model, std::set<const FunctionProto*>& needed) {
  for (const NodeProto& n : nodes) {
    for (const FunctionProto& f : model.functions())
      if (f.name() == n.op_type() && f.domain() == n.domain() && f.overload() == n.overload() &&
          needed.insert(&f).second)
        add_functions(f.node(), model, needed);
    for (const AttributeProto& a : n.attribute()) {
      if (a.has_g()) add_functions(a.g().node(), model, needed);
      for (const GraphProto& g : a.graphs()) add_functions(g.node(), model, needed);
    }
  }
}

}  // namespace

int remove_unused(ModelProto& model) {
  GraphProto& graph = *model.mutable_graph();
  std::set<std::string> used;
  for (const ValueInfoProto& v : graph.output()) used.insert(v.name());
  std::set<const NodeProto*> needed;
  for (int i = graph.node_size(); i-- > 0;) {
    const NodeProto& n = graph.node(i);
    if (std::none_of(n.output().begin(), n.output().end(),
                     [&](const std::string& o) { return used.contains(o); }))
      continue;
    needed.insert(&n);
    add_uses(n, used);
  }
  const int gone = keep_only(*graph.mutable_node(), [&](const NodeProto& n) { return needed.contains(&n); });
  for (const ValueInfoProto& v : graph.input()) used.insert(v.name());
  keep_only(*graph.mutable_initializer(), [&](const TensorProto& t) { return used.contains(t.name()); });
  keep_only(*graph.mutable_sparse_initializer(),
            [&](const SparseTensorProto& t) { return used.contains(t.values().name()); });
  std::set<const FunctionProto*> functions;
  add_functions(graph.node(), model, functions);
  keep_only(*model.mutable_functions(), [&](const FunctionProto& f) { return functions.contains(&f); });
  return gone;
}

// ---- training

namespace {

/// How an operator that has a training form says that it is not training.
struct InferenceForm {
  std::string_view op;
  int inputs, outputs;         ///< so many stay
  std::string_view training;   ///< the attribute that goes, or
  std::string_view inference;  ///<   the one of old opsets that comes
  int64_t inference_until;     ///< in opsets below this one
};
constexpr std::array<InferenceForm, 2> inference_forms{{
    {"Dropout", 1, 2, "", "is_test", 7},
    {"BatchNormalization", 5, 1, "training_mode", "is_test", 7},
}};

void to_inference(Nodes& nodes, int64_t opset) {
  for (NodeProto& n : nodes) {
    for (AttributeProto& a : *n.mutable_attribute()) {
      if (a.has_g()) to_inference(*a.mutable_g()->mutable_node(), opset);
      for (GraphProto& g : *a.mutable_graphs()) to_inference(*g.mutable_node(), opset);
    }
    if (!n.domain().empty() && n.domain() != "ai.onnx") continue;
    const auto* form = std::find_if(inference_forms.begin(), inference_forms.end(),
                                    [&](const InferenceForm& f) { return f.op == n.op_type(); });
    if (form == inference_forms.end()) continue;
    while (n.input_size() > form->inputs) n.mutable_input()->RemoveLast();
    while (n.output_size() > form->outputs) n.mutable_output()->RemoveLast();
    keep_only(*n.mutable_attribute(), [&](const AttributeProto& a) {
      return a.name() != form->training && a.name() != form->inference;
    });
    if (opset >= form->inference_until) continue;
    AttributeProto& a = *n.add_attribute();
    a.set_name(std::string(form->inference));
    a.set_type(AttributeProto::INT);
    a.set_i(1);
  }
}

int64_t opset_of(const google::protobuf::RepeatedPtrField<OperatorSetIdProto>& imports) {
  for (const OperatorSetIdProto& o : imports)
    if (o.domain().empty() || o.domain() == "ai.onnx") return o.version();
  return 1;
}

}  // namespace

int strip_training(ModelProto& model) {
  model.clear_training_info();
  std::map<std::string, std::string> metadata;
  for (const StringStringEntryProto& p : model.metadata_props()) metadata[p.key()] = p.value();
  std::set<std::string> states, next_values;
  for (const SavedState& s : read_states(metadata)) {
    states.insert(s.input);
    if (!s.output.empty()) next_values.insert(s.output);
  }
  GraphProto& graph = *model.mutable_graph();
  TD_CHECK(graph.output_size() > static_cast<int>(next_values.size()),
           "all outputs are next values of a state; without training nothing would be left");
  keep_only(*graph.mutable_input(), [&](const ValueInfoProto& v) { return !states.contains(v.name()); });
  keep_only(*graph.mutable_output(),
            [&](const ValueInfoProto& v) { return !next_values.contains(v.name()); });
  keep_only(*model.mutable_metadata_props(),
            [&](const StringStringEntryProto& p) { return !p.key().starts_with(own_metadata); });
  to_inference(*graph.mutable_node(), opset_of(model.opset_import()));
  for (FunctionProto& f : *model.mutable_functions())
    to_inference(*f.mutable_node(), opset_of(f.opset_import()));
  return remove_unused(model);
}

}  // namespace tandem::onnx
