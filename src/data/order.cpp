// Stages that leave elements as they are and change which come, and when.

#include <algorithm>
#include <numeric>
#include <utility>

#include "core/check.h"
#include "data/stages.h"

namespace tandem::data::detail {

int64_t without_first(int64_t cardinality, int64_t count) {
  return cardinality < 0 ? cardinality : std::max<int64_t>(cardinality - count, 0);
}

namespace {

constexpr int64_t default_window = 10000;

// ---- shuffle

class PermutedRows final : public Rows {
 public:
  PermutedRows(std::shared_ptr<const Rows> source, uint64_t seed, int64_t pass, int64_t block)
      : source_(std::move(source)), order_(static_cast<size_t>(source_->count())) {
    std::iota(order_.begin(), order_.end(), 0);
    const int64_t count = source_->count(), step = block > 0 ? block : std::max<int64_t>(count, 1);
    for (int64_t first = 0; first < count; first += step)
      for (int64_t i = std::min(first + step, count) - 1; i > first; --i)
        std::swap(order_[i], order_[first + below(random_bits(seed, pass, i), i - first + 1)]);
  }
  int64_t count() const override { return source_->count(); }
  Nest at(int64_t i) const override { return source_->at(order_[i]); }
  Nest gather(std::span<const int64_t> rows) const override {
    std::vector<int64_t> at(rows.size());
    std::transform(rows.begin(), rows.end(), at.begin(), [&](int64_t row) { return order_[row]; });
    return source_->gather(at);
  }

 private:
  std::shared_ptr<const Rows> source_;
  std::vector<int64_t> order_;
};

/// Which elements a window holds, by number and in its order, after `drawn` of `read` elements were drawn
/// from it. Found backwards: only the last draws matter, however many there were, because each but the last
/// few put a new element in a place of the window.
std::vector<int64_t> held_numbers(int64_t size, uint64_t seed, int64_t pass, int64_t read, int64_t drawn) {
  // A full window holds its size before each draw; when the source has ended, what is left.
  const bool full = read - drawn == size - 1;
  std::vector<int64_t> numbers(static_cast<size_t>(read - drawn));
  // Whose place in the result is each place of the window as it was before a draw; -1: nobody's.
  std::vector<int64_t> owner(static_cast<size_t>(std::min(size, read)), -1);
  std::iota(owner.begin(), owner.begin() + static_cast<ptrdiff_t>(numbers.size()), 0);
  int64_t unknown = read - drawn;
  for (int64_t i = drawn - 1; i >= 0 && unknown > 0; --i) {
    const int64_t count = full ? size : std::min(size, read - i), last = count - 1;
    const int64_t at = below(random_bits(seed, pass, i), count);
    // The last one went to the place of the one drawn.
    owner[static_cast<size_t>(last)] = at < last ? std::exchange(owner[static_cast<size_t>(at)], -1) : -1;
    if (i == 0 || i + size > read)
      continue;  // it was there at the start, or nothing was read before this draw
    int64_t& found = owner[static_cast<size_t>(last)];
    if (found < 0) continue;
    numbers[static_cast<size_t>(std::exchange(found, -1))] = i + size - 1;
    --unknown;
  }
  for (size_t place = 0; unknown > 0 && place < owner.size(); ++place)
    if (owner[place] >= 0) numbers[static_cast<size_t>(owner[place])] = static_cast<int64_t>(place);
  return numbers;
}

/// Elements are drawn from a window that is full while the source lasts; the last of it takes the place of
/// the one drawn.
class WindowCursor final : public Cursor {
 public:
  /// `most`: how many elements the source has at the most.
  WindowCursor(std::unique_ptr<Cursor> source, int64_t most, int64_t size, uint64_t seed, int64_t pass)
      : source_(std::move(source)), most_(most), size_(size), seed_(seed), pass_(pass) {}

  bool next(Nest& element) override {
    while (static_cast<int64_t>(held_.size()) < size_ && !ended_) {
      Nest next;
      ended_ = !source_->next(next);
      if (ended_) break;
      held_.push_back(std::move(next));
      ++read_;
    }
    if (held_.empty()) return false;
    const auto at =
        static_cast<size_t>(below(random_bits(seed_, pass_, drawn_++), static_cast<int64_t>(held_.size())));
    element = std::move(held_[at]);
    if (at + 1 < held_.size()) held_[at] = std::move(held_.back());
    held_.pop_back();
    return true;
  }
  // Which elements are in the window follows from how many were read and drawn: a restore reads those alone.
  void save(IteratorState& state) const override {
    state.push_back(read_);
    state.push_back(drawn_);
  }
  void load(StateReader& state) override {
    const int64_t read = state.next_within(0, most_);
    // Before the first draw it holds nothing, then never more than its size but for the one drawn.
    drawn_ = state.next_within(std::max<int64_t>(read > 0 ? 1 : 0, read - size_ + 1), read);
    const std::vector<int64_t> numbers = held_numbers(size_, seed_, pass_, read, drawn_);
    std::vector<size_t> by_number(numbers.size());
    std::iota(by_number.begin(), by_number.end(), 0);
    std::sort(by_number.begin(), by_number.end(),
              [&](size_t a, size_t b) { return numbers[a] < numbers[b]; });
    held_.resize(numbers.size());
    for (size_t i : by_number) {
      const int64_t gap = numbers[i] - read_;
      TD_CHECK(source_->skip(gap) == gap && source_->next(held_[i]),
               "the data set has become shorter than when the state was taken");
      read_ = numbers[i] + 1;
    }
    TD_CHECK(source_->skip(read - read_) == read - read_,
             "the data set has become shorter than when the state was taken");
    read_ = read;
  }

 private:
  std::unique_ptr<Cursor> source_;
  int64_t most_, size_;
  uint64_t seed_;
  int64_t pass_;
  std::vector<Nest> held_;
  int64_t read_ = 0, drawn_ = 0;
  bool ended_ = false;
};

class ShuffleStage final : public Stage {
 public:
  ShuffleStage(StageHandle source, uint64_t seed, const ShuffleOptions& options)
      : source_(std::move(source)), seed_(seed), options_(options) {
    const int64_t count = source_->cardinality();
    whole_ = source_->has_rows() && (options_.window == 0 || options_.window >= count);
    if (options_.window == 0) options_.window = default_window;
  }
  int64_t cardinality() const override { return source_->cardinality(); }
  std::string describe() const override {
    std::string more;
    if (!whole_) more += fmt::format(", window {}", options_.window);
    if (options_.block > 0) more += fmt::format(", block {}", options_.block);
    if (!options_.each_pass) more += ", once";
    return fmt::format("{}.shuffle({}{})", source_->describe(), seed_, more);
  }
  bool has_rows() const override { return whole_; }
  std::shared_ptr<const Rows> rows(int64_t pass) const override {
    return std::make_shared<PermutedRows>(source_->rows(pass), seed_, number_of(pass), options_.block);
  }
  Ahead ahead() const override { return source_->ahead(); }
  std::unique_ptr<Cursor> open(int64_t pass) const override {
    if (whole_) return Stage::open(pass);
    const int64_t count = source_->cardinality();
    return std::make_unique<WindowCursor>(source_->open(pass), count < 0 ? most_elements : count,
                                          options_.window, seed_, number_of(pass));
  }

 private:
  int64_t number_of(int64_t pass) const { return options_.each_pass ? pass : 0; }

  StageHandle source_;
  uint64_t seed_;
  ShuffleOptions options_;
  bool whole_ = false;
};

// ---- repeat

class RepeatStage final : public Stage {
 public:
  RepeatStage(StageHandle source, int64_t count) : source_(std::move(source)), count_(count) {}
  int64_t cardinality() const override {
    const int64_t once = source_->cardinality();
    if (count_ == 0 || once == 0) return 0;
    if (count_ < 0) return infinite;
    return once < 0 ? once : once * count_;
  }
  std::string describe() const override {
    return fmt::format("{}.repeat({})", source_->describe(), count_ < 0 ? "" : std::to_string(count_));
  }
  std::unique_ptr<tandem::data::detail::Cursor> open(int64_t pass) const override {
    return std::make_unique<Cursor>(source_, count_, pass);
  }

 private:
  class Cursor final : public tandem::data::detail::Cursor {
   public:
    Cursor(StageHandle source, int64_t count, int64_t pass)
        : source_(std::move(source)),
          count_(count),
          // No two passes of the whole share a pass of the source; pass 0 begins with its pass 0.
          first_pass_(
              count < 0 ? pass << 32
                        : static_cast<int64_t>(static_cast<uint64_t>(pass) * static_cast<uint64_t>(count))) {}
    bool next(Nest& element) override {
      for (; round_ != count_; ++round_) {
        if (!cursor_) begin();
        if (cursor_->next(element)) {
          any_ = true;
          return true;
        }
        cursor_ = nullptr;
        if (!any_) break;  // an empty source never becomes full
      }
      return false;
    }
    int64_t skip(int64_t count) override {
      int64_t skipped = 0;
      const int64_t once = source_->cardinality();
      for (; round_ != count_; ++round_) {
        if (!cursor_ && once > 0) {
          // Whole rounds need nobody to read them.
          int64_t rounds = (count - skipped) / once;
          if (count_ > 0) rounds = std::min(rounds, count_ - round_);
          any_ = any_ || rounds > 0;
          round_ += rounds;
          skipped += rounds * once;
          if (skipped == count || round_ == count_) break;
        }
        if (!cursor_) begin();
        const int64_t now = cursor_->skip(count - skipped);
        skipped += now;
        any_ = any_ || now > 0;
        if (skipped == count) break;
        cursor_ = nullptr;
        if (!any_) break;
      }
      return skipped;
    }
    void save(IteratorState& state) const override {
      state.push_back(round_);
      state.push_back(any_);
      state.push_back(cursor_ != nullptr);
      if (cursor_) cursor_->save(state);
    }
    void load(StateReader& state) override {
      round_ = state.next_within(0, count_ < 0 ? most_passes : count_);
      any_ = state.next_within(0, 1) != 0;
      if (state.next_within(0, 1) == 0) return;
      begin();
      cursor_->load(state);
    }

   private:
    void begin() { cursor_ = source_->open(first_pass_ + round_); }

    StageHandle source_;
    int64_t count_, first_pass_, round_ = 0;
    bool any_ = false;  // has any round had an element
    std::unique_ptr<tandem::data::detail::Cursor> cursor_;
  };

  StageHandle source_;
  int64_t count_;
};

// ---- take and skip

class RangeRows final : public Rows {
 public:
  RangeRows(std::shared_ptr<const Rows> source, int64_t first, int64_t count)
      : source_(std::move(source)), first_(first), count_(count) {}
  int64_t count() const override { return count_; }
  Nest at(int64_t i) const override { return source_->at(first_ + i); }
  Nest gather(std::span<const int64_t> rows) const override {
    std::vector<int64_t> at(rows.begin(), rows.end());
    for (int64_t& row : at) row += first_;
    return source_->gather(at);
  }

 private:
  std::shared_ptr<const Rows> source_;
  int64_t first_, count_;
};

class TakeStage final : public Stage {
 public:
  TakeStage(StageHandle source, int64_t count) : source_(std::move(source)), count_(count) {}
  int64_t cardinality() const override {
    const int64_t all = source_->cardinality();
    return all == infinite ? count_ : all == unknown ? unknown : std::min(all, count_);
  }
  std::string describe() const override { return fmt::format("{}.take({})", source_->describe(), count_); }
  bool has_rows() const override { return source_->has_rows(); }
  std::shared_ptr<const Rows> rows(int64_t pass) const override {
    return std::make_shared<RangeRows>(source_->rows(pass), 0, cardinality());
  }
  Ahead ahead() const override { return source_->ahead(); }
  std::unique_ptr<tandem::data::detail::Cursor> open(int64_t pass) const override {
    if (has_rows()) return Stage::open(pass);
    return std::make_unique<Cursor>(source_->open(pass), count_);
  }

 private:
  class Cursor final : public tandem::data::detail::Cursor {
   public:
    Cursor(std::unique_ptr<tandem::data::detail::Cursor> source, int64_t left)
        : source_(std::move(source)), left_(left) {}
    bool next(Nest& element) override {
      if (left_ == 0) return false;
      --left_;
      return source_->next(element);
    }
    int64_t skip(int64_t count) override {
      count = std::min(count, left_);
      left_ -= count;
      return source_->skip(count);
    }
    void save(IteratorState& state) const override {
      state.push_back(left_);
      source_->save(state);
    }
    void load(StateReader& state) override {
      left_ = state.next_within(0, left_);
      source_->load(state);
    }

   private:
    std::unique_ptr<tandem::data::detail::Cursor> source_;
    int64_t left_;
  };

  StageHandle source_;
  int64_t count_;
};

class SkipStage final : public Stage {
 public:
  SkipStage(StageHandle source, int64_t count) : source_(std::move(source)), count_(count) {}
  int64_t cardinality() const override { return without_first(source_->cardinality(), count_); }
  std::string describe() const override { return fmt::format("{}.skip({})", source_->describe(), count_); }
  bool has_rows() const override { return source_->has_rows(); }
  std::shared_ptr<const Rows> rows(int64_t pass) const override {
    return std::make_shared<RangeRows>(source_->rows(pass), std::min(count_, source_->cardinality()),
                                       cardinality());
  }
  Ahead ahead() const override { return source_->ahead(); }
  std::unique_ptr<tandem::data::detail::Cursor> open(int64_t pass) const override {
    if (has_rows()) return Stage::open(pass);
    return std::make_unique<Cursor>(source_->open(pass), count_);
  }

 private:
  class Cursor final : public tandem::data::detail::Cursor {
   public:
    Cursor(std::unique_ptr<tandem::data::detail::Cursor> source, int64_t count)
        : source_(std::move(source)), left_out_(count) {}
    bool next(Nest& element) override {
      begin();
      return source_->next(element);
    }
    int64_t skip(int64_t count) override {
      begin();
      return source_->skip(count);
    }
    void save(IteratorState& state) const override {
      state.push_back(left_out_);
      source_->save(state);
    }
    void load(StateReader& state) override {
      left_out_ = state.next_within(0, left_out_);
      source_->load(state);
    }

   private:
    void begin() {
      if (left_out_ > 0) source_->skip(std::exchange(left_out_, 0));
    }
    std::unique_ptr<tandem::data::detail::Cursor> source_;
    int64_t left_out_;  // still to be done
  };

  StageHandle source_;
  int64_t count_;
};

}  // namespace

StageHandle shuffle_stage(StageHandle source, uint64_t seed, const ShuffleOptions& options) {
  return std::make_shared<ShuffleStage>(std::move(source), seed, options);
}
StageHandle repeat_stage(StageHandle source, int64_t count) {
  return std::make_shared<RepeatStage>(std::move(source), count);
}
StageHandle take_stage(StageHandle source, int64_t count) {
  return std::make_shared<TakeStage>(std::move(source), count);
}
StageHandle skip_stage(StageHandle source, int64_t count) {
  return std::make_shared<SkipStage>(std::move(source), count);
}

}  // namespace tandem::data::detail
