#include "runtime/convolution.h"

#include <cstdlib>

#include "core/check.h"
#include "core/tensor_impl.h"
#include "kernel/program.h"
#include "runtime/columns.h"
#include "runtime/matmul.h"
#include "runtime/onednn.h"
#include "runtime/parallel.h"

namespace tandem::runtime {

namespace {

/// Uninitialised memory for a while, from the tensors' free lists.
class ScratchTensor {
 public:
  ScratchTensor(DType dtype, int64_t count) : memory_(detail::empty_tensor(dtype, {count})) {}
  template <class T>
  T* get() const {
    return detail::mutable_data<T>(memory_);
  }

 private:
  Tensor memory_;
};

/// How many windows become columns at a time: what fits the second-level cache.
int64_t columns_at_once(int64_t rows, int64_t windows) {
  constexpr int64_t elements = 64 * 1024, block = 48;
  const int64_t fitting = elements / std::max<int64_t>(1, rows) / block * block;
  return std::min(windows, std::max(block, fitting));
}

bool is_pointwise(const Windows& w) {
  for (int d = 0; d < max_spatial; ++d)
    if (w.kernel[d] != 1 || w.stride[d] != 1 || w.before[d] != 0 || w.input[d] != w.output[d]) return false;
  return true;
}

/// Runs body(begin, end) over images and groups: in parallel, unless there are so few that the products are
/// to use the threads.
template <class Body>
void over_images(int64_t count, Body body) {
  if (count < thread_count())
    body(0, count);
  else
    parallel_for(count, 1, body);
}

template <class T>
void convolve_plain(const Convolution& c, const T* x, const T* w, const T* bias, T* y) {
  const Windows& windows = c.windows;
  const int64_t rows = c.in_channels * windows.kernel_count(), m = c.out_channels;
  const int64_t in_size = c.in_channels * windows.input_count(), outputs = windows.output_count();
  const bool pointwise = is_pointwise(windows);
  const int64_t step = pointwise ? outputs : columns_at_once(rows, outputs);
  over_images(c.batch * c.groups, [&](int64_t begin, int64_t end) {
    const ScratchTensor columns(c.dtype, pointwise ? 0 : rows * step);
    const ScratchTensor block(c.dtype, step < outputs ? m * step : 0);
    for (int64_t image = begin; image < end; ++image) {
      const int64_t group = image % c.groups;
      const Matrix left{w + group * m * rows, rows, 1};
      const T* from = x + image * in_size;
      T* to = y + image * m * outputs;
      for (int64_t first = 0; first < outputs; first += step) {
        const int64_t count = std::min(step, outputs - first);
        Matrix right{from, outputs, 1};
        if (!pointwise) {
          to_columns(windows, c.in_channels, from, first, first + count, columns.get<T>(), count);
          right = {columns.get<T>(), count, 1};
        }
        T* product = step < outputs ? block.get<T>() : to;
        matmul(c.dtype, m, count, rows, left, right, product);
        for (int64_t k = 0; k < m; ++k) {
          const T* row = product + k * count;
          T* target = to + k * outputs + first;
          if (bias) {
            const T added = bias[group * m + k];
            for (int64_t n = 0; n < count; ++n) target[n] = row[n] + added;
          } else if (row != target) {
            std::memcpy(target, row, static_cast<size_t>(count) * sizeof(T));
          }
        }
      }
    }
  });
}

template <class T>
void convolve_transposed_plain(const Convolution& c, const T* y, const T* w, T* x) {
  const Windows& windows = c.windows;
  const int64_t rows = c.in_channels * windows.kernel_count(), m = c.out_channels;
  const int64_t plane = windows.input_count(), outputs = windows.output_count();
  const bool pointwise = is_pointwise(windows);
  const int64_t step = pointwise ? outputs : columns_at_once(rows, outputs);
  over_images(c.batch * c.groups, [&](int64_t begin, int64_t end) {
    const ScratchTensor columns(c.dtype, pointwise ? 0 : rows * step);
    for (int64_t image = begin; image < end; ++image) {
      const int64_t group = image % c.groups;
      T* to = x + image * c.in_channels * plane;
      const Matrix left{w + group * m * rows, 1, rows};
      if (!pointwise) std::fill_n(to, c.in_channels * plane, T{});
      for (int64_t first = 0; first < outputs; first += step) {
        const int64_t count = std::min(step, outputs - first);
        const Matrix right{y + image * m * outputs + first, outputs, 1};
        T* product = pointwise ? to : columns.get<T>();
        matmul(c.dtype, rows, count, m, left, right, product);
        if (!pointwise) add_columns(windows, c.in_channels, product, count, first, first + count, to);
      }
    }
  });
}

/// One number for each channel of x; `bias` may be null.
template <class T>
void add_bias(const Convolution& c, const T* bias, T* x) {
  if (!bias) return;
  const int64_t channels = c.groups * c.in_channels, plane = c.windows.input_count();
  parallel_for(c.batch * channels, std::max<int64_t>(1, 32 * 1024 / plane), [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k)
      for (int64_t n = 0; n < plane; ++n) x[k * plane + n] += bias[k % channels];
  });
}

template <class T>
void correlate_plain(const Convolution& c, const T* x, const T* y, T* w) {
  const Windows& windows = c.windows;
  const int64_t rows = c.in_channels * windows.kernel_count(), m = c.out_channels, size = m * rows;
  const int64_t in_size = c.in_channels * windows.input_count(), outputs = windows.output_count();
  const int64_t weights = c.groups * size;
  if (weights == 0) return;
  // A fixed number of slices of the batch, each with sums of its own, so that bits do not depend on threads.
  constexpr int64_t most = 8, elements = 4 << 20;
  const int64_t slices = std::clamp<int64_t>(std::min(c.batch, elements / weights), 1, most);
  const int64_t step = columns_at_once(rows, outputs);
  const ScratchTensor sums(c.dtype, slices * weights);
  std::fill_n(sums.get<T>(), slices * weights, T{});
  over_images(slices * c.groups, [&](int64_t begin, int64_t end) {
    const ScratchTensor columns(c.dtype, rows * step), product(c.dtype, size);
    for (int64_t part = begin; part < end; ++part) {
      const int64_t slice = part / c.groups, group = part % c.groups;
      T* sum = sums.get<T>() + slice * weights + group * size;
      for (int64_t n = slice * c.batch / slices; n < (slice + 1) * c.batch / slices; ++n) {
        const int64_t image = n * c.groups + group;
        for (int64_t first = 0; first < outputs; first += step) {
          const int64_t count = std::min(step, outputs - first);
          to_columns(windows, c.in_channels, x + image * in_size, first, first + count, columns.get<T>(),
                     count);
          matmul(c.dtype, m, rows, count, {y + image * m * outputs + first, outputs, 1},
                 {columns.get<T>(), 1, count}, product.get<T>());
          for (int64_t i = 0; i < size; ++i) sum[i] += product.get<T>()[i];
        }
      }
    }
  });
  std::memcpy(w, sums.get<T>(), static_cast<size_t>(weights) * sizeof(T));
  for (int64_t slice = 1; slice < slices; ++slice)
    for (int64_t i = 0; i < weights; ++i) w[i] += sums.get<T>()[slice * weights + i];
}

// ---- dtypes

/// A narrow operand in f32.
template <class T>
class Widened {
 public:
  Widened(const void* from, int64_t count)
      : memory_(DType::f32, from ? count : 0), present_(from != nullptr) {
    if (!from) return;
    for (int64_t i = 0; i < count; ++i)
      memory_.template get<float>()[i] = static_cast<float>(static_cast<const T*>(from)[i]);
  }
  const float* get() const { return present_ ? memory_.template get<float>() : nullptr; }

 private:
  ScratchTensor memory_;
  bool present_;
};

struct Sizes {
  int64_t x, w, y;
  explicit Sizes(const Convolution& c)
      : x(c.batch * c.groups * c.in_channels * c.windows.input_count()),
        w(c.groups * c.out_channels * c.in_channels * c.windows.kernel_count()),
        y(c.batch * c.groups * c.out_channels * c.windows.output_count()) {}
};

/// f(convolution, a, b, bias, result) in f32, from narrow operands of these sizes.
template <class T, class F>
void in_float(const Convolution& c, const void* a, int64_t a_size, const void* b, int64_t b_size,
              const void* bias, int64_t bias_size, void* result, int64_t size, F&& f) {
  Convolution wide = c;
  wide.dtype = DType::f32;
  const Widened<T> first(a, a_size), second(b, b_size), added(bias, bias_size);
  const ScratchTensor sums(DType::f32, size);
  f(wide, first.get(), second.get(), added.get(), sums.get<float>());
  for (int64_t i = 0; i < size; ++i) static_cast<T*>(result)[i] = T(sums.get<float>()[i]);
}

template <class F>
void by_dtype(const Convolution& c, const void* a, int64_t a_size, const void* b, int64_t b_size,
              const void* bias, int64_t bias_size, void* result, int64_t size, F&& f) {
  if (size == 0) return;
  const auto as = [&]<class T>(T) {
    f(c, static_cast<const T*>(a), static_cast<const T*>(b), static_cast<const T*>(bias),
      static_cast<T*>(result));
  };
  switch (c.dtype) {
    case DType::f64:
      return as(double{});
    case DType::f16:
      return in_float<Half>(c, a, a_size, b, b_size, bias, bias_size, result, size, f);
    case DType::bf16:
      return in_float<BFloat16>(c, a, a_size, b, b_size, bias, bias_size, result, size, f);
    default:
      return as(float{});
  }
}

// ---- orders of channels

void copy(const void* from, DType dtype, const Shape& shape, const Strides& strides, void* to) {
  kernel::copy_strided({const_cast<void*>(from), dtype, shape, strides}, to);
}

/// An operand with channels first: itself, or a copy. `outer` times (channels, inner).
class ChannelsFirst {
 public:
  ChannelsFirst(const Convolution& c, bool is_last, int64_t outer, int64_t channels, int64_t inner,
                const void* from)
      : memory_(c.dtype, is_last ? outer * channels * inner : 0), data_(from) {
    if (!is_last) return;
    move_channels(c.dtype, outer, channels, inner, false, from, memory_.get<void>());
    data_ = memory_.get<void>();
  }
  const void* get() const { return data_; }

 private:
  ScratchTensor memory_;
  const void* data_;
};

ChannelsFirst first_x(const Convolution& c, ChannelOrder order, const void* x) {
  return {c, order.x_last, c.batch, c.groups * c.in_channels, c.windows.input_count(), x};
}
ChannelsFirst first_y(const Convolution& c, ChannelOrder order, const void* y) {
  return {c, order.y_last, c.batch, c.groups * c.out_channels, c.windows.output_count(), y};
}
/// Outputs stand last in (kernel..., in_channels, out_channels), in reverse order.
class OutputsFirst {
 public:
  OutputsFirst(const Convolution& c, ChannelOrder order, const void* w)
      : memory_(c.dtype, order.w_last ? Sizes(c).w : 0), data_(w) {
    if (!order.w_last) return;
    const int64_t inputs = c.in_channels, outputs = c.out_channels;
    copy(w, c.dtype, {outputs, inputs, c.windows.kernel_count()}, {1, outputs, inputs * outputs},
         memory_.get<void>());
    data_ = memory_.get<void>();
  }
  const void* get() const { return data_; }

 private:
  ScratchTensor memory_;
  const void* data_;
};

/// Kernels of one element are products in any order: each result is the same chain of multiply-adds.
template <class T>
void convolve_points(const Convolution& c, ChannelOrder order, const T* x, const T* w, const T* bias, T* y) {
  const int64_t inputs = c.in_channels, outputs = c.out_channels, points = c.windows.output_count();
  const int64_t w_output = order.w_last ? 1 : inputs, w_input = order.w_last ? outputs : 1;
  const auto product = [&](int64_t image, int64_t count) {
    const T* from = x + image * inputs * points;
    T* to = y + image * outputs * points;
    const int64_t x_point = order.x_last ? inputs : 1, x_input = order.x_last ? 1 : points;
    if (order.y_last)
      matmul(c.dtype, count * points, outputs, inputs, {from, x_point, x_input}, {w, w_input, w_output}, to);
    else
      matmul(c.dtype, outputs, count * points, inputs, {w, w_output, w_input}, {from, x_input, x_point}, to);
  };
  if (order.x_last && order.y_last)
    product(0, c.batch);
  else
    over_images(c.batch, [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) product(n, 1);
    });
  if (!bias) return;
  const int64_t rows = order.y_last ? c.batch * points : c.batch * outputs,
                columns = order.y_last ? outputs : points;
  parallel_for(rows, std::max<int64_t>(1, 32 * 1024 / columns), [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      T* row = y + k * columns;
      if (order.y_last)
        for (int64_t n = 0; n < columns; ++n) row[n] += bias[n];
      else
        for (int64_t n = 0; n < columns; ++n) row[n] += bias[k % outputs];
    }
  });
}

/// False where channels that come last must be moved first.
bool convolve_points(const Convolution& c, ChannelOrder order, const void* x, const void* w, const void* bias,
                     void* y) {
  if (!takes_points_in_any_order(c)) return false;
  const auto as = [&]<class T>(T) {
    convolve_points(c, order, static_cast<const T*>(x), static_cast<const T*>(w), static_cast<const T*>(bias),
                    static_cast<T*>(y));
  };
  if (c.dtype == DType::f64)
    as(double{});
  else
    as(float{});
  return true;
}

}  // namespace

bool takes_points_in_any_order(const Convolution& c) {
  return c.groups == 1 && is_pointwise(c.windows) && (c.dtype == DType::f32 || c.dtype == DType::f64);
}

void move_channels(DType dtype, int64_t batch, int64_t channels, int64_t inner, bool to_last,
                   const void* from, void* to) {
  const int64_t image = channels * inner, bytes = image * static_cast<int64_t>(size_of(dtype));
  const Shape shape = to_last ? Shape{inner, channels} : Shape{channels, inner};
  const Strides strides{1, shape[0]};
  parallel_for(batch, std::max<int64_t>(1, 16 * 1024 / std::max<int64_t>(1, image)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t n = begin; n < end; ++n)
                   copy(static_cast<const char*>(from) + n * bytes, dtype, shape, strides,
                        static_cast<char*>(to) + n * bytes);
               });
}

bool takes_any_order(const Convolution& c, ConvolutionKind kind, bool bias) {
  return onednn::computes(c, kind, bias);
}
ChannelOrder preferred_order(const Convolution& c, bool bias) { return onednn::preferred_order(c, bias); }

void convolve(const Convolution& c, const void* x, const void* w, const void* bias, void* y,
              ChannelOrder order) {
  const Sizes size(c);
  if (size.y == 0) return;
  if (order != ChannelOrder()) {
    if (c.dtype == DType::f32 &&
        onednn::convolve(c, static_cast<const float*>(x), static_cast<const float*>(w),
                         static_cast<const float*>(bias), static_cast<float*>(y), order))
      return;
    if (convolve_points(c, order, x, w, bias, y)) return;
    const ChannelsFirst own_x = first_x(c, order, x);
    const OutputsFirst own_w(c, order, w);
    const ScratchTensor own_y(c.dtype, order.y_last ? size.y : 0);
    void* result = order.y_last ? own_y.get<void>() : y;
    convolve(c, own_x.get(), own_w.get(), bias, result);
    if (order.y_last)
      move_channels(c.dtype, c.batch, c.groups * c.out_channels, c.windows.output_count(), true, result, y);
    return;
  }
  by_dtype(c, x, size.x, w, size.w, bias, c.groups * c.out_channels, y, size.y,
           []<class T>(const Convolution& shape, const T* a, const T* b, const T* added, T* to) {
             if constexpr (std::is_same_v<T, float>)
               if (onednn::convolve(shape, a, b, added, to, {})) return;
             convolve_plain(shape, a, b, added, to);
           });
}

void convolve_transposed(const Convolution& c, const void* y, const void* w, const void* bias, void* x,
                         ChannelOrder order) {
  const Sizes size(c);
  if (order != ChannelOrder()) {
    TD_ASSERT(!order.x_last);
    if (c.dtype == DType::f32 && size.x > 0 && !bias &&
        onednn::convolve_transposed(c, static_cast<const float*>(y), static_cast<const float*>(w),
                                    static_cast<float*>(x), order))
      return;
    const ChannelsFirst own_y = first_y(c, order, y);
    const OutputsFirst own_w(c, order, w);
    return convolve_transposed(c, own_y.get(), own_w.get(), bias, x);
  }
  by_dtype(c, y, size.y, w, size.w, bias, c.groups * c.in_channels, x, size.x,
           []<class T>(const Convolution& shape, const T* a, const T* b, const T* added, T* to) {
             if constexpr (std::is_same_v<T, float>)
               if (onednn::convolve_transposed(shape, a, b, to, {})) return add_bias(shape, added, to);
             convolve_transposed_plain(shape, a, b, to);
             add_bias(shape, added, to);
           });
}

void correlate(const Convolution& c, const void* x, const void* y, void* w, ChannelOrder order) {
  const Sizes size(c);
  if (order != ChannelOrder()) {
    TD_ASSERT(!order.w_last);
    if (c.dtype == DType::f32 && size.w > 0 &&
        onednn::correlate(c, static_cast<const float*>(x), static_cast<const float*>(y),
                          static_cast<float*>(w), order))
      return;
    const ChannelsFirst own_x = first_x(c, order, x), own_y = first_y(c, order, y);
    return correlate(c, own_x.get(), own_y.get(), w);
  }
  by_dtype(c, x, size.x, y, size.y, nullptr, 0, w, size.w,
           []<class T>(const Convolution& shape, const T* a, const T* b, const T*, T* to) {
             if constexpr (std::is_same_v<T, float>)
               if (onednn::correlate(shape, a, b, to, {})) return;
             correlate_plain(shape, a, b, to);
           });
}

}  // namespace tandem::runtime
