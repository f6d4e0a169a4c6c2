// Connectionist temporal classification (Graves et al., 2006), by the forward variables alone: gradients go
// back through them.

#include "core/check.h"
#include "nn/layer_call.h"
#include "nn/loss.h"
#include "tandem/iteration.h"
#include "tandem/nn/losses.h"
#include "tandem/ops.h"

namespace tandem::nn {

namespace {

/// The logarithm of what cannot happen: finite, so that differences of two are numbers.
constexpr double never = -1e30;

/// Everything `by` places further along the last of two dimensions; `fill` comes in.
Tensor shifted(const Tensor& x, int64_t by, const Operand& fill) {
  return slice(pad(x, {0, by, 0, 0}, "constant", fill), {0}, {-by}, {1});
}

/// log(sum(exp)) of several.
Tensor any_of(const std::vector<Tensor>& logarithms) {
  return reduce_log_sum_exp(stack(logarithms, -1), {-1});
}

/// x[i, place[i]], and `never` where the place is negative.
Tensor at_places(const Tensor& x, const Tensor& places) {
  const Tensor chosen = squeeze(gather_elements(x, unsqueeze(maximum(places, 0), {1}), 1), {1});
  return where(places < 0, never, chosen);
}

}  // namespace

Tensor ctc(const Tensor& logits, const Tensor& labels, Location where) {
  return detail::at_line("ctc", where, [&] {
    detail::check_defined(logits, labels);
    const Shape &l = logits.shape().codes(), &t = labels.shape().codes();
    TD_CHECK(l.rank() == 3, "logits of shape {} were given; expected (batch, frames, classes)", l);
    TD_CHECK(is_integer(labels.dtype()),
             "labels of dtype {} are not class numbers; expected an integer dtype", labels.dtype());
    TD_CHECK(t.rank() == 2 && (t[0] == l[0] || t[0] < 0 || l[0] < 0),
             "labels of shape {} do not fit logits of shape {}; expected (batch, length)", t, l);
    TD_CHECK(l[1] != 0, "logits of shape {} have no frames", l);

    // The path: blank, label, blank, label, ... blank.
    const Tensor classes = class_labels(labels, Dim(l[2]));
    const Tensor pairs = reshape(stack({zeros_like(classes), classes}, 2), {Dim(l[0]), Dim(-1)});
    const Tensor path = pad(pairs, {0, 0, 0, 1});
    // A label may follow another one without a blank between if they differ.
    const Tensor may_skip = (path != 0) & (path != shifted(path, 2, -1));
    // log(probability) of each place of the path at each frame; frames first, for the fold.
    const Tensor scores = transpose(log_softmax(logits), {1, 0, 2});
    const Tensor places =
        expand(unsqueeze(path, {0}), concat({shape_of(scores, 0, 2), shape_of(path, 1)}, 0));
    const Tensor frames = gather_elements(scores, places, -1);

    // All that ends at each place after each frame; the first frame is at one of the first two.
    const Tensor first = tandem::where(cumsum(ones_like(path), 1) <= 2, frames[0], never);
    const Tensor last = foldl(
        [&](const Tensor& before, const Tensor& frame) {
          const Tensor skipping = tandem::where(may_skip, shifted(before, 2, never), never);
          return any_of({before, shifted(before, 1, never), skipping}) + frame;
        },
        frames[{from(1)}], first, where);
    const Tensor lengths = sum(cast(classes != 0, DType::i64), {1});
    return -any_of({at_places(last, lengths * 2), at_places(last, lengths * 2 - 1)});
  });
}

}  // namespace tandem::nn
