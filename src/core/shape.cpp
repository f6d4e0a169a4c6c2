#include "tandem/shape.h"

#include <ostream>

#include "core/check.h"

namespace tandem {

void Dims::insert(int at, int64_t v) {
  push_back(0);
  for (int i = size_ - 1; i > at; --i) values_[i] = values_[i - 1];
  values_[at] = v;
}

void Dims::erase(int at) {
  for (int i = at; i + 1 < size_; ++i) values_[i] = values_[i + 1];
  --size_;
}

void Dims::too_long(size_t n) {
  fail("rank {} is too large; at most {} dimensions are supported", n, max_rank);
}

std::string to_string(const Shape& shape) {
  std::string text = "(";
  for (int i = 0; i < shape.rank(); ++i) {
    if (i > 0) text += ", ";
    text += shape[i] < 0 ? "?" : std::to_string(shape[i]);
  }
  return text + (shape.rank() == 1 ? ",)" : ")");
}

std::ostream& operator<<(std::ostream& out, const Shape& shape) { return out << to_string(shape); }

}  // namespace tandem
