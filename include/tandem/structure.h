#pragma once
// Structures of tensors: what functions take and return. Tensors are leaves; everything else is static.

#include <array>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "tandem/tensor.h"
#include "tandem/variable.h"

namespace tandem {

/// Collects the tensors of a value, and a key of everything else that matters: numbers, text, sizes.
struct StructureWriter {
  std::vector<Tensor>* tensors = nullptr;
  std::string* key = nullptr;

  void leaf(const Tensor& t) {
    if (tensors) tensors->push_back(t);
  }
  void note(const void* bytes, size_t size) {
    if (key) key->append(static_cast<const char*>(bytes), size);
  }
  template <class T>
  void note_value(T v) {
    note(&v, sizeof(v));
  }
};

/// How a type is taken apart and put together. `visit(value, f)` calls f on each Tensor inside, in a fixed
/// order, and `write` adds the static rest to the key. Specialise for your own types, or give a struct
/// `static constexpr auto fields() { return std::tuple{&S::a, &S::b}; }`.
template <class T, class = void>
struct Structure;

namespace detail {
template <class T>
concept HasFields = requires {
  T::fields();
};
template <class T>
inline constexpr bool is_static_value = std::is_arithmetic_v<T> || std::is_enum_v<T>;
}  // namespace detail

template <>
struct Structure<Tensor> {
  static void write(const Tensor& t, StructureWriter& w) { w.leaf(t); }
  template <class F>
  static void visit(Tensor& t, F&& f) {
    f(t);
  }
};

/// A variable is one argument by its identity: the trace works on that very cell.
template <>
struct Structure<Variable> {
  static void write(const Variable& v, StructureWriter& w) { w.note_value(v.impl().get()); }
  template <class F>
  static void visit(Variable&, F&&) {}
};

template <class T>
struct Structure<T, std::enable_if_t<detail::is_static_value<T>>> {
  static void write(const T& v, StructureWriter& w) { w.note_value(v); }
  template <class F>
  static void visit(T&, F&&) {}
};

template <>
struct Structure<std::string> {
  static void write(const std::string& s, StructureWriter& w) {
    w.note_value(s.size());
    w.note(s.data(), s.size());
  }
  template <class F>
  static void visit(std::string&, F&&) {}
};

template <class T>
struct Structure<std::vector<T>> {
  static void write(const std::vector<T>& list, StructureWriter& w) {
    w.note_value(list.size());
    for (const T& v : list) Structure<T>::write(v, w);
  }
  template <class F>
  static void visit(std::vector<T>& list, F&& f) {
    for (T& v : list) Structure<T>::visit(v, f);
  }
};

template <class T, size_t n>
struct Structure<std::array<T, n>> {
  static void write(const std::array<T, n>& list, StructureWriter& w) {
    for (const T& v : list) Structure<T>::write(v, w);
  }
  template <class F>
  static void visit(std::array<T, n>& list, F&& f) {
    for (T& v : list) Structure<T>::visit(v, f);
  }
};

template <class T>
struct Structure<std::optional<T>> {
  static void write(const std::optional<T>& v, StructureWriter& w) {
    w.note_value(v.has_value());
    if (v) Structure<T>::write(*v, w);
  }
  template <class F>
  static void visit(std::optional<T>& v, F&& f) {
    if (v) Structure<T>::visit(*v, f);
  }
};

template <class... Ts>
struct Structure<std::tuple<Ts...>> {
  static void write(const std::tuple<Ts...>& values, StructureWriter& w) {
    std::apply([&](const Ts&... v) { (Structure<Ts>::write(v, w), ...); }, values);
  }
  template <class F>
  static void visit(std::tuple<Ts...>& values, F&& f) {
    std::apply([&](Ts&... v) { (Structure<Ts>::visit(v, f), ...); }, values);
  }
};

template <class A, class B>
struct Structure<std::pair<A, B>> {
  static void write(const std::pair<A, B>& v, StructureWriter& w) {
    Structure<A>::write(v.first, w);
    Structure<B>::write(v.second, w);
  }
  template <class F>
  static void visit(std::pair<A, B>& v, F&& f) {
    Structure<A>::visit(v.first, f);
    Structure<B>::visit(v.second, f);
  }
};

/// Maps go by key order, so equal maps filled in another order are one signature.
template <class K, class V, class C>
struct Structure<std::map<K, V, C>> {
  static void write(const std::map<K, V, C>& map, StructureWriter& w) {
    w.note_value(map.size());
    for (const auto& [k, v] : map) {
      Structure<K>::write(k, w);
      Structure<V>::write(v, w);
    }
  }
  template <class F>
  static void visit(std::map<K, V, C>& map, F&& f) {
    for (auto& [k, v] : map) Structure<V>::visit(v, f);
  }
};

template <class T>
struct Structure<T, std::enable_if_t<detail::HasFields<T>>> {
  static void write(const T& s, StructureWriter& w) {
    std::apply(
        [&](auto... member) {
          (Structure<std::remove_cvref_t<decltype(s.*member)>>::write(s.*member, w), ...);
        },
        T::fields());
  }
  template <class F>
  static void visit(T& s, F&& f) {
    std::apply(
        [&](auto... member) {
          (Structure<std::remove_cvref_t<decltype(s.*member)>>::visit(s.*member, f), ...);
        },
        T::fields());
  }
};

/// A type that functions may take or return.
template <class T>
concept Structurable = requires(const T& v, StructureWriter& w) {
  Structure<T>::write(v, w);
};

}  // namespace tandem
