#include "nn/clone.h"

#include <utility>

#include "core/check.h"
#include "ops/variable_impl.h"
#include "tandem/nn/layer.h"

namespace tandem::nn {

namespace detail {

namespace {
thread_local CloneTable* current_table = nullptr;
}

CloneTable* clone_table() { return current_table; }

CloneScope::CloneScope() : table_(new CloneTable), outer_(std::exchange(current_table, table_)) {
  table_->begin = next_module_serial();
}
CloneScope::~CloneScope() {
  current_table = outer_;
  delete table_;
}

std::shared_ptr<ModuleState> CloneTable::module_for(const std::shared_ptr<ModuleState>& original) {
  if (!original || original->serial >= begin) return original;
  std::shared_ptr<ModuleState>& clone = modules[original.get()];
  if (clone) return clone;
  clone = std::make_shared<ModuleState>();
  std::shared_ptr<ModuleState> result = clone;
  result->kind = original->kind;
  result->name = result->given_name = original->given_name;
  result->where = original->where;
  result->trainable = original->trainable.load();
  result->policy = original->policy.load();
  result->activity_regularizer = original->activity_regularizer;
  for (const ModuleState::Member& m : original->members_now()) {
    if (m.module) {
      result->add_module(m.name, module_for(m.module), original->where);
      continue;
    }
    const auto known = variables.find(m.variable.impl().get());
    if (known != variables.end())
      result->add_variable({m.name, nullptr, known->second, m.origin});
    else
      variables.emplace(m.variable.impl().get(),
                        result->parameter(m.name, m.variable.shape(), m.origin->initializer,
                                          m.origin->options, m.variable.impl()->where));
  }
  if (original->has_output_shape.load(std::memory_order_acquire))
    result->note_call(original->input_specs, original->called_on_list, original->output_shape);
  return result;
}

std::shared_ptr<LayerBody> CloneTable::body_for(const std::shared_ptr<LayerBody>& original) {
  if (const auto known = bodies.find(original.get()); known != bodies.end()) return known->second;
  std::shared_ptr<LayerBody> clone = original->clone();
  bodies[original.get()] = clone;
  return clone;
}

std::shared_ptr<LayerBody> LayerBody::clone() const {
  TD_CHECK(copy != nullptr, "a layer of this class cannot be cloned");
  return copy(*this);
}

}  // namespace detail

Module::Module(const Module& other)
    : state_(detail::current_table ? detail::current_table->module_for(other.state_) : other.state_) {}

Layer::Layer(const Layer& other)
    : Module(other),
      body_(state() == other.state() ? other.body_ : detail::clone_table()->body_for(other.body_)) {
  if (state() != other.state()) attach(body_);
}

}  // namespace tandem::nn
