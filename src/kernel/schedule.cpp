// From SSA to the order, the stages and the places that the interpreter uses.
//
// Row programs run as one loop over the row per stage. A reduction over values of stage s is known in
// stage s + 1. An element value is computed in the latest stage that serves all its readers and, where a
// later stage reads it as well, kept in a row buffer instead of being computed again.

#include <algorithm>

#include "core/check.h"
#include "kernel/interpreter.h"
#include "kernel/ir.h"

namespace tandem::kernel {

namespace {

class Scheduler {
 public:
  explicit Scheduler(Program& program) : p_(program), n_(static_cast<int>(program.code.size())) {}

  void run() {
    find_levels();
    find_pairs();
    place();
    allocate_registers();
    find_single_primitive();
    int64_t tile = 2048;
    while (tile > 256 && tile * p_.element_size * std::max(p_.register_count, 1) > 32768) tile /= 2;
    p_.tile = tile;
    lay_out_frame();
  }

 private:
  void find_levels() {
    element_.assign(n_, 0);
    stage_.assign(n_, 0);
    for (int v = 0; v < n_; ++v) {
      const Instruction& x = p_.code[v];
      element_[v] = x.op == Op::input || x.op == Op::element_index || !p_.rows;
      for (int k = 0; k < x.operand_count(); ++k) {
        const int operand = x.operand[k];
        element_[v] |= element_[operand];
        stage_[v] = std::max(stage_[v], stage_[operand]);
      }
      if (is_reduction(x.op)) {
        element_[v] = 0;
        ++stage_[v];
      }
    }
    std::vector<int> latest(n_, -1);  // the earliest reader's stage
    for (int v = n_ - 1; v >= 0; --v) {
      const Instruction& x = p_.code[v];
      if (element_[v] && latest[v] > stage_[v]) stage_[v] = latest[v];
      for (int k = 0; k < x.operand_count(); ++k) {
        const int reads_at = is_reduction(x.op) ? stage_[v] - 1 : stage_[v];
        int& l = latest[x.operand[k]];
        l = l < 0 ? reads_at : std::min(l, reads_at);
      }
    }
    for (const OutputInfo& output : p_.outputs) last_ = std::max(last_, stage_[output.value]);
    for (int s : stage_) last_ = std::max(last_, s);
    p_.stages.resize(last_ + 1);
  }

  /// Marks f32 operations that one primitive does together with the operation that alone reads them.
  void find_pairs() {
    absorbed_by_.assign(n_, -1);
    absorbs_.assign(n_, -1);
    std::vector<int> readers(n_, 0);
    for (const Instruction& x : p_.code)
      for (int k = 0; k < x.operand_count(); ++k) ++readers[x.operand[k]];
    for (const OutputInfo& output : p_.outputs) ++readers[output.value];
    PairSecond second;
    PairFirst first;
    for (int v = 0; v < n_; ++v)
      for (int k = 0; k < 2 && absorbs_[v] < 0; ++k) {
        if (!pair_second(p_.code[v], k, second)) break;
        const int u = p_.code[v].operand[k];
        if (pair_first(p_.code[u], first) && readers[u] == 1 && absorbs_[u] < 0 && element_[u] &&
            element_[v] && stage_[u] == stage_[v]) {
          absorbs_[v] = u;
          absorbed_by_[u] = v;
        }
      }
  }

  /// `x` as the second of a pair whose result is its operand k.
  static bool pair_second(const Instruction& x, int k, PairSecond& second) {
    if (x.type != DType::f32 || x.from != DType::f32) return false;
    switch (x.op) {
      case Op::add:
        second = PairSecond::add;
        return true;
      case Op::subtract:
        second = k == 0 ? PairSecond::subtract : PairSecond::reverse_subtract;
        return true;
      case Op::multiply:
        second = PairSecond::multiply;
        return true;
      case Op::divide:
        second = PairSecond::divide;
        return k == 0;
      case Op::maximum:
        second = PairSecond::maximum;
        return true;
      default:
        return false;
    }
  }
  bool pair_first(const Instruction& x, PairFirst& first) const {
    if (x.type != DType::f32 || x.operand_count() < 2) return false;
    // The pair's first operand can't be one element for all: a constant goes second.
    const bool reversed = p_.code[x.operand[0]].op == Op::constant;
    if (reversed && p_.code[x.operand[1]].op == Op::constant) return false;
    switch (x.op) {
      case Op::add:
        first = PairFirst::add;
        return true;
      case Op::subtract:
        first = reversed ? PairFirst::reverse_subtract : PairFirst::subtract;
        return true;
      case Op::multiply:
        first = PairFirst::multiply;
        return true;
      default:
        return false;
    }
  }
  Step pair_step(int v) const {
    const Instruction &x = p_.code[v], &u = p_.code[absorbs_[v]];
    const int k = x.operand[0] == absorbs_[v] ? 0 : 1;
    PairFirst first{};
    PairSecond second{};
    pair_first(u, first);
    pair_second(x, k, second);
    const int reversed = p_.code[u.operand[0]].op == Op::constant ? 1 : 0;
    Step step{.op = x.op, .type = DType::f32, .from = DType::f32, .operands = 3};
    step.primitive = static_cast<uint16_t>(pair_index(first, second));
    step.source[0] = slot_[u.operand[reversed]];
    step.source[1] = slot_[u.operand[1 - reversed]];
    step.source[2] = slot_[x.operand[1 - k]];
    return step;
  }

  bool needs_step(int v) const {
    const Op op = p_.code[v].op;
    return absorbed_by_[v] < 0 && op != Op::input && op != Op::constant && op != Op::row_count &&
           !is_reduction(op);
  }

  uint16_t add_slot(SlotKind kind, DType type, int index) {
    TD_ASSERT(p_.slots.size() < no_slot);
    p_.slots.push_back({kind, type, index});
    return static_cast<uint16_t>(p_.slots.size() - 1);
  }

  void add_step(std::vector<Step>& steps, const Instruction& x, uint16_t destination) {
    Step step{.op = x.op, .type = x.type, .from = x.from, .function = x.function};
    step.operands = static_cast<uint8_t>(x.operand_count());
    step.primitive = static_cast<uint16_t>(primitive_index(x.op, x.from, x.type));
    step.destination = destination;
    for (int k = 0; k < step.operands; ++k) step.source[k] = slot_[x.operand[k]];
    steps.push_back(step);
  }

  void add_copy(std::vector<Step>& steps, DType type, uint16_t from, uint16_t to) {
    Step step{.op = Op::bitcast, .type = type, .from = type, .operands = 1};
    step.primitive = static_cast<uint16_t>(copy_base + static_cast<int>(type));
    step.destination = to;
    step.source[0] = from;
    steps.push_back(step);
  }

  void place() {
    slot_.assign(n_, no_slot);
    std::vector<int> read_until(n_, 0);  // the last stage that reads an element value
    int last_input_read = -1;
    for (int v = 0; v < n_; ++v)
      for (int k = 0; k < p_.code[v].operand_count(); ++k) {
        const int operand = p_.code[v].operand[k], reader = absorbed_by_[v] < 0 ? v : absorbed_by_[v];
        const int stage = is_reduction(p_.code[v].op) ? stage_[v] - 1 : stage_[v];
        read_until[operand] = std::max(read_until[operand], stage);
        if (p_.code[operand].op == Op::input) last_input_read = std::max(last_input_read, reader);
      }
    for (const OutputInfo& output : p_.outputs)
      if (p_.code[output.value].op == Op::input) last_input_read = n_;  // copied at the end

    p_.input_slot.assign(p_.inputs.size(), no_slot);
    p_.element_size = 1;
    for (int v = 0; v < n_; ++v) {
      const Instruction& x = p_.code[v];
      if (absorbed_by_[v] >= 0) continue;
      p_.element_size = std::max(p_.element_size, static_cast<int>(size_of(x.type)));
      if (x.op == Op::input) {
        slot_[v] = p_.input_slot[x.bits] = add_slot(SlotKind::input, x.type, static_cast<int>(x.bits));
      } else if (x.op == Op::constant) {
        slot_[v] = add_slot(SlotKind::constant, x.type, static_cast<int>(p_.constants.size()));
        p_.constants.push_back(x.bits);
      } else if (!element_[v]) {
        slot_[v] = add_slot(SlotKind::row_scalar, x.type, p_.row_scalar_count++);
      } else if (read_until[v] > stage_[v]) {
        slot_[v] = add_slot(SlotKind::row_buffer, x.type, p_.buffer_count++);
      } else {
        // Straight into an output, unless an input that may share its memory is read afterwards.
        for (size_t o = 0; o < p_.outputs.size() && slot_[v] == no_slot; ++o)
          if (p_.outputs[o].value == v && (p_.rows || last_input_read <= v))
            slot_[v] = p_.outputs[o].slot = add_slot(SlotKind::output, x.type, static_cast<int>(o));
        if (slot_[v] == no_slot) slot_[v] = add_slot(SlotKind::local, x.type, -1);
      }
      const auto s = static_cast<size_t>(stage_[v]);
      if (x.op == Op::row_count) p_.row_count_slots.push_back(slot_[v]);
      if (is_reduction(x.op)) {
        p_.stages[s - 1].reductions.push_back({x.op, x.type, slot_[x.operand[0]], slot_[v]});
        ++p_.reduction_count;
      } else if (absorbs_[v] >= 0) {
        p_.stages[s].steps.push_back(pair_step(v));
        p_.stages[s].steps.back().destination = slot_[v];
      } else if (needs_step(v)) {
        add_step(element_[v] ? p_.stages[s].steps : p_.stages[s].row_steps, x, slot_[v]);
      }
    }
    for (size_t o = 0; o < p_.outputs.size(); ++o) {
      OutputInfo& output = p_.outputs[o];
      const uint16_t from = slot_[output.value];
      output.row_scalar = p_.rows && !element_[output.value];
      if (output.row_scalar) {
        output.slot = from;
        continue;
      }
      const bool direct =
          p_.slots[from].kind == SlotKind::output && p_.slots[from].index == static_cast<int>(o);
      Stage& stage = p_.stages[static_cast<size_t>(stage_[output.value])];
      if (!direct) {
        output.slot = add_slot(SlotKind::output, output.dtype, static_cast<int>(o));
        add_copy(stage.steps, output.dtype, from, output.slot);
      }
      stage.outputs.push_back(output.slot);
    }
    for (Stage& stage : p_.stages) {
      const auto touch = [&](uint16_t slot) {
        const SlotKind kind = p_.slots[slot].kind;
        if (kind != SlotKind::input && kind != SlotKind::row_buffer && kind != SlotKind::row_scalar) return;
        auto& list = kind == SlotKind::input        ? stage.inputs
                     : kind == SlotKind::row_buffer ? stage.buffers
                                                    : stage.scalars;
        if (std::find(list.begin(), list.end(), slot) == list.end()) list.push_back(slot);
      };
      for (const Step& step : stage.steps) {
        touch(step.destination);
        for (int k = 0; k < step.operands; ++k) touch(step.source[k]);
      }
      for (const ReductionStep& reduction : stage.reductions) touch(reduction.source);
    }
  }

  /// Linear scan over each stage's steps; registers freed last are taken first, while in cache.
  void allocate_registers() {
    for (Stage& stage : p_.stages) {
      std::vector<int> last_read(p_.slots.size(), -1);
      const int count = static_cast<int>(stage.steps.size());
      for (int i = 0; i < count; ++i)
        for (int k = 0; k < stage.steps[i].operands; ++k) last_read[stage.steps[i].source[k]] = i;
      for (const ReductionStep& reduction : stage.reductions) last_read[reduction.source] = count;
      std::vector<int> free;
      int used = 0;
      for (int i = 0; i < count; ++i) {
        const Step& step = stage.steps[i];
        std::vector<int> after;  // of another size: may be reused from the next step on
        for (int k = 0; k < step.operands; ++k) {
          const Slot& s = p_.slots[step.source[k]];
          if (s.kind != SlotKind::local || last_read[step.source[k]] != i) continue;
          last_read[step.source[k]] = -1;
          (size_of(s.type) == size_of(p_.slots[step.destination].type) ? free : after).push_back(s.index);
        }
        Slot& destination = p_.slots[step.destination];
        if (destination.kind == SlotKind::local) {
          if (free.empty()) free.push_back(used++);
          destination.index = free.back();
          free.pop_back();
          if (last_read[step.destination] < 0) after.push_back(destination.index);
        }
        free.insert(free.end(), after.begin(), after.end());
      }
      p_.register_count = std::max(p_.register_count, used);
    }
  }

  void lay_out_frame() {
    const auto tile = static_cast<size_t>(p_.tile);
    p_.uniform_offset = round_up(p_.slots.size() * sizeof(char*));
    p_.spread_offset = p_.uniform_offset + round_up(p_.slots.size());
    const size_t registers = p_.spread_offset + spread_tiles * tile * 8;
    // Apart by a cache line more than a power of two, so that equal positions fall into different sets.
    const size_t distance = tile * static_cast<size_t>(p_.element_size) + 64;
    p_.frame_bytes = round_up(registers + distance * static_cast<size_t>(p_.register_count));
    for (const Slot& slot : p_.slots) {
      Program::Place place;
      if (slot.kind == SlotKind::constant)
        place.address = reinterpret_cast<uintptr_t>(&p_.constants[static_cast<size_t>(slot.index)]);
      if (slot.kind == SlotKind::local)
        place = {registers + static_cast<size_t>(slot.index) * distance, ~uintptr_t{0}};
      p_.places.push_back(place);
      p_.uniform.push_back(slot.kind == SlotKind::constant);
    }
  }

  void find_single_primitive() {
    if (p_.rows || p_.stages[0].steps.size() != 1) return;
    const Step& step = p_.stages[0].steps[0];
    if (p_.slots[step.destination].kind != SlotKind::output || step.operands == 0) return;
    if (step.op >= Op::call_unary && step.op <= Op::call_where) return;
    for (int k = 0; k < step.operands; ++k) {
      const Slot& s = p_.slots[step.source[k]];
      p_.single_source[k] = s.kind == SlotKind::input ? s.index : -1 - s.index;
    }
    p_.single_operands = step.operands;
    p_.single_primitive = step.primitive;
  }

  Program& p_;
  int n_, last_ = 0;
  std::vector<char> element_;  ///< by value: differs along the row
  std::vector<int> stage_;
  std::vector<int> absorbs_, absorbed_by_;  ///< by value: the other of its pair, or -1
  std::vector<uint16_t> slot_;
};

}  // namespace

void Program::schedule() { Scheduler(*this).run(); }

}  // namespace tandem::kernel
