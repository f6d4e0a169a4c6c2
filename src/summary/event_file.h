#pragma once
// The file that TensorBoard reads: events in records with checksums.

#include <chrono>
#include <cstdio>
#include <mutex>
#include <string>
#include <string_view>

#include "summary/proto_encoder.h"
#include "tandem/summary.h"

namespace tandem::summary::detail {

/// CRC-32C (Castagnoli), rotated and shifted as records store it.
uint32_t masked_crc(std::string_view bytes);
/// Length, its checksum, the data, its checksum; all little-endian.
std::string framed(std::string_view data);
/// An event without content: wall time (1) and step (2).
ProtoEncoder event_at(double wall_time, int64_t step);
/// Now, in seconds since 1970.
double wall_time();

class EventFile {
 public:
  /// Begins with the event that names the version. Errors (io).
  EventFile(const std::string& folder, WriterOptions options);
  ~EventFile();
  EventFile(const EventFile&) = delete;
  EventFile& operator=(const EventFile&) = delete;

  void write(const ProtoEncoder& event);
  void flush();
  const std::string& path() const { return path_; }
  const WriterOptions& options() const { return options_; }

 private:
  void flush_locked();

  WriterOptions options_;
  std::string path_;
  std::mutex mutex_;
  std::FILE* file_ = nullptr;
  std::chrono::steady_clock::time_point last_flush_ = std::chrono::steady_clock::now();
};

}  // namespace tandem::summary::detail
