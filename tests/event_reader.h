#pragma once
// Reads event files of TensorBoard: written from the formats' descriptions, apart from what writes them.

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

namespace tandem::testing {

/// Any protobuf message: what it has for each field's number, in order.
struct Message {
  struct Value {
    uint64_t number = 0;  ///< of numbers, their bits
    std::string bytes;    ///< of texts and messages
  };
  std::map<int, std::vector<Value>> fields;

  explicit Message(const std::string& data) {
    size_t at = 0;
    const auto fixed = [&](size_t size) {
      uint64_t bits = 0;
      if (at + size > data.size()) throw std::runtime_error("a number ends outside the message");
      std::memcpy(&bits, data.data() + at, size);
      at += size;
      return bits;
    };
    while (at < data.size()) {
      const uint64_t key = varint(data, at);
      Value v;
      switch (key & 7) {
        case 0:
          v.number = varint(data, at);
          break;
        case 1:
          v.number = fixed(8);
          break;
        case 5:
          v.number = fixed(4);
          break;
        case 2: {
          const uint64_t size = varint(data, at);
          if (size > data.size() - at) throw std::runtime_error("bytes end outside the message");
          v.bytes = data.substr(at, size);
          at += size;
          break;
        }
        default:
          throw std::runtime_error("an unknown wire type");
      }
      fields[static_cast<int>(key >> 3)].push_back(v);
    }
  }

  static uint64_t varint(const std::string& data, size_t& at) {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      if (at >= data.size() || shift > 63) throw std::runtime_error("a varint does not end");
      const auto byte = static_cast<unsigned char>(data[at++]);
      value |= static_cast<uint64_t>(byte & 127) << shift;
      if (byte < 128) return value;
    }
  }

  bool has(int field) const { return fields.count(field) > 0; }
  size_t count(int field) const { return has(field) ? fields.at(field).size() : 0; }
  std::string text(int field, size_t i = 0) const { return has(field) ? fields.at(field).at(i).bytes : ""; }
  Message message(int field, size_t i = 0) const { return Message(text(field, i)); }
  int64_t integer(int field) const {
    return has(field) ? static_cast<int64_t>(fields.at(field)[0].number) : 0;
  }
  double real(int field) const {
    double value = 0;
    if (has(field)) std::memcpy(&value, &fields.at(field)[0].number, 8);
    return value;
  }
  float single(int field) const {
    float value = 0;
    if (has(field)) std::memcpy(&value, &fields.at(field)[0].number, 4);
    return value;
  }
};

/// CRC-32C, a bit at a time.
inline uint32_t crc32c(const std::string& bytes) {
  uint32_t crc = 0xffffffff;
  for (const char b : bytes) {
    crc ^= static_cast<unsigned char>(b);
    for (int i = 0; i < 8; ++i) crc = (crc & 1) != 0 ? (crc >> 1) ^ 0x82f63b78 : crc >> 1;
  }
  return ~crc;
}

inline std::string bytes_of_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// All events of a file, whose checksums must be right.
inline std::vector<Message> read_events(const std::string& path) {
  const std::string bytes = bytes_of_file(path);
  std::vector<Message> events;
  size_t at = 0;
  const auto little_endian = [&](size_t size) {
    uint64_t value = 0;
    for (size_t i = 0; i < size; ++i)
      value |= static_cast<uint64_t>(static_cast<unsigned char>(bytes.at(at + i))) << (8 * i);
    at += size;
    return value;
  };
  const auto expect_checksum = [&](const std::string& of) {
    const uint32_t c = crc32c(of);
    EXPECT_EQ(little_endian(4), ((c >> 15) | (c << 17)) + 0xa282ead8u);
  };
  while (at < bytes.size()) {
    const std::string length = bytes.substr(at, 8);
    const uint64_t size = little_endian(8);
    expect_checksum(length);
    const std::string data = bytes.substr(at, size);
    EXPECT_EQ(data.size(), size);
    at += size;
    expect_checksum(data);
    events.emplace_back(data);
  }
  return events;
}

/// A value of a summary, as TensorBoard takes it.
struct SummaryValue {
  std::string tag, plugin, plugin_content;
  int64_t step = 0, data_class = 0;
  Message value;   ///< Summary.Value
  Message tensor;  ///< its TensorProto
};

inline std::vector<SummaryValue> values_of(const std::vector<Message>& events) {
  std::vector<SummaryValue> values;
  for (const Message& event : events)
    if (event.has(5)) {
      const Message summary = event.message(5);
      for (size_t i = 0; i < summary.count(1); ++i) {
        const Message value = summary.message(1, i), metadata = value.message(9),
                      plugin = metadata.message(1);
        values.push_back({value.text(1), plugin.text(1), plugin.text(2), event.integer(2),
                          metadata.integer(4), value, value.message(8)});
      }
    }
  return values;
}

/// Sizes of a TensorShapeProto.
inline std::vector<int64_t> sizes_of(const Message& shape) {
  std::vector<int64_t> sizes;
  for (size_t i = 0; i < shape.count(2); ++i) sizes.push_back(shape.message(2, i).integer(1));
  return sizes;
}

/// A node of a GraphDef.
struct GraphNode {
  std::string op;
  std::vector<std::string> inputs;
  std::map<std::string, Message> attributes;
  std::vector<std::vector<int64_t>> shapes;  ///< of the outputs
};

/// The nodes of the only graph among the events, by name.
inline std::map<std::string, GraphNode> graph_of(const std::vector<Message>& events) {
  std::map<std::string, GraphNode> nodes;
  int graphs = 0;
  for (const Message& event : events) {
    if (!event.has(4)) continue;
    ++graphs;
    const Message graph = event.message(4);
    EXPECT_TRUE(graph.has(4)) << "versions";
    for (size_t i = 0; i < graph.count(1); ++i) {
      const Message node = graph.message(1, i);
      GraphNode n{.op = node.text(2)};
      for (size_t k = 0; k < node.count(3); ++k) n.inputs.push_back(node.text(3, k));
      for (size_t k = 0; k < node.count(5); ++k)
        n.attributes.emplace(node.message(5, k).text(1), node.message(5, k).message(2));
      if (const auto found = n.attributes.find("_output_shapes"); found != n.attributes.end()) {
        const Message list = found->second.message(1);
        for (size_t k = 0; k < list.count(7); ++k) n.shapes.push_back(sizes_of(list.message(7, k)));
      }
      EXPECT_TRUE(nodes.emplace(node.text(1), n).second) << "two nodes are called " << node.text(1);
    }
  }
  EXPECT_EQ(graphs, 1);
  return nodes;
}

/// What holds of every graph: ops have names, and edges come from outputs that there are.
inline void expect_sound(const std::map<std::string, GraphNode>& nodes) {
  for (const auto& [name, node] : nodes) {
    EXPECT_FALSE(node.op.empty()) << name;
    EXPECT_TRUE(node.attributes.count("_output_shapes")) << name;
    bool control = false;
    for (const std::string& input : node.inputs) {
      if (input[0] == '^') {
        control = true;
        EXPECT_TRUE(nodes.count(input.substr(1))) << input << " of " << name;
        continue;
      }
      EXPECT_FALSE(control) << "data after control in " << name;
      const size_t colon = input.find(':');
      const auto source = nodes.find(input.substr(0, colon));
      ASSERT_NE(source, nodes.end()) << input << " of " << name;
      const size_t output = colon == std::string::npos ? 0 : std::stoul(input.substr(colon + 1));
      EXPECT_LT(output, source->second.shapes.size()) << input << " of " << name;
    }
  }
}

}  // namespace tandem::testing
