// Stages that call functions, and those that have it done ahead of the reader.

#include <algorithm>

#include "core/check.h"
#include "data/read_ahead.h"
#include "data/stages.h"
#include "tandem/ops/random.h"

namespace tandem::data::detail {

namespace {

/// `f` of an element and its number; an error says which element it was.
using NumberedFunction = std::function<Nest(const Nest&, int64_t pass, int64_t number)>;

Nest apply(const NumberedFunction& f, const Nest& element, int64_t pass, int64_t number) {
  try {
    return f(element, pass, number);
  } catch (Error& e) {
    e.add_context(fmt::format("in map, at element {}", number));
    throw;
  }
}

class MappedRows final : public Rows {
 public:
  MappedRows(std::shared_ptr<const Rows> source, NumberedFunction f, int64_t pass)
      : source_(std::move(source)), f_(std::move(f)), pass_(pass) {}
  int64_t count() const override { return source_->count(); }
  Nest at(int64_t i) const override { return apply(f_, source_->at(i), pass_, i); }

 private:
  std::shared_ptr<const Rows> source_;
  NumberedFunction f_;
  int64_t pass_;
};

class MapSource final : public AheadSource {
 public:
  MapSource(std::unique_ptr<Cursor> source, NumberedFunction f, int64_t pass)
      : source_(std::move(source)), f_(std::move(f)), pass_(pass) {}
  bool claim(Claim& claim) override {
    claim.number = number_++;
    return source_->next(claim.element);
  }
  void work(Claim& claim) const override { claim.element = apply(f_, claim.element, pass_, claim.number); }
  int64_t skip(int64_t count) override {
    count = source_->skip(count);
    number_ += count;
    return count;
  }
  void save(IteratorState& state) const override {
    state.push_back(number_);
    source_->save(state);
  }
  void load(StateReader& state) override {
    number_ = state.next_within(0, most_elements);
    source_->load(state);
  }

 private:
  std::unique_ptr<Cursor> source_;
  NumberedFunction f_;
  int64_t pass_, number_ = 0;
};

class MapStage final : public Stage {
 public:
  MapStage(StageHandle source, NumberedFunction f, std::string name, int workers)
      : source_(std::move(source)), f_(std::move(f)), name_(std::move(name)), workers_(workers) {}
  int64_t cardinality() const override { return source_->cardinality(); }
  std::string describe() const override { return fmt::format("{}.{}", source_->describe(), name_); }
  bool has_rows() const override { return source_->has_rows(); }
  std::shared_ptr<const Rows> rows(int64_t pass) const override {
    return std::make_shared<MappedRows>(source_->rows(pass), f_, pass);
  }
  Ahead ahead() const override {
    const Ahead before = source_->ahead();
    if (workers_ <= 1) return before;
    return {std::max(before.workers, workers_), std::max<int64_t>(before.elements, 2 * workers_)};
  }
  std::unique_ptr<Cursor> open(int64_t pass) const override {
    if (has_rows()) return Stage::open(pass);
    const Ahead ahead = workers_ > 1 ? Ahead{workers_, 2 * workers_} : Ahead{};
    return std::make_unique<AheadCursor>(std::make_unique<MapSource>(source_->open(pass), f_, pass), ahead);
  }

 private:
  StageHandle source_;
  NumberedFunction f_;
  std::string name_;
  int workers_;
};

class FilterStage final : public Stage {
 public:
  FilterStage(StageHandle source, std::function<bool(const Nest&)> predicate)
      : source_(std::move(source)), predicate_(std::move(predicate)) {}
  int64_t cardinality() const override {
    const int64_t all = source_->cardinality();
    return all > 0 ? unknown : all;
  }
  std::string describe() const override { return source_->describe() + ".filter()"; }
  std::unique_ptr<tandem::data::detail::Cursor> open(int64_t pass) const override {
    return std::make_unique<Cursor>(source_->open(pass), predicate_);
  }

 private:
  class Cursor final : public tandem::data::detail::Cursor {
   public:
    Cursor(std::unique_ptr<tandem::data::detail::Cursor> source, std::function<bool(const Nest&)> predicate)
        : source_(std::move(source)), predicate_(std::move(predicate)) {}
    bool next(Nest& element) override {
      while (source_->next(element))
        if (predicate_(element)) return true;
      return false;
    }
    void save(IteratorState& state) const override { source_->save(state); }
    void load(StateReader& state) override { source_->load(state); }

   private:
    std::unique_ptr<tandem::data::detail::Cursor> source_;
    std::function<bool(const Nest&)> predicate_;
  };

  StageHandle source_;
  std::function<bool(const Nest&)> predicate_;
};

/// Reading alone is the work, and it happens in order.
class PrefetchSource final : public AheadSource {
 public:
  explicit PrefetchSource(std::unique_ptr<Cursor> source) : source_(std::move(source)) {}
  bool claim(Claim& claim) override { return source_->next(claim.element); }
  void work(Claim&) const override {}
  int64_t skip(int64_t count) override { return source_->skip(count); }
  void save(IteratorState& state) const override { source_->save(state); }
  void load(StateReader& state) override { source_->load(state); }

 private:
  std::unique_ptr<Cursor> source_;
};

class PrefetchStage final : public Stage {
 public:
  PrefetchStage(StageHandle source, int64_t count) : source_(std::move(source)), count_(count) {}
  int64_t cardinality() const override { return source_->cardinality(); }
  std::string describe() const override { return source_->describe(); }
  bool has_rows() const override { return source_->has_rows(); }
  std::shared_ptr<const Rows> rows(int64_t pass) const override { return source_->rows(pass); }
  Ahead ahead() const override {
    const Ahead before = source_->ahead();
    return {std::max(before.workers, 1), std::max(before.elements, count_)};
  }
  std::unique_ptr<Cursor> open(int64_t pass) const override {
    if (has_rows()) return Stage::open(pass);
    return std::make_unique<AheadCursor>(std::make_unique<PrefetchSource>(source_->open(pass)),
                                         Ahead{1, count_});
  }

 private:
  StageHandle source_;
  int64_t count_;
};

}  // namespace

StageHandle map_stage(StageHandle source, NestFunction f, int workers) {
  return std::make_shared<MapStage>(
      std::move(source), [f = std::move(f)](const Nest& e, int64_t, int64_t) { return f(e); }, "map()",
      workers);
}

StageHandle random_map_stage(StageHandle source, uint64_t seed, RandomNestFunction f, int workers) {
  const auto with_generator = [seed, f = std::move(f)](const Nest& e, int64_t pass, int64_t number) {
    return f(e, random::make_generator(random_bits(seed, pass, number)));
  };
  return std::make_shared<MapStage>(std::move(source), with_generator, fmt::format("map_random({})", seed),
                                    workers);
}

StageHandle filter_stage(StageHandle source, std::function<bool(const Nest&)> predicate) {
  return std::make_shared<FilterStage>(std::move(source), std::move(predicate));
}

StageHandle enumerate_stage(StageHandle source) {
  const auto numbered = [](const Nest& e, int64_t, int64_t number) {
    return Nest{Tensor(number, DType::i64), e};
  };
  return std::make_shared<MapStage>(std::move(source), numbered, "enumerate()", 1);
}

StageHandle prefetch_stage(StageHandle source, int64_t count) {
  return std::make_shared<PrefetchStage>(std::move(source), count);
}

}  // namespace tandem::data::detail
