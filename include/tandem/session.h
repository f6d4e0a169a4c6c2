#pragma once
// Manual graphs, as in TensorFlow 1: build a Graph, then run parts of it in a Session.

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tandem/control_flow.h"
#include "tandem/location.h"
#include "tandem/run_scope.h"
#include "tandem/tensor.h"
#include "tandem/variable.h"

namespace tandem::v1 {

namespace detail {
struct GraphState;
struct SessionState;
}  // namespace detail

/// A graph under construction. Operations called while it is the default are recorded, not run.
///
///     td::v1::Graph graph;
///     td::Tensor x, y;
///     {
///       auto scope = graph.as_default();
///       x = td::v1::placeholder({-1, 3}, td::float32, "x");
///       y = td::sum(x * 2);
///     }
///     td::v1::Session session(graph);
///     td::Tensor value = session.run(y, {{x, td::ones({4, 3})}});
class Graph {
 public:
  explicit Graph(std::string name = "graph");

  /// Makes this the graph that this thread's operations go to, until the scope ends.
  class Scope {
   public:
    explicit Scope(std::shared_ptr<detail::GraphState> state);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    std::shared_ptr<detail::GraphState> state_;
    void* saved_mode_;
  };
  Scope as_default() { return Scope(state_); }

  const std::string& name() const;
  int node_count() const;
  /// The tensor called `name`, as in "mul:0". Errors: there is none.
  Tensor tensor(const std::string& name, Location where = here()) const;
  /// The graph as text, complete: import_graph reads it.
  std::string to_string() const;

  const std::shared_ptr<detail::GraphState>& state() const { return state_; }

 private:
  std::shared_ptr<detail::GraphState> state_;
};

/// An argument of the default graph; -1 stands for any size. Errors: outside of a graph.
Tensor placeholder(const Shape& shape, DType dtype = float32, const std::string& name = "placeholder",
                   Location where = here());
/// A variable of the default graph. Each Session has a value of its own, given by Session::initialize().
Variable variable(const std::function<Tensor()>& initial_value, VariableOptions options = {},
                  Location where = here());
/// Runs `body` so that what it records waits for `before` (tensors, or effects given by the tensors they
/// use).
void control_dependencies(const std::vector<Tensor>& before, const std::function<void()>& body,
                          Location where = here());
/// A tensor whose fetching runs the effects recorded by `body`: how an assignment or a print is run.
///
///     td::Tensor step = td::v1::operation([&] { v.assign_add(1.f); });
///     session.run(step);
Tensor operation(const std::function<void()>& body, Location where = here());

/// Adds a graph written by Graph::to_string() to the default graph, source lines included: names begin with
/// `prefix`, variables are those of the default graph that have the text's names. Errors: text that is no
/// graph; a name that is taken; a variable that is not there; what text does not hold, such as branches and
/// loops.
void import_graph(const std::string& text, const std::string& prefix = "", Location where = here());

/// What to run: a tensor of the graph, or its name ("mul:0").
class Fetch {
 public:
  Fetch(const Tensor& tensor) : tensor_(tensor) {}
  Fetch(const char* name) : name_(name) {}
  Fetch(std::string name) : name_(std::move(name)) {}
  const Tensor& tensor() const { return tensor_; }
  const std::string& name() const { return name_; }

 private:
  Tensor tensor_;
  std::string name_;
};

/// Values for tensors of the graph, for one run.
using Feeds = std::vector<std::pair<Fetch, Tensor>>;

/// Runs parts of a Graph, with variable values of its own. Any number of threads may run it at once.
class Session {
 public:
  explicit Session(const Graph& graph);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Gives every variable of the graph its initial value.
  void initialize(Location where = here());
  /// The values of `fetches`; only what they need runs, each node at most once. `feeds` replaces any tensors
  /// of the graph. Errors: an unknown name, a placeholder that is needed and not fed, a fed value of another
  /// dtype or shape, a tensor of another graph, a closed session.
  /// `options`: a limit, a token that ends it, or where to note the time of each operation.
  std::vector<Tensor> run(const std::vector<Fetch>& fetches, const Feeds& feeds = {},
                          const RunOptions& options = {}, Location where = here());
  Tensor run(const Fetch& fetch, const Feeds& feeds = {}, const RunOptions& options = {},
             Location where = here());
  /// Any structure of the graph's tensors, with their values in place: a map, a tuple, nests of them.
  ///
  ///     auto [loss, state] = session.run(std::tuple{loss_tensor, std::map<std::string, td::Tensor>{...}});
  template <Structurable T>
  requires(!std::is_convertible_v<T, Fetch> && !std::is_same_v<T, std::vector<Fetch>>) T
      run(const T& fetches, const Feeds& feeds = {}, const RunOptions& options = {},
          Location where = here()) {
    const std::vector<Tensor> leaves = tandem::detail::leaves_of(fetches);
    return tandem::detail::with_leaves(
        fetches, run(std::vector<Fetch>(leaves.begin(), leaves.end()), feeds, options, where));
  }
  /// The same run prepared once: values in the order of `fed`.
  std::function<std::vector<Tensor>(const std::vector<Tensor>&)> make_callable(
      const std::vector<Fetch>& fetches, const std::vector<Fetch>& fed = {}, Location where = here());
  /// The session's value of a variable.
  Tensor value(const Variable& variable, Location where = here());
  void close();

 private:
  std::shared_ptr<detail::SessionState> state_;
};

}  // namespace tandem::v1
