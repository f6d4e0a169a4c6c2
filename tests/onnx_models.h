#pragma once
// ONNX models made by hand.

#include <sstream>
#include <string>
#include <vector>

#include "onnx/attribute_proto.h"
#include "onnx/dtypes.h"
#include "onnx/tensor_proto.h"
#include "tandem/load.h"

namespace tandem::testing {

/// "a b _": the names a and b, and one left out.
inline std::vector<std::string> words(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> list;
  for (std::string word; in >> word;) list.push_back(word == "_" ? "" : word);
  return list;
}

/// Adds nodes and values to a graph's message.
class GraphBuilder {
 public:
  using Attributes = std::vector<std::pair<std::string, AttributeValue>>;

  explicit GraphBuilder(onnx::GraphProto& graph) : graph_(graph) {}

  /// `sizes`: numbers, names, or ? each: "2 batch ?".
  GraphBuilder& input(const std::string& name, DType dtype, const std::string& sizes) {
    return value(*graph_.add_input(), name, dtype, sizes);
  }
  GraphBuilder& output(const std::string& name, DType dtype = DType::f32) {
    graph_.add_output()->set_name(name);
    graph_.mutable_output()->rbegin()->mutable_type()->mutable_tensor_type()->set_elem_type(
        onnx::code_of(dtype));
    return *this;
  }
  GraphBuilder& constant(const std::string& name, const Tensor& value) {
    onnx::write_tensor(value, name, *graph_.add_initializer());
    return *this;
  }
  GraphBuilder& node(const std::string& op, const std::string& inputs, const std::string& outputs,
                     const Attributes& attributes = {}) {
    add(*graph_.add_node(), op, inputs, outputs, attributes);
    return *this;
  }
  onnx::NodeProto& last_node() { return *graph_.mutable_node()->rbegin(); }
  /// The attribute of the last node that holds a graph.
  GraphBuilder body(const std::string& name) {
    onnx::AttributeProto& a = *last_node().add_attribute();
    a.set_name(name);
    a.set_type(onnx::AttributeProto::GRAPH);
    return GraphBuilder(*a.mutable_g());
  }
  onnx::GraphProto& proto() { return graph_; }

  /// "domain.Op" or "Op".
  static void add(onnx::NodeProto& n, const std::string& op, const std::string& inputs,
                  const std::string& outputs, const Attributes& attributes) {
    const size_t dot = op.rfind('.');
    n.set_op_type(dot == std::string::npos ? op : op.substr(dot + 1));
    if (dot != std::string::npos) n.set_domain(op.substr(0, dot));
    for (const std::string& w : words(inputs)) n.add_input(w);
    for (const std::string& w : words(outputs)) n.add_output(w);
    for (const auto& [name, value] : attributes) onnx::write_attribute(name, value, *n.add_attribute());
  }

 private:
  GraphBuilder& value(onnx::ValueInfoProto& v, const std::string& name, DType dtype,
                      const std::string& sizes) {
    v.set_name(name);
    auto* type = v.mutable_type()->mutable_tensor_type();
    type->set_elem_type(onnx::code_of(dtype));
    type->mutable_shape();
    for (const std::string& w : words(sizes)) {
      auto* d = type->mutable_shape()->add_dim();
      if (w[0] >= '0' && w[0] <= '9')
        d->set_dim_value(std::stoll(w));
      else if (w != "?")
        d->set_dim_param(w);
    }
    return *this;
  }

  onnx::GraphProto& graph_;
};

/// A model whose main graph is under construction.
struct ModelBuilder : private std::unique_ptr<onnx::ModelProto>, public GraphBuilder {
  explicit ModelBuilder(int64_t opset = 28)
      : std::unique_ptr<onnx::ModelProto>(std::make_unique<onnx::ModelProto>()),
        GraphBuilder(*(*this)->mutable_graph()) {
    model().set_ir_version(10);
    import_opset("", opset);
    proto().set_name("test");
  }
  onnx::ModelProto& model() { return *std::unique_ptr<onnx::ModelProto>::get(); }
  void import_opset(const std::string& domain, int64_t version) {
    auto* o = model().add_opset_import();
    o->set_domain(domain);
    o->set_version(version);
  }
  onnx::FunctionProto& function(const std::string& domain, const std::string& name, const std::string& inputs,
                                const std::string& outputs) {
    auto* f = model().add_functions();
    f->set_domain(domain);
    f->set_name(name);
    for (const std::string& w : words(inputs)) f->add_input(w);
    for (const std::string& w : words(outputs)) f->add_output(w);
    *f->mutable_opset_import() = model().opset_import();
    return *f;
  }
  std::string bytes() { return model().SerializeAsString(); }
  LoadedModel load() {
    const std::string b = bytes();
    return load_bytes(std::as_bytes(std::span(b)), "test.onnx");
  }
};

}  // namespace tandem::testing
