// Stages that put several elements into one.

#include <algorithm>
#include <numeric>

#include "core/check.h"
#include "data/stages.h"

namespace tandem::data::detail {

namespace {

class BatchRows final : public Rows {
 public:
  BatchRows(std::shared_ptr<const Rows> source, int64_t size, int64_t count)
      : source_(std::move(source)), size_(size), count_(count) {}
  int64_t count() const override { return count_; }
  Nest at(int64_t i) const override {
    const int64_t first = i * size_;
    std::vector<int64_t> rows(static_cast<size_t>(std::min(size_, source_->count() - first)));
    std::iota(rows.begin(), rows.end(), first);
    return source_->gather(rows);
  }

 private:
  std::shared_ptr<const Rows> source_;
  int64_t size_, count_;
};

class BatchStage final : public Stage {
 public:
  BatchStage(StageHandle source, int64_t size, bool drop)
      : source_(std::move(source)), size_(size), drop_(drop) {}
  int64_t cardinality() const override {
    const int64_t count = source_->cardinality();
    return count < 0 ? count : drop_ ? count / size_ : count / size_ + (count % size_ != 0);
  }
  std::string describe() const override {
    return fmt::format("{}.batch({}{})", source_->describe(), size_, drop_ ? ", drop remainder" : "");
  }
  bool has_rows() const override { return source_->has_rows(); }
  std::shared_ptr<const Rows> rows(int64_t pass) const override {
    return std::make_shared<BatchRows>(source_->rows(pass), size_, cardinality());
  }
  Ahead ahead() const override {
    const Ahead source = source_->ahead();
    return {source.workers,
            source.any() ? std::max<int64_t>(source.elements / size_, source.workers + 1) : 0};
  }
  std::unique_ptr<tandem::data::detail::Cursor> open(int64_t pass) const override {
    if (has_rows()) return Stage::open(pass);
    return std::make_unique<Cursor>(source_->open(pass), size_, drop_);
  }

 private:
  class Cursor final : public tandem::data::detail::Cursor {
   public:
    Cursor(std::unique_ptr<tandem::data::detail::Cursor> source, int64_t size, bool drop)
        : source_(std::move(source)), size_(size), drop_(drop) {}
    bool next(Nest& element) override {
      std::vector<Nest> elements;
      Nest one;
      while (static_cast<int64_t>(elements.size()) < size_ && source_->next(one))
        elements.push_back(std::move(one));
      if (elements.empty() || (drop_ && static_cast<int64_t>(elements.size()) < size_)) return false;
      element = stack_elements(elements);
      return true;
    }
    int64_t skip(int64_t count) override {
      for (int64_t i = 0; i < count; ++i) {
        const int64_t skipped = source_->skip(size_);
        if (skipped == 0 || (drop_ && skipped < size_)) return i;
      }
      return count;
    }
    void save(IteratorState& state) const override { source_->save(state); }
    void load(StateReader& state) override { source_->load(state); }

   private:
    std::unique_ptr<tandem::data::detail::Cursor> source_;
    int64_t size_;
    bool drop_;
  };

  StageHandle source_;
  int64_t size_;
  bool drop_;
};

}  // namespace

StageHandle batch_stage(StageHandle source, int64_t count, bool drop_remainder) {
  return std::make_shared<BatchStage>(std::move(source), count, drop_remainder);
}

}  // namespace tandem::data::detail
