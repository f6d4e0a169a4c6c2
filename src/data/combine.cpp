// Stages that make one data set of several.

#include <algorithm>
#include <array>

#include "core/check.h"
#include "data/stages.h"

namespace tandem::data::detail {

namespace {

using CursorHandle = std::unique_ptr<Cursor>;

/// As much ahead as the one of them that is most so.
Ahead most_ahead(std::span<const StageHandle> sources) {
  Ahead most;
  for (const StageHandle& source : sources) {
    const Ahead ahead = source->ahead();
    most = {std::max(most.workers, ahead.workers), std::max(most.elements, ahead.elements)};
  }
  return most;
}

bool all_have_rows(std::span<const StageHandle> sources) {
  return std::all_of(sources.begin(), sources.end(), [](const StageHandle& s) { return s->has_rows(); });
}

// ---- zip

class ZippedRows final : public Rows {
 public:
  explicit ZippedRows(std::vector<std::shared_ptr<const Rows>> parts) : parts_(std::move(parts)) {
    count_ = parts_.front()->count();
    for (const auto& part : parts_) count_ = std::min(count_, part->count());
  }
  int64_t count() const override { return count_; }
  Nest at(int64_t i) const override {
    return each([&](const Rows& part) { return part.at(i); });
  }
  Nest gather(std::span<const int64_t> rows) const override {
    return each([&](const Rows& part) { return part.gather(rows); });
  }

 private:
  template <class F>
  Nest each(F f) const {
    std::vector<Nest> entries;
    entries.reserve(parts_.size());
    for (const auto& part : parts_) entries.push_back(f(*part));
    return Nest(std::move(entries));
  }

  std::vector<std::shared_ptr<const Rows>> parts_;
  int64_t count_ = 0;
};

class ZippedCursor final : public Cursor {
 public:
  explicit ZippedCursor(std::vector<CursorHandle> parts) : parts_(std::move(parts)) {}
  bool next(Nest& element) override {
    std::vector<Nest> entries(parts_.size());
    for (size_t i = 0; i < parts_.size(); ++i)
      if (!parts_[i]->next(entries[i])) return false;
    element = Nest(std::move(entries));
    return true;
  }
  int64_t skip(int64_t count) override {
    for (const auto& part : parts_) count = std::min(count, part->skip(count));
    return count;
  }
  void save(IteratorState& state) const override {
    for (const auto& part : parts_) part->save(state);
  }
  void load(StateReader& state) override {
    for (const auto& part : parts_) part->load(state);
  }

 private:
  std::vector<CursorHandle> parts_;
};

class ZipStage final : public Stage {
 public:
  explicit ZipStage(std::vector<StageHandle> sources) : sources_(std::move(sources)) {}
  int64_t cardinality() const override {
    int64_t least = infinite;
    for (const StageHandle& source : sources_) {
      const int64_t count = source->cardinality();
      if (count == unknown) return unknown;
      if (count >= 0) least = least < 0 ? count : std::min(least, count);
    }
    return least;
  }
  std::string describe() const override {
    std::string parts;
    for (const StageHandle& source : sources_) parts += (parts.empty() ? "" : ", ") + source->describe();
    return fmt::format("zip({})", parts);
  }
  bool has_rows() const override { return all_have_rows(sources_); }
  std::shared_ptr<const Rows> rows(int64_t pass) const override {
    std::vector<std::shared_ptr<const Rows>> parts;
    for (const StageHandle& source : sources_) parts.push_back(source->rows(pass));
    return std::make_shared<ZippedRows>(std::move(parts));
  }
  Ahead ahead() const override { return has_rows() ? most_ahead(sources_) : Ahead{}; }
  CursorHandle open(int64_t pass) const override {
    if (has_rows()) return Stage::open(pass);
    std::vector<CursorHandle> parts;
    for (const StageHandle& source : sources_) parts.push_back(source->open(pass));
    return std::make_unique<ZippedCursor>(std::move(parts));
  }

 private:
  std::vector<StageHandle> sources_;
};

// ---- concatenate

class JoinedRows final : public Rows {
 public:
  JoinedRows(std::shared_ptr<const Rows> first, std::shared_ptr<const Rows> second)
      : first_(std::move(first)), second_(std::move(second)) {}
  int64_t count() const override { return first_->count() + second_->count(); }
  Nest at(int64_t i) const override {
    const int64_t border = first_->count();
    return i < border ? first_->at(i) : second_->at(i - border);
  }
  Nest gather(std::span<const int64_t> rows) const override {
    const int64_t border = first_->count();
    if (std::all_of(rows.begin(), rows.end(), [&](int64_t row) { return row < border; }))
      return first_->gather(rows);
    return Rows::gather(rows);
  }

 private:
  std::shared_ptr<const Rows> first_, second_;
};

class JoinedCursor final : public Cursor {
 public:
  JoinedCursor(std::array<StageHandle, 2> sources, int64_t pass)
      : sources_(std::move(sources)), pass_(pass), cursor_(sources_[0]->open(pass)) {}
  bool next(Nest& element) override {
    if (cursor_->next(element)) return true;
    return at_first_ && (go_on(), cursor_->next(element));
  }
  int64_t skip(int64_t count) override {
    const int64_t skipped = cursor_->skip(count);
    if (skipped == count || !at_first_) return skipped;
    go_on();
    return skipped + cursor_->skip(count - skipped);
  }
  void save(IteratorState& state) const override {
    state.push_back(at_first_);
    cursor_->save(state);
  }
  void load(StateReader& state) override {
    if (state.next_within(0, 1) == 0) go_on();
    cursor_->load(state);
  }

 private:
  void go_on() {
    at_first_ = false;
    cursor_ = sources_[1]->open(pass_);
  }

  std::array<StageHandle, 2> sources_;
  int64_t pass_;
  CursorHandle cursor_;
  bool at_first_ = true;
};

class ConcatenateStage final : public Stage {
 public:
  ConcatenateStage(StageHandle first, StageHandle second) : sources_{std::move(first), std::move(second)} {}
  int64_t cardinality() const override {
    const int64_t first = sources_[0]->cardinality(), second = sources_[1]->cardinality();
    if (first == infinite || second == infinite) return infinite;
    return first == unknown || second == unknown ? unknown : first + second;
  }
  std::string describe() const override {
    return fmt::format("{}.concatenate({})", sources_[0]->describe(), sources_[1]->describe());
  }
  bool has_rows() const override { return all_have_rows(sources_); }
  std::shared_ptr<const Rows> rows(int64_t pass) const override {
    return std::make_shared<JoinedRows>(sources_[0]->rows(pass), sources_[1]->rows(pass));
  }
  Ahead ahead() const override { return has_rows() ? most_ahead(sources_) : Ahead{}; }
  CursorHandle open(int64_t pass) const override {
    if (has_rows()) return Stage::open(pass);
    return std::make_unique<JoinedCursor>(sources_, pass);
  }

 private:
  std::array<StageHandle, 2> sources_;
};

// ---- interleave

using Opener = std::function<Dataset(const Nest&)>;

class InterleavedCursor final : public Cursor {
 public:
  InterleavedCursor(StageHandle source, Opener open, int64_t cycle, int64_t block, int64_t pass)
      : stage_(std::move(source)),
        source_(stage_->open(pass)),
        open_(std::move(open)),
        block_(block),
        pass_(pass),
        parts_(static_cast<size_t>(cycle)) {}

  bool next(Nest& element) override {
    for (size_t idle = 0; idle < parts_.size();) {
      Part& part = parts_[at_];
      if (!part.cursor && !ended_) fill(part);
      if (!part.cursor) {
        ++idle;
        turn();
        continue;
      }
      idle = 0;
      if (part.cursor->next(element)) {
        if (++given_ == block_) turn();
        return true;
      }
      part.cursor = nullptr;
      turn();
    }
    return false;
  }
  // The data sets that are open, by the number of the element that each was made of.
  void save(IteratorState& state) const override {
    state.push_back(opened_);
    state.push_back(at_);
    state.push_back(given_);
    for (const Part& part : parts_) {
      state.push_back(part.cursor ? part.number : -1);
      if (part.cursor) part.cursor->save(state);
    }
  }
  void load(StateReader& state) override {
    opened_ = state.next_within(0, most_elements);
    at_ = state.next_within(0, static_cast<int64_t>(parts_.size()) - 1);
    given_ = state.next_within(0, block_ - 1);
    for (Part& part : parts_) {
      part.number = state.next_within(-1, opened_ - 1);
      if (part.number < 0) continue;
      // They are few: for each, the source is read from its beginning.
      const CursorHandle source = stage_->open(pass_);
      Nest element;
      check_length(source->skip(part.number) == part.number && source->next(element));
      part.cursor = open_(element).stage()->open(pass_);
      part.cursor->load(state);
    }
    check_length(source_->skip(opened_) == opened_);
  }

 private:
  struct Part {
    CursorHandle cursor;
    int64_t number = -1;
  };
  static void check_length(bool long_enough) {
    TD_CHECK(long_enough, "the data set has become shorter than when the state was taken");
  }
  void turn() {
    at_ = (at_ + 1) % static_cast<int64_t>(parts_.size());
    given_ = 0;
  }
  void fill(Part& part) {
    Nest element;
    ended_ = !source_->next(element);
    if (ended_) return;
    part.number = opened_++;
    const Dataset data = open_(element);
    TD_CHECK(data.defined(), "interleave: the function gave an empty Dataset handle");
    part.cursor = data.stage()->open(pass_);
  }

  StageHandle stage_;
  CursorHandle source_;
  Opener open_;
  int64_t block_, pass_;
  std::vector<Part> parts_;
  int64_t at_ = 0, given_ = 0, opened_ = 0;
  bool ended_ = false;
};

class InterleaveStage final : public Stage {
 public:
  InterleaveStage(StageHandle source, Opener open, int64_t cycle, int64_t block)
      : source_(std::move(source)), open_(std::move(open)), cycle_(cycle), block_(block) {}
  int64_t cardinality() const override { return source_->cardinality() == 0 ? 0 : unknown; }
  std::string describe() const override {
    return fmt::format("{}.interleave({}, {})", source_->describe(), cycle_, block_);
  }
  CursorHandle open(int64_t pass) const override {
    return std::make_unique<InterleavedCursor>(source_, open_, cycle_, block_, pass);
  }

 private:
  StageHandle source_;
  Opener open_;
  int64_t cycle_, block_;
};

}  // namespace

StageHandle zip_stage(std::vector<StageHandle> sources) {
  return std::make_shared<ZipStage>(std::move(sources));
}

StageHandle concatenate_stage(StageHandle first, StageHandle second) {
  return std::make_shared<ConcatenateStage>(std::move(first), std::move(second));
}

StageHandle interleave_stage(StageHandle source, Opener open, int64_t cycle, int64_t block) {
  return std::make_shared<InterleaveStage>(std::move(source), std::move(open), cycle, block);
}

}  // namespace tandem::data::detail
