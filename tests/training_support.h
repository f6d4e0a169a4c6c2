#pragma once
// What tests of training share.

#include <cstring>
#include <string>
#include <vector>

#include "tandem/nn.h"
#include "tandem/tandem.h"
#include "tests/support.h"

namespace tandem::testing {

/// Runs `f(mode)` eagerly and as graphs. Where it returns something, both results must be equal.
template <class F>
void in_both_modes(const F& f) {
  using Result = decltype(f(nn::Mode::eager));
  if constexpr (std::is_void_v<Result>) {
    {
      SCOPED_TRACE("eager");
      random::seed(0);
      f(nn::Mode::eager);
    }
    SCOPED_TRACE("graph");
    random::seed(0);
    f(nn::Mode::graph);
  } else {
    Result eager = [&] {
      SCOPED_TRACE("eager");
      random::seed(0);
      return f(nn::Mode::eager);
    }();
    SCOPED_TRACE("graph");
    random::seed(0);
    EXPECT_EQ(f(nn::Mode::graph), eager);
  }
}

/// What a module's parameters are called, with their shapes: "dense/kernel(3, 4)".
inline std::vector<std::string> names_of(const nn::Module& module) {
  std::vector<std::string> names;
  for (const auto& [name, variable] : module.named_parameters())
    names.push_back(name + to_string(variable.shape()));
  return names;
}

/// The bits of a module's variables.
inline std::vector<std::string> bits_of(const nn::Module& module) {
  std::vector<std::string> bits;
  for (const Variable& v : module.variables()) {
    const Tensor t = v.value().contiguous();
    const auto bytes = t.span<float>();
    bits.emplace_back(reinterpret_cast<const char*>(bytes.data()), bytes.size_bytes());
  }
  return bits;
}

inline std::vector<std::string> keys_of(const nn::Logs& logs) {
  std::vector<std::string> keys;
  for (const auto& [name, value] : logs.entries()) keys.push_back(name);
  return keys;
}

/// One dense layer of ones, without bias.
inline nn::Sequential ones_model(nn::Mode mode, int64_t inputs = 4, int64_t outputs = 3) {
  nn::Sequential model(
      {nn::Input({inputs}), nn::Dense(outputs, {}, {.use_bias = false, .kernel_initializer = "ones"})});
  model.set_mode(mode);
  return model;
}

/// x of shape (n, 2) to "sum" (n, 1), its entries' sum, and "twice" (n, 1), two times that.
inline nn::Model two_outputs(nn::Mode mode) {
  const nn::Value x = nn::Input({2});
  const auto head = [&](const char* name) {
    return nn::Dense(1, {}, {.use_bias = false, .kernel_initializer = "ones", .name = name})(x);
  };
  nn::Model model(x, {head("sum"), head("twin")});
  model.set_mode(mode);
  return model;
}

/// A small classifier with dropout.
inline nn::Sequential classifier(nn::Mode mode) {
  nn::Sequential model({nn::Input({6}), nn::Dense(8, "relu"), nn::Dropout(0.3), nn::Dense(3, "softmax")});
  model.set_mode(mode);
  return model;
}

/// `count` examples of 6 numbers and their class: which third of them has the largest sum.
inline std::pair<Tensor, Tensor> examples(int64_t count) {
  const Tensor x = random::uniform({count, 6}, -1, 1, float32, random::make_generator(7));
  return {x, argmax(sum(reshape(x, {count, 3, 2}), {-1}), -1)};
}

}  // namespace tandem::testing
