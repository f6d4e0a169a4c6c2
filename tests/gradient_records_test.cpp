// Values and gradients against PyTorch 1.13, from ../shared/cases/gradients/ops.jsonl: every record whose
// operation is one of ours or is soon said with ours.

#include "tests/gradient_records_spatial.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <numbers>
#include <set>

namespace td = tandem;
using td::Operand;
using td::Tensor;
using td::testing::Json;
using td::testing::NotMapped;
using td::testing::Record;
using td::testing::TensorList;

namespace {

using Rule = std::function<TensorList(const Record&)>;
using Rules = std::map<std::string, Rule>;

// ---- Arguments in PyTorch's manner

/// The axes at a position; none where all are meant, as for scalars.
Operand axes(const Record& r, int position, const char* name = "dim") {
  const std::vector<int64_t> list = r.integers(position, name);
  return list.empty() || r.input().rank() == 0 ? Operand() : Operand(list);
}
int64_t axis(const Record& r, int position, const char* name, int64_t otherwise) {
  return r.integer(position, name, otherwise);
}
/// A scalar counts as a vector of one element.
Tensor at_least_vector(const Tensor& x) { return x.rank() == 0 ? td::reshape(x, {1}) : x; }
Tensor like(const Tensor& y, const Tensor& x) { return td::reshape(y, x.shape()); }
/// One value a channel, ready to broadcast over dimension 1.
Tensor channels(const Tensor& v, const Tensor& x) {
  td::Shape shape = td::Dims::filled(x.rank(), 1);
  if (x.rank() > 0 && v.size() != 1) shape[std::min(1, x.rank() - 1)] = v.size();
  return td::reshape(v, shape);
}
Tensor reduced(const Record& r, const Tensor& loss, const char* otherwise = "mean") {
  const std::string reduction = r.text(-1, "reduction", otherwise);
  if (reduction == "none") return loss;
  if (reduction == "batchmean") return td::sum(loss) / loss.shape()[0];
  return reduction == "sum" ? td::sum(loss) : td::mean(loss);
}

// ---- Compositions

Tensor p_norm(const Tensor& x, double p, const Operand& dims, bool keepdims) {
  const Tensor size = td::abs(x);
  if (p == 2) return td::reduce_l2(x, dims, keepdims);
  if (p == 1) return td::reduce_l1(x, dims, keepdims);
  if (p == HUGE_VAL) return td::amax(size, dims, keepdims);
  if (p == -HUGE_VAL) return td::amin(size, dims, keepdims);
  if (p == 0) return td::sum(td::cast(x != 0, x.dtype()), dims, keepdims);
  // Zeros apart: their powers have no derivative, the norm's subgradient there is zero.
  const Tensor terms = td::where(size == 0, p > 0 ? 0 : HUGE_VAL, td::pow(td::where(size == 0, 1, size), p));
  const Tensor total = td::sum(terms, dims, keepdims);
  return td::where(total == 0, 0, td::pow(td::where(total == 0, 1, total), 1 / p));
}

Tensor atan2(const Tensor& y, const Tensor& x) {
  const Tensor turn = td::where(y >= 0, Tensor(std::numbers::pi, td::float64), -std::numbers::pi);
  return td::atan(y / x) + td::where(x < 0, turn, 0);
}

/// Entries of the diagonal of the last two dimensions, `offset` above the main one.
Tensor diagonal(const Tensor& x, int64_t offset) {
  const int64_t rows = x.shape()[x.rank() - 2], columns = x.shape()[x.rank() - 1];
  std::vector<int64_t> positions;
  for (int64_t i = 0; i < rows; ++i)
    if (i + offset >= 0 && i + offset < columns) positions.push_back(i * columns + i + offset);
  td::Shape flat = x.shape();
  flat.resize(x.rank() - 1);
  flat[x.rank() - 2] = rows * columns;
  return td::gather(td::reshape(x, flat), td::from_range(positions), -1);
}

Tensor normalized(const Tensor& x, const Operand& dims, double epsilon) {
  return (x - td::mean(x, dims, true)) * td::rsqrt(td::variance(x, dims, true) + epsilon);
}
Tensor scaled(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  Tensor y = x;
  if (weight.defined()) y = y * channels(weight, x);
  return bias.defined() ? y + channels(bias, x) : y;
}
std::vector<int64_t> from_axis(const Tensor& x, int first) {
  std::vector<int64_t> list;
  for (int i = first; i < x.rank(); ++i) list.push_back(i);
  return list;
}

Tensor pad(const Record& r) {
  const std::vector<int64_t> pairs = r.integers(0, "pad");  // of the last dimension first
  const Tensor x = r.input();
  std::vector<int64_t> pads(static_cast<size_t>(2 * x.rank()), 0);
  for (size_t i = 0; i < pairs.size() / 2; ++i) {
    const size_t dim = static_cast<size_t>(x.rank()) - 1 - i;
    pads[dim] = pairs[2 * i];
    pads[dim + static_cast<size_t>(x.rank())] = pairs[2 * i + 1];
  }
  const std::string mode = r.text(1, "mode", "constant");
  const char* ours = mode == "replicate" ? "edge" : mode == "circular" ? "wrap" : mode.c_str();
  if (mode != "constant") return td::pad(x, pads, ours);
  return td::pad(x, pads, ours, Tensor(r.number(2, "value", 0), td::float64));
}

Tensor cross_entropy(const Record& r) {
  const Tensor scores = r.input(), target = r.tensor(0, "target"), weight = r.tensor(1, "weight");
  const std::string reduction = r.text(-1, "reduction", "mean");
  if (!td::is_floating(target.dtype()))
    return td::softmax_cross_entropy_loss(scores, target, weight, {.reduction = reduction});
  const Tensor loss = -td::sum(td::log_softmax(scores, 1) * target, {1});
  if (reduction == "none") return loss;
  return reduction == "sum" ? td::sum(loss) : td::sum(loss) / (scores.size() / scores.shape()[1]);
}

Tensor nll_loss(const Record& r) {
  const bool vector = r.input().rank() == 1;
  const Tensor x = vector ? td::unsqueeze(r.input(), {0}) : r.input();
  const Tensor target = vector ? td::unsqueeze(r.tensor(0, "target"), {0}) : r.tensor(0, "target");
  const std::string reduction = r.text(-1, "reduction", "mean");
  const Tensor loss = td::negative_log_likelihood_loss(
      x, target, r.tensor(1, "weight"),
      {.reduction = reduction, .ignore_index = r.integer(-1, "ignore_index", -100)});
  return vector && reduction == "none" ? td::squeeze(loss, {0}) : loss;
}

Tensor batch_norm(const Record& r) {
  const Tensor x = r.input();
  const double epsilon = r.number(-1, "eps", 1e-5);
  Tensor y;
  if (r.flag(-1, "training", false)) {
    std::vector<int64_t> dims = from_axis(x, 2);
    dims.insert(dims.begin(), 0);
    y = normalized(x, dims, epsilon);
  } else {
    const Tensor mean = r.tensor(0, "running_mean"), var = r.tensor(1, "running_var");
    y = (x - channels(mean, x)) * td::rsqrt(channels(var, x) + epsilon);
  }
  return scaled(y, r.tensor(2, "weight"), r.tensor(3, "bias"));
}

Tensor group_norm(const Record& r) {
  const Tensor x = r.input();
  const int64_t groups = r.integer(0, "num_groups", 1);
  const Tensor split = td::reshape(x, {x.shape()[0], groups, x.size() == 0 ? 0 : int64_t{-1}});
  return scaled(like(normalized(split, {2}, r.number(-1, "eps", 1e-5)), x), r.tensor(1, "weight"),
                r.tensor(2, "bias"));
}

Tensor local_response_norm(const Record& r) {
  const Tensor x = r.input();
  const int64_t size = r.integer(0, "size", 2);
  td::Dims pads = td::Dims::filled(2 * x.rank(), 0);
  pads[1] = size / 2;
  pads[x.rank() + 1] = (size - 1) / 2;
  const Tensor squares = td::pad(td::square(x), pads);
  Tensor total;
  for (int64_t i = 0; i < size; ++i) {
    const Tensor part = td::slice(squares, {i}, {i + x.shape()[1]}, {1});
    total = total.defined() ? total + part : part;
  }
  const double alpha = r.number(-1, "alpha", 1e-4), k = r.number(-1, "k", 1),
               beta = r.number(-1, "beta", 0.75);
  return x / td::pow(total * (alpha / static_cast<double>(size)) + k, beta);
}

Tensor pairwise_distance(const Tensor& a, const Tensor& b) { return td::reduce_l2(a - b + 1e-6, {-1}); }

Tensor triplet_margin_loss(const Record& r) {
  const Tensor anchor = r.input(), positive = r.tensor(0, "positive"), negative = r.tensor(1, "negative");
  Tensor far = pairwise_distance(anchor, negative);
  if (r.flag(-1, "swap", false)) far = td::minimum(far, pairwise_distance(positive, negative));
  return reduced(r, td::relu(pairwise_distance(anchor, positive) - far + r.number(-1, "margin", 1)));
}

Tensor poisson_nll_loss(const Record& r) {
  const Tensor x = r.input(), target = r.tensor(0, "target");
  Tensor loss = r.flag(-1, "log_input", true) ? td::exp(x) - target * x
                                              : x - target * td::log(x + r.number(-1, "eps", 1e-8));
  if (r.flag(-1, "full", false)) {
    const Tensor stirling = target * td::log(target) - target + 0.5 * td::log(2 * std::numbers::pi * target);
    loss = loss + td::where(target <= 1, 0, stirling);
  }
  return reduced(r, loss);
}

Tensor binary_cross_entropy(const Record& r) {
  const Tensor x = r.input(), target = r.tensor(0, "target");
  const auto log = [](const Tensor& t) { return td::maximum(td::log(t), -100); };
  Tensor loss = -(target * log(x) + (1 - target) * log(1 - x));
  if (r.has(1, "weight")) loss = loss * r.tensor(1, "weight");
  return reduced(r, loss);
}

Tensor binary_cross_entropy_with_logits(const Record& r) {
  const Tensor x = r.input(), target = r.tensor(0, "target");
  const Tensor scale = r.has(-1, "pos_weight") ? 1 + (r.tensor(-1, "pos_weight") - 1) * target : Tensor();
  const Tensor rest = td::softplus(-x);
  Tensor loss = (1 - target) * x + (scale.defined() ? scale * rest : rest);
  if (r.has(1, "weight")) loss = loss * r.tensor(1, "weight");
  return reduced(r, loss);
}

Tensor index_add(const Record& r) {
  const Tensor x = at_least_vector(r.input());
  const int64_t dim = r.integer(0, "dim", 0);
  Tensor source = at_least_vector(r.tensor(2, "source")) * r.number(-1, "alpha", 1);
  td::Shape shape = td::Dims::filled(x.rank(), 1);
  shape[static_cast<int>(dim)] = -1;
  const Tensor index = td::expand(td::reshape(r.tensor(1, "index"), shape), source.shape());
  return like(td::scatter_elements(x, index, source, dim, "add"), r.input());
}

TensorList sorted(const Record& r) {
  const Tensor x = r.input();
  const int64_t dim = r.integer(0, "dim", -1);
  const bool descending = r.flag(1, "descending", false);
  const auto result = td::topk(x, x.dim(static_cast<int>(dim)), dim, descending);
  return {result.values, result.indices};
}

Tensor scattered(const Record& r, const char* reduction) {
  const Tensor x = at_least_vector(r.input()), index = at_least_vector(r.tensor(1, "index"));
  const Tensor source = r.is_tensor(2, "src") ? at_least_vector(r.tensor(2, "src"))
                                              : td::full(index.shape(), r.number(2, "value", 0), td::float64);
  // PyTorch reads as much of the source as there are indices.
  td::Dims starts = td::Dims::filled(index.rank(), 0);
  const Tensor part = td::slice(source, starts, index.shape());
  return like(td::scatter_elements(x, index, part, r.integer(0, "dim", 0), reduction), r.input());
}

Tensor variance(const Record& r) {
  double correction = r.number(-1, "correction", 1);
  if (const Json* unbiased = r.find(-1, "unbiased")) correction = unbiased->get<bool>() ? 1 : 0;
  return td::variance(r.input(), axes(r, -1), r.flag(-1, "keepdim", false), correction);
}

// ---- The rules

/// Rules for f(x).
void add_unary(Rules& rules) {
  const std::vector<std::pair<const char*, Tensor (*)(const Operand&)>> functions{
      {"abs", td::abs},
      {"acos", td::acos},
      {"acosh", td::acosh},
      {"asin", td::asin},
      {"asinh", td::asinh},
      {"atan", td::atan},
      {"atanh", td::atanh},
      {"ceil", td::ceil},
      {"cos", td::cos},
      {"cosh", td::cosh},
      {"exp", td::exp},
      {"expm1", td::expm1},
      {"floor", td::floor},
      {"log", td::log},
      {"log1p", td::log1p},
      {"neg", td::neg},
      {"sin", td::sin},
      {"sinh", td::sinh},
      {"sign", td::sign},
      {"sqrt", td::sqrt},
      {"square", td::square},
      {"rsqrt", td::rsqrt},
      {"tan", td::tan},
      {"tanh", td::tanh},
      {"erf", td::erf},
      {"sigmoid", td::sigmoid},
      {"reciprocal", td::reciprocal},
      {"nn.functional.relu", td::relu},
      {"nn.functional.hardswish", td::hard_swish},
      {"nn.functional.mish", td::mish},
      {"nn.functional.softsign", td::softsign}};
  for (const auto& [name, f] : functions)
    rules[name] = [f = f](const Record& r) { return TensorList{f(r.input())}; };
  const auto add = [&](const char* name, Tensor (*f)(const Record&)) {
    rules[name] = [f](const Record& r) { return TensorList{f(r)}; };
  };
  add("erfc", [](const Record& r) { return 1 - td::erf(r.input()); });
  add("round", [](const Record& r) {
    const double scale = std::pow(10, r.number(-1, "decimals", 0));
    return td::round(r.input() * scale) / scale;
  });
  add("nn.functional.silu", [](const Record& r) { return td::swish(r.input()); });
  add("nn.functional.elu", [](const Record& r) { return td::elu(r.input()); });
  add("nn.functional.celu", [](const Record& r) { return td::celu(r.input()); });
  add("nn.functional.selu", [](const Record& r) { return td::selu(r.input()); });
  add("nn.functional.leaky_relu", [](const Record& r) {
    return td::leaky_relu(r.input(), static_cast<float>(r.number(0, "negative_slope", 0.01)));
  });
  add("nn.functional.hardsigmoid",
      [](const Record& r) { return td::hard_sigmoid(r.input(), 1.f / 6, 0.5f); });
  add("nn.functional.logsigmoid", [](const Record& r) { return -td::softplus(-r.input()); });
  add("nn.functional.gelu",
      [](const Record& r) { return td::gelu(r.input(), r.text(0, "approximate", "none")); });
  add("nn.functional.hardtanh", [](const Record& r) {
    return td::clip(r.input(), r.number(0, "min_val", -1), r.number(1, "max_val", 1));
  });
  add("nn.functional.softplus", [](const Record& r) {
    const double beta = r.number(-1, "beta", 1);
    const Tensor x = r.input() * beta;
    return td::where(x > r.number(-1, "threshold", 20), r.input(), td::softplus(x) / beta);
  });
  add("nn.functional.glu", [](const Record& r) {
    const int64_t dim = r.integer(0, "dim", -1);
    const TensorList halves = td::split(r.input(), 2, dim);
    return halves[0] * td::sigmoid(halves[1]);
  });
  add("softmax", [](const Record& r) {
    return like(td::softmax(at_least_vector(r.input()), axis(r, 0, "dim", -1)), r.input());
  });
  add("log_softmax", [](const Record& r) {
    return like(td::log_softmax(at_least_vector(r.input()), axis(r, 0, "dim", -1)), r.input());
  });
}

/// Rules for f(x, y).
void add_binary(Rules& rules) {
  const std::vector<std::pair<const char*, Tensor (*)(const Operand&, const Operand&)>> functions{
      {"add", td::add},         {"sub", td::sub},         {"mul", td::mul},
      {"pow", td::pow},         {"fmod", td::fmod},       {"remainder", td::floor_mod},
      {"maximum", td::maximum}, {"minimum", td::minimum}, {"matmul", td::matmul},
      {"mm", td::matmul},       {"bmm", td::matmul},      {"dot", td::matmul}};
  for (const auto& [name, f] : functions)
    rules[name] = [f = f](const Record& r) { return TensorList{f(r.input(), r.tensor(0, "other"))}; };
  const auto add = [&](const char* name, Tensor (*f)(const Record&)) {
    rules[name] = [f](const Record& r) { return TensorList{f(r)}; };
  };
  add("div", [](const Record& r) {
    const Tensor q = r.input() / r.tensor(0, "other");
    const std::string mode = r.text(-1, "rounding_mode", "");
    if (mode.empty()) return q;
    return mode == "floor" ? td::floor(q) : td::sign(q) * td::floor(td::abs(q));
  });
  add("atan2", [](const Record& r) { return atan2(r.input(), r.tensor(0, "other")); });
  add("hypot",
      [](const Record& r) { return td::sqrt(td::square(r.input()) + td::square(r.tensor(0, "other"))); });
  add("outer", [](const Record& r) {
    return td::unsqueeze(r.input(), {1}) * td::unsqueeze(r.tensor(0, "other"), {0});
  });
  add("lerp", [](const Record& r) {
    const Tensor start = r.input(), distance = r.tensor(0, "end") - start;
    return start + (r.is_tensor(1, "weight") ? distance * r.tensor(1, "weight")
                                             : distance * r.number(1, "weight", 0));
  });
  add("clamp", [](const Record& r) { return td::clip(r.input(), r.tensor(0, "min"), r.tensor(1, "max")); });
  add("where",
      [](const Record& r) { return td::where(r.tensor(0, "condition"), r.input(), r.tensor(1, "other")); });
  add("masked_fill", [](const Record& r) {
    const Tensor mask = r.tensor(0, "mask");
    return r.is_tensor(1, "value") ? td::where(mask, r.tensor(1, "value"), r.input())
                                   : td::where(mask, r.number(1, "value", 0), r.input());
  });
  add("nn.functional.prelu",
      [](const Record& r) { return td::prelu(r.input(), channels(r.tensor(0, "weight"), r.input())); });
  add("addmm", [](const Record& r) {
    return td::gemm(r.tensor(0, "mat1"), r.tensor(1, "mat2"), r.input(),
                    static_cast<float>(r.number(-1, "alpha", 1)),
                    static_cast<float>(r.number(-1, "beta", 1)));
  });
  add("baddbmm", [](const Record& r) {
    return r.input() * r.number(-1, "beta", 1) +
           td::matmul(r.tensor(0, "batch1"), r.tensor(1, "batch2")) * r.number(-1, "alpha", 1);
  });
  add("nn.functional.linear", [](const Record& r) {
    const Tensor y = td::matmul(r.input(), td::transpose(r.tensor(0, "weight")));
    return r.has(1, "bias") ? y + r.tensor(1, "bias") : y;
  });
  add("nn.functional.bilinear", [](const Record& r) {
    const Tensor a = td::unsqueeze(r.input(), {-3, -1}), b = td::unsqueeze(r.tensor(0, "input2"), {-3, -2});
    const Tensor y = td::sum(a * r.tensor(1, "weight") * b, {-1, -2});
    return r.has(2, "bias") ? y + r.tensor(2, "bias") : y;
  });
  rules["einsum"] = [](const Record& r) {
    return TensorList{td::einsum(r.text(0, "equation", ""), r.inputs())};
  };
}

void add_reductions(Rules& rules) {
  const std::vector<std::pair<const char*, Tensor (*)(const Operand&, const Operand&, bool)>> functions{
      {"sum", td::sum},   {"mean", td::mean}, {"amax", td::amax},
      {"amin", td::amin}, {"prod", td::prod}, {"logsumexp", td::reduce_log_sum_exp}};
  for (const auto& [name, f] : functions)
    rules[name] = [f = f](const Record& r) {
      return TensorList{f(r.input(), axes(r, 0), r.flag(1, "keepdim", false))};
    };
  const auto add = [&](const char* name, Tensor (*f)(const Record&)) {
    rules[name] = [f](const Record& r) { return TensorList{f(r)}; };
  };
  add("var", variance);
  add("std", [](const Record& r) { return td::sqrt(variance(r)); });
  add("cumsum", [](const Record& r) {
    return like(td::cumsum(at_least_vector(r.input()), axis(r, 0, "dim", 0)), r.input());
  });
  add("cumprod", [](const Record& r) {
    return like(td::cumprod(at_least_vector(r.input()), axis(r, 0, "dim", 0)), r.input());
  });
  const auto norm = [](const Record& r) {
    const std::string word = r.text(0, "p", "");
    if (word == "nuc") return td::sum(td::linalg::svdvals(r.input()), {-1}, r.flag(2, "keepdim", false));
    const double p = !word.empty() && word.find("nfinity") == std::string::npos ? 2 : r.number(0, "p", 2);
    return p_norm(r.input(), p, axes(r, 1), r.flag(2, "keepdim", false));
  };
  add("norm", norm);
  add("linalg.norm", norm);
  add("nn.functional.normalize", [](const Record& r) {
    const Tensor x = at_least_vector(r.input());
    const Tensor length = p_norm(x, r.number(-1, "p", 2), {r.integer(-1, "dim", 1)}, true);
    return like(x / td::maximum(length, r.number(-1, "eps", 1e-12)), r.input());
  });
  add("nn.functional.cosine_similarity", [](const Record& r) {
    Tensor a = at_least_vector(r.input()), b = at_least_vector(r.tensor(0, "x2"));
    const td::Shape common = (a * b).shape();
    a = td::expand(a, common);
    b = td::expand(b, common);
    const int64_t dim = r.integer(-1, "dim", 1);
    const double epsilon = r.number(-1, "eps", 1e-8);
    const auto unit = [&](const Tensor& t) {
      return t / td::maximum(td::reduce_l2(t, {dim}, true), epsilon);
    };
    return td::sum(unit(a) * unit(b), {dim});
  });
  add("cdist", [](const Record& r) {
    const Tensor difference = td::unsqueeze(r.input(), {-2}) - td::unsqueeze(r.tensor(0, "x2"), {-3});
    return p_norm(difference, r.number(1, "p", 2), {-1}, false);
  });
}

void add_normalizations_and_losses(Rules& rules) {
  const auto add = [&](const char* name, Tensor (*f)(const Record&)) {
    rules["nn.functional." + std::string(name)] = [f](const Record& r) { return TensorList{f(r)}; };
  };
  add("layer_norm", [](const Record& r) {
    const Tensor x = r.input(), weight = r.tensor(1, "weight");
    const int64_t rank = static_cast<int64_t>(r.integers(0, "normalized_shape").size());
    return td::layer_normalization(x, weight.defined() ? weight : Tensor(1.0, td::float64),
                                   r.tensor(2, "bias"), -rank, static_cast<float>(r.number(-1, "eps", 1e-5)));
  });
  add("batch_norm", batch_norm);
  add("group_norm", group_norm);
  add("instance_norm", [](const Record& r) {
    return scaled(normalized(r.input(), from_axis(r.input(), 2), r.number(-1, "eps", 1e-5)),
                  r.tensor(-1, "weight"), r.tensor(-1, "bias"));
  });
  add("local_response_norm", local_response_norm);
  add("cross_entropy", cross_entropy);
  add("nll_loss", nll_loss);
  add("triplet_margin_loss", triplet_margin_loss);
  add("poisson_nll_loss", poisson_nll_loss);
  add("binary_cross_entropy", binary_cross_entropy);
  add("binary_cross_entropy_with_logits", binary_cross_entropy_with_logits);
  add("mse_loss", [](const Record& r) { return reduced(r, td::square(r.input() - r.tensor(0, "target"))); });
  add("l1_loss", [](const Record& r) { return reduced(r, td::abs(r.input() - r.tensor(0, "target"))); });
  add("smooth_l1_loss", [](const Record& r) {
    const double beta = r.number(-1, "beta", 1);
    const Tensor distance = td::abs(r.input() - r.tensor(0, "target"));
    if (beta == 0) return reduced(r, distance);
    return reduced(r, td::where(distance < beta, 0.5 / beta * td::square(distance), distance - 0.5 * beta));
  });
  add("huber_loss", [](const Record& r) {
    const double delta = r.number(-1, "delta", 1);
    const Tensor distance = td::abs(r.input() - r.tensor(0, "target"));
    return reduced(
        r, td::where(distance <= delta, 0.5 * td::square(distance), delta * (distance - 0.5 * delta)));
  });
  add("hinge_embedding_loss", [](const Record& r) {
    const Tensor x = r.input(), target = r.tensor(0, "target");
    const Tensor margin = td::relu(r.number(-1, "margin", 1) - x);
    return reduced(r, td::where(target == 1, 0, margin) + td::where(target == -1, 0, x));
  });
  add("kl_div", [](const Record& r) {
    const Tensor x = r.input(), target = r.tensor(0, "target");
    return reduced(
        r, r.flag(-1, "log_target", false)
               ? td::exp(target) * (target - x)
               : td::where(target > 0, target * td::log(td::where(target > 0, target, 1)), 0) - target * x);
  });
  add("embedding", [](const Record& r) { return td::gather(r.input(), r.tensor(0, "indices")); });
  add("pad", pad);
  add("pixel_shuffle", [](const Record& r) {
    const Tensor x = r.input();
    const int64_t f = r.integer(-1, "upscale_factor", 1);
    const int64_t n = x.shape()[0], c = x.shape()[1] / (f * f), h = x.shape()[2], w = x.shape()[3];
    const Tensor split = td::transpose(td::reshape(x, {n, c, f, f, h, w}), {0, 1, 4, 2, 5, 3});
    return td::reshape(split, {n, c, h * f, w * f});
  });
}

void add_shapes_and_indices(Rules& rules) {
  const auto add = [&](const char* name, Tensor (*f)(const Record&)) {
    rules[name] = [f](const Record& r) { return TensorList{f(r)}; };
  };
  add("expand", [](const Record& r) {
    const Tensor x = r.input();
    std::vector<int64_t> shape = r.integers(0, "size");
    for (size_t i = 0; i < shape.size(); ++i)
      if (shape[i] < 0)
        shape[i] = x.shape()[static_cast<int>(i) - (static_cast<int>(shape.size()) - x.rank())];
    return td::expand(x, td::Dims(shape));
  });
  add("reshape", [](const Record& r) { return td::reshape(r.input(), td::Dims(r.integers(0, "shape"))); });
  add("permute", [](const Record& r) {
    td::Dims order(r.integers(0, "dims"));
    for (int64_t& d : order) d = d < 0 ? d + r.input().rank() : d;
    return td::transpose(r.input(), order);
  });
  add("transpose", [](const Record& r) {
    if (r.input().rank() == 0) return td::identity(r.input());
    return td::swapaxes(r.input(), r.integer(0, "dim0", 0), r.integer(1, "dim1", 1));
  });
  add("squeeze", [](const Record& r) {
    const Tensor x = r.input();
    if (!r.has(0, "dim")) return td::squeeze(x);
    const int64_t dim = r.integer(0, "dim", 0);
    if (x.rank() == 0 || x.dim(static_cast<int>(dim)) != 1) return td::identity(x);
    return td::squeeze(x, {dim});
  });
  add("unsqueeze", [](const Record& r) { return td::unsqueeze(r.input(), {r.integer(0, "dim", 0)}); });
  add("flip", [](const Record& r) {
    const std::vector<int64_t> dims = r.integers(0, "dims");
    return dims.empty() ? td::identity(r.input()) : td::flip(r.input(), dims);
  });
  add("roll", [](const Record& r) {
    return td::roll(r.input(), r.integer(0, "shifts", 0), r.integer(1, "dims", 0));
  });
  const auto tile = [](const Record& r) {
    const Tensor x = r.input();
    std::vector<int64_t> repeats = r.integers(0, "repeats");
    td::Shape shape = x.shape();
    while (shape.rank() < static_cast<int>(repeats.size())) shape.insert(0, 1);
    while (static_cast<int>(repeats.size()) < shape.rank()) repeats.insert(repeats.begin(), 1);
    return td::tile(td::reshape(x, shape), td::Dims(repeats));
  };
  add("tile", tile);
  add("repeat", tile);
  rules["stack"] = [](const Record& r) { return TensorList{td::stack(r.inputs(), r.integer(0, "dim", 0))}; };
  rules["cat"] = [](const Record& r) {
    TensorList parts;  // an empty vector joins anything
    for (const Tensor& t : r.inputs())
      if (!(t.rank() == 1 && t.size() == 0)) parts.push_back(t);
    if (parts.empty()) return TensorList{td::identity(r.inputs()[0])};
    return TensorList{td::concat(parts, r.integer(0, "dim", 0))};
  };
  rules["chunk"] = [](const Record& r) {
    return td::split(r.input(), r.integer(0, "chunks", 1), r.integer(1, "dim", 0));
  };
  rules["split"] = [](const Record& r) {
    const int64_t dim = r.integer(1, "dim", 0);
    std::vector<int64_t> sizes = r.integers(0, "split_size");
    if (r.find(0, "split_size")->is_number()) {
      const int64_t size = sizes[0];
      sizes.clear();
      for (int64_t left = r.input().dim(static_cast<int>(dim)); left > 0; left -= size)
        sizes.push_back(std::min(size, left));
    }
    return td::split(r.input(), sizes, dim);
  };
  add("tril", [](const Record& r) { return td::tril(r.input(), r.integer(0, "diagonal", 0)); });
  add("triu", [](const Record& r) { return td::triu(r.input(), r.integer(0, "diagonal", 0)); });
  add("diag", [](const Record& r) { return diagonal(r.input(), r.integer(0, "diagonal", 0)); });
  add("diagonal", [](const Record& r) {
    Tensor x = r.input();
    x = td::moveaxis(td::moveaxis(x, 0, -1), 0, -1);  // PyTorch's default: the first two dimensions
    return diagonal(x, r.integer(-1, "offset", 0));
  });
  add("index_select", [](const Record& r) {
    return like(td::gather(at_least_vector(r.input()), r.tensor(1, "index"), r.integer(0, "dim", 0)),
                r.results()[0]);
  });
  add("gather", [](const Record& r) {
    const Tensor x = at_least_vector(r.input()), index = at_least_vector(r.tensor(1, "index"));
    const int64_t dim = r.integer(0, "dim", 0);
    if (index.size() == 0)  // of any rank
      return td::gather_elements(td::reshape(x, {int64_t{-1}}), td::cast(index, td::int64), 0);
    return like(td::gather_elements(x, td::cast(index, td::int64), dim), r.tensor(1, "index"));
  });
  add("take_along_dim", [](const Record& r) {
    Tensor x = r.input(), index = r.tensor(0, "indices");
    if (!r.has(1, "dim")) return td::gather_elements(td::reshape(x, {-1}), td::reshape(index, {-1}), 0);
    const int dim = static_cast<int>(r.integer(1, "dim", 0));
    td::Shape of_x = x.shape(), of_index = index.shape();
    for (int i = 0; i < x.rank(); ++i)
      if (i != dim) of_x[i] = of_index[i] = std::max(of_x[i], of_index[i]);
    return td::gather_elements(td::expand(x, of_x), td::expand(index, of_index), dim);
  });
  add("index_add", index_add);
  add("scatter", [](const Record& r) { return scattered(r, "none"); });
  add("scatter_add", [](const Record& r) { return scattered(r, "add"); });
  rules["sort"] = sorted;
  rules["topk"] = [](const Record& r) {
    const auto result = td::topk(at_least_vector(r.input()), r.integer(0, "k", 1), r.integer(1, "dim", -1),
                                 r.flag(2, "largest", true));
    return TensorList{like(result.values, r.results()[0]), like(result.indices, r.results()[1])};
  };
}

void add_spatial(Rules& rules) {
  namespace spatial = td::testing::spatial;
  const auto add = [&](const std::string& name, auto f, auto... with) {
    rules["nn.functional." + name] = [=](const Record& r) { return TensorList{f(r, with...)}; };
  };
  for (int rank = 1; rank <= 3; ++rank) {
    const std::string suffix = std::to_string(rank) + 'd';
    add("conv" + suffix, spatial::convolution, rank);
    add("conv_transpose" + suffix, spatial::transposed_convolution, rank);
    add("avg_pool" + suffix, spatial::average, rank);
    rules["nn.functional.max_pool" + suffix] = [rank](const Record& r) { return spatial::largest(r, rank); };
  }
  add("adaptive_avg_pool2d", spatial::adaptive_average);
  add("interpolate", spatial::interpolate);
  add("grid_sample", [](const Record& r) {
    const std::string mode = r.text(-1, "mode", "bilinear"), padding = r.text(-1, "padding_mode", "zeros");
    return td::grid_sample(r.input(), r.tensor(0, "grid"),
                           {.mode = mode == "bilinear" ? std::string_view("linear") : mode,
                            .padding = padding,
                            .align_corners = r.flag(-1, "align_corners", false)});
  });
  add("upsample_nearest", spatial::upsample_nearest);
  add("unfold", spatial::unfold);
}

void add_linear_algebra(Rules& rules) {
  rules["linalg.det"] = [](const Record& r) { return TensorList{td::linalg::det(r.input())}; };
  rules["linalg.inv"] = [](const Record& r) { return TensorList{td::linalg::inverse(r.input())}; };
  rules["linalg.cholesky"] = [](const Record& r) {
    return TensorList{td::linalg::cholesky(r.input(), r.flag(-1, "upper", false))};
  };
  rules["linalg.qr"] = [](const Record& r) {
    const auto [q, upper] = td::linalg::qr(r.input());
    return TensorList{q, upper};
  };
  rules["linalg.solve"] = [](const Record& r) {
    return TensorList{td::linalg::solve(r.input(), r.tensor(0, "B"))};
  };
  rules["linalg.svd"] = [](const Record& r) {
    const auto [u, values, vh] = td::linalg::svd(r.input());
    return TensorList{u, values, vh};
  };
}

const Rules& rules() {
  static const Rules all = [] {
    Rules r;
    add_unary(r);
    add_binary(r);
    add_reductions(r);
    add_normalizations_and_losses(r);
    add_shapes_and_indices(r);
    add_spatial(r);
    add_linear_algebra(r);
    return r;
  }();
  return all;
}

// ---- Comparing

/// Empty when all elements agree, else the first that does not.
std::string difference(const Tensor& actual, const Tensor& expected) {
  constexpr double relative = 1e-6, absolute = 1e-10;
  if (!expected.defined()) return td::reduce_any(actual).item<bool>() ? "not zero" : "";
  if (!(actual.shape() == expected.shape()))
    return "shape " + td::to_string(actual.shape()) + ", expected " + td::to_string(expected.shape());
  const auto a = td::cast(actual, td::float64).to_vector<double>();
  const auto b = td::cast(expected, td::float64).to_vector<double>();
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]))) continue;
    if (!(std::abs(a[i] - b[i]) <= absolute + relative * std::abs(b[i])))
      return "element " + std::to_string(i) + " is " + std::to_string(a[i]) + ", expected " +
             std::to_string(b[i]);
  }
  return "";
}

/// What differs; empty when the record is met.
std::string check(const Record& r) {
  td::GradientTape tape;
  for (const Tensor& t : r.sources()) tape.watch(t);
  const TensorList outputs = rules().at(r.op())(r);
  const TensorList results = r.results(), cotangents = r.cotangents(), gradients = r.gradients();
  if (outputs.size() != results.size()) return "another number of results";
  for (size_t i = 0; i < results.size(); ++i)
    if (std::string d = difference(outputs[i], results[i]); !d.empty())
      return "result " + std::to_string(i) + ": " + d;
  TensorList targets;
  for (const Tensor& y : outputs)
    if (td::is_floating(y.dtype())) targets.push_back(y);
  const std::vector<td::GradientSource> sources(r.sources().begin(), r.sources().end());
  const TensorList found = tape.gradients(
      targets, sources, {.unconnected = td::Unconnected::zero, .output_gradients = cotangents});
  for (size_t i = 0; i < gradients.size(); ++i)
    if (std::string d = difference(found[i], gradients[i]); !d.empty())
      return "gradient " + std::to_string(i) + ": " + d;
  return "";
}

}  // namespace

TEST(GradientRecords, MatchPyTorch) {
  const std::string path = TANDEM_SHARED_FOLDER "/cases/gradients/ops.jsonl";
  std::ifstream file(path);
  if (!file) GTEST_SKIP() << path << " is not there: nothing was compared with PyTorch";
  // Python's infinities are no JSON.
  const auto readable = [](std::string line) {
    for (size_t at = 0; (at = line.find("Infinity", at)) != std::string::npos;) {
      const size_t start = at > 0 && line[at - 1] == '-' ? at - 1 : at;
      line.insert(at + 8, "\"");
      line.insert(start, "\"");
      at += 10;
    }
    return line;
  };
  int total = 0, met = 0;
  std::map<std::string, int> skipped;
  std::map<std::string, int> failed;
  for (std::string line; std::getline(file, line);) {
    ++total;
    const Json json = Json::parse(readable(std::move(line)));
    const std::string op = json.at("op");
    if (!rules().count(op)) {
      ++skipped["no counterpart: " + op];
      continue;
    }
    std::string what;
    try {
      what = check(Record(json));
    } catch (const NotMapped& e) {
      ++skipped[op + ": " + e.reason];
      continue;
    } catch (const std::exception& e) {
      what = e.what();
    }
    if (what.empty()) {
      ++met;
    } else {
      ++failed[op];
      std::cout << "record " << total << " (" << op << "): " << what << '\n';
    }
  }
  std::cout << met << " of " << total << " records are met\n";
  for (const auto& [reason, count] : skipped) std::cout << "  skipped " << count << ": " << reason << '\n';
  for (const auto& [op, count] : failed) std::cout << "  failed " << count << ": " << op << '\n';
  EXPECT_TRUE(failed.empty());
  EXPECT_EQ(met, total);
}
