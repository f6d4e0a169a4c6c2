// A traced graph as TensorBoard's graph page reads it.

#include <cctype>
#include <set>

#include "core/check.h"
#include "core/named.h"
#include "function/function_core.h"
#include "graph/bodies.h"
#include "summary/event_file.h"

namespace tandem::summary::detail {

namespace {

/// TensorFlow's number of a dtype.
int64_t type_number(DType dtype) {
  switch (dtype) {
    case DType::boolean:
      return 10;
    case DType::u8:
      return 4;
    case DType::i8:
      return 6;
    case DType::u16:
      return 17;
    case DType::i16:
      return 5;
    case DType::u32:
      return 22;
    case DType::i32:
      return 3;
    case DType::u64:
      return 23;
    case DType::i64:
      return 9;
    case DType::f16:
      return 19;
    case DType::bf16:
      return 14;
    case DType::f32:
      return 1;
    case DType::f64:
      return 2;
  }
  return 0;
}

/// TensorShapeProto: dims (2) of sizes (1); -1 is any.
ProtoEncoder shape_message(const Shape& shape) {
  ProtoEncoder message;
  for (int64_t size : shape) {
    ProtoEncoder dim;
    dim.integer(1, size < 0 ? -1 : size);
    message.message(2, dim);
  }
  return message;
}

/// AttrValue: list (1) of s (2), i (3), f (4); s (2), i (3), f (4), type (6).
ProtoEncoder attribute_message(const AttributeValue& value) {
  ProtoEncoder message, list;
  if (const auto* i = std::get_if<int64_t>(&value)) message.integer(3, *i);
  if (const auto* f = std::get_if<double>(&value)) message.number(4, static_cast<float>(*f));
  if (const auto* s = std::get_if<std::string>(&value)) message.bytes(2, *s);
  if (const auto* d = std::get_if<DType>(&value)) message.integer(6, type_number(*d));
  if (const auto* t = std::get_if<Tensor>(&value)) message.bytes(2, t->defined() ? to_string(*t) : "");
  if (const auto* v = std::get_if<std::vector<int64_t>>(&value)) {
    list.integers(3, *v);
    message.message(1, list);
  }
  if (const auto* v = std::get_if<std::vector<double>>(&value)) {
    list.floats(4, *v);
    message.message(1, list);
  }
  if (const auto* v = std::get_if<std::vector<std::string>>(&value)) {
    for (const std::string& s : *v) list.bytes(2, s);
    message.message(1, list);
  }
  return message;
}

/// NodeDef.attr (5), an entry of a map.
void add_attribute(ProtoEncoder& node, std::string_view name, const ProtoEncoder& value) {
  ProtoEncoder entry;
  entry.bytes(1, name);
  entry.message(2, value);
  node.message(5, entry);
}

/// What a body's graphs are called.
const char* body_name(GraphBodies::Kind kind, size_t i) {
  switch (kind) {
    case GraphBodies::Kind::call:
      return "body";
    case GraphBodies::Kind::branches:
      return i == 0 ? "then" : "else";
    case GraphBodies::Kind::loop:
      return i == 0 ? "condition" : "body";
  }
  return "body";
}

class GraphEncoder {
 public:
  /// The nodes of a graph, and of the bodies of its branches and loops in scopes of their own. `arguments`
  /// are what its inputs get; none for the outermost. Returns the names of its results.
  std::vector<std::string> add(const Graph& graph, const std::string& scope,
                               const std::vector<std::string>& arguments) {
    std::vector<std::string> names;
    std::string last_effect;
    const auto name_of = [&](ValueRef v) {
      const std::string& name = names[static_cast<size_t>(v.node)];
      return v.output == 0 ? name : fmt::format("{}:{}", name, v.output);
    };
    size_t next_argument = 0;
    for (const Node& n : graph.nodes) {
      const std::string name = unique(scope + n.name);
      names.push_back(name);
      std::vector<std::string> inputs;
      for (const ValueRef& v : n.inputs)
        if (v.present()) inputs.push_back(name_of(v));
      if (n.op->has(is_input) && next_argument < arguments.size())
        inputs.push_back(arguments[next_argument++]);
      if (n.op->has(has_bodies)) add_bodies(n, name, inputs);
      // Effects keep the order of the program.
      if (n.op->has(effect) || n.op->has(writes_variable)) {
        if (!last_effect.empty()) inputs.push_back('^' + last_effect);
        last_effect = name;
      }
      add_node(n, name, inputs);
    }
    std::vector<std::string> results;
    for (const ValueRef& v : graph.outputs)
      if (v.present()) results.push_back(name_of(v));
    return results;
  }

  /// GraphDef: nodes (1), versions (4) of producer (1).
  const std::string& finish() {
    ProtoEncoder versions;
    versions.integer(1, 1);
    graph_.message(4, versions);
    return graph_.str();
  }

 private:
  // What the bodies give flows into the node.
  void add_bodies(const Node& n, const std::string& name, std::vector<std::string>& inputs) {
    const GraphBodies::View view = bodies_of(n);
    std::vector<std::string> arguments = inputs;
    if (view.kind == GraphBodies::Kind::branches) arguments.erase(arguments.begin());
    for (size_t i = 0; i < view.graphs.size(); ++i)
      for (std::string& result : add(*view.graphs[i], name + '/' + body_name(view.kind, i) + '/', arguments))
        inputs.push_back(std::move(result));
  }

  /// NodeDef: name (1), op (2), input (3), device (4), attr (5).
  void add_node(const Node& n, const std::string& name, const std::vector<std::string>& inputs) {
    ProtoEncoder node, shapes, list;
    node.bytes(1, name);
    node.bytes(2, n.op->name);
    for (const std::string& input : inputs) node.bytes(3, input);
    node.bytes(4, "/device:CPU:0");
    for (const Spec& spec : n.outputs) list.message(7, shape_message(spec.shape));
    shapes.message(1, list);
    add_attribute(node, "_output_shapes", shapes);
    if (!n.outputs.empty()) add_attribute(node, "T", attribute_message(n.outputs[0].dtype));
    if (n.where.known())
      add_attribute(node, "location",
                    attribute_message(fmt::format("{}:{}", n.where.file_name(), n.where.line)));
    if (!n.op->has(has_bodies) && !n.op->has(is_input))
      n.attributes.type()->each(n.attributes.get(), [&](std::string_view key, const AttributeValue& value) {
        add_attribute(node, key, attribute_message(value));
      });
    graph_.message(1, node);
  }

  /// A name of TensorFlow's characters that no other node has.
  std::string unique(std::string name) {
    for (char& c : name)
      if (!std::isalnum(static_cast<unsigned char>(c)) &&
          std::string_view("_.-/\\").find(c) == std::string_view::npos)
        c = '_';
    std::string found = name;
    for (int i = 1; !taken_.insert(found).second; ++i) found = fmt::format("{}_{}", name, i);
    return found;
  }

  ProtoEncoder graph_;
  std::set<std::string> taken_;
};

}  // namespace

void write_graph(EventFile& file, const tandem::detail::FunctionCore& core, Location where) {
  tandem::detail::named("graph", where, [&] {
    const auto traces = core.traces();
    TD_CHECK(!traces.empty(),
             "the function has no graph yet: call it first, or say the specs of its arguments");
    GraphEncoder encoder;
    encoder.add(traces.back()->recorded, {}, {});
    ProtoEncoder event = event_at(wall_time(), 0);
    event.bytes(4, encoder.finish());  // graph_def
    file.write(event);
    file.flush();
  });
}

}  // namespace tandem::summary::detail
