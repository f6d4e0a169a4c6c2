// Einsum: sums of products by Einstein's convention, as transpositions, matrix products and sums.

#include <algorithm>
#include <cctype>

#include "ops/dispatch.h"
#include "ops/elements.h"
#include "ops/families.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/indexing.h"
#include "tandem/ops/linear.h"
#include "tandem/ops/math.h"
#include "tandem/ops/reduce.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

/// One label a dimension: letters, and digits for the dimensions of an ellipsis, '0' for its last.
using Labels = std::string;

bool contains(const Labels& labels, char c) { return labels.find(c) != Labels::npos; }

/// The labels of an equation, with every ellipsis spelled out.
struct Equation {
  std::vector<Labels> terms;
  Labels result;
};

/// One term of the text; `rank` is its operand's, or -1 for the result.
Labels parse_term(std::string_view term, int rank, int ellipsis_rank) {
  Labels labels;
  bool has_ellipsis = false;
  const size_t dots = term.find("...");
  const int letters = static_cast<int>(
      std::count_if(term.begin(), term.end(), [](unsigned char c) { return std::isalpha(c); }));
  for (size_t i = 0; i < term.size(); ++i) {
    const char c = term[i];
    if (i == dots) {
      const int count = rank < 0 ? ellipsis_rank : rank - letters;
      for (int k = count - 1; k >= 0; --k) labels += static_cast<char>('0' + k);
      has_ellipsis = true;
      i += 2;
    } else {
      TD_CHECK(std::isalpha(static_cast<unsigned char>(c)),
               "the equation's term \"{}\" holds '{}'; allowed are letters, \"...\" and spaces", term, c);
      labels += c;
    }
  }
  TD_CHECK(rank < 0 || (has_ellipsis ? letters <= rank : letters == rank),
           "the equation's term \"{}\" has {} labels, but its operand has {} dimensions", term, letters,
           rank);
  return labels;
}

Equation parse(const std::string& text, std::span<const int> ranks) {
  std::string plain;
  for (char c : text)
    if (!std::isspace(static_cast<unsigned char>(c))) plain += c;
  const size_t arrow = plain.find("->");
  const std::string left = plain.substr(0, arrow);
  Equation e;
  int ellipsis_rank = 0;
  size_t begin = 0;
  for (;;) {
    const size_t comma = left.find(',', begin);
    const std::string term = left.substr(begin, comma == std::string::npos ? comma : comma - begin);
    TD_CHECK(e.terms.size() < ranks.size(), "the equation \"{}\" has more terms than the {} operands", text,
             ranks.size());
    e.terms.push_back(parse_term(term, ranks[e.terms.size()], 0));
    for (char c : e.terms.back())
      if (std::isdigit(static_cast<unsigned char>(c))) ellipsis_rank = std::max(ellipsis_rank, c - '0' + 1);
    if (comma == std::string::npos) break;
    begin = comma + 1;
  }
  TD_CHECK(e.terms.size() == ranks.size(), "the equation \"{}\" has {} terms for {} operands", text,
           e.terms.size(), ranks.size());
  Labels all;
  for (const Labels& term : e.terms) all += term;
  if (arrow != std::string::npos) {
    e.result = parse_term(std::string_view(plain).substr(arrow + 2), -1, ellipsis_rank);
    for (size_t i = 0; i < e.result.size(); ++i) {
      TD_CHECK(contains(all, e.result[i]), "the result's label '{}' is in no operand's term", e.result[i]);
      TD_CHECK(e.result.find(e.result[i], i + 1) == Labels::npos, "the result's label '{}' occurs twice",
               e.result[i]);
    }
  } else {
    // Without a result: the ellipsis, then the labels that occur once, in alphabetical order.
    e.result = parse_term("...", -1, ellipsis_rank);
    for (int c = 'A'; c <= 'z'; ++c)
      if (std::isalpha(c) && std::count(all.begin(), all.end(), static_cast<char>(c)) == 1)
        e.result += static_cast<char>(c);
  }
  return e;
}

/// A factor with a label for each of its dimensions.
struct Factor {
  Tensor value;
  Labels labels;
};

/// The dimensions in the order of `wanted`, which holds each of the factor's labels once.
Tensor ordered(const Factor& f, const Labels& wanted) {
  Dims order;
  for (char c : wanted) order.push_back(static_cast<int64_t>(f.labels.find(c)));
  return f.labels == wanted ? f.value : transpose(f.value, order);
}

/// Sums over the labels that are not in `kept`.
Factor summed(const Factor& f, const Labels& kept) {
  std::vector<int64_t> axes;
  Labels rest;
  for (size_t i = 0; i < f.labels.size(); ++i) {
    if (contains(kept, f.labels[i]))
      rest += f.labels[i];
    else
      axes.push_back(static_cast<int64_t>(i));
  }
  return axes.empty() ? f : Factor{reduce_sum(f.value, axes), rest};
}

/// One dimension for a label that occurs twice: its diagonal.
Factor without_repeats(Factor f) {
  for (size_t i = 0; i < f.labels.size(); ++i)
    for (size_t k = f.labels.find(f.labels[i], i + 1); k != Labels::npos;
         k = f.labels.find(f.labels[i], i + 1)) {
      // The two become the last dimensions, then one, whose diagonal is every (n + 1)-th entry.
      Dims order;
      Labels labels;
      for (size_t d = 0; d < f.labels.size(); ++d)
        if (d != i && d != k) {
          order.push_back(static_cast<int64_t>(d));
          labels += f.labels[d];
        }
      order.push_back(static_cast<int64_t>(i));
      order.push_back(static_cast<int64_t>(k));
      const Tensor moved = transpose(f.value, order);
      const int last = moved.rank() - 1;
      Shape flat = moved.shape().codes();
      flat.resize(last);
      flat[last - 1] = -1;
      if (moved.shape().codes().element_count() == 0)
        flat[last - 1] = moved.shape().codes()[last - 1] * moved.shape().codes()[last];
      const Tensor size = reshape(shape_of(moved, last), Dims());
      const Tensor diagonal = arange(0, size) * (size + 1);
      f = {gather(reshape(moved, flat), diagonal, -1), labels + f.labels[i]};
      i = 0;
    }
  return f;
}

/// Dimensions of size 1 whose label has another size elsewhere are dropped: they repeat.
Factor without_ones(const Factor& f, const std::vector<Factor>& all) {
  std::vector<int64_t> axes;
  Labels rest;
  for (size_t i = 0; i < f.labels.size(); ++i) {
    bool repeats = false;
    if (f.value.shape().codes()[static_cast<int>(i)] == 1)
      for (const Factor& other : all) {
        const size_t k = other.labels.find(f.labels[i]);
        repeats = repeats || (k != Labels::npos && other.value.shape().codes()[static_cast<int>(k)] != 1);
      }
    if (repeats)
      axes.push_back(static_cast<int64_t>(i));
    else
      rest += f.labels[i];
  }
  return axes.empty() ? f : Factor{squeeze(f.value, axes), rest};
}

/// The sizes [begin, end) multiplied, as entries of a shape operand; known sizes stay numbers.
Tensor size_between(const Tensor& x, int begin, int end) {
  return reduce_prod(shape_of(x, begin, end), nullptr, true);
}

/// x with its dimensions in groups of these counts, each group one dimension.
Tensor grouped(const Tensor& x, std::initializer_list<size_t> single, std::initializer_list<size_t> counts) {
  Shape shape;
  std::vector<Tensor> sizes;
  int at = 0;
  for (size_t n : single)
    for (size_t i = 0; i < n; ++i) {
      shape.push_back(x.shape().codes()[at]);
      sizes.push_back(shape_of(x, at, at + 1));
      ++at;
    }
  bool known = true;
  for (size_t n : counts) {
    const int end = at + static_cast<int>(n);
    Shape group;
    for (int i = at; i < end; ++i) group.push_back(x.shape().codes()[i]);
    const int64_t size = n == 1 ? group[0] : group.element_count();
    known = known && (n == 1 || size >= 0);
    shape.push_back(size);
    sizes.push_back(n == 0 ? Tensor({1}, DType::i64) : size_between(x, at, end));
    at = end;
  }
  return known ? reshape(x, shape) : reshape(x, concat(sizes, 0));
}

/// The product of two factors, summed over the labels that are not in `kept`.
Factor product_of(const Factor& a, const Factor& b, const Labels& kept) {
  Labels batch, left, right, inner;
  for (char c : a.labels) (!contains(b.labels, c) ? left : contains(kept, c) ? batch : inner) += c;
  for (char c : b.labels)
    if (!contains(a.labels, c)) right += c;
  const Labels labels = batch + left + right;
  if (inner.empty()) {
    Tensor x = ordered(a, batch + left), y = ordered(b, batch + right);
    std::vector<int64_t> axes;
    for (size_t i = 0; i < right.size(); ++i)
      axes.push_back(static_cast<int64_t>(batch.size() + left.size() + i));
    if (!axes.empty()) x = unsqueeze(x, axes);
    axes.clear();
    for (size_t i = 0; i < left.size(); ++i) axes.push_back(static_cast<int64_t>(batch.size() + i));
    if (!axes.empty()) y = unsqueeze(y, axes);
    return {x * y, labels};
  }
  const Tensor x = ordered(a, batch + left + inner), y = ordered(b, batch + inner + right);
  const Tensor z = matmul(grouped(x, {batch.size()}, {left.size(), inner.size()}),
                          grouped(y, {batch.size()}, {inner.size(), right.size()}));
  Shape shape;
  for (size_t i = 0; i < batch.size() + left.size(); ++i)
    shape.push_back(x.shape().codes()[static_cast<int>(i)]);
  for (size_t i = 0; i < right.size(); ++i)
    shape.push_back(y.shape().codes()[static_cast<int>(batch.size() + inner.size() + i)]);
  return {reshape(z, shape), labels};
}

struct Einsum : Composite {
  static constexpr std::string_view name = "Einsum";
  static constexpr int since = 28;
  struct Attributes {
    std::string equation;
    static constexpr auto fields() { return std::tuple{field("equation", &Attributes::equation)}; }
  };
  static constexpr std::array<InputDef, 1> inputs{{{"Inputs", types::numeric, 0, InputDef::variadic}}};

  static void infer(InferContext& c, const Attributes& a) {
    TD_CHECK(c.input_count() > 0, "there is no operand");
    std::vector<int> ranks;
    for (int i = 0; i < c.input_count(); ++i) ranks.push_back(c.rank(i));
    const Equation e = parse(a.equation, ranks);
    int64_t sizes[128];
    std::fill(std::begin(sizes), std::end(sizes), 1);
    for (int i = 0; i < c.input_count(); ++i)
      for (int d = 0; d < c.rank(i); ++d) {
        const Labels& term = e.terms[static_cast<size_t>(i)];
        const char label = term[static_cast<size_t>(d)];
        const auto first = static_cast<int>(term.find(label));
        const int64_t twin = c.shape(i)[first];
        TD_CHECK(twin == c.shape(i)[d] || twin < 0 || c.shape(i)[d] < 0,
                 "label '{}' has sizes {} and {} in one operand", label, twin, c.shape(i)[d]);
        int64_t& size = sizes[static_cast<size_t>(label)];
        const int64_t own = c.shape(i)[d];
        if (size == 1 || (size < 0 && own > 1)) {
          size = own;
        } else {
          const std::string which = std::isalpha(static_cast<unsigned char>(label))
                                        ? fmt::format("label '{}'", label)
                                        : "a dimension of the ellipsis";
          TD_CHECK(own == 1 || own == size || own < 0 || size < 0, "{} has sizes {} and {}", which, size,
                   own);
        }
      }
    Shape shape;
    for (char label : e.result) shape.push_back(sizes[static_cast<size_t>(label)]);
    c.output(c.dtype(0), shape);
  }

  // From left to right; each label is summed over as soon as no later operand has it.
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    std::vector<int> ranks;
    for (const Tensor& x : in) ranks.push_back(x.rank());
    const Equation e = parse(a.equation, ranks);
    std::vector<Factor> factors;
    for (size_t i = 0; i < in.size(); ++i) factors.push_back(without_repeats({in[i], e.terms[i]}));
    const std::vector<Factor> whole = factors;
    for (Factor& f : factors) f = without_ones(f, whole);
    const auto needed_after = [&](size_t i) {
      Labels needed = e.result;
      for (size_t k = i + 1; k < factors.size(); ++k) needed += factors[k].labels;
      return needed;
    };
    Factor total = summed(factors[0], needed_after(0));
    for (size_t i = 1; i < factors.size(); ++i) {
      const Labels later = needed_after(i);
      total = product_of(total, summed(factors[i], later + total.labels), later);
      total = summed(total, later);
    }
    return {ordered(total, e.result)};
  }

  static std::vector<Sample> samples() {
    const auto ramp = [](const Shape& shape, int seed) {
      std::vector<float> v(static_cast<size_t>(shape.element_count()));
      for (size_t i = 0; i < v.size(); ++i)
        v[i] = 0.5f * static_cast<float>((static_cast<int>(i) * 7 + seed * 3) % 11) - 2;
      return from_vector(std::move(v), shape);
    };
    const auto sample = [](const char* equation, std::vector<Tensor> operands) {
      return Sample{std::move(operands), boxed(Attributes{equation})};
    };
    const Tensor m = ramp({2, 3}, 0), n = ramp({3, 4}, 1), s = ramp({3, 3}, 2), v = ramp({3}, 3);
    return {sample("ij,jk->ik", {m, n}),
            sample("ij,jk", {m, n}),
            sample(" i j -> j i ", {m}),
            sample("ij->", {m}),
            sample("ij->i", {m}),
            sample("ii->i", {s}),
            sample("ii", {s}),
            sample("iij->ji", {ramp({2, 2, 3}, 4)}),
            sample("i,i", {v, ramp({3}, 5)}),
            sample("i,j->ij", {v, ramp({2}, 6)}),
            sample("bij,bjk->bik", {ramp({2, 2, 3}, 7), ramp({2, 3, 2}, 8)}),
            sample("...ij,...jk->...ik", {ramp({2, 2, 3}, 9), n}),
            sample("...i,...i", {ramp({2, 1, 3}, 10), ramp({4, 3}, 11)}),
            sample("abcd,cdb->a", {ramp({2, 3, 2, 2}, 12), ramp({2, 2, 3}, 13)}),
            sample("abcd,efcd->aebf", {ramp({2, 1, 2, 2}, 14), ramp({3, 2, 2, 2}, 15)}),
            sample("ij,jk,kl->il", {m, n, ramp({4, 2}, 16)}),
            sample("ij,ik->jk", {m, ramp({1, 2}, 17)}),
            sample("...->...", {m}),
            sample("->", {Tensor(2.f)}),
            sample(",i->i", {Tensor(2.f), v}),
            sample("ij,jk->ik", {zeros({2, 0}), zeros({0, 3})})};
  }
};

constexpr const OpDef* einsum_table[] = {&op_def<Einsum>};

}  // namespace

std::span<const OpDef* const> einsum_ops() { return einsum_table; }

Tensor einsum(const std::string& equation, const std::vector<Tensor>& operands, Location where) {
  std::vector<Operand> values;
  for (const Tensor& t : operands) values.emplace_back(t, where);
  std::vector<const Operand*> list;
  for (const Operand& o : values) list.push_back(&o);
  return dispatch_list<Einsum>({equation}, list);
}

}  // namespace tandem
