#include "tandem/nn/layers/pooling.h"

#include "nn/layers/layer_support.h"
#include "tandem/ops/math.h"
#include "tandem/ops/pooling.h"
#include "tandem/ops/reduce.h"
#include "tandem/ops/shape.h"

namespace tandem::nn {

namespace {

using detail::LayerBody;
using detail::ModuleState;

using Pool = Tensor (*)(const Operand& x, const Dims& kernel_shape, const PoolOptions& options);

class PoolingBody final : public LayerBody {
 public:
  PoolingBody(Pool pool, int spatial, const PerAxis& size, const PoolingOptions& options)
      : pool_(pool),
        spatial_(spatial),
        channels_last_(detail::is_channels_last(options.data_format)),
        size_(detail::spread(size, spatial, "pool_size")) {
    detail::check_word("padding", options.padding, {"valid", "same"});
    options_.strides = options.strides.empty() ? size_ : detail::spread(options.strides, spatial, "strides");
    options_.auto_pad = options.padding == "same" ? "SAME_UPPER" : "VALID";
  }

  Tensor call(ModuleState&, const Tensor& x) override {
    detail::check_layout(x, spatial_, channels_last_);
    if (!channels_last_) return pool_(x, size_, options_);
    return detail::channels_to_back(pool_(detail::channels_to_front(x), size_, options_));
  }

 private:
  Pool pool_;
  int spatial_;
  bool channels_last_;
  Dims size_;
  PoolOptions options_;
};

class GlobalPoolingBody final : public LayerBody {
 public:
  GlobalPoolingBody(bool is_mean, int spatial, const GlobalPoolingOptions& options)
      : is_mean_(is_mean),
        spatial_(spatial),
        channels_last_(detail::is_channels_last(options.data_format)),
        keepdims_(options.keepdims) {
    for (int i = 0; i < spatial; ++i) axes_.push_back(i + (channels_last_ ? 1 : 2));
  }

  Tensor call(ModuleState&, const Tensor& x) override {
    detail::check_layout(x, spatial_, channels_last_);
    if (const Tensor mask = mask_of(x); is_mean_ && spatial_ == 1 && mask.defined()) {
      const Tensor weights = cast(unsqueeze(mask, {channels_last_ ? 2 : 1}), x.dtype());
      return reduce_sum(x * weights, axes_, keepdims_) / maximum(reduce_sum(weights, axes_, keepdims_), 1);
    }
    return is_mean_ ? reduce_mean(x, axes_, keepdims_) : reduce_max(x, axes_, keepdims_);
  }

 private:
  bool is_mean_;
  int spatial_;
  bool channels_last_, keepdims_;
  Dims axes_;
};

}  // namespace

#define TANDEM_POOLING(Kind, pool, spatial)                             \
  Kind::Kind(PerAxis pool_size, PoolingOptions options, Location where) \
      : Layer(#Kind, options.name, where,                               \
              detail::make_body<PoolingBody>(#Kind, where, pool, spatial, pool_size, options)) {}
TANDEM_POOLING(MaxPooling1D, max_pool, 1)
TANDEM_POOLING(MaxPooling2D, max_pool, 2)
TANDEM_POOLING(MaxPooling3D, max_pool, 3)
TANDEM_POOLING(AveragePooling1D, average_pool, 1)
TANDEM_POOLING(AveragePooling2D, average_pool, 2)
TANDEM_POOLING(AveragePooling3D, average_pool, 3)
#undef TANDEM_POOLING

#define TANDEM_GLOBAL_POOLING(Kind, is_mean, spatial)      \
  Kind::Kind(GlobalPoolingOptions options, Location where) \
      : Layer(#Kind, options.name, where,                  \
              detail::make_body<GlobalPoolingBody>(#Kind, where, is_mean, spatial, options)) {}
TANDEM_GLOBAL_POOLING(GlobalMaxPooling1D, false, 1)
TANDEM_GLOBAL_POOLING(GlobalMaxPooling2D, false, 2)
TANDEM_GLOBAL_POOLING(GlobalMaxPooling3D, false, 3)
TANDEM_GLOBAL_POOLING(GlobalAveragePooling1D, true, 1)
TANDEM_GLOBAL_POOLING(GlobalAveragePooling2D, true, 2)
TANDEM_GLOBAL_POOLING(GlobalAveragePooling3D, true, 3)
#undef TANDEM_GLOBAL_POOLING

}  // namespace tandem::nn
