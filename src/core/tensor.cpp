#include "tandem/tensor.h"

#include <cstring>
#include <limits>

#include "core/check.h"
#include "core/shape_limits.h"
#include "core/tensor_impl.h"

namespace tandem {

std::string to_string(Device device) { return fmt::format("cpu:{}", device.index); }

Spec spec(const Shape& shape, DType dtype) { return {dtype, shape, {}}; }

namespace {

/// The product of the sizes above 0. Errors: as check_sizes.
int64_t count_behind_zeros(const Shape& shape, DType dtype) {
  int64_t n = 1, bytes;
  bool overflow = false;
  for (const int64_t d : shape) overflow = __builtin_mul_overflow(n, d > 0 ? d : 1, &n) || overflow;
  TD_CHECK(!overflow && !__builtin_mul_overflow(n, static_cast<int64_t>(size_of(dtype)), &bytes),
           ErrorCode::out_of_memory,
           "out of memory: a tensor of shape {} has more elements than fit in memory", shape);
  return n;
}

}  // namespace

void check_sizes(const Shape& shape, DType dtype) { count_behind_zeros(shape, dtype); }

namespace detail {
namespace {

// Checked: shapes come from users and files.
int64_t checked_count(const Shape& shape, DType dtype) {
  bool zero = false;
  for (const int64_t d : shape) {
    TD_CHECK(d >= 0, "shape {} has a negative size", shape);
    zero = zero || d == 0;
  }
  const int64_t count = count_behind_zeros(shape, dtype);
  return zero ? 0 : count;
}

TensorImpl* allocate_header() {
  uint8_t size_class;
  void* block = allocate_block(header_bytes, size_class);
  auto* impl = new (block) TensorImpl;
  impl->size_class = size_class;
  return impl;
}

}  // namespace

TensorImpl* allocate_tensor(DType dtype, const Shape& shape, Device device) {
  const int64_t count = checked_count(shape, dtype);
  uint8_t size_class;
  void* block = allocate_block(header_bytes + static_cast<size_t>(count) * size_of(dtype), size_class);
  auto* impl = new (block) TensorImpl;
  impl->dtype = dtype;
  impl->device = device;
  impl->size_class = size_class;
  impl->data = static_cast<std::byte*>(block) + header_bytes;
  impl->count = count;
  impl->shape = shape;
  impl->strides = contiguous_strides(shape);
  return impl;
}

TensorImpl* make_view(TensorImpl* source, void* data, DType dtype, const Shape& shape,
                      const Strides& strides) {
  TensorImpl* base = source->kind == TensorImpl::Kind::view ? source->base : source;
  TensorImpl* impl = allocate_header();
  impl->kind = TensorImpl::Kind::view;
  impl->dtype = dtype;
  impl->device = source->device;
  impl->data = data;
  impl->count = shape.element_count();
  impl->shape = shape;
  impl->strides = strides;
  impl->contiguous = strides_are_contiguous(shape, strides);
  impl->base = base;
  retain_inline(base);
  return impl;
}

TensorImpl* make_symbolic(const Spec& spec, void* trace, uint64_t serial, int32_t value_id,
                          std::string_view name, Location where) {
  check_sizes(spec.shape, spec.dtype);
  uint8_t size_class;
  void* block = allocate_block(header_bytes + sizeof(SymbolicInfo), size_class);
  auto* impl = new (block) TensorImpl;
  impl->size_class = size_class;
  impl->kind = TensorImpl::Kind::symbolic;
  impl->dtype = spec.dtype;
  impl->device = spec.device;
  impl->count = spec.shape.element_count();
  impl->shape = spec.shape;
  impl->strides = contiguous_strides(spec.shape);
  impl->trace = trace;
  impl->trace_serial = serial;
  impl->value_id = value_id;
  auto* info = new (static_cast<std::byte*>(block) + header_bytes) SymbolicInfo{{}, where};
  name.copy(info->name, sizeof(info->name) - 1);
  return impl;
}

const SymbolicInfo& symbolic_info(const TensorImpl* impl) {
  return *reinterpret_cast<const SymbolicInfo*>(reinterpret_cast<const std::byte*>(impl) + header_bytes);
}

Tensor from_bytes(const void* data, DType dtype, size_t count, const Shape& shape) {
  const int64_t expected = checked_count(shape, dtype);
  TD_CHECK(expected == static_cast<int64_t>(count), "{} elements do not fill shape {}, which has {}", count,
           shape, expected);
  Tensor t = empty_tensor(dtype, shape);
  if (count > 0) std::memcpy(t.impl()->data, data, count * size_of(dtype));
  return t;
}

Tensor from_foreign(void* data, DType dtype, size_t count, const Shape& shape, void (*release)(void*),
                    void* argument) {
  const int64_t expected = checked_count(shape, dtype);
  TD_CHECK(expected == static_cast<int64_t>(count), "{} elements do not fill shape {}, which has {}", count,
           shape, expected);
  uint8_t size_class;
  void* block = allocate_block(header_bytes + sizeof(Foreign), size_class);
  auto* impl = new (block) TensorImpl;
  impl->kind = TensorImpl::Kind::foreign;
  impl->dtype = dtype;
  impl->size_class = size_class;
  impl->data = data;
  impl->count = expected;
  impl->shape = shape;
  impl->strides = contiguous_strides(shape);
  new (static_cast<std::byte*>(block) + header_bytes) Foreign{release, argument};
  return Tensor::adopt(impl);
}

bool strides_are_contiguous(const Shape& shape, const Strides& strides) {
  int64_t expected = 1;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    if (shape[i] == 0) return true;
    if (shape[i] == 1) continue;
    if (strides[i] != expected) return false;
    expected *= shape[i];
  }
  return true;
}

void retain(TensorImpl* impl) noexcept { retain_inline(impl); }

void release(TensorImpl* impl) noexcept {
  // A sole owner needs no atomic read-modify-write: nobody else can see the count.
  if (impl->references.load(std::memory_order_acquire) == 1 ||
      impl->references.fetch_sub(1, std::memory_order_acq_rel) == 1)
    destroy(impl);
}

void destroy(TensorImpl* impl) noexcept {
  const uint8_t size_class = impl->size_class;
  if (impl->kind == TensorImpl::Kind::view) {
    release(impl->base);
  } else if (impl->kind == TensorImpl::Kind::foreign) {
    auto* foreign = reinterpret_cast<Foreign*>(reinterpret_cast<std::byte*>(impl) + header_bytes);
    foreign->release(foreign->argument);
  }
  impl->~TensorImpl();
  free_block(impl, size_class);
}

}  // namespace detail

using detail::TensorImpl;

namespace {

const TensorImpl& checked(const TensorImpl* impl) {
  TD_CHECK(impl != nullptr, "an empty tensor handle was used; it was never given a value");
  return *impl;
}

[[noreturn]] void fail_symbolic(const char* what, Location where) {
  Error e(
      ErrorCode::symbolic_value,
      fmt::format("{} of a symbolic tensor was asked for while tracing; a traced function runs once for many "
                  "values, so branch with td::cond, loop with td::while_loop, print with td::print",
                  what));
  e.set_origin("", where);
  throw e;
}

}  // namespace

Spec detail::coded_spec(const Tensor& tensor) {
  const TensorImpl& i = checked(tensor.impl());
  return {i.dtype, i.shape, i.device};
}
DType Tensor::dtype() const { return checked(impl_).dtype; }
TensorShape Tensor::shape(Location where) const { return {checked(impl_).shape, where}; }
int Tensor::rank() const { return checked(impl_).shape.rank(); }
Device Tensor::device() const { return checked(impl_).device; }
bool Tensor::is_symbolic() const { return checked(impl_).kind == TensorImpl::Kind::symbolic; }
bool Tensor::is_contiguous() const { return checked(impl_).contiguous; }

int64_t Tensor::size() const {
  const int64_t n = checked(impl_).count;
  if (n < 0) fail_symbolic("the number of elements", {});
  return n;
}

const void* Tensor::checked_data(DType dtype, Location where) const {
  const TensorImpl& i = checked(impl_);
  if (i.kind == TensorImpl::Kind::symbolic) fail_symbolic("the data", where);
  try {
    TD_CHECK(i.dtype == dtype, "data: the tensor has dtype {}, not {}; convert it with td::cast", i.dtype,
             dtype);
    TD_CHECK(i.contiguous, "data: the tensor of shape {} is a strided view; call contiguous() first",
             i.shape);
  } catch (Error& e) {
    e.set_origin("", where);
    throw;
  }
  return i.data;
}

void Tensor::read_item(DType dtype, void* value, Location where) const {
  const TensorImpl& i = checked(impl_);
  if (i.kind == TensorImpl::Kind::symbolic) fail_symbolic("the value", where);
  try {
    TD_CHECK(i.count == 1, "item: the tensor of shape {} has {} elements, not one", i.shape, i.count);
    TD_CHECK(i.dtype == dtype, "item: the tensor has dtype {}, not {}; convert it with td::cast", i.dtype,
             dtype);
  } catch (Error& e) {
    e.set_origin("", where);
    throw;
  }
  std::memcpy(value, i.data, size_of(dtype));
}

void Tensor::ragged(int depth, int64_t expected, int64_t seen) {
  fail("ragged braces: a list at depth {} has {} entries where its neighbours have {}", depth, seen,
       expected);
}

namespace {

// Braced numbers become a tensor of `dtype`; a fraction or a value out of range for an integer dtype is an
// error.
template <class From>
void store_braced(const From* from, size_t n, DType dtype, void* to) {
  for (size_t i = 0; i < n; ++i) {
    const From v = from[i];
    auto put = [&]<class T>(T) {
      if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
        bool fits;
        if constexpr (std::is_floating_point_v<From>)
          fits = v == static_cast<From>(static_cast<int64_t>(v)) &&
                 v >= static_cast<From>(std::numeric_limits<T>::min()) &&
                 v <= static_cast<From>(std::numeric_limits<T>::max());
        else
          fits = std::in_range<T>(static_cast<std::conditional_t<std::is_same_v<From, bool>, int, From>>(v));
        TD_CHECK(fits, "{} does not fit dtype {}", v, dtype);
      }
      static_cast<T*>(to)[i] = static_cast<T>(v);
    };
    switch (dtype) {
      case DType::boolean:
        put(bool{});
        break;
      case DType::u8:
        put(uint8_t{});
        break;
      case DType::i8:
        put(int8_t{});
        break;
      case DType::u16:
        put(uint16_t{});
        break;
      case DType::i16:
        put(int16_t{});
        break;
      case DType::u32:
        put(uint32_t{});
        break;
      case DType::i32:
        put(int32_t{});
        break;
      case DType::u64:
        put(uint64_t{});
        break;
      case DType::i64:
        put(int64_t{});
        break;
      case DType::f16:
        static_cast<Half*>(to)[i] = Half(static_cast<float>(v));
        break;
      case DType::bf16:
        static_cast<BFloat16*>(to)[i] = BFloat16(static_cast<float>(v));
        break;
      case DType::f32:
        put(float{});
        break;
      case DType::f64:
        put(double{});
        break;
    }
  }
}

template <class From>
Tensor braced(const void* values, size_t count, const Shape& shape, std::optional<DType> dtype) {
  const auto* from = static_cast<const From*>(values);
  DType target;
  if (dtype) {
    target = *dtype;
  } else if (std::is_same_v<From, bool>) {
    target = DType::boolean;
  } else if (std::is_floating_point_v<From>) {
    target = DType::f32;
  } else {
    target = DType::i32;
    for (size_t i = 0; i < count; ++i)
      if constexpr (std::is_integral_v<From> &&
                    (sizeof(From) > 4 || (sizeof(From) == 4 && std::is_unsigned_v<From>)))
        if (!std::in_range<int32_t>(from[i])) target = DType::i64;
  }
  Tensor t = detail::empty_tensor(target, shape);
  store_braced(from, count, target, t.impl()->data);
  return t;
}

}  // namespace

Tensor Tensor::from_elements(const void* values, DType source, size_t count, const Shape& shape,
                             std::optional<DType> dtype) {
  switch (source) {
    case DType::boolean:
      return braced<bool>(values, count, shape, dtype);
    case DType::u8:
      return braced<uint8_t>(values, count, shape, dtype);
    case DType::i8:
      return braced<int8_t>(values, count, shape, dtype);
    case DType::u16:
      return braced<uint16_t>(values, count, shape, dtype);
    case DType::i16:
      return braced<int16_t>(values, count, shape, dtype);
    case DType::u32:
      return braced<uint32_t>(values, count, shape, dtype);
    case DType::i32:
      return braced<int32_t>(values, count, shape, dtype);
    case DType::u64:
      return braced<uint64_t>(values, count, shape, dtype);
    case DType::i64:
      return braced<int64_t>(values, count, shape, dtype);
    case DType::f32:
      return braced<float>(values, count, shape, dtype);
    default:
      return braced<double>(values, count, shape, dtype);
  }
}

}  // namespace tandem
