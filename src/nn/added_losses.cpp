// What layers add to the loss while they are called.

#include <algorithm>
#include <atomic>
#include <mutex>
#include <set>
#include <thread>

#include "nn/module_state.h"
#include "nn/probe.h"

namespace tandem::nn::detail {

namespace {

struct Term {
  std::weak_ptr<const ModuleState> owner;
  Tensor loss;
  Location where;
  std::thread::id thread;
};

/// The terms of every thread's last calls. Most programs have none, and then nobody takes the lock.
struct Terms {
  std::mutex mutex;
  std::vector<Term> list;
  std::atomic<bool> any = false;
};

// Never destroyed: tensors must not die after what frees them.
Terms& terms() {
  static auto* const all = new Terms;
  return *all;
}

std::set<const ModuleState*> modules_in(const ModuleState& root) {
  std::set<const ModuleState*> modules;
  for (const Visit& v : walk(root.shared_from_this())) modules.insert(v.module.get());
  return modules;
}

template <class Condition>
void erase_terms(Terms& all, const Condition& condition) {
  std::erase_if(all.list, [&](const Term& t) {
    const std::shared_ptr<const ModuleState> owner = t.owner.lock();
    return !owner || (t.thread == std::this_thread::get_id() && condition(*owner, t));
  });
  all.any = !all.list.empty();
}

}  // namespace

void record_loss(const ModuleState& owner, const Tensor& loss, bool replaces, Location where) {
  if (current_probe) return;
  Terms& all = terms();
  const std::lock_guard<std::mutex> lock(all.mutex);
  if (replaces)
    erase_terms(all, [&](const ModuleState& module, const Term& t) {
      return &module == &owner && t.where.line == where.line && t.where.file_name() == where.file_name();
    });
  all.list.push_back({owner.weak_from_this(), loss, where, std::this_thread::get_id()});
  all.any = true;
}

void forget_losses(const ModuleState& root) {
  Terms& all = terms();
  if (!all.any.load(std::memory_order_relaxed)) return;
  const std::set<const ModuleState*> modules = modules_in(root);
  const std::lock_guard<std::mutex> lock(all.mutex);
  erase_terms(all, [&](const ModuleState& module, const Term&) { return modules.contains(&module); });
}

std::vector<Tensor> recorded_losses(const ModuleState& root) {
  std::vector<Tensor> losses;
  Terms& all = terms();
  if (!all.any.load(std::memory_order_relaxed)) return losses;
  const std::set<const ModuleState*> modules = modules_in(root);
  const std::lock_guard<std::mutex> lock(all.mutex);
  for (const Term& t : all.list)
    if (t.thread == std::this_thread::get_id() && modules.contains(t.owner.lock().get()))
      losses.push_back(t.loss);
  return losses;
}

}  // namespace tandem::nn::detail
