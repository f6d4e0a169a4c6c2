#pragma once
// What a data set is made of. A Stage describes; Rows give elements by number; a Cursor reads them in order.

#include <memory>
#include <span>
#include <string>

#include "tandem/data/dataset.h"

namespace tandem::data::detail {

/// What no state exceeds: numbers of elements and of passes that are still far from overflowing.
inline constexpr int64_t most_elements = int64_t{1} << 53, most_passes = int64_t{1} << 30;

/// Takes the numbers of an IteratorState one after the other.
class StateReader {
 public:
  explicit StateReader(const IteratorState& state) : state_(state) {}
  int64_t next();
  /// A number of this range; what restores must not believe a state blindly.
  int64_t next_within(int64_t low, int64_t high);
  bool at_end() const { return at_ == state_.size(); }

 private:
  const IteratorState& state_;
  size_t at_ = 0;
};

/// Reads one pass.
class Cursor {
 public:
  virtual ~Cursor() = default;
  /// False at the end.
  virtual bool next(Nest& element) = 0;
  /// Leaves out up to `count` elements; says how many. Default: reads them.
  virtual int64_t skip(int64_t count);
  /// Appends where the next element comes from. Workers and prefetching leave no trace in it.
  virtual void save(IteratorState& state) const = 0;
  /// Only on a cursor that has read nothing yet.
  virtual void load(StateReader& state) = 0;
};

/// One pass's elements by number. Any thread may ask for any of them.
class Rows {
 public:
  virtual ~Rows() = default;
  virtual int64_t count() const = 0;
  virtual Nest at(int64_t i) const = 0;
  /// These elements, stacked.
  virtual Nest gather(std::span<const int64_t> rows) const;
};

/// Threads that prepare elements ahead of the reader, and how many elements they keep ready.
struct Ahead {
  int workers = 0;
  int64_t elements = 0;
  bool any() const { return workers > 0; }
};

class Stage {
 public:
  virtual ~Stage() = default;
  virtual int64_t cardinality() const = 0;
  /// Must name everything that changes what a state means, and neither workers nor prefetching.
  virtual std::string describe() const = 0;
  /// Whether elements can be had by number: then rows() gives them, and open() is done.
  virtual bool has_rows() const { return false; }
  virtual std::shared_ptr<const Rows> rows(int64_t pass) const;
  /// Of stages with rows: who makes them ahead of the reader. It is handed on to the stages that follow, so
  /// that the last one's elements, most often batches, are what a worker makes.
  virtual Ahead ahead() const { return {}; }
  /// Default: reads the rows in order.
  virtual std::unique_ptr<Cursor> open(int64_t pass) const;
};

/// Elements stacked along a new first dimension. Errors: forms, dtypes or shapes that differ.
Nest stack_elements(std::span<const Nest> elements);

/// Random bits for draw number `i` of a pass, the same everywhere.
uint64_t random_bits(uint64_t seed, int64_t pass, int64_t i);
/// A number below `bound` made of random bits.
int64_t below(uint64_t bits, int64_t bound);

}  // namespace tandem::data::detail
