// Running sums and products.

#include <algorithm>

#include "ops/dispatch.h"
#include "ops/elements.h"
#include "ops/families.h"
#include "runtime/parallel.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/logic.h"
#include "tandem/ops/math.h"
#include "tandem/ops/reduce.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

struct CumulativeAttributes {
  bool exclusive = false, reverse = false;
  static constexpr auto fields() {
    return std::tuple{field("exclusive", &CumulativeAttributes::exclusive),
                      field("reverse", &CumulativeAttributes::reverse)};
  }
};

/// Along the axis each element is combined with all before it, in order.
template <class T, class Combine>
void accumulate(const T* in, T* out, const AxisLayout& axis, const CumulativeAttributes& a, T neutral,
                Combine combine) {
  const int64_t step = a.reverse ? -axis.inner : axis.inner;
  const int64_t grain = std::max<int64_t>(1, 32768 / std::max<int64_t>(1, axis.size));
  runtime::parallel_for(axis.outer * axis.inner, grain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      int64_t at = row / axis.inner * axis.size * axis.inner + row % axis.inner;
      if (a.reverse) at += (axis.size - 1) * axis.inner;
      auto total = static_cast<Computed<T>>(neutral);
      for (int64_t i = 0; i < axis.size; ++i, at += step) {
        const auto next = combine(total, static_cast<Computed<T>>(in[at]));
        out[at] = static_cast<T>(a.exclusive ? total : next);
        total = next;
      }
    }
  });
}

struct Cumulative {
  using Attributes = CumulativeAttributes;
  static constexpr std::array<InputDef, 2> inputs{
      {{"x", types::numeric}, {"axis", types::index, 1, InputDef::parameter}}};
  static int axis_of(const KernelContext& k) {
    return InferContext::normalize_axis(integer_at(k.inputs[1], 0), k.inputs[0].shape.rank());
  }
  static void infer(InferContext& c) {
    Integers axis;
    if (c.constant(1, axis)) {
      TD_CHECK(axis.size() == 1, "the axis has shape {}; one number is needed", c.shape(1));
      InferContext::normalize_axis(axis[0], c.rank(0));
    }
    c.output(c.dtype(0), c.shape(0));
  }
  static std::vector<Sample> samples() {
    const Tensor x({{1.5f, 2.f, -1.f, 3.f}, {0.5f, 1.f, 2.f, -3.f}}), axis(1, DType::i64);
    std::vector<Sample> all;
    for (int i = 0; i < 4; ++i) {
      const Attributes a{(i & 1) != 0, (i & 2) != 0};
      all.push_back({{x, axis}, AttributeBox(attribute_type<Attributes>, &a)});
    }
    all.push_back({{x, Tensor(-2, DType::i32)}, {}});
    all.push_back({{zeros({2, 0}), axis}, {}});
    return all;
  }
};

struct CumSum : Cumulative {
  static constexpr std::string_view name = "CumSum";
  static constexpr int since = 14;
  static void kernel(const KernelContext& k, const Attributes& a) {
    const AxisLayout axis(k.inputs[0].shape, axis_of(k));
    with_element(k.inputs[0].dtype, [&]<class T>(T) {
      accumulate(k.in<T>(0), k.out<T>(0), axis, a, T(), [](auto total, auto x) {
        if constexpr (std::is_integral_v<decltype(x)>)
          return static_cast<decltype(x)>(static_cast<uint64_t>(total) + static_cast<uint64_t>(x));
        else
          return total + x;
      });
    });
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    return {cumsum(g.dy(), g.x(1), a.exclusive, !a.reverse), {}};
  }
};

struct CumProd : Cumulative {
  static constexpr std::string_view name = "CumProd";
  static constexpr int since = 26;
  static void kernel(const KernelContext& k, const Attributes& a) {
    const AxisLayout axis(k.inputs[0].shape, axis_of(k));
    with_element(k.inputs[0].dtype, [&]<class T>(T) {
      T one;
      if constexpr (std::is_integral_v<T>)
        one = 1;
      else
        one = T(1.f);
      accumulate(k.in<T>(0), k.out<T>(0), axis, a, one, [](auto total, auto x) {
        if constexpr (std::is_integral_v<decltype(x)>)
          return static_cast<decltype(x)>(static_cast<uint64_t>(total) * static_cast<uint64_t>(x));
        else
          return total * x;
      });
    });
  }
  // Every product on its own: a matrix of ones and factors for each row.
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    const Tensor place = reshape(in[1], {1});
    const int64_t given = place.dtype() == DType::i64 ? place.item<int64_t>() : place.item<int32_t>();
    const int axis = InferContext::normalize_axis(given, in[0].rank());
    const Tensor x = moveaxis(in[0], axis, -1), to = arange(x.dim(-1)), from = unsqueeze(to, {1});
    const Tensor before =
        a.reverse ? (a.exclusive ? to > from : to >= from) : (a.exclusive ? to < from : to <= from);
    return {moveaxis(reduce_prod(where(before, unsqueeze(x, {-2}), 1), {-1}), -1, axis)};
  }
  // Before the first zero the derivative of a product by a factor is the product over the factor. The zero
  // itself gets the sums of the products without it, and what comes later stays zero whatever it is.
  // (Where zeros are, the gradient of this gradient lacks the terms that would pass through them.)
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    const Tensor &x = g.x(), &axis = g.x(1), dy = g.dy();
    const auto back = [&](const Tensor& t) { return cumsum(t, axis, a.exclusive, !a.reverse); };
    const Tensor zero = equal(x, 0);
    const Tensor seen = cumsum(cast(zero, DType::i32), axis, false, a.reverse);
    const Tensor first = zero & equal(seen, 1);
    const Tensor without = cumprod(where(first, 1, x), axis, a.exclusive, a.reverse);
    const Tensor before = back(dy * g.y()) / where(zero, 1, x);
    return {where(equal(seen, 0), before, where(first, back(dy * without), 0)), {}};
  }
  static std::vector<Sample> samples() {
    std::vector<Sample> all = Cumulative::samples();
    all.push_back(
        {{Tensor({{1.5f, 0.f, 2.f, 3.f}, {0.f, 2.f, 0.f, 1.f}}), Tensor(1, DType::i64)}, {}, true, false});
    return all;
  }
};

constexpr const OpDef* cumulative_table[] = {&op_def<CumSum>, &op_def<CumProd>};

}  // namespace

std::span<const OpDef* const> cumulative_ops() { return cumulative_table; }

Tensor cumsum(const Operand& x, const Operand& axis, bool exclusive, bool reverse) {
  return dispatch<CumSum>({exclusive, reverse}, x, axis);
}
Tensor cumprod(const Operand& x, const Operand& axis, bool exclusive, bool reverse) {
  return dispatch<CumProd>({exclusive, reverse}, x, axis);
}

}  // namespace tandem
