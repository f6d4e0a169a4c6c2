#include "onnx/archive.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "core/check.h"
#include "core/mapped_file.h"
#include "onnx/dtypes.h"
#include "onnx/emitter.h"
#include "onnx/importer.h"
#include "onnx/tensor_proto.h"

namespace tandem::onnx {

namespace {

// "tandem.variable.dense/kernel" = "trainable"
constexpr std::string_view variable_prefix = "tandem.variable.";
// A file of this form, and the form's number.
constexpr const char *format_key = "tandem.archive", *format = "1";

void add_entry(google::protobuf::RepeatedPtrField<StringStringEntryProto>& list, const std::string& key,
               const std::string& value) {
  StringStringEntryProto& entry = *list.Add();
  entry.set_key(key);
  entry.set_value(value);
}

}  // namespace

// ---- writing

void write_archive(const Archive& archive, const SaveOptions& options, const std::string& path) {
  ModelProto model;
  Emitter emitter(model, options);
  emitter.begin_model();
  for (const auto& [symbol, name] : archive.size_names) emitter.name_size(symbol, name);
  std::vector<std::string> order;  // of the variables, which readers keep
  std::map<std::string, std::pair<const detail::VariableImpl*, std::string>> variables;  // and their roles
  auto add_variable = [&](const std::string& name, const detail::VariableImpl* variable,
                          const std::string& role) {
    const bool is_new = variables.emplace(name, std::pair(variable, role)).second;
    if (is_new) order.push_back(name);
    return is_new;
  };
  for (const ArchivedVariable& v : archive.variables) {
    TD_CHECK(add_variable(v.name, v.variable.impl().get(), v.role), "two variables are called \"{}\"",
             v.name);
    emitter.name_variable(v.variable.impl(), v.name);
  }
  std::set<std::string> of_main;
  for (const Emitter::State& s :
       emitter.emit_graph(archive.main.graph, archive.main.name, archive.main.inputs, archive.main.outputs,
                          *model.mutable_graph())) {
    TD_CHECK(s.after.empty(), "inference assigns the variable {}", s.variable->name);
    add_variable(s.before, s.variable.get(), "state");
    of_main.insert(s.before);
  }
  for (const ArchivedGraph& g : archive.programs) {
    TrainingInfoProto& info = *model.add_training_info();
    for (const Emitter::State& s :
         emitter.emit_graph(g.graph, g.name, g.inputs, g.outputs, *info.mutable_algorithm())) {
      add_variable(s.before, s.variable.get(), "state");
      if (!s.after.empty()) add_entry(*info.mutable_update_binding(), s.before, s.after);
    }
  }
  // All graphs see all initializers; what inference does not use need not burden those who only infer.
  GraphProto& beside = model.training_info_size() > 0 ? *model.mutable_training_info(0)->mutable_algorithm()
                                                      : *model.mutable_graph();
  for (const std::string& name : order) {
    const auto& [variable, role] = variables.at(name);
    write_tensor(variable->load(), name,
                 *(of_main.contains(name) ? *model.mutable_graph() : beside).add_initializer());
    add_entry(*model.mutable_metadata_props(), std::string(variable_prefix) + name, role);
  }
  emitter.end_model();
  add_entry(*model.mutable_metadata_props(), format_key, format);
  for (const auto& [key, value] : archive.metadata) add_entry(*model.mutable_metadata_props(), key, value);
  write_model(model, path);
}

// ---- reading

struct Program::State {
  ImportedModel model;
  std::vector<ModelValue> inputs, outputs;            // without variables
  std::vector<Variable> read;                         // what the body gets after the inputs
  std::vector<std::pair<size_t, Variable>> assigned;  // by the place of the next value among the results
};

const std::vector<ModelValue>& Program::inputs() const { return state_->inputs; }
const std::vector<ModelValue>& Program::outputs() const { return state_->outputs; }

std::vector<Tensor> Program::run(const std::vector<Tensor>& inputs) const {
  TD_CHECK(inputs.size() == state_->inputs.size(), "{} tensors were given; {} are needed", inputs.size(),
           state_->inputs.size());
  std::vector<Tensor> all = inputs;
  for (const Variable& v : state_->read) all.push_back(v.value());
  std::vector<Tensor> results = run_body(state_->model.body, all), shown;
  std::vector<bool> kept(results.size(), false);
  for (const auto& [place, variable] : state_->assigned) {
    variable.assign(results[place]);
    kept[place] = true;
  }
  for (size_t i = 0; i < results.size(); ++i)
    if (!kept[i]) shown.push_back(std::move(results[i]));
  return shown;
}

namespace {

using Bindings = google::protobuf::RepeatedPtrField<StringStringEntryProto>;

/// Reads one graph after another out of a file.
class ArchiveReader {
 public:
  explicit ArchiveReader(const std::string& path)
      : path_(path),
        folder_(std::filesystem::path(path).parent_path().string()),
        proto_(parse_model(MappedFile::open(path)->bytes(), path)) {}

  LoadedArchive read(const VariableMaker& make) {
    for (const StringStringEntryProto& p : proto_.metadata_props()) result_.metadata[p.key()] = p.value();
    const auto found = result_.metadata.find(format_key);
    TD_CHECK(found != result_.metadata.end(), ErrorCode::io,
             "{}: this is no model with its training; td::load runs any ONNX file", path_);
    TD_CHECK(found->second == format, ErrorCode::io, "{}: it is of form {}; form {} is known here", path_,
             found->second, format);
    read_variables();
    std::vector<Draft> drafts;
    drafts.push_back(draft(*proto_.mutable_graph(), {}));
    for (TrainingInfoProto& info : *proto_.mutable_training_info())
      drafts.push_back(draft(*info.mutable_algorithm(), info.update_binding()));
    // Now nothing fails any more.
    for (const std::string& name : order_) {
      const Value& value = values_.at(name);
      result_.variables.push_back({name, value.role, make(name, value.role, value.tensor)});
    }
    result_.main = finish(drafts[0]);
    for (size_t i = 1; i < drafts.size(); ++i)
      result_.programs[drafts[i].state->model.name] = finish(drafts[i]);
    return std::move(result_);
  }

 private:
  struct Value {
    std::string role;
    Tensor tensor;
  };
  /// A program whose variables are not there yet.
  struct Draft {
    std::shared_ptr<Program::State> state;
    std::vector<std::string> read;
    std::vector<std::pair<size_t, std::string>> assigned;
  };

  void read_variables() {
    std::map<std::string, std::string> roles;
    for (const StringStringEntryProto& p : proto_.metadata_props()) {
      if (!p.key().starts_with(variable_prefix)) continue;
      const std::string name = p.key().substr(variable_prefix.size());
      if (roles.emplace(name, p.value()).second) order_.push_back(name);
    }
    ExternalData beside(folder_);
    take_variables(*proto_.mutable_graph(), roles, beside);
    for (TrainingInfoProto& info : *proto_.mutable_training_info())
      take_variables(*info.mutable_algorithm(), roles, beside);
    for (const auto& [name, role] : roles)
      TD_CHECK(values_.contains(name), ErrorCode::io, "{}: the variable \"{}\" has no value", path_, name);
  }

  void take_variables(GraphProto& graph, const std::map<std::string, std::string>& roles,
                      ExternalData& beside) {
    auto& initializers = *graph.mutable_initializer();
    int kept = 0;
    for (int i = 0; i < initializers.size(); ++i) {
      TensorProto& t = *initializers.Mutable(i);
      const auto role = roles.find(t.name());
      if (role == roles.end()) {
        initializers.SwapElements(i, kept++);
        continue;
      }
      const std::string name = t.name();
      TD_CHECK(values_.emplace(name, Value{role->second, read_tensor(t, &beside)}).second, ErrorCode::io,
               "{}: the value \"{}\" is defined twice", path_, name);
    }
    initializers.DeleteSubrange(kept, initializers.size() - kept);
  }

  /// Values that nodes use and bodies return, wherever they come from.
  static void add_uses(const GraphProto& graph, std::set<std::string>& used) {
    for (const ValueInfoProto& v : graph.output()) used.insert(v.name());
    for (const NodeProto& n : graph.node()) {
      used.insert(n.input().begin(), n.input().end());
      for (const AttributeProto& a : n.attribute()) {
        if (a.has_g()) add_uses(a.g(), used);
        for (const GraphProto& g : a.graphs()) add_uses(g, used);
      }
    }
  }

  Draft draft(GraphProto& graph, const Bindings& bindings) {
    Draft d;
    d.state = std::make_shared<Program::State>();
    Program::State& s = *d.state;
    for (const ValueInfoProto& v : graph.input()) s.inputs.push_back(read_value_info(v));
    std::set<std::string> used;
    add_uses(graph, used);
    for (const auto& [name, value] : values_) {
      if (!used.contains(name)) continue;
      d.read.push_back(name);
      ValueInfoProto& info = *graph.add_input();
      info.set_name(name);
      auto& type = *info.mutable_type()->mutable_tensor_type();
      type.set_elem_type(code_of(value.tensor.dtype()));
      for (int64_t size : value.tensor.shape().codes()) type.mutable_shape()->add_dim()->set_dim_value(size);
    }
    std::map<std::string, std::string> variable_of;  // by output
    for (const StringStringEntryProto& b : bindings) {
      TD_CHECK(values_.contains(b.key()), ErrorCode::io, "{}: \"{}\" is updated, but is no variable", path_,
               b.key());
      TD_CHECK(variable_of.emplace(b.value(), b.key()).second, ErrorCode::io,
               "{}: the output \"{}\" is the next value of two variables", path_, b.value());
    }
    for (int i = 0; i < graph.output_size(); ++i) {
      const auto next = variable_of.find(graph.output(i).name());
      if (next == variable_of.end()) {
        s.outputs.push_back(read_value_info(graph.output(i)));
        continue;
      }
      d.assigned.emplace_back(static_cast<size_t>(i), next->second);
      variable_of.erase(next);
    }
    TD_CHECK(variable_of.empty(), ErrorCode::io,
             "{}: the variable \"{}\" gets its next value from \"{}\", which is no output", path_,
             variable_of.empty() ? "" : variable_of.begin()->second,
             variable_of.empty() ? "" : variable_of.begin()->first);
    ModelProto model;
    model.set_ir_version(proto_.ir_version());
    *model.mutable_opset_import() = proto_.opset_import();
    *model.mutable_functions() = proto_.functions();
    model.mutable_graph()->Swap(&graph);
    s.model = import_model(model, path_, &folder_);
    return d;
  }

  Program finish(const Draft& d) {
    auto variable = [&](const std::string& name) {
      return std::find_if(result_.variables.begin(), result_.variables.end(),
                          [&](const ArchivedVariable& v) { return v.name == name; })
          ->variable;
    };
    for (const std::string& name : d.read) d.state->read.push_back(variable(name));
    for (const auto& [place, name] : d.assigned) d.state->assigned.emplace_back(place, variable(name));
    return Program(d.state);
  }

  std::string path_, folder_;
  ModelProto proto_;
  std::map<std::string, Value> values_;
  std::vector<std::string> order_;  // of the variables
  LoadedArchive result_;
};

}  // namespace

LoadedArchive read_archive(const std::string& path, const VariableMaker& make) {
  return ArchiveReader(path).read(make);
}

}  // namespace tandem::onnx
