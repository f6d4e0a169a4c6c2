#include "nn/value.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <ostream>

#include "core/check.h"
#include "nn/layer_call.h"
#include "nn/module_state.h"

namespace tandem::nn {

namespace detail {

ValueNode::ValueNode() {
  static std::atomic<uint64_t> serials{1};
  serial = serials++;
}

std::vector<std::shared_ptr<const ValueNode>> nodes_between(const std::vector<Value>& inputs,
                                                            const std::vector<Value>& outputs) {
  std::map<uint64_t, std::shared_ptr<const ValueNode>> found;
  std::vector<Value> open = outputs;
  while (!open.empty()) {
    const Value value = open.back();
    open.pop_back();
    if (std::find(inputs.begin(), inputs.end(), value) != inputs.end()) continue;
    const std::shared_ptr<const ValueNode>& node = value.node();
    if (!found.emplace(node->serial, node).second) continue;
    const std::vector<Value> arguments = node->arguments.flatten();
    open.insert(open.end(), arguments.begin(), arguments.end());
  }
  std::vector<std::shared_ptr<const ValueNode>> nodes;
  for (auto& [serial, node] : found) nodes.push_back(std::move(node));
  return nodes;
}

Shape plain_shape(Shape shape) {
  for (int64_t& d : shape) d = std::max<int64_t>(d, -1);
  return shape;
}

const Spec& spec_of(const Value& value) {
  TD_CHECK(value.node() != nullptr,
           "an empty model value was used; values come from nn::Input and from layers");
  return value.node()->outputs[static_cast<size_t>(value.index())];
}

}  // namespace detail

Shape Value::shape() const { return detail::plain_shape(detail::spec_of(*this).shape); }
DType Value::dtype() const { return detail::spec_of(*this).dtype; }
std::string Value::name() const {
  detail::spec_of(*this);
  return node_->layer ? node_->layer->name() : node_->name.empty() ? "input" : node_->name;
}

std::ostream& operator<<(std::ostream& out, const Value& value) {
  return out << "Value(\"" << value.name() << "\", shape=" << value.shape()
             << ", dtype=" << name_of(value.dtype()) << ')';
}

Value Input(const Shape& shape, InputOptions options, Location where) {
  auto node = std::make_shared<detail::ValueNode>();
  node->name = std::move(options.name);
  node->optional = options.optional;
  node->where = where;
  Spec spec{options.dtype, shape, {}};
  detail::at_line("input", where, [&] { spec.shape.insert(0, -1); });
  // All batches have one size; what else is unknown may differ from everything.
  static std::atomic<int64_t> next_symbol{symbol_base - 1};
  for (int i = 0; i < spec.shape.rank(); ++i)
    if (spec.shape[i] < 0) spec.shape[i] = i == 0 ? symbol_base : next_symbol--;
  node->outputs.push_back(spec);
  return {std::move(node), 0};
}

}  // namespace tandem::nn
