#include "model_commands.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/check.h"
#include "core/mapped_file.h"
#include "core/text_table.h"
#include "function/function_core.h"
#include "json_file.h"
#include "model_cost.h"
#include "model_inputs.h"
#include "onnx/importer.h"
#include "tandem/data/npy.h"
#include "tandem/load.h"

namespace tandem::cli {

using Json = nlohmann::ordered_json;

namespace {

double milliseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

std::vector<Tensor> inputs_for(const LoadedModel& model, const RunOptions& options) {
  std::vector<std::string> pairs = options.inputs;
  // The only input needs no name.
  if (pairs.size() == 1 && model.inputs().size() == 1 && pairs[0].find('=') == std::string::npos)
    pairs[0] = model.inputs()[0].name + "=" + pairs[0];
  std::map<std::string, std::string> files = parse_pairs(pairs, "input");
  const std::map<std::string, std::string> sizes = parse_pairs(options.sizes, "size");
  std::vector<Tensor> inputs;
  std::string missing;
  for (const ModelValue& v : model.inputs()) {
    const auto found = files.find(v.name);
    if (found != files.end()) {
      inputs.push_back(data::read_npy(found->second));
      files.erase(found);
    } else if (options.random) {
      inputs.push_back(random_input(v, sizes));
    } else {
      missing += (missing.empty() ? "" : ", ") + v.to_string();
    }
  }
  TD_CHECK(missing.empty(), "--input is missing for {}; or give --random", missing);
  TD_CHECK(files.empty(), "the model has no input \"{}\"", files.empty() ? "" : files.begin()->first);
  return inputs;
}

Json describe(const std::string& name, const Tensor& t) {
  return {{"name", name}, {"dtype", name_of(t.dtype())}, {"shape", t.shape().to_vector()}};
}

Json describe(const ModelValue& v) {
  Json shape = Json::array();
  for (int i = 0; i < v.shape.rank(); ++i) {
    const std::string& name = v.dimension_names[static_cast<size_t>(i)];
    if (!name.empty())
      shape.push_back(name);
    else if (v.shape[i] >= 0)
      shape.push_back(v.shape[i]);
    else
      shape.push_back(nullptr);
  }
  return {{"name", v.name}, {"dtype", name_of(v.dtype)}, {"shape", v.has_shape ? shape : Json()}};
}

}  // namespace

bool run_model(const RunOptions& options) {
  TD_CHECK(options.repeat >= 1, "--repeat is {}; at least 1 is needed", options.repeat);
  const auto start = std::chrono::steady_clock::now();
  const LoadedModel model = load(options.model);
  const double load_ms = milliseconds_since(start);
  const std::vector<Tensor> inputs = inputs_for(model, options);
  const std::map<std::string, std::string> files = parse_pairs(options.outputs, "output");
  for (const auto& [name, file] : files)
    TD_CHECK(std::any_of(model.outputs().begin(), model.outputs().end(),
                         [&, n = name](const ModelValue& v) { return v.name == n; }),
             "the model has no output \"{}\"", name);
  std::vector<Tensor> outputs;
  std::vector<double> times;
  for (int64_t i = 0; i < options.repeat; ++i) {
    const auto call = std::chrono::steady_clock::now();
    outputs = options.mode == "eager" ? model.run_eagerly(inputs) : model(inputs);
    times.push_back(milliseconds_since(call));
  }
  const double first_ms = times[0];
  // The first call traces, plans and fills caches.
  if (times.size() > 1) times.erase(times.begin());
  std::sort(times.begin(), times.end());
  const double median_ms = times[times.size() / 2];

  Json report{{"model", options.model}, {"mode", options.mode}, {"load_ms", load_ms}, {"first_ms", first_ms}};
  report["median_ms"] = median_ms;
  report["least_ms"] = times.front();
  report["outputs"] = Json::array();
  for (size_t i = 0; i < outputs.size(); ++i) {
    const std::string& name = model.outputs()[i].name;
    report["outputs"].push_back(describe(name, outputs[i]));
    const auto found = files.find(name);
    if (found != files.end()) {
      data::write_npy(found->second, outputs[i]);
      report["outputs"].back()["file"] = found->second;
    }
    if (options.json == "-") continue;
    if (found != files.end())
      fmt::print("{}: {}{} in {}\n", name, name_of(outputs[i].dtype()), outputs[i].shape(), found->second);
    else
      fmt::print("{}:\n{}\n", name, to_string(outputs[i]));
  }
  if (!options.json.empty()) write_json_file(options.json, report);
  if (options.json != "-")
    fmt::print("loaded in {}, first run {}{}\n", format_time(load_ms * 1e6), format_time(first_ms * 1e6),
               options.repeat > 1
                   ? fmt::format(", then {} a run (median of {}, {})", format_time(median_ms * 1e6),
                                 options.repeat - 1, options.mode)
                   : "");
  return true;
}

bool inspect_model(const InspectOptions& options) {
  const LoadedModel model = load(options.model);
  const onnx::ImportedModel& m = model.imported();
  const std::map<std::string, std::string> sizes = parse_pairs(options.sizes, "size");
  Json report{
      {"model", options.model}, {"name", m.name}, {"producer", m.producer}, {"ir_version", m.ir_version}};
  for (const auto& [domain, version] : m.opsets)
    report["opsets"][domain.empty() ? "ai.onnx" : domain] = version;
  for (const ModelValue& v : m.inputs) report["inputs"].push_back(describe(v));
  for (const ModelValue& v : m.defaults) report["defaults"].push_back(describe(v));
  for (const ModelValue& v : m.outputs) report["outputs"].push_back(describe(v));
  report["operators"] = m.operators;
  report["parameters"] = {{"count", m.parameter_count}, {"bytes", m.parameter_bytes}};
  report["metadata"] = m.metadata;

  const bool quiet = options.json == "-";
  auto say = [&]<class... Ts>(fmt::format_string<Ts...> format, Ts&&... values) {
    if (!quiet) fmt::print(format, std::forward<Ts>(values)...);
  };
  say("{}: \"{}\"{}, IR version {}\n", options.model, m.name, m.producer.empty() ? "" : " by " + m.producer,
      m.ir_version);
  for (const auto& [domain, version] : m.opsets)
    say("opset     {} {}\n", domain.empty() ? "ai.onnx" : domain, version);
  for (const ModelValue& v : m.inputs) say("input     {}\n", v.to_string());
  for (const ModelValue& v : m.defaults) say("default   {}\n", v.to_string());
  for (const ModelValue& v : m.outputs) say("output    {}\n", v.to_string());
  for (const auto& [key, value] : m.metadata) say("metadata  {}: {}\n", key, value);
  say("weights   {} numbers, {}\n", format_count(m.parameter_count),
      format_bytes(static_cast<uint64_t>(m.parameter_bytes)));
  TextTable table({"operator", "nodes"});
  for (const auto& [name, count] : m.operators) table.add({name, format_count(count)});
  say("\n{}", table.to_string());

  // What a run costs needs one: with unknown sizes of 1, or as told.
  try {
    std::vector<Tensor> inputs;
    for (const ModelValue& v : m.inputs) inputs.push_back(random_input(v, sizes));
    model(inputs);
    const Cost cost = cost_of(model, inputs);
    report["run"] = {{"graph_nodes", cost.nodes},
                     {"flops", cost.flops ? Json(*cost.flops) : Json()},
                     {"peak_bytes", cost.peak_bytes >= 0 ? Json(cost.peak_bytes) : Json()}};
    say("\na run on random inputs{}: {} nodes after optimization, {} floating-point operations, {} of memory "
        "beside "
        "inputs and weights\n",
        sizes.empty() ? " (unknown sizes are 1; --size NAME=N sets them)" : "", cost.nodes,
        cost.flops ? format_count(*cost.flops) : "an unknown number of",
        cost.peak_bytes >= 0 ? format_bytes(static_cast<uint64_t>(cost.peak_bytes)) : "an unknown amount");
  } catch (const Error& e) {
    report["run"] = {{"error", e.what()}};
    say("\na run on random inputs fails: {}\n", e.what());
  }
  if (!options.json.empty()) write_json_file(options.json, report);
  return true;
}

bool check_model(const CheckOptions& options) {
  const auto file = MappedFile::open(options.model);
  onnx::ModelProto proto = onnx::parse_model(file->bytes(), options.model);
  const std::string folder = std::filesystem::path(options.model).parent_path().string();
  std::vector<std::string> problems;
  int64_t nodes = 0;
  try {
    nodes = onnx::import_model(proto, options.model, &folder, &problems).body.expanded_nodes;
  } catch (const Error& e) {
    problems.emplace_back(e.what());
  }
  if (!options.json.empty())
    write_json_file(options.json, {{"model", options.model}, {"problems", problems}});
  if (options.json != "-") {
    for (const std::string& p : problems) fmt::print("{}\n", p);
    if (problems.empty())
      fmt::print("{}: {} node{}, all of which can run\n", options.model, format_count(nodes),
                 nodes == 1 ? "" : "s");
    else
      fmt::print("{}: {} problem{}\n", options.model, problems.size(), problems.size() > 1 ? "s" : "");
  }
  return problems.empty();
}

}  // namespace tandem::cli
