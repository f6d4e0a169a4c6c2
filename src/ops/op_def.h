#pragma once
// OpDef: one row of the op table. Eager dispatch, the tape, tracing, the compiler, saving and loading
// read nothing else about an op.

#include <atomic>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/small_vector.h"
#include "core/tensor_impl.h"
#include "kernel/program.h"
#include "ops/attributes.h"
#include "tandem/operand.h"

namespace tandem {

struct OpDef;
using Tensors = SmallVector<Tensor, 4>;
using Operands = std::span<const Operand* const>;
/// Integers of a parameter (axes, sizes, starts); 16 inline.
using Integers = SmallVector<int64_t, 16>;

/// A set of dtypes, one bit each.
using TypeSet = uint16_t;
constexpr TypeSet type_bit(DType d) { return static_cast<TypeSet>(1u << static_cast<int>(d)); }
namespace types {
inline constexpr TypeSet boolean = type_bit(DType::boolean);
inline constexpr TypeSet floating =
    type_bit(DType::f16) | type_bit(DType::bf16) | type_bit(DType::f32) | type_bit(DType::f64);
inline constexpr TypeSet integer = type_bit(DType::u8) | type_bit(DType::i8) | type_bit(DType::u16) |
                                   type_bit(DType::i16) | type_bit(DType::u32) | type_bit(DType::i32) |
                                   type_bit(DType::u64) | type_bit(DType::i64);
inline constexpr TypeSet is_signed =
    floating | type_bit(DType::i8) | type_bit(DType::i16) | type_bit(DType::i32) | type_bit(DType::i64);
inline constexpr TypeSet numeric = floating | integer;
inline constexpr TypeSet all = numeric | boolean;
inline constexpr TypeSet index = type_bit(DType::i32) | type_bit(DType::i64);
inline constexpr TypeSet i64 = type_bit(DType::i64);
}  // namespace types

/// One formal input of an op.
struct InputDef {
  enum Flags : uint8_t {
    required = 0,
    optional = 1,
    variadic = 2,   ///< the last input, any number of times
    parameter = 4,  ///< its value decides shapes: a small integer tensor, usually known when tracing
    optional_parameter = optional | parameter,
    no_gradient = 8,
    mixed = 16,  ///< may differ in dtype from its group; a number still takes the group's
  };
  std::string_view name;
  TypeSet types = types::all;
  /// Inputs of one group share a dtype, and a number takes it. -1: free.
  int8_t group = 0;
  uint8_t flags = required;
};

/// What an op promises or does besides computing.
enum Trait : uint32_t {
  no_trait = 0,
  commutative = 1 << 0,  ///< the first two inputs may be exchanged without changing a bit
  effect = 1 << 1,       ///< must run, once, in program order
  reads_variable =
      1 << 2,  ///< its attributes are VariableAttributes; ordered against writes of that variable
  writes_variable = 1 << 3,
  strided = 1 << 4,         ///< the kernel accepts strided inputs (others get them contiguous)
  dynamic_shape = 1 << 5,   ///< output shapes depend on input values
  is_constant = 1 << 6,     ///< its attributes are ConstantAttributes
  is_input = 1 << 7,        ///< a graph's argument
  has_bodies = 1 << 8,      ///< its attributes hold graphs
  pass_through = 1 << 9,    ///< output i is input i, unchanged
  idempotent = 1 << 10,     ///< f(f(x)) == f(x)
  involution = 1 << 11,     ///< f(f(x)) == x
  moves_only = 1 << 12,     ///< rearranges elements without arithmetic
  shape_only = 1 << 13,     ///< the value follows from the input shapes alone
  keeps_symbols = 1 << 14,  ///< each entry of the result is an entry, or a size, of the inputs
  composite = 1 << 15,      ///< lowers through its decomposition only; make_op sets it
  keeps_order = 1 << 16,    ///< the result is input 0 under another shape, elements in the same order
  permutes = 1 << 17,       ///< the result is input 0 with its dimensions in another order; a view
  broadcasts = 1 << 18,     ///< the result is input 0 broadcast to another shape
  associative = 1 << 19,    ///< variadic: f(x) == x and f(f(a, b), c) == f(a, f(b, c)) == f(a, b, c)
  converts = 1 << 20,       ///< element-wise; each element becomes the result's dtype
  keeps_single = 1 << 21,   ///< a reduction that gives one element back unchanged
};

/// One resolved argument: what inference and kernels see of an operand.
struct Argument {
  const Operand* operand = nullptr;
  detail::TensorImpl* tensor = nullptr;  ///< null for numbers, lists and absent arguments
  DType dtype = DType::f32;
  uint64_t number_bits = 0;  ///< a number, converted to dtype

  bool present() const { return operand != nullptr && operand->present(); }
};

/// Answers what the value of a symbolic tensor is, where tracing or planning knows it.
class KnownValues {
 public:
  /// The value, or an undefined tensor.
  virtual Tensor known_value(const detail::TensorImpl* tensor) = 0;
  /// A dimension nothing is known of.
  virtual int64_t fresh_symbol() = 0;

 protected:
  ~KnownValues() = default;
};

/// What shape inference may ask and must answer.
class InferContext {
 public:
  InferContext(const OpDef& op, std::span<const Argument> inputs, KnownValues* known)
      : op_(op), inputs_(inputs), known_(known) {}

  const OpDef& op() const { return op_; }
  int input_count() const { return static_cast<int>(inputs_.size()); }
  bool has(int i) const { return i < input_count() && inputs_[static_cast<size_t>(i)].present(); }
  DType dtype(int i) const { return inputs_[static_cast<size_t>(i)].dtype; }
  const Shape& shape(int i) const;
  int rank(int i) const { return shape(i).rank(); }
  /// The integers of parameter `i`, when they are known now. Entries may be symbolic dimensions.
  bool constant(int i, Integers& values) const;
  /// As above for one number of any dtype.
  bool constant_number(int i, double& value) const;
  /// As `constant` for numbers with fractions.
  bool constant_numbers(int i, SmallVector<double, 16>& values) const;
  /// A size nothing is known of. Only while tracing; eagerly every size is known.
  int64_t fresh_symbol() const;
  /// `axis` counted from the front. Throws "axis 3 is out of range for rank 2; expected -2 to 1".
  static int normalize_axis(int64_t axis, int rank);

  void output(DType dtype, const Shape& shape) { outputs_.push_back({dtype, shape, {}}); }
  std::span<const Spec> outputs() const { return outputs_; }

 private:
  const OpDef& op_;
  std::span<const Argument> inputs_;
  KnownValues* known_;
  SmallVector<Spec, 4> outputs_;
};

/// NumPy's broadcasting. Throws "shapes (2, 3) and (4,) do not broadcast: 3 against 4 in dimension 1".
Shape broadcast_shapes(const Shape& a, const Shape& b, const InferContext* context = nullptr);

/// What a plain C++ kernel gets. Inputs are contiguous unless the op has the trait `strided`.
struct KernelContext {
  std::span<const kernel::View> inputs;   ///< data is null for absent ones
  std::span<const kernel::View> outputs;  ///< contiguous, uninitialised

  template <class T>
  const T* in(int i) const {
    return static_cast<const T*>(inputs[static_cast<size_t>(i)].data);
  }
  template <class T>
  T* out(int i) const {
    return static_cast<T*>(outputs[static_cast<size_t>(i)].data);
  }
  bool has(int i) const {
    return static_cast<size_t>(i) < inputs.size() && inputs[static_cast<size_t>(i)].data;
  }
};

/// Where an op's gradient finds its forward values. Everything is computed with public ops, so gradients work
/// eagerly, traced, and twice.
class Gradient {
 public:
  Gradient(std::span<const Tensor> inputs, std::span<const Tensor> outputs,
           std::span<const Tensor> output_gradients, uint64_t needed)
      : inputs_(inputs), outputs_(outputs), output_gradients_(output_gradients), needed_(needed) {}

  int input_count() const { return static_cast<int>(inputs_.size()); }
  int output_count() const { return static_cast<int>(outputs_.size()); }
  bool has(int i) const { return i < input_count() && inputs_[static_cast<size_t>(i)].defined(); }
  const Tensor& x(int i = 0) const { return inputs_[static_cast<size_t>(i)]; }
  const Tensor& y(int i = 0) const { return outputs_[static_cast<size_t>(i)]; }
  bool has_dy(int i) const { return output_gradients_[static_cast<size_t>(i)].defined(); }
  /// Gradient that reaches output i; zeros where none does.
  Tensor dy(int i = 0) const;
  /// Whether input i's gradient is asked for; leave the others undefined.
  bool needs(int i) const { return (needed_ >> i & 1) != 0; }
  std::span<const Tensor> inputs() const { return inputs_; }
  std::span<const Tensor> outputs() const { return outputs_; }
  std::span<const Tensor> output_gradients() const { return output_gradients_; }

 private:
  std::span<const Tensor> inputs_, outputs_, output_gradients_;
  uint64_t needed_;
};

/// One example of an op for the op-test driver: arguments, attributes (null: defaults).
struct Sample {
  std::vector<Tensor> inputs;  ///< undefined entries are absent arguments
  AttributeBox attributes;
  bool gradient = true;         ///< check the gradient here (false at kinks and ties)
  bool second_gradient = true;  ///< and the gradient's gradient
  bool unknown_sizes = true;    ///< trace it with unknown sizes too (false where the rank depends on one)
};

/// Strides and offset of an output that shares its input's buffer.
struct ViewResult {
  Strides strides;
  int64_t offset = 0;  ///< elements
  int output = 0;      ///< which output is asked for: set by the caller
};

struct OpDef {
  std::string_view name;    ///< ONNX's
  std::string_view domain;  ///< "" for ONNX's own, else "ai.tandem"
  int since = 1;            ///< the opset that brought the semantics implemented here
  std::span<const InputDef> inputs;
  int output_count = 1;  ///< -1: inference decides
  uint32_t traits = no_trait;
  const AttributeType* attributes = nullptr;
  void (*infer)(InferContext&, const void* attributes) = nullptr;

  // How it lowers: exactly one of the following (decomposition may stand beside another).
  kernel::ProgramRef (*program)(std::span<const DType> inputs, std::span<const Spec> outputs,
                                const void* attributes) =
      nullptr;  ///< element-wise, or rows if row_axes is set
  Dims (*row_axes)(const InferContext&, const void* attributes) = nullptr;
  void (*kernel)(const KernelContext&, const void* attributes) = nullptr;
  bool (*view)(const InferContext&, const void* attributes, const kernel::View& input, const Shape& output,
               ViewResult& result) = nullptr;  ///< false: these strides need a contiguous copy first
  void (*run_tensors)(const void* attributes, std::span<const Tensor> inputs,
                      std::span<Tensor> outputs) = nullptr;
  Tensors (*decomposition)(std::span<const Tensor> inputs, const void* attributes) = nullptr;

  /// Multiplications and additions of one run, -1 where sizes are not known; null: about one an element.
  /// Absent inputs have an empty spec.
  int64_t (*operations)(std::span<const Spec> inputs, std::span<const Spec> outputs) = nullptr;

  Tensors (*gradient)(const Gradient&, const void* attributes) = nullptr;  ///< null: not differentiable
  std::string_view
      not_differentiable;  ///< why, when gradient is null and reaching it is an error; else silent
  std::vector<Sample> (*samples)() = nullptr;

  /// Programs of attribute-less element-wise ops for equal input dtypes, built on first use.
  std::atomic<const kernel::Program*>* program_cache = nullptr;

  bool has(Trait t) const { return (traits & t) != 0; }
  bool is_elementwise() const { return program != nullptr && row_axes == nullptr; }
  /// snake_case, as in error messages and C++: "reduce_sum".
  std::string display_name() const;
};

/// Every op of the table, and look-up by name (domain "" and "ai.tandem" share one space). Null when unknown.
std::span<const OpDef* const> all_ops();
const OpDef* find_op(std::string_view name);

}  // namespace tandem
