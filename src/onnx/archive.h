#pragma once
// Models of several graphs in one ONNX file: what a model predicts as the file's graph, and the programs that
// train it, which share its state, as training information.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "tandem/load.h"
#include "tandem/save.h"

namespace tandem::onnx {

/// A graph to write. Sizes that are one symbol are one size in all graphs.
struct ArchivedGraph {
  std::string name;
  Graph graph;
  std::vector<std::string> inputs, outputs;
};

/// A variable of the graphs, or one that only wants to be kept.
struct ArchivedVariable {
  std::string name;  ///< its initializer's in the file
  std::string role;  ///< what the reader makes of it: one word
  Variable variable;
};

struct Archive {
  ArchivedGraph main;  ///< only reads variables, which other programs see as constants
  std::vector<ArchivedGraph> programs;
  /// Others that the graphs use join them under names of their own, in the role "state".
  std::vector<ArchivedVariable> variables;
  std::map<std::string, std::string> metadata;
  std::map<int64_t, std::string> size_names;  ///< of symbols
};

/// Writes the file. Errors: the main graph assigns a variable; two variables of one name; those of td::save.
void write_archive(const Archive& archive, const SaveOptions& options, const std::string& path);

/// A graph that was read, bound to its variables.
class Program {
 public:
  struct State;
  Program() = default;
  explicit Program(std::shared_ptr<const State> state) : state_(std::move(state)) {}

  bool defined() const { return state_ != nullptr; }
  /// What a run is given, without variables.
  const std::vector<ModelValue>& inputs() const;
  const std::vector<ModelValue>& outputs() const;
  /// Runs it through the current mode: reads the variables, and then assigns their next values.
  std::vector<Tensor> run(const std::vector<Tensor>& inputs) const;

 private:
  std::shared_ptr<const State> state_;
};

struct LoadedArchive {
  Program main;
  std::map<std::string, Program> programs;  ///< by name
  std::vector<ArchivedVariable> variables;
  std::map<std::string, std::string> metadata;
};

/// Makes a variable for a value of the file.
using VariableMaker =
    std::function<Variable(const std::string& name, const std::string& role, const Tensor& value)>;

/// Reads a file of write_archive. `make` is asked only after the whole file has been found good. Errors (io):
/// not such a file, or a damaged one; (invalid_argument): what cannot run here, by node.
LoadedArchive read_archive(const std::string& path, const VariableMaker& make);

}  // namespace tandem::onnx
