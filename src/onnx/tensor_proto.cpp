#include "onnx/tensor_proto.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "core/check.h"
#include "core/tensor_impl.h"
#include "onnx/dtypes.h"

namespace tandem::onnx {

static_assert(std::endian::native == std::endian::little, "raw_data is little-endian and taken as it is");

namespace {

// Shorter raw data are copied next to the tensor's header; longer ones are taken over.
constexpr size_t taken_from = 4096;

/// The shape of a stored tensor, all of whose elements could be in memory.
Shape read_shape(const google::protobuf::RepeatedField<int64_t>& dims, size_t element_bytes) {
  TD_CHECK(dims.size() <= max_rank, "the rank is {}; at most {} is supported", dims.size(), max_rank);
  Shape shape;
  bool empty = false;
  for (int64_t d : dims) {
    TD_CHECK(d >= 0, "dimension {} has the size {}", shape.rank(), d);
    shape.push_back(d);
    empty = empty || d == 0;
  }
  int64_t bytes = static_cast<int64_t>(element_bytes);
  for (int64_t d : shape)
    TD_CHECK(empty || !__builtin_mul_overflow(bytes, d, &bytes), "the shape {} has too many elements", shape);
  return shape;
}

// Booleans are bytes 0 and 1 in memory, whatever a file says.
void normalize_booleans(void* bytes, size_t count) {
  auto* b = static_cast<uint8_t*>(bytes);
  for (size_t i = 0; i < count; ++i) b[i] = b[i] != 0 ? 1 : 0;
}

Tensor copied(const void* from, DType dtype, const Shape& shape) {
  Tensor t = detail::empty_tensor(dtype, shape);
  const auto count = static_cast<size_t>(shape.element_count());
  if (count > 0) std::memcpy(t.impl()->data, from, count * size_of(dtype));
  if (dtype == DType::boolean) normalize_booleans(t.impl()->data, count);
  return t;
}

template <class Owner>
Tensor shared(const void* data, DType dtype, const Shape& shape, Owner owner) {
  auto held = std::make_unique<Owner>(std::move(owner));
  // Tensors are immutable: nothing writes through this pointer.
  Tensor t = detail::from_foreign(
      const_cast<void*>(data), dtype, static_cast<size_t>(shape.element_count()), shape,
      [](void* p) { delete static_cast<Owner*>(p); }, held.get());
  held.release();
  return t;
}

bool aligned(const void* data, DType dtype) {
  return reinterpret_cast<uintptr_t>(data) % size_of(dtype) == 0;
}

Tensor from_raw(TensorProto& proto, DType dtype, const Shape& shape) {
  const size_t bytes = static_cast<size_t>(shape.element_count()) * size_of(dtype);
  TD_CHECK(proto.raw_data().size() == bytes, "raw_data has {} bytes; shape {} and type {} need {}",
           proto.raw_data().size(), shape, dtype, bytes);
  if (bytes < taken_from || dtype == DType::boolean || !aligned(proto.raw_data().data(), dtype))
    return copied(proto.raw_data().data(), dtype, shape);
  std::unique_ptr<std::string> taken(proto.release_raw_data());
  const void* data = taken->data();
  return shared(data, dtype, shape, std::move(taken));
}

template <class To, class From>
void convert(const From& from, void* to) {
  auto* out = static_cast<To*>(to);
  for (auto v : from) {
    TD_CHECK(std::in_range<To>(v), "the element {} does not fit its type", v);
    *out++ = static_cast<To>(v);
  }
}

template <class From>
void copy_elements(const From& from, void* to) {
  if (from.size() > 0) std::memcpy(to, from.data(), static_cast<size_t>(from.size()) * sizeof(*from.data()));
}

/// Elements in the field that belongs to their type.
Tensor from_field(const TensorProto& proto, DType dtype, const Shape& shape) {
  const int64_t count = shape.element_count();
  auto read = [&](const auto& field, const char* name, auto fill) {
    TD_CHECK(field.size() == count, "{} has {} elements; shape {} needs {}", name, field.size(), shape,
             count);
    Tensor t = detail::empty_tensor(dtype, shape);
    fill(field, t.impl()->data);
    return t;
  };
  const auto& small = proto.int32_data();
  using Small = std::remove_cvref_t<decltype(small)>;
  using Large = std::remove_cvref_t<decltype(proto.uint64_data())>;
  switch (dtype) {
    case DType::f32:
      return read(proto.float_data(), "float_data", [](const auto& f, void* to) { copy_elements(f, to); });
    case DType::f64:
      return read(proto.double_data(), "double_data", [](const auto& f, void* to) { copy_elements(f, to); });
    case DType::i64:
      return read(proto.int64_data(), "int64_data", [](const auto& f, void* to) { copy_elements(f, to); });
    case DType::u64:
      return read(proto.uint64_data(), "uint64_data", [](const auto& f, void* to) { copy_elements(f, to); });
    case DType::u32:
      return read(proto.uint64_data(), "uint64_data", convert<uint32_t, Large>);
    case DType::i32:
      return read(small, "int32_data", [](const auto& f, void* to) { copy_elements(f, to); });
    case DType::i16:
      return read(small, "int32_data", convert<int16_t, Small>);
    case DType::u16:
    case DType::f16:
    case DType::bf16:
      return read(small, "int32_data", convert<uint16_t, Small>);
    case DType::i8:
      return read(small, "int32_data", convert<int8_t, Small>);
    case DType::u8:
      return read(small, "int32_data", convert<uint8_t, Small>);
    case DType::boolean:
      return read(small, "int32_data", [](const auto& f, void* to) {
        std::transform(f.begin(), f.end(), static_cast<uint8_t*>(to),
                       [](int32_t v) { return v != 0 ? 1 : 0; });
      });
  }
  TD_ASSERT(false);
  return {};
}

Tensor from_external(const TensorProto& proto, DType dtype, const Shape& shape, ExternalData* external) {
  TD_CHECK(external != nullptr, ErrorCode::io,
           "its elements are in another file, and there is no folder to look in");
  const size_t bytes = static_cast<size_t>(shape.element_count()) * size_of(dtype);
  ExternalData::Range range = external->find(proto, bytes);
  if (bytes < taken_from || dtype == DType::boolean || !aligned(range.data, dtype))
    return copied(range.data, dtype, shape);
  return shared(range.data, dtype, shape, std::move(range.file));
}

// Errors inside name the tensor.
template <class F>
Tensor named(const std::string& name, F&& read) {
  try {
    return read();
  } catch (const Error& e) {
    throw Error(e.code(), fmt::format("tensor \"{}\": {}", name, e.message()));
  }
}

}  // namespace

Tensor read_tensor(TensorProto& proto, ExternalData* external) {
  return named(proto.name(), [&] {
    const DType dtype = supported_dtype(proto.data_type());
    const Shape shape = read_shape(proto.dims(), size_of(dtype));
    if (proto.data_location() == 1) return from_external(proto, dtype, shape, external);
    TD_CHECK(proto.data_location() == 0, "data_location is {}; 0 and 1 are known", proto.data_location());
    return proto.has_raw_data() ? from_raw(proto, dtype, shape) : from_field(proto, dtype, shape);
  });
}

void write_tensor(const Tensor& tensor, std::string_view name, TensorProto& proto) {
  const Tensor dense = tensor.contiguous();
  proto.Clear();
  proto.set_name(std::string(name));
  proto.set_data_type(code_of(dense.dtype()));
  for (int64_t d : dense.shape().codes()) proto.add_dims(d);
  proto.set_raw_data(dense.impl()->data, static_cast<size_t>(dense.size()) * size_of(dense.dtype()));
}

Tensor read_sparse_tensor(SparseTensorProto& proto, ExternalData* external, int64_t& budget) {
  const Tensor values = read_tensor(*proto.mutable_values(), external);
  const Tensor indices = read_tensor(*proto.mutable_indices(), external);
  return named(proto.values().name(), [&] {
    const size_t bytes = size_of(values.dtype());
    const Shape shape = read_shape(proto.dims(), bytes);
    budget -= shape.element_count() * static_cast<int64_t>(bytes);
    TD_CHECK(budget >= 0, "with shape {} the model's sparse tensors take more than {} bytes", shape,
             most_sparse_bytes);
    TD_CHECK(values.rank() == 1, "sparse values have shape {}; one dimension is needed", values.shape());
    const int64_t count = values.size();
    const int64_t columns = indices.rank() == 2 ? shape.rank() : 1;
    TD_CHECK(indices.dtype() == DType::i64 &&
                 (indices.shape() == Shape{count} || indices.shape() == Shape{count, columns}),
             "sparse indices are {}{}; int64({},) or int64({}, {}) is needed", indices.dtype(),
             indices.shape(), count, count, shape.rank());
    Tensor dense = detail::empty_tensor(values.dtype(), shape);
    auto* to = static_cast<std::byte*>(dense.impl()->data);
    std::memset(to, 0, static_cast<size_t>(shape.element_count()) * bytes);
    const Strides strides = indices.rank() == 2 ? contiguous_strides(shape) : Strides{1};
    const auto* index = indices.data<int64_t>();
    for (int64_t i = 0; i < count; ++i) {
      int64_t at = 0;
      for (int c = 0; c < columns; ++c) {
        const int64_t v = *index++;
        const int64_t size = indices.rank() == 2 ? shape[c] : shape.element_count();
        TD_CHECK(v >= 0 && v < size, "the sparse index {} is out of range; expected 0 to {}", v, size - 1);
        at += v * strides[c];
      }
      std::memcpy(to + static_cast<size_t>(at) * bytes,
                  static_cast<const std::byte*>(values.impl()->data) + static_cast<size_t>(i) * bytes, bytes);
    }
    return dense;
  });
}

}  // namespace tandem::onnx
