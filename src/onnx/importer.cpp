#include "onnx/importer.h"

#include <google/protobuf/io/coded_stream.h>

#include <algorithm>
#include <mutex>
#include <set>
#include <unordered_map>

#include "core/check.h"
#include "onnx/attribute_proto.h"
#include "onnx/constant_node.h"
#include "onnx/dtypes.h"
#include "onnx/rules.h"
#include "onnx/tensor_proto.h"
#include "ops/graph_ops.h"

namespace tandem::onnx {

namespace {

// A model beyond these is an attack or a mistake: bodies that use one another multiply.
constexpr int deepest_bodies = 64;
constexpr int64_t most_function_nodes = int64_t{1} << 18;
constexpr int64_t most_expanded_nodes = int64_t{1} << 24;

using Opsets = std::map<std::string, int64_t>;

// ONNX's own domain has two spellings.
std::string domain_of(const std::string& domain) { return domain == "ai.onnx" ? "" : domain; }
std::string shown(const std::string& domain) { return domain.empty() ? "ai.onnx" : domain; }

/// File names in locations live as long as the program.
const char* interned(const std::string& path) {
  static std::mutex mutex;
  static std::set<std::string> paths;
  const std::lock_guard<std::mutex> lock(mutex);
  return paths.insert(path).first->c_str();
}

Opsets read_opsets(const google::protobuf::RepeatedPtrField<OperatorSetIdProto>& imports) {
  Opsets opsets;
  for (const OperatorSetIdProto& o : imports) opsets[domain_of(o.domain())] = o.version();
  return opsets;
}

/// Names that are visible in one body.
struct Scope {
  Body& body;
  Scope* outer = nullptr;
  const Opsets* opsets = nullptr;
  /// In a function: its caller's attributes, by name.
  const std::map<std::string, AttributeProto>* given = nullptr;
  std::unordered_map<std::string, int> slots = {};
  int depth = 0;

  int add(const std::string& name) {
    TD_CHECK(!name.empty(), "a value has no name");
    const int slot = body.slot_count++;
    TD_CHECK(slots.emplace(name, slot).second, "the value \"{}\" is defined twice", name);
    return slot;
  }
  /// -1: unknown. Values of enclosing bodies become captures.
  int find(const std::string& name) {
    if (const auto found = slots.find(name); found != slots.end()) return found->second;
    if (!outer) return -1;
    const int from = outer->find(name);
    if (from < 0) return -1;
    const int slot = body.slot_count++;
    slots.emplace(name, slot);
    body.captures.push_back({from, slot});
    return slot;
  }
};

class Importer {
 public:
  Importer(ModelProto& model, ImportedModel& result, const std::string* folder,
           std::vector<std::string>* problems)
      : model_(model),
        result_(result),
        external_(folder ? std::optional<ExternalData>(*folder) : std::nullopt),
        problems_(problems),
        file_(interned(result.path)) {}

  void run();
  int problem_count() const { return problem_count_; }
  const std::string& first_problem() const { return first_problem_; }

 private:
  ExternalData* external() { return external_ ? &*external_ : nullptr; }
  void add_initializers(GraphProto& graph, Scope& scope, const std::set<std::string>& inputs,
                        std::map<std::string, Tensor>& defaults);
  void add_outputs(const google::protobuf::RepeatedPtrField<ValueInfoProto>& outputs, Scope& scope);
  void add_nodes(google::protobuf::RepeatedPtrField<NodeProto>& nodes, Scope& scope);
  void add_node(NodeProto& proto, int position, Scope& scope);
  void resolve(ImportedNode& node, NodeProto& proto, const std::string& domain, Scope& scope);
  void resolve_operator(ImportedNode& node, NodeDraft& draft, const std::string& domain, Scope& scope);
  std::shared_ptr<const Body> graph_body(GraphProto& graph, Scope& outer);
  std::shared_ptr<const Body> function_body(const FunctionProto& function, const NodeAttributes& attributes,
                                            const Scope& caller);
  NodeAttributes read_attributes(NodeProto& proto, const Scope& scope) const;
  void use_inputs(ImportedNode& node, const std::vector<DraftInput>& inputs, Scope& scope);
  void finish(Body& body);
  void complain(const std::string& problem);

  ModelProto& model_;
  ImportedModel& result_;
  std::optional<ExternalData> external_;
  std::vector<std::string>* problems_;
  int problem_count_ = 0;
  std::string first_problem_;
  const char* file_;
  int64_t function_nodes_ = 0;
  int64_t sparse_budget_ = most_sparse_bytes;
  std::map<std::string, const FunctionProto*> functions_;
  std::map<std::string, std::shared_ptr<const Body>> function_bodies_;
  std::set<std::string> open_functions_;
};

/// The op of the table that a function of Tandem's own domain stands for, whose name may have a number behind
/// it: one function a combination of types and shapes. Null for ops with state, which only their bodies keep.
const OpDef* own_op(const std::string& domain, std::string_view name) {
  if (domain != "ai.tandem") return nullptr;
  const OpDef* op = find_op(name);
  if (!op) {
    const size_t digits = name.find_last_not_of("0123456789");
    if (digits != std::string_view::npos && name[digits] == '_') op = find_op(name.substr(0, digits));
  }
  return op && !op->has(is_input) && !op->has(has_bodies) && !op->has(reads_variable) &&
                 !op->has(writes_variable) && !op->has(is_constant)
             ? op
             : nullptr;
}

std::string function_key(const std::string& domain, const std::string& name, const std::string& overload) {
  return domain_of(domain) + '\n' + name + '\n' + overload;
}

void Importer::complain(const std::string& problem) {
  if (problem_count_++ == 0) first_problem_ = problem;
  if (problems_) problems_->push_back(problem);
}

void Importer::run() {
  const Opsets opsets = [&] {
    Opsets o = read_opsets(model_.opset_import());
    // The first IR versions import nothing and mean opset 1.
    if (o.empty() && model_.ir_version() < 3) o[""] = 1;
    return o;
  }();
  TD_CHECK(model_.has_graph(), "the model has no graph");
  for (const FunctionProto& f : model_.functions())
    TD_CHECK(functions_.emplace(function_key(f.domain(), f.name(), f.overload()), &f).second,
             "the function \"{}\" of domain \"{}\" is defined twice", f.name(), f.domain());
  GraphProto& graph = *model_.mutable_graph();
  result_.name = graph.name();
  result_.producer = model_.producer_name();
  result_.ir_version = model_.ir_version();
  result_.opsets = opsets;
  for (const StringStringEntryProto& p : model_.metadata_props()) result_.metadata[p.key()] = p.value();

  Scope scope{result_.body};
  scope.opsets = &opsets;
  std::set<std::string> initialized, inputs;
  for (const TensorProto& t : graph.initializer()) initialized.insert(t.name());
  for (const SparseTensorProto& t : graph.sparse_initializer()) initialized.insert(t.values().name());
  for (const ValueInfoProto& v : graph.input()) inputs.insert(v.name());
  for (const ValueInfoProto& v : graph.input())
    if (!initialized.contains(v.name())) {
      result_.inputs.push_back(read_value_info(v));
      result_.body.inputs.push_back(scope.add(v.name()));
    }
  for (const ValueInfoProto& v : graph.input())
    if (initialized.contains(v.name())) {
      result_.defaults.push_back(read_value_info(v));
      result_.body.inputs.push_back(scope.add(v.name()));
    }
  std::map<std::string, Tensor> defaults;
  add_initializers(graph, scope, inputs, defaults);
  for (const ModelValue& v : result_.defaults) result_.default_values.push_back(defaults.at(v.name));
  add_nodes(*graph.mutable_node(), scope);
  add_outputs(graph.output(), scope);
  for (const ValueInfoProto& v : graph.output()) result_.outputs.push_back(read_value_info(v));
  finish(result_.body);
}

void Importer::add_initializers(GraphProto& graph, Scope& scope, const std::set<std::string>& inputs,
                                std::map<std::string, Tensor>& defaults) {
  auto add = [&](const std::string& name, Tensor value) {
    result_.parameter_count += value.size();
    result_.parameter_bytes += value.size() * static_cast<int64_t>(size_of(value.dtype()));
    if (!scope.outer && !scope.given) result_.initializers.emplace(name, value);
    if (inputs.contains(name))
      TD_CHECK(defaults.emplace(name, std::move(value)).second, "the value \"{}\" is defined twice", name);
    else
      scope.body.constants.emplace_back(scope.add(name), std::move(value));
  };
  for (TensorProto& t : *graph.mutable_initializer()) add(t.name(), read_tensor(t, external()));
  for (SparseTensorProto& t : *graph.mutable_sparse_initializer())
    add(t.values().name(), read_sparse_tensor(t, external(), sparse_budget_));
}

void Importer::add_outputs(const google::protobuf::RepeatedPtrField<ValueInfoProto>& outputs, Scope& scope) {
  for (const ValueInfoProto& v : outputs) {
    const int slot = scope.find(v.name());
    TD_CHECK(slot >= 0, "the output \"{}\" is defined nowhere", v.name());
    scope.body.outputs.push_back(slot);
  }
}

void Importer::add_nodes(google::protobuf::RepeatedPtrField<NodeProto>& nodes, Scope& scope) {
  int position = 0;
  for (NodeProto& n : nodes) add_node(n, ++position, scope);
}

void Importer::add_node(NodeProto& proto, int position, Scope& scope) {
  const std::string domain = domain_of(proto.domain());
  ImportedNode node;
  node.name = proto.name();
  node.op_type = proto.op_type();
  node.where = {file_, position};
  ++result_.operators[(domain.empty() ? "" : domain + ".") + node.op_type];
  const auto version = scope.opsets->find(domain);
  node.version = version == scope.opsets->end() ? 0 : version->second;
  try {
    resolve(node, proto, domain, scope);
  } catch (const Error& e) {
    // Damage is damage; what is unknown or unsupported may be one problem of many.
    complain(fmt::format("{}{}: {}", node.describe(), domain.empty() ? "" : " in " + domain, e.message()));
  }
  for (const std::string& name : proto.output()) node.outputs.push_back(name.empty() ? -1 : scope.add(name));
  scope.body.nodes.push_back(std::move(node));
}

NodeAttributes Importer::read_attributes(NodeProto& proto, const Scope& scope) const {
  std::vector<AttributeProto> attributes;
  std::set<std::string> names;
  for (AttributeProto& a : *proto.mutable_attribute()) {
    TD_CHECK(names.insert(a.name()).second, "attribute \"{}\" is given twice", a.name());
    if (a.ref_attr_name().empty()) {
      attributes.push_back(std::move(a));
      continue;
    }
    TD_CHECK(scope.given != nullptr, "attribute \"{}\" refers to a function's attribute outside of functions",
             a.name());
    // One that the caller left out is left out here, too.
    if (const auto found = scope.given->find(a.ref_attr_name()); found != scope.given->end()) {
      attributes.push_back(found->second);
      attributes.back().set_name(a.name());
    }
  }
  return NodeAttributes(std::move(attributes));
}

void Importer::use_inputs(ImportedNode& node, const std::vector<DraftInput>& inputs, Scope& scope) {
  for (const DraftInput& in : inputs) {
    if (in.number) {
      node.inputs.push_back(-2 - static_cast<int>(node.numbers.size()));
      node.numbers.push_back(*in.number);
    } else if (in.constant.defined()) {
      node.inputs.push_back(scope.body.slot_count++);
      scope.body.constants.emplace_back(node.inputs.back(), in.constant);
    } else if (in.name.empty()) {
      node.inputs.push_back(-1);
    } else {
      const int slot = scope.find(in.name);
      TD_CHECK(
          slot >= 0,
          "it uses \"{}\" before anything defines it; nodes must stand behind those whose results they use",
          in.name);
      node.inputs.push_back(slot);
    }
  }
}

void Importer::resolve(ImportedNode& node, NodeProto& proto, const std::string& domain, Scope& scope) {
  NodeDraft draft;
  draft.op_type = node.op_type;
  draft.version = node.version;
  draft.output_count = proto.output_size();
  for (const std::string& name : proto.input()) {
    draft.inputs.emplace_back();
    draft.inputs.back().name = name;
  }
  draft.attributes = read_attributes(proto, scope);
  const auto function = functions_.find(function_key(domain, node.op_type, proto.overload()));
  const OpDef* own = own_op(domain, node.op_type);
  if (function != functions_.end() && !own) {
    node.bodies.push_back(function_body(*function->second, draft.attributes, scope));
    TD_CHECK(draft.inputs.size() <= node.bodies[0]->inputs.size(), "it has {} inputs; the function takes {}",
             draft.inputs.size(), node.bodies[0]->inputs.size());
    draft.inputs.resize(node.bodies[0]->inputs.size());
    const std::vector<int>& results = node.bodies[0]->outputs;
    for (int i = 0; i < proto.output_size(); ++i)
      TD_CHECK(proto.output(i).empty() ||
                   (i < static_cast<int>(results.size()) && results[static_cast<size_t>(i)] >= 0),
               "the function defines no output {}, which is used as \"{}\"", i, proto.output(i));
    node.run = [](const Call& c) {
      Tensors outputs;
      for (Tensor& t : run_body(*c.node.bodies[0], c.inputs)) outputs.push_back(std::move(t));
      return outputs;
    };
    use_inputs(node, draft.inputs, scope);
    return;
  }
  TD_CHECK(node.version > 0, "the model imports no version of the operator set {}", shown(domain));
  if (own) draft.op_type = own->name;
  resolve_operator(node, draft, domain, scope);
}

void Importer::resolve_operator(ImportedNode& node, NodeDraft& draft, const std::string& domain,
                                Scope& scope) {
  const bool known_domain = domain.empty() || domain == "ai.tandem" || domain == "ai.onnx.preview.training";
  TD_CHECK(known_domain,
           "the operator set {} is unknown; supported are ai.onnx, ai.onnx.preview.training and "
           "functions that the model itself defines",
           shown(domain));
  TD_CHECK(!domain.empty() || node.version <= newest_opset, "supported are the opsets 1 to {}", newest_opset);
  if (domain.empty() && node.op_type == constant_op().name) {
    node.run = [](const Call& c) { return Tensors{c.node.constant}; };
    node.constant = constant_node_value(draft.attributes, external(), sparse_budget_);
    return;
  }
  if (const ControlFlow* control = domain.empty() ? find_control_flow(node.op_type, node.version) : nullptr) {
    node.run = control->run;
    for (std::string_view name : control->bodies) {
      if (name.empty()) continue;
      AttributeProto* body = draft.find(name);
      TD_CHECK(body && body->has_g(), "attribute \"{}\", a graph, is missing", name);
      node.bodies.push_back(graph_body(*body->mutable_g(), scope));
      draft.drop(name);
    }
    use_inputs(node, draft.inputs, scope);
    node.attributes = std::move(draft.attributes);
    return;
  }
  Upgrade how;
  if (domain.empty()) how = upgrade(draft);
  node.op = find_op(draft.op_type);
  constexpr uint32_t inner = is_input | has_bodies | reads_variable | writes_variable | is_constant;
  // Ops of newer opsets than a file's stand in Tandem's own domain there.
  if (node.op && ((node.op->traits & inner) || (node.op->domain == "ai.tandem" && domain != "ai.tandem")))
    node.op = nullptr;
  TD_CHECK(node.op != nullptr, "there is no such operator here; supported are {} operators of opsets 1 to {}",
           all_ops().size(), newest_opset);
  node.run = how.run;
  AttributeDraft settings(*node.op->attributes);
  for (AttributeProto& a : draft.attributes.all()) {
    const std::string padded = " " + std::string(how.taken) + " ";
    if (padded.find(" " + a.name() + " ") != std::string::npos) continue;
    if (read_attribute(a, settings, external())) continue;
    std::string all;
    node.op->attributes->each(settings.get(), [&](std::string_view name, const AttributeValue&) {
      all += (all.empty() ? "" : ", ") + std::string(name);
    });
    fail("it has no attribute \"{}\"; those with a default are: {}", a.name(), all.empty() ? "none" : all);
  }
  node.settings = settings.box();
  const auto taken = node.op->inputs.size();
  const bool variadic = taken > 0 && (node.op->inputs.back().flags & InputDef::variadic);
  TD_CHECK(draft.inputs.size() <= taken || variadic || how.run, "it has {} inputs; at most {} are taken",
           draft.inputs.size(), taken);
  use_inputs(node, draft.inputs, scope);
  if (how.run) node.attributes = std::move(draft.attributes);
}

std::shared_ptr<const Body> Importer::graph_body(GraphProto& graph, Scope& outer) {
  auto body = std::make_shared<Body>();
  body->name = graph.name();
  Scope scope{*body, &outer, outer.opsets, outer.given};
  scope.depth = outer.depth + 1;
  TD_CHECK(scope.depth <= deepest_bodies, "bodies are nested more than {} deep", deepest_bodies);
  for (const ValueInfoProto& v : graph.input()) body->inputs.push_back(scope.add(v.name()));
  std::map<std::string, Tensor> none;
  add_initializers(graph, scope, {}, none);
  add_nodes(*graph.mutable_node(), scope);
  add_outputs(graph.output(), scope);
  for (const ValueInfoProto& v : graph.output()) {
    body->output_specs.emplace_back();
    if (!v.type().has_tensor_type() || v.type().tensor_type().elem_type() == 0) continue;
    const ModelValue value = read_value_info(v);
    body->output_specs.back() = {value.dtype, value.shape, {}};
  }
  finish(*body);
  return body;
}

std::shared_ptr<const Body> Importer::function_body(const FunctionProto& function,
                                                    const NodeAttributes& attributes, const Scope& caller) {
  const std::string name = function_key(function.domain(), function.name(), function.overload());
  std::string key = name;
  for (const AttributeProto& a : attributes.all()) key += '\n' + a.SerializeAsString();
  if (const auto found = function_bodies_.find(key); found != function_bodies_.end()) return found->second;
  TD_CHECK(open_functions_.insert(name).second, "the function \"{}\" calls itself", function.name());
  struct Closer {
    std::set<std::string>& open;
    const std::string& name;
    ~Closer() { open.erase(name); }
  } closer{open_functions_, name};
  std::map<std::string, AttributeProto> given;
  for (const AttributeProto& a : function.attribute_proto()) given[a.name()] = a;
  for (const AttributeProto& a : attributes.all()) given[a.name()] = a;
  auto body = std::make_shared<Body>();
  body->name = function.name();
  const Opsets opsets = read_opsets(function.opset_import());
  Scope scope{*body, nullptr, &opsets, &given};
  scope.depth = caller.depth + 1;
  TD_CHECK(scope.depth <= deepest_bodies, "bodies are nested more than {} deep", deepest_bodies);
  for (const std::string& input : function.input()) body->inputs.push_back(scope.add(input));
  // Instances take tensors out of their nodes, so each has its own.
  google::protobuf::RepeatedPtrField<NodeProto> nodes = function.node();
  TD_CHECK((function_nodes_ += nodes.size()) <= most_function_nodes,
           "the model's functions come to more than {} nodes, each with its attributes", most_function_nodes);
  add_nodes(nodes, scope);
  // An optional output may have no node in this body; its users are told.
  for (const std::string& output : function.output()) body->outputs.push_back(scope.find(output));
  finish(*body);
  return function_bodies_[key] = body;
}

// When each value may go, and how large the body is when everything in it is spelled out.
void Importer::finish(Body& body) {
  std::vector<bool> needed(static_cast<size_t>(body.slot_count), false);
  for (int slot : body.outputs)
    if (slot >= 0) needed[static_cast<size_t>(slot)] = true;
  body.expanded_nodes = static_cast<int64_t>(body.nodes.size());
  for (size_t i = body.nodes.size(); i-- > 0;) {
    ImportedNode& node = body.nodes[i];
    auto use = [&](int slot) {
      if (slot < 0 || needed[static_cast<size_t>(slot)]) return;
      needed[static_cast<size_t>(slot)] = true;
      node.dying.push_back(slot);
    };
    for (int slot : node.inputs) use(slot);
    for (int slot : node.outputs)
      if (slot >= 0 && !needed[static_cast<size_t>(slot)]) node.dying.push_back(slot);
    for (const auto& inner : node.bodies) {
      for (const Body::Capture& c : inner->captures) use(c.outer);
      body.expanded_nodes += inner->expanded_nodes;
      TD_CHECK(body.expanded_nodes <= most_expanded_nodes,
               "functions and bodies that use one another come to more than {} nodes", most_expanded_nodes);
    }
  }
}

}  // namespace

ModelValue read_value_info(const ValueInfoProto& proto) {
  ModelValue value;
  value.name = proto.name();
  const TypeProto& type = proto.type();
  const char* kind = type.has_sequence_type()        ? "a sequence"
                     : type.has_map_type()           ? "a map"
                     : type.has_optional_type()      ? "an optional value"
                     : type.has_sparse_tensor_type() ? "a sparse tensor"
                                                     : nullptr;
  TD_CHECK(kind == nullptr, "the value \"{}\" is {}; only tensors are supported", value.name, kind);
  value.has_shape = type.tensor_type().has_shape();
  try {
    if (type.has_tensor_type()) value.dtype = supported_dtype(type.tensor_type().elem_type());
    const auto& dims = type.tensor_type().shape().dim();
    TD_CHECK(dims.size() <= max_rank, "the rank is {}; at most {} is supported", dims.size(), max_rank);
    for (const auto& d : dims) {
      const bool known = d.has_dim_value() && d.dim_value() >= 0;
      value.shape.push_back(known ? d.dim_value() : -1);
      value.dimension_names.push_back(d.has_dim_param() ? d.dim_param() : "");
    }
  } catch (const Error& e) {
    throw Error(e.code(), fmt::format("the value \"{}\": {}", value.name, e.message()));
  }
  return value;
}

ModelProto parse_model(std::span<const std::byte> bytes, const std::string& path) {
  ModelProto model;
  TD_CHECK(bytes.size() <= static_cast<size_t>(INT32_MAX), ErrorCode::io,
           "{}: {} bytes are too many for one ONNX file; larger models keep their weights in files beside it",
           path, bytes.size());
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(bytes.data()),
                                            static_cast<int>(bytes.size()));
  TD_CHECK(model.ParseFromCodedStream(&in) && in.ConsumedEntireMessage(), ErrorCode::io,
           "{}: this is no ONNX model, or a damaged one", path);
  return model;
}

ImportedModel import_model(ModelProto& model, const std::string& path, const std::string* folder,
                           std::vector<std::string>* problems) {
  ImportedModel result;
  result.path = path;
  Importer importer(model, result, folder, problems);
  try {
    importer.run();
  } catch (const Error& e) {
    throw Error(e.code(), fmt::format("{}: {}", path, e.message()));
  }
  if (!problems && importer.problem_count() > 0) {
    const int more = importer.problem_count() - 1;
    fail("{}: {}{}", path, importer.first_problem(),
         more > 0
             ? fmt::format("; and {} more problem{}, which `tandem check` lists", more, more > 1 ? "s" : "")
             : "");
  }
  return result;
}

}  // namespace tandem::onnx
