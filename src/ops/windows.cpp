#include "ops/windows.h"

#include <algorithm>

#include "ops/variable_impl.h"
#include "tandem/ops/creation.h"

namespace tandem {

using runtime::max_spatial;
using runtime::Windows;

namespace {

enum class AutoPad { none, same_upper, same_lower, valid };

AutoPad auto_pad(const WindowAttributes& a) {
  if (a.auto_pad == "NOTSET" || a.auto_pad == "") return AutoPad::none;
  if (a.auto_pad == "SAME_UPPER") return AutoPad::same_upper;
  if (a.auto_pad == "SAME_LOWER") return AutoPad::same_lower;
  TD_CHECK(a.auto_pad == "VALID",
           "auto_pad \"{}\" is unknown; expected \"NOTSET\", \"SAME_UPPER\", \"SAME_LOWER\" or \"VALID\"",
           std::string_view(a.auto_pad));
  return AutoPad::valid;
}

bool is_known(int64_t size) { return size >= 0; }

/// What does not depend on how outputs are sized.
Windows steps(const WindowAttributes& a, const Shape& x, std::span<const int64_t> kernel) {
  const int spatial = x.rank() - 2;
  const auto check_count = [&](std::string_view name, const Dims& values, int wanted) {
    TD_CHECK(values.empty() || values.size() == wanted,
             "{} has {} numbers; {} are needed for the {} spatial dimensions of shape {}", name,
             values.size(), wanted, spatial, x);
  };
  TD_CHECK(static_cast<int>(kernel.size()) == spatial,
           "kernel_shape has {} numbers; {} are needed for the {} spatial dimensions of shape {}",
           kernel.size(), spatial, spatial, x);
  check_count("strides", a.strides, spatial);
  check_count("dilations", a.dilations, spatial);
  check_count("pads", a.pads, 2 * spatial);
  Windows w;
  w.rank = spatial;
  const int first = max_spatial - spatial;
  for (int i = 0; i < spatial; ++i) {
    const int d = first + i;
    w.kernel[d] = kernel[static_cast<size_t>(i)];
    TD_CHECK(w.kernel[d] > 0 || is_symbol(w.kernel[d]),
             "the kernel's size in spatial dimension {} is {}; it must be at least 1", i, w.kernel[d]);
    if (!a.strides.empty()) w.stride[d] = a.strides[i];
    TD_CHECK(w.stride[d] > 0, "stride {} of spatial dimension {} must be at least 1", w.stride[d], i);
    if (!a.dilations.empty()) w.dilation[d] = a.dilations[i];
    TD_CHECK(w.dilation[d] > 0, "dilation {} of spatial dimension {} must be at least 1", w.dilation[d], i);
    constexpr int64_t limit = int64_t{1} << 31;  // products of two stay far from overflow
    TD_CHECK(w.kernel[d] < limit && w.stride[d] < limit && w.dilation[d] < limit,
             "a window of size {}, stride {} and dilation {} is too large", w.kernel[d], w.stride[d],
             w.dilation[d]);
    if (!a.pads.empty() && auto_pad(a) == AutoPad::none) {
      w.before[d] = a.pads[i];
      w.after[d] = a.pads[spatial + i];
      TD_CHECK(std::abs(w.before[d]) < limit && std::abs(w.after[d]) < limit,
               "pads {} and {} of spatial dimension {} are too large", w.before[d], w.after[d], i);
    }
  }
  return w;
}

/// From the first to the last element of a window.
int64_t extent(const Windows& w, int d) { return (w.kernel[d] - 1) * w.dilation[d] + 1; }

void distribute(AutoPad how, int64_t total, int64_t& before, int64_t& after) {
  (how == AutoPad::same_upper ? before : after) = total / 2;
  (how == AutoPad::same_upper ? after : before) = total - total / 2;
}

}  // namespace

void check_spatial(std::string_view name, const Shape& x) {
  TD_CHECK(x.rank() >= 3 && x.rank() <= 2 + max_spatial,
           "{} has shape {}; a batch, channels and one to three spatial dimensions are needed", name, x);
}

Windows windows_over(const WindowAttributes& a, const Shape& x, std::span<const int64_t> kernel,
                     Rounding rounding) {
  Windows w = steps(a, x, kernel);
  const AutoPad how = auto_pad(a);
  const int first = max_spatial - w.rank;
  for (int d = first; d < max_spatial; ++d) {
    const int64_t size = w.input[d] = x[2 + d - first];
    if (how == AutoPad::same_upper || how == AutoPad::same_lower) {
      if (w.stride[d] == 1) w.output[d] = size;
      if (!is_known(size) || !is_known(w.kernel[d])) {
        if (w.stride[d] != 1) w.output[d] = -1;
        continue;
      }
      w.output[d] = (size + w.stride[d] - 1) / w.stride[d];
      distribute(how, std::max<int64_t>(0, (w.output[d] - 1) * w.stride[d] + extent(w, d) - size),
                 w.before[d], w.after[d]);
      continue;
    }
    if (!is_known(w.kernel[d])) {
      w.output[d] = -1;
      continue;
    }
    const int64_t padding = w.before[d] + w.after[d];
    if (!is_known(size)) {
      w.output[d] = w.stride[d] == 1 && padding == extent(w, d) - 1 ? size : -1;
      continue;
    }
    const int64_t room = size + padding - extent(w, d), stride = w.stride[d];
    int64_t count = room < 0 ? 0 : room / stride + 1;
    if (rounding == Rounding::up && how == AutoPad::none) {
      // A last window need not be filled, but must not start in the padding behind the input.
      count = room <= -stride ? 0 : (room + stride - 1) / stride + 1;
      if (count > 0 && (count - 1) * stride >= size + w.before[d]) --count;
    }
    TD_CHECK(count > 0,
             "a window of {} elements does not fit the {} of spatial dimension {} with padding {} and {}",
             extent(w, d), size, d - first, w.before[d], w.after[d]);
    w.output[d] = count;
  }
  return w;
}

Windows windows_under(const WindowAttributes& a, const Dims& output_padding, const Dims& output_shape,
                      const Shape& x, std::span<const int64_t> kernel) {
  Windows w = steps(a, x, kernel);
  const AutoPad how = auto_pad(a);
  TD_CHECK(output_padding.empty() || output_padding.size() == w.rank,
           "output_padding has {} numbers; {} are needed for the {} spatial dimensions of shape {}",
           output_padding.size(), w.rank, w.rank, x);
  // Some write the whole shape, with batch and channels.
  const int skipped = output_shape.size() == w.rank + 2 ? 2 : 0;
  TD_CHECK(output_shape.empty() || output_shape.size() == w.rank + skipped,
           "output_shape has {} numbers; {} are needed for the {} spatial dimensions of shape {}",
           output_shape.size(), w.rank, w.rank, x);
  const int first = max_spatial - w.rank;
  for (int d = first; d < max_spatial; ++d) {
    const int i = d - first;
    const int64_t size = w.output[d] = x[2 + i], extra = output_padding.empty() ? 0 : output_padding[i];
    TD_CHECK(extra >= 0 && (extra < w.stride[d] || extra < w.dilation[d]),
             "output_padding {} of spatial dimension {} must be at least 0 and less than the stride {} or "
             "the dilation {}",
             extra, i, w.stride[d], w.dilation[d]);
    const bool same = how == AutoPad::same_upper || how == AutoPad::same_lower;
    const bool known = is_known(size) && is_known(w.kernel[d]);
    if (!output_shape.empty()) {
      w.input[d] = output_shape[i + skipped];
      TD_CHECK(w.input[d] > 0, "size {} of output_shape must be at least 1", w.input[d]);
    } else if (same) {
      w.input[d] = w.stride[d] == 1 ? size : is_known(size) ? size * w.stride[d] : -1;
    } else if (!known) {
      const bool keeps =
          w.stride[d] == 1 && is_known(w.kernel[d]) && extent(w, d) - 1 + extra == w.before[d] + w.after[d];
      w.input[d] = keeps ? size : -1;
    } else {
      w.input[d] = size == 0 ? 0 : w.stride[d] * (size - 1) + extra + extent(w, d) - w.before[d] - w.after[d];
      TD_CHECK(w.input[d] >= 0, "pads {} and {} cut more than the {} elements of spatial dimension {}",
               w.before[d], w.after[d], w.input[d] + w.before[d] + w.after[d], i);
    }
    if (!output_shape.empty() || same) {
      if (!is_known(w.kernel[d]) || (!is_known(size) && !output_shape.empty())) continue;
      const int64_t wanted = !output_shape.empty() ? w.input[d] - w.stride[d] * (size - 1) : w.stride[d];
      distribute(how, std::max<int64_t>(0, extra + extent(w, d) - wanted), w.before[d], w.after[d]);
    }
  }
  return w;
}

Windows windows_between(const WindowAttributes& a, const Shape& x, const Shape& y,
                        std::span<const int64_t> kernel) {
  Windows w = windows_over(a, x, kernel, Rounding::up);
  for (int i = 0; i < w.rank; ++i) w.output[max_spatial - w.rank + i] = y[2 + i];
  return w;
}

int spatial_rank(const Operand& x) {
  if (x.is_tensor()) return std::max(0, x.tensor_impl()->shape.rank() - 2);
  if (x.kind() == Operand::Kind::variable) return std::max(0, x.variable_impl()->spec.shape.rank() - 2);
  return 0;
}

Dims spread(const Dims& given, int spatial) {
  return given.size() == 1 && spatial > 1 ? Dims::filled(spatial, given[0]) : given;
}

Dims spread_pads(const Dims& given, int spatial) {
  if (given.size() == 1) return Dims::filled(2 * spatial, given[0]);
  if (given.size() != spatial) return given;
  Dims both = given;
  for (int64_t p : given) both.push_back(p);
  return both;
}

WindowAttributes window_attributes(std::string_view auto_pad, const Dims& dilations, const Dims& kernel_shape,
                                   const Dims& pads, const Dims& strides, int spatial) {
  return {Word(auto_pad), spread(dilations, spatial), spread(kernel_shape, spatial),
          spread_pads(pads, spatial), spread(strides, spatial)};
}

Shape asked_shape(const Tensor& shape) {
  // While tracing, shape inference answers.
  return zeros(shape, DType::boolean).shape().codes();
}

void check_known(const Windows& w) {
  for (int d = 0; d < max_spatial; ++d)
    TD_CHECK(w.input[d] >= 0 && w.output[d] >= 0 && w.kernel[d] > 0,
             "it cannot be written as operations of ONNX's own while its spatial sizes are unknown");
}

Dims spatial_axes(int rank) {
  Dims axes;
  for (int i = 2; i < rank; ++i) axes.push_back(i);
  return axes;
}

}  // namespace tandem
