#pragma once
// Random programs over the op table. Building blocks are the ops' own samples in every dtype that each op
// takes: attributes and parameters come from the sample, data from earlier values of the program where these
// fit. So an op is part of programs as soon as it is in the table.

#include <map>
#include <memory>
#include <random>
#include <set>
#include <sstream>

#include "ops/variable_impl.h"
#include "tests/op_samples.h"

namespace tandem::testing {

enum class DTypeClass { boolean, integer, floating };
inline constexpr const char* class_names[] = {"bool", "integer", "float"};

inline DTypeClass class_of(DType d) {
  return d == DType::boolean ? DTypeClass::boolean
         : is_floating(d)    ? DTypeClass::floating
                             : DTypeClass::integer;
}

/// What coverage counts: an op in one class of dtypes.
using Cell = std::pair<std::string, DTypeClass>;

/// One way to use an op.
struct Block {
  const OpDef* op;
  Sample sample;
  AttributeBox attributes;
  DTypeClass dtypes;
};

/// The data input whose dtype an op's kernel goes by: the first of the first group, or -1.
inline int leading_input(const OpDef& op) {
  int first = -1;
  for (int i = static_cast<int>(op.inputs.size()) - 1; i >= 0; --i) {
    const InputDef& def = op.inputs[static_cast<size_t>(i)];
    if (def.flags & InputDef::parameter) continue;
    if (first < 0 || def.group == 0 || op.inputs[static_cast<size_t>(first)].group != 0) first = i;
  }
  return first;
}

/// All blocks of the table.
class Palette {
 public:
  Palette() {
    std::ostringstream ignored;  // samples print
    set_print_stream(&ignored);
    for (const OpDef* op : all_ops()) {
      if (op->has(is_input)) continue;  // programs have arguments of their own
      for (Sample& s : samples_of(*op)) add(*op, std::move(s));
    }
    variables_.push_back(random::generator());
    for (const Variable& v : variables_) initial_.push_back(v.value());
    set_print_stream(nullptr);
  }

  const std::vector<Block>& blocks() const { return blocks_; }
  const std::map<Cell, std::vector<int>>& cells() const { return cells_; }
  const std::vector<Variable>& variables() const { return variables_; }
  /// Blocks whose first data input has this spec; element-wise ones whose first input has this dtype.
  const std::vector<int>& taking(const Spec& spec) const {
    const auto found = by_spec_.find({spec.dtype, spec.shape.to_vector()});
    return found == by_spec_.end() ? none_ : found->second;
  }
  const std::vector<int>& elementwise(DType dtype) const {
    const auto found = by_dtype_.find(dtype);
    return found == by_dtype_.end() ? none_ : found->second;
  }
  /// Every variable as it was.
  void reset() const {
    for (size_t i = 0; i < variables_.size(); ++i) variables_[i].impl()->store(initial_[i]);
  }
  /// What the schemas promise: each op in each class that its leading input takes.
  std::set<Cell> promised() const {
    std::set<Cell> all;
    for (const OpDef* op : all_ops()) {
      if (op->has(is_input)) continue;
      if (const int lead = leading_input(*op); lead >= 0) {
        for (int d = 0; d < dtype_count; ++d)
          if (op->inputs[static_cast<size_t>(lead)].types >> d & 1)
            all.insert({std::string(op->name), class_of(static_cast<DType>(d))});
      } else {
        for (const Sample& s : samples_of(*op))
          for (const Tensor& y : run(*op, s)) all.insert({std::string(op->name), class_of(y.dtype())});
      }
    }
    return all;
  }

 private:
  // Effects keep their samples' dtypes, unless it is a variable that decides: then there is one of each
  // class.
  std::vector<Sample> samples_of(const OpDef& op) const {
    std::vector<Sample> all = all_samples(op);
    if (op.has(effect) || op.has(reads_variable)) {
      const std::vector<Sample> own = own_samples(op);
      for (const Sample& s : own)
        for (DType d : {DType::boolean, DType::i32, DType::f32, DType::f64, DType::bf16}) {
          Sample other = s;
          if (op.has(reads_variable) || op.has(writes_variable)) {
            static std::map<DType, Variable> shared;  // between reading and writing ops
            if (!shared.contains(d))
              shared[d] = Variable(cast(Tensor({1.f, -2.f, 0.f}), d), {.name = std::string(name_of(d))});
            const VariableAttributes a(shared[d].impl());
            other.attributes = AttributeBox(*op.attributes, &a);
          }
          for (size_t i = 0; i < s.inputs.size(); ++i)
            if (!is_parameter(op, i) && s.inputs[i].defined() && (input_def(op, i).types & type_bit(d)) &&
                input_def(op, i).group <= 0)
              other.inputs[i] = cast(s.inputs[i], d);
          if (is_accepted(op, other)) all.push_back(std::move(other));
        }
    }
    return all;
  }

  void add(const OpDef& op, Sample sample) {
    Block b{&op, sample, attributes_of(op, sample), DTypeClass::floating};
    const int lead = leading_input(op);
    if (lead >= 0 && static_cast<size_t>(lead) < sample.inputs.size() &&
        sample.inputs[static_cast<size_t>(lead)].defined()) {
      b.dtypes = class_of(sample.inputs[static_cast<size_t>(lead)].dtype());
    } else if (const TensorList outputs = run(op, sample); !outputs.empty()) {
      b.dtypes = class_of(outputs[0].dtype());
    }
    if (op.has(reads_variable) || op.has(writes_variable)) {
      const Variable v = Variable::from_impl(b.attributes.as<VariableAttributes>().variable);
      bool known = false;
      for (const Variable& other : variables_) known = known || other.is(v);
      if (!known) variables_.push_back(v);
    }
    const int index = static_cast<int>(blocks_.size());
    cells_[{std::string(op.name), b.dtypes}].push_back(index);
    for (size_t i = 0; i < sample.inputs.size(); ++i) {
      const Tensor& t = sample.inputs[i];
      if (!t.defined() || is_parameter(op, i) || is_index(op, sample, i)) continue;
      by_spec_[{t.dtype(), t.shape().to_vector()}].push_back(index);
      if (op.is_elementwise()) by_dtype_[t.dtype()].push_back(index);
      break;
    }
    blocks_.push_back(std::move(b));
  }

 public:
  /// Integers beside the data: out of range they are errors.
  static bool is_index(const OpDef& op, const Sample& s, size_t i) {
    return input_def(op, i).group > 0 && s.inputs[i].defined() && is_integer(s.inputs[i].dtype());
  }

 private:
  std::vector<Block> blocks_;
  std::map<Cell, std::vector<int>> cells_;
  std::map<std::pair<DType, std::vector<int64_t>>, std::vector<int>> by_spec_;
  std::map<DType, std::vector<int>> by_dtype_;
  std::vector<Variable> variables_;
  TensorList initial_;
  std::vector<int> none_;
};

/// A program: steps over its arguments and over what earlier steps gave.
struct Program {
  struct Source {
    enum class Kind { absent, argument, constant, value } kind = Kind::absent;
    int index = 0;
    Tensor constant = {};
  };
  /// How a step stands in the program.
  enum class Form {
    plain,
    branch,  ///< inside cond: the other branch takes the sample's own data
    loop,    ///< the body of while_loop, three times, on the first input
    nested,  ///< a td::function of its own
  };
  struct Step {
    const Block* block;
    std::vector<Source> inputs;
    Form form = Form::plain;
    Source decider = {};  ///< branch: its sum decides
    std::shared_ptr<Function<TensorList(TensorList)>> nested = {};
    int outputs = 0;
  };
  TensorList arguments;
  std::vector<Step> steps;
  std::vector<int> results;  ///< values that are returned
  bool fails = false;        ///< its last step is an error

  /// The program's text, one line a step.
  std::string describe() const {
    std::ostringstream text;
    int value = 0;
    for (const Step& s : steps) {
      static const char* const forms[] = {"", "cond ", "while ", "function "};
      text << "  " << forms[static_cast<int>(s.form)] << testing::describe(*s.block->op, s.block->sample)
           << " <-";
      for (const Source& x : s.inputs) {
        if (x.kind == Source::Kind::absent) text << " none";
        if (x.kind == Source::Kind::argument) text << " argument " << x.index;
        if (x.kind == Source::Kind::constant) text << " constant";
        if (x.kind == Source::Kind::value) text << " %" << x.index;
        text << ',';
      }
      for (int i = 0; i < s.outputs; ++i) text << (i == 0 ? " -> %" : ", %") << value++;
      text << '\n';
    }
    return text.str();
  }

  /// All values. `functions`: nested functions are called as such; otherwise their bodies run.
  TensorList run(const TensorList& given, bool functions = true) const {
    TensorList values;
    for (const Step& s : steps)
      for (Tensor& y : run_step(s, given, values, functions)) values.push_back(std::move(y));
    return values;
  }
  TensorList picked(const TensorList& values) const {
    if (fails) return values;
    TensorList list;
    for (int i : results) list.push_back(values[static_cast<size_t>(i)]);
    return list;
  }

  static TensorList run_step(const Step& s, const TensorList& given, const TensorList& values,
                             bool functions) {
    TensorList inputs;
    for (const Source& x : s.inputs) inputs.push_back(value_of(x, given, values));
    const OpDef& op = *s.block->op;
    const AttributeBox& attributes = s.block->attributes;
    switch (s.form) {
      case Form::plain:
        break;
      case Form::branch: {
        const Tensor sum = td_sum(value_of(s.decider, given, values));
        return cond(
            sum > 0, [&] { return run_op(op, attributes, inputs); },
            [&] { return run_op(op, attributes, s.block->sample.inputs); });
      }
      case Form::loop: {
        const auto body = [&](const Tensor& i, const Tensor& x) {
          TensorList next = inputs;
          next[0] = x;
          return std::tuple(i + 1, run_op(op, attributes, next)[0]);
        };
        return {std::get<1>(while_loop([](const Tensor& i, const Tensor&) { return i < 3; }, body,
                                       std::tuple(Tensor(int64_t{0}), inputs[0])))};
      }
      case Form::nested:
        if (functions) return (*s.nested)(inputs);
        break;
    }
    return run_op(op, attributes, inputs);
  }

 private:
  static Tensor td_sum(const Tensor& t) { return sum(cast(t, DType::f64)); }
  static Tensor value_of(const Source& x, const TensorList& given, const TensorList& values) {
    switch (x.kind) {
      case Source::Kind::absent:
        break;
      case Source::Kind::argument:
        return given[static_cast<size_t>(x.index)];
      case Source::Kind::constant:
        return x.constant;
      case Source::Kind::value:
        return values[static_cast<size_t>(x.index)];
    }
    return {};
  }
};

/// Makes random programs, every one of which runs eagerly (but for those that are meant to fail).
class ProgramMaker {
 public:
  ProgramMaker(const Palette& palette, unsigned seed) : palette_(palette), random_(seed) {}

  /// `wanted`: a block that must be part of it, or -1.
  Program make(int wanted, int length) {
    std::ostringstream ignored;
    set_print_stream(&ignored);
    program_ = {};
    values_.clear();
    elements_ = 0;
    palette_.reset();
    if (wanted >= 0) add_step(wanted);
    for (int i = 0; i < length; ++i) add_step(choose_block());
    if (one_in(12)) add_failure();
    for (int i = 0; i < static_cast<int>(values_.size()); ++i)
      if (!one_in(3)) program_.results.push_back(i);
    if (program_.results.empty() && !values_.empty())
      program_.results.push_back(static_cast<int>(values_.size()) - 1);
    palette_.reset();
    set_print_stream(nullptr);
    return std::move(program_);
  }

 private:
  using Source = Program::Source;
  using Form = Program::Form;

  int below(size_t n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }
  bool one_in(int n) { return below(static_cast<size_t>(n)) == 0; }

  int choose_block() {
    if (!values_.empty() && !one_in(4)) {
      // A chain: something that takes a value made lately.
      const size_t back = std::min(values_.size(), size_t{4});
      const Tensor& v = values_[values_.size() - 1 - static_cast<size_t>(below(back))];
      const std::vector<int>& fitting =
          one_in(2) ? palette_.taking(v.spec()) : palette_.elementwise(v.dtype());
      if (!fitting.empty()) return fitting[static_cast<size_t>(below(fitting.size()))];
    }
    auto cell = palette_.cells().begin();
    std::advance(cell, below(palette_.cells().size()));
    return cell->second[static_cast<size_t>(below(cell->second.size()))];
  }

  bool fits(const Block& b, size_t input, const Tensor& value) const {
    const Tensor& own = b.sample.inputs[input];
    if (value.dtype() != own.dtype()) return false;
    return b.op->is_elementwise() ? value.rank() <= 4 : value.shape() == own.shape();
  }

  Source own_input(const Block& b, size_t input) {
    Tensor t = b.sample.inputs[input];
    const bool parameter = is_parameter(*b.op, input);
    if (is_floating(t.dtype()) && !parameter && t.size() > 0 && one_in(3)) t = with_special(t);
    if (parameter ? !one_in(8) : one_in(3)) return {Source::Kind::constant, 0, t};
    program_.arguments.push_back(identity(t));  // not the very tensor that another step captures
    return {Source::Kind::argument, static_cast<int>(program_.arguments.size()) - 1};
  }

  Tensor with_special(const Tensor& t) {
    const double special[] = {0.0, -0.0, INFINITY, -INFINITY, NAN, 1e-42, 3e38, 1, -1};
    std::vector<double> v = cast(t, DType::f64).to_vector<double>();
    for (double& x : v)
      if (one_in(4)) x = special[below(std::size(special))];
    return cast(from_vector(std::move(v), t.shape()), t.dtype());
  }

  /// Inputs from the program's values and arguments where they fit, otherwise the sample's.
  std::vector<Source> choose_inputs(const Block& b) {
    std::vector<Source> inputs;
    for (size_t i = 0; i < b.sample.inputs.size(); ++i) {
      if (!b.sample.inputs[i].defined()) {
        inputs.emplace_back();
        continue;
      }
      std::vector<Source> fitting;
      if (!is_parameter(*b.op, i) && (!Palette::is_index(*b.op, b.sample, i) || one_in(10))) {
        for (size_t k = 0; k < values_.size(); ++k)
          if (fits(b, i, values_[k])) fitting.push_back({Source::Kind::value, static_cast<int>(k)});
        for (size_t k = 0; k < program_.arguments.size(); ++k)
          if (fits(b, i, program_.arguments[k]))
            fitting.push_back({Source::Kind::argument, static_cast<int>(k)});
      }
      if (!fitting.empty() && !one_in(4))
        inputs.push_back(fitting[static_cast<size_t>(below(fitting.size()))]);
      else
        inputs.push_back(own_input(b, i));
    }
    return inputs;
  }

  enum class Verdict { taken, fails, too_large };

  Verdict accept(Program::Step step) {
    constexpr int64_t most_elements = 20000;
    TensorList outputs;
    try {
      outputs = Program::run_step(step, program_.arguments, values_, false);
      if (step.form == Form::branch) {
        // While tracing both branches must agree in dtype and rank.
        const TensorList other = run_op(*step.block->op, step.block->attributes, step.block->sample.inputs);
        Program::Step plain = step;
        plain.form = Form::plain;
        outputs = Program::run_step(plain, program_.arguments, values_, false);
        for (size_t i = 0; i < outputs.size(); ++i)
          if (outputs[i].dtype() != other[i].dtype() || outputs[i].rank() != other[i].rank())
            return Verdict::fails;
        outputs = Program::run_step(step, program_.arguments, values_, false);
      }
    } catch (const Error&) {
      return Verdict::fails;
    }
    int64_t elements = elements_;
    for (const Tensor& y : outputs) elements += y.size();
    if (elements > most_elements) return Verdict::too_large;
    elements_ = elements;
    step.outputs = static_cast<int>(outputs.size());
    for (Tensor& y : outputs) values_.push_back(std::move(y));
    program_.steps.push_back(std::move(step));
    return Verdict::taken;
  }

  void add_step(int index) {
    const Block& b = palette_.blocks()[static_cast<size_t>(index)];
    Program::Step step{&b, choose_inputs(b)};
    if (one_in(10)) {
      step.form = Form::nested;
      step.nested = std::make_shared<Function<TensorList(TensorList)>>(
          [&b](const TensorList& x) { return run_op(*b.op, b.attributes, x); });
    } else if (one_in(10) && !values_.empty()) {
      step.form = Form::branch;
      step.decider = {Source::Kind::value, below(values_.size())};
    } else if (one_in(6) && b.op->is_elementwise() && b.op->output_count == 1 && !step.inputs.empty() &&
               step.inputs[0].kind != Source::Kind::absent) {
      step.form = Form::loop;
    }
    // Absent inputs cannot be told to a function by a list.
    for (const Source& x : step.inputs)
      if (x.kind == Source::Kind::absent && step.form == Form::nested) step.form = Form::plain;
    if (accept(step) == Verdict::taken) return;
    step.form = Form::plain;
    if (accept(step) == Verdict::taken) return;
    step.inputs.clear();
    for (size_t i = 0; i < b.sample.inputs.size(); ++i)
      step.inputs.push_back(b.sample.inputs[i].defined() ? own_input(b, i) : Source());
    accept(step);
  }

  /// A last step whose shapes or values do not go together.
  void add_failure() {
    for (int attempt = 0; attempt < 10; ++attempt) {
      const Block& b = palette_.blocks()[static_cast<size_t>(choose_block())];
      Program::Step step{&b, choose_inputs(b)};
      if (accept(step) != Verdict::fails) continue;
      program_.steps.push_back(std::move(step));
      program_.fails = true;
      return;
    }
  }

  const Palette& palette_;
  std::mt19937 random_;
  Program program_;
  TensorList values_;
  int64_t elements_ = 0;
};

}  // namespace tandem::testing
