// Where data sets begin: tensors in memory, lists, functions of a number, generators.

#include <algorithm>
#include <cstring>

#include "core/check.h"
#include "core/tensor_impl.h"
#include "data/stages.h"
#include "runtime/parallel.h"

namespace tandem::data::detail {

namespace {

// Copying less than this is not worth waking a thread for.
constexpr int64_t bytes_a_thread = int64_t{1} << 18;

Shape shape_of_row(const Tensor& t) {
  Shape shape = t.shape().codes();
  shape.erase(0);
  return shape;
}

/// Rows `first` to `first + count` of a contiguous tensor, without a copy. No op: it is neither recorded nor
/// traced, whoever reads.
Tensor slice_rows(const Tensor& t, int64_t first, const Shape& shape) {
  tandem::detail::TensorImpl* impl = t.impl();
  const int64_t row = t.shape().codes()[0] == 0 ? 0 : t.size() / t.shape().codes()[0];
  auto* data = static_cast<std::byte*>(impl->data) + static_cast<size_t>(first * row) * size_of(t.dtype());
  Strides strides = Strides::filled(shape.rank(), 0);
  int64_t step = 1;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    strides[i] = step;
    step *= shape[i];
  }
  return Tensor::adopt(tandem::detail::make_view(impl, data, t.dtype(), shape, strides));
}

Tensor gather_rows(const Tensor& t, std::span<const int64_t> rows) {
  Shape shape = t.shape().codes();
  shape[0] = static_cast<int64_t>(rows.size());
  bool together = true;
  for (size_t i = 1; i < rows.size(); ++i) together = together && rows[i] == rows[i - 1] + 1;
  if (together && !rows.empty()) return slice_rows(t, rows[0], shape);
  Tensor result = tandem::detail::empty_tensor(t.dtype(), shape);
  const auto bytes = static_cast<int64_t>(size_of(t.dtype())) *
                     (t.shape().codes()[0] == 0 ? 0 : t.size() / t.shape().codes()[0]);
  if (bytes == 0) return result;
  auto* to = tandem::detail::mutable_data<std::byte>(result);
  const auto* from = static_cast<const std::byte*>(t.impl()->data);
  runtime::parallel_for(shape[0], std::max<int64_t>(1, bytes_a_thread / bytes),
                        [&](int64_t begin, int64_t end) {
                          for (int64_t i = begin; i < end; ++i)
                            std::memcpy(to + i * bytes, from + rows[i] * bytes, static_cast<size_t>(bytes));
                        });
  return result;
}

class TensorRows final : public Rows {
 public:
  explicit TensorRows(const Nest& tensors) {
    int64_t rows = -1;
    std::string sizes;
    bool differ = false;
    tensors_ = tensors.map([&](const Tensor& t) {
      TD_CHECK(t.defined(), "from_tensors was given an empty tensor handle");
      TD_CHECK(!t.is_symbolic(), "from_tensors was given a symbolic tensor; data sets hold values");
      TD_CHECK(t.rank() > 0, "from_tensors was given a scalar, which has no rows");
      if (rows < 0) rows = t.shape().codes()[0];
      differ = differ || rows != t.shape().codes()[0];
      sizes += fmt::format("{}{}", sizes.empty() ? "" : ", ", t.shape().codes()[0]);
      return t.contiguous();
    });
    TD_CHECK(rows >= 0, "from_tensors was given no tensor");
    TD_CHECK(!differ, "from_tensors was given tensors with different numbers of rows: {}", sizes);
    count_ = rows;
  }
  int64_t count() const override { return count_; }
  Nest at(int64_t i) const override {
    return tensors_.map([&](const Tensor& t) { return slice_rows(t, i, shape_of_row(t)); });
  }
  Nest gather(std::span<const int64_t> rows) const override {
    return tensors_.map([&](const Tensor& t) { return gather_rows(t, rows); });
  }

 private:
  Nest tensors_;
  int64_t count_ = 0;
};

class ElementRows final : public Rows {
 public:
  explicit ElementRows(std::vector<Nest> elements) : elements_(std::move(elements)) {}
  int64_t count() const override { return static_cast<int64_t>(elements_.size()); }
  Nest at(int64_t i) const override { return elements_[static_cast<size_t>(i)]; }

 private:
  std::vector<Nest> elements_;
};

class FunctionRows final : public Rows {
 public:
  FunctionRows(std::function<Nest(int64_t)> f, int64_t count) : f_(std::move(f)), count_(count) {}
  int64_t count() const override { return count_; }
  Nest at(int64_t i) const override { return f_(i); }

 private:
  std::function<Nest(int64_t)> f_;
  int64_t count_;
};

/// Rows that are the same in every pass.
class FixedStage final : public Stage {
 public:
  FixedStage(std::string name, std::shared_ptr<const Rows> rows)
      : name_(std::move(name)), rows_(std::move(rows)) {}
  int64_t cardinality() const override { return rows_->count(); }
  std::string describe() const override { return fmt::format("{}({})", name_, rows_->count()); }
  bool has_rows() const override { return true; }
  std::shared_ptr<const Rows> rows(int64_t) const override { return rows_; }

 private:
  std::string name_;
  std::shared_ptr<const Rows> rows_;
};

class GeneratorStage final : public Stage {
 public:
  using Generator = std::function<std::optional<Nest>()>;
  GeneratorStage(std::string name, std::function<Generator()> make, int64_t cardinality)
      : name_(std::move(name)), make_(std::move(make)), cardinality_(cardinality) {}
  int64_t cardinality() const override { return cardinality_; }
  std::string describe() const override { return name_ + "()"; }
  std::unique_ptr<tandem::data::detail::Cursor> open(int64_t) const override {
    return std::make_unique<Cursor>(make_());
  }

 private:
  /// A generator can only be asked for more: going back to a place is starting over and asking as often.
  class Cursor final : public tandem::data::detail::Cursor {
   public:
    explicit Cursor(Generator generator) : generator_(std::move(generator)) {}
    bool next(Nest& element) override {
      std::optional<Nest> made = ended_ ? std::nullopt : generator_();
      ended_ = !made;
      if (ended_) return false;
      ++count_;
      element = std::move(*made);
      return true;
    }
    void save(IteratorState& state) const override { state.push_back(count_); }
    void load(StateReader& state) override { skip(state.next_within(0, most_elements)); }

   private:
    Generator generator_;
    int64_t count_ = 0;
    bool ended_ = false;
  };

  std::string name_;
  std::function<Generator()> make_;
  int64_t cardinality_;
};

}  // namespace

StageHandle rows_stage(std::string name, std::shared_ptr<const Rows> rows) {
  return std::make_shared<FixedStage>(std::move(name), std::move(rows));
}

StageHandle tensors_stage(const Nest& rows) {
  return std::make_shared<FixedStage>("from_tensors", std::make_shared<TensorRows>(rows));
}

StageHandle elements_stage(std::vector<Nest> elements) {
  return std::make_shared<FixedStage>("from_elements", std::make_shared<ElementRows>(std::move(elements)));
}

StageHandle function_stage(std::string name, std::function<Nest(int64_t)> f, int64_t count) {
  return std::make_shared<FixedStage>(std::move(name), std::make_shared<FunctionRows>(std::move(f), count));
}

StageHandle generator_stage(std::string name, std::function<std::function<std::optional<Nest>()>()> make,
                            int64_t cardinality) {
  return std::make_shared<GeneratorStage>(std::move(name), std::move(make), cardinality);
}

}  // namespace tandem::data::detail
