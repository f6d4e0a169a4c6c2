// Ops that rearrange elements: views wherever strides allow.

#include <algorithm>
#include <cstring>

#include "ops/dispatch.h"
#include "ops/families.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/math.h"
#include "tandem/ops/reduce.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

using kernel::View;

struct Identity {
  static constexpr std::string_view name = "Identity";
  static constexpr int since = 25;
  static constexpr uint32_t traits = pass_through;
  static constexpr std::array<InputDef, 1> inputs{{{"input"}}};
  static void infer(InferContext& c) { c.output(c.dtype(0), c.shape(0)); }
  static bool view(const InferContext&, const NoAttributes&, const View& in, const Shape&,
                   ViewResult& result) {
    result.strides = in.strides;
    return true;
  }
  static Tensors gradient(const Gradient& g) { return {g.dy()}; }
  static std::vector<Sample> samples() { return {{{Tensor({1.f, -2.f})}, {}}}; }
};

// Strides of the same elements under another shape; false when they need a copy.
bool reshape_strides(const View& in, const Shape& out, Strides& strides) {
  if (detail::strides_are_contiguous(in.shape, in.strides)) {
    strides = contiguous_strides(out);
    return true;
  }
  // Sizes of 1 carry no stride; the others are matched group by group with equal products.
  Shape sizes;
  Strides steps;
  for (int i = 0; i < in.shape.rank(); ++i)
    if (in.shape[i] != 1) {
      sizes.push_back(in.shape[i]);
      steps.push_back(in.strides[i]);
    }
  strides = Dims::filled(out.rank(), 0);
  int from = 0, to = 0;
  while (to < out.rank()) {
    if (out[to] == 1) {
      ++to;
      continue;
    }
    if (from == sizes.rank()) return false;
    const int first = from;
    int64_t have = sizes[from++], want = out[to];
    int end = to + 1;
    while (have != want) {
      if (have < want) {
        if (from == sizes.rank()) return false;
        have *= sizes[from++];
      } else {
        if (end == out.rank()) return false;
        want *= out[end++];
      }
    }
    for (int i = first; i + 1 < from; ++i)
      if (steps[i] != steps[i + 1] * sizes[i + 1]) return false;
    int64_t step = steps[from - 1];
    for (int i = end - 1; i >= to; --i) {
      strides[i] = step;
      step *= out[i];
    }
    to = end;
  }
  return true;
}

struct Reshape {
  static constexpr std::string_view name = "Reshape";
  static constexpr int since = 25;
  static constexpr uint32_t traits = moves_only | keeps_order;
  struct Attributes {
    bool allowzero = false;
    static constexpr auto fields() { return std::tuple{field("allowzero", &Attributes::allowzero)}; }
  };
  static constexpr std::array<InputDef, 2> inputs{{{"data"}, {"shape", types::i64, 1, InputDef::parameter}}};

  static void infer(InferContext& c, const Attributes& a) {
    Integers sizes;
    const Shape& in = c.shape(0);
    if (!c.constant(1, sizes)) {
      TD_CHECK(c.shape(1).rank() == 1 && c.shape(1)[0] >= 0,
               "the shape's length must be known while tracing");
      Shape unknown;
      for (int64_t i = 0; i < c.shape(1)[0]; ++i) unknown.push_back(c.fresh_symbol());
      c.output(c.dtype(0), unknown);
      return;
    }
    Shape shape;
    int inferred = -1;
    for (int i = 0; i < sizes.size(); ++i) {
      int64_t d = sizes[i];
      TD_CHECK(d >= -1 || is_symbol(d), "size {} in dimension {} is negative; only -1 is special", d, i);
      if (d == 0 && !a.allowzero) {
        // ONNX: 0 copies the input's size, where there is one; an empty input keeps its zero.
        TD_CHECK(i < in.rank(), "size 0 in dimension {} would copy a dimension that shape {} does not have",
                 i, in);
        d = in[i];
      }
      if (d == -1) {
        TD_CHECK(inferred < 0, "more than one size is -1");
        inferred = i;
      }
      shape.push_back(d);
    }
    if (inferred >= 0) shape[inferred] = deduce(c, in, shape, inferred);
    if (shape.is_static() && in.is_static())
      TD_CHECK(shape.element_count() == in.element_count(),
               "{} elements of shape {} do not fit shape {}, which has {}", in.element_count(), in, shape,
               shape.element_count());
    c.output(c.dtype(0), shape);
  }

  // The size that -1 stands for: known when the symbols on both sides cancel.
  static int64_t deduce(const InferContext& c, const Shape& in, const Shape& shape, int inferred) {
    SmallVector<int64_t, 8> symbols;
    int64_t total = 1, others = 1;
    for (int64_t d : in) {
      if (d < 0)
        symbols.push_back(d);
      else
        total *= d;
    }
    for (int i = 0; i < shape.rank(); ++i) {
      if (i == inferred) continue;
      if (shape[i] >= 0) {
        others *= shape[i];
        continue;
      }
      int64_t* found = std::find(symbols.begin(), symbols.end(), shape[i]);
      if (found == symbols.end()) return c.fresh_symbol();
      *found = symbols.back();
      symbols.pop_back();
    }
    if (symbols.size() == 1 && total == others) return symbols[0];
    if (!symbols.empty()) return c.fresh_symbol();
    if (others == 0) {
      TD_CHECK(total == 0, "{} elements of shape {} do not fit shape {}", total, in, shape);
      return 0;
    }
    TD_CHECK(total % others == 0, "{} elements of shape {} do not divide into shape {} with -1 free", total,
             in, shape_with_free(shape, inferred));
    return total / others;
  }
  static std::string shape_with_free(const Shape& shape, int inferred) {
    std::string text = "(";
    for (int i = 0; i < shape.rank(); ++i)
      text += (i ? ", " : "") + (i == inferred ? std::string("-1") : std::to_string(shape[i]));
    return text + (shape.rank() == 1 ? ",)" : ")");
  }

  static bool view(const InferContext&, const Attributes&, const View& in, const Shape& out,
                   ViewResult& result) {
    return reshape_strides(in, out, result.strides);
  }
  static Tensors gradient(const Gradient& g, const Attributes&) {
    return {reshape(g.dy(), g.x().shape()), {}};
  }
  static std::vector<Sample> samples() {
    const Tensor x({{1.f, 2.f, 3.f}, {4.f, 5.f, 6.f}});
    return {{{x, Tensor({3, 2}, DType::i64)}, {}},
            {{x, Tensor({-1}, DType::i64)}, {}},
            {{transpose(x), Tensor({6}, DType::i64)}, {}}};
  }
};

struct Flatten {
  static constexpr std::string_view name = "Flatten";
  static constexpr int since = 25;
  static constexpr uint32_t traits = moves_only;
  struct Attributes {
    int64_t axis = 1;
    static constexpr auto fields() { return std::tuple{field("axis", &Attributes::axis)}; }
  };
  static constexpr std::array<InputDef, 1> inputs{{{"input"}}};
  static void infer(InferContext& c, const Attributes& a) {
    const Shape& in = c.shape(0);
    const int rank = in.rank();
    TD_CHECK(a.axis >= -rank && a.axis <= rank, "axis {} is out of range for rank {}; expected {} to {}",
             a.axis, rank, -rank, rank);
    const int axis = static_cast<int>(a.axis < 0 ? a.axis + rank : a.axis);
    c.output(c.dtype(0), {joined(c, in, 0, axis), joined(c, in, axis, rank)});
  }
  // A product with one unknown factor among ones is that factor.
  static int64_t joined(const InferContext& c, const Shape& in, int begin, int end) {
    int64_t known = 1, symbol = 0;
    int symbols = 0;
    for (int i = begin; i < end; ++i) {
      if (in[i] == 0) return 0;
      if (in[i] > 0) {
        known *= in[i];
      } else {
        symbol = in[i];
        ++symbols;
      }
    }
    if (symbols == 0) return known;
    return symbols == 1 && known == 1 ? symbol : c.fresh_symbol();
  }
  static bool view(const InferContext&, const Attributes&, const View& in, const Shape& out,
                   ViewResult& result) {
    return reshape_strides(in, out, result.strides);
  }
  static Tensors gradient(const Gradient& g) { return {reshape(g.dy(), g.x().shape())}; }
  static std::vector<Sample> samples() {
    const Attributes zero{.axis = 0}, last{.axis = -1};
    const Tensor x({{{1.f, 2.f, 3.f}}, {{4.f, 5.f, 6.f}}});
    return {{{x}, {}},
            {{transpose(x)}, AttributeBox(attribute_type<Attributes>, &zero)},
            {{x}, AttributeBox(attribute_type<Attributes>, &last)},
            {{zeros({0, 2})}, {}},
            {{cast(x, DType::boolean)}, {}}};
  }
};

struct Transpose {
  static constexpr std::string_view name = "Transpose";
  static constexpr int since = 25;
  static constexpr uint32_t traits = moves_only | permutes;
  struct Attributes {
    Dims perm;
    static constexpr auto fields() { return std::tuple{field("perm", &Attributes::perm)}; }
  };
  static constexpr std::array<InputDef, 1> inputs{{{"data"}}};
  static Dims order(const Attributes& a, int rank) {
    if (!a.perm.empty()) return a.perm;
    Dims reversed;
    for (int i = rank - 1; i >= 0; --i) reversed.push_back(i);
    return reversed;
  }
  static void infer(InferContext& c, const Attributes& a) {
    const Shape& in = c.shape(0);
    const Dims perm = order(a, in.rank());
    bool seen[max_rank] = {};
    bool valid = perm.size() == in.rank();
    for (int i = 0; valid && i < perm.size(); ++i) {
      valid = perm[i] >= 0 && perm[i] < in.rank() && !seen[perm[i]];
      if (valid) seen[perm[i]] = true;
    }
    TD_CHECK(valid, "{} is not a permutation of the {} dimensions of shape {}", perm, in.rank(), in);
    Shape shape;
    for (int64_t p : perm) shape.push_back(in[static_cast<int>(p)]);
    c.output(c.dtype(0), shape);
  }
  static bool view(const InferContext&, const Attributes& a, const View& in, const Shape&,
                   ViewResult& result) {
    for (int64_t p : order(a, in.shape.rank())) result.strides.push_back(in.strides[static_cast<int>(p)]);
    return true;
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    const Dims perm = order(a, g.x().rank());
    Dims inverse = Dims::filled(perm.size(), 0);
    for (int i = 0; i < perm.size(); ++i) inverse[static_cast<int>(perm[i])] = i;
    return {transpose(g.dy(), inverse)};
  }
  static std::vector<Sample> samples() {
    const Attributes p{.perm = {2, 0, 1}};
    return {{{Tensor({{1.f, 2.f, 3.f}, {4.f, 5.f, 6.f}})}, {}},
            {{Tensor({{{1.f, 2.f, 3.f}}, {{4.f, 5.f, 6.f}}})}, AttributeBox(attribute_type<Attributes>, &p)}};
  }
};

struct Expand {
  static constexpr std::string_view name = "Expand";
  static constexpr int since = 13;
  static constexpr uint32_t traits = moves_only | broadcasts;
  static constexpr std::array<InputDef, 2> inputs{{{"input"}, {"shape", types::i64, 1, InputDef::parameter}}};
  static void infer(InferContext& c) {
    Integers sizes;
    if (!c.constant(1, sizes)) {
      TD_CHECK(c.shape(1).rank() == 1 && c.shape(1)[0] >= 0,
               "the shape's length must be known while tracing");
      Shape unknown;
      for (int64_t i = 0; i < std::max<int64_t>(c.shape(1)[0], c.rank(0)); ++i)
        unknown.push_back(c.fresh_symbol());
      c.output(c.dtype(0), unknown);
      return;
    }
    Shape target;
    for (int64_t d : sizes) {
      TD_CHECK(d >= 0 || is_symbol(d), "size {} is negative", d);
      target.push_back(d);
    }
    c.output(c.dtype(0), broadcast_shapes(c.shape(0), target, &c));
  }
  static bool view(const InferContext&, const NoAttributes&, const View& in, const Shape& out,
                   ViewResult& result) {
    result.strides = Dims::filled(out.rank(), 0);
    const int lead = out.rank() - in.shape.rank();
    for (int i = 0; i < in.shape.rank(); ++i)
      result.strides[lead + i] = in.shape[i] == 1 && out[lead + i] != 1 ? 0 : in.strides[i];
    return true;
  }
  static Tensors gradient(const Gradient& g) { return {sum_to(g.dy(), g.x().shape()), {}}; }
  static std::vector<Sample> samples() {
    return {{{Tensor({{1.f}, {2.f}}), Tensor({2, 3}, DType::i64)}, {}},
            {{Tensor({1.f, 2.f, 3.f}), Tensor({2, 1}, DType::i64)}, {}}};
  }
};

struct ShapeOp : NotDifferentiable {
  static constexpr std::string_view name = "Shape";
  static constexpr int since = 25;
  struct Attributes {
    int64_t start = 0, end = INT64_MAX;
    static constexpr auto fields() {
      return std::tuple{field("start", &Attributes::start), field("end", &Attributes::end)};
    }
  };
  static constexpr std::array<InputDef, 1> inputs{{{"data"}}};
  static constexpr uint32_t traits = strided | shape_only | keeps_symbols;
  static std::pair<int64_t, int64_t> range(const Attributes& a, int64_t rank) {
    const auto clamp = [&](int64_t i) { return std::clamp<int64_t>(i < 0 ? i + rank : i, 0, rank); };
    const int64_t start = clamp(a.start), end = clamp(a.end);
    return {start, std::max(start, end)};
  }
  static void infer(InferContext& c, const Attributes& a) {
    const auto [start, end] = range(a, c.rank(0));
    c.output(DType::i64, {end - start});
  }
  static void kernel(const KernelContext& k, const Attributes& a) {
    const Shape& shape = k.inputs[0].shape;
    const auto [start, end] = range(a, shape.rank());
    for (int64_t i = start; i < end; ++i) k.out<int64_t>(0)[i - start] = shape[static_cast<int>(i)];
  }
  static std::vector<Sample> samples() {
    const Attributes last{.start = -1};
    return {{{Tensor({{1.f, 2.f}})}, {}},
            {{Tensor({{1.f, 2.f}})}, AttributeBox(attribute_type<Attributes>, &last)}};
  }
};

struct Concat {
  static constexpr std::string_view name = "Concat";
  static constexpr int since = 13;
  static constexpr uint32_t traits = moves_only | associative;
  struct Attributes {
    int64_t axis = 0;
    static constexpr auto fields() { return std::tuple{field("axis", &Attributes::axis)}; }
  };
  static constexpr std::array<InputDef, 1> inputs{{{"inputs", types::all, 0, InputDef::variadic}}};
  static void infer(InferContext& c, const Attributes& a) {
    TD_CHECK(c.input_count() > 0, "there is nothing to join");
    Shape shape = c.shape(0);
    const int axis = InferContext::normalize_axis(a.axis, shape.rank());
    bool known = shape[axis] >= 0;
    for (int i = 1; i < c.input_count(); ++i) {
      const Shape& s = c.shape(i);
      bool fits = s.rank() == shape.rank();
      for (int d = 0; fits && d < s.rank(); ++d) {
        if (d == axis) continue;
        fits = s[d] == shape[d] || s[d] < 0 || shape[d] < 0;
        if (shape[d] < 0) shape[d] = s[d];
      }
      TD_CHECK(fits, "shapes {} and {} differ outside axis {}", c.shape(0), s, axis);
      known = known && s[axis] >= 0;
      shape[axis] += s[axis];
    }
    if (!known) shape[axis] = c.input_count() == 1 ? c.shape(0)[axis] : c.fresh_symbol();
    c.output(c.dtype(0), shape);
  }
  static void kernel(const KernelContext& k, const Attributes& a) {
    const View& y = k.outputs[0];
    const int axis = InferContext::normalize_axis(a.axis, y.shape.rank());
    int64_t outer = 1;
    for (int i = 0; i < axis; ++i) outer *= y.shape[i];
    auto* to = static_cast<std::byte*>(y.data);
    SmallVector<size_t, 8> chunk;
    for (const View& v : k.inputs)
      chunk.push_back(outer == 0 ? 0
                                 : static_cast<size_t>(v.shape.element_count() / outer) * size_of(v.dtype));
    for (int64_t o = 0; o < outer; ++o)
      for (int i = 0; i < chunk.size(); ++i) {
        if (chunk[i] > 0)
          std::memcpy(to,
                      static_cast<const std::byte*>(k.inputs[static_cast<size_t>(i)].data) +
                          static_cast<size_t>(o) * chunk[i],
                      chunk[i]);
        to += chunk[i];
      }
  }
  static Tensors gradient(const Gradient& g, const Attributes& a);
  static std::vector<Sample> samples() {
    const Attributes one{.axis = 1};
    const Tensor x({{1.f, 2.f}, {3.f, 4.f}}), y({{5.f}, {6.f}});
    return {{{x, x}, {}}, {{x, y, x}, AttributeBox(attribute_type<Attributes>, &one)}};
  }
};

/// Entries start .. start+size of one axis: the gradient of Concat, and what ranges lower to.
struct Narrow {
  static constexpr std::string_view name = "Narrow", domain = "ai.tandem";
  static constexpr uint32_t traits = moves_only;
  struct Attributes {
    int64_t axis = 0, part = 0;
    static constexpr auto fields() {
      return std::tuple{field("axis", &Attributes::axis), field("part", &Attributes::part)};
    }
  };
  // The joined tensor, then the parts it was joined from: part `part` is cut out.
  static constexpr std::array<InputDef, 2> inputs{
      {{"whole"}, {"parts", types::all, 1, InputDef::variadic | InputDef::no_gradient}}};
  static void infer(InferContext& c, const Attributes& a) {
    c.output(c.dtype(0), c.shape(static_cast<int>(a.part) + 1));
  }
  static bool view(const InferContext& c, const Attributes& a, const View& in, const Shape&,
                   ViewResult& result) {
    const int axis = InferContext::normalize_axis(a.axis, in.shape.rank());
    result.strides = in.strides;
    for (int i = 0; i < a.part; ++i) result.offset += c.shape(i + 1)[axis] * in.strides[axis];
    return true;
  }
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    const int axis = InferContext::normalize_axis(a.axis, in[0].rank());
    const auto size = [&](int64_t part) {
      return shape_of(in[static_cast<size_t>(part) + 1], axis, axis + 1);
    };
    Tensor start = Tensor({0}, DType::i64);
    for (int64_t i = 0; i < a.part; ++i) start = start + size(i);
    return {slice(in[0], start, start + size(a.part), {axis})};
  }
  static Tensors gradient(const Gradient& g, const Attributes& a);
  static std::vector<Sample> samples() {
    const Attributes second{.axis = 1, .part = 1};
    return {{{Tensor({{1.f, 2.f, 3.f}}), Tensor({{0.f}}), Tensor({{0.f, 0.f}})},
             AttributeBox(attribute_type<Attributes>, &second)}};
  }
};

Tensors Concat::gradient(const Gradient& g, const Attributes& a) {
  const Tensor dy = g.dy();
  Tensors result;
  for (int i = 0; i < g.input_count(); ++i) {
    if (!g.needs(i)) {
      result.push_back({});
      continue;
    }
    std::vector<Operand> operands{dy};
    for (const Tensor& x : g.inputs()) operands.emplace_back(x);
    std::vector<const Operand*> list;
    for (const Operand& o : operands) list.push_back(&o);
    result.push_back(dispatch_list<Narrow>({.axis = a.axis, .part = i}, list));
  }
  return result;
}

Tensors Narrow::gradient(const Gradient& g, const Attributes& a) {
  std::vector<Tensor> parts;
  for (int i = 1; i < g.input_count(); ++i) parts.push_back(i - 1 == a.part ? g.dy() : zeros_like(g.x(i)));
  Tensors result{concat(parts, a.axis)};
  result.resize(g.input_count());
  return result;
}

constexpr const OpDef* shape_table[] = {&op_def<Identity>,  &op_def<Reshape>, &op_def<Flatten>,
                                        &op_def<Transpose>, &op_def<Expand>,  &op_def<ShapeOp>,
                                        &op_def<Concat>,    &op_def<Narrow>};

}  // namespace

std::span<const OpDef* const> shape_ops() { return shape_table; }

Tensor identity(const Operand& x) { return dispatch<Identity>({}, x); }
Tensor reshape(const Operand& x, const Operand& shape) {
  // As everywhere but in ONNX files, a zero means a size of zero.
  return dispatch<Reshape>({.allowzero = true}, x, shape);
}
Tensor flatten(const Operand& x, int64_t axis) { return dispatch<Flatten>({axis}, x); }
Tensor transpose(const Operand& x, const Dims& permutation) { return dispatch<Transpose>({permutation}, x); }
Tensor expand(const Operand& x, const Operand& shape) { return dispatch<Expand>({}, x, shape); }
Tensor shape_of(const Operand& x, int64_t start, int64_t end) { return dispatch<ShapeOp>({start, end}, x); }

Tensor concat(const std::vector<Tensor>& parts, int64_t axis, Location where) {
  SmallVector<Operand, 8> operands;
  for (const Tensor& t : parts) operands.push_back(Operand(t, where));
  SmallVector<const Operand*, 8> list;
  for (const Operand& o : operands) list.push_back(&o);
  return dispatch_list<Concat>({axis}, list);
}

}  // namespace tandem
