#pragma once
// The layer that a model's file holds: graphs in place of code.

#include <atomic>
#include <string>
#include <vector>

#include "core/check.h"
#include "nn/saving/form.h"
#include "nn/saving/parts.h"
#include "onnx/archive.h"
#include "tandem/nn/layer.h"

namespace tandem::nn::detail {

/// What one file holds.
struct Restored {
  std::string path;
  onnx::LoadedArchive archive;

  const std::string* text(const std::string& key) const {
    const auto found = archive.metadata.find(key);
    return found == archive.metadata.end() ? nullptr : &found->second;
  }
  const std::string& needed(const std::string& key) const {
    const std::string* found = text(key);
    TD_CHECK(found, ErrorCode::io, "{}: the metadata lack \"{}\"", path, key);
    return *found;
  }
  Form form(const std::string& key, size_t leaves) const {
    Form form = parse_form(needed(key));
    TD_CHECK(form.flatten().size() == leaves, ErrorCode::io, "{}: \"{}\" says {} where there are {} tensors",
             path, key, form.form(), leaves);
    return form;
  }
  onnx::Program program(const std::string& name) const {
    const auto found = archive.programs.find(name);
    return found == archive.programs.end() ? onnx::Program() : found->second;
  }
  Variable variable(const std::string& name) const {
    for (const onnx::ArchivedVariable& v : archive.variables)
      if (v.name == name) return v.variable;
    fail(ErrorCode::io, "{}: there is no variable \"{}\"", path, name);
  }
};

class RestoredBody final : public LayerBody {
 public:
  explicit RestoredBody(const Restored& from);

  Tensor call(ModuleState& state, const Tensor& x) override { return call_nest(state, x).leaf(); }
  std::vector<Tensor> call_many(ModuleState& state, const std::vector<Tensor>& inputs) override {
    return call_nest(state, inputs).flatten();
  }
  Nest call_nest(ModuleState& state, const Nest& given) override;
  bool is_composite() const override { return true; }
  std::vector<std::string> output_names() const override { return output_names_; }
  const Values& inputs() const { return inputs_; }

 private:
  onnx::Program main_, forward_;
  Values inputs_;
  Form outputs_;
  std::vector<std::string> output_names_;
  std::atomic<bool> warned_ = false;
};

}  // namespace tandem::nn::detail
