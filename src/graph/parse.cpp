// The parser of graphs' text form. The text may come from anywhere: every mistake in it is an error that
// names line and column, and nothing in it makes us allocate more than it is long, constants up to a limit
// apart.

#include <charconv>
#include <cmath>
#include <cstring>
#include <map>
#include <mutex>
#include <set>

#include "core/tensor_impl.h"
#include "graph/text.h"
#include "graph/verify.h"
#include "ops/variable_impl.h"

namespace tandem {

namespace {

// Locations point to text that lives as long as the program; the same path is kept once.
const char* kept_path(std::string_view path) {
  static std::mutex mutex;
  static std::set<std::string, std::less<>> paths;
  const std::lock_guard<std::mutex> lock(mutex);
  const auto found = paths.find(path);
  return (found != paths.end() ? found : paths.emplace(path).first)->c_str();
}

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
         c == '/';
}

class Parser {
 public:
  Parser(std::string_view text, const ParseOptions& options) : text_(text), options_(options) {}

  Graph graph() {
    expect_word("graph");
    expect('(');
    if (!accept(')')) {
      do input();
      while (accept(','));
      expect(')');
    }
    expect('{');
    while (peek() == '%') node();
    expect_word("return");
    if (peek() != '}') do
        graph_.outputs.push_back(reference());
      while (accept(','));
    expect('}');
    if (peek() != '\0') complain("the graph ends here, but there is more text");
    return std::move(graph_);
  }

 private:
  // ---- characters

  [[noreturn]] void complain_at(size_t at, const std::string& message) const {
    int line = 1, column = 1;
    for (size_t i = 0; i < at && i < text_.size(); ++i) {
      ++column;
      if (text_[i] == '\n') ++line, column = 1;
    }
    fail("graph text {}:{}: {}", line, column, message);
  }
  [[noreturn]] void complain(const std::string& message) const { complain_at(at_, message); }
  // What stands here, for messages.
  std::string seen() const {
    if (at_ >= text_.size()) return "the end of the text";
    size_t end = at_;
    while (end < text_.size() && end - at_ < 24 && is_name_char(text_[end])) ++end;
    const std::string_view s = text_.substr(at_, std::max<size_t>(end - at_, 1));
    const auto c = static_cast<unsigned char>(s[0]);
    return c < 0x20 || c >= 0x7f ? fmt::format("byte {:#04x}", c) : fmt::format("\"{}\"", s);
  }

  char peek() {
    for (;;) {
      while (at_ < text_.size() &&
             (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r'))
        ++at_;
      if (text_.substr(at_, 2) != "//") break;
      while (at_ < text_.size() && text_[at_] != '\n') ++at_;
    }
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool accept(char c) {
    if (peek() != c || at_ >= text_.size()) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) complain(fmt::format("expected \"{}\", found {}", c, seen()));
  }
  // A run of name characters, possibly empty.
  std::string_view word() {
    peek();
    const size_t begin = at_;
    while (at_ < text_.size() && is_name_char(text_[at_])) ++at_;
    return text_.substr(begin, at_ - begin);
  }
  void expect_word(std::string_view expected) {
    peek();
    const size_t begin = at_;
    if (word() == expected) return;
    at_ = begin;
    complain(fmt::format("expected \"{}\", found {}", expected, seen()));
  }

  std::string quoted() {
    expect('"');
    std::string s;
    for (;;) {
      if (at_ >= text_.size() || text_[at_] == '\n') complain("the quoted text does not end on its line");
      const char c = text_[at_++];
      if (c == '"') return s;
      if (c != '\\') {
        s += c;
        continue;
      }
      const char escape = at_ < text_.size() ? text_[at_++] : '\0';
      if (escape == '"' || escape == '\\') {
        s += escape;
      } else if (escape == 'x') {
        unsigned byte = 0;
        const char* from = text_.data() + at_;
        const char* end = text_.data() + std::min(at_ + 2, text_.size());
        if (end - from != 2 || std::from_chars(from, end, byte, 16).ptr != end)
          complain("\\x must be followed by two hexadecimal digits");
        s += static_cast<char>(byte);
        at_ += 2;
      } else {
        --at_;
        complain(R"(after \ only ", \ and x are known)");
      }
    }
  }
  std::string name() {
    if (peek() == '"') return quoted();
    const std::string_view s = word();
    if (s.empty()) complain(fmt::format("expected a name, found {}", seen()));
    return std::string(s);
  }

  // A token of a number: sign, digits, letters, point; "nan:0x7f".
  std::string_view number_token() {
    peek();
    const size_t begin = at_;
    if (at_ < text_.size() && (text_[at_] == '-' || text_[at_] == '+')) ++at_;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      const bool exponent_sign = (c == '-' || c == '+') && (text_[at_ - 1] == 'e' || text_[at_ - 1] == 'E');
      const bool nan_bits = c == ':' && text_.substr(begin, at_ - begin) == "nan";
      if (!is_name_char(c) && !exponent_sign && !nan_bits) break;
      ++at_;
    }
    if (at_ == begin) complain(fmt::format("expected a number, found {}", seen()));
    return text_.substr(begin, at_ - begin);
  }
  template <class T>
  T to_integer(std::string_view token) const {
    T v{};
    const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), v);
    if (error == std::errc::result_out_of_range)
      complain_at(begin_of(token), fmt::format("{} does not fit {}", token, name_of(dtype_of<T>)));
    if (error != std::errc() || end != token.data() + token.size())
      complain_at(begin_of(token), fmt::format("expected a whole number, found \"{}\"", token));
    return v;
  }
  // `usual` is the NaN that needs no bits; `quiet..` tells which bits of its width are NaNs.
  template <class T, class Bits>
  T to_float(std::string_view token, Bits usual) const {
    if (token == "nan") return std::bit_cast<T>(usual);
    T v{};
    const char* const last = token.data() + token.size();
    if (token.starts_with("nan:0x")) {
      Bits bits{};
      if (std::from_chars(token.data() + 6, last, bits, 16).ptr != last ||
          !std::isnan(std::bit_cast<T>(bits)))
        complain_at(begin_of(token), fmt::format("\"{}\" are not the bits of a NaN", token));
      return std::bit_cast<T>(bits);
    }
    const auto [end, error] = std::from_chars(token.data(), last, v);
    if (error == std::errc::result_out_of_range)
      complain_at(begin_of(token), fmt::format("{} does not fit {}", token, name_of(dtype_of<T>)));
    if (error != std::errc() || end != last)
      complain_at(begin_of(token), fmt::format("expected a number, found \"{}\"", token));
    return v;
  }
  template <class H>
  H to_half(std::string_view token, uint16_t usual) const {
    H h;
    if (token.starts_with("nan")) {
      h.bits = usual;
      const char* const last = token.data() + token.size();
      if (token.size() > 3 &&
          (!token.starts_with("nan:0x") || std::from_chars(token.data() + 6, last, h.bits, 16).ptr != last ||
           !std::isnan(static_cast<float>(h))))
        complain_at(begin_of(token), fmt::format("\"{}\" are not the bits of a NaN", token));
      return h;
    }
    return H(to_float<float>(token, 0x7fc00000u));
  }
  size_t begin_of(std::string_view token) const { return static_cast<size_t>(token.data() - text_.data()); }

  // ---- types and tensors

  DType dtype() {
    peek();
    const size_t begin = at_;
    const std::string_view s = word();
    DType d{};
    if (!parse_dtype(s, d)) {
      at_ = begin;
      complain(fmt::format("expected a dtype such as float32, found {}", seen()));
    }
    return d;
  }
  int64_t size() {
    if (!accept('?')) {
      const std::string_view token = number_token();
      const auto d = to_integer<int64_t>(token);
      if (d < 0) complain_at(begin_of(token), fmt::format("the size {} is negative", d));
      return d;
    }
    if (at_ >= text_.size() || !is_name_char(text_[at_])) return -1;  // unknown, and equal to no other
    return symbol();
  }
  // The number behind a question mark.
  int64_t symbol() {
    const std::string_view token = number_token();
    const auto n = to_integer<int64_t>(token);
    const int64_t d = n < 0 || n >= -symbol_base ? 0 : symbol_base - n;
    if (!is_symbol(d)) complain_at(begin_of(token), fmt::format("?{} is no symbol that a graph can have", n));
    graph_.next_symbol = std::min(graph_.next_symbol, d - 1);
    return d;
  }
  Shape shape() {
    expect('(');
    Shape s;
    while (!accept(')')) {
      peek();
      if (s.rank() == max_rank) complain(fmt::format("more than {} dimensions", max_rank));
      s.push_back(size());
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return s;
  }
  Spec spec() {
    Spec s;
    s.dtype = dtype();
    s.shape = shape();
    return s;
  }

  template <class T>
  void append(std::vector<std::byte>& bytes, T v) {
    const size_t n = bytes.size();
    bytes.resize(n + sizeof(T));
    std::memcpy(bytes.data() + n, &v, sizeof(T));
  }
  void element(DType d, std::vector<std::byte>& bytes) {
    const std::string_view token = number_token();
    switch (d) {
      case DType::boolean:
        if (token != "true" && token != "false")
          complain_at(begin_of(token), fmt::format("expected true or false, found \"{}\"", token));
        return append(bytes, static_cast<uint8_t>(token == "true"));
      case DType::u8:
        return append(bytes, to_integer<uint8_t>(token));
      case DType::i8:
        return append(bytes, to_integer<int8_t>(token));
      case DType::u16:
        return append(bytes, to_integer<uint16_t>(token));
      case DType::i16:
        return append(bytes, to_integer<int16_t>(token));
      case DType::u32:
        return append(bytes, to_integer<uint32_t>(token));
      case DType::i32:
        return append(bytes, to_integer<int32_t>(token));
      case DType::u64:
        return append(bytes, to_integer<uint64_t>(token));
      case DType::i64:
        return append(bytes, to_integer<int64_t>(token));
      case DType::f16:
        return append(bytes, to_half<Half>(token, 0x7e00));
      case DType::bf16:
        return append(bytes, to_half<BFloat16>(token, 0x7fc0));
      case DType::f32:
        return append(bytes, to_float<float>(token, 0x7fc00000u));
      case DType::f64:
        return append(bytes, to_float<double>(token, uint64_t{0x7ff8000000000000}));
    }
  }

  Tensor tensor(DType d) {
    const size_t begin = at_;
    const Shape s = shape();
    if (!s.is_static()) complain_at(begin, "a constant's sizes must all be numbers");
    int64_t count = s.element_count() == 0 ? 0 : 1, bytes_needed = 0;
    bool fits = true;
    if (count != 0)
      for (int64_t size : s) fits = fits && !__builtin_mul_overflow(count, size, &count);
    fits = fits && !__builtin_mul_overflow(count, static_cast<int64_t>(size_of(d)), &bytes_needed) &&
           bytes_needed <= options_.constant_bytes;
    if (!fits)
      complain_at(begin,
                  fmt::format("a constant of shape {} is larger than {} bytes", s, options_.constant_bytes));
    if (peek() == '<')
      complain(
          "this constant was elided when the text was written; print it with complete_constants to read it "
          "back");
    expect('[');
    std::vector<std::byte> bytes;
    int64_t seen_elements = 0;
    const size_t elements_begin = at_;
    while (!accept(']')) {
      if (seen_elements == 1 && text_.substr(at_, 3) == "...") {
        at_ += 3;
        expect(']');
        const std::vector<std::byte> one = bytes;
        bytes.resize(static_cast<size_t>(bytes_needed));
        for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = one[i % one.size()];
        seen_elements = count;
        break;
      }
      element(d, bytes);
      ++seen_elements;
      if (!accept(',')) {
        expect(']');
        break;
      }
      peek();
    }
    if (seen_elements != count)
      complain_at(elements_begin,
                  fmt::format("{} elements do not fill shape {}, which has {}", seen_elements, s, count));
    return detail::from_bytes(bytes.data(), d, static_cast<size_t>(count), s);
  }

  // ---- nodes

  Location location() {
    if (!accept('@')) return {};
    std::string path;
    if (at_ < text_.size() && text_[at_] == '"') {
      path = quoted();
    } else {
      const size_t begin = at_;
      const auto is_path_char = [](char c) { return is_name_char(c) || c == '+' || c == '-' || c == '~'; };
      while (at_ < text_.size() && is_path_char(text_[at_])) ++at_;
      path = text_.substr(begin, at_ - begin);
    }
    expect(':');
    const std::string_view token = number_token();
    return {kept_path(path), to_integer<int32_t>(token)};
  }

  void define(const std::string& name, size_t begin) {
    if (!values_.emplace(name, static_cast<int32_t>(graph_.nodes.size())).second)
      complain_at(begin, fmt::format("the name \"{}\" is defined twice", name));
  }

  void input() {
    peek();
    const size_t begin = at_;
    const std::string n = name();
    const std::string argument = peek() == '"' ? quoted() : n;
    expect(':');
    InputAttributes a;
    a.index = static_cast<int64_t>(graph_.inputs.size());
    a.name = argument;
    a.dtype = dtype();
    a.shape = shape();
    const Location where = location();
    define(n, begin);
    const Spec s{a.dtype, a.shape, {}};
    graph_.inputs.push_back(
        graph_.add(input_op(), AttributeBox(attribute_type<InputAttributes>, &a), {}, {&s, 1}, where, n));
  }

  ValueRef reference() {
    if (peek() == '_') {
      ++at_;
      return {};
    }
    const size_t begin = at_;
    expect('%');
    const std::string n = name();
    const auto found = values_.find(n);
    if (found == values_.end()) complain_at(begin, fmt::format("nothing above is called \"{}\"", n));
    ValueRef v{found->second, 0};
    const int count = graph_.node(v.node).outputs.size();
    if (at_ < text_.size() && text_[at_] == ':') {
      ++at_;
      v.output = to_integer<int32_t>(number_token());
    } else if (count > 1) {
      complain_at(begin, fmt::format("\"{0}\" has {1} outputs; write %{0}:0 or another", n, count));
    }
    if (v.output < 0 || v.output >= count)
      complain_at(begin, fmt::format("\"{}\" has {} outputs; there is no output {}", n, count, v.output));
    return v;
  }

  /// Integers, fractions or texts; its first entry says which.
  AttributeValue attribute_list() {
    std::vector<int64_t> integers;
    std::vector<double> fractions;
    std::vector<std::string> texts;
    while (!accept(']')) {
      const char c = peek();
      const size_t begin = at_;
      if (c == '[') complain("a list cannot hold lists");
      if (accept('?')) {
        integers.push_back(symbol());
      } else {
        const AttributeValue entry = attribute_value();
        if (const auto* i = std::get_if<int64_t>(&entry))
          integers.push_back(*i);
        else if (const auto* f = std::get_if<double>(&entry))
          fractions.push_back(*f);
        else if (const auto* s = std::get_if<std::string>(&entry))
          texts.push_back(*s);
        else
          complain_at(begin, "a list holds integers, fractions or texts");
      }
      if (!integers.empty() + !fractions.empty() + !texts.empty() != 1)
        complain_at(begin, "the entries of a list are of different kinds");
      if (!accept(',')) {
        expect(']');
        break;
      }
    }
    if (!fractions.empty()) return fractions;
    if (!texts.empty()) return texts;
    return integers;
  }

  AttributeValue attribute_value() {
    const char c = peek();
    if (c == '"') return quoted();
    if (accept('[')) return attribute_list();
    const size_t begin = at_;
    const std::string_view token = number_token();
    DType d{};
    if (parse_dtype(token, d)) {
      if (peek() == '(') return tensor(d);
      return d;
    }
    if (token == "none") return Tensor();
    const bool is_nan_or_inf = token.find('n') != std::string_view::npos;
    if (!is_nan_or_inf && token.find_first_of(".ef") == std::string_view::npos)
      return to_integer<int64_t>(token);
    at_ = begin + token.size();
    if (!is_nan_or_inf && token.back() == 'f')
      return static_cast<double>(to_float<float>(token.substr(0, token.size() - 1), 0x7fc00000u));
    return to_float<double>(token, uint64_t{0x7ff8000000000000});
  }

  AttributeBox attributes(const OpDef& op, size_t op_begin) {
    AttributeDraft draft(*op.attributes);
    std::string variable;
    std::set<std::string, std::less<>> seen_names;
    if (accept('{')) {
      do {
        peek();
        const size_t begin = at_;
        const std::string n = name();
        expect('=');
        peek();
        const size_t value_begin = at_;
        const AttributeValue value = attribute_value();
        if (!seen_names.insert(n).second) complain_at(begin, fmt::format("the attribute {} is set twice", n));
        try {
          if (!draft.set(n, value)) complain_at(begin, fmt::format("{} has no attribute {}", op.name, n));
        } catch (const Error& e) {
          if (e.message().starts_with("graph text")) throw;
          complain_at(value_begin, fmt::format("{} of {}: {}", n, op.name, e.message()));
        }
      } while (accept(','));
      expect('}');
    }
    if (!op.attributes->opaque) return draft.box();
    if (op.attributes != &attribute_type<VariableAttributes>)
      complain_at(
          op_begin,
          fmt::format("{} holds more than text can say, such as code; it cannot be read back", op.name));
    const std::string& name = static_cast<const VariableAttributes*>(draft.get())->label.name();
    const VariableAttributes a(options_.variables ? options_.variables(name) : nullptr);
    if (!a.variable)
      complain_at(
          op_begin,
          options_.variables
              ? fmt::format("the variable \"{}\" is not known", name)
              : fmt::format("the text uses the variable \"{}\"; reading it needs a resolver of names", name));
    return AttributeBox(*op.attributes, &a);
  }

  void node() {
    const size_t begin = at_;
    expect('%');
    const std::string n = name();
    expect('=');
    peek();
    const size_t op_begin = at_;
    const std::string op_name = name();
    const OpDef* op = find_op(op_name);
    if (!op) complain_at(op_begin, fmt::format("no op is called \"{}\"", op_name));
    if (op->has(is_input)) complain_at(op_begin, "inputs stand in the head of the graph");
    SmallVector<ValueRef, 4> inputs;
    if (accept('(')) {
      if (!accept(')')) {
        do inputs.push_back(reference());
        while (accept(','));
        expect(')');
      }
    }
    AttributeBox box = attributes(*op, op_begin);
    SmallVector<Spec, 2> outputs;
    if (accept(':')) do
        outputs.push_back(spec());
      while (accept(','));
    const Location where = location();
    define(n, begin);
    graph_.add(*op, std::move(box), inputs, outputs, where, n);
  }

  std::string_view text_;
  const ParseOptions& options_;
  size_t at_ = 0;
  Graph graph_;
  std::map<std::string, int32_t, std::less<>> values_;
};

}  // namespace

Graph parse_graph(std::string_view text, const ParseOptions& options) {
  Graph graph = Parser(text, options).graph();
  verify(graph, "graph text");
  return graph;
}

}  // namespace tandem
