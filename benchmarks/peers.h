#pragma once
// Other libraries that do the same work, each in a shared object of its own, loaded when it is there: their
// headers and start-up would otherwise weigh on everything.

#include <cstdint>

namespace tandem::bench {

/// Does the work `times` times.
struct PeerWork {
  void (*run)(void* state, int64_t times) = nullptr;
  void* state = nullptr;
};

/// The numbers that both sides work on.
struct NetworkData {
  int64_t batch, inputs;
  const float* images;          ///< batch x inputs
  int layers;                   ///< relu between them, softmax after the last
  const int64_t* sizes;         ///< outputs of each layer
  const float* const* weights;  ///< inputs x outputs of each layer
  const float* const* biases;
  float* probabilities;  ///< the peer's result of one run goes here, batch x sizes[layers - 1]
};

/// A small CNN that learns: convolution 3x3 with relu and max pooling by 2, twice, then two dense layers with
/// relu between them; mean softmax cross-entropy; Adam with Keras's defaults.
struct TrainingData {
  int64_t batch, steps;    ///< of one epoch
  int64_t size, channels;  ///< of the square images
  const float* images;     ///< steps * batch x channels x size x size
  const int64_t* labels;   ///< steps * batch
  static constexpr int layers = 4;
  const int64_t* outputs;       ///< channels or units of each layer
  const float* const* weights;  ///< outputs x inputs x 3 x 3, and outputs x inputs
  float* losses;                ///< the peer's loss before each step of the latest epoch goes here
};

/// What a peer's shared object exports as `tandem_bench_peer`, a GetPeer. The work stays valid until the
/// process ends.
struct Peer {
  const char* description;  ///< name, version and what else matters, such as its BLAS
  PeerWork (*add)(const float* a, const float* b, int64_t count);
  /// The same where a gradient with respect to `a` may be asked for: each addition is recorded.
  PeerWork (*add_recorded)(const float* a, const float* b, int64_t count);
  /// 100 operations one after the other, x = x * a + b fifty times.
  PeerWork (*chain)(const float* x, float a, float b, int64_t count);
  PeerWork (*network)(const NetworkData& data);
  /// One piece of work is an epoch. Biases begin at zero.
  PeerWork (*training)(const TrainingData& data);
};

using GetPeer = const Peer* (*)(int threads);

/// The peer of this name, "torch", from beside this program, told how many threads to use; null when it was
/// not built or does not load.
const Peer* find_peer(const char* name, int threads);

}  // namespace tandem::bench
