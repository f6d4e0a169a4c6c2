// GradientTape, and the functions that shape what gradients see.

#include "tandem/tape.h"

#include "autodiff/tape_mode.h"
#include "core/named.h"
#include "tandem/ops.h"

namespace tandem {

using detail::named;

GradientTape::GradientTape(TapeOptions options) : mode_(std::make_unique<TapeMode>(options)) {
  mode_->start();
}
GradientTape::~GradientTape() = default;

void GradientTape::watch(const GradientSource& source, Location where) {
  named("watch", where, [&] { mode_->watch(source); });
}

Tensor GradientTape::gradient(const Tensor& target, const GradientSource& source, GradientOptions options,
                              Location where) {
  Tensor result;
  named("gradient", where, [&] {
    mode_->gradients({&target, 1}, {&source, 1}, options, where, {&result, 1});
  });
  return result;
}

std::vector<Tensor> GradientTape::gradients(std::span<const Tensor> targets,
                                            std::span<const GradientSource> sources,
                                            const GradientOptions& options, Location where) {
  std::vector<Tensor> result(sources.size());
  named("gradient", where, [&] { mode_->gradients(targets, sources, options, where, result); });
  return result;
}

void GradientTape::gradients_into(const Tensor& target, std::span<const GradientSource> sources,
                                  std::span<Tensor> result) {
  named("gradient", {}, [&] { mode_->gradients({&target, 1}, sources, {}, {}, result); });
}

void GradientTape::gradients_into(const Tensor& target, const void* sources,
                                  GradientSource (*source)(const void*, size_t i),
                                  const GradientOptions& options, Location where, std::span<Tensor> result) {
  named("gradient", where, [&] {
    std::vector<GradientSource> list = mode_->empty_source_list();
    for (size_t i = 0; i < result.size(); ++i) list.push_back(source(sources, i));
    mode_->gradients({&target, 1}, list, options, where, result);
    mode_->keep_source_list(std::move(list));
  });
}

std::vector<Tensor> GradientTape::gradients_onto(std::span<const Tensor> targets,
                                                 std::span<const Tensor> weights,
                                                 std::span<const GradientSource> sources,
                                                 std::span<const Tensor> sums) {
  return mode_->gradients_onto(targets, weights, sources, sums);
}

Tensor GradientTape::jacobian(const Tensor& target, const GradientSource& source, Unconnected unconnected,
                              Location where) {
  return named("jacobian", where, [&] { return mode_->jacobian(target, source, unconnected, where); });
}

Tensor GradientTape::batch_jacobian(const Tensor& target, const GradientSource& source,
                                    Unconnected unconnected, Location where) {
  return named("batch_jacobian", where,
               [&] { return mode_->batch_jacobian(target, source, unconnected, where); });
}

namespace detail {
void check_hessian_value(const Tensor& value, Location where) {
  named("hessian", where, [&] {
    TD_CHECK(value.shape().codes().element_count() == 1,
             "the function's value has shape {}; a scalar is needed", value.shape());
  });
}
}  // namespace detail

void GradientTape::stop(Location where) {
  named("stop", where, [&] { TD_CHECK(mode_->recording(), "the tape is not recording"); });
  mode_->stop();
}

void GradientTape::resume(Location where) {
  named("resume", where, [&] { TD_CHECK(!mode_->recording(), "the tape is recording already"); });
  mode_->start();
}

bool GradientTape::recording() const { return mode_->recording(); }
void GradientTape::reset() { mode_->reset(); }
std::vector<Variable> GradientTape::watched_variables() const { return mode_->watched_variables(); }

GradientTape::Pause::Pause(GradientTape& tape) : tape_(tape), paused_(tape.recording()) {
  if (paused_) tape_.mode_->stop();
}
GradientTape::Pause::~Pause() {
  if (paused_) tape_.mode_->start();
}

}  // namespace tandem
