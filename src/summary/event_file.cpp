#include "summary/event_file.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "core/check.h"

namespace tandem::summary::detail {

namespace {

constexpr auto crc_table = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = (c >> 1) ^ (c & 1 ? 0x82f63b78u : 0);
    table[i] = c;
  }
  return table;
}();

template <class T>
void append(std::string& to, T value) {
  for (size_t i = 0; i < sizeof(T); ++i) to += static_cast<char>(value >> 8 * i);
}

std::string host_name() {
  char name[256] = {};
  return gethostname(name, sizeof(name) - 1) == 0 && name[0] ? name : "localhost";
}

}  // namespace

uint32_t masked_crc(std::string_view bytes) {
  uint32_t crc = ~0u;
  for (char b : bytes) crc = (crc >> 8) ^ crc_table[(crc ^ static_cast<uint8_t>(b)) & 255];
  crc = ~crc;
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

std::string framed(std::string_view data) {
  std::string record;
  append(record, static_cast<uint64_t>(data.size()));
  append(record, masked_crc(record));
  record += data;
  append(record, masked_crc(data));
  return record;
}

ProtoEncoder event_at(double wall_time, int64_t step) {
  ProtoEncoder event;
  event.number(1, wall_time);
  if (step != 0) event.integer(2, step);
  return event;
}

double wall_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

EventFile::EventFile(const std::string& folder, WriterOptions options) : options_(std::move(options)) {
  TD_CHECK(!folder.empty(), "the folder's name is empty");
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  TD_CHECK(!error, ErrorCode::io, "the folder {} cannot be made: {}", folder, error.message());
  // TensorBoard looks for "tfevents", and sorts the files of a run by name: by their times.
  static std::atomic<int> files{0};
  const double now = wall_time();
  path_ = fmt::format("{}/events.out.tfevents.{:010d}.{}.{}.{}{}", folder, static_cast<int64_t>(now),
                      host_name(), getpid(), files++, options_.suffix);
  file_ = std::fopen(path_.c_str(), "wb");
  TD_CHECK(file_, ErrorCode::io, "the file {} cannot be made: {}", path_, std::strerror(errno));
  try {
    ProtoEncoder first = event_at(now, 0);
    first.bytes(3, "brain.Event:2");  // file_version
    write(first);
    flush();
  } catch (...) {
    std::fclose(file_);
    throw;
  }
}

EventFile::~EventFile() { std::fclose(file_); }

void EventFile::write(const ProtoEncoder& event) {
  const std::string record = framed(event.str());
  const std::lock_guard<std::mutex> lock(mutex_);
  TD_CHECK(std::fwrite(record.data(), 1, record.size(), file_) == record.size(), ErrorCode::io,
           "the file {} cannot be written: {}", path_, std::strerror(errno));
  if (std::chrono::duration<double>(std::chrono::steady_clock::now() - last_flush_).count() >=
      options_.flush_seconds)
    flush_locked();
}

void EventFile::flush() {
  const std::lock_guard<std::mutex> lock(mutex_);
  flush_locked();
}

void EventFile::flush_locked() {
  TD_CHECK(std::fflush(file_) == 0, ErrorCode::io, "the file {} cannot be written: {}", path_,
           std::strerror(errno));
  last_flush_ = std::chrono::steady_clock::now();
}

}  // namespace tandem::summary::detail
