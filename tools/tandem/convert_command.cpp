#include "convert_command.h"

#include <fmt/format.h>

#include <cstring>
#include <filesystem>

#include "core/check.h"
#include "core/mapped_file.h"
#include "core/text_table.h"
#include "json_file.h"
#include "onnx/convert.h"
#include "onnx/emitter.h"
#include "onnx/importer.h"
#include "onnx/opset17.h"
#include "onnx/tensor_proto.h"
#include "tandem/data/safetensors.h"

namespace tandem::cli {

using Json = nlohmann::ordered_json;

namespace {

// Smaller ones stay in the model, too: axes and shapes, which other programs want to see there.
constexpr size_t moved_from = 1024;

/// Puts elements that lie in other files into the model, which is about to leave their folder.
void take_in(onnx::TensorProto& t, onnx::ExternalData& folder) {
  if (t.data_location() != 1) return;
  const std::string name = t.name();
  const Tensor value = onnx::read_tensor(t, &folder);
  t.Clear();
  onnx::write_tensor(value, name, t);
}
void take_in(onnx::GraphProto& graph, onnx::ExternalData& folder) {
  for (onnx::TensorProto& t : *graph.mutable_initializer()) take_in(t, folder);
  for (onnx::NodeProto& n : *graph.mutable_node())
    for (onnx::AttributeProto& a : *n.mutable_attribute()) {
      if (a.has_t()) take_in(*a.mutable_t(), folder);
      if (a.has_g()) take_in(*a.mutable_g(), folder);
      for (onnx::GraphProto& g : *a.mutable_graphs()) take_in(g, folder);
    }
}

/// The initializers by name; the model has them still.
Weights weights_of(onnx::GraphProto& graph) {
  Weights weights;
  for (onnx::TensorProto& t : *graph.mutable_initializer()) {
    const std::string name = t.name();
    const Tensor value = onnx::read_tensor(t);
    t.Clear();
    onnx::write_tensor(value, name, t);
    TD_CHECK(weights.emplace(name, value).second, ErrorCode::io, "the value \"{}\" is defined twice", name);
  }
  return weights;
}

/// Replaces the larger initializers by references to where they lie in a safetensors file.
void refer_to(const std::string& path, const std::string& location, onnx::GraphProto& graph) {
  const auto file = MappedFile::open(path);
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file->data(), sizeof header_bytes);
  const uint64_t start = sizeof header_bytes + header_bytes;
  const auto* text = reinterpret_cast<const char*>(file->data()) + sizeof header_bytes;
  const Json header = Json::parse(text, text + header_bytes);
  for (onnx::TensorProto& t : *graph.mutable_initializer()) {
    const Json& range = header.at(t.name()).at("data_offsets");
    const uint64_t begin = range[0], end = range[1];
    if (end - begin < moved_from) continue;
    t.clear_raw_data();
    t.set_data_location(1);
    auto say = [&](const char* key, const std::string& value) {
      onnx::StringStringEntryProto& entry = *t.add_external_data();
      entry.set_key(key);
      entry.set_value(value);
    };
    say("location", location);
    say("offset", std::to_string(start + begin));
    say("length", std::to_string(end - begin));
  }
}

}  // namespace

bool convert_model(const ConvertOptions& options) {
  namespace fs = std::filesystem;
  TD_CHECK(options.opset != 0 || !options.weights.empty() || options.strip_training,
           "nothing is to be done; give --opset, --weights or --strip-training");
  TD_CHECK(options.opset == 0 || options.opset == onnx::saved_opset,
           "models are written in opset {}; --opset is {}", onnx::saved_opset, options.opset);
  TD_CHECK(!options.output.empty() || (options.opset == 0 && !options.strip_training),
           "a file to write is needed: tandem convert {} OUTPUT", options.model);
  std::string location;
  if (!options.weights.empty() && !options.output.empty()) {
    location = fs::absolute(options.weights)
                   .lexically_normal()
                   .lexically_relative(fs::absolute(options.output).lexically_normal().parent_path())
                   .generic_string();
    TD_CHECK(
        !location.starts_with(".."),
        "the weights of {} must lie in its folder or below, where other programs look for them; {} does not",
        options.output, options.weights);
  }

  const auto file = MappedFile::open(options.model);
  onnx::ModelProto model = onnx::parse_model(file->bytes(), options.model);
  const std::string folder = fs::path(options.model).parent_path().string();
  int gone = 0;
  if (options.strip_training) gone = onnx::strip_training(model);
  if (options.opset != 0) {
    model = onnx::in_saved_opset(
        LoadedModel::make(onnx::import_model(model, options.model, &folder), FunctionOptions()));
  } else {
    onnx::ExternalData beside(folder);
    take_in(*model.mutable_graph(), beside);
  }

  Json report{{"model", options.model}};
  if (!options.weights.empty()) {
    const Weights weights = weights_of(*model.mutable_graph());
    int64_t bytes = 0;
    for (const auto& [name, t] : weights) bytes += t.size() * static_cast<int64_t>(size_of(t.dtype()));
    save_weights(weights, options.weights);
    report["weights"] = {{"file", options.weights}, {"tensors", weights.size()}, {"bytes", bytes}};
    if (options.json != "-")
      fmt::print("{}: {} tensors, {}\n", options.weights, weights.size(),
                 format_bytes(static_cast<uint64_t>(bytes)));
    if (!options.output.empty()) refer_to(options.weights, location, *model.mutable_graph());
  }
  if (!options.output.empty()) {
    onnx::write_model(model, options.output);
    report["output"] = options.output;
    for (const onnx::OperatorSetIdProto& o : model.opset_import())
      report["opsets"][o.domain().empty() ? "ai.onnx" : o.domain()] = o.version();
    report["nodes"] = model.graph().node_size();
    if (options.strip_training) report["nodes_taken_out"] = gone;
    if (options.json != "-")
      fmt::print("{}: {} nodes, {}{}\n", options.output, model.graph().node_size(),
                 format_bytes(model.ByteSizeLong()),
                 options.strip_training ? fmt::format("; {} nodes were for training only", gone) : "");
  }
  if (!options.json.empty()) write_json_file(options.json, report);
  return true;
}

}  // namespace tandem::cli
