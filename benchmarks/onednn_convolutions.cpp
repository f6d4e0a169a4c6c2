#include "onednn_convolutions.h"

#include <dnnl.hpp>
#include <unordered_map>

namespace tandem::bench {

using dnnl::memory;

struct OneDnnConvolution::Parts {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  memory x, w, y, blocked_x, blocked_w, blocked_y;
  dnnl::convolution_forward convolution;
  dnnl::reorder x_reorder, w_reorder, y_reorder;
  std::unordered_map<int, memory> arguments;
};

OneDnnConvolution::OneDnnConvolution(const ConvolutionSizes& s, const float* x, const float* w, float* y)
    : parts_(std::make_unique<Parts>()) {
  Parts& p = *parts_;
  const auto desc = [](const memory::dims& dims, memory::format_tag tag) {
    return memory::desc(dims, memory::data_type::f32, tag);
  };
  const int64_t out = s.output_size(), pad = s.kernel / 2;
  const memory::dims x_dims{s.batch, s.channels, s.size, s.size},
      w_dims{s.outputs, s.channels, s.kernel, s.kernel}, y_dims{s.batch, s.outputs, out, out};
  using tag = memory::format_tag;
  const dnnl::convolution_forward::desc job(
      dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct, desc(x_dims, tag::any),
      desc(w_dims, tag::any), desc(y_dims, tag::any), {s.stride, s.stride}, {pad, pad}, {pad, pad});
  const dnnl::convolution_forward::primitive_desc chosen(job, p.engine);
  p.convolution = dnnl::convolution_forward(chosen);
  p.x = memory(desc(x_dims, tag::nchw), p.engine, const_cast<float*>(x));
  p.w = memory(desc(w_dims, tag::oihw), p.engine, const_cast<float*>(w));
  p.y = memory(desc(y_dims, tag::nchw), p.engine, y);
  p.blocked_x = memory(chosen.src_desc(), p.engine);
  p.blocked_w = memory(chosen.weights_desc(), p.engine);
  p.blocked_y = memory(chosen.dst_desc(), p.engine);
  p.x_reorder = dnnl::reorder(p.x, p.blocked_x);
  p.w_reorder = dnnl::reorder(p.w, p.blocked_w);
  p.y_reorder = dnnl::reorder(p.blocked_y, p.y);
  p.arguments = {{DNNL_ARG_SRC, p.blocked_x}, {DNNL_ARG_WEIGHTS, p.blocked_w}, {DNNL_ARG_DST, p.blocked_y}};
}

OneDnnConvolution::~OneDnnConvolution() = default;

void OneDnnConvolution::run() {
  Parts& p = *parts_;
  p.x_reorder.execute(p.stream, p.x, p.blocked_x);
  p.w_reorder.execute(p.stream, p.w, p.blocked_w);
  run_blocked();
  p.y_reorder.execute(p.stream, p.blocked_y, p.y);
}

void OneDnnConvolution::run_blocked() { parts_->convolution.execute(parts_->stream, parts_->arguments); }

}  // namespace tandem::bench
