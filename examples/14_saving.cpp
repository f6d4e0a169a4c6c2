// Saving, resuming, shipping: training that survives being stopped, and a model that leaves as a file.

#include <tandem/tandem.h>
#include <unistd.h>

#include <filesystem>
#include <iostream>
#include <stdexcept>
#include <string>

namespace td = tandem;
namespace nn = td::nn;

namespace {

/// Somebody pulls the plug in the second epoch.
struct PowerCut : nn::Callback {
  int64_t batches = 0;
  void on_train_batch_end(int64_t, nn::Logs&) override {
    if (++batches == 40) throw std::runtime_error("the power went out");
  }
};

nn::Sequential make_model() {
  td::random::seed(1);
  nn::Sequential model({nn::Input({28, 28}), nn::Flatten(), nn::Dense(64, "relu"), nn::Dropout(0.1),
                        nn::Dense(10, "softmax")});
  model.compile(
      {.optimizer = nn::Adam(1e-3), .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"}});
  return model;
}

}  // namespace

int main() {
  const auto folder =
      std::filesystem::temp_directory_path() / ("tandem_lesson_saving_" + std::to_string(getpid()));
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);

  const auto [images, labels] = td::data::digits(960);
  const auto data =
      td::data::Dataset::from_tensors({images, labels})
          .shuffle(7)
          .batch(32)
          .map([](td::Tensor x, td::Tensor y) { return std::pair(td::cast(x, td::float32) / 255, y); });

  // 1. Training that nobody disturbs.
  const nn::Sequential undisturbed = make_model();
  const auto expected = undisturbed.fit(data, {.epochs = 3, .verbose = 0});

  // 2. The same, cut off at step 40: the weights, the optimizer, the place in the data, the generator behind
  // dropout and all else are in the folder, as they were at step 30.
  const auto backup = [&] {
    return std::make_shared<nn::BackupAndRestore>(folder / "run", nn::BackupOptions{.save_freq = 10});
  };
  try {
    make_model().fit(data,
                     {.epochs = 3, .callbacks = {std::make_shared<PowerCut>(), backup()}, .verbose = 0});
  } catch (const std::runtime_error& e) {
    std::cout << "Training ended: " << e.what() << '\n';
  }

  // 3. The program is started again, and goes on. It could as well be another process, in another mode.
  const nn::Sequential resumed = make_model();
  const auto history = resumed.fit(data, {.epochs = 3, .callbacks = {backup()}, .verbose = 0});
  std::cout << "The losses of all " << history.step_losses.size() << " steps are "
            << (history.step_losses == expected.step_losses
                    ? "those of the undisturbed run, to the last bit\n"
                    : "others\n");

  // 4. Weights alone: a safetensors file with readable names.
  std::cout << "\nThe file of weights holds\n";
  td::save_weights(resumed, folder / "weights.safetensors");
  for (const auto& [name, tensor] : td::load_weights((folder / "weights.safetensors").string()))
    std::cout << "  " << name << ' ' << tensor.shape() << '\n';
  const nn::Sequential copy = make_model();
  td::load_weights(copy, folder / "weights.safetensors");

  // 5. Shipping: one plain ONNX file, which needs none of this code, here or in any ONNX runtime.
  const td::Tensor batch = td::cast(images[td::Index(0, 5)], td::float32) / 255;
  td::save(copy, (folder / "model.onnx").string(), td::spec({-1, 28, 28}));
  const td::LoadedModel shipped = td::load((folder / "model.onnx").string());
  const td::Tensor here = td::argmax(resumed.predict(batch), 1), there = td::argmax(shipped({batch})[0], 1);
  std::cout << "\nThe digits that it sees in five pictures,\n  before:          " << here
            << "\n  from its file:   " << there << '\n';

  std::filesystem::remove_all(folder);
  return history.step_losses == expected.step_losses ? 0 : 1;
}
