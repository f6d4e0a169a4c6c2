#pragma once
// What a Tensor points to: one header, with its elements behind it, in one block.

#include <atomic>

#include "core/buffer.h"
#include "tandem/tensor.h"

namespace tandem::detail {

struct TensorImpl {
  enum class Kind : uint8_t {
    owner,     // elements behind this header, in the same block
    view,      // elements belong to `base`
    foreign,   // elements belong to somebody else; a Foreign record lies behind this header
    symbolic,  // no elements: value `value_id` of `trace`
  };

  std::atomic<uint32_t> references{1};
  DType dtype = DType::f32;
  Device device;
  Kind kind = Kind::owner;
  uint8_t size_class = 0;
  bool contiguous = true;
  void* data = nullptr;  // first element
  int64_t count = 0;     // elements; -1 while symbolic
  Shape shape;
  Strides strides;
  union {
    TensorImpl* base;  // view
    void* trace;       // symbolic: the Trace mode that made it, for identification only
  };
  int32_t value_id = -1;
  uint64_t trace_serial = 0;

  TensorImpl() : base(nullptr) {}
};

/// Behind the header of a symbolic tensor: what it is called and where it was made, for messages that may
/// come long after its trace.
struct SymbolicInfo {
  char name[40];
  Location where;
};

struct Foreign {
  void (*release)(void*);
  void* argument;
};

inline constexpr size_t header_bytes = (sizeof(TensorImpl) + 63) / 64 * 64;

inline void retain_inline(TensorImpl* impl) noexcept {
  impl->references.fetch_add(1, std::memory_order_relaxed);
}

/// An owner with uninitialised elements, contiguous.
TensorImpl* allocate_tensor(DType dtype, const Shape& shape, Device device = {});
/// A view of `source`'s buffer; `data` lies inside it.
TensorImpl* make_view(TensorImpl* source, void* data, DType dtype, const Shape& shape,
                      const Strides& strides);
/// A tensor without elements, for tracing.
TensorImpl* make_symbolic(const Spec& spec, void* trace, uint64_t serial, int32_t value_id,
                          std::string_view name, Location where);
const SymbolicInfo& symbolic_info(const TensorImpl* impl);

/// True when these strides are row-major for this shape (sizes 0 and 1 don't matter).
bool strides_are_contiguous(const Shape& shape, const Strides& strides);

/// Elements, mutable: only for whoever has just allocated the tensor.
template <class T>
T* mutable_data(const Tensor& t) {
  return static_cast<T*>(t.impl()->data);
}
inline Tensor empty_tensor(DType dtype, const Shape& shape) {
  return Tensor::adopt(allocate_tensor(dtype, shape));
}

}  // namespace tandem::detail
