// recompute: what a function computes is dropped, and computed again on the way back.

#include "tandem/recompute.h"

#include <algorithm>
#include <map>
#include <set>

#include "core/named.h"
#include "function/differentiate.h"
#include "function/recorded_body.h"
#include "ops/custom.h"
#include "ops/structured.h"
#include "ops/variable_impl.h"
#include "tandem/ops/shape.h"
#include "tandem/tape.h"

namespace tandem {

namespace {

using List = std::vector<Tensor>;
using Body = std::function<List(const List&)>;
using VariablePointer = std::shared_ptr<detail::VariableImpl>;

const VariableAttributes& variable_of(const void* attributes) {
  return *static_cast<const VariableAttributes*>(attributes);
}

/// What a first run must tell the second, so that that one does the same.
struct FirstRun {
  std::vector<VariablePointer> trainable;  // in order of first read
  List draws;                              // results of ops that take from a generator
  std::vector<std::pair<VariablePointer, Tensor>>
      assigned;  // variables that are assigned, and what they held
};

bool takes_state(const OpDef& op) { return op.has(reads_variable) && op.has(writes_variable); }

/// Lies over the mode that runs a body, and sees its effects.
class RunMode : public Mode {
 public:
  bool opens_functions() const override { return true; }

 protected:
  void pass_on(const OpDef& op, const void* attributes, Operands operands, Location where, Tensors& outputs) {
    const ModeScope scope(below_);
    if (below_)
      below_->apply(op, attributes, operands, where, outputs);
    else
      evaluate(op, attributes, operands, where, outputs);
  }
};

class FirstRunMode final : public RunMode {
 public:
  explicit FirstRunMode(FirstRun& run) : run_(run) {}

  void apply(const OpDef& op, const void* attributes, Operands operands, Location where,
             Tensors& outputs) override {
    if (op.has(has_bodies)) {
      const Structured& inside = *static_cast<const StructuredAttributes*>(attributes)->structured;
      TD_CHECK(
          !inside.has_effects(),
          "a cond or while_loop inside has effects (random numbers, assignments, prints), which its second "
          "run would repeat; move them out of the recomputed function");
      for (const VariablePointer& v : inside.variables()) note_trainable(v);
    }
    if (op.has(writes_variable) && !op.has(reads_variable)) note_assigned(variable_of(attributes).variable);
    pass_on(op, attributes, operands, where, outputs);
    if (takes_state(op)) {
      run_.draws.insert(run_.draws.end(), outputs.begin(), outputs.end());
    } else if (op.has(reads_variable)) {
      const VariablePointer& v = variable_of(attributes).variable;
      note_trainable(v);
      first_reads_.try_emplace(v.get(), outputs[0]);
    }
  }

 private:
  void note_trainable(const VariablePointer& v) {
    if (v->trainable && is_floating(v->spec.dtype) &&
        std::find(run_.trainable.begin(), run_.trainable.end(), v) == run_.trainable.end())
      run_.trainable.push_back(v);
  }
  // A read after the first assignment sees what was assigned; only one before it sees what must be kept.
  void note_assigned(const VariablePointer& v) {
    const auto read = first_reads_.find(v.get());
    if (!assigned_.insert(v.get()).second) return;
    if (read != first_reads_.end()) run_.assigned.emplace_back(v, read->second);
    first_reads_.try_emplace(v.get(), Tensor());
  }

  FirstRun& run_;
  std::map<const detail::VariableImpl*, Tensor> first_reads_;
  std::set<const detail::VariableImpl*> assigned_;
};

class SecondRunMode final : public RunMode {
 public:
  /// `draws` and `held` are FirstRun's, as this way back knows them.
  SecondRunMode(List draws, const std::vector<VariablePointer>& assigned, const List& held)
      : draws_(std::move(draws)) {
    for (size_t i = 0; i < assigned.size(); ++i) values_[assigned[i].get()] = held[i];
  }

  void apply(const OpDef& op, const void* attributes, Operands operands, Location where,
             Tensors& outputs) override {
    if (takes_state(op)) {
      for (int i = 0; i < op.output_count; ++i) outputs.push_back(draws_.at(next_++));
    } else if (op.has(writes_variable)) {
      values_[variable_of(attributes).variable.get()] = to_tensor(*operands[0]);
    } else if (op.has(effect) && op.output_count == 0) {
      return;  // prints and checks have had their say
    } else {
      if (op.has(reads_variable))
        if (const auto known = values_.find(variable_of(attributes).variable.get()); known != values_.end()) {
          const ModeScope scope(below_);
          outputs.push_back(identity(known->second));
          return;
        }
      pass_on(op, attributes, operands, where, outputs);
    }
  }

 private:
  List draws_;
  size_t next_ = 0;
  std::map<const detail::VariableImpl*, Tensor> values_;
};

/// The op's rule. Its inputs: the results, the arguments, the first run's draws, what assigned variables
/// held, and what the body captures.
class Recomputation final : public Structured, public std::enable_shared_from_this<Recomputation> {
 public:
  Body body;
  int results = 0, arguments = 0, draws = 0;
  std::vector<VariablePointer> trainable, assigned;

  std::vector<VariablePointer> variables() const override { return trainable; }
  bool has_effects() const override { return false; }
  std::unique_ptr<Backward> apply_recording(std::span<const Tensor> inputs, const std::vector<bool>& needed,
                                            Location where, Tensors& outputs) override;
};

struct RecomputeAttributes : StructuredAttributes {
  int results = 0;
  static constexpr auto fields() { return std::tuple{}; }
};

struct Recompute {
  static constexpr std::string_view name = "Recompute", domain = "ai.tandem";
  using Attributes = RecomputeAttributes;
  static constexpr std::array<InputDef, 1> inputs{{{"inputs", types::all, -1, InputDef::variadic}}};
  static constexpr int outputs = -1;
  static constexpr uint32_t traits = has_bodies | pass_through;
  static void infer(InferContext& c, const Attributes& a) {
    for (int i = 0; i < a.results; ++i) c.output(c.dtype(i), c.shape(i));
  }
  static void run_tensors(const Attributes&, std::span<const Tensor> in, std::span<Tensor> out) {
    for (size_t i = 0; i < out.size(); ++i) out[i] = identity(in[i]);
  }
  static Tensors gradient(const Gradient&) { return {}; }  // the tape goes through Structured
  static std::vector<Sample> samples() { return {}; }
};

void apply_recompute(const std::shared_ptr<Recomputation>& how, std::span<const Tensor> inputs,
                     Location where, Tensors& outputs) {
  RecomputeAttributes a;
  a.structured = how;
  a.results = how->results;
  std::vector<Operand> operands;
  for (const Tensor& t : inputs) operands.emplace_back(t, where);
  std::vector<const Operand*> list;
  for (const Operand& o : operands) list.push_back(&o);
  apply(op_def<Recompute>, &a, list, outputs);
}

class RecomputeBackward final : public Backward {
 public:
  RecomputeBackward(std::shared_ptr<const Recomputation> how, List inputs, std::vector<bool> needed)
      : how_(std::move(how)), inputs_(std::move(inputs)), needed_(std::move(needed)) {}

  void run(std::span<const Tensor> output_gradients, std::span<Tensor> sums) override {
    const Recomputation& how = *how_;
    const auto part = [&](int from, int count) {
      return List(inputs_.begin() + from, inputs_.begin() + from + count);
    };
    const int after_arguments = how.results + how.arguments;
    const List draws = part(after_arguments, how.draws);
    const auto assigned = static_cast<int>(how.assigned.size());
    const List held = part(after_arguments + how.draws, assigned);
    const int captures = after_arguments + how.draws + assigned;
    // In a trace nothing may take the second run for the first, which would be kept for it.
    const bool traced = current_mode() && current_mode()->is_tracing();
    const Tensor& arrived = *std::find_if(output_gradients.begin(), output_gradients.end(),
                                          [](const Tensor& t) { return t.defined(); });
    List given;
    for (int i = 0; i < how.arguments; ++i) {
      const Tensor& x = inputs_[static_cast<size_t>(how.results + i)];
      given.push_back(traced ? fence(x, arrived) : identity(x));
    }
    std::vector<GradientSource> sources;
    List running;
    std::vector<size_t> places;
    for (size_t i = 0; i < needed_.size(); ++i) {
      if (!needed_[i]) continue;
      if (i >= inputs_.size())
        sources.emplace_back(Variable::from_impl(how.trainable[i - inputs_.size()]));
      else if (const int argument = static_cast<int>(i) - how.results;
               argument >= 0 && argument < how.arguments)
        sources.emplace_back(given[static_cast<size_t>(argument)]);
      else
        continue;
      places.push_back(i);
      running.push_back(sums[i]);
    }
    if (sources.empty()) return;
    SecondRunMode second(draws, how.assigned, held);
    second.set_below(current_mode());
    const ModeScope scope(&second);
    GradientTape tape({.persistent = false, .watch_accessed_variables = false});
    for (const GradientSource& s : sources) tape.watch(s);
    for (size_t i = static_cast<size_t>(captures); i < inputs_.size(); ++i) given.push_back(inputs_[i]);
    const List values = how.body(given);
    tape.stop();
    const ModeScope plain(second.below());
    List targets, weights;
    for (size_t i = 0; i < values.size(); ++i)
      if (output_gradients[i].defined()) {
        targets.push_back(values[i]);
        weights.push_back(output_gradients[i]);
      }
    const List found = tape.gradients_onto(targets, weights, sources, running);
    for (size_t i = 0; i < places.size(); ++i) sums[places[i]] = found[i];
  }

 private:
  std::shared_ptr<const Recomputation> how_;
  List inputs_;
  std::vector<bool> needed_;
};

std::unique_ptr<Backward> Recomputation::apply_recording(std::span<const Tensor> inputs,
                                                         const std::vector<bool>& needed, Location where,
                                                         Tensors& outputs) {
  apply_recompute(shared_from_this(), inputs, where, outputs);
  // The results themselves are not needed on the way back.
  List kept(inputs.begin(), inputs.end());
  std::fill_n(kept.begin(), results, Tensor());
  return std::make_unique<RecomputeBackward>(shared_from_this(), std::move(kept), needed);
}

}  // namespace

namespace detail {

std::vector<Tensor> recompute(const std::vector<Tensor>& arguments, const Body& body, Location where) {
  const CallSite site(where);
  auto how = std::make_shared<Recomputation>();
  how->arguments = static_cast<int>(arguments.size());
  List inputs = arguments, captures;
  Mode* const trace = tandem::current_mode() ? tandem::current_mode()->innermost_trace() : nullptr;
  if (trace) {
    std::vector<Spec> specs;
    for (const Tensor& t : arguments) specs.push_back(detail::coded_spec(t));
    RecordedBody recorded = record_body("a recomputed function", specs, body, where);
    captures = std::move(recorded.captures);
    inputs.insert(inputs.end(), captures.begin(), captures.end());
    how->body = [graph = std::move(recorded.graph)](const List& given) {
      return replay_outputs(graph, given);
    };
  } else {
    how->body = body;
  }
  FirstRun first;
  List results;
  {
    // Under the tapes: they see the results alone.
    FirstRunMode mode(first);
    mode.set_below(trace);
    const ModeScope scope(&mode);
    results = detail::named("recompute", where, [&] { return how->body(inputs); });
  }
  if (!tandem::current_mode()) return results;  // nobody will go back
  how->results = static_cast<int>(results.size());
  how->draws = static_cast<int>(first.draws.size());
  how->trainable = std::move(first.trainable);
  inputs = results;
  inputs.insert(inputs.end(), arguments.begin(), arguments.end());
  inputs.insert(inputs.end(), first.draws.begin(), first.draws.end());
  for (const auto& [variable, held] : first.assigned) {
    how->assigned.push_back(variable);
    inputs.push_back(held);
  }
  inputs.insert(inputs.end(), captures.begin(), captures.end());
  Tensors outputs;
  apply_recompute(how, inputs, where, outputs);
  return List(outputs.begin(), outputs.end());
}

}  // namespace detail

}  // namespace tandem
