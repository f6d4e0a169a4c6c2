#pragma once
// Rewrite rules as data: rows like {"sub_neg", a - neg(b), a + b}. What ops are called matters only there.

#include <array>
#include <memory>
#include <string_view>
#include <vector>

#include "compiler/rebuild.h"

namespace tandem {

/// A pattern, or what replaces it.
struct Term {
  enum class Kind : uint8_t {
    any,       ///< any value, the same wherever its index occurs
    constant,  ///< ... a constant
    optional,  ///< any value or an absent input
    number,    ///< a constant all of whose elements have these bits: +0 and -0 differ
    op,
  };
  Kind kind = Kind::any;
  int index = 0;  ///< of any, constant, optional
  double number = 0;
  const OpDef* op = nullptr;
  std::vector<Term> inputs = {};
};

/// What a pattern matched.
struct Match {
  static constexpr int most_values = 6;
  Rebuild& rebuild;
  int32_t root;
  std::array<ValueRef, most_values> values{};
  std::array<bool, most_values> bound{};
  std::vector<int32_t> nodes;          ///< of the ops in the pattern, root first
  std::vector<ValueRef> numbers = {};  ///< constants that the pattern's numbers stand for

  const Spec& spec(int i) const { return rebuild.spec(values[static_cast<size_t>(i)]); }
  /// The number that all elements of constant `i` are; false when they differ.
  bool number(int i, double& value) const;
  /// Forgets what was matched since.
  void go_back_to(const Match& before) {
    values = before.values, bound = before.bound, nodes = before.nodes, numbers = before.numbers;
  }
};

struct Rule {
  std::string_view name;
  Term from, to;
  TypeSet exact = types::all;  ///< dtypes of the first value for which not one bit changes
  TypeSet fast = 0;            ///< ... for which some may: only under fast_math
  bool (*guard)(const Match&) = nullptr;
  bool single_use = false;  ///< ops inside the pattern have no other user
  int growth = 0;           ///< how many nodes more than it takes away it may leave, cheaper ones
};

/// Every row.
std::span<const Rule> all_rules();
/// Applies the rows to the node that was copied last, `id`; true when one fit.
bool apply_rules(Rebuild& rebuild, int32_t id, bool fast_math);

}  // namespace tandem
