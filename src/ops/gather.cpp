// Reading by index: Gather and its kin.

#include <cstring>

#include "ops/dispatch.h"
#include "ops/elements.h"
#include "ops/families.h"
#include "ops/indexing.h"
#include "ops/samples.h"
#include "runtime/parallel.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/indexing.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

using kernel::View;

// Copying less than this does not pay for a second thread.
constexpr int64_t bytes_per_part = 1 << 17;

struct AxisAttributes {
  int64_t axis = 0;
  static constexpr auto fields() { return std::tuple{field("axis", &AxisAttributes::axis)}; }
};

// ---- Gather

struct Gather {
  static constexpr std::string_view name = "Gather";
  static constexpr int since = 13;
  static constexpr uint32_t traits = moves_only;
  using Attributes = AxisAttributes;
  static constexpr std::array<InputDef, 2> inputs{
      {{"data"}, {"indices", types::index, 1, InputDef::no_gradient}}};
  static void infer(InferContext& c, const Attributes& a) {
    const Shape &x = c.shape(0), &indices = c.shape(1);
    const int axis = InferContext::normalize_axis(a.axis, x.rank());
    TD_CHECK(x.rank() - 1 + indices.rank() <= max_rank,
             "the result would have {} dimensions; at most {} are supported", x.rank() - 1 + indices.rank(),
             max_rank);
    Shape shape;
    for (int i = 0; i < axis; ++i) shape.push_back(x[i]);
    for (int64_t d : indices) shape.push_back(d);
    for (int i = axis + 1; i < x.rank(); ++i) shape.push_back(x[i]);
    c.output(c.dtype(0), shape);
  }
  static void kernel(const KernelContext& k, const Attributes& a) {
    const View &x = k.inputs[0], &indices = k.inputs[1];
    const int axis = InferContext::normalize_axis(a.axis, x.shape.rank());
    const int64_t outer = product(x.shape, 0, axis), size = x.shape[axis];
    const int64_t block = product(x.shape, axis + 1, x.shape.rank()) * static_cast<int64_t>(size_of(x.dtype));
    const int64_t count = indices.shape.element_count();
    const auto* from = static_cast<const std::byte*>(x.data);
    auto* to = static_cast<std::byte*>(k.outputs[0].data);
    const int64_t grain = std::max<int64_t>(1, bytes_per_part / std::max<int64_t>(1, block));
    runtime::parallel_for(outer * count, grain, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const int64_t at = normalize_index(integer_at(indices, row % count), size, axis);
        const std::byte* source = from + ((row / count) * size + at) * block;
        std::byte* target = to + row * block;
        switch (block) {
          case 0:  // nothing may have no address
            break;
          case 4:
            std::memcpy(target, source, 4);
            break;
          case 8:
            std::memcpy(target, source, 8);
            break;
          default:
            std::memcpy(target, source, static_cast<size_t>(block));
        }
      }
    });
  }
  static Tensors gradient(const Gradient& g, const Attributes& a);
  static std::vector<Sample> samples() {
    const Tensor x = ramp({3, 4}), some({{2, 0}, {-1, 2}}, DType::i64);
    return {{{x, some}, {}},
            {{transpose(x), some}, boxed(Attributes{1})},
            {{x, Tensor(-1, DType::i64)}, boxed(Attributes{-1})},
            {{ramp({2, 3, 2}), Tensor({0, 0, 2})}, boxed(Attributes{1})},
            {{x, zeros({0}, DType::i64)}, {}},
            {{zeros({3, 0}), some}, {}},
            {{cast(x, DType::i8), some}, {}},
            {{cast(x, DType::boolean), some}, {}}};
  }
};

/// Gather's gradient: zeros of x's shape, with each gathered slice's gradient added where it came from, in
/// the order of the indices.
struct GatherGradient {
  static constexpr std::string_view name = "GatherGradient", domain = "ai.tandem";
  using Attributes = AxisAttributes;
  static constexpr std::array<InputDef, 3> inputs{{{"gradient", types::floating},
                                                   {"indices", types::index, 1, InputDef::no_gradient},
                                                   {"shape", types::i64, 2, InputDef::parameter}}};
  static void infer(InferContext& c, const Attributes& a) {
    Integers sizes;
    Shape shape;
    const int rank = c.rank(0) - c.rank(1) + 1;
    if (c.constant(2, sizes))
      for (int64_t d : sizes) shape.push_back(d);
    else
      for (int i = 0; i < rank; ++i) shape.push_back(c.fresh_symbol());
    TD_CHECK(shape.rank() == rank, "a gradient of shape {} and indices of shape {} do not belong to shape {}",
             c.shape(0), c.shape(1), shape);
    InferContext::normalize_axis(a.axis, rank);
    c.output(c.dtype(0), shape);
  }
  static void kernel(const KernelContext& k, const Attributes& a) {
    const View& y = k.outputs[0];
    const int axis = InferContext::normalize_axis(a.axis, y.shape.rank());
    const int64_t outer = product(y.shape, 0, axis), size = y.shape[axis];
    const int64_t inner = product(y.shape, axis + 1, y.shape.rank());
    auto run = [&]<class T>(T) {
      if constexpr (std::is_floating_point_v<T>) {
        add(k, outer, size, inner, axis, k.in<T>(0), k.out<T>(0));
      } else if constexpr (std::is_same_v<Computed<T>, float>) {
        // Half and bfloat16 add up in float and round once.
        const Tensor sums = detail::empty_tensor(DType::f32, y.shape);
        auto* p = detail::mutable_data<float>(sums);
        add(k, outer, size, inner, axis, k.in<T>(0), p);
        for (int64_t i = 0; i < outer * size * inner; ++i) k.out<T>(0)[i] = T(p[i]);
      }
    };
    with_element(y.dtype, run);
  }
  template <class T, class Sum>
  static void add(const KernelContext& k, int64_t outer, int64_t size, int64_t inner, int axis, const T* dy,
                  Sum* sums) {
    const View& indices = k.inputs[1];
    const int64_t count = indices.shape.element_count();
    std::memset(static_cast<void*>(sums), 0, static_cast<size_t>(outer * size * inner) * sizeof(Sum));
    // Threads share out columns, so that each sum has one owner and one order.
    const int64_t columns = outer * inner;
    const int64_t grain = std::max<int64_t>(16, bytes_per_part / std::max<int64_t>(1, count * 4));
    runtime::parallel_for(columns, grain, [&](int64_t begin, int64_t end) {
      for (int64_t o = begin / std::max<int64_t>(1, inner); o * inner < end; ++o) {
        const int64_t first = std::max(begin - o * inner, int64_t{0}),
                      last = std::min(end - o * inner, inner);
        for (int64_t i = 0; i < count; ++i) {
          const int64_t at = normalize_index(integer_at(indices, i), size, axis);
          const T* source = dy + (o * count + i) * inner;
          Sum* target = sums + (o * size + at) * inner;
          for (int64_t j = first; j < last; ++j) target[j] += static_cast<Sum>(source[j]);
        }
      }
    });
  }
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    const Tensor& shape = in[2];
    const int rank = in[0].rank() - in[1].rank() + 1, axis = InferContext::normalize_axis(a.axis, rank);
    // The gradient with the indices' axes made one, and each element's index.
    const Tensor sizes = concat(
        {slice(shape, {0}, {axis}), reshape(size_of(in[1]), {1}), slice(shape, {axis + 1}, {rank})}, 0);
    Dims column = Dims::filled(rank, 1);
    column[axis] = -1;
    const Tensor indices = expand(reshape(cast(in[1], DType::i64), column), sizes);
    return {scatter_elements(zeros(shape, in[0].dtype()), indices, reshape(in[0], sizes), axis, "add")};
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    return {gather(g.dy(), g.x(1), a.axis), {}, {}};
  }
  static std::vector<Sample> samples() {
    const Tensor some({{2, 0}, {-1, 2}}, DType::i64);
    return {{{ramp({2, 2, 4}), some, Tensor({3, 4}, DType::i64)}, {}},
            {{ramp({2, 2, 2}), some, Tensor({2, 3}, DType::i64)}, boxed(Attributes{1})},
            {{ramp({0, 4}), zeros({0}, DType::i64), Tensor({3, 4}, DType::i64)}, {}},
            {{cast(ramp({2, 2}), DType::bf16), some, Tensor({3}, DType::i64)}, {}, false}};
  }
};

Tensors Gather::gradient(const Gradient& g, const Attributes& a) {
  return {gather_gradient(g.dy(), g.x(1), g.x().shape(), a.axis), {}};
}

// ---- GatherElements

struct GatherElements {
  static constexpr std::string_view name = "GatherElements";
  static constexpr int since = 13;
  static constexpr uint32_t traits = moves_only;
  using Attributes = AxisAttributes;
  static constexpr std::array<InputDef, 2> inputs{
      {{"data"}, {"indices", types::index, 1, InputDef::no_gradient}}};
  static void infer(InferContext& c, const Attributes& a) {
    const Shape &x = c.shape(0), &indices = c.shape(1);
    const int axis = InferContext::normalize_axis(a.axis, x.rank());
    bool fits = x.rank() == indices.rank();
    for (int i = 0; fits && i < x.rank(); ++i)
      fits = i == axis || indices[i] < 0 || x[i] < 0 || indices[i] <= x[i];
    TD_CHECK(fits, "indices of shape {} reach beyond shape {} outside axis {}", indices, x, axis);
    c.output(c.dtype(0), indices);
  }
  static void kernel(const KernelContext& k, const Attributes& a) {
    const View &x = k.inputs[0], &indices = k.inputs[1];
    const int axis = InferContext::normalize_axis(a.axis, x.shape.rank());
    Strides strides = contiguous_strides(x.shape);
    const int64_t step = strides[axis];
    strides[axis] = 0;
    with_carrier(x.dtype, [&]<class T>(T) {
      const T* from = k.in<T>(0);
      T* to = k.out<T>(0);
      for_each_offset(indices.shape, strides, [&](int64_t i, int64_t offset) {
        to[i] = from[offset + normalize_index(integer_at(indices, i), x.shape[axis], axis) * step];
      });
    });
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    const Tensor dy = g.dy();
    return {scatter_elements(zeros(g.x().shape(), dy.dtype()), g.x(1), dy, a.axis, "add"), {}};
  }
  static std::vector<Sample> samples() {
    const Tensor x = ramp({3, 4});
    return {{{x, Tensor({{2, 0, -1}, {1, 1, 1}}, DType::i64)}, {}},
            {{transpose(x), Tensor({{2, 0}, {-1, 1}})}, boxed(Attributes{-1})},
            {{x, zeros({0, 4}, DType::i64)}, {}},
            {{cast(x, DType::u16), Tensor({{2, 0, -1, 1}}, DType::i64)}, {}},
            {{cast(x, DType::boolean), Tensor({{2, 0, -1, 1}}, DType::i64)}, {}}};
  }
};

// ---- GatherND

struct GatherND {
  static constexpr std::string_view name = "GatherND";
  static constexpr int since = 13;
  static constexpr uint32_t traits = moves_only;
  struct Attributes {
    int64_t batch_dims = 0;
    static constexpr auto fields() { return std::tuple{field("batch_dims", &Attributes::batch_dims)}; }
  };
  static constexpr std::array<InputDef, 2> inputs{
      {{"data"}, {"indices", types::i64, 1, InputDef::no_gradient}}};
  static void infer(InferContext& c, const Attributes& a) {
    const Shape &x = c.shape(0), &indices = c.shape(1);
    TD_CHECK(x.rank() > 0 && indices.rank() > 0, "shapes {} and {}: both need at least one dimension", x,
             indices);
    TD_CHECK(a.batch_dims >= 0 && a.batch_dims < std::min(x.rank(), indices.rank()),
             "batch_dims {} is out of range for shapes {} and {}", a.batch_dims, x, indices);
    const int batch = static_cast<int>(a.batch_dims);
    Shape shape;
    for (int i = 0; i < batch; ++i) {
      TD_CHECK(x[i] == indices[i] || x[i] < 0 || indices[i] < 0,
               "shapes {} and {} differ in batch dimension {}", x, indices, i);
      shape.push_back(x[i]);
    }
    TD_CHECK(indices.back() >= 0, "the length of the coordinates must be known while tracing");
    TD_CHECK(indices.back() >= 1 && indices.back() <= x.rank() - batch,
             "coordinates of length {} do not fit the {} dimensions of shape {} after {} of the batch",
             indices.back(), x.rank() - batch, x, batch);
    for (int i = batch; i + 1 < indices.rank(); ++i) shape.push_back(indices[i]);
    for (int i = batch + static_cast<int>(indices.back()); i < x.rank(); ++i) shape.push_back(x[i]);
    c.output(c.dtype(0), shape);
  }
  static void kernel(const KernelContext& k, const Attributes& a) {
    const View &x = k.inputs[0], &indices = k.inputs[1];
    const int batch = static_cast<int>(a.batch_dims), length = static_cast<int>(indices.shape.back());
    const int64_t batches = product(x.shape, 0, batch);
    const int64_t points = product(indices.shape, batch, indices.shape.rank() - 1);
    const int64_t whole = product(x.shape, batch, x.shape.rank());
    const int64_t block = product(x.shape, batch + length, x.shape.rank());
    const Strides strides = contiguous_strides(x.shape);
    const auto bytes = static_cast<int64_t>(size_of(x.dtype));
    for (int64_t b = 0; b < batches; ++b)
      for (int64_t p = 0; p < points; ++p) {
        int64_t offset = b * whole;
        for (int i = 0; i < length; ++i) {
          const int axis = batch + i;
          offset += strides[axis] *
                    normalize_index(integer_at(indices, (b * points + p) * length + i), x.shape[axis], axis);
        }
        std::memcpy(static_cast<std::byte*>(k.outputs[0].data) + (b * points + p) * block * bytes,
                    static_cast<const std::byte*>(x.data) + offset * bytes,
                    static_cast<size_t>(block * bytes));
      }
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    Tensor indices = g.x(1);
    const Tensor dy = g.dy();
    const int batch = static_cast<int>(a.batch_dims);
    if (batch > 0) {
      // The batch's own coordinates before the given ones.
      Shape points = indices.shape().codes();
      points[points.rank() - 1] = 1;
      std::vector<Tensor> coordinates;
      for (int i = 0; i < batch; ++i) {
        Shape line = Dims::filled(points.rank(), 1);
        line[i] = points[i];
        const Tensor positions = arange(0, squeeze(shape_of(indices, i, i + 1), {0}));
        coordinates.push_back(expand(reshape(positions, line), points));
      }
      coordinates.push_back(indices);
      indices = concat(coordinates, -1);
    }
    return {scatter_nd(zeros(g.x().shape(), dy.dtype()), indices, dy, "add"), {}};
  }
  static std::vector<Sample> samples() {
    const Tensor x = ramp({2, 3, 2});
    std::vector<Sample> all{{{x, Tensor({{1, 0}, {0, -1}}, DType::i64)}, {}},
                            {{transpose(x), Tensor({{1, 0, 1}, {0, 2, 0}}, DType::i64)}, {}},
                            {{x, Tensor({{2}, {0}}, DType::i64)}, boxed(Attributes{1})},
                            {{x, zeros({0, 2}, DType::i64)}, {}},
                            {{cast(x, DType::i32), Tensor({{1, 0}, {0, -1}}, DType::i64)}, {}},
                            {{cast(x, DType::boolean), Tensor({{1, 0}, {0, -1}}, DType::i64)}, {}}};
    // The rank depends on the coordinates' length.
    for (Sample& s : all) s.unknown_sizes = s.inputs[1].shape().codes().back() == 1;
    return all;
  }
};

constexpr const OpDef* gather_table[] = {&op_def<Gather>, &op_def<GatherGradient>, &op_def<GatherElements>,
                                         &op_def<GatherND>};

}  // namespace

std::span<const OpDef* const> gather_ops() { return gather_table; }

Tensor gather_gradient(const Operand& gradient, const Operand& indices, const Operand& shape, int64_t axis) {
  return dispatch<GatherGradient>({axis}, gradient, indices, shape);
}
Tensor gather(const Operand& x, const Operand& indices, int64_t axis) {
  return dispatch<Gather>({axis}, x, indices);
}
Tensor gather_elements(const Operand& x, const Operand& indices, int64_t axis) {
  return dispatch<GatherElements>({axis}, x, indices);
}
Tensor gather_nd(const Operand& x, const Operand& indices, int64_t batch_dims) {
  const Tensor wide = wide_indices(indices);
  return dispatch<GatherND>({batch_dims}, x, wide.defined() ? Operand(wide, x.location()) : indices);
}

}  // namespace tandem
