// What users of Keras expect of compile, fit, evaluate and predict: T-18 to T-47.

#include <cmath>
#include <cstring>

#include "tandem/nn.h"
#include "tandem/tandem.h"
#include "tests/support.h"

namespace td = tandem;
namespace nn = td::nn;

using Floats = std::vector<float>;
using Numbers = std::vector<double>;
using Words = std::vector<std::string>;

namespace {

constexpr nn::Mode modes[] = {nn::Mode::eager, nn::Mode::graph};

nn::Sequential ones_model(int64_t inputs = 4, int64_t outputs = 3) {
  return nn::Sequential(
      {nn::Input({inputs}), nn::Dense(outputs, {}, {.use_bias = false, .kernel_initializer = "ones"})});
}

nn::FitOptions silent(nn::FitOptions options = {}) {
  options.verbose = 0;
  return options;
}

Words keys_of(const nn::Logs& logs) {
  Words keys;
  for (const auto& [name, value] : logs.entries()) keys.push_back(name);
  return keys;
}

}  // namespace

TEST(Behaviour, T_39_KnownNumbers) {
  for (const nn::Mode mode : modes) {
    const nn::Sequential model = ones_model();
    model.set_mode(mode);
    model.compile({.optimizer = nn::SGD(0.01), .loss = "mse", .metrics = {"mse"}});
    const td::Tensor x = td::ones({100, 4}), y = td::zeros({100, 3});
    const nn::Logs logs = model.evaluate(x, y);
    EXPECT_EQ(keys_of(logs), (Words{"loss", "mse"}));
    EXPECT_EQ(logs["loss"], 16);
    EXPECT_EQ(logs["mse"], 16);
    EXPECT_EQ(model.predict(x).to_vector<float>(), Floats(300, 4));
    const nn::History history = model.fit(x, y, silent({.batch_size = 100, .epochs = 3}));
    EXPECT_EQ(history.step_losses.size(), 3u);
    EXPECT_NEAR(history["loss"][0], 16, 1e-6);
    EXPECT_NEAR(history["loss"][1], 15.158, 1e-3);
    EXPECT_NEAR(history["loss"][2], 14.360, 1e-3);
  }
}

TEST(Behaviour, T_27_ThePartialBatchIsUsed) {
  for (const nn::Mode mode : modes) {
    struct Sizes : nn::Module {
      td::Tensor operator()(const td::Tensor& x) const { return x; }
    };
    const nn::Model model{Sizes()};
    model.set_mode(mode);
    model.compile({.loss = "mse"});
    const td::Tensor x = td::reshape(td::arange(34.f), {34, 1});
    std::vector<int64_t> sizes;
    struct Watch : nn::Callback {
      explicit Watch(std::vector<int64_t>& to) : sizes(to) {}
      void on_predict_batch_end(int64_t, nn::Logs& logs) override {
        sizes.push_back(logs.outputs().leaf().shape()[0]);
      }
      std::vector<int64_t>& sizes;
    };
    const td::Tensor y = model.predict(x, {.batch_size = 16, .callbacks = {std::make_shared<Watch>(sizes)}});
    EXPECT_EQ(sizes, (std::vector<int64_t>{16, 16, 2}));
    EXPECT_EQ(y.to_vector<float>(), x.to_vector<float>());
  }
}
