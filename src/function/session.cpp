#include "tandem/session.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <set>

#include "compiler/compiled_graph.h"
#include "core/named.h"
#include "function/trace_mode.h"
#include "graph/text.h"
#include "ops/dispatch.h"
#include "ops/variable_impl.h"
#include "tandem/ops.h"

namespace tandem::v1 {

using tandem::detail::VariableImpl;

namespace detail {

struct GraphState {
  std::string name;
  TraceMode trace;
  std::recursive_mutex mutex;  // held while the graph is the default, and while a run reads it
  std::vector<std::pair<std::shared_ptr<VariableImpl>, std::function<Tensor()>>> variables;
  std::multimap<int32_t, int32_t> control;  // node -> nodes that must run before it
  std::vector<int32_t> waiting_for;         // of the control_dependencies now open
  int32_t marked = 0;                       // nodes before this have their control edges
};

/// A part of a graph, made ready to run.
struct PreparedRun {
  std::unique_ptr<CompiledGraph> compiled;
  std::vector<ValueRef> fed;
  std::vector<Spec> fed_specs;
  std::vector<std::string> fed_names;
};

struct SessionState {
  std::shared_ptr<GraphState> graph;
  std::mutex mutex;
  std::map<std::pair<std::vector<ValueRef>, std::vector<ValueRef>>, std::shared_ptr<PreparedRun>> prepared;
  std::map<VariableImpl*, Tensor> values;
  std::atomic<bool> closed{false};
};

}  // namespace detail

namespace {

using detail::GraphState;
using detail::PreparedRun;
using detail::SessionState;
using tandem::detail::named;

thread_local GraphState* default_graph = nullptr;

GraphState& current_graph() {
  TD_CHECK(default_graph != nullptr,
           "there is no default graph; open one with `auto scope = graph.as_default();`");
  return *default_graph;
}

// Everything recorded since the last call waits for what is open now.
void mark_control_edges(GraphState& g) {
  const auto end = static_cast<int32_t>(g.trace.graph.nodes.size());
  for (int32_t id = g.marked; id < end; ++id)
    for (int32_t before : g.waiting_for) g.control.emplace(id, before);
  g.marked = end;
}

ValueRef find_value(GraphState& g, const Fetch& fetch, const char* what) {
  if (fetch.tensor().defined()) {
    const tandem::detail::TensorImpl* t = fetch.tensor().impl();
    TD_CHECK(t->kind == tandem::detail::TensorImpl::Kind::symbolic,
             "the {} {} is a value, not a tensor of the graph \"{}\"", what, to_string(fetch.tensor()),
             g.name);
    TD_CHECK(t->trace == &g.trace, "the {} {} belongs to another graph than \"{}\"", what,
             to_string(fetch.tensor()), g.name);
    return g.trace.value_of(fetch.tensor(), {});
  }
  TD_CHECK(!fetch.name().empty(), "an empty tensor handle is no {}", what);
  const size_t colon = fetch.name().rfind(':');
  const std::string base = fetch.name().substr(0, colon);
  for (size_t i = 0; i < g.trace.graph.nodes.size(); ++i) {
    const Node& n = g.trace.graph.nodes[i];
    if (n.name != base) continue;
    const int output = colon == std::string::npos ? 0 : std::atoi(fetch.name().c_str() + colon + 1);
    TD_CHECK(output >= 0 && output < n.outputs.size(),
             "the operation \"{}\" has {} outputs; \"{}\" is none of them", base, n.outputs.size(),
             fetch.name());
    return {static_cast<int32_t>(i), output};
  }
  fail("the graph \"{}\" has no tensor \"{}\"", g.name, fetch.name());
}

// The nodes that the fetches need, with fed values cut off from what computes them.
std::shared_ptr<PreparedRun> prepare_run(GraphState& g, const std::vector<ValueRef>& fetches,
                                         const std::vector<ValueRef>& fed) {
  const tandem::Graph& all = g.trace.graph;
  auto run = std::make_shared<PreparedRun>();
  const std::set<ValueRef> is_fed(fed.begin(), fed.end());
  std::vector<bool> needed(all.nodes.size(), false);
  auto need = [&](ValueRef v) {
    if (v.present() && !is_fed.contains(v)) needed[static_cast<size_t>(v.node)] = true;
  };
  for (ValueRef v : fetches) need(v);
  for (size_t i = all.nodes.size(); i-- > 0;) {
    if (!needed[i]) continue;
    for (ValueRef v : all.nodes[i].inputs) need(v);
    const auto [first, last] = g.control.equal_range(static_cast<int32_t>(i));
    for (auto it = first; it != last; ++it) needed[static_cast<size_t>(it->second)] = true;
  }
  tandem::Graph part;
  part.next_symbol = all.next_symbol;
  std::map<ValueRef, ValueRef> here;
  for (ValueRef v : fed) {
    run->fed.push_back(v);
    run->fed_specs.push_back(all.spec(v));
    run->fed_names.push_back(all.name_of(v));
    here[v] = part.add_input(all.node(v.node).name, all.spec(v));
  }
  for (size_t i = 0; i < all.nodes.size(); ++i) {
    if (!needed[i]) continue;
    const Node& n = all.nodes[i];
    TD_CHECK(!n.op->has(is_input), "the placeholder \"{}\" is needed and was not fed", n.name);
    std::vector<ValueRef> inputs;
    for (ValueRef v : n.inputs) inputs.push_back(v.present() ? here.at(v) : ValueRef{});
    const int32_t id = part.add(*n.op, n.attributes, inputs, n.outputs, n.where, n.name);
    part.node(id).calls = n.calls;
    for (int k = 0; k < n.outputs.size(); ++k)
      here.try_emplace({static_cast<int32_t>(i), k}, ValueRef{id, k});
  }
  for (ValueRef v : fetches) part.outputs.push_back(here.at(v));
  run->compiled = std::make_unique<CompiledGraph>(std::move(part), PipelineOptions());
  return run;
}

void check_open(const SessionState& s) { TD_CHECK(!s.closed, "the session is closed"); }

void check_feeds(const PreparedRun& run, const std::vector<Tensor>& values) {
  for (size_t i = 0; i < values.size(); ++i) {
    const Tensor& t = values[i];
    const Spec& spec = run.fed_specs[i];
    TD_CHECK(t.defined(), "the value for \"{}\" is an empty tensor handle", run.fed_names[i]);
    TD_CHECK(!t.is_symbolic(), "the value for \"{}\" is the symbolic tensor {}; feed a value",
             run.fed_names[i], to_string(t));
    TD_CHECK(t.dtype() == spec.dtype, "\"{}\" has dtype {} and was fed {}", run.fed_names[i], spec.dtype,
             t.dtype());
    bool fits = t.rank() == spec.shape.rank();
    for (int d = 0; fits && d < t.rank(); ++d)
      fits = spec.shape[d] < 0 || spec.shape[d] == t.shape().codes()[d];
    TD_CHECK(fits, "\"{}\" has shape {} and was fed {}", run.fed_names[i], spec.shape, t.shape());
  }
}

std::vector<Tensor> run_prepared(SessionState& s, PreparedRun& run, const std::vector<Tensor>& values) {
  check_feeds(run, values);
  std::vector<Tensor> outputs(static_cast<size_t>(run.compiled->output_count()));
  const ModeScope eager(nullptr);
  const auto& variables = s.graph->variables;
  if (variables.empty()) {
    run.compiled->run(values, outputs);
    return outputs;
  }
  // The cells hold this session's values for the time of the run.
  std::vector<std::unique_lock<tandem::detail::RecursiveLock>> locks;
  std::vector<VariableImpl*> cells;
  for (const auto& v : variables) cells.push_back(v.first.get());
  std::sort(cells.begin(), cells.end());
  for (VariableImpl* v : cells) locks.emplace_back(v->call_mutex);
  {
    const std::lock_guard<std::mutex> lock(s.mutex);
    for (VariableImpl* v : cells) v->store(s.values[v]);
  }
  struct Keep {
    SessionState& session;
    const std::vector<VariableImpl*>& cells;
    ~Keep() {
      const std::lock_guard<std::mutex> lock(session.mutex);
      for (VariableImpl* v : cells) {
        session.values[v] = v->load();
        v->store({});
      }
    }
  } keep{s, cells};
  run.compiled->run(values, outputs);
  return outputs;
}

std::shared_ptr<PreparedRun> prepared(SessionState& s, const std::vector<Fetch>& fetches,
                                      const std::vector<Fetch>& fed) {
  check_open(s);
  GraphState& g = *s.graph;
  const std::lock_guard<std::recursive_mutex> graph_lock(g.mutex);
  TD_CHECK(!g.trace.graph.nodes.empty(), "the graph \"{}\" is empty", g.name);
  std::pair<std::vector<ValueRef>, std::vector<ValueRef>> key;
  for (const Fetch& f : fetches) key.first.push_back(find_value(g, f, "fetch"));
  for (const Fetch& f : fed) key.second.push_back(find_value(g, f, "feed"));
  const std::lock_guard<std::mutex> lock(s.mutex);
  std::shared_ptr<PreparedRun>& run = s.prepared[key];
  if (!run) {
    const ModeScope eager(nullptr);
    run = prepare_run(g, key.first, key.second);
  }
  return run;
}

}  // namespace

// ---- graphs

Graph::Graph(std::string name) : state_(std::make_shared<GraphState>()) {
  state_->name = std::move(name);
  state_->trace.may_create_variables = true;
}

Graph::Scope::Scope(std::shared_ptr<GraphState> state)
    : state_(std::move(state)), saved_mode_(tandem::detail::current_mode) {
  state_->mutex.lock();
  tandem::detail::current_mode = &state_->trace;
  default_graph = state_.get();
}

Graph::Scope::~Scope() {
  mark_control_edges(*state_);
  tandem::detail::current_mode = static_cast<Mode*>(saved_mode_);
  default_graph = nullptr;
  state_->mutex.unlock();
}

const std::string& Graph::name() const { return state_->name; }
std::string Graph::to_string() const {
  const std::lock_guard<std::recursive_mutex> lock(state_->mutex);
  return to_text(state_->trace.graph, {.complete_constants = true});
}

int Graph::node_count() const { return static_cast<int>(state_->trace.graph.nodes.size()); }

Tensor Graph::tensor(const std::string& name, Location where) const {
  return named("tensor", where,
               [&] { return state_->trace.tensor_of(find_value(*state_, Fetch(name), "tensor")); });
}

Tensor placeholder(const Shape& shape, DType dtype, const std::string& name, Location where) {
  return named("placeholder", where, [&] {
    GraphState& g = current_graph();
    Shape sizes = shape;
    for (int64_t& d : sizes)
      if (d < 0) d = g.trace.fresh_symbol();
    return g.trace.add_input(name, {dtype, sizes, {}});
  });
}

Variable variable(const std::function<Tensor()>& initial_value, VariableOptions options, Location where) {
  return named("variable", where, [&] {
    GraphState& g = current_graph();
    Variable v(initial_value, std::move(options), where);
    v.impl()->store({});  // sessions have the values
    g.variables.emplace_back(v.impl(), initial_value);
    return v;
  });
}

void import_graph(const std::string& text, const std::string& prefix, Location where) {
  named("import_graph", where, [&] {
    GraphState& g = current_graph();
    mark_control_edges(g);
    const tandem::Graph found =
        parse_graph(text, {.variables = [&](std::string_view name) -> std::shared_ptr<VariableImpl> {
                      for (const auto& [cell, initial] : g.variables)
                        if (cell->name == name) return cell;
                      return nullptr;
                    }});
    std::set<std::string_view> taken;
    for (const Node& n : g.trace.graph.nodes) taken.insert(n.name);
    for (const Node& n : found.nodes)
      TD_CHECK(!taken.contains(prefix + n.name),
               "the graph \"{}\" has an operation \"{}\" already; import under another prefix", g.name,
               prefix + n.name);
    g.trace.add_graph(found, prefix);
    mark_control_edges(g);
  });
}

void control_dependencies(const std::vector<Tensor>& before, const std::function<void()>& body,
                          Location where) {
  named("control_dependencies", where, [&] {
    GraphState& g = current_graph();
    mark_control_edges(g);
    const std::vector<int32_t> outer = g.waiting_for;
    for (const Tensor& t : before) g.waiting_for.push_back(find_value(g, t, "dependency").node);
    body();
    mark_control_edges(g);
    g.waiting_for = outer;
  });
}

Tensor operation(const std::function<void()>& body, Location where) {
  return named("operation", where, [&] {
    GraphState& g = current_graph();
    mark_control_edges(g);
    const auto first = static_cast<int32_t>(g.trace.graph.nodes.size());
    body();
    mark_control_edges(g);
    const auto end = static_cast<int32_t>(g.trace.graph.nodes.size());
    // A value of nothing that waits for every effect of the body.
    const CallSite site(where);
    Tensor done = identity(Tensor(true));
    const ValueRef v = g.trace.value_of(done, where);
    for (int32_t id = first; id < end; ++id)
      if (g.trace.graph.node(id).op->has(effect)) g.control.emplace(v.node, id);
    mark_control_edges(g);
    return done;
  });
}

// ---- sessions

Session::Session(const Graph& graph) : state_(std::make_shared<SessionState>()) {
  state_->graph = graph.state();
}
Session::~Session() { close(); }

void Session::initialize(Location where) {
  named("initialize", where, [&] {
    check_open(*state_);
    const std::lock_guard<std::recursive_mutex> graph_lock(state_->graph->mutex);
    const ModeScope eager(nullptr);
    for (const auto& [cell, initial] : state_->graph->variables) {
      const Tensor value = initial().contiguous();
      const std::lock_guard<std::mutex> lock(state_->mutex);
      state_->values[cell.get()] = value;
    }
  });
}

std::vector<Tensor> Session::run(const std::vector<Fetch>& fetches, const Feeds& feeds,
                                 const RunOptions& options, Location where) {
  return named("run", where, [&] {
    std::optional<RunScope> scope;
    if (options.cancellation || options.timeout || options.metadata) scope.emplace(options);
    std::vector<Fetch> fed;
    std::vector<Tensor> values;
    for (const auto& [tensor, value] : feeds) {
      fed.push_back(tensor);
      values.push_back(value);
    }
    const std::shared_ptr<SessionState> state = state_;
    const auto run = prepared(*state, fetches, fed);
    return run_prepared(*state, *run, values);
  });
}

Tensor Session::run(const Fetch& fetch, const Feeds& feeds, const RunOptions& options, Location where) {
  return run(std::vector<Fetch>{fetch}, feeds, options, where)[0];
}

std::function<std::vector<Tensor>(const std::vector<Tensor>&)> Session::make_callable(
    const std::vector<Fetch>& fetches, const std::vector<Fetch>& fed, Location where) {
  return named("make_callable", where, [&] {
    auto run = prepared(*state_, fetches, fed);
    return [state = state_, run, where](const std::vector<Tensor>& values) {
      return named("run", where, [&] {
        check_open(*state);
        TD_CHECK(values.size() == run->fed.size(), "{} values were given for {} feeds", values.size(),
                 run->fed.size());
        return run_prepared(*state, *run, values);
      });
    };
  });
}

Tensor Session::value(const Variable& variable, Location where) {
  return named("value", where, [&] {
    check_open(*state_);
    const std::lock_guard<std::mutex> lock(state_->mutex);
    const auto found = state_->values.find(variable.impl().get());
    TD_CHECK(found != state_->values.end() && found->second.defined(),
             "variable {} has no value in this session; call initialize() first", variable.name());
    return found->second;
  });
}

void Session::close() { state_->closed = true; }

}  // namespace tandem::v1
