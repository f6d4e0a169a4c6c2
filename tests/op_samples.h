#pragma once
// An op's samples in every dtype that it takes, and how one is run: shared by the op-test driver and the
// fuzzer.

#include <sstream>

#include "ops/dispatch.h"
#include "tandem/tandem.h"
#include "tests/support.h"

namespace tandem::testing {

using TensorList = std::vector<Tensor>;

inline TensorList run_op(const OpDef& op, const AttributeBox& attributes, const TensorList& inputs) {
  std::vector<Operand> operands(inputs.begin(), inputs.end());
  std::vector<const Operand*> list;
  for (const Operand& o : operands) list.push_back(&o);
  Tensors outputs;
  apply(op, attributes.get(), list, outputs);
  return {outputs.begin(), outputs.end()};
}
inline TensorList run(const OpDef& op, const Sample& sample, const TensorList& inputs) {
  return run_op(op, attributes_of(op, sample), inputs);
}
inline TensorList run(const OpDef& op, const Sample& sample) { return run(op, sample, sample.inputs); }

inline const InputDef& input_def(const OpDef& op, size_t i) {
  return op.inputs[std::min(i, op.inputs.size() - 1)];
}
inline bool is_parameter(const OpDef& op, size_t i) {
  return (input_def(op, i).flags & InputDef::parameter) != 0;
}

/// The sample in another dtype of its first group; false where the op does not take it.
inline bool in_dtype(const OpDef& op, const Sample& sample, DType dtype, Sample& result) {
  result = sample;
  bool any = false;
  for (size_t i = 0; i < sample.inputs.size(); ++i) {
    const InputDef& def = input_def(op, i);
    const Tensor& t = sample.inputs[i];
    if (is_parameter(op, i) || !t.defined()) continue;
    // Floats of other groups follow the first.
    if (def.group != 0 && !(is_floating(t.dtype()) && t.dtype() == sample.inputs[0].dtype())) continue;
    if (!(def.types & type_bit(dtype))) return false;
    any = true;
    const bool to_unsigned = is_integer(dtype) && !is_signed(dtype);
    result.inputs[i] = cast(to_unsigned && is_signed(t.dtype()) ? abs(t) : t, dtype);
  }
  return any;
}

inline bool is_accepted(const OpDef& op, const Sample& sample) {
  try {
    run(op, sample);
    return true;
  } catch (const Error&) {
    return false;
  }
}

/// An op's own samples, each input a tensor of its own: gradients of one used twice would add up.
inline std::vector<Sample> own_samples(const OpDef& op) {
  std::vector<Sample> all = op.samples();
  for (Sample& s : all)
    for (size_t i = 0; i < s.inputs.size(); ++i)
      for (size_t k = 0; k < i; ++k)
        if (s.inputs[i].defined() && s.inputs[i].impl() == s.inputs[k].impl())
          s.inputs[i] = identity(s.inputs[i]);
  return all;
}

/// Every sample of an op as it is, then in every other dtype that it takes. Some attributes go with some
/// dtypes only.
inline std::vector<Sample> all_samples(const OpDef& op) {
  std::vector<Sample> all = own_samples(op);
  if (op.has(effect)) return all;
  const size_t own = all.size();
  for (size_t i = 0; i < own; ++i)
    for (int d = 0; d < dtype_count; ++d)
      if (Sample s; in_dtype(op, all[i], static_cast<DType>(d), s) && is_accepted(op, s))
        all.push_back(std::move(s));
  return all;
}

inline std::string describe(const OpDef& op, const Sample& sample) {
  std::ostringstream text;
  text << op.name << '(';
  for (const Tensor& t : sample.inputs) {
    if (&t != &sample.inputs.front()) text << ", ";
    if (t.defined())
      text << name_of(t.dtype()) << t.shape();
    else
      text << "none";
  }
  text << ')';
  const AttributeBox attributes = attributes_of(op, sample);
  op.attributes->each(attributes.get(), [&](std::string_view name, const AttributeValue& value) {
    text << ' ' << name;
    if (const auto* i = std::get_if<int64_t>(&value)) text << '=' << *i;
    if (const auto* f = std::get_if<double>(&value)) text << '=' << *f;
    if (const auto* s = std::get_if<std::string>(&value)) text << '=' << *s;
  });
  return text.str();
}

}  // namespace tandem::testing
