// Any bytes as a checkpoint or as a backup of fit: an error or a training that goes on, never a crash.

#include <filesystem>

#include "fuzz/support.h"
#include "fuzz/training.h"

namespace {

namespace nn = tandem::nn;

/// A folder of this process, gone when it ends.
struct Folder {
  std::string path =
      (std::filesystem::temp_directory_path() / ("tandem_fuzz_" + std::to_string(getpid()))).string();
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() {
    std::error_code error;
    std::filesystem::remove_all(path, error);
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static fuzz::Loop loop;
  static const Folder folder;
  const std::string path = fuzz::file_of(data, size);
  fuzz::attempt([&] { nn::load_snapshot(path); });
  fuzz::attempt([&] {
    // With a checksum that fits: damage is noticed, but a stranger would write the right one.
    nn::Snapshot snapshot{tandem::load_weights(path), tandem::load_weights_metadata(path)};
    snapshot.texts.erase("checksum");
    fuzz::attempt([&] {
      loop.all.apply(snapshot);
      loop.batches.next();
    });
    nn::save_snapshot(snapshot, folder.path + "/backup-00000001.safetensors");
    fuzz::fit(folder.path, false);
  });
  return 0;
}
