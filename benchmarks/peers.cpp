#include "peers.h"

#include <dlfcn.h>

#include <filesystem>
#include <string>

namespace tandem::bench {

const Peer* find_peer(const char* name, int threads) {
  const std::filesystem::path folder = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  const std::string file = (folder / (std::string("tandem_bench_") + name + ".so")).string();
  void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return nullptr;
  const auto get = reinterpret_cast<GetPeer>(dlsym(library, "tandem_bench_peer"));
  return get == nullptr ? nullptr : get(threads);
}

}  // namespace tandem::bench
