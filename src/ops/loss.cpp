// Losses of classification.

#include "tandem/ops/loss.h"

#include "kernel/math.h"
#include "ops/dispatch.h"
#include "ops/elements.h"
#include "ops/families.h"
#include "tandem/ops/activation.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/indexing.h"
#include "tandem/ops/logic.h"
#include "tandem/ops/math.h"
#include "tandem/ops/reduce.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

using kernel::Builder;
using kernel::Value;

/// No label has this value.
constexpr int64_t nothing_ignored = INT64_MIN;

/// Labels as int64, each seen to be a class.
struct ClassLabels : NotDifferentiable {
  static constexpr std::string_view name = "ClassLabels", domain = "ai.tandem";
  struct Attributes {
    int64_t ignore_index = nothing_ignored;
    static constexpr auto fields() { return std::tuple{field("ignore_index", &Attributes::ignore_index)}; }
  };
  static constexpr std::array<InputDef, 2> inputs{
      {{"labels", types::integer}, {"classes", types::i64, 1, InputDef::parameter}}};
  static void infer(InferContext& c) { c.output(DType::i64, c.shape(0)); }
  static void kernel(const KernelContext& k, const Attributes& a) {
    const int64_t classes = *k.in<int64_t>(1), count = k.outputs[0].shape.element_count();
    int64_t* out = k.out<int64_t>(0);
    with_element(k.inputs[0].dtype, [&]<class T>(T) {
      if constexpr (std::is_integral_v<T>)
        for (int64_t i = 0; i < count; ++i) {
          out[i] = static_cast<int64_t>(k.in<T>(0)[i]);
          TD_CHECK((out[i] >= 0 && out[i] < classes) || out[i] == a.ignore_index,
                   "label {} at position {} is out of range for {} classes; expected 0 to {}", out[i], i,
                   classes, classes - 1);
        }
    });
  }
  static Tensors decomposition(std::span<const Tensor> in, const Attributes&) {
    return {in[0].dtype() == DType::i64 ? identity(in[0]) : cast(in[0], DType::i64)};
  }
  static std::vector<Sample> samples() {
    const Attributes ignoring{.ignore_index = -1};
    return {{{Tensor({0, 2, 1}), Tensor(3, DType::i64)}, {}},
            {{Tensor({{4}, {-1}}, DType::i64), Tensor(5, DType::i64)},
             AttributeBox(attribute_type<Attributes>, &ignoring)}};
  }
};

/// What a row needs: its logits, its label in a dimension of size 1, and 0, 1, ... to find the label's place.
struct SparseCrossEntropy {
  static constexpr std::array<InputDef, 4> all_inputs{{{"logits", types::floating},
                                                       {"labels", types::i64, 1},
                                                       {"classes", types::i64, 1},
                                                       {"weights", types::floating}}};
  static void check(const InferContext& c) {
    const Shape& logits = c.shape(0);
    const Shape& labels = c.shape(1);
    TD_CHECK(logits.rank() > 0, "the logits have shape (); an axis of classes is needed");
    bool fits = labels.rank() == logits.rank();
    for (int i = 0; fits && i + 1 < logits.rank(); ++i)
      fits = labels[i] == logits[i] || labels[i] < 0 || logits[i] < 0;
    Shape seen = labels, wanted = logits;
    seen.resize(std::max(0, labels.rank() - 1));
    wanted.resize(logits.rank() - 1);
    TD_CHECK(fits, "labels of shape {} do not fit logits of shape {}; expected {}", seen, logits, wanted);
  }
  static Dims row_axes(const InferContext& c, const NoAttributes&) { return {c.rank(0) - 1}; }
  static std::vector<Tensor> sample_inputs() {
    return {Tensor({{{1.f, 2.f, -1.f}, {0.5f, 0.25f, 3.f}}}), Tensor({{{2}, {0}}}, DType::i64),
            Tensor({0, 1, 2}, DType::i64)};
  }
};

Tensor sparse_gradient(const Tensor& logits, const Tensor& labels, const Tensor& classes, const Tensor& dy);

struct SparseSoftmaxCrossEntropy : SparseCrossEntropy {
  static constexpr std::string_view name = "SparseSoftmaxCrossEntropy", domain = "ai.tandem";
  static constexpr std::span<const InputDef> inputs{all_inputs.data(), 3};
  static void infer(InferContext& c) {
    check(c);
    Shape shape = c.shape(0);
    shape.resize(shape.rank() - 1);
    c.output(c.dtype(0), shape);
  }
  static void rows(Builder& k, const NoAttributes&, std::span<const Spec> outputs) {
    const Value x = k.input(0), shifted = x - kernel::reduce_maximum(x);
    const Value chosen = select(equal(k.input(1), k.input(2)), shifted, constant_like(x, 0));
    k.output(log(kernel::reduce_sum(exp(shifted))) - kernel::reduce_sum(chosen), outputs[0].dtype);
  }
  static Tensors decomposition(std::span<const Tensor> in, const NoAttributes&) {
    const Tensor chosen = where(equal(in[1], in[2]), in[0], 0);
    return {reduce_log_sum_exp(in[0], {-1}) - reduce_sum(chosen, {-1})};
  }
  static Tensors gradient(const Gradient& g) {
    return {sparse_gradient(g.x(0), g.x(1), g.x(2), unsqueeze(g.dy(), {-1})), {}, {}};
  }
  static std::vector<Sample> samples() { return {{sample_inputs(), {}}}; }
};

/// (softmax(logits) - 1 at the label) * dy in one pass.
struct SparseSoftmaxCrossEntropyGradient : SparseCrossEntropy {
  static constexpr std::string_view name = "SparseSoftmaxCrossEntropyGradient", domain = "ai.tandem";
  static constexpr auto& inputs = all_inputs;
  static void infer(InferContext& c) {
    check(c);
    c.output(c.dtype(0), c.shape(0));
  }
  static void rows(Builder& k, const NoAttributes&, std::span<const Spec> outputs) {
    const Value x = k.input(0), e = exp(x - kernel::reduce_maximum(x));
    const Value here = equal(k.input(1), k.input(2));
    const Value hit = select(here, constant_like(x, 1), constant_like(x, 0));
    k.output((e / kernel::reduce_sum(e) - hit) * k.input(3), outputs[0].dtype);
  }
  static Tensors decomposition(std::span<const Tensor> in, const NoAttributes&) {
    const Tensor hit = cast(equal(in[1], in[2]), in[0].dtype());
    return {(softmax(in[0]) - hit) * in[3]};
  }
  static Tensors gradient(const Gradient& g) {
    const Tensor p = softmax(g.x(0)), h = g.dy();
    Tensors result{{}, {}, {}, {}};
    if (g.needs(0)) {
      const Tensor u = h * g.x(3);
      result[0] = (u - reduce_sum(u * p, {-1}, true)) * p;
    }
    if (g.needs(3)) {
      const Tensor hit = cast(equal(g.x(1), g.x(2)), h.dtype());
      result[3] = reduce_sum(h * (p - hit), {-1}, true);
    }
    return result;
  }
  static std::vector<Sample> samples() {
    std::vector<Tensor> in = sample_inputs();
    in.push_back(Tensor({{{0.5f}, {2.f}}}));
    return {{in, {}}};
  }
};

Tensor sparse_gradient(const Tensor& logits, const Tensor& labels, const Tensor& classes, const Tensor& dy) {
  return dispatch<SparseSoftmaxCrossEntropyGradient>({}, Operand(logits), Operand(labels), Operand(classes),
                                                     Operand(dy));
}

struct LossAttributes {
  int64_t ignore_index = nothing_ignored;
  Word reduction = "mean";
  static constexpr auto fields() {
    return std::tuple{field("ignore_index", &LossAttributes::ignore_index),
                      field("reduction", &LossAttributes::reduction)};
  }
};

/// Schema and inference of ONNX's two losses, which are differentiated by their parts.
struct ClassLoss : Composite {
  using Attributes = LossAttributes;
  static constexpr std::array<InputDef, 3> inputs{{{"scores", types::floating},
                                                   {"labels", types::index, 1},
                                                   {"weights", types::floating, 0, InputDef::optional}}};
  static void infer(InferContext& c, const Attributes& a) {
    const Shape& scores = c.shape(0);
    TD_CHECK(a.reduction == "none" || a.reduction == "sum" || a.reduction == "mean",
             "reduction \"{}\" is unknown; allowed are \"none\", \"sum\" and \"mean\"",
             std::string_view(a.reduction));
    TD_CHECK(scores.rank() >= 2, "the scores have shape {}; the second axis must be that of the classes",
             scores);
    Shape wanted = scores;
    wanted.erase(1);
    const Shape& labels = c.shape(1);
    bool fits = labels.rank() == wanted.rank();
    for (int i = 0; fits && i < wanted.rank(); ++i)
      fits = labels[i] == wanted[i] || labels[i] < 0 || wanted[i] < 0;
    TD_CHECK(fits, "labels of shape {} do not fit scores of shape {}; expected {}", labels, scores, wanted);
    if (c.has(2)) {
      const Shape& weights = c.shape(2);
      TD_CHECK(weights.rank() == 1 && (weights[0] == scores[1] || weights[0] < 0 || scores[1] < 0),
               "weights of shape {} do not fit scores of shape {}; one a class is needed", weights, scores);
    }
    c.output(c.dtype(0), a.reduction == "none" ? wanted : Shape());
  }
  static std::vector<Sample> samples() {
    const Tensor scores({{1.f, 2.f, -1.f}, {0.5f, 0.25f, 3.f}, {0.f, 1.f, 2.f}}),
        labels({2, 0, 1}, DType::i64);
    const Tensor cube({{{1.f, 2.f}, {-1.f, 0.5f}, {0.f, 2.f}}}), grid({{1, 2}}, DType::i32);
    const Tensor weights({0.5f, 2.f, 1.f});
    const auto box = [](const Attributes& a) { return AttributeBox(attribute_type<Attributes>, &a); };
    return {{{scores, labels}, {}},
            {{scores, labels, weights}, {}},
            {{cube, grid, weights}, box({.reduction = "none"})},
            {{cube, grid}, box({.reduction = "sum"})},
            {{scores, labels}, box({.ignore_index = 0})},
            {{scores, Tensor({-5, 2, 2}, DType::i64), weights}, box({.ignore_index = -5})},
            {{scores, Tensor({-5, 2, 2}, DType::i64)}, box({.ignore_index = -5, .reduction = "none"})}};
  }
};

struct NegativeLogLikelihoodLoss : ClassLoss {
  static constexpr std::string_view name = "NegativeLogLikelihoodLoss";
  static constexpr int since = 22;
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    const Tensor& scores = in[0];
    const bool weighted = in.size() > 2 && in[2].defined(), ignoring = a.ignore_index != nothing_ignored;
    Tensor labels =
        dispatch<ClassLabels>({a.ignore_index}, Operand(in[1]), Operand(Dim(scores.shape().codes()[1])));
    Tensor counts;  // whether a label counts
    if (ignoring) {
      counts = labels != a.ignore_index;
      labels = where(counts, labels, 0);
    }
    Tensor loss = -squeeze(gather_elements(scores, unsqueeze(labels, {1}), 1), {1});
    Tensor weight;
    if (weighted) {
      weight = gather(in[2], labels);
      if (ignoring) weight = where(counts, weight, 0);
      loss = loss * weight;
    } else if (ignoring) {
      weight = cast(counts, scores.dtype());
      loss = where(counts, loss, 0);
    }
    if (a.reduction == "none") return {loss};
    if (a.reduction == "sum") return {sum(loss)};
    return {weight.defined() ? sum(loss) / sum(weight) : mean(loss)};
  }
};

struct SoftmaxCrossEntropyLoss : ClassLoss {
  static constexpr std::string_view name = "SoftmaxCrossEntropyLoss";
  static constexpr int since = 13, outputs = 2;
  static void infer(InferContext& c, const Attributes& a) {
    ClassLoss::infer(c, a);
    c.output(c.dtype(0), c.shape(0));
  }
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    const Tensor log_probabilities = log_softmax(in[0], 1);
    const Operand weights = in.size() > 2 ? Operand(in[2]) : Operand();
    return {dispatch<NegativeLogLikelihoodLoss>(a, Operand(log_probabilities), Operand(in[1]), weights),
            log_probabilities};
  }
};

constexpr const OpDef* loss_table[] = {&op_def<ClassLabels>, &op_def<SparseSoftmaxCrossEntropy>,
                                       &op_def<SparseSoftmaxCrossEntropyGradient>,
                                       &op_def<NegativeLogLikelihoodLoss>, &op_def<SoftmaxCrossEntropyLoss>};

LossAttributes attributes_of(const ClassLossOptions& o) {
  return {o.ignore_index.value_or(nothing_ignored), o.reduction};
}

}  // namespace

std::span<const OpDef* const> loss_ops() { return loss_table; }

Tensor class_labels(const Operand& labels, const Operand& classes, std::optional<int64_t> ignored) {
  return dispatch<ClassLabels>({ignored.value_or(nothing_ignored)}, labels, classes);
}
Tensor sparse_softmax_cross_entropy(const Operand& logits, const Operand& labels) {
  const CallSite site(logits);
  const Tensor x = to_tensor(logits);
  const Operand classes(Dim(x.rank() > 0 ? x.shape().codes().back() : 0));
  const Tensor checked = dispatch<ClassLabels>({}, labels, classes);
  return dispatch<SparseSoftmaxCrossEntropy>({}, Operand(x), Operand(unsqueeze(checked, {-1})),
                                             Operand(arange(classes, DType::i64)));
}
Tensor softmax_cross_entropy_loss(const Operand& scores, const Operand& labels, const Operand& weights,
                                  const ClassLossOptions& options) {
  return softmax_cross_entropy_loss_log_probabilities(scores, labels, weights, options)[0];
}
std::array<Tensor, 2> softmax_cross_entropy_loss_log_probabilities(const Operand& scores,
                                                                   const Operand& labels,
                                                                   const Operand& weights,
                                                                   const ClassLossOptions& options) {
  Tensors y = dispatch_all<SoftmaxCrossEntropyLoss>(attributes_of(options), scores, labels, weights);
  return {y[0], y[1]};
}
Tensor negative_log_likelihood_loss(const Operand& log_probabilities, const Operand& labels,
                                    const Operand& weights, const ClassLossOptions& options) {
  return dispatch<NegativeLogLikelihoodLoss>(attributes_of(options), log_probabilities, labels, weights);
}

}  // namespace tandem
