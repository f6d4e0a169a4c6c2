// Running imported bodies through dispatch.

#include "core/check.h"
#include "onnx/imported.h"
#include "ops/dispatch.h"

namespace tandem::onnx {

const AttributeProto* NodeAttributes::find(std::string_view name) const {
  for (const AttributeProto& a : attributes_)
    if (a.name() == name) return &a;
  return nullptr;
}

int64_t NodeAttributes::integer(std::string_view name, int64_t otherwise) const {
  const AttributeProto* a = find(name);
  return a ? a->i() : otherwise;
}

float NodeAttributes::number(std::string_view name, float otherwise) const {
  const AttributeProto* a = find(name);
  return a ? a->f() : otherwise;
}

std::string NodeAttributes::text(std::string_view name, std::string_view otherwise) const {
  const AttributeProto* a = find(name);
  return a ? a->s() : std::string(otherwise);
}

std::vector<int64_t> NodeAttributes::integers(std::string_view name) const {
  const AttributeProto* a = find(name);
  if (!a) return {};
  return {a->ints().begin(), a->ints().end()};
}

std::string ImportedNode::describe() const {
  return name.empty() ? fmt::format("node {} ({} of opset {})", where.line, op_type, version)
                      : fmt::format("node \"{}\" ({} of opset {})", name, op_type, version);
}

namespace {

void run_node(const ImportedNode& node, std::span<const Tensor> frame, Tensors& outputs) {
  const size_t count = node.inputs.size();
  if (node.run) {
    SmallVector<Tensor, 8> inputs;
    for (int slot : node.inputs) inputs.push_back(slot < 0 ? Tensor() : frame[static_cast<size_t>(slot)]);
    const CallSite site(node.where);
    outputs = node.run({node, {inputs.begin(), count}, frame});
    return;
  }
  std::vector<Operand> operands;
  std::vector<const Operand*> list;
  operands.reserve(count);
  for (int slot : node.inputs)
    if (slot >= 0)
      operands.emplace_back(frame[static_cast<size_t>(slot)], node.where);
    else if (slot == -1)
      operands.emplace_back(nullptr, node.where);
    else
      operands.emplace_back(node.numbers[static_cast<size_t>(-2 - slot)], node.where);
  for (const Operand& o : operands) list.push_back(&o);
  apply(*node.op, node.settings.get(), list, outputs);
}

}  // namespace

std::vector<Tensor> run_body(const Body& body, std::span<const Tensor> inputs,
                             std::span<const Tensor> frame) {
  std::vector<Tensor> slots(static_cast<size_t>(body.slot_count));
  TD_ASSERT(inputs.size() == body.inputs.size());
  for (const auto& [slot, value] : body.constants) slots[static_cast<size_t>(slot)] = value;
  for (const Body::Capture& c : body.captures)
    slots[static_cast<size_t>(c.inner)] = frame[static_cast<size_t>(c.outer)];
  for (size_t i = 0; i < inputs.size(); ++i) slots[static_cast<size_t>(body.inputs[i])] = inputs[i];
  for (const ImportedNode& node : body.nodes) {
    try {
      Tensors outputs;
      run_node(node, slots, outputs);
      for (size_t i = 0; i < node.outputs.size(); ++i) {
        if (node.outputs[i] < 0) continue;
        TD_CHECK(static_cast<int>(i) < outputs.size(), "it has {} outputs here; the model uses {}",
                 outputs.size(), node.outputs.size());
        slots[static_cast<size_t>(node.outputs[i])] = std::move(outputs[static_cast<int>(i)]);
      }
    } catch (Error& e) {
      e.set_origin("", node.where);
      e.add_context("in " + node.describe());
      throw;
    }
    for (int slot : node.dying) slots[static_cast<size_t>(slot)] = Tensor();
  }
  std::vector<Tensor> outputs;
  for (int slot : body.outputs) outputs.push_back(slot < 0 ? Tensor() : slots[static_cast<size_t>(slot)]);
  return outputs;
}

}  // namespace tandem::onnx
