// NonMaxSuppression.

#include <algorithm>
#include <cmath>

#include "ops/dispatch.h"
#include "ops/elements.h"
#include "ops/families.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/image.h"

namespace tandem {

namespace {

/// A box by its corners.
struct Box {
  float low_y, low_x, high_y, high_x;
  Box(const float* from, bool center_point) {
    if (center_point) {
      const float half_width = from[2] / 2, half_height = from[3] / 2;
      low_x = from[0] - half_width;
      high_x = from[0] + half_width;
      low_y = from[1] - half_height;
      high_y = from[1] + half_height;
    } else {  // any two opposite corners
      low_y = std::min(from[0], from[2]);
      high_y = std::max(from[0], from[2]);
      low_x = std::min(from[1], from[3]);
      high_x = std::max(from[1], from[3]);
    }
  }
  float area() const { return (high_y - low_y) * (high_x - low_x); }
};

bool overlap(const Box& a, const Box& b, float threshold) {
  const float height = std::min(a.high_y, b.high_y) - std::max(a.low_y, b.low_y);
  const float width = std::min(a.high_x, b.high_x) - std::max(a.low_x, b.low_x);
  if (!(height > 0 && width > 0)) return false;
  const float shared = height * width, together = a.area() + b.area() - shared;
  return together > 0 && shared / together > threshold;
}

struct NonMaxSuppression : NotDifferentiable {
  static constexpr std::string_view name = "NonMaxSuppression";
  static constexpr int since = 11;
  static constexpr uint32_t traits = dynamic_shape;
  struct Attributes {
    bool center_point_box = false;
    static constexpr auto fields() {
      return std::tuple{field("center_point_box", &Attributes::center_point_box)};
    }
  };
  static constexpr TypeSet f32 = type_bit(DType::f32);
  static constexpr std::array<InputDef, 5> inputs{
      {{"boxes", f32},
       {"scores", f32},
       {"max_output_boxes_per_class", types::i64, 1, InputDef::optional},
       {"iou_threshold", f32, 2, InputDef::optional},
       {"score_threshold", f32, 3, InputDef::optional}}};

  static void check_shapes(const Shape& boxes, const Shape& scores) {
    TD_CHECK(boxes.rank() == 3 && (boxes[2] == 4 || boxes[2] < 0),
             "boxes have shape {}; (batch, count, 4) is needed", boxes);
    const auto differ = [](int64_t a, int64_t b) { return a >= 0 && b >= 0 && a != b; };
    TD_CHECK(scores.rank() == 3 && !differ(scores[0], boxes[0]) && !differ(scores[2], boxes[1]),
             "scores have shape {}; (batch, classes, count) for boxes of shape {} are needed", scores, boxes);
  }
  static void infer(InferContext& c, const Attributes&) {
    check_shapes(c.shape(0), c.shape(1));
    for (int i = 2; i < 5; ++i)
      if (c.has(i))
        TD_CHECK(c.shape(i).element_count() == 1 || c.shape(i).element_count() < 0,
                 "{} has shape {}; it must be one number", inputs[static_cast<size_t>(i)].name, c.shape(i));
    c.output(DType::i64, {c.fresh_symbol(), 3});
  }
  static void run_tensors(const Attributes& a, std::span<const Tensor> in, std::span<Tensor> out) {
    const Tensor boxes = in[0].contiguous(), scores = in[1].contiguous();
    check_shapes(boxes.shape().codes(), scores.shape().codes());
    const auto given = [&](size_t i) { return i < in.size() && in[i].defined() && in[i].size() > 0; };
    const int64_t most = given(2) ? in[2].contiguous().data<int64_t>()[0] : 0;
    const float threshold = given(3) ? in[3].contiguous().data<float>()[0] : 0;
    const float least = given(4) ? in[4].contiguous().data<float>()[0] : -INFINITY;
    TD_CHECK(threshold >= 0 && threshold <= 1, "iou_threshold is {}; expected 0 to 1", threshold);
    const Shape sizes = scores.shape().codes();
    const int64_t batch = sizes[0], classes = sizes[1], count = sizes[2];
    std::vector<int64_t> kept;
    std::vector<int64_t> order;
    std::vector<Box> chosen;
    for (int64_t row = 0; most > 0 && row < batch * classes; ++row) {
      const float* score = scores.data<float>() + row * count;
      const float* box = boxes.data<float>() + row / classes * count * 4;
      order.clear();
      for (int64_t i = 0; i < count; ++i)
        if (given(4) ? score[i] > least : !std::isnan(score[i])) order.push_back(i);
      std::stable_sort(order.begin(), order.end(), [&](int64_t i, int64_t j) { return score[i] > score[j]; });
      chosen.clear();
      for (int64_t i : order) {
        if (static_cast<int64_t>(chosen.size()) >= most) break;
        const Box candidate(box + i * 4, a.center_point_box);
        const bool hidden = std::any_of(chosen.begin(), chosen.end(),
                                        [&](const Box& b) { return overlap(b, candidate, threshold); });
        if (hidden) continue;
        chosen.push_back(candidate);
        kept.insert(kept.end(), {row / classes, row % classes, i});
      }
    }
    const auto rows = static_cast<int64_t>(kept.size()) / 3;
    out[0] = from_span<int64_t>(kept, {rows, 3});
  }
  static std::vector<Sample> samples() {
    const Tensor boxes({{{0.f, 0.f, 1.f, 1.f}, {0.f, 0.1f, 1.f, 1.1f}, {2.f, 1.f, 1.f, 2.f}}}),
        scores({{{0.9f, 0.75f, 0.6f}, {0.1f, 0.8f, 0.8f}}}), three({3}, DType::i64);
    const Attributes center{true};
    return {{{boxes, scores, three, Tensor({0.5f}), Tensor({0.f})}, {}},
            {{boxes, scores, Tensor(1, DType::i64), Tensor(0.5f)}, boxed(center)},
            {{boxes, scores, three, {}, Tensor({0.7f})}, {}},
            {{boxes, scores}, {}},
            {{zeros({1, 0, 4}), zeros({1, 2, 0}), three}, {}}};
  }
};

constexpr const OpDef* suppression_table[] = {&op_def<NonMaxSuppression>};

}  // namespace

std::span<const OpDef* const> suppression_ops() { return suppression_table; }

Tensor non_max_suppression(const Operand& boxes, const Operand& scores, const SuppressionOptions& options) {
  return dispatch<NonMaxSuppression>({options.center_point}, boxes, scores, Operand({options.most}),
                                     Operand(options.overlap), Operand(options.score));
}

}  // namespace tandem
