#pragma once
// Small graphs for tests of the compiler, written as expressions: "Sub(x, Neg(y))", "Transpose{perm=[1,
// 0]}(x)", "Reshape{allowzero=1}(x, [2, 3])". Names are inputs; numbers are scalar constants of the first
// input's dtype; lists are int64 constants. Several expressions, separated by "; ", are several results.

#include <gtest/gtest.h>

#include <cctype>
#include <cmath>
#include <cstring>
#include <map>
#include <random>

#include "graph/inference.h"
#include "graph/text.h"
#include "ops/dispatch.h"
#include "tests/same_bits.h"

namespace tandem::testing {

/// Reads an expression into a graph whose inputs have the specs given, "x: float32(2, 3), y: int64(?0)".
class ExpressionReader {
 public:
  ExpressionReader(std::string_view inputs, std::string_view text) : text_(text) {
    graph = parse_graph("graph(" + std::string(inputs) + ") { return }");
    for (int32_t id : graph.inputs) names_[graph.node(id).name] = {id, 0};
    dtype_ = graph.inputs.empty() ? DType::f32 : graph.node(graph.inputs[0]).outputs[0].dtype;
    GraphInference inference(graph);
    inference_ = &inference;
    do graph.outputs.push_back(expression());
    while (accept(';'));
    EXPECT_EQ(at_, text_.size()) << text_;
  }
  Graph graph;

 private:
  char peek() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool accept(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  std::string word() {
    peek();
    const size_t begin = at_;
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) || text_[at_] == '_'))
      ++at_;
    return std::string(text_.substr(begin, at_ - begin));
  }
  double number() {
    peek();
    char* end = nullptr;
    const std::string rest(text_.substr(at_));
    const double v = std::strtod(rest.c_str(), &end);
    at_ += static_cast<size_t>(end - rest.c_str());
    return v;
  }
  std::vector<int64_t> list() {
    std::vector<int64_t> values;
    while (!accept(']')) {
      values.push_back(static_cast<int64_t>(number()));
      accept(',');
    }
    return values;
  }
  ValueRef expression() {
    const char c = peek();
    if (accept('_')) return {};
    if (accept('[')) {
      std::vector<int64_t> values = list();
      const auto n = static_cast<int64_t>(values.size());
      return graph.add_constant(from_vector(std::move(values), {n}));
    }
    if (std::isdigit(static_cast<unsigned char>(c)) || c == '-')
      return graph.add_constant(to_tensor(Operand(number()), dtype_));
    const std::string name = word();
    if (name == "true" || name == "false") return graph.add_constant(Tensor(name == "true"));
    if (name == "nan") return graph.add_constant(to_tensor(Operand(std::nan("")), dtype_));
    if (name == "zeros" || name == "ones") {
      EXPECT_TRUE(accept('['));
      return graph.add_constant(full(Operand(list()), name == "ones" ? 1 : 0, dtype_));
    }
    if (names_.count(name)) return names_[name];
    const OpDef* op = find_op(name);
    EXPECT_NE(op, nullptr) << name << " in " << text_;
    AttributeDraft attributes(*op->attributes);
    if (accept('{')) {
      do {
        const std::string key = word();
        accept('=');
        DType d{};
        if (accept('['))
          attributes.set(key, list());
        else if (const size_t before = at_; parse_dtype(word(), d))
          attributes.set(key, d);
        else
          at_ = before, attributes.set(key, static_cast<int64_t>(number()));
      } while (accept(','));
      accept('}');
    }
    SmallVector<ValueRef, 4> inputs;
    EXPECT_TRUE(accept('(')) << text_;
    while (!accept(')')) {
      inputs.push_back(expression());
      accept(',');
    }
    const AttributeBox box = attributes.box();
    return {graph.add(*op, box, inputs, inference_->infer(*op, box.get(), inputs), {}), 0};
  }

  std::string_view text_;
  size_t at_ = 0;
  std::map<std::string, ValueRef> names_;
  GraphInference* inference_ = nullptr;
  DType dtype_;
};

inline Graph graph_of(std::string_view inputs, std::string_view expression) {
  return std::move(ExpressionReader(inputs, expression).graph);
}

/// The other way: what the graph's results are, as expressions.
inline std::string expression_of(const Graph& g, ValueRef v) {
  if (!v.present()) return "_";
  const Node& n = g.node(v.node);
  if (n.op->has(is_input)) return n.name;
  if (n.op->has(is_constant)) {
    // The constant's elements, as the graph's text has them.
    const std::string text = to_text(g, n);
    const size_t open = text.find('['), close = text.rfind(']');
    const Tensor t = g.constant(v);
    const std::string elements = text.substr(open + 1, close - open - 1);
    if (t.rank() == 0) return elements;
    if (t.rank() == 1) return '[' + elements + ']';
    return text.substr(text.find('=', text.find('{')) + 1, close - text.find('=', text.find('{')));
  }
  std::string text(n.op->name);
  const std::string line = to_text(g, n);
  const size_t open = line.find(" {"), close = line.find("} :");
  if (open != std::string::npos && close != std::string::npos) text += line.substr(open + 1, close - open);
  for (int i = 0; i < n.inputs.size(); ++i) text += (i > 0 ? ", " : "(") + expression_of(g, n.inputs[i]);
  return text + (n.inputs.empty() ? "()" : ")");
}
inline std::string expressions_of(const Graph& g) {
  std::string text;
  for (ValueRef v : g.outputs) text += (text.empty() ? "" : "; ") + expression_of(g, v);
  return text;
}

/// Bits that arithmetic may treat specially, then random ones.
inline Tensor special_tensor(const Spec& spec, std::mt19937_64& random) {
  Shape shape = spec.shape;
  for (int64_t& d : shape)
    if (d < 0) d = 2 + (d & 3);
  const Tensor t = detail::empty_tensor(spec.dtype, shape);
  auto* to = static_cast<std::byte*>(t.impl()->data);
  const size_t size = size_of(spec.dtype);
  for (int64_t i = 0; i < t.size(); ++i, to += size) {
    uint64_t bits = random();
    const auto fill = [&]<class T>(std::initializer_list<T> values) {
      const uint64_t pick = random() % (2 * values.size());
      if (pick < values.size()) {
        bits = 0;
        std::memcpy(&bits, values.begin() + pick, sizeof(T));
      }
    };
    const double inf = INFINITY, nan = std::nan("");
    switch (spec.dtype) {
      case DType::boolean:
        bits &= 1;
        break;
      case DType::f64:
        fill({0., -0., 1., -1., 2., 0.5, 3., -0.1, inf, -inf, nan, 5e-324, -5e-324, 2.2e-308, 1.7e308,
              -1.7e308, 1e300});
        break;
      case DType::f32:
        fill({0.f, -0.f, 1.f, -1.f, 2.f, 0.5f, 3.f, -0.1f, INFINITY, -INFINITY, std::nanf(""), 1e-45f,
              -1e-45f, 1.1e-38f, 3.4e38f, -3.4e38f, 1e30f});
        break;
      case DType::f16:
        fill({Half(0.f), Half(-0.f), Half(1.f), Half(-1.f), Half(2.f), Half(INFINITY), Half(-INFINITY),
              Half(std::nanf("")), Half(6e-8f), Half(65504.f), Half(-65504.f), Half(0.1f)});
        break;
      case DType::bf16:
        fill({BFloat16(0.f), BFloat16(-0.f), BFloat16(1.f), BFloat16(-1.f), BFloat16(2.f), BFloat16(INFINITY),
              BFloat16(-INFINITY), BFloat16(std::nanf("")), BFloat16(1e-40f), BFloat16(3e38f),
              BFloat16(0.1f)});
        break;
      default:
        fill({int64_t{0}, int64_t{1}, int64_t{-1}, int64_t{2}, int64_t{3}, INT64_MIN, INT64_MAX,
              int64_t{INT32_MIN}, int64_t{INT32_MAX}, int64_t{-128}, int64_t{127}, int64_t{255}});
        if (random() % 4 == 0) bits = uint64_t{1} << (8 * size - 1);
    }
    std::memcpy(to, &bits, size);
  }
  return t;
}

/// Both graphs give equal bits, or both fail, on inputs full of special numbers.
inline void expect_same_results(const Graph& before, const Graph& after, int runs = 8, uint64_t seed = 1) {
  std::mt19937_64 random(seed);
  for (int run = 0; run < runs; ++run) {
    std::vector<Tensor> inputs;
    for (int32_t id : before.inputs) inputs.push_back(special_tensor(before.node(id).outputs[0], random));
    const auto results = [&](const Graph& g) -> std::optional<std::vector<Tensor>> {
      try {
        return interpret(g, inputs);
      } catch (const Error& e) {
        return {};
      }
    };
    const auto x = results(before), y = results(after);
    ASSERT_EQ(x.has_value(), y.has_value()) << expressions_of(before) << " became " << expressions_of(after);
    if (!x) continue;
    for (size_t i = 0; i < x->size(); ++i)
      ASSERT_TRUE(same_bits_or_nans((*x)[i], (*y)[i]))
          << expressions_of(before) << " became " << expressions_of(after) << "\nfor " << to_string(inputs[0])
          << "\nwas " << to_string((*x)[i]) << "\nis " << to_string((*y)[i]);
  }
}

}  // namespace tandem::testing
