// GridSample and its derivatives, and AffineGrid.

#include <algorithm>
#include <cmath>

#include "ops/dispatch.h"
#include "ops/elements.h"
#include "ops/families.h"
#include "ops/weighted_sums.h"
#include "runtime/parallel.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/image.h"
#include "tandem/ops/indexing.h"
#include "tandem/ops/math.h"
#include "tandem/ops/reduce.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

using kernel::View;

constexpr int max_dimensions = 3;

enum class Mode { nearest, linear, cubic };
enum class Padding { zeros, border, reflection };

struct GridAttributes {
  bool align_corners = false;
  Word mode = "linear", padding_mode = "zeros";
  static constexpr auto fields() {
    return std::tuple{field("align_corners", &GridAttributes::align_corners),
                      field("mode", &GridAttributes::mode),
                      field("padding_mode", &GridAttributes::padding_mode)};
  }
  Mode how() const {
    if (mode == "linear") return Mode::linear;
    if (mode == "cubic") return Mode::cubic;
    TD_CHECK(mode == "nearest", "mode \"{}\" is unknown; expected \"linear\", \"nearest\" or \"cubic\"",
             std::string_view(mode));
    return Mode::nearest;
  }
  Padding padding() const {
    if (padding_mode == "zeros") return Padding::zeros;
    if (padding_mode == "border") return Padding::border;
    TD_CHECK(padding_mode == "reflection",
             "padding_mode \"{}\" is unknown; expected \"zeros\", \"border\" or \"reflection\"",
             std::string_view(padding_mode));
    return Padding::reflection;
  }
};

/// The same with how often to differentiate along each spatial dimension of x.
struct DerivativeAttributes : GridAttributes {
  Dims orders;
  static constexpr auto fields() {
    return std::tuple_cat(GridAttributes::fields(),
                          std::tuple{field("orders", &DerivativeAttributes::orders)});
  }
};

/// The elements that one coordinate reads along its dimension, and their weights.
struct Taps {
  int count = 0;
  int64_t index[4];  ///< -1: outside, a zero
  double weight[4];
};

/// Derivatives of Keys's cubic convolution with a = -0.75, for distances in [0, 1] and [1, 2].
double cubic_weight(double distance, int order) {
  constexpr double a = -0.75;
  constexpr double near[4] = {1, 0, -(a + 3), a + 2}, far[4] = {-4 * a, 8 * a, -5 * a, a};
  const double x = std::abs(distance);
  const double* c = x <= 1 ? near : far;
  double sum = 0;
  for (int power = 3; power >= order; --power) {
    double factor = c[power];
    for (int i = 0; i < order; ++i) factor *= power - i;
    sum = sum * x + factor;
  }
  return distance < 0 && order % 2 == 1 ? -sum : sum;
}

/// Where an index beyond [0, size) is read.
int64_t inside(int64_t i, int64_t size, Padding padding, bool align_corners) {
  if (i >= 0 && i < size) return i;
  if (padding == Padding::zeros) return -1;
  if (padding == Padding::border) return i < 0 ? 0 : size - 1;
  const int64_t period = align_corners ? 2 * (size - 1) : 2 * size;
  if (period == 0) return 0;
  const int64_t at = (i % period + period) % period;
  return at < size ? at : (align_corners ? period : period - 1) - at;
}

Taps taps(const GridAttributes& a, Mode mode, Padding padding, int64_t size, int order, double coordinate) {
  const auto length = static_cast<double>(size);
  const double slope = a.align_corners ? (length - 1) / 2 : length / 2;
  double x = a.align_corners ? (coordinate + 1) / 2 * (length - 1) : ((coordinate + 1) * length - 1) / 2;
  constexpr double far = 0x1p40;  // everything beyond is alike, and NaN too
  x = std::isnan(x) ? -far : std::clamp(x, -far, far);
  double factor = 1;
  for (int i = 0; i < order; ++i) factor *= slope;
  Taps t;
  if (mode == Mode::nearest) {
    t.count = 1;
    t.index[0] = inside(static_cast<int64_t>(std::nearbyint(x)), size, padding, a.align_corners);
    t.weight[0] = order == 0 ? 1 : 0;
    return t;
  }
  // A position beyond the border's element is moved onto it, and then stays there.
  const double edge = a.align_corners ? 0 : -0.5;
  if (padding == Padding::border && (x < edge || x > length - 1 - edge)) {
    x = std::clamp(x, 0.0, length - 1);
    if (order > 0) factor = 0;
  }
  const double floor = std::floor(x), rest = x - floor;
  const auto left = static_cast<int64_t>(floor);
  const int reach = mode == Mode::linear ? 0 : 1;
  t.count = 2 + 2 * reach;
  for (int k = 0; k < t.count; ++k) {
    t.index[k] = inside(left + k - reach, size, padding, a.align_corners);
    // The weight is a function of the distance x - element, whose derivatives these are.
    const double distance = rest - (k - reach);
    double w;
    if (mode == Mode::linear)
      w = order == 0 ? 1 - std::abs(distance) : order == 1 ? (k == 0 ? -1.0 : 1.0) : 0.0;
    else
      w = cubic_weight(distance, order);
    t.weight[k] = factor * w;
  }
  return t;
}

/// x (batch, channels, sizes...) and positions (batch, sizes..., dimensions) fit; gives the result's shape.
Shape sampled_shape(const Shape& x, const Shape& grid) {
  TD_CHECK(x.rank() >= 3 && x.rank() <= 2 + max_dimensions,
           "X has shape {}; a batch, channels and one to {} spatial dimensions are needed", x,
           max_dimensions);
  TD_CHECK(grid.rank() == x.rank(), "the grid of shape {} must have as many dimensions as X of shape {}",
           grid, x);
  TD_CHECK(grid[0] == x[0] || grid[0] < 0 || x[0] < 0,
           "the grid of shape {} and X of shape {} differ in batch", grid, x);
  TD_CHECK(grid.back() == x.rank() - 2 || grid.back() < 0,
           "the grid of shape {} has {} coordinates a position; X of shape {} needs {}", grid, grid.back(), x,
           x.rank() - 2);
  Shape shape{x[0] < 0 ? grid[0] : x[0], x[1]};
  for (int i = 1; i + 1 < grid.rank(); ++i) shape.push_back(grid[i]);
  for (int i = 2; i < x.rank(); ++i)
    TD_CHECK(x[i] != 0 || shape.element_count() == 0, "X of shape {} has no elements to read", x);
  return shape;
}

/// The coordinates of one position, innermost dimension first, as double.
void read_position(const View& grid, int64_t position, int dimensions, double* coordinates) {
  with_element(grid.dtype, [&]<class T>(T) {
    const T* from = static_cast<const T*>(grid.data) + position * dimensions;
    for (int d = 0; d < dimensions; ++d)
      coordinates[d] = static_cast<double>(static_cast<Computed<T>>(from[dimensions - 1 - d]));
  });
}

/// Calls f(offset, weight) for all elements that a position reads; offset -1 is a zero.
template <class F>
void for_each_element(const Taps* t, const Shape& x, int dimensions, F&& f) {
  int at[max_dimensions] = {};
  for (;;) {
    int64_t offset = 0;
    double weight = 1;
    for (int d = 0; d < dimensions; ++d) {
      offset = t[d].index[at[d]] < 0 || offset < 0 ? -1 : offset * x[2 + d] + t[d].index[at[d]];
      weight *= t[d].weight[at[d]];
    }
    f(offset, weight);
    int d = dimensions - 1;
    for (; d >= 0; --d) {
      if (++at[d] < t[d].count) break;
      at[d] = 0;
    }
    if (d < 0) return;
  }
}

/// What a position reads, ready for all channels.
struct Reading {
  int count = 0;
  int64_t offset[64];
  double weight[64];

  Reading(const GridAttributes& a, const Dims& orders, const Shape& x, const View& grid, int64_t position) {
    const int dimensions = x.rank() - 2;
    const Mode mode = a.how();
    const Padding padding = a.padding();
    double coordinates[max_dimensions];
    read_position(grid, position, dimensions, coordinates);
    Taps t[max_dimensions];
    for (int d = 0; d < dimensions; ++d)
      t[d] =
          taps(a, mode, padding, x[2 + d], orders.empty() ? 0 : static_cast<int>(orders[d]), coordinates[d]);
    for_each_element(t, x, dimensions, [&](int64_t at, double w) {
      if (at < 0) return;
      offset[count] = at;
      weight[count++] = w;
    });
  }
};

void sample(const KernelContext& k, const GridAttributes& a, const Dims& orders) {
  const Shape &x = k.inputs[0].shape, &y = k.outputs[0].shape;
  const View& grid = k.inputs[1];
  const int64_t channels = x[1], plane = product(x, 2, x.rank()), positions = product(y, 2, y.rank());
  const bool moves = a.how() == Mode::nearest && orders.empty();
  const int64_t work = std::max<int64_t>(1, 16 + channels * 4);
  runtime::parallel_for(
      x[0] * positions, std::max<int64_t>(1, 16 * 1024 / work), [&](int64_t begin, int64_t end) {
        for (int64_t p = begin; p < end; ++p) {
          const Reading r(a, orders, x, grid, p);
          const int64_t image = p / positions, at = p % positions;
          with_element(k.outputs[0].dtype, [&]<class T>(T) {
            const T* from = k.in<T>(0) + image * channels * plane;
            T* to = k.out<T>(0) + image * channels * positions + at;
            for (int64_t c = 0; c < channels; ++c, from += plane, to += positions) {
              if (moves) {
                *to = r.count > 0 ? from[r.offset[0]] : T{};
                continue;
              }
              Summed<T> sum = 0;
              for (int i = 0; i < r.count; ++i)
                sum += static_cast<Summed<T>>(r.weight[i]) * static_cast<Summed<T>>(from[r.offset[i]]);
              *to = from_sum<T>(sum);
            }
          });
        }
      });
}

Tensor picture(const Shape& shape) {
  std::vector<float> v(static_cast<size_t>(shape.element_count()));
  for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<float>((i * 7) % 19) * 0.5f - 4;
  return from_vector(std::move(v), shape);
}
/// Positions in and around x, none where anything jumps or bends.
Tensor positions(const Shape& shape) {
  std::vector<float> v(static_cast<size_t>(shape.element_count()));
  for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<float>((i * 29) % 53) / 53.f * 2.6f - 1.271f;
  return from_vector(std::move(v), shape);
}

/// Attributes of all kinds.
std::vector<GridAttributes> grid_attributes() {
  std::vector<GridAttributes> all;
  for (const char* mode : {"linear", "cubic", "nearest"})
    for (const char* padding : {"zeros", "border", "reflection"})
      for (const bool align : {false, true}) all.push_back({align, mode, padding});
  return all;
}

struct GridSample {
  static constexpr std::string_view name = "GridSample";
  static constexpr int since = 22;
  using Attributes = GridAttributes;
  static constexpr std::array<InputDef, 2> inputs{{{"X"}, {"grid", types::floating, 1}}};
  static void infer(InferContext& c, const Attributes& a) {
    a.how();
    a.padding();
    c.output(c.dtype(0), sampled_shape(c.shape(0), c.shape(1)));
  }
  static void kernel(const KernelContext& k, const Attributes& a) { sample(k, a, {}); }
  static Tensors gradient(const Gradient& g, const Attributes& a);
  static std::vector<Sample> samples() {
    std::vector<Sample> all;
    for (const GridAttributes& a : grid_attributes())
      all.push_back({{picture({2, 2, 3, 4}), positions({2, 3, 2, 2})}, boxed(a)});
    all.push_back({{picture({1, 2, 2, 3, 2}), positions({1, 2, 1, 2, 3})}, {}});
    all.push_back({{picture({1, 2, 5}), positions({1, 3, 1})}, {}});
    const Attributes nearest{.mode = "nearest"};
    for (const AttributeBox& a : {AttributeBox(), boxed(nearest)})  // the grid's dtype is its own
      all.push_back({{picture({1, 2, 2, 3}), cast(positions({1, 2, 2, 2}), DType::f64)}, a});
    const Tensor wild = reshape(Tensor({NAN, 0.f, 1e30f, -INFINITY}), {1, 1, 2, 2});
    all.push_back({{picture({1, 1, 2, 2}), wild}, {}, false});
    all.push_back({{zeros({0, 2, 3, 4}), zeros({0, 3, 2, 2})}, {}});
    return all;
  }
};

/// GridSample differentiated: along dimension i of x as often as orders[i] says, by the coordinate.
struct GridSampleDerivative {
  static constexpr std::string_view name = "GridSampleDerivative", domain = "ai.tandem";
  using Attributes = DerivativeAttributes;
  static constexpr std::array<InputDef, 2> inputs{{{"X", types::floating}, {"grid", types::floating, 1}}};
  static void check_orders(const Attributes& a, const Shape& x) {
    bool fits = a.orders.size() == x.rank() - 2;
    for (int64_t order : a.orders) fits = fits && order >= 0 && order < 64;
    TD_CHECK(fits, "orders {} must be {} numbers from 0 to 63", a.orders, x.rank() - 2);
  }
  static void infer(InferContext& c, const Attributes& a) {
    a.how();
    a.padding();
    const Shape shape = sampled_shape(c.shape(0), c.shape(1));
    check_orders(a, c.shape(0));
    c.output(c.dtype(0), shape);
  }
  static void kernel(const KernelContext& k, const Attributes& a) { sample(k, a, a.orders); }
  static Tensors gradient(const Gradient& g, const Attributes& a);
  static std::vector<Sample> samples() {
    std::vector<Sample> all;
    for (const GridAttributes& a : grid_attributes()) {
      Attributes b;
      static_cast<GridAttributes&>(b) = a;
      b.orders = {1, 0};
      all.push_back({{picture({1, 2, 3, 4}), positions({1, 3, 2, 2})}, boxed(b)});
    }
    return all;
  }
};

/// The transpose of the above as a map of x: adds each element of dY up where it was read.
struct GridSampleGradient {
  static constexpr std::string_view name = "GridSampleGradient", domain = "ai.tandem";
  using Attributes = DerivativeAttributes;
  static constexpr std::array<InputDef, 3> inputs{
      {{"dY", types::floating}, {"grid", types::floating, 1}, {"shape", types::i64, 2, InputDef::parameter}}};
  static void infer(InferContext& c, const Attributes& a) {
    a.how();
    a.padding();
    const Shape x = shape_parameter(c, 2), y = sampled_shape(x, c.shape(1)), &dy = c.shape(0);
    GridSampleDerivative::check_orders(a, x);
    bool same = dy.rank() == y.rank();
    for (int i = 0; same && i < y.rank(); ++i) same = dy[i] == y[i] || dy[i] < 0 || y[i] < 0;
    TD_CHECK(same, "dY has shape {}; sampling gives {}", dy, y);
    c.output(c.dtype(0), x);
  }
  static void kernel(const KernelContext& k, const Attributes& a) {
    const Shape &x = k.outputs[0].shape, &y = k.inputs[0].shape;
    const int64_t channels = x[1], plane = product(x, 2, x.rank()), count = product(y, 2, y.rank());
    with_element(k.outputs[0].dtype, [&]<class T>(T) {
      if constexpr (std::is_floating_point_v<Computed<T>>) {
        using C = Computed<T>;
        // By channels: all threads find the positions' elements, each adds to its own channels.
        runtime::parallel_for(x[0] * channels, std::max<int64_t>(1, 4096 / std::max<int64_t>(1, count)),
                              [&](int64_t begin, int64_t end) {
                                const Tensor memory = detail::empty_tensor(
                                    dtype_of<C>, {std::is_same_v<T, C> ? 0 : (end - begin) * plane});
                                C* sums;
                                if constexpr (std::is_same_v<T, C>)
                                  sums = k.out<T>(0) + begin * plane;
                                else
                                  sums = detail::mutable_data<C>(memory);
                                add(k, a, begin, end, channels, plane, count, sums);
                                if constexpr (!std::is_same_v<T, C>)
                                  for (int64_t i = 0; i < (end - begin) * plane; ++i)
                                    k.out<T>(0)[begin * plane + i] = T(sums[i]);
                              });
      }
    });
  }
  template <class C>
  static void add(const KernelContext& k, const Attributes& a, int64_t begin, int64_t end, int64_t channels,
                  int64_t plane, int64_t count, C* sums) {
    std::fill_n(sums, (end - begin) * plane, C{});
    for (int64_t first = begin; first < end;) {
      const int64_t image = first / channels, last = std::min(end, (image + 1) * channels);
      for (int64_t p = 0; p < count; ++p) {
        const Reading r(a, a.orders, k.outputs[0].shape, k.inputs[1], image * count + p);
        for (int64_t c = first; c < last; ++c) {
          C dy{};
          with_element(k.inputs[0].dtype, [&]<class T>(T) {
            if constexpr (std::is_floating_point_v<Computed<T>>)
              dy = static_cast<C>(static_cast<Computed<T>>(k.in<T>(0)[c * count + p]));
          });
          C* to = sums + (c - begin) * plane;
          for (int i = 0; i < r.count; ++i) to[r.offset[i]] += static_cast<C>(r.weight[i]) * dy;
        }
      }
      first = last;
    }
  }
  static Tensors gradient(const Gradient& g, const Attributes& a);
  static std::vector<Sample> samples() {
    std::vector<Sample> all;
    for (const GridAttributes& a : grid_attributes()) {
      Attributes b;
      static_cast<GridAttributes&>(b) = a;
      b.orders = {0, 0};
      all.push_back(
          {{picture({1, 2, 3, 2}), positions({1, 3, 2, 2}), Tensor({1, 2, 3, 4}, DType::i64)}, boxed(b)});
    }
    return all;
  }
};

Tensor derivative(const DerivativeAttributes& a, const Tensor& x, const Tensor& grid) {
  return dispatch<GridSampleDerivative>(a, Operand(x), Operand(grid));
}

/// The gradient of the grid: for each coordinate the sum over channels of dy times the derivative along it.
Tensor grid_gradient(const DerivativeAttributes& a, const Tensor& x, const Tensor& grid, const Tensor& dy) {
  const int dimensions = x.rank() - 2;
  std::vector<Tensor> coordinates;
  for (int d = dimensions - 1; d >= 0; --d) {
    DerivativeAttributes next = a;
    ++next.orders[d];
    coordinates.push_back(reduce_sum(dy * derivative(next, x, grid), {1}));
  }
  return cast(stack(coordinates, -1), grid.dtype());
}

Tensor x_gradient(const DerivativeAttributes& a, const Tensor& dy, const Tensor& grid, const Shape& x) {
  return dispatch<GridSampleGradient>(a, Operand(dy), Operand(grid), Operand(x));
}

Tensors GridSample::gradient(const Gradient& g, const Attributes& a) {
  DerivativeAttributes b;
  static_cast<GridAttributes&>(b) = a;
  b.orders = Dims::filled(g.x().rank() - 2, 0);
  const Tensor dy = g.dy();
  Tensors result{{}, {}};
  if (g.needs(0)) result[0] = x_gradient(b, dy, g.x(1), g.x(0).shape().codes());
  if (g.needs(1)) result[1] = grid_gradient(b, g.x(0), g.x(1), dy);
  return result;
}
Tensors GridSampleDerivative::gradient(const Gradient& g, const Attributes& a) {
  const Tensor dy = g.dy();
  Tensors result{{}, {}};
  if (g.needs(0)) result[0] = x_gradient(a, dy, g.x(1), g.x(0).shape().codes());
  if (g.needs(1)) result[1] = grid_gradient(a, g.x(0), g.x(1), dy);
  return result;
}
Tensors GridSampleGradient::gradient(const Gradient& g, const Attributes& a) {
  const Tensor dx = g.dy();
  Tensors result{{}, {}, {}};
  if (g.needs(0)) result[0] = derivative(a, dx, g.x(1));
  if (g.needs(1)) result[1] = grid_gradient(a, dx, g.x(1), g.x(0));
  return result;
}

// ---- AffineGrid

struct AffineGrid : Composite {
  static constexpr std::string_view name = "AffineGrid";
  static constexpr int since = 20;
  struct Attributes {
    bool align_corners = false;
    static constexpr auto fields() { return std::tuple{field("align_corners", &Attributes::align_corners)}; }
  };
  static constexpr std::array<InputDef, 2> inputs{
      {{"theta", types::floating}, {"size", types::i64, 1, InputDef::parameter}}};
  static void infer(InferContext& c, const Attributes&) {
    const Shape& theta = c.shape(0);
    TD_CHECK(c.rank(1) == 1 && c.shape(1)[0] >= 0, "the number of sizes must be known while tracing");
    const int64_t dimensions = c.shape(1)[0] - 2;
    TD_CHECK(dimensions == 2 || dimensions == 3, "size lists {} sizes; 4 or 5 are needed", dimensions + 2);
    const auto is = [](int64_t d, int64_t wanted) { return d == wanted || d < 0; };
    TD_CHECK(theta.rank() == 3 && is(theta[1], dimensions) && is(theta[2], dimensions + 1),
             "theta has shape {}; (batch, {}, {}) is needed", theta, dimensions, dimensions + 1);
    Integers size;
    Shape shape{theta[0]};
    const bool known = c.constant(1, size);
    TD_CHECK(!known || size[0] == theta[0] || size[0] < 0 || theta[0] < 0,
             "size asks for a batch of {}, theta of shape {} has {}", known ? size[0] : 0, theta, theta[0]);
    for (int i = 0; i < dimensions; ++i) {
      const int64_t d = known ? size[2 + i] : c.fresh_symbol();
      TD_CHECK(d >= 0 || is_symbol(d), "size {} is negative", d);
      shape.push_back(d);
    }
    shape.push_back(dimensions);
    c.output(c.dtype(0), shape);
  }
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    const auto dimensions = static_cast<int>(in[1].shape().codes()[0]) - 2;
    TD_CHECK(dimensions > 0, "the number of sizes must be known while tracing");
    const bool narrow = in[0].dtype() == DType::f16 || in[0].dtype() == DType::bf16;
    const DType dtype = narrow ? DType::f32 : in[0].dtype();
    const Tensor theta = cast(in[0], dtype);
    // Column j of theta, as (batch, 1, ..., 1, dimensions).
    const auto column = [&](int j) {
      const Tensor entries = gather(theta, j, 2);
      Dims places;
      for (int i = 0; i < dimensions; ++i) places.push_back(1 + i);
      return unsqueeze(entries, places);
    };
    Tensor y = column(dimensions);
    for (int j = 0; j < dimensions; ++j) {
      const int axis = dimensions - 1 - j;  // the first coordinate runs along the last axis
      const Tensor size = gather(in[1], 2 + axis);
      const Tensor n = cast(size, dtype), at = cast(arange(0, size, 1, DType::i64), dtype) * 2;
      const Tensor along = a.align_corners ? (at - (n - 1)) / maximum(n - 1, 1) : (at + 1 - n) / n;
      Dims shape = Dims::filled(dimensions + 1, 1);
      shape[axis] = -1;
      y = y + column(j) * reshape(along, shape);
    }
    return {cast(y, in[0].dtype())};
  }
  static std::vector<Sample> samples() {
    const Tensor plane({{{1.f, 0.5f, -0.25f}, {-0.5f, 2.f, 0.125f}}}), space = picture({2, 3, 4});
    const Attributes align{true};
    return {{{plane, Tensor({1, 2, 3, 4}, DType::i64)}, {}},
            {{plane, Tensor({1, 2, 3, 1}, DType::i64)}, boxed(align)},
            {{space, Tensor({2, 1, 2, 3, 2}, DType::i64)}, {}},
            {{space, Tensor({2, 1, 2, 3, 2}, DType::i64)}, boxed(align)}};
  }
};

constexpr const OpDef* grid_table[] = {&op_def<GridSample>, &op_def<GridSampleDerivative>,
                                       &op_def<GridSampleGradient>, &op_def<AffineGrid>};

}  // namespace

std::span<const OpDef* const> grid_ops() { return grid_table; }

Tensor grid_sample(const Operand& x, const Operand& grid, const GridOptions& options) {
  return dispatch<GridSample>({options.align_corners, Word(options.mode), Word(options.padding)}, x, grid);
}
Tensor affine_grid(const Operand& theta, const Operand& size, bool align_corners) {
  return dispatch<AffineGrid>({align_corners}, theta, size);
}

}  // namespace tandem
