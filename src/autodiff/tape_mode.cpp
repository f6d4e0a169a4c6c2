#include "autodiff/tape_mode.h"

#include <algorithm>
#include <iterator>

#include "tandem/name_scope.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/math.h"

namespace tandem {

using detail::TensorImpl;
using detail::VariableImpl;

// ---- ids

int TrackedIds::find(const void* key) const {
  if (count_ == 0 || key == nullptr) return -1;
  const size_t mask = slots_.size() - 1;
  for (size_t i = hash(key) & mask;; i = (i + 1) & mask) {
    if (slots_[i].key == key) return slots_[i].id;
    if (slots_[i].key == nullptr) return -1;
  }
}

int TrackedIds::add(const void* key) {
  if (static_cast<size_t>(count_) * 2 >= slots_.size()) grow();
  const size_t mask = slots_.size() - 1;
  for (size_t i = hash(key) & mask;; i = (i + 1) & mask) {
    if (slots_[i].key == key) return slots_[i].id;
    if (slots_[i].key == nullptr) {
      slots_[i] = {key, count_};
      return count_++;
    }
  }
}

void TrackedIds::grow() {
  std::vector<Slot> old = std::move(slots_);
  slots_.assign(std::max<size_t>(64, old.size() * 2), {});
  const size_t mask = slots_.size() - 1;
  for (const Slot& s : old) {
    if (!s.key) continue;
    size_t i = hash(s.key) & mask;
    while (slots_[i].key) i = (i + 1) & mask;
    slots_[i] = s;
  }
}

void TrackedIds::clear() {
  // A table that one huge step has grown would cost every later small one.
  if (slots_.size() > 4096) slots_ = {};
  if (count_ > 0) std::fill(slots_.begin(), slots_.end(), Slot());
  count_ = 0;
}

void TapeMode::Recording::clear() {
  // From the end, so that long chains die one record at a time.
  while (!records.empty()) records.pop_back();
  ids.clear();
  watched.clear();
  variables.clear();
}

void TapeMode::Recording::WayBack::clear() {
  source_ids.clear();
  relevant.clear();
  sums.clear();
  arrivals.clear();
}

/// Spare recordings of a thread, for as many tapes as usually nest.
struct RecordingPool {
  using Pointer = std::unique_ptr<TapeMode::Recording>;
  Pointer spares[4];
  int count = 0;

  static RecordingPool& of_thread() {
    thread_local RecordingPool pool;
    return pool;
  }
  Pointer take() { return count > 0 ? std::move(spares[--count]) : std::make_unique<TapeMode::Recording>(); }
  void give(Pointer recording) {
    if (count < static_cast<int>(std::size(spares))) spares[count++] = std::move(recording);
  }
};

class TapeMode::BorrowedWayBack {
 public:
  explicit BorrowedWayBack(Recording& from) : from_(from), way_(std::exchange(from.way_back, {})) {}
  ~BorrowedWayBack() {
    way_.clear();
    from_.way_back = std::move(way_);
  }
  BorrowedWayBack(const BorrowedWayBack&) = delete;
  BorrowedWayBack& operator=(const BorrowedWayBack&) = delete;
  WayBack& operator*() { return way_; }

 private:
  Recording& from_;
  WayBack way_;
};

// ---- life

namespace {
constexpr size_t block_header = 64;  // keeps the tape aligned; holds the block's size class
}

void* TapeMode::operator new(size_t bytes) {
  uint8_t size_class;
  auto* block = static_cast<std::byte*>(detail::allocate_block(block_header + bytes, size_class));
  *block = std::byte{size_class};
  return block + block_header;
}
void TapeMode::operator delete(void* tape) noexcept {
  auto* block = static_cast<std::byte*>(tape) - block_header;
  detail::free_block(block, static_cast<uint8_t>(*block));
}

TapeMode::TapeMode(TapeOptions options)
    : options_(options), recording_data_(RecordingPool::of_thread().take()) {}

TapeMode::~TapeMode() {
  if (recording_) stop();
  recording_data_->clear();
  RecordingPool::of_thread().give(std::move(recording_data_));
}

void TapeMode::start() {
  set_below(detail::current_mode);
  detail::current_mode = this;
  recording_ = true;
}

void TapeMode::stop() {
  recording_ = false;
  if (detail::current_mode == this) {
    detail::current_mode = below_;
    return;
  }
  // Tapes need not end in the order in which they began.
  for (Mode* m = detail::current_mode; m; m = m->below())
    if (m->below() == this) {
      m->set_below(below_);
      return;
    }
}

void TapeMode::reset() { recording_data_->clear(); }

std::vector<GradientSource> TapeMode::empty_source_list() {
  return std::exchange(recording_data_->source_list, {});
}
void TapeMode::keep_source_list(std::vector<GradientSource> list) {
  list.clear();
  recording_data_->source_list = std::move(list);
}

std::vector<Variable> TapeMode::watched_variables() const {
  std::vector<Variable> result;
  for (const auto& v : recording_data_->variables) result.push_back(Variable::from_impl(v));
  return result;
}

// ---- recording

void TapeMode::track_variable(const std::shared_ptr<VariableImpl>& variable) {
  const int before = recording_data_->ids.size();
  if (recording_data_->ids.add(variable.get()) == before) recording_data_->variables.push_back(variable);
}

void TapeMode::watch(const GradientSource& source) {
  const DType dtype = source.is_variable() ? source.variable().dtype() : source.tensor().dtype();
  TD_CHECK(is_floating(dtype), "a source of dtype {} cannot be watched; gradients need a floating dtype",
           dtype);
  if (source.is_variable()) return track_variable(source.variable().impl());
  recording_data_->watched.push_back(source.tensor());
  recording_data_->ids.add(source.tensor().impl());
}

void TapeMode::pass_on(const OpDef& op, const void* attributes, Operands operands, Location where,
                       Tensors& outputs) {
  const ModeScope scope(below_);
  if (!below_ && op.program_cache) {
    // The short cut of plain eager code.
    Tensor output;
    if (detail::evaluate_flat(op, operands, output)) {
      outputs.push_back(std::move(output));
      return;
    }
  }
  if (below_)
    below_->apply(op, attributes, operands, where, outputs);
  else
    evaluate(op, attributes, operands, where, outputs);
}

void TapeMode::apply(const OpDef& op, const void* attributes, Operands operands, Location where,
                     Tensors& outputs) {
  if (op.has(has_bodies)) return apply_structured(op, attributes, operands, where, outputs);
  TrackedIds& ids = recording_data_->ids;
  if (op.has(reads_variable)) {
    pass_on(op, attributes, operands, where, outputs);
    const auto& variable = static_cast<const VariableAttributes*>(attributes)->variable;
    if (!is_floating(variable->spec.dtype)) return;
    // Each read is its own tensor: the stored value may also be known to the user by another name.
    if (!below_) {
      TensorImpl* t = outputs[0].impl();
      outputs[0] = Tensor::adopt(detail::make_view(t, t->data, t->dtype, t->shape, t->strides));
    }
    if (ids.find(variable.get()) < 0) {
      if (!variable->trainable || !options_.watch_accessed_variables) return;
      track_variable(variable);
    }
  } else {
    bool tracked = false;
    for (const Operand* o : operands)
      if (o->is_tensor() && ids.find(o->tensor_impl()) >= 0) tracked = true;
    if (tracked && !op.gradient && op.has(composite)) {
      // Differentiated through the ops it is made of.
      SmallVector<Argument, 8> arguments;
      resolve(op, operands, arguments);
      SmallVector<Tensor, 8> inputs;
      for (const Argument& a : arguments) inputs.push_back(materialize(a));
      const CallSite site(where);
      outputs = op.decomposition(inputs, attributes);
      return;
    }
    pass_on(op, attributes, operands, where, outputs);
    if (!tracked || (!op.gradient && op.not_differentiable.empty())) return;
  }
  bool any = false;
  for (const Tensor& y : outputs) any = any || is_floating(y.dtype());
  if (!any) return;
  Record& r = recording_data_->records.emplace_back();
  r.op = &op;
  r.where = where;
  if (!op.attributes->empty) r.attributes = AttributeBox(*op.attributes, attributes);
  bool all_tensors = true;
  for (const Operand* o : operands) all_tensors = all_tensors && o->is_tensor();
  if (all_tensors) {
    for (const Operand* o : operands) r.inputs.push_back(Tensor::share(o->tensor_impl()));
  } else {
    const ModeScope scope(below_);
    SmallVector<Argument, 8> arguments;
    resolve(op, operands, arguments);
    for (const Argument& a : arguments) r.inputs.push_back(materialize(a));
  }
  for (const Tensor& y : outputs) {
    r.outputs.push_back(y);
    if (is_floating(y.dtype())) ids.add(y.impl());
  }
}

void TapeMode::apply_structured(const OpDef& op, const void* attributes, Operands operands, Location where,
                                Tensors& outputs) {
  TrackedIds& ids = recording_data_->ids;
  const auto& structured = static_cast<const StructuredAttributes*>(attributes)->structured;
  const auto variables = structured->variables();
  std::vector<bool> needed;
  bool any = false;
  for (const Operand* o : operands) {
    needed.push_back(o->is_tensor() && is_floating(o->tensor_impl()->dtype) &&
                     ids.find(o->tensor_impl()) >= 0);
    any = any || needed.back();
  }
  for (const auto& v : variables) {
    if (v->trainable && options_.watch_accessed_variables) track_variable(v);
    needed.push_back(ids.find(v.get()) >= 0);
    any = any || needed.back();
  }
  if (!any) return pass_on(op, attributes, operands, where, outputs);
  Record r;
  r.op = &op;
  r.where = where;
  r.variables = variables;
  for (const Operand* o : operands) r.inputs.push_back(to_tensor(*o));
  {
    const ModeScope scope(below_);
    r.backward = structured->apply_recording(r.inputs, needed, where, outputs);
  }
  for (int i = 0; i < outputs.size(); ++i) {
    Tensor& y = outputs[i];
    if (!y.defined()) continue;
    // A result that is an argument, or stands twice, is a tensor of its own on the way back.
    auto same = [&](const Tensor& t) { return t.impl() == y.impl(); };
    if (!y.is_symbolic() &&
        (std::any_of(r.inputs.begin(), r.inputs.end(), same) ||
         std::any_of(outputs.begin(), outputs.begin() + i, same) || ids.find(y.impl()) >= 0)) {
      TensorImpl* t = y.impl();
      y = Tensor::adopt(detail::make_view(t, t->data, t->dtype, t->shape, t->strides));
    }
    if (is_floating(y.dtype())) ids.add(y.impl());
  }
  r.outputs = SmallVector<Tensor, 1>(std::span<const Tensor>(outputs));
  recording_data_->records.push_back(std::move(r));
}

// ---- going back

// What depends on the sources, by id; its sums are empty.
void TapeMode::find_way_back(std::span<const GradientSource> sources, WayBack& way) const {
  const TrackedIds& ids = recording_data_->ids;
  std::vector<bool>& relevant = way.relevant;
  relevant.assign(static_cast<size_t>(ids.size()), false);
  way.sums.resize(relevant.size());
  for (const GradientSource& s : sources) {
    const int id =
        ids.find(s.is_variable() ? static_cast<const void*>(s.variable().impl().get()) : s.tensor().impl());
    way.source_ids.push_back(id);
    if (id >= 0) relevant[static_cast<size_t>(id)] = true;
  }
  auto is_relevant = [&](const void* key) {
    const int id = ids.find(key);
    return id >= 0 && static_cast<size_t>(id) < relevant.size() && relevant[static_cast<size_t>(id)];
  };
  const size_t records = recording_data_->records.size();
  for (size_t i = 0; i < records; ++i) {
    const Record& r = recording_data_->records[i];
    bool any = false;
    if (r.op->has(reads_variable)) any = is_relevant(r.attributes.as<VariableAttributes>().variable.get());
    for (const Tensor& x : r.inputs) any = any || (x.defined() && is_relevant(x.impl()));
    for (const auto& v : r.variables) any = any || is_relevant(v.get());
    if (!any) continue;
    for (const Tensor& y : r.outputs)
      if (const int id = ids.find(y.impl()); id >= 0) relevant[static_cast<size_t>(id)] = true;
  }
}

int TapeMode::relevant_id(const void* key, const WayBack& way) const {
  const int id = recording_data_->ids.find(key);
  return id >= 0 && static_cast<size_t>(id) < way.relevant.size() && way.relevant[static_cast<size_t>(id)]
             ? id
             : -1;
}

void TapeMode::Recording::WayBack::add(int id, const Tensor& gradient) {
  Tensor& sum = sums[static_cast<size_t>(id)];
  sum = sum.defined() ? sum + gradient : gradient;
  if (!arrivals.empty()) arrivals[static_cast<size_t>(id)] = nullptr;
}

void TapeMode::go_back(size_t index, WayBack& way) {
  const TrackedIds& ids = recording_data_->ids;
  std::vector<Tensor>& sums = way.sums;
  // A copy of the handles: recording may go on during gradient() and move the records.
  const Record& r = recording_data_->records[index];
  Tensors dy;
  bool arrives = false;
  for (const Tensor& y : r.outputs) {
    const int id = y.defined() ? ids.find(y.impl()) : -1;
    dy.push_back(id >= 0 && static_cast<size_t>(id) < sums.size() ? sums[static_cast<size_t>(id)] : Tensor());
    arrives = arrives || dy.back().defined();
  }
  if (!arrives) return;
  const CallSiteOverride site(r.where);
  const detail::NameLevel level("gradient");
  if (r.op->has(reads_variable)) {
    const int id = relevant_id(r.attributes.as<VariableAttributes>().variable.get(), way);
    if (id >= 0) way.add(id, dy[0]);
    return;
  }
  const OpDef& op = *r.op;
  const AttributeBox attributes = r.attributes;
  const SmallVector<Tensor, 3> inputs = r.inputs;
  const SmallVector<Tensor, 1> outputs = r.outputs;
  if (r.backward) {
    std::vector<int> places;
    for (const Tensor& x : inputs) places.push_back(x.defined() ? relevant_id(x.impl(), way) : -1);
    for (const auto& v : r.variables) places.push_back(relevant_id(v.get(), way));
    return go_back_structured(*r.backward, dy, places, way);
  }
  uint64_t needed = 0;
  for (int i = 0; i < inputs.size(); ++i)
    if (inputs[i].defined() && is_floating(inputs[i].dtype()) && relevant_id(inputs[i].impl(), way) >= 0)
      needed |= uint64_t{1} << std::min(i, 63);
  if (needed == 0) return;
  if (!op.gradient) {
    Error e(ErrorCode::not_differentiable, std::string(op.not_differentiable));
    e.set_origin(op.display_name(), r.where);
    throw e;
  }
  const Gradient g(inputs, outputs, dy, needed);
  Tensors dx;
  try {
    dx = op.gradient(g, attributes.get());
  } catch (Error& e) {
    e.set_origin(op.display_name(), r.where);
    throw;
  }
  for (int i = 0; i < std::min(dx.size(), inputs.size()); ++i) {
    if (!dx[i].defined() || !inputs[i].defined()) continue;
    if (const int id = relevant_id(inputs[i].impl(), way); id >= 0) way.add(id, dx[i]);
  }
}

void TapeMode::go_back_structured(Backward& backward, std::span<const Tensor> output_gradients,
                                  std::span<const int> places, WayBack& way) {
  const auto none = [&](size_t i) { return places[i] < 0; };
  // The same tensor given twice has one running sum: only its first place carries it in.
  std::vector<Tensor> running(places.size()), before;
  std::vector<std::shared_ptr<const Arrival>> arrivals(places.size());
  for (size_t i = 0; i < places.size(); ++i) {
    if (none(i)) continue;
    const auto id = static_cast<size_t>(places[i]);
    running[i] = std::exchange(way.sums[id], Tensor());
    if (!way.arrivals.empty()) arrivals[i] = std::exchange(way.arrivals[id], nullptr);
  }
  before = running;
  backward.run(output_gradients, running);
  for (size_t i = 0; i < places.size(); ++i) {
    if (none(i) || !running[i].defined()) continue;
    // Whether something arrives: always, where one of all that was added always does.
    std::shared_ptr<const Arrival> arrival = arrivals[i];
    if (running[i].impl() != before[i].impl()) {
      const std::shared_ptr<const Arrival> added = backward.arrival(i);
      if (!before[i].defined())
        arrival = added;
      else
        arrival = arrival && added ? arrival->either(*added) : nullptr;
    }
    const auto id = static_cast<size_t>(places[i]);
    const bool alone = !way.sums[id].defined();
    if (!alone) {
      const auto other = way.arrivals.empty() ? nullptr : way.arrivals[id];
      arrival = arrival && other ? arrival->either(*other) : nullptr;
    }
    way.add(places[i], running[i]);
    if (!arrival) continue;
    way.arrivals.resize(way.sums.size());
    way.arrivals[id] = arrival;
  }
}

// ---- gradients that not every run sends back
//
// What the branch that was not taken would send back does not exist: eager code never sees it. The records
// that it would reach go back inside a branch of their own, so that no zero meets an infinity on its way.

template <class F>
void TapeMode::for_each_receiver(const Record& r, const WayBack& way, F&& use) const {
  if (r.op->has(reads_variable)) {
    const int id = relevant_id(r.attributes.as<VariableAttributes>().variable.get(), way);
    if (id >= 0) use(id, detail::coded_spec(r.outputs[0]));
  }
  for (const Tensor& x : r.inputs)
    if (const int id = x.defined() ? relevant_id(x.impl(), way) : -1; id >= 0) use(id, detail::coded_spec(x));
  for (const auto& v : r.variables)
    if (const int id = relevant_id(v.get(), way); id >= 0) use(id, v->spec);
}

std::shared_ptr<const Arrival> TapeMode::arrival_at(size_t index, const WayBack& way) const {
  std::shared_ptr<const Arrival> all;
  for (const Tensor& y : recording_data_->records[index].outputs) {
    const int id = y.defined() ? recording_data_->ids.find(y.impl()) : -1;
    if (id < 0 || static_cast<size_t>(id) >= way.sums.size() || !way.sums[static_cast<size_t>(id)].defined())
      continue;
    const std::shared_ptr<const Arrival>& one = way.arrivals[static_cast<size_t>(id)];
    if (!one) return nullptr;
    all = !all || all == one ? one : all->either(*one);
  }
  return all;
}

size_t TapeMode::first_reached_only_where(const std::shared_ptr<const Arrival>& arrival, size_t last,
                                          const WayBack& way) const {
  std::vector<bool> inside(way.sums.size(), false);  // sums that begin here
  size_t first = last;
  for (size_t i = last + 1; i-- > 0; first = i) {
    const Record& r = recording_data_->records[i];
    bool reached = i == last, only_here = true;
    for (const Tensor& y : r.outputs) {
      const int id = y.defined() && i != last ? recording_data_->ids.find(y.impl()) : -1;
      if (id < 0 || static_cast<size_t>(id) >= way.sums.size()) continue;
      const auto at = static_cast<size_t>(id);
      const bool here = inside[at] || (way.sums[at].defined() && way.arrivals[at] == arrival);
      reached = reached || here;
      only_here = only_here && (here || !way.sums[at].defined());
    }
    if (!only_here) break;
    if (!reached) continue;
    for_each_receiver(r, way, [&](int id, const Spec&) {
      const auto at = static_cast<size_t>(id);
      if (!way.sums[at].defined()) inside[at] = true;
    });
  }
  return first;
}

size_t TapeMode::go_back_where(const std::shared_ptr<const Arrival>& arrival, size_t last, WayBack& way) {
  const size_t first = first_reached_only_where(arrival, last, way);
  const Location where = recording_data_->records[last].where;
  // Sums that others read afterwards: those of sources, and of what these records did not make.
  std::vector<bool> passes(way.sums.size(), true);
  for (size_t i = first; i <= last; ++i)
    for (const Tensor& y : recording_data_->records[i].outputs)
      if (const int id = y.defined() ? recording_data_->ids.find(y.impl()) : -1;
          id >= 0 && static_cast<size_t>(id) < passes.size())
        passes[static_cast<size_t>(id)] = false;
  for (int id : way.source_ids)
    if (id >= 0) passes[static_cast<size_t>(id)] = true;
  struct Receiver {
    size_t id;
    Spec spec;
  };
  std::vector<Receiver> receivers;
  for (size_t i = first; i <= last; ++i)
    for_each_receiver(recording_data_->records[i], way, [&](int id, const Spec& spec) {
      const auto at = static_cast<size_t>(id);
      if (!passes[at]) return;
      passes[at] = false;  // once
      receivers.push_back({at, spec});
    });
  const std::vector<Tensor> before = way.sums;
  const std::vector<std::shared_ptr<const Arrival>> arrivals = way.arrivals;
  std::vector<bool> received(receivers.size(), false);
  const auto then = [&] {
    for (size_t i = last + 1; i-- > first;) go_back(i, way);
    std::vector<Tensor> results;
    for (size_t k = 0; k < receivers.size(); ++k) {
      const size_t id = receivers[k].id;
      received[k] = way.sums[id].impl() != before[id].impl();
      if (received[k]) results.push_back(way.sums[id]);
    }
    return results;
  };
  const auto otherwise = [&] {
    std::vector<Tensor> results;
    for (size_t k = 0; k < receivers.size(); ++k) {
      if (!received[k]) continue;
      const Tensor& sum = before[receivers[k].id];
      const Spec& spec = receivers[k].spec;
      results.push_back(sum.defined() ? sum : full(spec.shape, -0.0, spec.dtype));  // -0: an empty sum
    }
    return results;
  };
  const CallSiteOverride site(where);
  const std::vector<Tensor> results = arrival->choose(then, otherwise, where);
  way.sums = before;
  way.arrivals = arrivals;
  for (size_t k = 0, next = 0; k < receivers.size(); ++k) {
    if (!received[k]) continue;
    const size_t id = receivers[k].id;
    const std::shared_ptr<const Arrival>& old = way.arrivals[id];
    if (!before[id].defined())
      way.arrivals[id] = arrival;
    else if (old && old != arrival)
      way.arrivals[id] = old->either(*arrival);
    way.sums[id] = results[next++];
  }
  return first;
}

void TapeMode::go_back_over_all(WayBack& way) {
  for (size_t end = recording_data_->records.size(); end > 0;) {
    const std::shared_ptr<const Arrival> arrival = way.arrivals.empty() ? nullptr : arrival_at(end - 1, way);
    size_t first = end - 1;
    if (arrival)
      first = go_back_where(arrival, first, way);
    else
      go_back(first, way);
    if (!options_.persistent)
      for (size_t i = end; i-- > first;) forget_record(i, way);
    end = first;
  }
}

// What only the way back needed goes: sums of tensors that nothing earlier uses, and the record. The sources'
// sums must stay.
void TapeMode::forget_record(size_t index, WayBack& way) {
  Recording& data = *recording_data_;
  Record& r = data.records[index];
  for (const Tensor& y : r.outputs) {
    const int id = data.ids.find(y.impl());
    if (id >= 0 && std::find(way.source_ids.begin(), way.source_ids.end(), id) == way.source_ids.end() &&
        static_cast<size_t>(id) < way.sums.size())
      way.sums[static_cast<size_t>(id)] = Tensor();
  }
  r.inputs.clear();
  r.backward.reset();
}

std::vector<Tensor> TapeMode::gradients_onto(std::span<const Tensor> targets, std::span<const Tensor> weights,
                                             std::span<const GradientSource> sources,
                                             std::span<const Tensor> sums) {
  used_ = true;
  WayBack way;
  find_way_back(sources, way);
  auto add = [&](int id, const Tensor& t) {
    if (id < 0 || static_cast<size_t>(id) >= way.sums.size() || !way.relevant[static_cast<size_t>(id)] ||
        !t.defined())
      return;
    Tensor& sum = way.sums[static_cast<size_t>(id)];
    sum = sum.defined() ? sum + t : t;
  };
  for (size_t i = 0; i < sources.size(); ++i) add(way.source_ids[i], sums[i]);
  for (size_t i = 0; i < targets.size(); ++i) add(recording_data_->ids.find(targets[i].impl()), weights[i]);
  go_back_over_all(way);
  std::vector<Tensor> result;
  for (int id : way.source_ids) result.push_back(id >= 0 ? way.sums[static_cast<size_t>(id)] : Tensor());
  return result;
}

void TapeMode::check_unused() const {
  TD_CHECK(
      !used_ || options_.persistent,
      "a non-persistent tape gives one gradient; make it with GradientTape({{.persistent = true}}) for more");
}

void TapeMode::gradients(std::span<const Tensor> targets, std::span<const GradientSource> sources,
                         const GradientOptions& options, Location where, std::span<Tensor> result) {
  check_unused();
  TD_CHECK(options.output_gradients.empty() || options.output_gradients.size() == targets.size(),
           "{} output gradients were given for {} targets", options.output_gradients.size(), targets.size());
  used_ = true;
  // A persistent tape that still records differentiates its own gradients too.
  if (recording_ && !options_.persistent) stop();
  Recording& data = *recording_data_;
  BorrowedWayBack borrowed(data);
  WayBack& way = *borrowed;
  find_way_back(sources, way);
  const std::vector<bool>& relevant = way.relevant;
  std::vector<Tensor>& sums = way.sums;
  const CallSite site(where);
  for (size_t i = 0; i < targets.size(); ++i) {
    const Tensor& target = targets[i];
    TD_CHECK(target.defined(), "target {} is an empty tensor handle", i);
    const int id = data.ids.find(target.impl());
    if (!is_floating(target.dtype())) continue;
    Tensor seed;
    if (!options.output_gradients.empty() && options.output_gradients[i].defined()) {
      seed = options.output_gradients[i];
      TD_CHECK(seed.shape() == target.shape(),
               "an output gradient of shape {} was given for a target of shape {}", seed.shape(),
               target.shape());
    }
    if (id < 0 || static_cast<size_t>(id) >= relevant.size() || !relevant[static_cast<size_t>(id)]) continue;
    if (!seed.defined()) seed = ones_like(target);
    Tensor& sum = sums[static_cast<size_t>(id)];
    sum = sum.defined() ? sum + seed : seed;
  }
  go_back_over_all(way);
  for (size_t i = 0; i < sources.size(); ++i) {
    const int id = way.source_ids[i];
    Tensor found =
        id >= 0 && static_cast<size_t>(id) < sums.size() ? sums[static_cast<size_t>(id)] : Tensor();
    if (!found.defined() && options.unconnected == Unconnected::zero) {
      const GradientSource& s = sources[i];
      found = s.is_variable() ? zeros_like(s.variable().value()) : zeros_like(s.tensor());
    }
    result[i] = std::move(found);
  }
  if (!options_.persistent) data.clear();
}

}  // namespace tandem
