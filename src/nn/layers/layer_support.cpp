#include "nn/layers/layer_support.h"

#include <algorithm>

#include "tandem/ops/random.h"
#include "tandem/ops/shape.h"

namespace tandem::nn::detail {

void check_floating(const Tensor& x) {
  TD_CHECK(is_floating(x.dtype()), "the input has dtype {}; convert it first, as td::cast(x, td::float32)",
           x.dtype());
}

Variable make_parameter(ModuleState& state, const char* name, const Shape& shape, DType dtype,
                        const Initializer& initializer, const Regularizer& regularizer,
                        const Constraint& constraint) {
  return state.parameter(name, shape, initializer,
                         {.dtype = dtype, .regularizer = regularizer, .constraint = constraint}, state.where);
}

const Variable& NoiseSource::generator(ModuleState& state) {
  return generator_.get([&]() -> Variable {
    if (!seed_) return random::generator();
    return state.parameter(
        "seed_state", {2},
        [seed = *seed_](const Shape&, DType) { return random::make_generator(seed).value(); },
        {.trainable = false, .dtype = DType::u64}, state.where);
  });
}

std::shared_ptr<ModuleState> part_of(ModuleState& state, const char* name) {
  for (const ModuleState::Member& m : state.members_now())
    if (m.name == name && m.module) return m.module;
  auto part = std::make_shared<ModuleState>();
  part->kind = "Projection";
  part->where = state.where;
  state.add_module(name, part, state.where);
  return part;
}

void penalize_activity(const Layer& layer, const Regularizer& regularizer) {
  if (regularizer.defined())
    layer.state()->activity_regularizer = [regularizer](const Tensor& y) { return regularizer(y); };
}

void check_word(std::string_view what, std::string_view word,
                std::initializer_list<std::string_view> allowed) {
  if (std::find(allowed.begin(), allowed.end(), word) != allowed.end()) return;
  std::string list;
  for (std::string_view w : allowed) list += fmt::format("{}\"{}\"", list.empty() ? "" : ", ", w);
  TD_CHECK(false, "{} is \"{}\"; expected one of {}", what, word, list);
}

bool is_channels_last(std::string_view data_format) {
  check_word("data_format", data_format, {"channels_last", "channels_first"});
  return data_format == "channels_last";
}

void check_layout(const Tensor& x, int spatial, bool channels_last) {
  constexpr std::string_view sizes[] = {"steps", "height, width", "depth, height, width"};
  TD_CHECK(x.rank() == spatial + 2, "the input has shape {}; expected {} dimensions: (batch, {}{}{})",
           x.shape(), spatial + 2, channels_last ? "" : "channels, ", sizes[spatial - 1],
           channels_last ? ", channels" : "");
}

Tensor channels_to_front(const Tensor& x) { return moveaxis(x, -1, 1); }
Tensor channels_to_back(const Tensor& x) { return moveaxis(x, 1, -1); }

Tensor activated(const ActivationFunction& activation, const Tensor& y, bool channels_last) {
  if (!channels_last) return activation(y);
  return activation.is_elementwise() ? channels_to_back(activation(y)) : activation(channels_to_back(y));
}

Dims spread(const PerAxis& numbers, int spatial, std::string_view what, int64_t least) {
  const Dims& given = numbers.numbers();
  TD_CHECK(given.size() == 1 || given.size() == spatial,
           "{} has {} numbers; expected one for all, or one for each of {} dimensions", what, given.size(),
           spatial);
  for (int64_t n : given) TD_CHECK(n >= least, "{} is {}; expected at least {}", what, n, least);
  return given.size() == spatial ? given : Dims::filled(spatial, given[0]);
}

}  // namespace tandem::nn::detail
