#include "nn/model_inputs.h"

#include <algorithm>
#include <iostream>

#include "core/check.h"
#include "nn/loss.h"
#include "tandem/ops/shape.h"

namespace tandem::nn::detail {

namespace {

std::string called(const Value& input, const std::string& path) {
  if (!input.node()->name.empty()) return fmt::format("input \"{}\"", input.node()->name);
  if (path.empty()) return "the input";
  return std::all_of(path.begin(), path.end(), [](char c) { return c >= '0' && c <= '9'; })
             ? "input " + path
             : fmt::format("input \"{}\"", path);
}

std::string place(const std::string& path, const std::string& name) {
  return path.empty() ? name : path + '/' + name;
}

/// Every leaf with its path.
void list_leaves(const Values& declared, const std::string& path,
                 std::vector<std::pair<std::string, Value>>& leaves) {
  if (declared.is_leaf()) return leaves.emplace_back(path, declared.leaf()), void();
  for (size_t i = 0; i < declared.size(); ++i)
    list_leaves(declared[i], place(path, declared.is_map() ? declared.keys()[i] : std::to_string(i)), leaves);
}

std::string plural(size_t count) { return fmt::format("{} input{}", count, count == 1 ? "" : "s"); }

class Matcher {
 public:
  explicit Matcher(std::atomic<bool>& warned) : warned_(warned) {}

  void match(const Values& declared, const Nest& given, const std::string& path,
             std::vector<Tensor>& tensors) {
    if (declared.is_leaf()) return match_leaf(declared.leaf(), given, path, tensors);
    if (declared.is_map() && given.is_map()) {
      refuse_extra(given, declared.keys());
      for (size_t i = 0; i < declared.size(); ++i) {
        const std::string& key = declared.keys()[i];
        const Nest* found = given.find(key);
        if (found)
          match(declared[i], *found, place(path, key), tensors);
        else
          absent(declared[i], place(path, key), given, tensors);
      }
      return;
    }
    if (given.is_map()) return match_names(declared, given, path, tensors);
    if (declared.is_list() && given.is_list() && declared.size() == given.size()) {
      for (size_t i = 0; i < declared.size(); ++i)
        match(declared[i], given[i], place(path, std::to_string(i)), tensors);
      return;
    }
    // Another structure of the right number of tensors.
    std::vector<std::pair<std::string, Value>> leaves;
    list_leaves(declared, path, leaves);
    const std::vector<Tensor> list = given.flatten();
    TD_CHECK(leaves.size() == list.size(), "the model takes {} and got {}", plural(leaves.size()),
             list.size());
    if (leaves.size() > 1)
      warn(fmt::format("a model whose inputs have the form {} is given {}; they are taken in order",
                       declared.form(), given.form()));
    for (size_t i = 0; i < leaves.size(); ++i)
      match_leaf(leaves[i].second, list[i], leaves[i].first, tensors);
  }

 private:
  void match_leaf(const Value& input, const Nest& given, const std::string& path,
                  std::vector<Tensor>& tensors) {
    if (given.is_leaf()) {
      if (!given.leaf().defined()) return absent(input, path, given, tensors);
      return tensors.push_back(fit_input(input, path, given.leaf())), void();
    }
    if (given.is_map()) return match_names(input, given, path, tensors);
    TD_CHECK(given.size() == 1 && given[0].is_leaf(), "{} is one tensor and was given {}",
             called(input, path), given.form());
    match_leaf(input, given[0], path, tensors);
  }

  /// A map for a list or a leaf: by the names of the inputs.
  void match_names(const Values& declared, const Nest& given, const std::string& path,
                   std::vector<Tensor>& tensors) {
    std::vector<std::pair<std::string, Value>> leaves;
    list_leaves(declared, path, leaves);
    std::vector<std::string> names;
    for (const auto& [leaf_path, input] : leaves) names.push_back(input.name());
    refuse_extra(given, names);
    for (const auto& [leaf_path, input] : leaves) {
      const Nest* found = given.find(input.name());
      if (found)
        match_leaf(input, *found, leaf_path, tensors);
      else
        absent(input, leaf_path, given, tensors);
    }
  }

  void absent(const Values& declared, const std::string& path, const Nest& given,
              std::vector<Tensor>& tensors) {
    std::vector<std::pair<std::string, Value>> leaves;
    list_leaves(declared, path, leaves);
    for (const auto& [leaf_path, input] : leaves) {
      TD_CHECK(input.node()->optional, "{} is missing; given {}", called(input, leaf_path),
               given.is_map() ? given.form() : "an empty tensor handle");
      tensors.emplace_back();
    }
  }

  void refuse_extra(const Nest& given, const std::vector<std::string>& known) {
    for (const std::string& key : given.keys())
      if (std::find(known.begin(), known.end(), key) == known.end())
        warn(fmt::format("a model has no input \"{}\"; what is given for it is not used", key));
  }

  void warn(const std::string& text) {
    if (!warned_.exchange(true)) std::cerr << "tandem: " << text << '\n';
  }

  std::atomic<bool>& warned_;
};

}  // namespace

Tensor fit_input(const Value& input, const std::string& path, const Tensor& x) {
  const Spec& spec = spec_of(input);
  const Location where = input.node()->where;  // what is repaired here is the input's
  Tensor y = x;
  if (!fits(spec.shape, x.shape().codes())) {
    Shape shape = x.shape().codes();
    if (shape.rank() == spec.shape.rank() + 1 && shape.back() == 1) {
      shape.erase(shape.rank() - 1);
      if (fits(spec.shape, shape)) y = squeeze(Operand(x, where), {-1});
    } else if (shape.rank() + 1 == spec.shape.rank() && spec.shape.back() == 1) {
      shape.push_back(1);
      if (fits(spec.shape, shape)) y = unsqueeze(Operand(x, where), {-1});
    }
    Shape example = spec.shape;
    if (example.rank() > 0) example.erase(0);
    TD_CHECK(
        fits(spec.shape, y.shape().codes()), "{} has shape {} and the model takes {}{}", called(input, path),
        x.shape(), plain_shape(spec.shape),
        fits(example, x.shape().codes()) ? "; the batch is missing, which data sets get from .batch(n)" : "");
  }
  return y.dtype() == spec.dtype ? y : cast(Operand(y, where), spec.dtype);
}

std::vector<Tensor> match_inputs(const Values& declared, const Nest& given, std::atomic<bool>& warned) {
  std::vector<Tensor> tensors;
  Matcher(warned).match(declared, given, "", tensors);
  return tensors;
}

}  // namespace tandem::nn::detail
