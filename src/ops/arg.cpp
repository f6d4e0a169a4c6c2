// Positions of extremes: ArgMax, ArgMin, and Hardmax.

#include <algorithm>

#include "ops/dispatch.h"
#include "ops/elements.h"
#include "ops/families.h"
#include "runtime/parallel.h"
#include "tandem/ops/activation.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/reduce.h"

namespace tandem {

namespace {

/// Calls found(row, position) for the extreme element of each row along the axis; NaN comes first. Rows are
/// numbered in row-major order of the other axes.
template <class T, class Found>
void find_extremes(const T* data, const AxisLayout& axis, bool largest, bool last, Found found) {
  const auto better = [&](Computed<T> a, Computed<T> b) {
    if (a != a) return !(b != b) || last;
    if (b != b) return false;
    return (largest ? a > b : a < b) || (last && a == b);
  };
  const int64_t grain = std::max<int64_t>(1, 32768 / std::max<int64_t>(1, axis.size));
  runtime::parallel_for(axis.outer * axis.inner, grain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const T* from = data + row / axis.inner * axis.size * axis.inner + row % axis.inner;
      int64_t best = 0;
      auto value = static_cast<Computed<T>>(*from);
      for (int64_t i = 1; i < axis.size; ++i) {
        const auto v = static_cast<Computed<T>>(from[i * axis.inner]);
        if (better(v, value)) value = v, best = i;
      }
      found(row, best);
    }
  });
}

struct ArgAttributes {
  int64_t axis = 0;
  bool keepdims = true, select_last_index = false;
  static constexpr auto fields() {
    return std::tuple{field("axis", &ArgAttributes::axis), field("keepdims", &ArgAttributes::keepdims),
                      field("select_last_index", &ArgAttributes::select_last_index)};
  }
};

template <bool largest>
struct Arg : NotDifferentiable {
  static constexpr int since = 13;
  using Attributes = ArgAttributes;
  static constexpr std::array<InputDef, 1> inputs{{{"data", types::numeric}}};
  static void infer(InferContext& c, const Attributes& a) {
    const Shape& in = c.shape(0);
    const int axis = InferContext::normalize_axis(a.axis, in.rank());
    TD_CHECK(in[axis] != 0, "axis {} of shape {} has size 0, so nothing can be found along it", axis, in);
    Shape shape = in;
    if (a.keepdims)
      shape[axis] = 1;
    else
      shape.erase(axis);
    c.output(DType::i64, shape);
  }
  static void kernel(const KernelContext& k, const Attributes& a) {
    const kernel::View& x = k.inputs[0];
    const AxisLayout axis(x.shape, InferContext::normalize_axis(a.axis, x.shape.rank()));
    int64_t* out = k.out<int64_t>(0);
    with_element(x.dtype, [&]<class T>(T) {
      find_extremes(k.in<T>(0), axis, largest, a.select_last_index,
                    [=](int64_t row, int64_t position) { out[row] = position; });
    });
  }
  static std::vector<Sample> samples() {
    const Tensor x({{{1.f, 5.f}, {3.f, 5.f}, {3.f, -2.f}}, {{0.f, 1.f}, {0.f, 1.f}, {0.f, 1.f}}});
    std::vector<Sample> all;
    for (const Attributes& a :
         {Attributes{}, Attributes{1, false, false}, Attributes{1, true, true}, Attributes{-1, false, true}})
      all.push_back({{x}, AttributeBox(attribute_type<Attributes>, &a)});
    return all;
  }
};

struct ArgMax : Arg<true> {
  static constexpr std::string_view name = "ArgMax";
};

struct ArgMin : Arg<false> {
  static constexpr std::string_view name = "ArgMin";
};

struct Hardmax {
  static constexpr std::string_view name = "Hardmax";
  static constexpr int since = 13;
  struct Attributes {
    int64_t axis = -1;
    static constexpr auto fields() { return std::tuple{field("axis", &Attributes::axis)}; }
  };
  static constexpr std::array<InputDef, 1> inputs{{{"input", types::floating}}};
  static void infer(InferContext& c, const Attributes& a) {
    InferContext::normalize_axis(a.axis, c.rank(0));
    c.output(c.dtype(0), c.shape(0));
  }
  static void kernel(const KernelContext& k, const Attributes& a) {
    const kernel::View& x = k.inputs[0];
    const AxisLayout axis(x.shape, InferContext::normalize_axis(a.axis, x.shape.rank()));
    if (x.shape.element_count() == 0) return;
    with_element(x.dtype, [&]<class T>(T) {
      T* out = k.out<T>(0);
      std::fill_n(out, x.shape.element_count(), T());
      find_extremes(k.in<T>(0), axis, true, false, [=](int64_t row, int64_t position) {
        out[(row / axis.inner * axis.size + position) * axis.inner + row % axis.inner] = T(1.f);
      });
    });
  }
  static Tensors gradient(const Gradient& g) { return {zeros_like(g.x())}; }
  static std::vector<Sample> samples() {
    const Attributes first{.axis = 0};
    const Tensor x({{1.f, 5.f, 3.f}, {3.f, 2.f, 4.f}}), ties({{3.f, 2.f, 3.f}});
    return {{{x}, {}}, {{ties}, {}, false}, {{x}, AttributeBox(attribute_type<Attributes>, &first)}};
  }
};

constexpr const OpDef* arg_table[] = {&op_def<ArgMax>, &op_def<ArgMin>, &op_def<Hardmax>};

}  // namespace

std::span<const OpDef* const> arg_ops() { return arg_table; }

Tensor argmax(const Operand& x, int64_t axis, bool keepdims, bool select_last_index) {
  return dispatch<ArgMax>({axis, keepdims, select_last_index}, x);
}
Tensor argmin(const Operand& x, int64_t axis, bool keepdims, bool select_last_index) {
  return dispatch<ArgMin>({axis, keepdims, select_last_index}, x);
}
Tensor hardmax(const Operand& x, int64_t axis) { return dispatch<Hardmax>({axis}, x); }

}  // namespace tandem
