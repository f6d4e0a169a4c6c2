#pragma once
// Plan: a graph made executable for given shapes: steps with resolved kernels and a memory arena.

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "compiler/sized_inference.h"
#include "core/recursive_lock.h"
#include "ops/executable.h"

namespace tandem {

/// The variables that a graph assigns outside of branches and loops, in address order.
std::vector<std::shared_ptr<detail::VariableImpl>> assigned_variables(const Graph& graph);

/// Variables that a run assigns are its own for the time; address order rules deadlock out.
class AssignmentLocks {
 public:
  explicit AssignmentLocks(std::span<const std::shared_ptr<detail::VariableImpl>> variables);

 private:
  SmallVector<std::unique_lock<detail::RecursiveLock>, 4> locks_;
};

/// Re-entrant: every run takes a frame (arena and addresses) of its own; frames are reused.
class Plan {
 public:
  /// `inputs`: the shapes of this plan, all sizes known. `known`: the elements of inputs that every run of
  /// this plan has, from which shapes may follow; undefined for others. Throws DynamicShape, or the user's
  /// mistakes that only known sizes reveal.
  Plan(const Graph& graph, std::span<const Spec> inputs, std::vector<Tensor> known = {});
  ~Plan();
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  /// Runs the plan; `outputs` has one entry a graph output. Inputs have the plan's shapes, any strides.
  void run(const Tensor* const* inputs, std::span<Tensor> outputs);

  /// Bytes of the arena: what intermediates need at most at one time, with alignment.
  int64_t arena_bytes() const { return arena_bytes_; }
  /// Bytes of tensors allocated for a run beside the arena: results and values that effects take.
  int64_t tensor_bytes() const { return tensor_bytes_; }
  int step_count() const { return static_cast<int>(steps_.size()); }
  std::span<const Spec> inputs() const { return input_specs_; }
  /// Elements that the plan relies on, one entry an input.
  std::span<const Tensor> known_inputs() const { return known_inputs_; }

 private:
  friend class PlanBuilder;

  /// Where a value's elements are when the plan runs.
  struct Place {
    enum class Kind : uint8_t { none, constant, tensor, arena } kind = Kind::none;
    int slot = -1;       // constant and tensor: index into the frame's tensors
    int64_t offset = 0;  // bytes: within the arena, or within the slot's tensor
    kernel::View view;   // dtype, shape, strides; data unset
  };

  struct Step {
    enum class Kind : uint8_t { flat, nest, kernel, tensors } kind;
    const Node* node = nullptr;
    int executable = -1;
    int first_pointer = 0,
        input_pointers = 0;  // flat and nest: into the frame's pointers, inputs then outputs
    int first_view = 0, input_views = 0, output_views = 0;  // kernel: into the frame's views
    std::vector<Place> tensor_inputs;                       // tensors
    std::vector<int> tensor_outputs;                        // slots; -1 where unused
  };

  /// An address that must be written again when a slot's tensor changes.
  struct Patch {
    int slot;
    bool is_view;
    int index;
    int64_t offset;
  };

  struct Frame {
    std::vector<detail::TensorImpl*> slots;  // constants and arguments are borrowed, transient ones owned
    std::vector<const void*> pointers;
    std::vector<kernel::View> views;
    std::byte* arena = nullptr;
    uint8_t arena_class = 0;
    Frame* next = nullptr;
    ~Frame();
  };

  struct Allocation {
    int slot;
    Spec spec;
  };

  /// What a run returns at one place: a slot's whole tensor, or a view of it.
  struct Result {
    Place place;
    bool whole = false;  // the slot's tensor itself, if its strides turn out row-major
    bool last = false;   // no other result takes this slot: its reference may be handed over
  };

  Frame* take_frame();
  void give_back(Frame* frame);
  void run_step(const Step& step, Frame& frame);
  /// Puts a tensor into a slot and writes its address wherever steps use it.
  void bind(Frame& frame, int slot, detail::TensorImpl* tensor) const;
  Tensor tensor_at(const Place& place, const Frame& frame) const;

  Graph graph_;  // keeps nodes, attributes and constants alive
  std::vector<Spec> input_specs_;
  std::vector<Tensor> known_inputs_;
  std::vector<int> input_slots_;  // -1: unused
  std::vector<Executable> executables_;
  std::vector<Step> steps_;
  std::vector<Patch> patches_;           // sorted by slot
  std::vector<int> first_patch_;         // by slot, one past the end last
  std::vector<Allocation> allocations_;  // tensors made at the start of each run
  std::vector<Result> results_;
  std::vector<int> transient_slots_;                             // owned by a run, emptied after it
  std::vector<Tensor> constants_;                                // keeps what constant slots point to
  std::vector<std::shared_ptr<detail::VariableImpl>> assigned_;  // in address order
  Frame prototype_;
  int64_t arena_bytes_ = 0, tensor_bytes_ = 0;
  std::atomic<Frame*> spare_{nullptr};
  std::mutex frames_mutex_;
  Frame* more_frames_ = nullptr;
};

}  // namespace tandem
