#pragma once
// One record of ../shared/cases/gradients/ops.jsonl: an operation of PyTorch 1.13 with its arguments, results
// and gradients in float64.

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tandem/tandem.h"
#include "tandem/tape.h"

namespace tandem::testing {

using Json = nlohmann::ordered_json;  // gradients are told in the order of the arguments
using TensorList = std::vector<Tensor>;

/// Thrown for records that have no counterpart.
struct NotMapped {
  std::string reason;
};

class Record {
 public:
  explicit Record(const Json& json) : json_(json) {
    for (const char* part : {"input", "args", "kwargs"}) read_arguments(json_.at(part));
  }

  std::string op() const { return json_.at("op"); }
  std::string variant() const { return json_.at("variant"); }
  /// Tensors with a gradient, in PyTorch's order.
  const TensorList& sources() const { return sources_; }
  TensorList results() const { return list(json_.at("out")); }
  TensorList cotangents() const { return list(json_.at("cotangent")); }
  /// Undefined where PyTorch has none.
  TensorList gradients() const { return list(json_.at("grads")); }

  Tensor input() const { return tensors_.at(&json_.at("input")); }
  TensorList inputs() const {
    TensorList result;
    for (const Json& j : json_.at("input")) result.push_back(tensors_.at(&j));
    return result;
  }
  bool has(int position, const char* name) const { return find(position, name) != nullptr; }
  bool is_tensor(int position, const char* name) const {
    const Json* j = find(position, name);
    return j && tensors_.count(j);
  }
  Tensor tensor(int position, const char* name) const {
    const Json* j = find(position, name);
    return j ? tensors_.at(j) : Tensor();
  }
  double number(int position, const char* name, double otherwise) const {
    const Json* j = find(position, name);
    if (!j) return otherwise;
    if (*j == "Infinity") return HUGE_VAL;
    return *j == "-Infinity" ? -HUGE_VAL : j->get<double>();
  }
  int64_t integer(int position, const char* name, int64_t otherwise) const {
    const Json* j = find(position, name);
    return j ? j->get<int64_t>() : otherwise;
  }
  bool flag(int position, const char* name, bool otherwise) const {
    const Json* j = find(position, name);
    return j ? j->get<bool>() : otherwise;
  }
  std::string text(int position, const char* name, const char* otherwise) const {
    const Json* j = find(position, name);
    return j && j->is_string() ? j->get<std::string>() : otherwise;
  }
  /// A list of integers; one integer counts as a list.
  std::vector<int64_t> integers(int position, const char* name) const {
    const Json* j = find(position, name);
    if (!j) return {};
    if (j->is_number()) return {j->get<int64_t>()};
    return j->get<std::vector<int64_t>>();
  }
  /// The argument itself; null when absent.
  const Json* find(int position, const char* name) const {
    const Json &arguments = json_.at("args"), &named = json_.at("kwargs");
    const Json* found = nullptr;
    if (position >= 0 && static_cast<size_t>(position) < arguments.size())
      found = &arguments[static_cast<size_t>(position)];
    else if (named.contains(name))
      found = &named.at(name);
    return found && found->is_null() ? nullptr : found;
  }

 private:
  static bool is_tensor(const Json& j) { return j.is_object() && j.contains("t") && j.contains("v"); }

  static Tensor parse(const Json& j) {
    const Shape shape(j.at("shape").get<std::vector<int64_t>>());
    const std::string type = j.at("t");
    DType dtype;
    if (!parse_dtype(type, dtype)) throw NotMapped{"dtype " + type};
    std::vector<double> values;
    for (const Json& v : j.at("v"))
      values.push_back(v.is_boolean() ? (v.get<bool>() ? 1 : 0) : v.get<double>());
    return cast(from_vector(std::move(values), shape), dtype);
  }
  static TensorList list(const Json& array) {
    TensorList result;
    for (const Json& j : array) result.push_back(j.is_null() ? Tensor() : parse(j));
    return result;
  }
  void read_arguments(const Json& j) {
    if (is_tensor(j)) {
      const Tensor t = parse(j);
      tensors_[&j] = t;
      if (j.value("grad", false)) sources_.push_back(t);
    } else if (j.is_structured()) {
      for (const Json& child : j) read_arguments(child);
    }
  }

  const Json& json_;
  std::map<const Json*, Tensor> tensors_;
  TensorList sources_;
};

}  // namespace tandem::testing
