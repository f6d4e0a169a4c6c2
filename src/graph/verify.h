#pragma once
// The verifier that every pass must satisfy.

#include <string_view>

#include "graph/graph.h"

namespace tandem {

/// Throws an internal Error when the graph is not well formed: inputs stand before their users, references
/// exist, attributes have their op's type, names are unique, inputs are listed, and specs agree with what
/// inference says now. The message names the node and `after`, the pass (or other origin) to blame. A node
/// that certainly fails when it runs, so that inference fails too, is accepted only with `may_fail`: passes
/// leave it in place.
void verify(const Graph& graph, std::string_view after, bool may_fail = false);

/// What a pass may not change: arguments and results, and which effects happen in which order.
class Interface {
 public:
  explicit Interface(const Graph& graph);
  /// Throws when `graph`, made from the one before by the pass `after`, takes or gives something else, or
  /// lost, gained or reordered an effect. Reads of variables may go, and effects may come out of a body that
  /// was opened.
  void check(const Graph& graph, std::string_view after) const;

 private:
  std::vector<Spec> inputs_, outputs_;
  struct Effect {
    std::string name;
    bool must_stay, has_bodies;
  };
  static std::vector<Effect> effects_of(const Graph& graph);
  std::vector<Effect> effects_;  // ordered nodes
};

}  // namespace tandem
