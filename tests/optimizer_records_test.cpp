// Optimizers against PyTorch 1.13, from ../shared/cases/gradients/optimizers.json: a small linear regression
// in float64, both modes.

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "tandem/tandem.h"

namespace td = tandem;
namespace nn = td::nn;
using Json = nlohmann::json;

namespace {

std::vector<double> numbers(const Json& list) {
  std::vector<double> all;
  for (const Json& entry : list) {
    if (entry.is_array()) {
      const std::vector<double> inner = numbers(entry);
      all.insert(all.end(), inner.begin(), inner.end());
    } else {
      all.push_back(entry.get<double>());
    }
  }
  return all;
}

td::Tensor tensor(const Json& list) {
  std::vector<int64_t> shape;
  for (const Json* inner = &list; inner->is_array(); inner = &(*inner)[0])
    shape.push_back(static_cast<int64_t>(inner->size()));
  return td::from_vector(numbers(list), td::Shape(shape));
}

/// The record's optimizer, with PyTorch's defaults where they differ from Keras's.
nn::Optimizer make(const std::string& kind, const Json& config) {
  const double rate = config["lr"];
  const auto number = [&](const char* name) { return config.value(name, 0.0); };
  const auto flag = [&](const char* name) { return config.value(name, false); };
  nn::OptimizerOptions common;
  if (config.contains("weight_decay")) common.weight_decay = number("weight_decay");
  if (kind == "SGD")
    return nn::SGD(
        rate,
        {.momentum = number("momentum"), .nesterov = flag("nesterov"), .dampening = number("dampening")},
        common);
  const nn::AdamOptions adam{.epsilon = 1e-8, .amsgrad = flag("amsgrad")};
  if (kind == "Adam") return nn::Adam(rate, adam, common);
  if (kind == "AdamW") return nn::AdamW(rate, adam, common);
  if (kind == "Adamax") return nn::Adamax(rate, {.epsilon = 1e-8}, common);
  if (kind == "NAdam") return nn::Nadam(rate, {.epsilon = 1e-8}, common);
  if (kind == "RAdam") return nn::RAdam(rate, {.epsilon = 1e-8}, common);
  if (kind == "RMSprop")
    return nn::RMSprop(
        rate, {.rho = 0.99, .momentum = number("momentum"), .epsilon = 1e-8, .centered = flag("centered")},
        common);
  if (kind == "Adagrad") return nn::Adagrad(rate, {.initial_accumulator_value = 0, .epsilon = 1e-10}, common);
  if (kind == "Adadelta") return nn::Adadelta(rate, {.rho = 0.9, .epsilon = 1e-6}, common);
  if (kind == "Rprop") return nn::Rprop(rate, {}, common);
  if (kind == "ASGD") return nn::ASGD(rate, {}, common);
  throw std::runtime_error("the record's optimizer " + kind + " is not known here");
}

void expect_close(const td::Tensor& value, const Json& expected, const char* what, int step) {
  const std::vector<double> a = value.to_vector<double>(),
                            b = numbers(expected.is_array() ? expected : Json{expected});
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i)
    EXPECT_NEAR(a[i], b[i], 1e-6 * std::abs(b[i])) << what << " at step " << step;
}

}  // namespace

TEST(Optimizers, AsRecorded) {
  std::ifstream file(TANDEM_SHARED_FOLDER "/cases/gradients/optimizers.json");
  if (!file) GTEST_SKIP() << "no ../shared/cases/gradients/optimizers.json";
  const Json records = Json::parse(file);
  EXPECT_EQ(records.size(), 17u);
  for (const Json& r : records)
    for (const bool graph : {false, true}) {
      SCOPED_TRACE(r["opt"].get<std::string>() + " " + r["cfg"].dump() + (graph ? " as a graph" : ""));
      const td::Tensor x = tensor(r["init"]["X"]), y = tensor(r["init"]["Y"]);
      const td::Variable w(tensor(r["init"]["W"])), b(tensor(r["init"]["b"]));
      const nn::Optimizer optimizer = make(r["opt"], r["cfg"]);
      const auto eagerly = [&] {
        td::GradientTape tape;
        const td::Tensor loss = td::mean(td::square(td::matmul(x, w) + b - y));
        const auto [dw, db] = tape.gradient(loss, w, b);
        optimizer.apply_gradients({dw, db}, {w, b});
        return loss;
      };
      const auto traced = td::function(eagerly);
      int step = 0;
      for (const Json& expected : r["trace"]) {
        td::Tensor loss;
        for (const int last = expected["step"]; step < last; ++step) loss = graph ? traced() : eagerly();
        expect_close(loss, expected["loss"], "loss", step);
        expect_close(w.value(), expected["W"], "W", step);
        expect_close(b.value(), expected["b"], "b", step);
      }
      EXPECT_EQ(optimizer.iterations().value().item<int64_t>(), step);
    }
}
