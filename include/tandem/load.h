#pragma once
// Models from ONNX files.

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tandem/function.h"
#include "tandem/tensor.h"

namespace tandem {

/// What a model takes or gives at one place.
struct ModelValue {
  std::string name;
  DType dtype = DType::f32;
  bool has_shape = true;  ///< false: any rank
  Shape shape;            ///< -1: any size
  /// One name a dimension; empty for numbers and for sizes without a name. Equal names are equal sizes.
  std::vector<std::string> dimension_names;

  /// `x: float32(batch, 3)`
  std::string to_string() const;
};

namespace onnx {
struct ImportedModel;
}

/// A model that was saved, by Tandem or by others. Copies share it. Any number of threads may run it at once.
///
///     td::LoadedModel model = td::load("model.onnx");
///     std::vector<td::Tensor> y = model({x});
class LoadedModel {
 public:
  /// What a call must give, in order.
  const std::vector<ModelValue>& inputs() const;
  const std::vector<ModelValue>& outputs() const;
  /// The state of a function that td::save wrote: its Variables, as they were. A call reads and assigns them.
  std::vector<Variable> variables() const;
  /// Inputs with a default value, state among them. A call by names may give them, too: then a variable is
  /// left alone, and its next value is among the results.
  const std::vector<ModelValue>& defaults() const;

  /// Runs it as an optimized graph. Errors: another number of tensors, dtypes, ranks or sizes than inputs()
  /// says; what the operations throw, with the node's name.
  std::vector<Tensor> operator()(const std::vector<Tensor>& inputs, Location where = here()) const;
  /// The same by names.
  std::map<std::string, Tensor> by_name(const std::map<std::string, Tensor>& inputs,
                                        Location where = here()) const;
  /// Runs it operation by operation.
  std::vector<Tensor> run_eagerly(const std::vector<Tensor>& inputs, Location where = here()) const;
  /// The same by names.
  std::map<std::string, Tensor> by_name_eagerly(const std::map<std::string, Tensor>& inputs,
                                                Location where = here()) const;

  /// The model as a Function, with its traces, to call inside others or to explain.
  const Function<std::vector<Tensor>(std::vector<Tensor>)>& function() const;

  const std::string& name() const;
  /// The file's metadata_props.
  const std::map<std::string, std::string>& metadata() const;
  /// For Tandem's own layers.
  const onnx::ImportedModel& imported() const;
  /// For Tandem's own layers.
  static LoadedModel make(onnx::ImportedModel model, const FunctionOptions& options);

 private:
  struct State;
  explicit LoadedModel(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::map<std::string, Tensor> run_named(const std::map<std::string, Tensor>& inputs, bool eagerly,
                                          Location where) const;

  std::shared_ptr<const State> state_;
};

/// Loads an ONNX model of any opset up to 28. Every operator is resolved now, before anything runs; external
/// data are read from files beside the model only, and stay mapped. Errors (io): unreadable or damaged files;
/// (invalid_argument): operators, versions or element types that Tandem has not, and graphs that are none.
LoadedModel load(const std::string& path, const FunctionOptions& options = {});
/// The same from memory, without external data; `name` is for messages.
LoadedModel load_bytes(std::span<const std::byte> bytes, const std::string& name = "model",
                       const FunctionOptions& options = {});

}  // namespace tandem
