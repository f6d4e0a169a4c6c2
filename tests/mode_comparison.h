#pragma once
// One program in every mode: eagerly, traced without passes, optimized, with unknown sizes, with the tape
// outside and inside, with functions nested in it. Values, gradients, variables and what was printed must
// agree to the bit.

#include <iostream>

#include "tandem/tape.h"
#include "tests/random_programs.h"
#include "tests/same_bits.h"

namespace tandem::testing {

/// All that a program does.
struct Outcome {
  TensorList values, gradients, variables;
  std::string printed, error;
};

class ModeComparison {
 public:
  explicit ModeComparison(const Palette& palette) : palette_(palette) {
    for (const Pass& pass : default_pipeline()) all_passes_.emplace_back(pass.name);
  }

  /// Compares all modes; false when the program has no counterpart there (ranks that hang on unknown values).
  bool compare(const Program& program) {
    program_ = &program;
    const auto plain = [&](const TensorList& x) { return program.picked(program.run(x, false)); };
    const auto whole = [&](const TensorList& x) { return program.picked(program.run(x)); };
    const Outcome values = observe(plain, false), gradients = observe(plain, true);
    if (!expect(values, observe(whole, false), "nested functions") ||
        !expect(gradients, observe(whole, true), "nested functions under a tape"))
      return false;
    const std::pair<const char*, FunctionOptions> kinds[] = {
        {"traced", {.disabled_passes = all_passes_}},
        {"optimized", {}},
    };
    for (const auto& [name, options] : kinds) {
      const Function<TensorList(TensorList)> f(whole, options);
      if (!expect(values, observe(f, false), name)) return false;
      expect(values, observe(f, false), std::string(name) + ", called again");
      expect(gradients, observe(f, true), std::string(name) + " under a tape");
    }
    const Outcome both = observe([&](const TensorList& x) { return with_gradients(plain, x); }, false);
    const auto inside = [&](const TensorList& x) { return with_gradients(whole, x); };
    expect(both, observe(Function<TensorList(TensorList)>(inside), false), "a tape inside");
    compare_unknown_sizes(values, gradients, whole);
    return true;
  }

 private:
  template <class F>
  void compare_unknown_sizes(const Outcome& values, const Outcome& gradients, const F& whole) {
    for (const Program::Step& s : program_->steps)
      if (!s.block->sample.unknown_sizes) return;
    if (program_->arguments.empty() || program_->fails) return;
    FunctionOptions options;
    for (const Tensor& t : program_->arguments) {
      Shape shape = t.shape();
      for (int64_t& d : shape)
        if (d > 1) d = -1;
      options.input_signature.push_back(spec(shape, t.dtype()));
    }
    const Function<TensorList(TensorList)> f(whole, options);
    if (expect(values, observe(f, false), "unknown sizes"))
      expect(gradients, observe(f, true), "unknown sizes under a tape");
  }

  /// The last floating value that is returned is differentiated with respect to every floating argument and
  /// variable.
  template <class F>
  TensorList with_gradients(const F& f, const TensorList& arguments) {
    GradientTape tape;
    std::vector<GradientSource> sources;
    for (const Tensor& t : arguments)
      if (is_floating(t.dtype())) sources.emplace_back(t);
    for (const Variable& v : palette_.variables())
      if (is_floating(v.dtype())) sources.emplace_back(v);
    for (const GradientSource& s : sources) tape.watch(s);
    TensorList values = f(arguments);
    const auto target = std::find_if(values.rbegin(), values.rend(),
                                     [](const Tensor& t) { return t.defined() && is_floating(t.dtype()); });
    if (target == values.rend()) return values;
    const Tensor last = *target;
    for (Tensor& d : tape.gradients({&last, 1}, sources)) values.push_back(std::move(d));
    return values;
  }

  template <class F>
  Outcome observe(const F& f, bool differentiate) {
    Outcome o;
    std::ostringstream printed;
    palette_.reset();
    set_print_stream(&printed);
    try {
      if (differentiate)
        o.gradients = with_gradients(f, program_->arguments);
      else
        o.values = f(program_->arguments);
    } catch (const Error& e) {
      // The chain of functions that rise through differs.
      o.error = e.op() + ": " + e.message();
    }
    set_print_stream(nullptr);
    o.printed = printed.str();
    for (const Variable& v : palette_.variables()) o.variables.push_back(v.impl()->load());
    palette_.reset();
    return o;
  }

  bool has_unknown_shapes() const {
    return std::any_of(program_->steps.begin(), program_->steps.end(), [](const Program::Step& s) {
      bool unknown = s.block->op->has(dynamic_shape) || s.form == Program::Form::branch;
      for (size_t i = 0; i < s.inputs.size(); ++i)
        unknown =
            unknown || (is_parameter(*s.block->op, i) && s.inputs[i].kind == Program::Source::Kind::argument);
      return unknown;
    });
  }

  /// False when this mode could not run the program and may say so.
  bool expect(const Outcome& wanted, const Outcome& got, const std::string& mode) {
    // Where a rank would hang on a value, tracing says so.
    if (got.error.find("while tracing") != std::string::npos) return false;
    // In a graph the branch not taken sends zeros back, and what they reach may have no gradient at that
    // point.
    const auto has_branch = [&] {
      return std::any_of(program_->steps.begin(), program_->steps.end(),
                         [](const Program::Step& step) { return step.form == Program::Form::branch; });
    };
    const bool differentiates = !wanted.gradients.empty() || mode == "a tape inside";
    if (differentiates && wanted.error.empty() && !got.error.empty() && has_branch()) return false;
    // Where shapes are unknown while tracing, other values of the same message are seen first.
    if (!got.error.empty() && !wanted.error.empty() &&
        (has_unknown_shapes() || got.error.find('?') != std::string::npos))
      return true;
    EXPECT_EQ(got.error, wanted.error) << mode << ", the program\n" << program_->describe();
    if (!got.error.empty() || !wanted.error.empty()) return true;
    EXPECT_EQ(got.printed, wanted.printed) << mode << ", the program\n" << program_->describe();
    expect_same(wanted.values, got.values, mode + ", value ");
    expect_same(wanted.gradients, got.gradients, mode + ", value or gradient ");
    expect_same(wanted.variables, got.variables, mode + ", variable ");
    return true;
  }

  void expect_same(const TensorList& wanted, const TensorList& got, const std::string& what) {
    ASSERT_EQ(got.size(), wanted.size()) << what << ", the program\n" << program_->describe();
    for (size_t i = 0; i < wanted.size(); ++i) {
      // A graph may give zeros where eager code has no gradient to give.
      if (!wanted[i].defined()) continue;
      EXPECT_TRUE(same_bits_or_nans(wanted[i], got[i]))
          << what << i << " is " << got[i] << "\nand eagerly " << wanted[i] << ", the program\n"
          << program_->describe();
    }
  }

  const Palette& palette_;
  const Program* program_ = nullptr;
  std::vector<std::string> all_passes_;
};

/// How often each op was part of a program that was compared, in each class of dtypes.
class Coverage {
 public:
  void add(const Program& program) {
    for (const Program::Step& s : program.steps) ++counts_[{std::string(s.block->op->name), s.block->dtypes}];
  }
  int count(const Cell& cell) const {
    const auto found = counts_.find(cell);
    return found == counts_.end() ? 0 : found->second;
  }
  void print(const std::set<Cell>& promised) const {
    std::map<std::string, std::array<std::string, 3>> rows;
    int covered = 0;
    for (const Cell& cell : promised) {
      rows[cell.first][static_cast<size_t>(cell.second)] = std::to_string(count(cell));
      covered += count(cell) > 0 ? 1 : 0;
    }
    std::printf("%-36s %8s %8s %8s\n", "programs with", class_names[0], class_names[1], class_names[2]);
    for (const auto& [op, counts] : rows)
      std::printf("%-36s %8s %8s %8s\n", op.c_str(), counts[0].c_str(), counts[1].c_str(), counts[2].c_str());
    std::printf("%d of %zu pairs of an op and a class of dtypes covered\n", covered, promised.size());
  }

 private:
  std::map<Cell, int> counts_;
};

/// Programs in every mode. Cells that no program has had come first.
inline void compare_programs(unsigned seed, int programs) {
  const Palette palette;
  ProgramMaker maker(palette, seed);
  ModeComparison modes(palette);
  Coverage coverage;
  const std::set<Cell> promised = palette.promised();
  std::mt19937 random(seed);
  int compared = 0;
  auto next = promised.begin();
  for (int i = 0; i < programs && !::testing::Test::HasFailure(); ++i) {
    int wanted = -1;
    for (size_t tried = 0; tried < promised.size() && wanted < 0; ++tried) {
      if (next == promised.end()) next = promised.begin();
      if (const auto blocks = palette.cells().find(*next);
          coverage.count(*next) == 0 && blocks != palette.cells().end())
        wanted = blocks->second[random() % blocks->second.size()];
      ++next;
    }
    const Program program = maker.make(wanted, 9);
    if (!modes.compare(program)) continue;
    if (program.fails) continue;
    coverage.add(program);
    ++compared;
  }
  if (::testing::Test::HasFailure()) return;
  coverage.print(promised);
  std::printf("%d of %d programs compared\n", compared, programs);
  EXPECT_GT(compared, programs * 2 / 3);
  for (const Cell& cell : promised)
    EXPECT_GT(coverage.count(cell), 0)
        << cell.first << " was part of no program in " << class_names[static_cast<int>(cell.second)];
}

}  // namespace tandem::testing
