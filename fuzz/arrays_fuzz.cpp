// Any bytes as a .npy, .npz, safetensors or IDX file: an error or arrays, never a crash.

#include "fuzz/support.h"
#include "tandem/data/dataset.h"
#include "tandem/data/idx.h"
#include "tandem/data/npy.h"
#include "tandem/data/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace data_files = tandem::data;
  const std::string path = fuzz::file_of(data, size);
  fuzz::attempt([&] { data_files::read_npy(path); });
  fuzz::attempt([&] { data_files::map_npy(path); });
  fuzz::attempt([&] { data_files::read_npz(path); });
  fuzz::attempt([&] { tandem::load_weights(path); });
  fuzz::attempt([&] { data_files::read_idx(path); });
  fuzz::attempt([&] {
    auto rows = data_files::idx_rows(path).iterate();
    for (int i = 0; i < 4 && rows.next(); ++i) {
    }
  });
  return 0;
}
