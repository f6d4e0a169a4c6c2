#pragma once
// Nest: a structure whose form is known only when the program runs. What models take and return, and what
// datasets yield.

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tandem/error.h"
#include "tandem/structure.h"

namespace tandem {

/// One leaf, a list of nests, or nests by name (in the order of the names). `td::Nest` holds tensors.
///
///     td::Nest one = images;
///     td::Nest pair = {images, labels};
///     td::Nest named = {{"image", images}, {"text", {tokens, lengths}}};
///     named["text"][1].leaf();   // lengths
template <class Leaf>
class NestOf {
 public:
  enum class Kind : uint8_t { leaf, list, map };

  /// An empty list.
  NestOf() = default;
  NestOf(Leaf leaf) : kind_(Kind::leaf), leaf_(std::move(leaf)) {}
  /// `{a}` is a list of one; without braces `a` is the leaf itself.
  NestOf(std::initializer_list<NestOf> list) : children_(list) {}
  NestOf(std::initializer_list<std::pair<const char*, NestOf>> entries) : kind_(Kind::map) {
    for (const auto& [key, value] : entries) insert(key, value);
  }
  NestOf(std::vector<NestOf> list) : children_(std::move(list)) {}
  NestOf(const std::vector<Leaf>& list) : children_(list.begin(), list.end()) {}
  template <class T>
  NestOf(const std::map<std::string, T>& entries) : kind_(Kind::map) {
    for (const auto& [key, value] : entries) insert(key, value);
  }

  Kind kind() const { return kind_; }
  bool is_leaf() const { return kind_ == Kind::leaf; }
  bool is_list() const { return kind_ == Kind::list; }
  bool is_map() const { return kind_ == Kind::map; }

  /// The leaf itself. Errors: a list or a map.
  const Leaf& leaf() const {
    if (!is_leaf()) refuse("a leaf");
    return leaf_;
  }
  /// The number of entries; 0 for a leaf.
  size_t size() const { return children_.size(); }
  /// Entry number `i` of a list, or of a map in the order of its names. Errors: no such entry.
  const NestOf& operator[](size_t i) const {
    if (i >= children_.size()) refuse("an entry " + std::to_string(i));
    return children_[i];
  }
  /// Errors: no entry of this name.
  const NestOf& operator[](const std::string& key) const {
    const NestOf* found = find(key);
    if (!found) refuse("an entry \"" + key + '"');
    return *found;
  }
  /// Null where a map has no such entry, and for whatever is no map.
  const NestOf* find(const std::string& key) const {
    for (size_t i = 0; i < keys_.size(); ++i)
      if (keys_[i] == key) return &children_[i];
    return nullptr;
  }
  const std::vector<NestOf>& children() const { return children_; }
  /// The names of a map, in order; empty for a list.
  const std::vector<std::string>& keys() const { return keys_; }

  /// All leaves, in order, depth first.
  std::vector<Leaf> flatten() const {
    std::vector<Leaf> leaves;
    map([&](const Leaf& leaf) {
      leaves.push_back(leaf);
      return leaf;
    });
    return leaves;
  }
  /// The same form with `f` of each leaf in its place, in order.
  template <class F>
  auto map(F&& f) const -> NestOf<std::decay_t<decltype(f(std::declval<const Leaf&>()))>> {
    using Result = NestOf<std::decay_t<decltype(f(std::declval<const Leaf&>()))>>;
    if (is_leaf()) return Result(f(leaf_));
    std::vector<Result> results;
    results.reserve(children_.size());
    for (const NestOf& child : children_) results.push_back(child.map(f));
    return Result::from_parts(kind_, keys_, std::move(results));
  }
  /// The same form with other leaves, as `flatten` orders them. Errors: another number of leaves.
  template <class Other>
  NestOf<Other> with_leaves(const std::vector<Other>& leaves) const {
    size_t next = 0;
    NestOf<Other> result =
        map([&](const Leaf&) { return next < leaves.size() ? leaves[next++] : (++next, Other()); });
    if (next != leaves.size())
      throw Error(ErrorCode::invalid_argument,
                  "a nest of " + std::to_string(next) + " leaves was given " + std::to_string(leaves.size()));
    return result;
  }
  /// Lists of the same lengths and maps of the same names, all the way down.
  template <class Other>
  bool same_form(const NestOf<Other>& other) const {
    if (static_cast<int>(kind_) != static_cast<int>(other.kind()) || size() != other.size() ||
        keys_ != other.keys())
      return false;
    for (size_t i = 0; i < size(); ++i)
      if (!children_[i].same_form(other[i])) return false;
    return true;
  }
  /// The form as text: `{image: *, text: [*, *]}`.
  std::string form() const {
    if (is_leaf()) return "*";
    std::string text(1, is_map() ? '{' : '[');
    for (size_t i = 0; i < size(); ++i) {
      if (i > 0) text += ", ";
      if (is_map()) text += keys_[i] + ": ";
      text += children_[i].form();
    }
    return text + (is_map() ? '}' : ']');
  }

  /// For map(): a list or a map of these entries, whose names are in order already.
  template <class OtherKind>
  static NestOf from_parts(OtherKind kind, std::vector<std::string> keys, std::vector<NestOf> children) {
    NestOf nest;
    nest.kind_ = static_cast<Kind>(kind);
    nest.keys_ = std::move(keys);
    nest.children_ = std::move(children);
    return nest;
  }

 private:
  friend struct Structure<NestOf>;

  void insert(const std::string& key, NestOf value) {
    const auto at = std::lower_bound(keys_.begin(), keys_.end(), key);
    if (at != keys_.end() && *at == key)
      throw Error(ErrorCode::invalid_argument, "a nest has two entries \"" + key + '"');
    children_.insert(children_.begin() + (at - keys_.begin()), std::move(value));
    keys_.insert(at, key);
  }
  [[noreturn]] void refuse(const std::string& wanted) const {
    throw Error(ErrorCode::invalid_argument, "the nest " + form() + " has not " + wanted);
  }

  Kind kind_ = Kind::list;
  Leaf leaf_ = {};
  std::vector<std::string> keys_;  ///< of a map, ascending
  std::vector<NestOf> children_;
};

using Nest = NestOf<Tensor>;

/// Functions take and return nests; their form is part of the signature.
template <class Leaf>
struct Structure<NestOf<Leaf>> {
  static void write(const NestOf<Leaf>& nest, StructureWriter& w) {
    w.note_value(nest.kind());
    if (nest.is_leaf()) return Structure<Leaf>::write(nest.leaf(), w);
    w.note_value(nest.size());
    for (size_t i = 0; i < nest.size(); ++i) {
      if (nest.is_map()) Structure<std::string>::write(nest.keys()[i], w);
      Structure<NestOf<Leaf>>::write(nest[i], w);
    }
  }
  template <class F>
  static void visit(NestOf<Leaf>& nest, F&& f) {
    if (nest.is_leaf()) Structure<Leaf>::visit(nest.leaf_, f);
    for (NestOf<Leaf>& child : nest.children_) Structure<NestOf<Leaf>>::visit(child, f);
  }
};

}  // namespace tandem
