#include "graph/verify.h"

#include <algorithm>
#include <set>

#include "graph/inference.h"
#include "graph/text.h"

namespace tandem {

namespace {

class Verifier {
 public:
  Verifier(const Graph& graph, std::string_view after, bool may_fail)
      : graph_(graph), after_(after), may_fail_(may_fail), inference_(copy_) {
    // Inference may make symbols and looks only at nodes before the one asked for.
    copy_.next_symbol = graph.next_symbol;
    copy_.nodes.reserve(graph.nodes.size());
  }

  void run() {
    std::set<std::string_view> names;
    for (size_t i = 0; i < graph_.nodes.size(); ++i) {
      id_ = static_cast<int32_t>(i);
      const Node& n = graph_.nodes[i];
      if (!n.op) complain("it has no op");
      if (n.op->has(is_input) && n.outputs.size() == 1)
        given_.insert(n.outputs[0].shape.begin(), n.outputs[0].shape.end());
      if (n.name.empty()) complain("its name is empty");
      if (!names.insert(n.name).second) complain("another node has its name");
      check_attributes(n);
      check_inputs(n);
      check_outputs(n);
      copy_.nodes.push_back(n);
      check_specs(n);
    }
    id_ = -1;
    check_interface();
  }

 private:
  [[noreturn]] void complain(const std::string& message) const {
    std::string text = fmt::format("after {}: ", after_);
    Location where;
    if (id_ >= 0) {
      const Node& n = graph_.node(id_);
      text += fmt::format("node {} (%{}{}): ", id_, n.name, n.op ? " = " + std::string(n.op->name) : "");
      where = n.where;
    }
    Error e(ErrorCode::internal, text + message);
    e.set_origin("verify", where);
    throw e;
  }

  void check_attributes(const Node& n) const {
    if (n.attributes.type() != n.op->attributes) complain("its attributes are of another op's type");
    if (n.op->has(is_constant)) {
      const Tensor& value = n.attributes.as<ConstantAttributes>().value;
      if (!value.defined() || value.is_symbolic()) complain("the constant has no value");
    }
  }

  void check_inputs(const Node& n) const {
    const auto& defs = n.op->inputs;
    const bool variadic = !defs.empty() && (defs.back().flags & InputDef::variadic);
    const auto count = static_cast<size_t>(n.inputs.size());
    if (count > defs.size() && !variadic)
      complain(fmt::format("it has {} inputs; at most {} are taken", count, defs.size()));
    for (size_t i = 0; i < std::max(count, defs.size()); ++i) {
      const InputDef& def = defs[std::min(i, defs.size() - 1)];
      const bool may_lack =
          (def.flags & InputDef::optional) || (i >= count && (def.flags & InputDef::variadic));
      if (i >= count || !n.inputs[static_cast<int>(i)].present()) {
        if (!may_lack) complain(fmt::format("input {} ({}) is missing", i, def.name));
        continue;
      }
      const ValueRef v = n.inputs[static_cast<int>(i)];
      if (v.node >= id_)
        complain(fmt::format("input {} is node {}, which does not stand before it", i, v.node));
      const int available = graph_.node(v.node).outputs.size();
      if (v.output < 0 || v.output >= available)
        complain(fmt::format("input {} is output {} of %{}, which has {}", i, v.output,
                             graph_.node(v.node).name, available));
    }
  }

  void check_outputs(const Node& n) const {
    if (n.op->output_count >= 0 && n.outputs.size() != n.op->output_count)
      complain(fmt::format("it has {} outputs; its op gives {}", n.outputs.size(), n.op->output_count));
    for (int i = 0; i < n.outputs.size(); ++i)
      for (int64_t d : n.outputs[i].shape)
        if (d < -1 && !is_symbol(d)) complain(fmt::format("output {} has the size {}", i, d));
  }

  // What is written down may know more or less than inference; it may not contradict it.
  bool agree(int64_t written, int64_t inferred, int64_t first_fresh) const {
    if (written == inferred || written == -1 || inferred == -1) return true;
    if (inferred <= first_fresh) return true;  // a size nothing is known of
    // A symbol of the graph's own may turn out to be another, once a pass has made a value known.
    if (may_fail_ && is_symbol(written) && is_symbol(inferred) && !given_.contains(written)) return true;
    return written < 0 || inferred < 0 ? written >= 0 || inferred >= 0 : false;
  }

  void check_specs(const Node& n) {
    // The shape of a variable without a fixed one depends on when it is asked for.
    if (n.op->has(reads_variable)) return;
    const int64_t first_fresh = copy_.next_symbol;
    SmallVector<Spec, 1> inferred;
    try {
      inferred = inference_.infer(*n.op, n.attributes.get(), n.inputs);
    } catch (const Error& e) {
      if (may_fail_) return;
      complain("inference fails: " + e.message());
    }
    if (inferred.size() != n.outputs.size())
      complain(fmt::format("it has {} outputs; inference gives {}", n.outputs.size(), inferred.size()));
    for (int i = 0; i < inferred.size(); ++i) {
      const Spec &w = n.outputs[i], &s = inferred[i];
      bool fits = w.dtype == s.dtype && w.device == s.device && w.shape.rank() == s.shape.rank();
      // Ops with bodies say what was known when they were recorded; passes may have found equal sizes since.
      const auto open = [&](int64_t size) { return n.op->has(has_bodies) && is_symbol(size); };
      for (int d = 0; fits && d < w.shape.rank(); ++d)
        fits = open(s.shape[d]) || agree(w.shape[d], s.shape[d], first_fresh);
      if (!fits)
        complain(fmt::format("output {} is written as {}; inference gives {}", i, to_text(w), to_text(s)));
    }
  }

  void check_interface() {
    std::vector<int> listed(graph_.nodes.size(), 0);
    for (size_t i = 0; i < graph_.inputs.size(); ++i) {
      const int32_t id = graph_.inputs[i];
      if (id < 0 || static_cast<size_t>(id) >= graph_.nodes.size() || !graph_.node(id).op->has(is_input))
        complain(fmt::format("argument {} is node {}, which is no input", i, id));
      if (listed[static_cast<size_t>(id)]++) complain(fmt::format("argument {} is listed twice", i));
      const auto& a = graph_.node(id).attributes.as<InputAttributes>();
      if (a.index != static_cast<int64_t>(i))
        complain(fmt::format("argument {} says that it is argument {}", i, a.index));
    }
    for (size_t i = 0; i < graph_.nodes.size(); ++i)
      if (graph_.nodes[i].op->has(is_input) && !listed[i])
        complain(fmt::format("the input %{} is not listed among the arguments", graph_.nodes[i].name));
    for (size_t i = 0; i < graph_.outputs.size(); ++i) {
      const ValueRef v = graph_.outputs[i];
      if (!v.present()) continue;
      if (static_cast<size_t>(v.node) >= graph_.nodes.size() || v.output < 0 ||
          v.output >= graph_.node(v.node).outputs.size())
        complain(fmt::format("result {} is output {} of node {}, which does not exist", i, v.output, v.node));
    }
  }

  const Graph& graph_;
  std::string_view after_;
  bool may_fail_;
  std::set<int64_t> given_;  // sizes of arguments
  Graph copy_;
  GraphInference inference_;
  int32_t id_ = -1;
};

constexpr uint32_t ordered = effect | reads_variable | writes_variable;

std::vector<Spec> specs_of(const Graph& graph, const std::vector<ValueRef>& values) {
  std::vector<Spec> specs;
  for (ValueRef v : values) specs.push_back(v.present() ? graph.spec(v) : Spec());
  return specs;
}

std::vector<ValueRef> inputs_of(const Graph& graph) {
  std::vector<ValueRef> values;
  for (int32_t id : graph.inputs) values.push_back({id, 0});
  return values;
}

}  // namespace

void verify(const Graph& graph, std::string_view after, bool may_fail) {
  Verifier(graph, after, may_fail).run();
}

std::vector<Interface::Effect> Interface::effects_of(const Graph& graph) {
  std::vector<Effect> effects;
  for (const Node& n : graph.nodes)
    if (n.op->traits & ordered) {
      const bool bodies = n.op->has(tandem::has_bodies);
      effects.push_back({n.name, !bodies && (must_run(n) || n.op->has(writes_variable)), bodies});
    }
  return effects;
}

Interface::Interface(const Graph& graph)
    : inputs_(specs_of(graph, inputs_of(graph))),
      outputs_(specs_of(graph, graph.outputs)),
      effects_(effects_of(graph)) {}

void Interface::check(const Graph& graph, std::string_view after) const {
  auto complain = [&](const std::string& message) {
    fail(ErrorCode::internal, "after {}: {}", after, message);
  };
  if (specs_of(graph, inputs_of(graph)) != inputs_) complain("the graph's arguments have changed");
  const std::vector<Spec> outputs = specs_of(graph, graph.outputs);
  if (outputs.size() != outputs_.size())
    complain(fmt::format("the graph has {} results; it had {}", outputs.size(), outputs_.size()));
  for (size_t i = 0; i < outputs.size(); ++i) {
    const Spec &is = outputs[i], &was = outputs_[i];
    bool fits = is.dtype == was.dtype && is.shape.rank() == was.shape.rank();
    // A size may become known; one that is known stays.
    for (int d = 0; fits && d < is.shape.rank(); ++d) fits = was.shape[d] < 0 || is.shape[d] == was.shape[d];
    if (!fits) complain(fmt::format("result {} is {}; it was {}", i, to_text(is), to_text(was)));
  }
  size_t at = 0;
  const auto pass_over = [&] {
    if (effects_[at].must_stay)
      complain(fmt::format("the effect %{} is lost or out of order", effects_[at].name));
    ++at;
  };
  for (const Effect& e : effects_of(graph)) {
    const auto begin = effects_.begin() + static_cast<ptrdiff_t>(at);
    const auto found =
        std::find_if(begin, effects_.end(), [&](const Effect& before) { return before.name == e.name; });
    if (found == effects_.end()) {
      while (at < effects_.size() && !effects_[at].has_bodies && !effects_[at].must_stay) ++at;
      const bool opened = at < effects_.size() && effects_[at].has_bodies;
      if (!opened) complain(fmt::format("the effect %{} is new or out of order", e.name));
      continue;
    }
    while (at < effects_.size() && effects_[at].name != e.name) pass_over();
    ++at;
  }
  while (at < effects_.size()) pass_over();
}

}  // namespace tandem
