#pragma once
// Messages in protobuf's wire format, field by field.

#include <bit>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace tandem::summary {

/// The bytes of one message. Numbers of fields stand in the comments where they are used.
class ProtoEncoder {
 public:
  void integer(int field, int64_t value) {
    key(field, 0);
    varint(static_cast<uint64_t>(value));
  }
  void number(int field, double value) {
    key(field, 1);
    fixed(std::bit_cast<uint64_t>(value));
  }
  void number(int field, float value) {
    key(field, 5);
    fixed(std::bit_cast<uint32_t>(value));
  }
  /// Text, bytes, or a message that is whole already.
  void bytes(int field, std::string_view value) {
    key(field, 2);
    varint(value.size());
    bytes_ += value;
  }
  void message(int field, const ProtoEncoder& value) { bytes(field, value.bytes_); }
  /// A repeated field, packed.
  void integers(int field, std::span<const int64_t> values) {
    ProtoEncoder packed;
    for (int64_t v : values) packed.varint(static_cast<uint64_t>(v));
    message(field, packed);
  }
  void floats(int field, std::span<const double> values) {
    ProtoEncoder packed;
    for (double v : values) packed.fixed(std::bit_cast<uint32_t>(static_cast<float>(v)));
    message(field, packed);
  }

  /// The bytes of a number alone, for tensors.
  void raw(double value) { fixed(std::bit_cast<uint64_t>(value)); }

  const std::string& str() const { return bytes_; }

 private:
  void key(int field, int wire_type) { varint(static_cast<uint64_t>(field) << 3 | wire_type); }
  void varint(uint64_t value) {
    for (; value >= 128; value >>= 7) bytes_ += static_cast<char>(value | 128);
    bytes_ += static_cast<char>(value);
  }
  template <class T>
  void fixed(T value) {
    for (size_t i = 0; i < sizeof(T); ++i) bytes_ += static_cast<char>(value >> 8 * i);
  }

  std::string bytes_;
};

}  // namespace tandem::summary
