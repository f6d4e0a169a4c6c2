// Tensors as text, in NumPy's layout.

#include <charconv>
#include <cmath>
#include <cstring>
#include <ostream>

#include "core/check.h"
#include "core/tensor_impl.h"

namespace tandem {

namespace {

using detail::TensorImpl;

constexpr int precision = 8, threshold = 1000, edge_items = 3, line_width = 75;

template <class T>
T load(const TensorImpl& t, int64_t offset) {
  T v;
  std::memcpy(&v, static_cast<const std::byte*>(t.data) + offset * static_cast<int64_t>(sizeof(T)),
              sizeof(T));
  return v;
}

// The shortest digits that read back as the same number of the same width, at most eight after the point.
template <class T>
std::string digits_of(T v, std::chars_format format) {
  char text[512];
  auto end = std::to_chars(text, text + sizeof(text), v, format).ptr;
  std::string s(text, end);
  const size_t point = s.find('.'), exponent = s.find('e');
  const size_t fraction_end = exponent == std::string::npos ? s.size() : exponent;
  if (point != std::string::npos && fraction_end - point - 1 > precision) {
    end = std::to_chars(text, text + sizeof(text), v, format, precision).ptr;
    s.assign(text, end);
    const size_t e = s.find('e');
    const std::string tail = e == std::string::npos ? "" : s.substr(e);
    s.resize(e == std::string::npos ? s.size() : e);
    while (s.back() == '0') s.pop_back();
    s += tail;
  }
  if (s.find('.') == std::string::npos) s.insert(std::min(s.find('e'), s.size()), ".");
  return s;
}

// Half and bfloat16 have fewer digits than the float that holds them: the shortest decimal number that
// rounds to v.
template <class T>
double shortest(T v) {
  const float exact = static_cast<float>(v);
  char text[64];
  for (int digits = 0; digits < 8; ++digits) {
    const auto end =
        std::to_chars(text, text + sizeof(text), exact, std::chars_format::scientific, digits).ptr;
    double candidate = 0;
    std::from_chars(text, end, candidate);
    if (T(static_cast<float>(candidate)) == v) return candidate;
  }
  return exact;
}

struct Printer {
  const TensorImpl& t;
  bool summarise = false, scientific = false;
  // Widths before and after the point (`left` alone for integers), and digits of the exponent.
  size_t left = 0, right = 0, exponent = 0;
  std::string out = "Tensor(";

  double real(int64_t offset) const {
    switch (t.dtype) {
      case DType::f16:
        return static_cast<float>(load<Half>(t, offset));
      case DType::bf16:
        return static_cast<float>(load<BFloat16>(t, offset));
      case DType::f32:
        return load<float>(t, offset);
      default:
        return load<double>(t, offset);
    }
  }

  std::string raw(int64_t offset) const {
    switch (t.dtype) {
      case DType::boolean:
        return load<bool>(t, offset) ? "True" : "False";
      case DType::u8:
        return std::to_string(load<uint8_t>(t, offset));
      case DType::i8:
        return std::to_string(load<int8_t>(t, offset));
      case DType::u16:
        return std::to_string(load<uint16_t>(t, offset));
      case DType::i16:
        return std::to_string(load<int16_t>(t, offset));
      case DType::u32:
        return std::to_string(load<uint32_t>(t, offset));
      case DType::i32:
        return std::to_string(load<int32_t>(t, offset));
      case DType::u64:
        return std::to_string(load<uint64_t>(t, offset));
      case DType::i64:
        return std::to_string(load<int64_t>(t, offset));
      default:
        break;
    }
    const double v = real(offset);
    if (std::isnan(v)) return "nan";
    if (std::isinf(v)) return v < 0 ? "-inf" : "inf";
    const auto format = scientific ? std::chars_format::scientific : std::chars_format::fixed;
    if (t.dtype == DType::f16) return digits_of(shortest(load<Half>(t, offset)), format);
    if (t.dtype == DType::bf16) return digits_of(shortest(load<BFloat16>(t, offset)), format);
    if (t.dtype == DType::f64) return digits_of(v, format);
    return digits_of(static_cast<float>(v), format);
  }

  // Width of a number: sign and digits, the point, the fraction, "e+" and the exponent.
  size_t number_width() const { return left + 1 + right + (scientific ? 2 + exponent : 0); }

  std::string element(int64_t offset) const {
    std::string s = raw(offset);
    const size_t point = s.find('.');
    if (point == std::string::npos) {  // integers, bool, nan, inf
      const size_t width = is_floating(t.dtype) ? number_width() : left;
      return s.size() < width ? std::string(width - s.size(), ' ') + s : s;
    }
    if (!scientific)
      return std::string(left - point, ' ') + s + std::string(right - (s.size() - point - 1), ' ');
    // All numbers show as many digits, true ones rather than zeros.
    char text[64];
    const auto end = std::to_chars(text, text + sizeof(text), real(offset), std::chars_format::scientific,
                                   static_cast<int>(right))
                         .ptr;
    s.assign(text, end);
    const size_t e = s.find('e');
    s.insert(e + 2, std::string(exponent - (s.size() - e - 2), '0'));
    if (right == 0) s.insert(e, ".");
    return std::string(left - point, ' ') + s;
  }

  template <class F>
  void each(int axis, int64_t offset, F&& f) {
    if (axis == t.shape.rank()) return f(offset);
    const int64_t n = t.shape[axis];
    for (int64_t i = 0; i < n; ++i) {
      if (summarise && n > 2 * edge_items && i == edge_items) i = n - edge_items;
      each(axis + 1, offset + i * t.strides[axis], f);
    }
  }

  void measure() {
    if (t.dtype == DType::boolean) {
      left = t.shape.rank() == 0 ? 4 : 5;
      return;
    }
    if (is_floating(t.dtype)) {
      double largest = 0, smallest = INFINITY;
      each(0, 0, [&](int64_t offset) {
        const double v = std::abs(real(offset));
        if (!std::isfinite(v) || v == 0) return;
        largest = std::max(largest, v);
        smallest = std::min(smallest, v);
      });
      // As NumPy, in the numbers' own precision: 1 / 0.001f is no more than 1000.
      const double ratio = t.dtype == DType::f64 ? largest / smallest
                                                 : static_cast<float>(largest) / static_cast<float>(smallest);
      scientific = largest >= 1e8 || (largest > 0 && (smallest < 1e-4 || ratio > 1000));
    }
    size_t special = 0;
    each(0, 0, [&](int64_t offset) {
      const std::string s = raw(offset);
      const size_t point = s.find('.');
      if (!is_floating(t.dtype)) {
        left = std::max(left, s.size());
      } else if (point == std::string::npos) {
        special = std::max(special, s.size());
      } else {
        left = std::max(left, point);
        const size_t e = std::min(s.find('e'), s.size());
        right = std::max(right, e - point - 1);
        if (e < s.size()) exponent = std::max(exponent, s.size() - e - 2);
      }
    });
    // A word too wide for the numbers makes room to their left.
    if (special > number_width()) left += special - number_width();
  }

  // Ends the line, without the blanks that only lined columns up.
  void break_line(size_t count, int indent) {
    while (out.back() == ' ') out.pop_back();
    out.append(count, '\n');
    out.append(static_cast<size_t>(indent), ' ');
  }

  void nested(int axis, int64_t offset, int indent) {
    const int rank = t.shape.rank();
    if (axis == rank) {
      out += element(offset);
      return;
    }
    out += '[';
    const int64_t n = t.shape[axis];
    const bool last = axis == rank - 1;
    // One column is kept free for each closing bracket.
    const auto width = static_cast<size_t>(line_width - rank);
    for (int64_t i = 0; i < n; ++i) {
      const bool gap = summarise && n > 2 * edge_items && i == edge_items;
      if (gap) i = n - edge_items;
      for (int part = gap ? 0 : 1; part < 2; ++part) {  // the dots, then the element after them
        if (i > 0 && !last) break_line(static_cast<size_t>(rank - 1 - axis), indent + 1);
        if (last) {
          const std::string word = part == 0 ? "..." : element(offset + i * t.strides[axis]);
          if (i > 0) out += ' ';
          const size_t line = out.size() - (out.rfind('\n') + 1);
          if (line + word.size() > width && line > static_cast<size_t>(indent + 1)) break_line(1, indent + 1);
          out += word;
        } else if (part == 0) {
          out += "...";
        } else {
          nested(axis + 1, offset + i * t.strides[axis], indent + 1);
        }
      }
    }
    out += ']';
  }

  std::string print() {
    if (t.kind == TensorImpl::Kind::symbolic) {
      out += std::string("\"") + detail::symbolic_info(&t).name + '"';
    } else {
      summarise = t.count > threshold;
      measure();
      if (t.count == 0) {
        out += "[]";
      } else if (t.shape.rank() == 0 && is_floating(t.dtype) && left + right > 0) {
        // A lone number always shows a digit after the point, as NumPy's scalars do.
        std::string s = element(0);
        if (!s.empty() && s.back() == '.') s += '0';
        out += s;
      } else {
        nested(0, 0, 7);
      }
    }
    return out + ", shape=" + to_string(t.shape) + ", dtype=" + std::string(name_of(t.dtype)) + ")";
  }
};

}  // namespace

std::string to_string(const Tensor& tensor) {
  if (!tensor.defined()) return "Tensor()";
  return Printer{*tensor.impl()}.print();
}

std::ostream& operator<<(std::ostream& out, const Tensor& tensor) { return out << to_string(tensor); }

}  // namespace tandem
