// Channels last in memory, from convolution to convolution: the order that oneDNN computes with, so that
// nothing is moved between them. Values that are joined by element-wise ops and pools change their order
// together, where that makes more moves of channels unnecessary than it adds.

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "compiler/passes/passes.h"
#include "compiler/rebuild.h"
#include "ops/channels_last.h"
#include "ops/executable.h"

namespace tandem::passes {

namespace {

using Order = SmallVector<int, 5>;

/// The channels' place in `rank` dimensions moved to the end, or back.
Order to_last(int rank) {
  Order order{0};
  for (int i = 2; i < rank; ++i) order.push_back(i);
  order.push_back(1);
  return order;
}
Order to_first(int rank) {
  Order order{0, rank - 1};
  for (int i = 1; i < rank - 1; ++i) order.push_back(i);
  return order;
}
Order unmoved(int rank) {
  Order order;
  for (int i = 0; i < rank; ++i) order.push_back(i);
  return order;
}

AttributeBox transposition(const Order& order) {
  static const OpDef& transpose = *find_op("Transpose");
  AttributeDraft attributes(*transpose.attributes);
  attributes.set("perm", std::vector<int64_t>(order.begin(), order.end()));
  return attributes.box();
}

/// An op's attributes at their defaults.
AttributeBox plain(const OpDef& op) { return AttributeDraft(*op.attributes).box(); }

/// A value as another one, its root, with its dimensions in another order: dimension i is the root's
/// order[i].
struct View {
  ValueRef root;
  Order order;
};

/// What moving the channels of a value costs: its elements, for the batch of one where it is unknown.
double weight(const Shape& shape) {
  double count = 1;
  for (int64_t d : shape) count *= d < 0 ? 1.0 : static_cast<double>(d);
  return count;
}

/// A value that is no transposed view, with what is known of its dimensions and whether to change them.
struct Root {
  enum class Layout { unknown, first, last, other } layout = Layout::unknown;
  int group = -1;
  bool is_made_here = false;  ///< by an op that can give it either way
  bool is_read_first = false, is_read_last = false;
  bool changes = false;
};

class Analysis {
 public:
  explicit Analysis(const Graph& graph) : graph_(graph) {
    for (const Node& n : graph.nodes) {
      first_.push_back(static_cast<int>(views_.size()));
      for (int k = 0; k < n.outputs.size(); ++k) views_.emplace_back();
    }
    roots_.resize(views_.size());
    offers_.resize(graph.nodes.size());
    uses_.assign(views_.size(), 0);
    for (const Node& n : graph.nodes)
      for (ValueRef v : n.inputs)
        if (v.present()) ++uses_[index(v)];
    for (ValueRef v : graph.outputs)
      if (v.present()) ++uses_[index(v)];
  }

  /// False when there is nothing to change.
  bool run() {
    if (!find_offers()) return false;
    for (int32_t id = 0; id < count(); ++id) see(id);
    spread_layouts();
    join();
    return decide();
  }

  const View& view(ValueRef v) const { return views_[index(v)]; }
  const Root& root(ValueRef v) const { return roots_[index(v)]; }
  const ChannelsLast& offer(int32_t id) const { return offers_[static_cast<size_t>(id)]; }
  /// Whether the root behind `v` changes, and v has its channels first.
  bool changes_first(ValueRef v) const {
    return v.present() && root(view(v).root).changes && view(v).order == unmoved(view(v).order.size());
  }
  bool is_elementwise(int32_t id) const { return elementwise_.contains(id); }
  /// An operand of an element-wise node that has all the elements of its result.
  bool is_whole(int32_t id, ValueRef v) const {
    return same_shape(graph_.spec(v).shape, graph_.node(id).outputs[0].shape);
  }

 private:
  // Two roots of which one tells the other's layout: dimension i of `to` is dimension order[i] of `from`.
  struct Link {
    ValueRef from, to;
    Order order;
  };

  int32_t count() const { return static_cast<int32_t>(graph_.nodes.size()); }
  size_t index(ValueRef v) const {
    return static_cast<size_t>(first_[static_cast<size_t>(v.node)] + v.output);
  }
  Root& root(ValueRef v) { return roots_[index(v)]; }
  bool has_images(ValueRef v) const {
    const int rank = graph_.spec(v).shape.rank();
    return rank >= 3 && rank <= 5;
  }

  bool find_offers() {
    bool saves = false;
    for (int32_t id = 0; id < count(); ++id) {
      const Node& n = graph_.node(id);
      ChannelsLast& offer = offers_[static_cast<size_t>(id)];
      std::vector<Spec> inputs;
      for (ValueRef v : n.inputs) inputs.push_back(v.present() ? graph_.spec(v) : Spec());
      offer = channels_last(*n.op, n.attributes.get(), inputs, n.outputs);
      // A form has the first result only.
      for (int k = 1; k < n.outputs.size(); ++k)
        if (uses_[index({id, k})] > 0) offer.form = nullptr;
      saves = saves || offer.saves_input || offer.saves_output;
    }
    return saves;
  }

  void see(int32_t id) {
    const Node& n = graph_.node(id);
    for (int k = 0; k < n.outputs.size(); ++k)
      views_[index({id, k})] = {{id, k}, unmoved(n.outputs[k].shape.rank())};
    if (n.op->has(permutes) && n.outputs.size() == 1 && n.inputs[0].present()) {
      const View& from = view(n.inputs[0]);
      View seen{from.root, {}};
      for (int d : permutation(n, graph_.spec(n.inputs[0]))) seen.order.push_back(from.order[d]);
      views_[index({id, 0})] = std::move(seen);
      return;
    }
    const ChannelsLast& offer = this->offer(id);
    if (offer.form && offer.moves_input && has_images({id, 0})) {
      must_be_first(n.inputs[0]);
      must_be_first({id, 0});
      root({id, 0}).is_made_here = true;
      return;
    }
    if (offer.saves_input) must_be_first(n.inputs[0]);
    if (offer.form) {
      must_be_first({id, 0});
      root({id, 0}).is_made_here = true;
    }
    if (!can_change(n) || !has_images({id, 0})) return;
    bool any = false;
    for (ValueRef v : n.inputs) {
      const Shape& s = graph_.spec(v).shape;
      any = any || is_whole(id, v);
      // Its other dimensions could not be written down.
      if (!is_whole(id, v) && s.rank() < n.outputs[0].shape.rank() && !s.is_static()) return;
    }
    if (!any) return;
    for (ValueRef v : n.inputs)
      if (is_whole(id, v)) links_.push_back({view(v).root, {id, 0}, view(v).order});
    elementwise_.insert(id);
    root({id, 0}).is_made_here = true;
  }

  // Elements of the result must not depend on where they stand.
  static bool can_change(const Node& n) {
    if (!n.op->is_elementwise() || n.outputs.size() != 1 || !is_pure(n)) return false;
    for (int i = 0; i < n.inputs.size(); ++i)
      if (!n.inputs[i].present() || !is_program_input(*n.op, i)) return false;
    return true;
  }

  // The value has (batch, channels, sizes...), whatever its root has.
  void must_be_first(ValueRef v) {
    const View& seen = view(v);
    Order inverse = seen.order;
    for (int i = 0; i < seen.order.size(); ++i) inverse[seen.order[i]] = i;
    set_layout(seen.root, inverse);
  }
  void set_layout(ValueRef v, const Order& order) {
    const int rank = order.size();
    const Root::Layout layout = order == unmoved(rank)   ? Root::Layout::first
                                : order == to_last(rank) ? Root::Layout::last
                                                         : Root::Layout::other;
    Root& r = root(v);
    if (r.layout == layout) return;
    r.layout = r.layout == Root::Layout::unknown ? layout : Root::Layout::other;
    waiting_.push_back(v);
  }
  static Order order_of(Root::Layout layout, int rank) {
    return layout == Root::Layout::first ? unmoved(rank) : to_last(rank);
  }

  void spread_layouts() {
    std::map<ValueRef, std::vector<int>> touching;
    for (int i = 0; i < static_cast<int>(links_.size()); ++i) {
      touching[links_[static_cast<size_t>(i)].from].push_back(i);
      touching[links_[static_cast<size_t>(i)].to].push_back(i);
    }
    while (!waiting_.empty()) {
      const ValueRef v = waiting_.back();
      waiting_.pop_back();
      const Root::Layout layout = root(v).layout;
      for (int i : touching[v]) {
        const Link& link = links_[static_cast<size_t>(i)];
        const int rank = link.order.size();
        if (layout == Root::Layout::other) {
          for (ValueRef end : {link.from, link.to})
            if (root(end).layout != Root::Layout::other) {
              root(end).layout = Root::Layout::other;
              waiting_.push_back(end);
            }
          continue;
        }
        const Order known = order_of(layout, rank);
        Order told = known;
        if (v == link.from)
          for (int d = 0; d < rank; ++d) told[d] = known[link.order[d]];
        if (v == link.from) set_layout(link.to, told);
        if (v == link.to) {
          for (int d = 0; d < rank; ++d) told[link.order[d]] = known[d];
          set_layout(link.from, told);
        }
      }
    }
  }

  int group_of(ValueRef v) {
    int g = static_cast<int>(index(v));
    while (roots_[static_cast<size_t>(g)].group >= 0 && roots_[static_cast<size_t>(g)].group != g)
      g = roots_[static_cast<size_t>(g)].group;
    return g;
  }
  void join(ValueRef a, ValueRef b) {
    const int from = group_of(a), to = group_of(b);
    if (from != to) roots_[static_cast<size_t>(from)].group = to;
  }
  void join() {
    for (const Link& link : links_) join(link.from, link.to);
    for (int32_t id = 0; id < count(); ++id)
      if (offer(id).form && offer(id).moves_input) join(view(graph_.node(id).inputs[0]).root, {id, 0});
  }

  // Counts what each group gains by having its channels last: elements that are not moved, less those that
  // are.
  bool decide() {
    std::map<int, double> gain;
    std::set<int> fixed;
    const auto is_first = [&](ValueRef v) { return root(v).layout == Root::Layout::first; };
    const auto gains = [&](ValueRef v, double times) {
      if (is_first(v)) gain[group_of(v)] += times * weight(graph_.spec(v).shape);
    };
    for (int32_t id = 0; id < count(); ++id) {
      const Node& n = graph_.node(id);
      const ChannelsLast& offer = this->offer(id);
      if (offer.saves_input) gains(view(n.inputs[0]).root, 1);
      if (offer.saves_output) gains({id, 0}, 1);
      for (int i = 0; i < n.inputs.size(); ++i)
        if (n.inputs[i].present()) see_use(id, i, gains);
    }
    for (ValueRef v : graph_.outputs)
      if (v.present()) see_other_use(v);
    for (int32_t id = 0; id < count(); ++id)
      for (int k = 0; k < graph_.node(id).outputs.size(); ++k) {
        const ValueRef v{id, k};
        const Root& r = root(v);
        if (r.layout == Root::Layout::other) fixed.insert(group_of(v));
        if (!r.is_made_here) gains(v, -1);
        if (r.is_read_first) gains(v, -1);
        if (r.is_read_last) gains(v, 1);
      }
    bool any = false;
    for (int32_t id = 0; id < count(); ++id)
      for (int k = 0; k < graph_.node(id).outputs.size(); ++k) {
        const ValueRef v{id, k};
        const int group = group_of(v);
        if (!is_first(v) || fixed.contains(group) || !gain.contains(group) || gain[group] <= 0) continue;
        root(v).changes = any = true;
      }
    return any;
  }
  template <class Gains>
  void see_use(int32_t id, int i, Gains gains) {
    const Node& n = graph_.node(id);
    const ValueRef v = n.inputs[i];
    if (n.op->has(permutes) && i == 0) return;  // its own uses count
    const ChannelsLast& offer = this->offer(id);
    if (offer.readers >> i & 1) return;
    if (offer.form && offer.moves_input && i == 0) return;
    if (elementwise_.contains(id)) {
      if (is_whole(id, v)) return;
      // Small ones cost nothing to move.
      if (weight(graph_.spec(v).shape) * 16 > weight(n.outputs[0].shape)) gains({id, 0}, -1);
      return;
    }
    see_other_use(v);
  }
  void see_other_use(ValueRef v) {
    const View& seen = view(v);
    const int rank = seen.order.size();
    if (rank >= 3 && seen.order == to_last(rank))
      root(seen.root).is_read_last = true;
    else
      root(seen.root).is_read_first = true;
  }

  const Graph& graph_;
  std::vector<int> first_;            // by node: its first value
  std::vector<View> views_;           // by value
  std::vector<Root> roots_;           // by value
  std::vector<int> uses_;             // by value
  std::vector<ChannelsLast> offers_;  // by node
  std::set<int32_t> elementwise_;     // nodes that work in either order
  std::vector<Link> links_;
  std::vector<ValueRef> waiting_;  // roots whose layout is news
};

/// Makes the changes that an analysis decided on.
class Change {
 public:
  Change(const Graph& graph, const Analysis& analysis) : old_(graph), analysis_(analysis), rebuild_(graph) {}

  void run(Graph& target) {
    for (int32_t id = 0; id < static_cast<int32_t>(old_.nodes.size()); ++id) {
      const int32_t copy = rebuild_.copy_next();
      visit(id, copy);
    }
    TD_ASSERT(rebuild_.finish(target));
  }

 private:
  void visit(int32_t id, int32_t copy) {
    const Node& n = old_.node(id);
    const ChannelsLast& offer = analysis_.offer(id);
    if (n.op->has(permutes)) return view_of_changed(id);
    const bool changes = n.outputs.size() > 0 && analysis_.root({id, 0}).changes;
    if (changes && offer.form) return use_form(id, copy);
    if (changes && analysis_.is_elementwise(id)) return use_moved(id, copy);
    for (int i = 0; i < n.inputs.size(); ++i)
      if (offer.readers >> i & 1 && analysis_.changes_first(n.inputs[i]))
        rebuild_.set_input(i, seen_first_.at(n.inputs[i]));
    for (int k = 0; k < n.outputs.size(); ++k)
      if (analysis_.root({id, k}).changes)
        made({id, k}, add(channels_last_op(), plain(channels_last_op()), {{copy, k}},
                          with_channels_last(n.outputs[k].shape), id));
  }

  // A transposed view that only undoes the change.
  void view_of_changed(int32_t id) {
    const View& seen = analysis_.view({id, 0});
    if (analysis_.root(seen.root).changes && seen.order == to_last(seen.order.size()))
      rebuild_.replace(0, last_.at(seen.root));
  }

  void use_form(int32_t id, int32_t copy) {
    const Node& n = old_.node(id);
    const ChannelsLast& offer = analysis_.offer(id);
    SmallVector<ValueRef, 4> inputs;
    for (ValueRef v : rebuild_.node(copy).inputs) inputs.push_back(v);
    if (offer.moves_input)
      inputs[0] = last_of(n.inputs[0], inputs[0], id);
    else if (analysis_.changes_first(n.inputs[0]))
      inputs[0] = seen_first_.at(n.inputs[0]);
    replace(id, add(*offer.form, n.attributes, inputs, with_channels_last(n.outputs[0].shape), id));
  }

  void use_moved(int32_t id, int32_t copy) {
    const Node& n = old_.node(id);
    const int rank = n.outputs[0].shape.rank();
    SmallVector<ValueRef, 4> inputs;
    for (ValueRef v : rebuild_.node(copy).inputs) inputs.push_back(v);
    for (int i = 0; i < inputs.size(); ++i) {
      if (analysis_.is_whole(id, n.inputs[i]))
        inputs[i] = last_of(n.inputs[i], inputs[i], id);
      else if (old_.spec(n.inputs[i]).shape.element_count() != 1)
        inputs[i] = part_last(inputs[i], rank, id);
    }
    replace(id, add(*n.op, n.attributes, inputs, with_channels_last(n.outputs[0].shape), id));
  }

  // The operand that is `now` in the new graph, with its channels last.
  ValueRef last_of(ValueRef v, ValueRef now, int32_t id) {
    const View& seen = analysis_.view(v);
    if (analysis_.root(seen.root).changes) return last_.at(seen.root);
    const Shape shape = with_channels_last(old_.spec(v).shape);
    return add(transpose(), transposition(to_last(shape.rank())), {now}, shape, id);
  }
  // An operand that is broadcast.
  ValueRef part_last(ValueRef now, int rank, int32_t id) {
    Shape shape = rebuild_.spec(now).shape;
    if (shape.rank() < rank) {
      while (shape.rank() < rank) shape.insert(0, 1);
      static const OpDef& reshape = *find_op("Reshape");
      const ValueRef inputs[] = {now, rebuild_.add_shape(shape, old_.node(id).where)};
      now = add(reshape, plain(reshape), inputs, shape, id);
    }
    return add(transpose(), transposition(to_last(rank)), {now}, with_channels_last(shape), id);
  }

  void replace(int32_t id, ValueRef last) {
    made({id, 0}, last);
    const Shape& shape = old_.node(id).outputs[0].shape;
    rebuild_.replace(0, add(channels_first_op(), plain(channels_first_op()), {last}, shape, id));
  }
  void made(ValueRef v, ValueRef last) {
    last_[v] = last;
    const Shape& shape = old_.spec(v).shape;
    seen_first_[v] = add(transpose(), transposition(to_first(shape.rank())), {last}, shape, v.node);
  }

  static const OpDef& transpose() {
    static const OpDef& op = *find_op("Transpose");
    return op;
  }
  ValueRef add(const OpDef& op, const AttributeBox& attributes, std::initializer_list<ValueRef> inputs,
               const Shape& shape, int32_t id) {
    return add(op, attributes, std::span(inputs.begin(), inputs.size()), shape, id);
  }
  ValueRef add(const OpDef& op, const AttributeBox& attributes, std::span<const ValueRef> inputs,
               const Shape& shape, int32_t id) {
    const auto made = rebuild_.add(op, attributes, inputs, old_.node(id).where);
    TD_ASSERT(made);
    Spec spec = rebuild_.spec({*made, 0});
    spec.shape = shape;
    rebuild_.set_spec({*made, 0}, spec);
    return {*made, 0};
  }

  const Graph& old_;
  const Analysis& analysis_;
  Rebuild rebuild_;
  std::map<ValueRef, ValueRef> last_;        // by old root: the new value with channels last
  std::map<ValueRef, ValueRef> seen_first_;  // its view with channels first, for whoever reads such memory
};

}  // namespace

bool keep_channels_last(Graph& graph) {
  // A change may be the reason for another.
  constexpr int most_rounds = 10;
  for (int round = 0; round < most_rounds; ++round) {
    const Graph before = graph;
    Analysis analysis(before);
    if (!analysis.run()) return round > 0;
    Change(before, analysis).run(graph);
  }
  return true;
}

}  // namespace tandem::passes
