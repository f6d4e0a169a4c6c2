// Stages that put several elements into one.

#include <algorithm>
#include <cstring>
#include <deque>
#include <numeric>

#include "core/check.h"
#include "core/tensor_impl.h"
#include "data/stages.h"

namespace tandem::data::detail {

namespace {

/// A number as the one element of a dtype.
Tensor padding_of(double value, DType dtype) {
  const Tensor scalar(value, DType::f64);
  Tensor cast = scalar.to(dtype);
  TD_CHECK(is_floating(dtype) || cast.to(DType::f64).item<double>() == value,
           "padded_batch: {} cannot stand in a tensor of {}", value, dtype);
  return cast;
}

Tensor stack_padded(const std::vector<Tensor>& leaves, double value, const Shape* wanted) {
  const Tensor& first = leaves.front();
  Shape sizes = first.shape().codes();
  for (size_t i = 1; i < leaves.size(); ++i) {
    TD_CHECK(leaves[i].dtype() == first.dtype(), "element {} of the batch is {} where the first is {}", i,
             leaves[i].dtype(), first.dtype());
    TD_CHECK(leaves[i].rank() == first.rank(), "element {} of the batch has shape {} where the first has {}",
             i, leaves[i].shape(), first.shape());
    for (int d = 0; d < sizes.rank(); ++d) sizes[d] = std::max(sizes[d], leaves[i].shape().codes()[d]);
  }
  if (wanted) {
    TD_CHECK(wanted->rank() == sizes.rank(), "padded_batch: elements of shape {} cannot be filled up to {}",
             first.shape(), *wanted);
    for (int d = 0; d < sizes.rank(); ++d) {
      if ((*wanted)[d] < 0) continue;
      TD_CHECK(sizes[d] <= (*wanted)[d],
               "padded_batch: an element of size {} in dimension {} is larger than {}", sizes[d], d, *wanted);
      sizes[d] = (*wanted)[d];
    }
  }
  Shape shape = sizes;
  shape.insert(0, static_cast<int64_t>(leaves.size()));
  Tensor result = tandem::detail::empty_tensor(first.dtype(), shape);
  const size_t element = size_of(first.dtype());
  auto* to = tandem::detail::mutable_data<std::byte>(result);
  const Tensor padding = padding_of(value, first.dtype());
  const auto* pad = static_cast<const std::byte*>(padding.impl()->data);
  for (int64_t i = 0; i < result.size(); ++i)
    std::memcpy(to + i * static_cast<int64_t>(element), pad, element);
  const int64_t count = sizes.element_count();
  for (const Tensor& leaf : leaves) {
    const Tensor dense = leaf.contiguous();
    const auto* from = static_cast<const std::byte*>(dense.impl()->data);
    // Runs along the last dimension; `at` counts through the others.
    const Shape own = leaf.shape().codes();
    const int64_t run = own.empty() ? 1 : own.back();
    const int64_t runs = run == 0 ? 0 : leaf.size() / run;
    Dims at = Dims::filled(std::max(sizes.rank() - 1, 0), 0);
    for (int64_t r = 0; r < runs; ++r) {
      int64_t offset = 0;
      for (int d = 0; d < at.rank(); ++d) offset = (offset + at[d]) * sizes[d + 1];
      std::memcpy(to + static_cast<size_t>(offset) * element, from, static_cast<size_t>(run) * element);
      from += static_cast<size_t>(run) * element;
      for (int d = at.rank() - 1; d >= 0 && ++at[d] == own[d]; --d) at[d] = 0;
    }
    to += static_cast<size_t>(count) * element;
  }
  return result;
}

Nest stack_padded(std::span<const Nest> elements, const PaddedBatchOptions& options) {
  const Nest& first = elements.front();
  const size_t positions = first.flatten().size();
  TD_CHECK(options.values.empty() || options.values.size() == positions,
           "padded_batch: {} values for elements of {} tensors", options.values.size(), positions);
  TD_CHECK(options.shapes.empty() || options.shapes.size() == positions,
           "padded_batch: {} shapes for elements of {} tensors", options.shapes.size(), positions);
  std::vector<std::vector<Tensor>> leaves(positions);
  for (size_t i = 0; i < elements.size(); ++i) {
    TD_CHECK(elements[i].same_form(first), "element {} of the batch is {} where the first is {}", i,
             elements[i].form(), first.form());
    const std::vector<Tensor> of_element = elements[i].flatten();
    for (size_t k = 0; k < positions; ++k) leaves[k].push_back(of_element[k]);
  }
  std::vector<Tensor> stacked;
  for (size_t k = 0; k < positions; ++k)
    stacked.push_back(stack_padded(leaves[k], options.values.empty() ? options.value : options.values[k],
                                   options.shapes.empty() ? nullptr : &options.shapes[k]));
  return first.with_leaves(stacked);
}

struct BatchKind {
  int64_t size = 1;
  bool drop = false;
  std::optional<PaddedBatchOptions> padding;

  Nest stack(std::span<const Nest> elements) const {
    return padding ? stack_padded(elements, *padding) : stack_elements(elements);
  }
};

class BatchRows final : public Rows {
 public:
  BatchRows(std::shared_ptr<const Rows> source, const BatchKind& kind, int64_t count)
      : source_(std::move(source)), kind_(kind), count_(count) {}
  int64_t count() const override { return count_; }
  Nest at(int64_t i) const override {
    const int64_t first = i * kind_.size, size = std::min(kind_.size, source_->count() - first);
    std::vector<int64_t> rows(static_cast<size_t>(size));
    std::iota(rows.begin(), rows.end(), first);
    if (!kind_.padding) return source_->gather(rows);
    std::vector<Nest> elements;
    for (int64_t row : rows) elements.push_back(source_->at(row));
    return kind_.stack(elements);
  }

 private:
  std::shared_ptr<const Rows> source_;
  BatchKind kind_;
  int64_t count_;
};

class BatchStage final : public Stage {
 public:
  BatchStage(StageHandle source, BatchKind kind) : source_(std::move(source)), kind_(std::move(kind)) {}
  int64_t cardinality() const override {
    const int64_t count = source_->cardinality();
    return count < 0 ? count : count / kind_.size + (!kind_.drop && count % kind_.size != 0);
  }
  std::string describe() const override {
    return fmt::format("{}.{}({}{})", source_->describe(), kind_.padding ? "padded_batch" : "batch",
                       kind_.size, kind_.drop ? ", drop remainder" : "");
  }
  bool has_rows() const override { return source_->has_rows(); }
  std::shared_ptr<const Rows> rows(int64_t pass) const override {
    return std::make_shared<BatchRows>(source_->rows(pass), kind_, cardinality());
  }
  Ahead ahead() const override {
    const Ahead source = source_->ahead();
    return {source.workers,
            source.any() ? std::max<int64_t>(source.elements / kind_.size, source.workers + 1) : 0};
  }
  std::unique_ptr<tandem::data::detail::Cursor> open(int64_t pass) const override {
    if (has_rows()) return Stage::open(pass);
    return std::make_unique<Cursor>(source_->open(pass), kind_);
  }

 private:
  class Cursor final : public tandem::data::detail::Cursor {
   public:
    Cursor(std::unique_ptr<tandem::data::detail::Cursor> source, const BatchKind& kind)
        : source_(std::move(source)), kind_(kind) {}
    bool next(Nest& element) override {
      std::vector<Nest> elements;
      Nest one;
      while (static_cast<int64_t>(elements.size()) < kind_.size && source_->next(one))
        elements.push_back(std::move(one));
      if (elements.empty() || (kind_.drop && static_cast<int64_t>(elements.size()) < kind_.size))
        return false;
      element = kind_.stack(elements);
      return true;
    }
    int64_t skip(int64_t count) override {
      const int64_t skipped = source_->skip(std::min(count, INT64_MAX / kind_.size) * kind_.size);
      return skipped / kind_.size + (!kind_.drop && skipped % kind_.size > 0 ? 1 : 0);
    }
    void save(IteratorState& state) const override { source_->save(state); }
    void load(StateReader& state) override { source_->load(state); }

   private:
    std::unique_ptr<tandem::data::detail::Cursor> source_;
    BatchKind kind_;
  };

  StageHandle source_;
  BatchKind kind_;
};

// ---- windows

struct WindowKind {
  int64_t size = 1, shift = 1, stride = 1;
  int64_t span() const { return (size - 1) * stride + 1; }
};

class WindowRows final : public Rows {
 public:
  WindowRows(std::shared_ptr<const Rows> source, WindowKind kind, int64_t count)
      : source_(std::move(source)), kind_(kind), count_(count) {}
  int64_t count() const override { return count_; }
  Nest at(int64_t i) const override {
    std::vector<int64_t> rows(static_cast<size_t>(kind_.size));
    for (int64_t k = 0; k < kind_.size; ++k) rows[k] = i * kind_.shift + k * kind_.stride;
    return source_->gather(rows);
  }

 private:
  std::shared_ptr<const Rows> source_;
  WindowKind kind_;
  int64_t count_;
};

class WindowsStage final : public Stage {
 public:
  WindowsStage(StageHandle source, WindowKind kind) : source_(std::move(source)), kind_(kind) {}
  int64_t cardinality() const override {
    const int64_t count = source_->cardinality();
    return count < 0 ? count : count < kind_.span() ? 0 : (count - kind_.span()) / kind_.shift + 1;
  }
  std::string describe() const override {
    return fmt::format("{}.windows({}, {}, {})", source_->describe(), kind_.size, kind_.shift, kind_.stride);
  }
  bool has_rows() const override { return source_->has_rows(); }
  std::shared_ptr<const Rows> rows(int64_t pass) const override {
    return std::make_shared<WindowRows>(source_->rows(pass), kind_, cardinality());
  }
  Ahead ahead() const override { return source_->ahead(); }
  std::unique_ptr<tandem::data::detail::Cursor> open(int64_t pass) const override {
    if (has_rows()) return Stage::open(pass);
    return std::make_unique<Cursor>(source_->open(pass), kind_);
  }

 private:
  class Cursor final : public tandem::data::detail::Cursor {
   public:
    Cursor(std::unique_ptr<tandem::data::detail::Cursor> source, WindowKind kind)
        : source_(std::move(source)), kind_(kind) {}
    bool next(Nest& element) override {
      if (to_skip_ > 0 && source_->skip(std::exchange(to_skip_, 0)) == 0) return false;
      while (static_cast<int64_t>(held_.size()) < kind_.span()) {
        Nest one;
        if (!source_->next(one)) return false;
        held_.push_back(std::move(one));
      }
      std::vector<Nest> window;
      for (int64_t k = 0; k < kind_.size; ++k) window.push_back(held_[k * kind_.stride]);
      element = stack_elements(window);
      ++given_;
      const int64_t gone = std::min<int64_t>(kind_.shift, kind_.span());
      held_.erase(held_.begin(), held_.begin() + gone);
      to_skip_ = kind_.shift - gone;
      return true;
    }
    // Windows overlap: what the next one shares with those before is read again.
    void save(IteratorState& state) const override { state.push_back(given_); }
    void load(StateReader& state) override {
      given_ = state.next_within(0, most_elements / kind_.shift);
      source_->skip(given_ * kind_.shift);
    }

   private:
    std::unique_ptr<tandem::data::detail::Cursor> source_;
    WindowKind kind_;
    std::deque<Nest> held_;
    int64_t given_ = 0, to_skip_ = 0;
  };

  StageHandle source_;
  WindowKind kind_;
};

// ---- unbatch

class UnbatchStage final : public Stage {
 public:
  explicit UnbatchStage(StageHandle source) : source_(std::move(source)) {}
  int64_t cardinality() const override {
    const int64_t count = source_->cardinality();
    return count > 0 ? unknown : count;
  }
  std::string describe() const override { return source_->describe() + ".unbatch()"; }
  std::unique_ptr<tandem::data::detail::Cursor> open(int64_t pass) const override {
    return std::make_unique<Cursor>(source_->open(pass));
  }

 private:
  class Cursor final : public tandem::data::detail::Cursor {
   public:
    explicit Cursor(std::unique_ptr<tandem::data::detail::Cursor> source) : source_(std::move(source)) {}
    bool next(Nest& element) override {
      while (!rows_ || next_ == rows_->count())
        if (!read()) return false;
      element = rows_->at(next_++);
      return true;
    }
    // The place before the batch at hand, and the row in it.
    void save(IteratorState& state) const override {
      const bool inside = rows_ && next_ < rows_->count();
      state.push_back(inside ? next_ : 0);
      if (inside)
        state.insert(state.end(), before_.begin(), before_.end());
      else
        source_->save(state);
    }
    void load(StateReader& state) override {
      const int64_t row = state.next_within(0, most_elements);
      source_->load(state);
      if (row == 0) return;
      TD_CHECK(read() && row < rows_->count(), "the state is impossible for an unbatch");
      next_ = row;
    }

   private:
    bool read() {
      before_.clear();
      source_->save(before_);
      Nest batch;
      if (!source_->next(batch)) return false;
      rows_ = tensors_stage(batch)->rows(0);
      next_ = 0;
      return true;
    }

    std::unique_ptr<tandem::data::detail::Cursor> source_;
    IteratorState before_;
    std::shared_ptr<const Rows> rows_;
    int64_t next_ = 0;
  };

  StageHandle source_;
};

}  // namespace

StageHandle batch_stage(StageHandle source, int64_t count, bool drop_remainder,
                        std::optional<PaddedBatchOptions> padding) {
  return std::make_shared<BatchStage>(std::move(source),
                                      BatchKind{count, drop_remainder, std::move(padding)});
}
StageHandle windows_stage(StageHandle source, int64_t size, int64_t shift, int64_t stride) {
  return std::make_shared<WindowsStage>(std::move(source), WindowKind{size, shift, stride});
}
StageHandle unbatch_stage(StageHandle source) { return std::make_shared<UnbatchStage>(std::move(source)); }

}  // namespace tandem::data::detail
