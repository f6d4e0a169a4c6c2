#include "tandem/nn/checkpoint.h"

#include <zlib.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <iostream>
#include <set>
#include <string_view>

#include "core/check.h"
#include "core/tensor_impl.h"

namespace tandem::nn {

namespace {

constexpr const char* checksum_key = "checksum";
constexpr const char* file_ending = ".safetensors";

class Checksum {
 public:
  void add(const void* bytes, size_t count) { sum_ = crc32_z(sum_, static_cast<const Bytef*>(bytes), count); }
  void add(std::string_view text) {
    const uint64_t size = text.size();
    add(&size, sizeof(size));
    add(text.data(), text.size());
  }
  std::string text() const { return fmt::format("{:08x}", sum_); }

 private:
  uLong sum_ = 0;
};

/// Over everything but the checksum itself, in the order of the names.
std::string checksum_of(const Snapshot& snapshot) {
  Checksum sum;
  for (const auto& [name, tensor] : snapshot.tensors) {
    const Tensor dense = tensor.contiguous();
    sum.add(name);
    sum.add(fmt::format("{}{}", dense.dtype(), dense.shape()));
    sum.add(dense.impl()->data, static_cast<size_t>(dense.size()) * size_of(dense.dtype()));
  }
  for (const auto& [name, text] : snapshot.texts) {
    if (name == checksum_key) continue;
    sum.add(name);
    sum.add(text);
  }
  return sum.text();
}

bool belongs_to(const std::string& name, const std::string& part) {
  return name.size() > part.size() && name.starts_with(part) && name[part.size()] == '/';
}

Tensor tensor_of(const std::vector<int64_t>& numbers) { return from_range(numbers); }

/// Errors of `f` say which file it is about.
template <class F>
void naming(const std::string& path, const F& f) {
  try {
    f();
  } catch (Error& e) {
    e.add_context("in " + path);
    throw;
  }
}

}  // namespace

const Tensor& Snapshot::tensor(const std::string& name) const {
  const auto found = tensors.find(name);
  TD_CHECK(found != tensors.end(), ErrorCode::io, "the checkpoint has no \"{}\"", name);
  return found->second;
}

const std::string& Snapshot::text(const std::string& name) const {
  const auto found = texts.find(name);
  TD_CHECK(found != texts.end(), ErrorCode::io, "the checkpoint has no text \"{}\"", name);
  return found->second;
}

void save_snapshot(const Snapshot& snapshot, const std::string& path) {
  WeightsMetadata texts = snapshot.texts;
  texts[checksum_key] = checksum_of(snapshot);
  save_weights(snapshot.tensors, path, texts, {});  // no line of ours in messages
}

Snapshot load_snapshot(const std::string& path) {
  Snapshot snapshot{load_weights(path), load_weights_metadata(path)};
  const auto found = snapshot.texts.find(checksum_key);
  TD_CHECK(found != snapshot.texts.end(), ErrorCode::io, "{}: no checkpoint: it has no checksum", path);
  TD_CHECK(found->second == checksum_of(snapshot), ErrorCode::io,
           "{}: the checksum is wrong: the data are damaged", path);
  snapshot.texts.erase(found);
  return snapshot;
}

// ---- Checkpoint

Checkpoint& Checkpoint::add_part(Part part) {
  TD_CHECK(!part.name.empty() && part.name.find('/') == std::string::npos,
           "checkpoint: \"{}\" cannot be a name; expected one without a slash", part.name);
  for (const Part& other : parts_)
    TD_CHECK(other.name != part.name, "checkpoint: \"{}\" was added twice", part.name);
  parts_.push_back(std::move(part));
  return *this;
}

Checkpoint& Checkpoint::add(const std::string& name, const Module& module) {
  return add_variables(name, [module] { return module.named_parameters(); });
}
Checkpoint& Checkpoint::add(const std::string& name, const Optimizer& optimizer) {
  return add_variables(name, [optimizer] { return optimizer.named_variables(); });
}
Checkpoint& Checkpoint::add(const std::string& name, const Variable& variable) {
  return add_variables(name, [variable] { return NamedVariables{{"", variable}}; });
}
Checkpoint& Checkpoint::add(const std::string& name, data::Iterator& iterator) {
  return add_values(
      name, [name, &iterator](Snapshot& s) { s.tensors[name + "/place"] = tensor_of(iterator.state()); },
      [name, &iterator](const Snapshot& s) {
        iterator.restore(s.tensor(name + "/place").to_vector<int64_t>());
      });
}
Checkpoint& Checkpoint::add(const std::string& name, int64_t& number) {
  return add_values(
      name, [name, &number](Snapshot& s) { s.tensors[name + "/value"] = Tensor(number, DType::i64); },
      [name, &number](const Snapshot& s) { number = s.tensor(name + "/value").item<int64_t>(); });
}
Checkpoint& Checkpoint::add_variables(const std::string& name, std::function<NamedVariables()> list) {
  return add_part({name,
                   [name, list = std::move(list)] {
                     NamedVariables variables = list();
                     for (auto& [inner, variable] : variables)
                       inner = inner.empty() ? name : name + '/' + inner;
                     return variables;
                   },
                   {},
                   {}});
}
Checkpoint& Checkpoint::add_values(const std::string& name, std::function<void(Snapshot&)> write,
                                   std::function<void(const Snapshot&)> read) {
  return add_part({name, {}, std::move(write), std::move(read)});
}

Snapshot Checkpoint::capture() const {
  Snapshot snapshot;
  for (const Part& part : parts_) {
    if (part.write) {
      part.write(snapshot);
      continue;
    }
    for (const auto& [name, variable] : part.variables())
      TD_CHECK(snapshot.tensors.emplace(name, variable.value()).second,
               "checkpoint: two variables are \"{}\"", name);
  }
  return snapshot;
}

std::string Checkpoint::mismatch(const Snapshot& snapshot) const {
  std::set<std::string> taken;
  for (const Part& part : parts_) {
    if (part.read) {
      bool any = false;
      for (const auto& [name, tensor] : snapshot.tensors)
        if (belongs_to(name, part.name)) any = taken.insert(name).second || any;
      for (const auto& [name, text] : snapshot.texts) any = any || belongs_to(name, part.name);
      if (!any) return fmt::format("it has nothing of \"{}\"", part.name);
      continue;
    }
    for (const auto& [name, variable] : part.variables()) {
      const auto found = snapshot.tensors.find(name);
      if (found == snapshot.tensors.end()) return fmt::format("it has no \"{}\"", name);
      const Tensor& value = found->second;
      if (value.dtype() != variable.dtype() || value.shape() != variable.value().shape())
        return fmt::format("\"{}\" is {}{} there and {}{} here", name, value.dtype(), value.shape(),
                           variable.dtype(), variable.value().shape());
      taken.insert(name);
    }
  }
  for (const auto& [name, tensor] : snapshot.tensors)
    if (!taken.contains(name))
      return fmt::format("nothing here takes \"{}\"; layers have no variables before their first call", name);
  return {};
}

bool Checkpoint::fits(const Snapshot& snapshot) const { return mismatch(snapshot).empty(); }

void Checkpoint::apply(const Snapshot& snapshot) const {
  const std::string why = mismatch(snapshot);
  TD_CHECK(why.empty(), "the checkpoint does not fit: {}", why);
  for (const Part& part : parts_)
    if (part.read) part.read(snapshot);
  for (const Part& part : parts_) {
    if (part.read) continue;
    for (const auto& [name, variable] : part.variables()) variable.assign(snapshot.tensors.at(name));
  }
}

void Checkpoint::save(const std::string& path) const { save_snapshot(capture(), path); }

void Checkpoint::restore(const std::string& path) const {
  const Snapshot snapshot = load_snapshot(path);
  naming(path, [&] { apply(snapshot); });
}

// ---- CheckpointManager

CheckpointManager::CheckpointManager(std::string folder, CheckpointManagerOptions options)
    : folder_(std::move(folder)), options_(std::move(options)) {
  TD_CHECK(options_.keep >= 1, "{} checkpoints cannot be kept; expected 1 or more", options_.keep);
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  TD_CHECK(std::filesystem::is_directory(folder_, error), ErrorCode::io, "{}: the folder cannot be made: {}",
           folder_, error.message());
  // AtomicFile's: the final name, a dot and six characters.
  const std::string begin = options_.name + '-', middle = std::string(file_ending) + '.';
  std::vector<std::filesystem::path> left_over;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, error)) {
    const std::string file = entry.path().filename().string();
    const size_t ending = middle.size() + 6;
    if (file.starts_with(begin) && file.size() > begin.size() + ending &&
        file.compare(file.size() - ending, middle.size(), middle) == 0)
      left_over.push_back(entry.path());
  }
  for (const auto& path : left_over) std::filesystem::remove(path, error);
}

std::vector<std::pair<int64_t, std::string>> CheckpointManager::files() const {
  std::vector<std::pair<int64_t, std::string>> files;
  std::error_code error;
  const std::string begin = options_.name + '-';
  for (const auto& entry : std::filesystem::directory_iterator(folder_, error)) {
    const std::string file = entry.path().filename().string();
    if (!file.starts_with(begin) || !file.ends_with(file_ending)) continue;
    const char *first = file.data() + begin.size(),
               *last = file.data() + file.size() - std::string_view(file_ending).size();
    int64_t step = 0;
    if (const auto [end, problem] = std::from_chars(first, last, step); problem == std::errc() && end == last)
      files.emplace_back(step, entry.path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string CheckpointManager::path_of(int64_t step) const {
  return (std::filesystem::path(folder_) / fmt::format("{}-{:08}{}", options_.name, step, file_ending))
      .string();
}

std::string CheckpointManager::save(const Checkpoint& checkpoint, int64_t step) const {
  return save(checkpoint.capture(), step);
}

std::string CheckpointManager::save(const Snapshot& snapshot, int64_t step) const {
  TD_CHECK(step >= 0, "step {} is negative", step);
  std::string path = path_of(step);
  save_snapshot(snapshot, path);
  auto all = files();
  std::error_code error;
  // Later steps are those of a run that was given up, because its files were damaged or it began anew.
  for (; all.back().first > step; all.pop_back()) std::filesystem::remove(all.back().second, error);
  for (size_t i = 0;
       all.size() > static_cast<size_t>(options_.keep) && i < all.size() - static_cast<size_t>(options_.keep);
       ++i)
    std::filesystem::remove(all[i].second, error);
  return path;
}

std::optional<std::pair<int64_t, Snapshot>> CheckpointManager::latest() const {
  const auto all = files();
  std::string last_problem;
  for (auto file = all.rbegin(); file != all.rend(); ++file) {
    try {
      return std::pair(file->first, load_snapshot(file->second));
    } catch (const Error& e) {
      last_problem = e.message();
      std::cerr << "tandem: " << e.message() << "; the checkpoint before it is used\n";
    }
  }
  TD_CHECK(all.empty(), ErrorCode::io, "{}: none of the {} checkpoints can be used: {}", folder_, all.size(),
           last_problem);
  return std::nullopt;
}

std::optional<int64_t> CheckpointManager::restore_latest(const Checkpoint& checkpoint) const {
  const auto found = latest();
  if (!found) return std::nullopt;
  naming(path_of(found->first), [&] { checkpoint.apply(found->second); });
  return found->first;
}

std::vector<std::string> CheckpointManager::paths() const {
  std::vector<std::string> paths;
  for (auto& [step, path] : files()) paths.push_back(std::move(path));
  return paths;
}

void CheckpointManager::clear() const {
  std::error_code error;
  for (const std::string& path : paths()) std::filesystem::remove(path, error);
}

}  // namespace tandem::nn
