// x[...]: one slice, then dimensions dropped and added.

#include "core/named.h"
#include "ops/dispatch.h"
#include "ops/elements.h"
#include "tandem/ops/indexing.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

/// An index list sorted out: what Slice, Squeeze and Unsqueeze get.
struct IndexPlan {
  Dims starts, ends, axes, steps;   // ranges, and positions of known sizes as ranges of one
  Dims dropped;                     // dimensions indexed by a position
  Dims added;                       // new dimensions, counted in the result
  Dims gathered_axes, gathered_at;  // positions in dimensions whose size is not known while tracing
};

void add_range(IndexPlan& plan, int axis, int64_t start, int64_t end, int64_t step) {
  plan.axes.push_back(axis);
  plan.starts.push_back(start);
  plan.ends.push_back(end);
  plan.steps.push_back(step);
}

IndexPlan sort_out(const Shape& shape, std::span<const Index> indices) {
  IndexPlan plan;
  int axis = 0, position = 0;
  for (const Index& index : indices) {
    if (index.kind == Index::Kind::new_axis) {
      plan.added.push_back(position++);
      continue;
    }
    TD_CHECK(axis < shape.rank(), "more than {} indices were given for a tensor of shape {}", shape.rank(),
             shape);
    const int64_t size = shape[axis];
    switch (index.kind) {
      case Index::Kind::at:
        if (size < 0) {
          plan.gathered_axes.push_back(axis);
          plan.gathered_at.push_back(index.start);
        } else {
          TD_CHECK(index.start >= -size && index.start < size,
                   "index {} is out of range for size {} of dimension {}; expected {} to {}", index.start,
                   size, axis, -size, size - 1);
          const int64_t at = index.start < 0 ? index.start + size : index.start;
          add_range(plan, axis, at, at + 1, 1);
          plan.dropped.push_back(axis);
        }
        break;
      case Index::Kind::range: {
        TD_CHECK(index.step != 0, "the step of dimension {} is 0", axis);
        const bool forward = index.step > 0;
        const int64_t start = index.has_start ? index.start : (forward ? 0 : INT64_MAX);
        const int64_t stop = index.has_stop ? index.stop : (forward ? INT64_MAX : INT64_MIN);
        add_range(plan, axis, start, stop, index.step);
        ++position;
        break;
      }
      default:
        ++position;
    }
    ++axis;
  }
  TD_CHECK(position + shape.rank() - axis <= max_rank,
           "the result would have {} dimensions; at most {} are supported", position + shape.rank() - axis,
           max_rank);
  return plan;
}

Tensor take(const Tensor& x, std::span<const Index> indices, Location where) {
  const CallSite site(where);
  const IndexPlan plan = detail::named("index", where, [&] { return sort_out(x.shape().codes(), indices); });
  Tensor result = x;
  if (!plan.axes.empty()) result = slice(result, plan.starts, plan.ends, plan.axes, plan.steps);
  // From the back, so that the dimensions before keep their numbers.
  for (int i = plan.gathered_axes.size() - 1, d = plan.dropped.size() - 1; i >= 0 || d >= 0;) {
    if (d >= 0 && (i < 0 || plan.dropped[d] > plan.gathered_axes[i])) {
      // Runs of dropped dimensions go together.
      Dims run;
      for (; d >= 0 && (i < 0 || plan.dropped[d] > plan.gathered_axes[i]); --d)
        run.push_back(plan.dropped[d]);
      result = squeeze(result, run);
    } else {
      result = gather(result, plan.gathered_at[i], plan.gathered_axes[i]);
      --i;
    }
  }
  if (!plan.added.empty()) result = unsqueeze(result, plan.added);
  return result;
}

}  // namespace

Tensor Tensor::operator[](const Index& index) const { return take(*this, {&index, 1}, index.where); }

Tensor Tensor::operator[](std::initializer_list<Index> indices) const {
  Location where;
  for (const Index& index : indices)
    if (!where.known()) where = index.where;
  return take(*this, {indices.begin(), indices.size()}, where);
}

}  // namespace tandem
