// What gradients share: zeros for missing ones, and the way back from broadcasting.

#include <algorithm>

#include "ops/dispatch.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/math.h"
#include "tandem/ops/reduce.h"
#include "tandem/ops/shape.h"

namespace tandem {

Tensor Gradient::dy(int i) const {
  return has_dy(i) ? output_gradients_[static_cast<size_t>(i)] : zeros_like(y(i));
}

namespace detail {

Tensors unbroadcast(const Gradient& g, Tensors gradients) {
  for (int i = 0; i < gradients.size(); ++i) {
    Tensor& d = gradients[i];
    if (!d.defined()) continue;
    if (!g.needs(i))
      d = Tensor();
    else if (!(d.shape() == g.x(i).shape()))
      d = sum_to(d, g.x(i).shape());
  }
  return gradients;
}

std::vector<Sample> elementwise_samples(std::span<const InputDef> inputs, const AttributeBox& attributes,
                                        double low, double high) {
  // A fixed sequence that visits the range unevenly and repeats no value soon.
  uint32_t state = 12345;
  auto tensor = [&](const Shape& shape, TypeSet allowed) {
    std::vector<float> values(static_cast<size_t>(shape.element_count()));
    for (float& v : values) {
      state = state * 1664525u + 1013904223u;
      v = static_cast<float>(low + (high - low) * ((state >> 8) + 0.5) / 16777216.0);
    }
    Tensor t = from_vector(std::move(values), shape);
    if (allowed & type_bit(DType::f32)) return t;
    if (allowed == types::boolean) return cast(maximum(t, 0), DType::boolean);
    return cast(t, DType::i32);
  };
  const Shape shapes[][3] = {
      {{5}, {5}, {5}}, {{2, 3}, {3}, {2, 1}}, {{2, 1, 4}, {3, 1}, {}}, {{0, 3}, {1, 3}, {3}}, {{}, {}, {}}};
  std::vector<Sample> samples;
  for (const auto& row : shapes) {
    Sample s;
    const size_t count = inputs.size() == 1 && inputs[0].flags & InputDef::variadic ? 3 : inputs.size();
    for (size_t i = 0; i < count; ++i)
      s.inputs.push_back(tensor(row[i], inputs[std::min(i, inputs.size() - 1)].types));
    s.attributes = attributes;
    samples.push_back(std::move(s));
  }
  return samples;
}

}  // namespace detail

}  // namespace tandem
