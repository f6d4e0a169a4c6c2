#include "data/stage.h"

#include <cstring>

#include "core/check.h"
#include "core/tensor_impl.h"
#include "data/read_ahead.h"

namespace tandem::data::detail {

int64_t StateReader::next() {
  TD_CHECK(at_ < state_.size(), "the state is cut off after {} numbers", state_.size());
  return state_[at_++];
}

int64_t StateReader::next_within(int64_t low, int64_t high) {
  const int64_t value = next();
  TD_CHECK(value >= low && value <= high, "the state says {} where {} to {} is possible", value, low, high);
  return value;
}

int64_t Cursor::skip(int64_t count) {
  Nest element;
  for (int64_t i = 0; i < count; ++i)
    if (!next(element)) return i;
  return count;
}

Nest Rows::gather(std::span<const int64_t> rows) const {
  std::vector<Nest> elements;
  elements.reserve(rows.size());
  for (int64_t row : rows) elements.push_back(at(row));
  return stack_elements(elements);
}

std::shared_ptr<const Rows> Stage::rows(int64_t) const { return nullptr; }

namespace {

class RowsSource final : public AheadSource {
 public:
  explicit RowsSource(std::shared_ptr<const Rows> rows) : rows_(std::move(rows)) {}
  bool claim(Claim& claim) override {
    if (next_ == rows_->count()) return false;
    claim.number = next_++;
    return true;
  }
  void work(Claim& claim) const override { claim.element = rows_->at(claim.number); }
  int64_t skip(int64_t count) override {
    count = std::min(count, rows_->count() - next_);
    next_ += count;
    return count;
  }
  void save(IteratorState& state) const override { state.push_back(next_); }
  void load(StateReader& state) override { next_ = state.next_within(0, rows_->count()); }

 private:
  std::shared_ptr<const Rows> rows_;
  int64_t next_ = 0;
};

Tensor stack_leaves(const std::vector<Tensor>& leaves) {
  const Tensor& first = leaves.front();
  for (size_t i = 1; i < leaves.size(); ++i) {
    TD_CHECK(leaves[i].dtype() == first.dtype(), "element {} of the batch is {} where the first is {}", i,
             leaves[i].dtype(), first.dtype());
    TD_CHECK(leaves[i].shape() == first.shape(),
             "element {} of the batch has shape {} where the first has {}; padded_batch makes them equal", i,
             leaves[i].shape(), first.shape());
  }
  Shape shape = first.shape().codes();
  TD_CHECK(shape.rank() < max_rank,
           "elements of shape {} cannot be stacked: a tensor has at most {} dimensions", shape, max_rank);
  shape.insert(0, static_cast<int64_t>(leaves.size()));
  Tensor result = tandem::detail::empty_tensor(first.dtype(), shape);
  auto* to = tandem::detail::mutable_data<std::byte>(result);
  const size_t bytes = static_cast<size_t>(first.size()) * size_of(first.dtype());
  for (const Tensor& leaf : leaves) {
    const Tensor dense = leaf.contiguous();
    if (bytes > 0) std::memcpy(to, dense.impl()->data, bytes);
    to += bytes;
  }
  return result;
}

/// splitmix64's finisher: each bit of the result depends on each bit of x.
uint64_t mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

}  // namespace

std::unique_ptr<Cursor> Stage::open(int64_t pass) const {
  TD_ASSERT(has_rows());
  return std::make_unique<AheadCursor>(std::make_unique<RowsSource>(rows(pass)), ahead());
}

Nest stack_elements(std::span<const Nest> elements) {
  TD_ASSERT(!elements.empty());
  const Nest& first = elements.front();
  std::vector<std::vector<Tensor>> leaves;  // of each position, one an element
  for (size_t i = 0; i < elements.size(); ++i) {
    TD_CHECK(elements[i].same_form(first), "element {} of the batch is {} where the first is {}", i,
             elements[i].form(), first.form());
    const std::vector<Tensor> of_element = elements[i].flatten();
    leaves.resize(of_element.size());
    for (size_t k = 0; k < of_element.size(); ++k) leaves[k].push_back(of_element[k]);
  }
  std::vector<Tensor> stacked;
  stacked.reserve(leaves.size());
  for (const auto& of_position : leaves) stacked.push_back(stack_leaves(of_position));
  return first.with_leaves(stacked);
}

uint64_t random_bits(uint64_t seed, int64_t pass, int64_t i) {
  constexpr uint64_t step = 0x9e3779b97f4a7c15u;  // splitmix64's
  const uint64_t key = mix(mix(seed + step) ^ static_cast<uint64_t>(pass));
  return mix(key + step * (static_cast<uint64_t>(i) + 1));
}

int64_t below(uint64_t bits, int64_t bound) {
  return static_cast<int64_t>((static_cast<unsigned __int128>(bits) * static_cast<uint64_t>(bound)) >> 64);
}

}  // namespace tandem::data::detail
