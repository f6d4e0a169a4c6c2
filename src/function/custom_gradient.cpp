// custom_gradient. Eagerly its rule is the user's code; inside a trace it is recorded at once, so that
// whoever differentiates the trace later finds what it captured.

#include "core/named.h"
#include "function/differentiate.h"
#include "function/recorded_body.h"
#include "ops/custom.h"
#include "tandem/tape.h"

namespace tandem {

namespace {

using Found = std::vector<Tensor>;

std::string names_of(const std::vector<Variable>& variables) {
  std::string text;
  for (const Variable& v : variables) text += (text.empty() ? "" : ", ") + v.name();
  return text;
}

/// The user's rule, with its counts checked: the arguments' gradients, then the variables'.
Found apply_rule(const CustomGradientResult& result, const Tensor& dy, size_t arguments,
                 const std::vector<Variable>& variables) {
  CustomGradients found =
      result.backward_all ? result.backward_all(dy, variables) : CustomGradients{result.backward(dy), {}};
  TD_CHECK(found.arguments.size() == arguments, "the rule returned {} gradients for {} arguments",
           found.arguments.size(), arguments);
  TD_CHECK(found.variables.size() == variables.size(), "the rule returned {} gradients for {} variables ({})",
           found.variables.size(), variables.size(), names_of(variables));
  Found all = std::move(found.arguments);
  all.insert(all.end(), found.variables.begin(), found.variables.end());
  return all;
}

/// Records the rule and makes it one that replays the record; what it captures follows `inputs`.
void record_rule(CustomRule& rule, std::vector<Tensor>& inputs,
                 const std::function<Found(const Tensor& dy)>& apply, Location where) {
  const Spec dy = detail::coded_spec(inputs[0]);
  RecordedBody body;
  try {
    body = record_body(
        "the rule of custom_gradient", {&dy, 1}, [&](const Found& given) { return apply(given[0]); }, where);
  } catch (const PinRequest&) {
    throw;
  } catch (...) {
    // As in eager code, a rule that fails matters to those who go back through it.
    const int gradients = rule.arguments + static_cast<int>(rule.variables.size());
    rule.gradients = [failure = std::current_exception(), gradients](const Gradient& g) {
      Found all;
      for (int i = 1; i <= gradients; ++i)
        all.push_back(g.needs(i) ? failed_gradient(g.x(i), failure) : Tensor());
      return all;
    };
    return;
  }
  const auto first = static_cast<int>(inputs.size());
  inputs.insert(inputs.end(), body.captures.begin(), body.captures.end());
  rule.gradients = [graph = std::move(body.graph), first](const Gradient& g) {
    Found given{g.dy()};
    for (int i = first; i < g.input_count(); ++i) given.push_back(g.x(i));
    return replay_outputs(graph, given);
  };
}

}  // namespace

Tensor custom_gradient(const std::function<CustomGradientResult(std::vector<Tensor>)>& body,
                       const std::vector<Tensor>& arguments, Location where) {
  const CallSite site(where);
  auto result = std::make_shared<CustomGradientResult>();
  std::vector<Variable> variables;
  {
    // The body is recorded by whatever tapes there are although only its rule counts: what the rule captures
    // is differentiated a second time. This one tells which variables it reads.
    GradientTape tape;
    *result = body(arguments);
    variables = tape.watched_variables();
  }
  tandem::detail::named("custom_gradient", where, [&] {
    TD_CHECK(result->backward || result->backward_all, "the body returned no rule");
    TD_CHECK(
        result->backward_all || variables.empty(),
        "the body reads the variables {}, and its rule has no gradients for them; give backward_all, which "
        "may return undefined tensors for them",
        names_of(variables));
  });
  CustomRule rule;
  rule.arguments = static_cast<int>(arguments.size());
  std::vector<Tensor> inputs{result->value};
  inputs.insert(inputs.end(), arguments.begin(), arguments.end());
  for (const Variable& v : variables) {
    rule.variables.push_back(v.name());
    inputs.push_back(v.value(where));  // ties the op to the variable on the way back
  }
  auto apply = [result, variables, count = arguments.size()](const Tensor& dy) {
    return apply_rule(*result, dy, count, variables);
  };
  if (current_mode() && current_mode()->is_tracing())
    record_rule(rule, inputs, apply, where);
  else
    rule.gradients = [apply](const Gradient& g) { return apply(g.dy()); };
  return apply_custom_gradient(std::make_shared<const CustomRule>(std::move(rule)), inputs);
}

}  // namespace tandem
