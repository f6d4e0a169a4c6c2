#pragma once
// Attributes of ops: plain structs that list their fields once.
//
//   struct Attributes {
//     int64_t axis = -1;
//     static constexpr auto fields() { return std::tuple{field("axis", &Attributes::axis)}; }
//   };
//
// From the list follow equality, hash, printing, parsing and, later, ONNX's AttributeProto.

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "core/buffer.h"
#include "core/check.h"
#include "tandem/shape.h"
#include "tandem/tensor.h"

namespace tandem {

template <class Struct, class Member>
struct Field {
  std::string_view name;
  Member Struct::*member;
};
template <class Struct, class Member>
constexpr Field<Struct, Member> field(std::string_view name, Member Struct::*member) {
  return {name, member};
}

/// A short string stored inline, so that attribute structs stay trivially copyable.
struct Word {
  char text[24] = {};
  constexpr Word() = default;
  constexpr Word(const char* s) : Word(std::string_view(s)) {}
  constexpr Word(std::string_view s) {
    for (size_t i = 0; i < s.size() && i < sizeof(text) - 1; ++i) text[i] = s[i];
  }
  operator std::string_view() const { return text; }
  bool operator==(const Word& other) const { return std::string_view(text) == other.text; }
  friend bool operator==(const Word& a, const char* b) { return std::string_view(a.text) == b; }
};

/// One attribute's value in general form, for text, files and pictures.
using AttributeValue = std::variant<int64_t, double, std::string, std::vector<int64_t>, DType, Tensor,
                                    std::vector<double>, std::vector<std::string>>;

/// Everything the layers above need of an op's attribute struct, without knowing it.
struct AttributeType {
  size_t size;
  bool empty;   ///< has no fields
  bool opaque;  ///< holds what fields() does not tell, such as C++ code: text cannot restore it
  void (*construct)(void* to);
  void (*copy)(void* to, const void* from);
  void (*destroy)(void* object);
  bool (*equal)(const void* a, const void* b);
  size_t (*hash)(const void* a);
  /// Calls visit(name, value) for each field.
  void (*each)(const void* a, const std::function<void(std::string_view, const AttributeValue&)>& visit);
  /// Sets a field by name; false when there is none. Throws when the value has another kind.
  bool (*set)(void* a, std::string_view name, const AttributeValue& value);
};

struct NoAttributes {
  static constexpr auto fields() { return std::tuple{}; }
};

namespace detail {

inline AttributeValue to_value(int64_t v) { return v; }
inline AttributeValue to_value(bool v) { return int64_t{v}; }
inline AttributeValue to_value(double v) { return v; }
inline AttributeValue to_value(float v) { return static_cast<double>(v); }
inline AttributeValue to_value(DType v) { return v; }
inline AttributeValue to_value(const Word& v) { return std::string(std::string_view(v)); }
inline AttributeValue to_value(const std::string& v) { return v; }
inline AttributeValue to_value(const Dims& v) { return v.to_vector(); }
inline AttributeValue to_value(const Tensor& v) { return v; }
inline AttributeValue to_value(const std::vector<int64_t>& v) { return v; }
inline AttributeValue to_value(const std::vector<float>& v) {
  return std::vector<double>(v.begin(), v.end());
}
inline AttributeValue to_value(const std::vector<std::string>& v) { return v; }

template <class T>
const T& expect(const AttributeValue& v) {
  const T* p = std::get_if<T>(&v);
  TD_CHECK(p != nullptr, "the attribute has a value of another kind");
  return *p;
}
inline void from_value(const AttributeValue& v, int64_t& to) { to = expect<int64_t>(v); }
inline void from_value(const AttributeValue& v, bool& to) { to = expect<int64_t>(v) != 0; }
inline void from_value(const AttributeValue& v, double& to) {
  const int64_t* whole = std::get_if<int64_t>(&v);
  to = whole ? static_cast<double>(*whole) : expect<double>(v);
}
inline void from_value(const AttributeValue& v, float& to) {
  double d;
  from_value(v, d);
  to = static_cast<float>(d);
}
inline void from_value(const AttributeValue& v, DType& to) { to = expect<DType>(v); }
inline void from_value(const AttributeValue& v, Word& to) {
  const std::string& s = expect<std::string>(v);
  TD_CHECK(s.size() < sizeof(to.text), "the attribute's text \"{}\" is too long", s);
  to = Word(std::string_view(s));
}
inline void from_value(const AttributeValue& v, std::string& to) { to = expect<std::string>(v); }
inline void from_value(const AttributeValue& v, Dims& to) { to = Dims(expect<std::vector<int64_t>>(v)); }
inline void from_value(const AttributeValue& v, Tensor& to) { to = expect<Tensor>(v); }
inline void from_value(const AttributeValue& v, std::vector<int64_t>& to) {
  to = expect<std::vector<int64_t>>(v);
}
// A list of whole numbers, and so an empty list, may be a list of fractions too.
inline void from_value(const AttributeValue& v, std::vector<float>& to) {
  to.clear();
  if (const auto* whole = std::get_if<std::vector<int64_t>>(&v))
    for (int64_t i : *whole) to.push_back(static_cast<float>(i));
  else
    for (double d : expect<std::vector<double>>(v)) to.push_back(static_cast<float>(d));
}
inline void from_value(const AttributeValue& v, std::vector<std::string>& to) {
  const auto* list = std::get_if<std::vector<int64_t>>(&v);
  if (list && list->empty())
    to.clear();
  else
    to = expect<std::vector<std::string>>(v);
}
template <class T>
void from_value(const AttributeValue& v, std::optional<T>& to) {
  from_value(v, to.emplace());
}

inline size_t mix(size_t seed, size_t v) { return (seed ^ v) * 0x9e3779b97f4a7c15ull + (seed >> 29); }
inline size_t hash_of(int64_t v) { return static_cast<size_t>(v); }
inline size_t hash_of(bool v) { return v; }
inline size_t hash_of(double v) { return std::bit_cast<uint64_t>(v); }
inline size_t hash_of(float v) { return std::bit_cast<uint32_t>(v); }
inline size_t hash_of(DType v) { return static_cast<size_t>(v); }
inline size_t hash_of(const Word& v) { return std::hash<std::string_view>()(v); }
inline size_t hash_of(const std::string& v) { return std::hash<std::string>()(v); }
inline size_t hash_of(const Dims& v) {
  size_t h = static_cast<size_t>(v.size());
  for (int64_t x : v) h = mix(h, static_cast<size_t>(x));
  return h;
}
template <class T>
size_t hash_of(const std::vector<T>& v) {
  size_t h = v.size();
  for (const T& x : v) h = mix(h, hash_of(x));
  return h;
}
template <class T>
size_t hash_of(const std::optional<T>& v) {
  return v ? mix(1, hash_of(*v)) : 0;
}
inline size_t hash_of(const Tensor& v) { return std::hash<const void*>()(v.impl()); }

// By bits, so that -0 and +0 differ and a NaN equals itself.
template <class T>
bool same(const T& a, const T& b) {
  if constexpr (std::is_same_v<T, Tensor>)
    return a.impl() == b.impl();
  else if constexpr (std::is_same_v<T, float>)
    return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b);
  else if constexpr (std::is_same_v<T, double>)
    return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b);
  else if constexpr (std::is_same_v<T, std::vector<float>> || std::is_same_v<T, std::vector<double>>)
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](auto x, auto y) { return same(x, y); });
  else
    return a == b;
}

// Structs that say `static constexpr bool opaque = true` compare with their own ==.
template <class A>
inline constexpr bool is_opaque = false;
template <class A>
requires requires { A::opaque; }
inline constexpr bool is_opaque<A> = A::opaque;

template <class T>
void visit_value(std::string_view name, const T& v,
                 const std::function<void(std::string_view, const AttributeValue&)>& visit) {
  visit(name, to_value(v));
}
// An attribute that was left out has no value to show.
template <class T>
void visit_value(std::string_view name, const std::optional<T>& v,
                 const std::function<void(std::string_view, const AttributeValue&)>& visit) {
  if (v) visit(name, to_value(*v));
}

template <class A, class F>
void each_field(F&& f) {
  std::apply([&](const auto&... each) { (f(each), ...); }, A::fields());
}

}  // namespace detail

template <class A>
inline constexpr AttributeType attribute_type = {
    sizeof(A),
    std::is_empty_v<A>,
    detail::is_opaque<A>,
    [](void* to) { new (to) A(); },
    [](void* to, const void* from) { new (to) A(*static_cast<const A*>(from)); },
    [](void* object) { static_cast<A*>(object)->~A(); },
    [](const void* a, const void* b) {
      if constexpr (detail::is_opaque<A>) return *static_cast<const A*>(a) == *static_cast<const A*>(b);
      bool equal = true;
      detail::each_field<A>([&](const auto& f) {
        equal =
            equal && detail::same(static_cast<const A*>(a)->*f.member, static_cast<const A*>(b)->*f.member);
      });
      return equal;
    },
    [](const void* a) {
      size_t h = 0;
      detail::each_field<A>(
          [&](const auto& f) { h = detail::mix(h, detail::hash_of(static_cast<const A*>(a)->*f.member)); });
      return h;
    },
    [](const void* a, const std::function<void(std::string_view, const AttributeValue&)>& visit) {
      detail::each_field<A>(
          [&](const auto& f) { detail::visit_value(f.name, static_cast<const A*>(a)->*f.member, visit); });
    },
    [](void* a, std::string_view name, const AttributeValue& value) {
      bool found = false;
      detail::each_field<A>([&](const auto& f) {
        if (f.name == name) {
          detail::from_value(value, static_cast<A*>(a)->*f.member);
          found = true;
        }
      });
      return found;
    }};

/// An op's attributes whose type is known only by its AttributeType. Copies share; immutable once boxed.
/// Lives in the tensors' cache of memory blocks: a tape makes and drops one for each op that it records.
class AttributeBox {
 public:
  AttributeBox() = default;
  AttributeBox(const AttributeType& type, const void* from) : type_(&type) {
    if (type.empty) return;
    uint8_t size_class;
    auto* block = new (detail::allocate_block(header_bytes + type.size, size_class)) Block;
    block->size_class = size_class;
    try {
      type.copy(reinterpret_cast<std::byte*>(block) + header_bytes, from);
    } catch (...) {
      detail::free_block(block, size_class);
      throw;
    }
    block_ = block;
  }
  AttributeBox(const AttributeBox& other) noexcept : type_(other.type_), block_(other.block_) {
    if (block_) block_->references.fetch_add(1, std::memory_order_relaxed);
  }
  AttributeBox(AttributeBox&& other) noexcept
      : type_(other.type_), block_(std::exchange(other.block_, nullptr)) {}
  AttributeBox& operator=(AttributeBox other) noexcept {
    std::swap(type_, other.type_);
    std::swap(block_, other.block_);
    return *this;
  }
  ~AttributeBox() {
    if (!block_ || block_->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    type_->destroy(const_cast<void*>(get()));
    detail::free_block(block_, block_->size_class);
  }

  const void* get() const {
    return block_ ? reinterpret_cast<const std::byte*>(block_) + header_bytes
                  : static_cast<const void*>(&nothing);
  }
  const AttributeType* type() const { return type_; }
  template <class A>
  const A& as() const {
    return *static_cast<const A*>(get());
  }

 private:
  struct Block {
    std::atomic<uint32_t> references{1};
    uint8_t size_class = 0;
  };
  static constexpr size_t header_bytes = alignof(std::max_align_t);
  static_assert(sizeof(Block) <= header_bytes);
  static constexpr NoAttributes nothing{};
  const AttributeType* type_ = nullptr;
  Block* block_ = nullptr;
};

/// Attributes that are set field by field, by name.
class AttributeDraft {
 public:
  /// Every field at its default.
  explicit AttributeDraft(const AttributeType& type) : type_(type), memory_(new std::byte[type.size]) {
    type.construct(memory_.get());
  }
  ~AttributeDraft() { type_.destroy(memory_.get()); }
  AttributeDraft(const AttributeDraft&) = delete;
  AttributeDraft& operator=(const AttributeDraft&) = delete;

  /// False when there is no such field. Throws when the value has another kind.
  bool set(std::string_view name, const AttributeValue& value) {
    return type_.set(memory_.get(), name, value);
  }
  const void* get() const { return memory_.get(); }
  AttributeBox box() const { return AttributeBox(type_, memory_.get()); }

 private:
  const AttributeType& type_;
  std::unique_ptr<std::byte[]> memory_;
};

}  // namespace tandem
