#include "compiler/plan.h"

#include <algorithm>
#include <map>

#include "graph/run_node.h"
#include "ops/dispatch.h"
#include "ops/variable_impl.h"
#include "runtime/parallel.h"

namespace tandem {

using detail::TensorImpl;
using kernel::View;

/// Builds a Plan: shapes, then places, then steps.
class PlanBuilder {
 public:
  explicit PlanBuilder(Plan& plan) : plan_(plan), graph_(plan.graph_), inference_(plan.graph_) {}

  void build();

 private:
  using Place = Plan::Place;
  using Step = Plan::Step;

  // What planning knows of one node.
  struct Planned {
    SmallVector<Place, 1> places;
    bool folded = false;  // its value is known: no step
  };

  int value_id(ValueRef v) const { return first_value_[static_cast<size_t>(v.node)] + v.output; }
  const Shape& shape(ValueRef v) const { return value(v).impl()->shape; }
  const Tensor& value(ValueRef v) const { return inference_.value(v); }
  Place& place(ValueRef v) { return planned_[static_cast<size_t>(v.node)].places[v.output]; }

  void infer_node(int32_t id);
  void find_needed_tensors();
  void place_node(int32_t id);
  void place_view(int32_t id);
  void make_step(int32_t id);
  void share_dying_inputs();
  void assign_arena();
  int constant_slot(const Tensor& value);
  int new_slot() {
    plan_.prototype_.slots.push_back(nullptr);
    return static_cast<int>(plan_.prototype_.slots.size()) - 1;
  }
  int add_pointer(const Place& place);
  int add_view(const Place& place);
  void address(const Place& place, bool is_view, int index);
  Place contiguous_copy(const Place& from, bool as_tensor);
  Place new_place(const Spec& spec, bool as_tensor);
  void add_executable(Step& step, const OpDef& op, const AttributeBox& attributes,
                      const InferContext& context, std::span<const Place> inputs,
                      std::span<const Place> outputs, std::span<const Spec> specs);
  void add_prepared(Step& step, Executable e, std::span<const Place> inputs, std::span<const Place> outputs);
  bool can_fuse(int32_t id) const;
  bool can_defer(int32_t id) const;
  void place_fused(int32_t id);
  void emit_deferred(int32_t id);
  void find_results();

  Plan& plan_;
  Graph& graph_;
  SizedInference inference_;
  std::vector<Planned> planned_;
  std::vector<int> first_value_;
  int values_ = 0;
  std::vector<bool> needs_tensor_;  // by value id: the root must be a tensor of its own
  /// Element-wise ops whose only user is element-wise on the same shape wait for it: one loop serves both.
  struct Deferred {
    kernel::ProgramRef program;
    std::vector<Place> inputs;
  };
  std::map<int32_t, Deferred> deferred_;
  std::vector<int> uses_;
  std::vector<int32_t> user_;  // the last node that uses each node
  /// A value of the arena, with the first and last step that touches it.
  struct ArenaValue {
    int64_t bytes;
    int first = -1, last = -1;
    int64_t offset = -1;
    int shares = -1;  // in place: has the memory of this other value, which dies where this one is made
  };
  std::vector<ArenaValue> arena_;
  /// A flat step may write over an input of the same size that it is the last to read.
  struct InPlaceChance {
    int step, output, input;
  };
  std::vector<InPlaceChance> chances_;
};

namespace {

bool is_view_op(const Node& n) { return n.op->view != nullptr; }

}  // namespace

void PlanBuilder::infer_node(int32_t id) {
  Node& n = graph_.node(id);
  Planned& p = planned_[static_cast<size_t>(id)];
  if (!n.op->has(is_input)) inference_.infer(id);
  for (int k = 0; k < n.outputs.size(); ++k) n.outputs[k] = value({id, k}).spec();
  p.places.resize(n.outputs.size());
  if (n.op->has(is_input) || n.outputs.size() != 1) return;
  const Tensor& known = inference_.known({id, 0});
  if (!known.defined()) return;
  p.folded = true;
  p.places[0].kind = Place::Kind::constant;
  p.places[0].view = {nullptr, known.dtype(), known.shape().codes(),
                      contiguous_strides(known.shape().codes())};
}

// Values that outlive the run, or that ops take as whole tensors, cannot lie in the arena.
void PlanBuilder::find_needed_tensors() {
  needs_tensor_.assign(static_cast<size_t>(values_), false);
  for (ValueRef v : graph_.outputs)
    if (v.present()) needs_tensor_[static_cast<size_t>(value_id(v))] = true;
  for (auto id = static_cast<int32_t>(graph_.nodes.size()) - 1; id >= 0; --id) {
    const Node& n = graph_.node(id);
    if (n.op->run_tensors)
      for (ValueRef v : n.inputs)
        if (v.present()) needs_tensor_[static_cast<size_t>(value_id(v))] = true;
    if (!is_view_op(n)) continue;
    for (int k = 0; k < n.outputs.size(); ++k)
      if (needs_tensor_[static_cast<size_t>(value_id({id, k}))])
        needs_tensor_[static_cast<size_t>(value_id(n.inputs[0]))] = true;
  }
}

int PlanBuilder::constant_slot(const Tensor& value) {
  const int slot = new_slot();
  plan_.constants_.push_back(value.contiguous());
  plan_.prototype_.slots[static_cast<size_t>(slot)] = plan_.constants_.back().impl();
  return slot;
}

void PlanBuilder::place_node(int32_t id) {
  const Node& n = graph_.node(id);
  Planned& p = planned_[static_cast<size_t>(id)];
  if (p.folded) {
    p.places[0].slot = constant_slot(inference_.known({id, 0}));
    return;
  }
  if (is_view_op(n)) return place_view(id);
  if (can_fuse(id)) return place_fused(id);
  for (int k = 0; k < p.places.size(); ++k) {
    const Spec spec = value({id, k}).spec();
    Place& place = p.places[k];
    if (n.op->has(is_input) || n.op->run_tensors) {
      // Whoever runs fills the slot.
      place.kind = Place::Kind::tensor;
      place.view = {nullptr, spec.dtype, spec.shape, contiguous_strides(spec.shape)};
      place.slot = new_slot();
      if (n.op->has(is_input))
        plan_.input_slots_[static_cast<size_t>(n.attributes.as<InputAttributes>().index)] = place.slot;
      else
        plan_.transient_slots_.push_back(place.slot);
    } else {
      place = new_place(spec, needs_tensor_[static_cast<size_t>(value_id({id, k}))]);
    }
  }
  if (!n.op->has(is_input)) make_step(id);
}

Plan::Place PlanBuilder::new_place(const Spec& spec, bool as_tensor) {
  Place place;
  place.view = {nullptr, spec.dtype, spec.shape, contiguous_strides(spec.shape)};
  const int64_t bytes = spec.shape.element_count() * static_cast<int64_t>(size_of(spec.dtype));
  if (as_tensor) {
    place.kind = Place::Kind::tensor;
    place.slot = new_slot();
    plan_.transient_slots_.push_back(place.slot);
    plan_.allocations_.push_back({place.slot, spec});
    plan_.tensor_bytes_ += bytes;
  } else {
    place.kind = Place::Kind::arena;
    place.slot = static_cast<int>(arena_.size());
    arena_.push_back({bytes});
  }
  return place;
}

void PlanBuilder::place_view(int32_t id) {
  const Node& n = graph_.node(id);
  std::vector<Operand> operands;
  std::vector<const Operand*> list;
  for (ValueRef v : n.inputs) operands.emplace_back(inference_.operand(v), n.where);
  for (const Operand& o : operands) list.push_back(&o);
  SmallVector<Argument, 8> arguments;
  resolve(*n.op, list, arguments);
  InferContext context(*n.op, arguments, &inference_);
  infer(context, n.attributes.get());
  Place from = place(n.inputs[0]);
  for (int k = 0; k < n.outputs.size(); ++k) {
    const Shape& out = shape({id, k});
    ViewResult result;
    result.output = k;
    if (!n.op->view(context, n.attributes.get(), from.view, out, result)) {
      // These strides need a copy first: a step of its own, into a tensor or the arena.
      bool as_tensor = false;
      for (int i = 0; i < n.outputs.size(); ++i)
        as_tensor = as_tensor || needs_tensor_[static_cast<size_t>(value_id({id, i}))];
      from = contiguous_copy(from, as_tensor);
      result.strides = {};
      TD_ASSERT(n.op->view(context, n.attributes.get(), from.view, out, result));
    }
    Place& to = planned_[static_cast<size_t>(id)].places[k];
    to = from;
    const DType dtype = value({id, k}).dtype();
    to.offset = from.offset + result.offset * static_cast<int64_t>(size_of(dtype));
    to.view = {nullptr, dtype, out, result.strides};
  }
}

// ---- steps

void PlanBuilder::address(const Place& place, bool is_view, int index) {
  TD_ASSERT(place.kind != Place::Kind::none);
  // Arena addresses are known per frame: slot -1 - arena id is resolved when offsets are.
  const int slot = place.kind == Place::Kind::arena ? -1 - place.slot : place.slot;
  plan_.patches_.push_back({slot, is_view, index, place.offset});
  if (place.kind == Place::Kind::arena) {
    ArenaValue& a = arena_[static_cast<size_t>(place.slot)];
    const int step = static_cast<int>(plan_.steps_.size());
    if (a.first < 0) a.first = step;
    a.last = step;
  }
}

int PlanBuilder::add_pointer(const Place& place) {
  plan_.prototype_.pointers.push_back(nullptr);
  const int index = static_cast<int>(plan_.prototype_.pointers.size()) - 1;
  address(place, false, index);
  return index;
}

int PlanBuilder::add_view(const Place& place) {
  plan_.prototype_.views.push_back(place.view);
  const int index = static_cast<int>(plan_.prototype_.views.size()) - 1;
  if (place.kind != Place::Kind::none) address(place, true, index);
  return index;
}

Plan::Place PlanBuilder::contiguous_copy(const Place& from, bool as_tensor) {
  const Spec spec{from.view.dtype, from.view.shape, {}};
  const Place to = new_place(spec, as_tensor);
  Step step{Step::Kind::kernel};
  add_executable(step, contiguous_op(), {}, InferContext(contiguous_op(), {}, &inference_), {&from, 1},
                 {&to, 1}, {&spec, 1});
  plan_.steps_.push_back(std::move(step));
  return to;
}

void PlanBuilder::add_executable(Step& step, const OpDef& op, const AttributeBox& attributes,
                                 const InferContext& context, std::span<const Place> inputs,
                                 std::span<const Place> outputs, std::span<const Spec> specs) {
  SmallVector<View, 8> views;
  for (const Place& p : inputs) views.push_back(p.view);
  SmallVector<Place, 8> data;
  Executable e = prepare(op, attributes, context, views, specs);
  for (int i = 0; i < static_cast<int>(inputs.size()); ++i) {
    const Place& p = inputs[static_cast<size_t>(i)];
    if (!e.program || (is_program_input(op, i) && p.kind != Place::Kind::none)) data.push_back(p);
  }
  add_prepared(step, std::move(e), data, outputs);
}

void PlanBuilder::add_prepared(Step& step, Executable e, std::span<const Place> inputs,
                               std::span<const Place> outputs) {
  step.kind = !e.program ? Step::Kind::kernel : e.flat ? Step::Kind::flat : Step::Kind::nest;
  step.executable = static_cast<int>(plan_.executables_.size());
  step.first_pointer = static_cast<int>(plan_.prototype_.pointers.size());
  step.first_view = static_cast<int>(plan_.prototype_.views.size());
  for (const Place& p : inputs) {
    if (step.kind == Step::Kind::kernel) {
      add_view(p);
      ++step.input_views;
      continue;
    }
    add_pointer(p);
    ++step.input_pointers;
    const bool same_size =
        p.kind == Place::Kind::arena && p.offset == 0 && outputs[0].kind == Place::Kind::arena &&
        arena_[static_cast<size_t>(p.slot)].bytes == arena_[static_cast<size_t>(outputs[0].slot)].bytes;
    if (e.flat && same_size && !(e.scalar_mask >> (step.input_pointers - 1) & 1))
      chances_.push_back({static_cast<int>(plan_.steps_.size()), outputs[0].slot, p.slot});
  }
  for (const Place& p : outputs) {
    if (step.kind == Step::Kind::kernel) {
      add_view(p);
      ++step.output_views;
    } else {
      add_pointer(p);
    }
  }
  plan_.executables_.push_back(std::move(e));
}

// ---- fusion of element-wise ops

namespace {
constexpr size_t most_fused_inputs = 30;  // the scalar mask has 32 bits
constexpr int most_fused_cost = 600;
}  // namespace

// Integer programs stay alone: a division may fail, and the error must name its own op.
bool PlanBuilder::can_fuse(int32_t id) const {
  const Node& n = graph_.node(id);
  if (!n.op->is_elementwise() || n.outputs.size() != 1) return false;
  auto safe = [](DType d) { return is_floating(d) || d == DType::boolean; };
  if (!safe(value({id, 0}).dtype())) return false;
  for (int i = 0; i < n.inputs.size(); ++i)
    if (!n.inputs[i].present() || !is_program_input(*n.op, i) || !safe(value(n.inputs[i]).dtype()))
      return false;
  return true;
}

bool PlanBuilder::can_defer(int32_t id) const {
  if (uses_[static_cast<size_t>(id)] != 1 || needs_tensor_[static_cast<size_t>(value_id({id, 0}))])
    return false;
  const int32_t user = user_[static_cast<size_t>(id)];
  return user >= 0 && can_fuse(user) && shape({user, 0}) == shape({id, 0});
}

void PlanBuilder::place_fused(int32_t id) {
  const Node& n = graph_.node(id);
  SmallVector<DType, 4> dtypes;
  for (ValueRef v : n.inputs) dtypes.push_back(value(v).dtype());
  kernel::ProgramRef program = n.op->program(dtypes, n.outputs, n.attributes.get());
  // The program's inputs in order: inputs of this node by number, or places that came in with a fused
  // producer.
  struct Entry {
    int own = -1;
    Place place;
  };
  std::vector<Entry> entries;
  for (int i = 0; i < n.inputs.size(); ++i) entries.push_back({i, {}});
  for (int i = 0; i < n.inputs.size(); ++i) {
    const auto waiting = deferred_.find(n.inputs[i].node);
    if (waiting == deferred_.end()) continue;
    const Deferred& d = waiting->second;
    if (d.inputs.size() + entries.size() - 1 > most_fused_inputs ||
        kernel::cost(*d.program) + kernel::cost(*program) > most_fused_cost) {
      emit_deferred(n.inputs[i].node);
      continue;
    }
    const auto at = std::find_if(entries.begin(), entries.end(), [&](const Entry& e) { return e.own == i; });
    program = kernel::fuse(*d.program, *program, static_cast<int>(at - entries.begin()));
    entries.erase(at);
    std::vector<Entry> first;
    for (const Place& p : d.inputs) first.push_back({-1, p});
    entries.insert(entries.begin(), first.begin(), first.end());
    deferred_.erase(waiting);
  }
  Deferred own{std::move(program), {}};
  for (const Entry& e : entries) own.inputs.push_back(e.own < 0 ? e.place : place(n.inputs[e.own]));
  deferred_[id] = std::move(own);
  if (!can_defer(id)) emit_deferred(id);
}

void PlanBuilder::emit_deferred(int32_t id) {
  const Node& n = graph_.node(id);
  const Deferred d = std::move(deferred_.at(id));
  deferred_.erase(id);
  Place& to = planned_[static_cast<size_t>(id)].places[0];
  to = new_place(value({id, 0}).spec(), needs_tensor_[static_cast<size_t>(value_id({id, 0}))]);
  SmallVector<View, 8> views;
  for (const Place& p : d.inputs) views.push_back(p.view);
  Step step{Step::Kind::flat};
  step.node = &n;
  add_prepared(step, prepare_elementwise(*n.op, d.program, shape({id, 0}), views), d.inputs, {&to, 1});
  plan_.steps_.push_back(std::move(step));
}

void PlanBuilder::make_step(int32_t id) {
  const Node& n = graph_.node(id);
  Planned& p = planned_[static_cast<size_t>(id)];
  Step step{Step::Kind::tensors};
  step.node = &n;
  if (n.op->run_tensors) {
    for (ValueRef v : n.inputs) step.tensor_inputs.push_back(v.present() ? place(v) : Place());
    for (const Place& to : p.places) step.tensor_outputs.push_back(to.slot);
    plan_.steps_.push_back(std::move(step));
    return;
  }
  SmallVector<Operand, 8> operands;
  SmallVector<const Operand*, 8> list;
  SmallVector<Place, 8> inputs;
  for (ValueRef v : n.inputs) {
    operands.push_back(Operand(inference_.operand(v), n.where));
    Place from = v.present() ? place(v) : Place();
    // A kernel takes contiguous inputs unless it says otherwise.
    if (v.present() && n.op->kernel && !n.op->has(strided) &&
        !detail::strides_are_contiguous(from.view.shape, from.view.strides))
      from = contiguous_copy(from, false);
    inputs.push_back(from);
  }
  for (const Operand& o : operands) list.push_back(&o);
  SmallVector<Argument, 8> arguments;
  resolve(*n.op, list, arguments);
  InferContext context(*n.op, arguments, &inference_);
  infer(context, n.attributes.get());
  add_executable(step, *n.op, n.attributes, context, inputs, p.places, context.outputs());
  plan_.steps_.push_back(std::move(step));
}

// ---- memory

void PlanBuilder::share_dying_inputs() {
  auto root = [&](int id) {
    while (arena_[static_cast<size_t>(id)].shares >= 0) id = arena_[static_cast<size_t>(id)].shares;
    return id;
  };
  for (const InPlaceChance& c : chances_) {
    ArenaValue& output = arena_[static_cast<size_t>(c.output)];
    if (output.shares >= 0) continue;
    const int source = root(c.input);
    ArenaValue& input = arena_[static_cast<size_t>(source)];
    if (source == c.output || input.last != c.step || output.first != c.step) continue;
    output.shares = source;
    input.last = output.last;
  }
}

void PlanBuilder::assign_arena() {
  std::vector<int> order;
  for (int i = 0; i < static_cast<int>(arena_.size()); ++i)
    if (arena_[static_cast<size_t>(i)].shares < 0 && arena_[static_cast<size_t>(i)].first >= 0)
      order.push_back(i);
  // Large ones first: small ones fit between them.
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    return arena_[static_cast<size_t>(a)].bytes > arena_[static_cast<size_t>(b)].bytes;
  });
  std::vector<int> placed;  // by offset
  for (int id : order) {
    ArenaValue& a = arena_[static_cast<size_t>(id)];
    const int64_t bytes = (a.bytes + 63) / 64 * 64;
    int64_t offset = 0;
    for (int other : placed) {
      const ArenaValue& b = arena_[static_cast<size_t>(other)];
      if (b.last < a.first || b.first > a.last) continue;
      if (offset + bytes <= b.offset) break;
      offset = std::max(offset, b.offset + (b.bytes + 63) / 64 * 64);
    }
    a.offset = offset;
    placed.insert(std::upper_bound(placed.begin(), placed.end(), id,
                                   [&](int x, int y) {
                                     return arena_[static_cast<size_t>(x)].offset <
                                            arena_[static_cast<size_t>(y)].offset;
                                   }),
                  id);
    plan_.arena_bytes_ = std::max(plan_.arena_bytes_, offset + bytes);
  }
  for (Plan::Patch& patch : plan_.patches_) {
    if (patch.slot >= 0) continue;
    int id = -1 - patch.slot;
    while (arena_[static_cast<size_t>(id)].shares >= 0) id = arena_[static_cast<size_t>(id)].shares;
    patch.slot = -1;
    patch.offset += arena_[static_cast<size_t>(id)].offset;
  }
}

void PlanBuilder::find_results() {
  for (ValueRef v : graph_.outputs) {
    Plan::Result r;
    if (v.present()) {
      r.place = place(v);
      const View& view = r.place.view;
      r.whole = r.place.kind == Place::Kind::tensor && r.place.offset == 0 &&
                detail::strides_are_contiguous(view.shape, view.strides);
    }
    plan_.results_.push_back(r);
  }
  const std::vector<int>& owned = plan_.transient_slots_;
  for (size_t i = 0; i < plan_.results_.size(); ++i) {
    Plan::Result& r = plan_.results_[i];
    r.last = r.place.kind == Place::Kind::tensor &&
             std::find(owned.begin(), owned.end(), r.place.slot) != owned.end();
    for (size_t k = i + 1; k < plan_.results_.size(); ++k)
      if (plan_.results_[k].place.kind == Place::Kind::tensor && plan_.results_[k].place.slot == r.place.slot)
        r.last = false;
  }
}

void PlanBuilder::build() {
  const auto count = static_cast<int32_t>(graph_.nodes.size());
  planned_.resize(graph_.nodes.size());
  for (const Node& n : graph_.nodes) {
    first_value_.push_back(values_);
    values_ += n.outputs.size();
  }
  for (size_t i = 0; i < graph_.inputs.size(); ++i)
    inference_.give({graph_.inputs[i], 0}, plan_.input_specs_[i], plan_.known_inputs_[i]);
  plan_.input_slots_.assign(graph_.inputs.size(), -1);
  for (int32_t id = 0; id < count; ++id) infer_node(id);
  find_needed_tensors();
  uses_ = graph_.use_counts();
  user_.assign(graph_.nodes.size(), -1);
  for (int32_t id = 0; id < count; ++id)
    for (ValueRef v : graph_.node(id).inputs)
      if (v.present()) user_[static_cast<size_t>(v.node)] = id;
  // What only parameters of folded values needed has no step.
  for (int32_t id = 0; id < count; ++id) place_node(id);
  find_results();
  share_dying_inputs();
  assign_arena();
  plan_.assigned_ = assigned_variables(graph_);
  std::stable_sort(plan_.patches_.begin(), plan_.patches_.end(),
                   [](const Plan::Patch& a, const Plan::Patch& b) { return a.slot < b.slot; });
  const int slots = static_cast<int>(plan_.prototype_.slots.size());
  size_t at = 0;
  while (at < plan_.patches_.size() && plan_.patches_[at].slot < 0) ++at;
  for (int slot = 0; slot <= slots; ++slot) {
    while (at < plan_.patches_.size() && plan_.patches_[at].slot < slot) ++at;
    plan_.first_patch_.push_back(static_cast<int>(at));
  }
}

// ---- running

std::vector<std::shared_ptr<detail::VariableImpl>> assigned_variables(const Graph& graph) {
  std::vector<std::shared_ptr<detail::VariableImpl>> list;
  for (const Node& n : graph.nodes)
    if (n.op->has(writes_variable)) list.push_back(n.attributes.as<VariableAttributes>().variable);
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
  return list;
}

AssignmentLocks::AssignmentLocks(std::span<const std::shared_ptr<detail::VariableImpl>> variables) {
  for (const auto& v : variables) locks_.push_back(std::unique_lock(v->call_mutex));
}

Plan::Plan(const Graph& graph, std::span<const Spec> inputs, std::vector<Tensor> known)
    : graph_(graph), input_specs_(inputs.begin(), inputs.end()), known_inputs_(std::move(known)) {
  known_inputs_.resize(inputs.size());
  PlanBuilder(*this).build();
}

Plan::Frame::~Frame() {
  if (arena) detail::free_block(arena, arena_class);
}

Plan::~Plan() {
  delete spare_.load();
  while (more_frames_) {
    Frame* next = more_frames_->next;
    delete more_frames_;
    more_frames_ = next;
  }
}

Plan::Frame* Plan::take_frame() {
  if (Frame* frame = spare_.exchange(nullptr, std::memory_order_acq_rel)) return frame;
  {
    const std::lock_guard<std::mutex> lock(frames_mutex_);
    if (more_frames_) {
      Frame* frame = more_frames_;
      more_frames_ = frame->next;
      return frame;
    }
  }
  auto frame = std::make_unique<Frame>();
  frame->slots = prototype_.slots;
  frame->pointers = prototype_.pointers;
  frame->views = prototype_.views;
  if (arena_bytes_ > 0)
    frame->arena = static_cast<std::byte*>(
        detail::allocate_block(static_cast<size_t>(arena_bytes_), frame->arena_class));
  for (const Patch& p : patches_) {
    if (p.slot >= 0) break;
    void* data = frame->arena + p.offset;
    if (p.is_view)
      frame->views[static_cast<size_t>(p.index)].data = data;
    else
      frame->pointers[static_cast<size_t>(p.index)] = data;
  }
  for (int slot = 0; slot < static_cast<int>(frame->slots.size()); ++slot)
    if (TensorImpl* constant = frame->slots[static_cast<size_t>(slot)]) bind(*frame, slot, constant);
  return frame.release();
}

void Plan::give_back(Frame* frame) {
  for (int slot : transient_slots_)
    if (TensorImpl* owned = std::exchange(frame->slots[static_cast<size_t>(slot)], nullptr))
      detail::release(owned);
  Frame* none = nullptr;
  if (spare_.compare_exchange_strong(none, frame, std::memory_order_acq_rel)) return;
  const std::lock_guard<std::mutex> lock(frames_mutex_);
  frame->next = more_frames_;
  more_frames_ = frame;
}

void Plan::bind(Frame& frame, int slot, TensorImpl* tensor) const {
  frame.slots[static_cast<size_t>(slot)] = tensor;
  auto* data = static_cast<std::byte*>(tensor->data);
  const Patch* end = patches_.data() + first_patch_[static_cast<size_t>(slot) + 1];
  for (const Patch* p = patches_.data() + first_patch_[static_cast<size_t>(slot)]; p != end; ++p) {
    if (p->is_view)
      frame.views[static_cast<size_t>(p->index)].data = data + p->offset;
    else
      frame.pointers[static_cast<size_t>(p->index)] = data + p->offset;
  }
}

Tensor Plan::tensor_at(const Place& place, const Frame& frame) const {
  if (place.kind == Place::Kind::none) return {};
  TD_ASSERT(place.kind != Place::Kind::arena);
  TensorImpl* root = frame.slots[static_cast<size_t>(place.slot)];
  const View& v = place.view;
  if (place.offset == 0 && root->dtype == v.dtype && root->shape == v.shape &&
      detail::strides_are_contiguous(v.shape, v.strides))
    return Tensor::share(root);
  return Tensor::adopt(detail::make_view(root, static_cast<std::byte*>(root->data) + place.offset, v.dtype,
                                         v.shape, v.strides));
}

void Plan::run_step(const Step& step, Frame& frame) {
  const void* const* inputs = frame.pointers.data() + step.first_pointer;
  auto* const* outputs = const_cast<void* const*>(inputs + step.input_pointers);
  switch (step.kind) {
    case Step::Kind::flat:
    case Step::Kind::nest:
      run_program(executables_[static_cast<size_t>(step.executable)], inputs, outputs);
      return;
    case Step::Kind::kernel: {
      const Executable& e = executables_[static_cast<size_t>(step.executable)];
      const View* views = frame.views.data() + step.first_view;
      e.op->kernel({{views, static_cast<size_t>(step.input_views)},
                    {views + step.input_views, static_cast<size_t>(step.output_views)}},
                   e.attributes.get());
      return;
    }
    case Step::Kind::tensors: {
      SmallVector<Tensor, 8> in, out;
      for (const Place& p : step.tensor_inputs) in.push_back(tensor_at(p, frame));
      out.resize(static_cast<int>(step.tensor_outputs.size()));
      step.node->op->run_tensors(step.node->attributes.get(), in, out);
      for (int i = 0; i < out.size(); ++i) {
        const Shape &planned = step.node->outputs[i].shape, &found = out[i].shape().codes();
        TD_CHECK(found == planned, "result {} has shape {}; {} was planned", i, found, planned);
      }
      for (int i = 0; i < out.size(); ++i)
        bind(frame, step.tensor_outputs[static_cast<size_t>(i)], out[i].contiguous().detach());
      return;
    }
  }
}

void Plan::run(const Tensor* const* inputs, std::span<Tensor> outputs) {
  const AssignmentLocks locks(assigned_);
  struct Loan {
    Plan& plan;
    Frame* frame;
    ~Loan() { plan.give_back(frame); }
  } loan{*this, take_frame()};
  Frame& frame = *loan.frame;
  SmallVector<Tensor, 2> copies;  // of arguments that are strided views
  for (size_t i = 0; i < input_slots_.size(); ++i) {
    if (input_slots_[i] < 0) continue;
    TensorImpl* argument = inputs[i]->impl();
    if (!argument->contiguous) {
      copies.push_back(inputs[i]->contiguous());
      argument = copies.back().impl();
    }
    bind(frame, input_slots_[i], argument);
  }
  for (const Allocation& a : allocations_)
    bind(frame, a.slot, detail::allocate_tensor(a.spec.dtype, a.spec.shape));
  for (const Step& step : steps_) run_node(step.node, [&] { run_step(step, frame); });
  for (size_t i = 0; i < outputs.size(); ++i) {
    const Result& r = results_[i];
    if (r.whole && r.last && frame.slots[static_cast<size_t>(r.place.slot)]->shape == r.place.view.shape)
      outputs[i] = Tensor::adopt(std::exchange(frame.slots[static_cast<size_t>(r.place.slot)], nullptr));
    else
      outputs[i] = tensor_at(r.place, frame);
  }
}

}  // namespace tandem
