// The handle.

#include "tandem/nn/optimizer.h"

#include <algorithm>

#include "nn/names.h"
#include "nn/optimizers/body.h"
#include "tandem/name_scope.h"

namespace tandem::nn {

namespace {

template <class O>
constexpr auto make_optimizer = detail::make_default<Optimizer, O>;

constexpr detail::NamedMaker<Optimizer> known_optimizers[] = {
    {"sgd", make_optimizer<SGD>},           {"adam", make_optimizer<Adam>},
    {"adamw", make_optimizer<AdamW>},       {"adamax", make_optimizer<Adamax>},
    {"nadam", make_optimizer<Nadam>},       {"radam", make_optimizer<RAdam>},
    {"rmsprop", make_optimizer<RMSprop>},   {"adagrad", make_optimizer<Adagrad>},
    {"adadelta", make_optimizer<Adadelta>}, {"ftrl", make_optimizer<Ftrl>},
    {"lion", make_optimizer<Lion>},         {"lamb", make_optimizer<LAMB>},
    {"rprop", make_optimizer<Rprop>},       {"asgd", make_optimizer<ASGD>},
};

}  // namespace

Optimizer::Optimizer(const std::string& name, Location where)
    : Optimizer(
          detail::find_named(known_optimizers, "optimizer", detail::in_small_letters(name), where).make()) {}

void Optimizer::apply_gradients(const std::vector<Tensor>& gradients, const std::vector<Variable>& variables,
                                Location where) const {
  const tandem::detail::NameLevel level("optimizer", tandem::detail::Named::operations);
  detail::at_line("apply_gradients", where, [&] { body_->apply(gradients, variables); });
}

void Optimizer::build(const std::vector<Variable>& variables, Location where) const {
  detail::at_line("build", where, [&] { body_->build(variables); });
}

const std::string& Optimizer::name() const { return body_->name(); }
const Variable& Optimizer::iterations() const { return body_->iterations(); }
bool Optimizer::has_schedule() const { return body_->has_schedule(); }

const Variable& Optimizer::learning_rate(Location where) const {
  return detail::in_call("learning_rate", where, [&]() -> const Variable& { return body_->rate(); });
}

void Optimizer::set_learning_rate(double rate, Location where) const {
  detail::at_line("set_learning_rate", where, [&] {
    TD_CHECK(rate >= 0, "the learning rate is {}; expected 0 or more", rate);
    body_->rate().assign(rate);
  });
}

Tensor Optimizer::current_learning_rate(Location where) const {
  return detail::at_line("current_learning_rate", where, [&] { return body_->current_rate(); });
}

Tensor Optimizer::scale_loss(const Tensor& loss, Location where) const {
  return detail::at_line("scale_loss", where, [&] { return body_->scale_loss(loss); });
}

std::vector<std::pair<std::string, Variable>> Optimizer::named_variables() const {
  return body_->named_variables();
}

std::vector<Variable> Optimizer::variables() const {
  std::vector<Variable> all;
  for (auto& [name, variable] : named_variables()) all.push_back(std::move(variable));
  return all;
}

void Optimizer::set_state(const std::vector<Tensor>& values, Location where) const {
  detail::at_line("set_state", where, [&] {
    TD_CHECK(body_->is_built(), "optimizer {} has no state yet; build it, or take a step, first", name());
    const auto state = named_variables();
    TD_CHECK(values.size() == state.size(), "{} values were given for the {} variables of optimizer {}",
             values.size(), state.size(), name());
    for (size_t i = 0; i < values.size(); ++i) {
      const auto& [variable_name, variable] = state[i];
      TD_CHECK(values[i].defined() && values[i].dtype() == variable.dtype() &&
                   values[i].shape() == variable.shape(),
               "\"{}\" is {}{}, and its value {}", variable_name, variable.dtype(), variable.shape(),
               values[i].defined() ? fmt::format("{}{}", values[i].dtype(), values[i].shape())
                                   : "an empty tensor handle");
    }
    for (size_t i = 0; i < values.size(); ++i) state[i].second.assign(values[i]);
  });
}

void Optimizer::exclude_from_weight_decay(const std::vector<Variable>& variables, Location where) const {
  detail::in_call("exclude_from_weight_decay", where, [&] { body_->exclude_from_decay(variables, {}); });
}

void Optimizer::exclude_from_weight_decay(const std::vector<std::string>& names, Location where) const {
  detail::in_call("exclude_from_weight_decay", where, [&] { body_->exclude_from_decay({}, names); });
}

Variable Optimizer::average_of(const Variable& variable, Location where) const {
  return detail::in_call("average_of", where, [&] { return body_->average_of(variable); });
}

void Optimizer::finalize_variable_values(const std::vector<Variable>& variables, Location where) const {
  detail::at_line("finalize_variable_values", where, [&] { body_->finalize(variables); });
}

}  // namespace tandem::nn
