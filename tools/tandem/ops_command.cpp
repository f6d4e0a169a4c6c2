#include "ops_command.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "ops/op_def.h"

namespace tandem::cli {

namespace {

using nlohmann::ordered_json;

std::vector<std::string> dtypes_of(TypeSet types) {
  std::vector<std::string> names;
  for (int d = 0; d < dtype_count; ++d)
    if (types >> d & 1) names.emplace_back(name_of(static_cast<DType>(d)));
  return names;
}

/// A set of dtypes in one word where there is one.
std::string describe(TypeSet types) {
  const std::pair<TypeSet, const char*> sets[] = {{types::all, "any"},
                                                  {types::numeric, "number"},
                                                  {types::floating, "float"},
                                                  {types::integer, "integer"},
                                                  {types::is_signed, "signed"}};
  for (const auto& [set, word] : sets)
    if (types == set) return word;
  return fmt::format("{}", fmt::join(dtypes_of(types), "/"));
}

ordered_json to_json(const AttributeValue& value) {
  return std::visit(
      []<class T>(const T& v) -> ordered_json {
        if constexpr (std::is_same_v<T, DType>)
          return std::string(name_of(v));
        else if constexpr (std::is_same_v<T, Tensor>)
          return nullptr;  // a constant has no default
        else if constexpr (std::is_same_v<T, double>)
          // Attributes are float32 in files: their shortest text.
          return std::isfinite(v) ? ordered_json::parse(fmt::format("{}", static_cast<float>(v)))
                                  : ordered_json(fmt::format("{}", v));
        else
          return v;
      },
      value);
}

/// Attributes and their defaults; those that may be left out have none.
ordered_json attributes_of(const OpDef& op) {
  const AttributeDraft defaults(*op.attributes);
  std::map<std::string, ordered_json> found;
  const auto add = [&](bool given) {
    return [&found, given](std::string_view name, const AttributeValue& value) {
      found.try_emplace(std::string(name), given ? ordered_json() : to_json(value));
    };
  };
  op.attributes->each(defaults.get(), add(false));
  for (const Sample& s : op.samples())
    if (s.attributes.type()) op.attributes->each(s.attributes.get(), add(true));
  ordered_json all = ordered_json::object();
  for (const auto& [name, value] : found) all[name] = value;
  return all;
}

std::string gradient_of(const OpDef& op) {
  if (op.gradient) return "yes";
  if (op.has(composite)) return "through its parts";
  if (!op.not_differentiable.empty()) return "error: " + std::string(op.not_differentiable);
  return "none";
}

std::string lowering_of(const OpDef& op) {
  std::string text = op.has(composite) ? "composed of others"
                     : op.row_axes     ? "rows"
                     : op.program      ? "expression"
                     : op.view         ? "view"
                     : op.kernel       ? "kernel"
                     : op.run_tensors  ? "whole tensors"
                                       : "graph";
  if (op.decomposition && !op.has(composite)) text += ", and a body of others";
  return text;
}

std::string flags_of(const InputDef& d) {
  std::string text;
  if (d.flags & InputDef::optional) text += "?";
  if (d.flags & InputDef::variadic) text += "...";
  return text;
}

ordered_json describe(const OpDef& op) {
  ordered_json inputs = ordered_json::array();
  for (const InputDef& d : op.inputs)
    inputs.push_back({{"name", std::string(d.name)},
                      {"dtypes", dtypes_of(d.types)},
                      {"optional", (d.flags & InputDef::optional) != 0},
                      {"variadic", (d.flags & InputDef::variadic) != 0},
                      {"parameter", (d.flags & InputDef::parameter) != 0}});
  return {{"name", std::string(op.name)},
          {"domain", op.domain.empty() ? "ai.onnx" : std::string(op.domain)},
          {"since", op.since},
          {"function", op.display_name()},
          {"inputs", inputs},
          {"outputs", op.output_count},
          {"attributes", attributes_of(op)},
          {"gradient", gradient_of(op)},
          {"lowering", lowering_of(op)}};
}

std::string inputs_text(const OpDef& op) {
  std::string text;
  for (const InputDef& d : op.inputs)
    text += fmt::format("{}{}{}: {}", text.empty() ? "" : ", ", d.name, flags_of(d), describe(d.types));
  return text;
}

std::string attributes_text(const OpDef& op) {
  std::string text;
  const ordered_json attributes = attributes_of(op);
  for (const auto& [name, value] : attributes.items())
    text += fmt::format("{}{}{}", text.empty() ? "" : ", ", name, value.is_null() ? "" : "=" + value.dump());
  return text;
}

void print_markdown() {
  fmt::print(
      "# Operations\n\n"
      "Every row of the op table, as `tandem ops --markdown` prints it; `./run docs` fails when this page "
      "differs.\n"
      "`since` is the ONNX opset (or the version of the domain `ai.tandem`) whose semantics an op has. "
      "Inputs: `?` may\n"
      "be left out, `...` any number of times; *float* is float16, bfloat16, float32 and float64, *number* "
      "is float or\n"
      "integer, *any* includes bool. Attributes stand with their defaults. An op lowers to one *expression* "
      "an element,\n"
      "to *rows* (reductions and what needs them), to a *view* that shares memory, to a *kernel* over "
      "memory, to code\n"
      "over *whole tensors*, or is *composed of others*.\n\n"
      "{} operations.\n\n",
      all_ops().size());
  fmt::print("| op | domain | since | inputs | attributes | gradient | lowers to |\n");
  fmt::print("|---|---|---|---|---|---|---|\n");
  for (const OpDef* op : all_ops())
    fmt::print("| {} | {} | {} | {} | {} | {} | {} |\n", op->name,
               op->domain.empty() ? "ai.onnx" : op->domain, op->since, inputs_text(*op), attributes_text(*op),
               gradient_of(*op), lowering_of(*op));
}

}  // namespace

bool run_ops(const OpsOptions& options) {
  if (options.json) {
    ordered_json all = ordered_json::array();
    for (const OpDef* op : all_ops()) all.push_back(describe(*op));
    fmt::print("{}\n", all.dump(2));
  } else if (options.markdown) {
    print_markdown();
  } else {
    for (const OpDef* op : all_ops())
      fmt::print("{:<34} {}({})\n", op->name, op->display_name(), inputs_text(*op));
  }
  return true;
}

}  // namespace tandem::cli
