#include "ops/dispatch.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <mutex>

#include "ops/executable.h"
#include "ops/variable_impl.h"
#include "tandem/ops/shape.h"

namespace tandem {

using detail::TensorImpl;
using kernel::View;

namespace detail {
constinit thread_local Mode* current_mode = nullptr;
constinit thread_local const Location* current_call_site = nullptr;
}  // namespace detail

Location location_of(Operands operands) {
  if (detail::current_call_site) return *detail::current_call_site;
  for (const Operand* o : operands)
    if (o->location().known()) return o->location();
  return {};
}

CallSite::CallSite(Location where) : opened_(detail::current_call_site == nullptr) {
  // A copy per scope would dangle; locations of literals live as long as the program, so one slot a thread
  // does.
  static thread_local Location slot;
  if (opened_) {
    slot = where;
    detail::current_call_site = &slot;
  }
}

CallSite::~CallSite() {
  if (opened_) detail::current_call_site = nullptr;
}

// ---- resolving operands

namespace {

const char* kind_name(const Operand& o) {
  switch (o.kind()) {
    case Operand::Kind::list:
      return "a list of integers";
    case Operand::Kind::none:
      return "nothing";
    default:
      return "a number";
  }
}

std::string describe_types(TypeSet set) {
  std::string text;
  for (int i = 0; i < dtype_count; ++i)
    if (set >> i & 1) text += (text.empty() ? "" : ", ") + std::string(name_of(static_cast<DType>(i)));
  return text;
}

const InputDef& input_def(const OpDef& op, int i) {
  return op.inputs[std::min(static_cast<size_t>(i), op.inputs.size() - 1)];
}

// A number takes the dtype of the tensor it meets; a fraction does not fit an integer.
uint64_t number_bits(const Operand& o, DType dtype) {
  if (o.is_symbolic_number()) return 0;  // its number is known when the graph runs
  auto pack = []<class T>(T v) {
    uint64_t bits = 0;
    std::memcpy(&bits, &v, sizeof(T));
    return bits;
  };
  if (is_floating(dtype)) {
    const double v = o.floating();
    switch (dtype) {
      case DType::f64:
        return pack(v);
      case DType::f32:
        return pack(static_cast<float>(v));
      case DType::f16:
        return pack(Half(static_cast<float>(v)));
      default:
        return pack(BFloat16(static_cast<float>(v)));
    }
  }
  int64_t v = o.integer();
  if (o.kind() == Operand::Kind::floating) {
    const double f = o.floating();
    TD_CHECK(f == std::floor(f) && std::abs(f) < 0x1p63,
             "the number {} does not fit dtype {}; cast the tensor to a floating dtype first, as in "
             "td::cast(x, td::float32)",
             f, dtype);
    v = static_cast<int64_t>(f);
  }
  if (dtype == DType::boolean) return v != 0;
  const int bits = static_cast<int>(size_of(dtype)) * 8;
  bool fits = true;
  if (bits < 64)
    fits = is_signed(dtype) ? v >= -(int64_t{1} << (bits - 1)) && v < int64_t{1} << (bits - 1)
                            : v >= 0 && v < int64_t{1} << bits;
  else if (!is_signed(dtype))
    fits = v >= 0;
  TD_CHECK(fits, "the number {} does not fit dtype {}", v, dtype);
  return static_cast<uint64_t>(v) & (bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1);
}

}  // namespace

void resolve(const OpDef& op, Operands operands, SmallVector<Argument, 8>& arguments) {
  const int count = static_cast<int>(operands.size());
  const bool variadic = !op.inputs.empty() && (op.inputs.back().flags & InputDef::variadic);
  TD_CHECK(count <= static_cast<int>(op.inputs.size()) || variadic,
           "{} arguments were given; at most {} are taken", count, op.inputs.size());
  for (int i = 0; i < static_cast<int>(op.inputs.size()); ++i) {
    const InputDef& def = op.inputs[static_cast<size_t>(i)];
    if (def.flags & (InputDef::optional | InputDef::variadic)) continue;
    TD_CHECK(i < count && operands[static_cast<size_t>(i)]->present(),
             "argument {} ({}) is missing: the tensor handle is empty", i, def.name);
  }
  // The dtype of each group comes from its first tensor.
  constexpr int groups = 4;
  DType group_dtype[groups];
  int group_source[groups] = {-1, -1, -1, -1};
  Device device{};
  bool device_known = false;
  for (int i = 0; i < count; ++i) {
    const Operand& o = *operands[static_cast<size_t>(i)];
    Argument a;
    a.operand = &o;
    if (o.is_tensor()) {
      const InputDef& def = input_def(op, i);
      a.tensor = o.tensor_impl();
      a.dtype = a.tensor->dtype;
      TD_CHECK(def.types & type_bit(a.dtype), "argument {} ({}) has dtype {}; allowed are {}", i, def.name,
               a.dtype, describe_types(def.types));
      TD_CHECK(!device_known || device == a.tensor->device,
               "tensors on {} and {} are mixed; copy one with to(device) first", to_string(device),
               to_string(a.tensor->device));
      device = a.tensor->device;
      device_known = true;
      if (def.group >= 0) {
        int& source = group_source[def.group];
        if (source < 0) {
          source = i;
          group_dtype[def.group] = a.dtype;
        } else if (!(def.flags & InputDef::mixed)) {
          TD_CHECK(group_dtype[def.group] == a.dtype,
                   "dtypes {} and {} differ; convert one with td::cast(x, td::{})", group_dtype[def.group],
                   a.dtype, group_dtype[def.group]);
        }
      }
    }
    arguments.push_back(a);
  }
  for (int i = 0; i < count; ++i) {
    Argument& a = arguments[i];
    const Operand& o = *a.operand;
    if (!o.present() || a.tensor) continue;
    TD_ASSERT(o.kind() != Operand::Kind::variable);
    const InputDef& def = input_def(op, i);
    if (o.kind() == Operand::Kind::list) {
      TD_CHECK(def.flags & InputDef::parameter || def.types & types::i64,
               "argument {} ({}) is {}; a tensor is needed", i, def.name, kind_name(o));
      a.dtype = DType::i64;
    } else if (def.group >= 0 && group_source[def.group] >= 0) {
      a.dtype = group_dtype[def.group];
      a.number_bits = number_bits(o, a.dtype);
    } else {
      const DType natural = def.flags & InputDef::parameter            ? DType::i64
                            : o.kind() == Operand::Kind::floating      ? DType::f32
                            : o.kind() == Operand::Kind::boolean       ? DType::boolean
                            : o.is_symbolic_number()                   ? DType::i32
                            : std::abs(o.integer()) < int64_t{1} << 31 ? DType::i32
                                                                       : DType::i64;
      a.dtype = def.types & type_bit(natural)      ? natural
                : def.types & type_bit(DType::i64) ? DType::i64
                                                   : DType::f32;
      a.number_bits = number_bits(o, a.dtype);
      if (def.group >= 0) {  // later numbers of the group follow
        group_source[def.group] = i;
        group_dtype[def.group] = a.dtype;
      }
    }
  }
}

// ---- inference

const Shape& InferContext::shape(int i) const {
  static const Shape scalar;
  const Argument& a = inputs_[static_cast<size_t>(i)];
  if (a.tensor) return a.tensor->shape;
  if (a.operand && a.operand->kind() == Operand::Kind::list) {
    static const Shape lengths[Operand::max_list + 1] = {{0}, {1},  {2},  {3},  {4},  {5},  {6},  {7}, {8},
                                                         {9}, {10}, {11}, {12}, {13}, {14}, {15}, {16}};
    return lengths[a.operand->list_size()];
  }
  return scalar;
}

namespace {

double element_as_double(const TensorImpl& t, int64_t i) {
  const auto* p = static_cast<const std::byte*>(t.data);
  auto at = [&]<class T>(T) {
    T v;
    std::memcpy(&v, p + static_cast<size_t>(i) * sizeof(T), sizeof(T));
    return v;
  };
  switch (t.dtype) {
    case DType::boolean:
    case DType::u8:
      return at(uint8_t{});
    case DType::i8:
      return at(int8_t{});
    case DType::u16:
      return at(uint16_t{});
    case DType::i16:
      return at(int16_t{});
    case DType::u32:
      return at(uint32_t{});
    case DType::i32:
      return at(int32_t{});
    case DType::u64:
      return static_cast<double>(at(uint64_t{}));
    case DType::i64:
      return static_cast<double>(at(int64_t{}));
    case DType::f16:
      return static_cast<float>(at(Half{}));
    case DType::bf16:
      return static_cast<float>(at(BFloat16{}));
    case DType::f32:
      return at(float{});
    case DType::f64:
      return at(double{});
  }
  return 0;
}

// The eager tensor behind argument `a`, contiguous; undefined when its value is not known.
Tensor value_of(const Argument& a, KnownValues* known) {
  if (!a.tensor) return {};
  Tensor t = a.tensor->kind == TensorImpl::Kind::symbolic ? (known ? known->known_value(a.tensor) : Tensor())
                                                          : Tensor::share(a.tensor);
  return t.defined() ? t.contiguous() : t;
}

}  // namespace

bool InferContext::constant(int i, Integers& values) const {
  if (!has(i)) return false;
  const Argument& a = inputs_[static_cast<size_t>(i)];
  values.clear();
  if (!a.tensor) {
    if (a.operand->kind() == Operand::Kind::list)
      for (int k = 0; k < a.operand->list_size(); ++k) values.push_back(a.operand->list()[k]);
    else
      values.push_back(a.operand->integer());
    return true;
  }
  const Tensor t = value_of(a, known_);
  if (!t.defined()) return false;
  for (int64_t k = 0; k < t.size(); ++k)
    values.push_back(t.dtype() == DType::i64 ? t.data<int64_t>()[k]
                                             : static_cast<int64_t>(element_as_double(*t.impl(), k)));
  return true;
}

bool InferContext::constant_number(int i, double& value) const {
  if (!has(i)) return false;
  const Argument& a = inputs_[static_cast<size_t>(i)];
  if (!a.tensor) {
    value = a.operand->floating();
    return !a.operand->is_symbolic_number();
  }
  const Tensor t = value_of(a, known_);
  if (!t.defined() || t.size() != 1) return false;
  value = element_as_double(*t.impl(), 0);
  return true;
}

bool InferContext::constant_numbers(int i, SmallVector<double, 16>& values) const {
  if (!has(i)) return false;
  const Argument& a = inputs_[static_cast<size_t>(i)];
  values.clear();
  if (!a.tensor) {
    const Operand& o = *a.operand;
    if (o.kind() == Operand::Kind::list)
      for (int k = 0; k < o.list_size(); ++k) values.push_back(static_cast<double>(o.list()[k]));
    else
      values.push_back(o.floating());
    return true;
  }
  const Tensor t = value_of(a, known_);
  if (!t.defined()) return false;
  for (int64_t k = 0; k < t.size(); ++k) values.push_back(element_as_double(*t.impl(), k));
  return true;
}

int64_t InferContext::fresh_symbol() const {
  TD_ASSERT(known_ != nullptr);
  return known_->fresh_symbol();
}

int InferContext::normalize_axis(int64_t axis, int rank) {
  TD_CHECK(axis >= -rank && axis < rank, "axis {} is out of range for rank {}; expected {} to {}", axis, rank,
           -rank, rank - 1);
  return static_cast<int>(axis < 0 ? axis + rank : axis);
}

Shape broadcast_shapes(const Shape& a, const Shape& b, const InferContext* context) {
  if (a == b) return a;
  const int rank = std::max(a.rank(), b.rank());
  Shape result = Dims::filled(rank, 1);
  for (int i = 0; i < rank; ++i) {
    const int ia = i - (rank - a.rank()), ib = i - (rank - b.rank());
    const int64_t da = ia < 0 ? 1 : a[ia], db = ib < 0 ? 1 : b[ib];
    if (da == db || db == 1) {
      result[i] = da;
    } else if (da == 1) {
      result[i] = db;
    } else if (da < 0 && db < 0) {
      // Two unknown sizes that need not be equal: either may be 1 at run time.
      TD_ASSERT(context != nullptr);
      result[i] = context->fresh_symbol();
    } else if (da < 0 || db < 0) {
      // The known size is neither 0-or-1 ambiguous: the unknown one must be it, or 1. Checked at run time.
      result[i] = da < 0 ? db : da;
    } else {
      fail("shapes {} and {} do not broadcast: {} against {} in dimension {}", a, b, da, db, i);
    }
  }
  return result;
}

void infer(InferContext& context, const void* attributes) { context.op().infer(context, attributes); }

// ---- tensors from arguments

Tensor materialize(const Argument& a) {
  if (!a.present()) return {};
  if (a.tensor) return Tensor::share(a.tensor);
  const Operand& o = *a.operand;
  if (o.kind() == Operand::Kind::list) {
    // A trace knows where to read sizes that have no number yet.
    if (current_mode() && std::any_of(o.list(), o.list() + o.list_size(), is_symbol)) return identity(o);
    return detail::from_bytes(o.list(), DType::i64, static_cast<size_t>(o.list_size()), {o.list_size()});
  }
  if (o.is_symbolic_number() && current_mode())
    return cast(squeeze(identity(Operand({o.integer()}, o.location())), {0}), a.dtype);
  return detail::from_bytes(&a.number_bits, a.dtype, 1, {});
}

Tensor to_tensor(const Operand& operand, std::optional<DType> dtype) {
  switch (operand.kind()) {
    case Operand::Kind::none:
      return {};
    case Operand::Kind::tensor:
      return Tensor::share(operand.tensor_impl());
    case Operand::Kind::variable:
      return read_variable(*operand.variable_impl(), operand.location());
    default:
      break;
  }
  Argument a;
  a.operand = &operand;
  if (operand.kind() != Operand::Kind::list) {
    a.dtype = dtype                                            ? *dtype
              : operand.kind() == Operand::Kind::floating      ? DType::f32
              : operand.kind() == Operand::Kind::boolean       ? DType::boolean
              : operand.is_symbolic_number()                   ? DType::i32
              : std::abs(operand.integer()) < int64_t{1} << 31 ? DType::i32
                                                               : DType::i64;
    a.number_bits = number_bits(operand, a.dtype);
  }
  return materialize(a);
}

void fail_leaked(const TensorImpl* tensor) {
  const detail::SymbolicInfo& info = detail::symbolic_info(tensor);
  fail(ErrorCode::symbolic_value,
       "the symbolic tensor {}, made at {}:{}, is used outside the trace that made it; return it from the "
       "function "
       "instead of storing it",
       to_string(Tensor::share(const_cast<TensorImpl*>(tensor))), info.where.file_name(), info.where.line);
}

// ---- evaluating at once

namespace {

// Prepared executables of this thread: the one look-up that broadcasting and row ops pay. A few places for
// each hash, so that two that meet need not be prepared again and again.
struct CachedExecutable {
  SmallVector<int64_t, 16> key;
  Executable executable;
};
constexpr size_t cache_sets = 128, cache_ways = 4;

using Key = SmallVector<int64_t, 64>;

void append_key(Key& key, const View& v) {
  key.push_back(static_cast<int64_t>(v.dtype) | int64_t{v.shape.rank()} << 8);
  for (int64_t d : v.shape) key.push_back(d);
  for (int64_t s : v.strides) key.push_back(s);
}

const Executable& cached_executable(const OpDef& op, const void* attributes, const InferContext& context,
                                    std::span<const View> inputs) {
  thread_local std::unique_ptr<CachedExecutable[]> cache(new CachedExecutable[cache_sets * cache_ways]);
  thread_local size_t next_victim = 0;
  Key key;
  key.push_back(static_cast<int64_t>(reinterpret_cast<intptr_t>(&op)));
  for (size_t i = 0; i < inputs.size(); ++i)
    if (is_program_input(op, static_cast<int>(i))) append_key(key, inputs[i]);
  // Outputs follow from inputs, but for parameters such as axes; then the output shape tells them apart only
  // together with the row's axes.
  for (const Spec& s : context.outputs()) {
    key.push_back(static_cast<int64_t>(s.dtype) | int64_t{s.shape.rank()} << 8);
    for (int64_t d : s.shape) key.push_back(d);
  }
  if (op.row_axes)
    for (int64_t axis : op.row_axes(context, attributes)) key.push_back(axis);
  size_t hash = op.attributes->empty ? 0 : op.attributes->hash(attributes);
  for (int64_t k : key) hash = detail::mix(hash, static_cast<size_t>(k));
  CachedExecutable* const set = &cache[hash % cache_sets * cache_ways];
  for (CachedExecutable* entry = set; entry != set + cache_ways; ++entry)
    if (entry->executable.op == &op && entry->key.size() == key.size() &&
        std::equal(key.begin(), key.end(), entry->key.begin()) &&
        (op.attributes->empty || op.attributes->equal(entry->executable.attributes.get(), attributes)))
      return entry->executable;
  CachedExecutable* entry = std::find_if(
      set, set + cache_ways, [](const CachedExecutable& e) { return e.executable.op == nullptr; });
  if (entry == set + cache_ways) entry = set + next_victim++ % cache_ways;
  entry->executable.op = nullptr;  // in case prepare throws
  entry->executable =
      prepare(op, AttributeBox(*op.attributes, attributes), context, inputs, context.outputs());
  entry->key.clear();
  for (int64_t k : key) entry->key.push_back(k);
  return entry->executable;
}

View view_of(TensorImpl* t) { return {t->data, t->dtype, t->shape, t->strides}; }

/// Views of an op's operands, each filled where it stays: to copy one that was just written stalls the
/// processor.
class ViewList {
 public:
  explicit ViewList(size_t capacity) {
    if (capacity > inline_count) more_ = std::make_unique<std::byte[]>(capacity * sizeof(View));
    views_ = reinterpret_cast<View*>(more_ ? more_.get() : inline_);
  }
  void add(const View& v) { new (views_ + size_++) View(v); }
  void add(TensorImpl* t) {
    View& v = *new (views_ + size_++) View;
    v.data = t->data;
    v.dtype = t->dtype;
    v.shape = t->shape;
    v.strides = t->strides;
  }
  operator std::span<const View>() const { return {views_, size_}; }

 private:
  static constexpr size_t inline_count = 8;
  static_assert(std::is_trivially_destructible_v<View>);
  alignas(View) std::byte inline_[inline_count * sizeof(View)];
  std::unique_ptr<std::byte[]> more_;
  View* views_;
  size_t size_ = 0;
};

/// Of an argument that is no tensor.
View view_of(const Argument& a) {
  if (!a.present()) return {};
  if (a.operand->kind() == Operand::Kind::list)
    return {const_cast<int64_t*>(a.operand->list()), DType::i64, {a.operand->list_size()}, {1}};
  return {const_cast<uint64_t*>(&a.number_bits), a.dtype, {}, {}};
}

void evaluate_view(const OpDef& op, const void* attributes, const InferContext& context,
                   const Argument& source, Tensors& outputs) {
  Tensor input = materialize(source);
  for (size_t i = 0; i < context.outputs().size(); ++i) {
    const Spec& spec = context.outputs()[i];
    ViewResult result;
    result.output = static_cast<int>(i);
    if (!op.view(context, attributes, view_of(input.impl()), spec.shape, result)) {
      input = input.contiguous();
      result.strides = {};
      TD_ASSERT(op.view(context, attributes, view_of(input.impl()), spec.shape, result));
    }
    void* data = static_cast<std::byte*>(input.impl()->data) +
                 result.offset * static_cast<int64_t>(size_of(spec.dtype));
    outputs.push_back(
        Tensor::adopt(detail::make_view(input.impl(), data, spec.dtype, spec.shape, result.strides)));
  }
}

void check_not_symbolic(std::span<const Argument> arguments) {
  for (const Argument& a : arguments)
    if (a.tensor && a.tensor->kind == TensorImpl::Kind::symbolic) fail_leaked(a.tensor);
}

void evaluate_checked(const OpDef& op, const void* attributes, Operands operands, Tensors& outputs) {
  SmallVector<Argument, 8> arguments;
  resolve(op, operands, arguments);
  check_not_symbolic(arguments);
  if (op.run_tensors) {
    InferContext context(op, arguments, nullptr);
    if (!op.has(dynamic_shape)) infer(context, attributes);
    SmallVector<Tensor, 8> inputs;
    for (const Argument& a : arguments) inputs.push_back(materialize(a));
    outputs.resize(op.output_count >= 0 ? op.output_count : static_cast<int>(context.outputs().size()));
    op.run_tensors(attributes, inputs, outputs);
    return;
  }
  InferContext context(op, arguments, nullptr);
  infer(context, attributes);
  if (op.view) return evaluate_view(op, attributes, context, arguments[0], outputs);
  ViewList in(arguments.size());
  SmallVector<Tensor, 4> copies;  // keep contiguous copies alive
  for (const Argument& a : arguments) {
    if (!a.tensor) {
      in.add(view_of(a));
    } else if (!a.tensor->contiguous && op.kernel && !op.has(strided)) {
      copies.push_back(Tensor::share(a.tensor).contiguous());
      in.add(copies.back().impl());
    } else {
      in.add(a.tensor);
    }
  }
  ViewList out(context.outputs().size());
  for (const Spec& s : context.outputs()) {
    outputs.push_back(detail::empty_tensor(s.dtype, s.shape));
    out.add(outputs.back().impl());
  }
  if (op.kernel)
    op.kernel({in, out}, attributes);
  else
    run(cached_executable(op, attributes, context, in), in, out);
}

}  // namespace

void evaluate(const OpDef& op, const void* attributes, Operands operands, Location where, Tensors& outputs) {
  const ModeScope eager(nullptr);
  try {
    evaluate_checked(op, attributes, operands, outputs);
  } catch (Error& e) {
    e.set_origin(op.display_name(), where);
    throw;
  }
}

namespace {

// Variables are read before the op sees them, so that the read is an op of its own in every mode. A plain
// number that is the code of an unknown size, as `x.shape()[0]` while tracing, means what `x.dim(0)` does.
struct ReadOperands {
  SmallVector<Operand, 4> storage;
  SmallVector<Tensor, 4> values;
  SmallVector<const Operand*, 8> list;

  explicit ReadOperands(Operands operands) {
    int replaced = 0;
    for (const Operand* o : operands) replaced += is_variable(*o) || is_size(*o) ? 1 : 0;
    if (replaced == 0) return;
    for (const Operand* o : operands)
      if (is_variable(*o)) {
        values.push_back(read_variable(*o->variable_impl(), o->location()));
        storage.push_back(Operand(values.back(), o->location()));
      } else if (is_size(*o)) {
        storage.push_back(Operand(Dim(o->integer()), o->location()));
      }
    int next = 0;
    for (const Operand* o : operands) list.push_back(is_variable(*o) || is_size(*o) ? &storage[next++] : o);
  }
  static bool is_variable(const Operand& o) { return o.kind() == Operand::Kind::variable; }
  static bool is_size(const Operand& o) {
    return o.kind() == Operand::Kind::integer && is_symbol(o.integer()) && current_mode() &&
           current_mode()->knows_size(o.integer());
  }
  Operands get(Operands operands) const { return list.empty() ? operands : Operands(list); }
};

}  // namespace

void apply(const OpDef& op, const void* attributes, Operands operands, Tensors& outputs) {
  const ReadOperands read(operands);
  operands = read.get(operands);
  const Location where = location_of(operands);
  if (Mode* mode = current_mode())
    mode->apply(op, attributes, operands, where, outputs);
  else
    evaluate(op, attributes, operands, where, outputs);
}

namespace detail {

void run_decomposition(const OpDef& op, const void* attributes, std::span<const Tensor> inputs,
                       std::span<Tensor> outputs) {
  const ModeScope eager(nullptr);
  const CallSiteOverride unknown({});  // errors take the line of whoever runs the op, not that of its parts
  Tensors results = op.decomposition(inputs, attributes);
  TD_ASSERT(results.size() == static_cast<int>(outputs.size()));
  for (int i = 0; i < results.size(); ++i) outputs[static_cast<size_t>(i)] = std::move(results[i]);
}

// Up to this many elements a flat run stays on the calling thread.
constexpr int64_t flat_elements = 32768;

namespace {

// A smaller operand repeats row by row: these many short rows are better gathered by a loop nest.
constexpr int64_t most_short_rows = 16, long_row = 128;

/// What broadcasting an operand of evaluate_flat needs: nothing, one element for all, or a row again and
/// again.
struct FlatBroadcast {
  uint32_t scalars = 0, rows = 0;  // by operand
  int64_t row = 0;                 // elements of a row

  /// False where it is none of these. The result has the shape of `lead`.
  bool add(size_t operand, const TensorImpl& t, const TensorImpl& lead) {
    if (t.count == 1 && t.shape.rank() <= lead.shape.rank()) {
      if (lead.count != 1) scalars |= 1u << operand;
      return true;
    }
    const int before = lead.shape.rank() - t.shape.rank();
    if (before <= 0 || (row != 0 && row != t.count)) return false;
    for (int i = 0; i < t.shape.rank(); ++i)
      if (t.shape[i] != lead.shape[before + i]) return false;
    rows |= 1u << operand;
    row = t.count;
    return lead.count <= row * most_short_rows || row >= long_row;
  }
};

void run_flat_rows(const kernel::Program& program, const void* const* in, const FlatBroadcast& broadcast,
                   void* out, int64_t count) {
  const void* at[3] = {};
  const int inputs = kernel::input_count(program);
  const auto out_size = size_of(kernel::output_dtype(program, 0));
  for (int64_t done = 0; done < count; done += broadcast.row) {
    for (int i = 0; i < inputs; ++i) {
      const bool moves = ((broadcast.scalars | broadcast.rows) >> i & 1) == 0;
      at[i] = static_cast<const std::byte*>(in[i]) +
              (moves ? static_cast<size_t>(done) * size_of(kernel::input_dtype(program, i)) : 0);
    }
    void* to = static_cast<std::byte*>(out) + static_cast<size_t>(done) * out_size;
    kernel::run_flat(program, at, broadcast.scalars, &to, broadcast.row);
  }
}

// The short cut of element-wise ops on contiguous operands of equal shapes, single elements, and rows that
// repeat: no inference, no look-up.
bool run_flat_op(const OpDef& op, Operands operands, Tensor& output) {
  const size_t count = operands.size();
  const void* in[3];
  TensorImpl* lead = nullptr;  // its shape is the result's
  bool alike = true;
  if (count > 3) return false;
  for (size_t i = 0; i < count; ++i) {
    if (!operands[i]->is_tensor()) continue;
    TensorImpl* t = operands[i]->tensor_impl();
    if (!t->contiguous || t->data == nullptr) return false;
    if (!lead) {
      lead = t;
    } else if (t->dtype != lead->dtype) {
      return false;
    } else if (!(t->shape == lead->shape)) {
      alike = false;
      const int more = t->shape.rank() - lead->shape.rank();
      if (more > 0 || (more == 0 && t->count > lead->count)) lead = t;
    }
    in[i] = t->data;
  }
  if (!lead) return false;
  const kernel::Program* program =
      op.program_cache[static_cast<int>(lead->dtype)].load(std::memory_order_acquire);
  // A variadic op's program is for one number of arguments.
  if (!program || kernel::input_count(*program) != static_cast<int>(count)) return false;
  if (lead->count > flat_elements) return false;
  FlatBroadcast broadcast;
  uint64_t numbers[3];
  for (size_t i = 0; i < count; ++i) {
    const Operand& o = *operands[i];
    if (o.is_tensor()) {
      const TensorImpl* t = o.tensor_impl();
      if (!alike && !(t->shape == lead->shape) && !broadcast.add(i, *t, *lead)) return false;
      continue;
    }
    if (!o.is_number()) return false;
    numbers[i] = number_bits(o, lead->dtype);
    in[i] = &numbers[i];
    if (lead->count != 1) broadcast.scalars |= 1u << i;
  }
  TensorImpl* result = allocate_tensor(kernel::output_dtype(*program, 0), lead->shape);
  void* out = result->data;
  output = Tensor::adopt(result);
  if (broadcast.rows == 0)
    kernel::run_flat(*program, in, broadcast.scalars, &out, lead->count);
  else if (lead->count > 0)
    run_flat_rows(*program, in, broadcast, out, lead->count);
  return true;
}

}  // namespace

bool evaluate_flat(const OpDef& op, Operands operands, Tensor& output) {
  try {
    return run_flat_op(op, operands, output);
  } catch (Error& e) {
    e.set_origin(op.display_name(), location_of(operands));
    throw;
  }
}

namespace {

// Builds the program that evaluate_flat will find next time.
void fill_program_cache(const OpDef& op, Operands operands) {
  DType dtype{};
  bool known = false;
  for (const Operand* o : operands) {
    if (o->kind() == Operand::Kind::variable) return;  // a call with tensors alone will come
    if (o->is_tensor()) {
      if (known && dtype != o->tensor_impl()->dtype) return;
      dtype = o->tensor_impl()->dtype;
      known = true;
    }
  }
  if (!known || op.program_cache[static_cast<int>(dtype)].load(std::memory_order_acquire)) return;
  SmallVector<Argument, 8> arguments;
  resolve(op, operands, arguments);
  InferContext context(op, arguments, nullptr);
  infer(context, nullptr);
  SmallVector<DType, 4> dtypes;
  for (const Argument& a : arguments)
    if (a.dtype == dtype)
      dtypes.push_back(a.dtype);
    else
      return;
  // Programs live as long as the process, as the table does: never destroyed, and always reachable.
  static std::mutex mutex;
  static auto* programs = new std::vector<kernel::ProgramRef>;
  const std::lock_guard<std::mutex> lock(mutex);
  auto& slot = op.program_cache[static_cast<int>(dtype)];
  if (slot.load(std::memory_order_acquire)) return;
  programs->push_back(op.program(dtypes, context.outputs(), nullptr));
  slot.store(programs->back().get(), std::memory_order_release);
}

}  // namespace

Tensor apply_one(const OpDef& op, const void* attributes, Operands operands) {
  if (!current_mode && op.program_cache) [[likely]] {
    Tensor output;
    if (evaluate_flat(op, operands, output)) return output;
  }
  Tensors outputs;
  apply(op, attributes, operands, outputs);
  if (!current_mode && op.program_cache) fill_program_cache(op, operands);
  return std::move(outputs[0]);
}

}  // namespace detail

}  // namespace tandem
