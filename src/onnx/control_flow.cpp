// If, Loop and Scan: their bodies run through cond and loops of our own.

#include "function/control_flow.h"
#include "core/check.h"
#include "onnx/rules.h"
#include "tandem/control_flow.h"
#include "tandem/ops.h"

namespace tandem::onnx {

namespace {

using detail::TensorList;

Tensors as_outputs(const TensorList& list, size_t first = 0) {
  Tensors outputs;
  for (size_t i = first; i < list.size(); ++i) outputs.push_back(list[i]);
  return outputs;
}

Tensor scalar(const Tensor& one) { return one.rank() == 0 ? one : reshape(one, Dims()); }

Tensors run_if(const Call& c) {
  TD_CHECK(c.has(0), "a condition is needed");
  auto branch = [&](size_t i) { return [&c, i] { return run_body(*c.node.bodies[i], {}, c.frame); }; };
  return as_outputs(cond(c.inputs[0], branch(0), branch(1), c.node.where));
}

/// What a value of each iteration is, for loops that run no iteration.
std::vector<Spec> scan_specs(const Body& body, size_t first) {
  std::vector<Spec> specs;
  for (size_t i = first; i < body.output_specs.size(); ++i) specs.push_back(body.output_specs[i]);
  return specs;
}

Tensors run_loop(const Call& c) {
  const Body& body = *c.node.bodies[0];
  const size_t count = c.inputs.size() < 2 ? 0 : c.inputs.size() - 2;
  TD_CHECK(body.inputs.size() == count + 2, "the body takes {} values; the loop has {} and two more",
           body.inputs.size(), count);
  TD_CHECK(body.outputs.size() > count, "the body returns {} values; a condition and {} are needed",
           body.outputs.size(), count);
  TensorList variables{Tensor(int64_t{0}, DType::i64), c.has(1) ? scalar(c.inputs[1]) : Tensor(true)};
  variables.insert(variables.end(), c.inputs.begin() + 2, c.inputs.end());
  const Tensor limit = c.has(0) ? scalar(c.inputs[0]) : Tensor();
  const TensorList all = detail::loop_with_scans(
      [&](const TensorList& v) { return limit.defined() ? logical_and(v[1], v[0] < limit) : identity(v[1]); },
      [&](const TensorList& v) {
        TensorList next = run_body(body, v, c.frame);
        next[0] = scalar(next[0]);
        next.insert(next.begin(), v[0] + 1);
        return next;
      },
      std::move(variables), scan_specs(body, count + 1), c.node.where);
  return as_outputs(all, 2);
}

int64_t entry(const std::vector<int64_t>& list, size_t i) { return i < list.size() ? list[i] : 0; }

/// One run over a sequence: states and scan inputs in, states and scan outputs out. `length`: a scalar.
TensorList scan_once(const Call& c, const TensorList& states, const TensorList& scanned, const Tensor& length,
                     const std::vector<int64_t>& axes, const std::vector<int64_t>& directions) {
  const Body& body = *c.node.bodies[0];
  TensorList variables{Tensor(int64_t{0}, DType::i64)};
  variables.insert(variables.end(), states.begin(), states.end());
  const TensorList all = detail::loop_with_scans(
      [&](const TensorList& v) { return v[0] < length; },
      [&](const TensorList& v) {
        TensorList inputs(v.begin() + 1, v.end());
        for (size_t i = 0; i < scanned.size(); ++i)
          inputs.push_back(
              gather(scanned[i], entry(directions, i) == 0 ? v[0] : length - 1 - v[0], entry(axes, i)));
        TensorList next = run_body(body, inputs, c.frame);
        next.insert(next.begin(), v[0] + 1);
        return next;
      },
      std::move(variables), scan_specs(body, states.size()), c.node.where);
  return TensorList(all.begin() + 1, all.end());
}

Tensor size_along(const Tensor& x, int64_t axis) {
  const int64_t at = InferContext::normalize_axis(axis, x.rank());
  return reshape(shape_of(x, at, at + 1), Dims());
}

Tensors run_scan(const Call& c) {
  const NodeAttributes& a = c.node.attributes;
  const int64_t scans = a.integer("num_scan_inputs", 0);
  const auto all = static_cast<int64_t>(c.inputs.size());
  TD_CHECK(scans >= 1 && scans <= all, "num_scan_inputs is {}; expected 1 to {}", scans, all);
  const TensorList states(c.inputs.begin(), c.inputs.end() - scans),
      scanned(c.inputs.end() - scans, c.inputs.end());
  TD_CHECK(c.node.bodies[0]->inputs.size() == c.inputs.size(), "the body takes {} values; the node has {}",
           c.node.bodies[0]->inputs.size(), c.inputs.size());
  TD_CHECK(c.node.bodies[0]->outputs.size() >= states.size(), "the body returns {} values for {} states",
           c.node.bodies[0]->outputs.size(), states.size());
  for (const Tensor& t : c.inputs) TD_CHECK(t.defined(), "an input is left out");
  const std::vector<int64_t> axes = a.integers("scan_input_axes");
  TensorList outputs = scan_once(c, states, scanned, size_along(scanned[0], entry(axes, 0)), axes,
                                 a.integers("scan_input_directions"));
  const std::vector<int64_t> output_axes = a.integers("scan_output_axes"),
                             directions = a.integers("scan_output_directions");
  for (size_t i = states.size(); i < outputs.size(); ++i) {
    Tensor& y = outputs[i];
    if (entry(directions, i - states.size()) != 0) y = flip(y, 0);
    if (const int64_t axis = entry(output_axes, i - states.size()); axis != 0) y = moveaxis(y, 0, axis);
  }
  return as_outputs(outputs);
}

// Scan of opset 8: every value has a batch axis in front, and sequences may end early.
Tensors run_batched_scan(const Call& c) {
  const NodeAttributes& a = c.node.attributes;
  const int64_t scans = a.integer("num_scan_inputs", 0);
  const auto all = static_cast<int64_t>(c.inputs.size()) - 1;
  TD_CHECK(scans >= 1 && scans <= all, "num_scan_inputs is {}; expected 1 to {}", scans, all);
  const size_t states = static_cast<size_t>(all - scans);
  const int64_t batch = c.inputs.back().dim(0, c.node.where);
  TD_CHECK(batch > 0, "the batch is empty");
  std::vector<TensorList> parts;
  for (int64_t b = 0; b < batch; ++b) {
    TensorList values;
    for (size_t i = 1; i < c.inputs.size(); ++i) values.push_back(c.inputs[i][b]);
    const TensorList first(values.begin(), values.begin() + static_cast<ptrdiff_t>(states)),
        scanned(values.begin() + static_cast<ptrdiff_t>(states), values.end());
    const Tensor whole = size_along(scanned[0], 0);
    const Tensor length = c.has(0) ? cast(c.inputs[0][b], DType::i64) : whole;
    TensorList results = scan_once(c, first, scanned, length, {}, a.integers("directions"));
    // What lies beyond a sequence's end is zero.
    for (size_t i = states; c.has(0) && i < results.size(); ++i)
      results[i] = pad(results[i], concat({zeros({1}, DType::i64), reshape(whole - length, {1})}, 0),
                       "constant", nullptr, {0});
    for (size_t i = 0; i < results.size(); ++i) {
      if (parts.size() <= i) parts.emplace_back();
      parts[i].push_back(results[i]);
    }
  }
  Tensors outputs;
  for (const TensorList& p : parts) outputs.push_back(stack(p, 0));
  return outputs;
}

constexpr ControlFlow operators[] = {
    {"If", 1, newest_opset, {"then_branch", "else_branch"}, run_if},
    {"Loop", 1, newest_opset, {"body"}, run_loop},
    {"Scan", 8, 8, {"body"}, run_batched_scan},
    {"Scan", 9, newest_opset, {"body"}, run_scan},
};

}  // namespace

const ControlFlow* find_control_flow(std::string_view op_type, int64_t version) {
  for (const ControlFlow& c : operators)
    if (c.op_type == op_type && version >= c.first && version <= c.last) return &c;
  return nullptr;
}

}  // namespace tandem::onnx
