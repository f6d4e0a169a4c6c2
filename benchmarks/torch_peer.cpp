// libtorch, used as its documentation shows.

#include <dlfcn.h>
#include <torch/torch.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "peers.h"

namespace tandem::bench {

namespace {

torch::Tensor copy(const float* values, at::IntArrayRef shape) {
  return torch::from_blob(const_cast<float*>(values), shape, torch::kFloat32).clone();
}

/// The state of a piece of work lives as long as the process.
template <class State>
PeerWork work(State* state) {
  return {[](void* opaque, int64_t times) { static_cast<State*>(opaque)->run(times); }, state};
}

struct Add {
  torch::Tensor a, b;
  void run(int64_t times) const {
    torch::NoGradGuard no_gradients;
    for (int64_t i = 0; i < times; ++i) torch::Tensor c = a + b;
  }
};

struct RecordedAdd {
  torch::Tensor a, b;
  void run(int64_t times) const {
    for (int64_t i = 0; i < times; ++i) torch::Tensor c = a + b;
  }
};

struct Chain {
  torch::Tensor x, a, b;
  void run(int64_t times) const {
    torch::NoGradGuard no_gradients;
    for (int64_t i = 0; i < times; ++i) {
      torch::Tensor y = x;
      for (int step = 0; step < 50; ++step) y = y * a + b;
    }
  }
};

struct Network {
  torch::Tensor images;
  std::vector<torch::nn::Linear> layers;
  torch::Tensor forward() {
    torch::Tensor x = images;
    for (size_t i = 0; i < layers.size(); ++i) {
      x = layers[i]->forward(x);
      x = i + 1 < layers.size() ? torch::relu(x) : torch::softmax(x, -1);
    }
    return x;
  }
  void run(int64_t times) {
    torch::NoGradGuard no_gradients;
    for (int64_t i = 0; i < times; ++i) torch::Tensor probabilities = forward();
  }
};

PeerWork network(const NetworkData& data) {
  torch::NoGradGuard no_gradients;
  auto* state = new Network{copy(data.images, {data.batch, data.inputs}), {}};
  int64_t inputs = data.inputs;
  for (int i = 0; i < data.layers; ++i) {
    torch::nn::Linear layer(inputs, data.sizes[i]);
    layer->weight.copy_(copy(data.weights[i], {inputs, data.sizes[i]}).t());
    layer->bias.copy_(copy(data.biases[i], {data.sizes[i]}));
    state->layers.push_back(layer);
    inputs = data.sizes[i];
  }
  const torch::Tensor probabilities = state->forward().contiguous();
  std::memcpy(data.probabilities, probabilities.data_ptr<float>(), probabilities.numel() * sizeof(float));
  return work(state);
}

struct Training {
  TrainingData data;
  std::vector<torch::Tensor> images, labels;
  torch::nn::Sequential network;
  std::unique_ptr<torch::optim::Adam> optimizer;

  explicit Training(const TrainingData& d) : data(d) {
    for (int64_t i = 0; i < d.steps; ++i) {
      images.push_back(
          copy(d.images + i * d.batch * d.channels * d.size * d.size, {d.batch, d.channels, d.size, d.size}));
      labels.push_back(
          torch::from_blob(const_cast<int64_t*>(d.labels) + i * d.batch, {d.batch}, torch::kInt64).clone());
    }
    using namespace torch::nn;
    const int64_t side = ((d.size - 2) / 2 - 2) / 2, flat = d.outputs[1] * side * side;
    network = Sequential(Conv2d(Conv2dOptions(d.channels, d.outputs[0], 3)), ReLU(), MaxPool2d(2),
                         Conv2d(Conv2dOptions(d.outputs[0], d.outputs[1], 3)), ReLU(), MaxPool2d(2),
                         Flatten(), Linear(flat, d.outputs[2]), ReLU(), Linear(d.outputs[2], d.outputs[3]));
    torch::NoGradGuard no_gradients;
    int layer = 0;
    for (torch::Tensor& p : network->parameters()) {
      if (p.dim() > 1)
        p.copy_(copy(d.weights[layer++], p.sizes()));
      else
        p.zero_();
    }
    optimizer = std::make_unique<torch::optim::Adam>(network->parameters(),
                                                     torch::optim::AdamOptions(1e-3).eps(1e-7));
  }
  void run(int64_t times) {
    for (int64_t epoch = 0; epoch < times; ++epoch)
      for (size_t i = 0; i < images.size(); ++i) {
        optimizer->zero_grad();
        torch::Tensor loss = torch::nn::functional::cross_entropy(network->forward(images[i]), labels[i]);
        loss.backward();
        optimizer->step();
        data.losses[i] = loss.item<float>();
      }
  }
};

/// OpenBLAS has threads of its own, which libtorch's setting does not reach.
std::string describe_and_use_threads(int count) {
  at::set_num_threads(count);
  const auto openblas_config =
      reinterpret_cast<const char* (*)()>(dlsym(RTLD_DEFAULT, "openblas_get_config"));
  const auto openblas_threads =
      reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "openblas_set_num_threads"));
  const std::string name = "libtorch " TORCH_VERSION;
  if (openblas_config == nullptr || openblas_threads == nullptr)
    return name +
           " WITHOUT OpenBLAS: its matrix products are slow, so the comparison of networks means nothing";
  openblas_threads(count);
  return name + " with " + openblas_config();
}

}  // namespace

}  // namespace tandem::bench

extern "C" __attribute__((visibility("default"))) const tandem::bench::Peer* tandem_bench_peer(int threads) {
  using namespace tandem::bench;
  static const std::string description = describe_and_use_threads(threads);
  static const Peer peer = {
      description.c_str(),
      [](const float* a, const float* b, int64_t count) {
        return work(new Add{copy(a, {count}), copy(b, {count})});
      },
      [](const float* a, const float* b, int64_t count) {
        return work(new RecordedAdd{copy(a, {count}).requires_grad_(), copy(b, {count})});
      },
      [](const float* x, float a, float b, int64_t count) {
        return work(new Chain{copy(x, {count}), torch::full({count}, a), torch::full({count}, b)});
      },
      network,
      [](const TrainingData& data) { return work(new Training(data)); }};
  return &peer;
}
