// The op-test driver: what every row of the op table must satisfy, checked on the samples that it brings.

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <regex>
#include <set>

#include "ops/dispatch.h"
#include "tandem/tandem.h"
#include "tandem/tape.h"
#include "tests/op_samples.h"
#include "tests/same_bits.h"

namespace td = tandem;

namespace {

using td::DType;
using td::OpDef;
using td::Sample;
using td::Tensor;
using TensorList = std::vector<Tensor>;

using td::testing::all_samples;
using td::testing::describe;
using td::testing::in_dtype;
using td::testing::input_def;
using td::testing::is_accepted;
using td::testing::is_parameter;
using td::testing::own_samples;
using td::testing::run;
using td::testing::same_bits;

/// The same elements, laid out by other strides in a buffer `room` times as large.
Tensor laid_out(const Tensor& t, td::Strides strides, int64_t first, int64_t room) {
  const Tensor dense = t.contiguous();
  const size_t size = td::size_of(t.dtype());
  Tensor buffer = td::detail::empty_tensor(t.dtype(), {std::max<int64_t>(1, t.size() * room)});
  auto* to = static_cast<std::byte*>(buffer.impl()->data);
  std::memset(to, 0xcd, static_cast<size_t>(buffer.size()) * size);
  to += static_cast<size_t>(first) * size;
  td::Dims at = td::Dims::filled(t.rank(), 0);
  for (int64_t i = 0; i < t.size(); ++i) {
    int64_t offset = 0;
    for (int d = 0; d < t.rank(); ++d) offset += at[d] * strides[d];
    std::memcpy(to + offset * static_cast<int64_t>(size),
                static_cast<const std::byte*>(dense.impl()->data) + static_cast<size_t>(i) * size, size);
    for (int d = t.rank() - 1; d >= 0 && ++at[d] == t.shape()[d]; --d) at[d] = 0;
  }
  return Tensor::adopt(td::detail::make_view(buffer.impl(), to, t.dtype(), t.shape(), strides));
}

Tensor transposed_copy(const Tensor& t) {
  td::Strides strides = td::Dims::filled(t.rank(), 1);
  for (int d = 1; d < t.rank(); ++d) strides[d] = strides[d - 1] * std::max<int64_t>(1, t.shape()[d - 1]);
  return laid_out(t, strides, 0, 1);
}
Tensor spaced_copy(const Tensor& t) {
  td::Strides strides = td::contiguous_strides(t.shape());
  for (int64_t& s : strides) s *= 2;
  return laid_out(t, strides, 0, 2);
}
Tensor backward_copy(const Tensor& t) {
  td::Strides strides = td::contiguous_strides(t.shape());
  for (int64_t& s : strides) s = -s;
  return laid_out(t, strides, std::max<int64_t>(0, t.size() - 1), 1);
}

std::vector<double> doubles(const Tensor& t) { return td::cast(t, DType::f64).to_vector<double>(); }

/// Compares numbers, with NaN and infinities equal to themselves.
void expect_close(const Tensor& actual, const Tensor& expected, double relative, double absolute,
                  const std::string& what) {
  ASSERT_EQ(actual.shape(), expected.shape()) << what;
  const std::vector<double> a = doubles(actual), b = doubles(expected);
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]))) continue;
    ASSERT_LE(std::abs(a[i] - b[i]), absolute + relative * std::abs(b[i]))
        << what << ": element " << i << " is " << a[i] << ", expected " << b[i];
  }
}

double tolerance(DType dtype) {
  switch (dtype) {
    case DType::f64:
      return 1e-9;
    case DType::f32:
      return 2e-5;
    case DType::f16:
      return 1e-2;
    default:
      return dtype == DType::bf16 ? 8e-2 : 0;
  }
}

std::vector<std::string> op_names() {
  std::vector<std::string> names;
  for (const OpDef* op : td::all_ops()) names.emplace_back(op->name);
  return names;
}

class OpTable : public ::testing::TestWithParam<std::string> {
 protected:
  const OpDef& op() const { return *td::find_op(GetParam()); }
  /// A graph's argument has no value of its own.
  bool runs() const { return !op().has(td::is_input); }
};
INSTANTIATE_TEST_SUITE_P(Ops, OpTable, ::testing::ValuesIn(op_names()),
                         [](const auto& info) { return info.param; });

// ---- Values

TEST_P(OpTable, HasSamples) {
  if (runs()) {
    EXPECT_FALSE(op().samples().empty());
  }
}

TEST_P(OpTable, TakesEveryDtypeThatItDeclares) {
  if (!runs() || op().inputs.empty() || op().inputs[0].group != 0 || op().has(td::effect)) return;
  td::TypeSet seen = 0;
  for (const Sample& s : all_samples(op())) seen |= td::type_bit(s.inputs[0].dtype());
  for (int d = 0; d < td::dtype_count; ++d)
    if (op().inputs[0].types >> d & 1) {
      EXPECT_TRUE(seen >> d & 1) << op().name << " ran on no sample of "
                                 << td::name_of(static_cast<DType>(d));
    }
}

TEST_P(OpTable, OutputsAreAsInferred) {
  if (!runs()) return;
  for (const Sample& s : all_samples(op())) {
    SCOPED_TRACE(describe(op(), s));
    const TensorList outputs = run(op(), s);
    if (op().has(td::dynamic_shape)) continue;
    std::vector<td::Operand> operands(s.inputs.begin(), s.inputs.end());
    std::vector<const td::Operand*> list;
    for (const td::Operand& o : operands) list.push_back(&o);
    td::SmallVector<td::Argument, 8> arguments;
    td::resolve(op(), list, arguments);
    td::InferContext context(op(), arguments, nullptr);
    td::infer(context, td::testing::attributes_of(op(), s).get());
    ASSERT_EQ(context.outputs().size(), outputs.size());
    if (op().output_count >= 0) {
      EXPECT_EQ(outputs.size(), static_cast<size_t>(op().output_count));
    }
    for (size_t i = 0; i < outputs.size(); ++i) EXPECT_EQ(outputs[i].spec(), context.outputs()[i]);
  }
}

TEST_P(OpTable, StridesChangeNoBit) {
  if (!runs() || op().has(td::effect)) return;
  for (const Sample& s : all_samples(op())) {
    SCOPED_TRACE(describe(op(), s));
    const TensorList expected = run(op(), s);
    const auto compare = [&](const TensorList& outputs, const TensorList& wanted, const char* layout) {
      ASSERT_EQ(outputs.size(), wanted.size());
      for (size_t i = 0; i < outputs.size(); ++i)
        EXPECT_TRUE(same_bits(outputs[i], wanted[i]))
            << layout << " inputs change output " << i << " from " << wanted[i] << " to " << outputs[i];
    };
    const auto with = [&](Tensor (*change)(const Tensor&)) {
      TensorList inputs = s.inputs;
      for (Tensor& t : inputs)
        if (t.defined()) t = change(t);
      return inputs;
    };
    compare(run(op(), s, with(transposed_copy)), expected, "transposed");
    compare(run(op(), s, with(spaced_copy)), expected, "spaced");
    compare(run(op(), s, with(backward_copy)), expected, "backward");
    // Repeated along the first dimension, by stride 0 and in memory.
    TensorList repeated = s.inputs, copied = s.inputs;
    for (size_t i = 0; i < repeated.size(); ++i) {
      const Tensor& t = s.inputs[i];
      if (!t.defined() || t.rank() == 0 || t.size() == 0 || is_parameter(op(), i)) continue;
      td::Strides strides = td::contiguous_strides(t.shape());
      strides[0] = 0;
      const Tensor dense = t.contiguous();
      repeated[i] = Tensor::adopt(
          td::detail::make_view(dense.impl(), dense.impl()->data, t.dtype(), t.shape(), strides));
      copied[i] = repeated[i].contiguous();
    }
    // Equal rows make matrices singular, which some ops refuse.
    Sample equal_rows = s;
    equal_rows.inputs = copied;
    if (is_accepted(op(), equal_rows)) compare(run(op(), s, repeated), run(op(), s, copied), "repeated");
  }
}

TEST_P(OpTable, AttributesSurviveTheirGeneralForm) {
  for (const Sample& s : op().samples()) {
    const td::AttributeBox attributes = td::testing::attributes_of(op(), s);
    const td::AttributeType& type = *op().attributes;
    std::unique_ptr<std::byte[]> memory(new std::byte[type.size]);
    type.construct(memory.get());
    bool all_known = true;
    type.each(attributes.get(), [&](std::string_view name, const td::AttributeValue& value) {
      all_known = type.set(memory.get(), name, value) && all_known;
    });
    EXPECT_TRUE(all_known) << describe(op(), s);
    EXPECT_FALSE(type.set(memory.get(), "no such attribute", int64_t{1}));
    if (!type.opaque) {
      EXPECT_TRUE(type.equal(memory.get(), attributes.get())) << describe(op(), s);
    }
    EXPECT_EQ(type.hash(memory.get()), type.hash(attributes.get())) << describe(op(), s);
    type.destroy(memory.get());
  }
}

TEST_P(OpTable, DecompositionAgrees) {
  if (!op().decomposition || !(op().program || op().kernel || op().view || op().run_tensors)) return;
  if (op().has(td::writes_variable)) return;  // its body takes and gives the variable's value besides
  for (const Sample& s : all_samples(op())) {
    const TensorList direct = run(op(), s);
    const td::Tensors composed = op().decomposition(s.inputs, td::testing::attributes_of(op(), s).get());
    ASSERT_EQ(direct.size(), static_cast<size_t>(composed.size()));
    for (size_t i = 0; i < direct.size(); ++i) {
      EXPECT_EQ(direct[i].dtype(), composed[static_cast<int>(i)].dtype()) << describe(op(), s);
      const double t = tolerance(direct[i].dtype());
      expect_close(composed[static_cast<int>(i)], direct[i], t, t, describe(op(), s));
    }
  }
}

// ---- Gradients

/// A fixed direction for a tensor: no two entries alike, none near zero.
Tensor direction(const td::Shape& shape, int seed) {
  std::mt19937 random(static_cast<unsigned>(seed));
  std::vector<double> v(static_cast<size_t>(shape.element_count()));
  for (double& x : v) x = 0.25 + static_cast<double>(random() % 1024) / 1024.0;
  return td::from_vector(std::move(v), shape);
}

/// An op's floating outputs as one number, and that number's gradients, for samples in float64.
class Probe {
 public:
  Probe(const OpDef& op, const Sample& sample) : op_(op), sample_(sample) {
    for (size_t i = 0; i < sample.inputs.size(); ++i)
      if (sample.inputs[i].defined() && sample.inputs[i].dtype() == DType::f64 && !is_parameter(op, i) &&
          !(input_def(op, i).flags & td::InputDef::no_gradient))
        sources_.push_back(i);
  }
  const std::vector<size_t>& sources() const { return sources_; }

  Tensor value(const TensorList& inputs) const {
    Tensor total = Tensor(0.0, DType::f64);
    int seed = 1;
    for (const Tensor& y : run(op_, sample_, inputs))
      if (y.dtype() == DType::f64) total = total + td::sum(y * direction(y.shape(), seed++));
    return total;
  }
  TensorList gradients(const TensorList& inputs) const {
    td::GradientTape tape;
    std::vector<Tensor> sources;
    for (size_t i : sources_) {
      tape.watch(inputs[i]);
      sources.push_back(inputs[i]);
    }
    return tape.gradient(value(inputs), sources, {.unconnected = td::Unconnected::zero});
  }
  /// The gradients as one number.
  Tensor slope(const TensorList& inputs) const {
    Tensor total = Tensor(0.0, DType::f64);
    int seed = 100;
    for (const Tensor& d : gradients(inputs)) total = total + td::sum(d * direction(d.shape(), seed++));
    return total;
  }

  /// Central differences of f, entry by entry.
  template <class F>
  TensorList differences(F&& f) const {
    constexpr double h = 1e-6;
    TensorList result;
    for (size_t i : sources_) {
      const std::vector<double> x = sample_.inputs[i].to_vector<double>();
      std::vector<double> d(x.size());
      for (size_t k = 0; k < x.size(); ++k) {
        double side[2];
        for (int s = 0; s < 2; ++s) {
          std::vector<double> moved = x;
          moved[k] += s == 0 ? h : -h;
          TensorList inputs = sample_.inputs;
          inputs[i] = td::from_vector(std::move(moved), sample_.inputs[i].shape());
          side[s] = f(inputs).template item<double>();
        }
        d[k] = (side[0] - side[1]) / (2 * h);
      }
      result.push_back(td::from_vector(std::move(d), sample_.inputs[i].shape()));
    }
    return result;
  }

 private:
  const OpDef& op_;
  const Sample& sample_;
  std::vector<size_t> sources_;
};

/// By a rule of its own, or through its parts.
bool differentiates(const OpDef& op) { return op.gradient || op.has(td::composite); }

std::vector<Sample> gradient_samples(const OpDef& op) {
  std::vector<Sample> all;
  if (!differentiates(op)) return all;
  for (const Sample& sample : op.samples()) {
    Sample s;
    if (!sample.gradient || !in_dtype(op, sample, DType::f64, s) || !is_accepted(op, s)) continue;
    for (Tensor& t : s.inputs)
      if (t.defined() && td::is_floating(t.dtype())) t = td::cast(t, DType::f64);
    all.push_back(std::move(s));
  }
  return all;
}

TEST_P(OpTable, GradientsMatchDifferences) {
  for (const Sample& s : gradient_samples(op())) {
    const Probe probe(op(), s);
    if (probe.sources().empty()) continue;
    const TensorList exact = probe.gradients(s.inputs);
    const TensorList estimated = probe.differences([&](const TensorList& x) { return probe.value(x); });
    for (size_t i = 0; i < exact.size(); ++i)
      expect_close(exact[i], estimated[i], 2e-6, 2e-7,
                   describe(op(), s) + ", input " + std::to_string(probe.sources()[i]));
  }
}

TEST_P(OpTable, SecondGradientsMatchDifferences) {
  for (const Sample& s : gradient_samples(op())) {
    const Probe probe(op(), s);
    if (probe.sources().empty() || !s.second_gradient) continue;
    td::GradientTape tape;
    std::vector<Tensor> sources;
    for (size_t i : probe.sources()) {
      tape.watch(s.inputs[i]);
      sources.push_back(s.inputs[i]);
    }
    const TensorList exact =
        tape.gradient(probe.slope(s.inputs), sources, {.unconnected = td::Unconnected::zero});
    const TensorList estimated = probe.differences([&](const TensorList& x) { return probe.slope(x); });
    for (size_t i = 0; i < exact.size(); ++i)
      expect_close(exact[i], estimated[i], 2e-6, 2e-7,
                   describe(op(), s) + ", input " + std::to_string(probe.sources()[i]));
  }
}

// A gradient in a narrow dtype has the input's dtype and shape.
TEST_P(OpTable, GradientsKeepTheDtype) {
  if (!differentiates(op()) || !runs()) return;
  for (const Sample& s : all_samples(op())) {
    if (!s.gradient) continue;
    td::GradientTape tape;
    std::vector<Tensor> sources;
    for (size_t i = 0; i < s.inputs.size(); ++i)
      if (s.inputs[i].defined() && td::is_floating(s.inputs[i].dtype()) && !is_parameter(op(), i) &&
          !(input_def(op(), i).flags & td::InputDef::no_gradient)) {
        tape.watch(s.inputs[i]);
        sources.push_back(s.inputs[i]);
      }
    const TensorList outputs = run(op(), s);
    if (sources.empty() || outputs.empty() || !td::is_floating(outputs[0].dtype())) continue;
    const TensorList found = tape.gradient(outputs[0], sources);
    for (size_t i = 0; i < found.size(); ++i) {
      if (!found[i].defined()) continue;
      EXPECT_EQ(found[i].dtype(), sources[i].dtype()) << describe(op(), s);
      EXPECT_EQ(found[i].shape(), sources[i].shape()) << describe(op(), s);
    }
  }
}

// ---- Graphs

/// Inputs that a traced function takes as arguments; parameters are captured, as they mostly are in user
/// code.
std::vector<size_t> traced_inputs(const OpDef& op, const Sample& sample) {
  std::vector<size_t> traced;
  for (size_t i = 0; i < sample.inputs.size(); ++i)
    if (sample.inputs[i].defined() && !is_parameter(op, i)) traced.push_back(i);
  return traced;
}

using ListFunction = td::Function<TensorList(TensorList)>;

/// `f` of a whole sample's inputs as a Function of the traced ones.
template <class F>
ListFunction traced(const OpDef& op, const Sample& sample, F f, td::FunctionOptions options = {}) {
  return ListFunction(
      [&op, &sample, f](const TensorList& arguments) {
        TensorList inputs = sample.inputs;
        size_t next = 0;
        for (size_t i : traced_inputs(op, sample)) inputs[i] = arguments[next++];
        return f(inputs);
      },
      std::move(options));
}

TensorList picked(const OpDef& op, const Sample& sample) {
  TensorList arguments;
  for (size_t i : traced_inputs(op, sample)) arguments.push_back(sample.inputs[i]);
  return arguments;
}

/// The outputs, and the gradient of the first with respect to every floating input.
TensorList run_with_gradients(const OpDef& op, const Sample& sample, const TensorList& inputs) {
  td::GradientTape tape;
  std::vector<Tensor> sources;
  for (size_t i = 0; i < inputs.size(); ++i)
    if (inputs[i].defined() && td::is_floating(inputs[i].dtype()) && !is_parameter(op, i) &&
        !(input_def(op, i).flags & td::InputDef::no_gradient)) {
      tape.watch(inputs[i]);
      sources.push_back(inputs[i]);
    }
  TensorList outputs = run(op, sample, inputs);
  if (differentiates(op) && sample.gradient && !sources.empty() && !outputs.empty() &&
      td::is_floating(outputs[0].dtype()))
    for (Tensor& d : tape.gradient(outputs[0], sources, {.unconnected = td::Unconnected::zero}))
      outputs.push_back(std::move(d));
  return outputs;
}

void expect_same_bits(const TensorList& actual, const TensorList& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i)
    EXPECT_TRUE(same_bits(actual[i], expected[i]))
        << "result " << i << " is " << actual[i] << ", eagerly " << expected[i];
}

TEST_P(OpTable, GraphsGiveTheSameBits) {
  if (!runs() || op().has(td::effect)) return;
  for (const Sample& s : all_samples(op())) {
    SCOPED_TRACE(describe(op(), s));
    const auto body = [&](const TensorList& inputs) { return run_with_gradients(op(), s, inputs); };
    const TensorList eager = body(s.inputs);
    const ListFunction graph = traced(op(), s, body);
    for (int call = 0; call < 2; ++call) expect_same_bits(graph(picked(op(), s)), eager);
    TensorList moved = picked(op(), s);
    for (Tensor& t : moved) t = transposed_copy(t);
    expect_same_bits(graph(moved), eager);
  }
}

// The same with every size unknown while tracing. Sizes 0 and 1 are always known.
TEST_P(OpTable, UnknownSizesChangeNoBit) {
  if (!runs() || op().has(td::effect)) return;
  for (const Sample& s : own_samples(op())) {
    if (!s.unknown_sizes) continue;
    SCOPED_TRACE(describe(op(), s));
    td::FunctionOptions options;
    const TensorList arguments = picked(op(), s);
    for (const Tensor& t : arguments) {
      td::Shape shape = t.shape();
      for (int64_t& d : shape)
        if (d > 1) d = -1;
      options.input_signature.push_back(td::spec(shape, t.dtype()));
    }
    if (arguments.empty()) continue;
    const auto body = [&](const TensorList& inputs) { return run_with_gradients(op(), s, inputs); };
    const TensorList eager = body(s.inputs);
    TensorList graph;
    try {
      graph = traced(op(), s, body, options)(arguments);
    } catch (const td::Error& e) {
      // Ops whose very rank depends on an unknown size say so; nothing else may fail.
      EXPECT_NE(std::string(e.what()).find("while tracing"), std::string::npos) << e.what();
      continue;
    }
    expect_same_bits(graph, eager);
  }
}

// ---- The table against the headers

TEST(OpTableHeaders, EveryOnnxOpHasAFunction) {
  std::set<std::string> documented;
  for (const auto& entry : std::filesystem::directory_iterator(TANDEM_SOURCE_FOLDER "/include/tandem/ops")) {
    std::ifstream file(entry.path());
    std::string text(std::istreambuf_iterator<char>(file), {});
    text = std::regex_replace(text, std::regex("\n///"), "");
    // A docstring names the op behind its function: "..., ONNX ReduceSum."
    const std::regex name(R"(ONNX ([A-Z]\w*))");
    for (std::sregex_iterator it(text.begin(), text.end(), name), end; it != end; ++it)
      documented.insert((*it)[1]);
  }
  EXPECT_FALSE(documented.empty());
  for (const OpDef* op : td::all_ops())
    if (op->domain.empty() && !op->has(td::is_constant)) {
      EXPECT_TRUE(documented.count(std::string(op->name)))
          << "no docstring in include/tandem/ops says \"ONNX " << op->name << '"';
    }
  for (const std::string& name : documented)
    EXPECT_NE(td::find_op(name), nullptr) << "a docstring speaks of ONNX " << name << ", which is no op";
}

}  // namespace
