#pragma once
// Data sets: elements that are read one after the other, and what is done to them on their way to a model.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "tandem/nest.h"
#include "tandem/tensor.h"
#include "tandem/variable.h"

namespace tandem::data {

/// What cardinality() says of data sets that never end, and of those whose length only reading them tells.
inline constexpr int64_t infinite = -1, unknown = -2;

/// Where an Iterator stands: a few numbers, however long the data set is.
using IteratorState = std::vector<int64_t>;

namespace detail {
class Stage;
class Cursor;
using StageHandle = std::shared_ptr<const Stage>;
}  // namespace detail

/// Reads a data set from front to back. Its background threads, if any, end with it.
class Iterator {
 public:
  Iterator(detail::StageHandle stage, int64_t pass);
  ~Iterator();
  Iterator(Iterator&&) noexcept;
  Iterator& operator=(Iterator&&) noexcept;

  /// The next element; none at the end. Errors: what the data set's functions and files raise, at the element
  /// that raised it; the one after it comes next. Inside a td::function's trace.
  std::optional<Nest> next();
  /// Leaves out up to `count` elements, without computing them where that can be helped; says how many.
  int64_t skip(int64_t count);
  /// Where the next element comes from.
  IteratorState state() const;
  /// Goes on where `state()` was read, maybe in another process; the elements that follow are the same, at
  /// any number of workers. Errors: a state of another data set.
  void restore(const IteratorState& state);
  /// The number given to `iterate`, or restored.
  int64_t pass() const { return pass_; }

  /// One position of a range-for.
  class Position {
   public:
    using value_type = Nest;
    using difference_type = std::ptrdiff_t;
    explicit Position(std::shared_ptr<Iterator> owner) : owner_(std::move(owner)), element_(owner_->next()) {}
    const Nest& operator*() const { return *element_; }
    Position& operator++() {
      element_ = owner_->next();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const { return !element_; }

   private:
    std::shared_ptr<Iterator> owner_;
    std::optional<Nest> element_;
  };
  Position begin() { return Position(std::shared_ptr<Iterator>(std::shared_ptr<void>(), this)); }
  std::default_sentinel_t end() const { return {}; }

 private:
  detail::StageHandle stage_;
  int64_t pass_ = 0;
  std::unique_ptr<detail::Cursor> cursor_;
  bool ended_ = false;
};

/// How Dataset::shuffle mixes.
struct ShuffleOptions {
  /// Elements among which the next one is drawn. 0: all, where elements can be had by number (tensors, and
  /// what is made of them by map, zip, batch ...), else 10,000.
  int64_t window = 0;
  /// Above 0: elements trade places only inside their own block of so many.
  int64_t block = 0;
  /// False: every pass has the order of pass 0.
  bool each_pass = true;
};

/// Options of Dataset::batch.
struct BatchOptions {
  bool drop_remainder = false;  ///< leave out a last batch that is not full
};

/// How Dataset::padded_batch fills up.
struct PaddedBatchOptions {
  double value = 0;  ///< what stands where an element has nothing
  /// One for each tensor of an element, in order, where they differ.
  std::vector<double> values = {};
  /// Sizes that every dimension is filled up to, for each tensor of an element; -1: the largest of the batch.
  std::vector<Shape> shapes = {};
  bool drop_remainder = false;  ///< leave out a last batch that is not full
};

/// How Dataset::interleave takes turns.
struct InterleaveOptions {
  int64_t cycle = 4;  ///< data sets that are open at a time
  int64_t block = 1;  ///< elements that each gives before it is the next one's turn
};

/// Options of Dataset::map and map_random.
struct MapOptions {
  /// Threads that apply the function ahead of the reader; 1: the reader does. The elements' order and values
  /// are the same for any number.
  int workers = 1;
};

namespace detail {
using NestFunction = std::function<Nest(const Nest&)>;
using RandomNestFunction = std::function<Nest(const Nest&, const Variable&)>;
[[noreturn]] void refuse_element(const Nest& element, size_t wanted);

template <class R>
Nest to_nest(R&& result) {
  using T = std::remove_cvref_t<R>;
  if constexpr (requires { std::tuple_size<T>::value; })
    return std::apply(
        [](auto&&... entries) {
          std::vector<Nest> list;
          (list.push_back(to_nest(std::forward<decltype(entries)>(entries))), ...);
          return Nest(std::move(list));
        },
        std::forward<R>(result));
  else
    return Nest(std::forward<R>(result));
}

/// Calls `f` with the element as it is, or with the tensors that are its entries.
template <class F, class... More>
decltype(auto) call_on(F& f, const Nest& e, More&&... more) {
  const auto entry = [&](size_t i, size_t of) -> const Tensor& {
    if (!e.is_list() || e.size() != of || !e[i].is_leaf()) refuse_element(e, of);
    return e[i].leaf();
  };
  using T = const Tensor&;
  if constexpr (std::is_invocable_v<F&, const Nest&, More...>) {
    return f(e, std::forward<More>(more)...);
  } else if constexpr (std::is_invocable_v<F&, T, More...>) {
    if (!e.is_leaf()) refuse_element(e, 1);
    return f(e.leaf(), std::forward<More>(more)...);
  } else if constexpr (std::is_invocable_v<F&, T, T, More...>) {
    return f(entry(0, 2), entry(1, 2), std::forward<More>(more)...);
  } else {
    static_assert(std::is_invocable_v<F&, T, T, T, More...>,
                  "the function takes a td::Nest, or one to three tensors");
    return f(entry(0, 3), entry(1, 3), entry(2, 3), std::forward<More>(more)...);
  }
}
}  // namespace detail

/// A sequence of elements, each a Nest. A cheap handle on a description of work: nothing is read before
/// `iterate`, and each iteration reads anew.
///
///     auto train = td::data::Dataset::from_tensors({images, labels})
///                      .shuffle(42)
///                      .batch(32)
///                      .map([](td::Tensor x, td::Tensor y) { return td::Nest{td::cast(x, td::float32) / 255,
///                      y}; }) .prefetch();
///     for (int epoch = 0; epoch < 5; ++epoch)
///       for (const td::Nest& batch : train.iterate(epoch)) step(batch[0].leaf(), batch[1].leaf());
///
/// Elements depend on the data, the seeds and the pass alone: never on threads, workers or prefetching.
class Dataset {
 public:
  /// An empty handle: `defined()` is false.
  Dataset() = default;
  bool defined() const { return stage_ != nullptr; }

  /// One element a row: entry i of the first dimension of each tensor. Errors: scalars, numbers of rows that
  /// differ.
  static Dataset from_tensors(const Nest& rows);
  /// The elements themselves.
  static Dataset from_elements(std::vector<Nest> elements);
  /// The int64 scalars 0 to count - 1.
  static Dataset range(int64_t count);
  /// Element i is `f(i)`, a Nest or tensors; it must be the same whenever it is asked for.
  template <class F>
  static Dataset from_function(F f, int64_t count) {
    return make_function([f = std::move(f)](int64_t i) { return detail::to_nest(f(i)); }, count);
  }
  /// `make()` begins a pass: it gives a function that returns the next element, an std::optional<Nest>, each
  /// time it is called, and none at the end. `cardinality`: how many, where that is known.
  ///
  ///     Dataset::from_generator([] {
  ///       return [i = 0]() mutable -> std::optional<td::Nest> {
  ///         if (i == 3) return {};
  ///         return td::Nest(td::Tensor(i++));
  ///       };
  ///     });
  static Dataset from_generator(std::function<std::function<std::optional<Nest>()>()> make,
                                int64_t cardinality = unknown);

  /// Element i is the list of the data sets' elements i; the shortest ends it.
  static Dataset zip(const std::vector<Dataset>& parts);

  /// In random order, another one each pass; the seed and the pass decide it. Errors: negative options.
  Dataset shuffle(uint64_t seed, ShuffleOptions options = {}) const;
  /// `count` elements stacked to one, along a new first dimension. Errors: a count below 1; while reading,
  /// elements of different forms, dtypes or shapes.
  Dataset batch(int64_t count, BatchOptions options = {}) const;
  /// As batch, of tensors whose sizes differ: each is filled up to the largest of its batch.
  ///
  ///     sentences.padded_batch(32)                       // with zeros
  ///     sentences.padded_batch(32, {.values = {0, -1}})  // tokens with 0, labels with -1
  ///
  /// Errors: as batch; a value that the dtype has not, elements larger than `shapes`, wrong numbers of
  /// options.
  Dataset padded_batch(int64_t count, PaddedBatchOptions options = {}) const;
  /// Windows of `size` successive elements, stacked; the next one begins `shift` elements later. With a
  /// `stride` they hold every stride-th. Only full ones. `text.windows(65, 64)`. Errors: numbers below 1.
  Dataset windows(int64_t size, int64_t shift = 1, int64_t stride = 1) const;
  /// The rows of each element as elements of their own: batch undone.
  Dataset unbatch() const;
  /// The elements `count` times over, each time as another pass; without end by default.
  Dataset repeat(int64_t count = infinite) const;
  /// The first `count` elements. Errors: a count below 0.
  Dataset take(int64_t count) const;
  /// All but the first `count`. Errors: a count below 0.
  Dataset skip(int64_t count) const;
  /// `f` of each element. It takes the Nest, or the tensors that are its entries; it gives a Nest, a tensor,
  /// or a pair or tuple of them. With workers it is called from several threads at once.
  template <class F>
  Dataset map(F f, MapOptions options = {}) const {
    return make_map(
        [f = std::move(f)](const Nest& e) mutable { return detail::to_nest(detail::call_on(f, e)); },
        options);
  }
  /// As map, for random changes: `f` takes a generator behind the element, for td::random's functions. Its
  /// stream depends on the seed, the pass and the element's number alone.
  template <class F>
  Dataset map_random(uint64_t seed, F f, MapOptions options = {}) const {
    return make_random_map(
        seed,
        [f = std::move(f)](const Nest& e, const Variable& generator) mutable {
          return detail::to_nest(detail::call_on(f, e, generator));
        },
        options);
  }
  /// The elements of which `f` says true. It takes what map's function takes.
  template <class F>
  Dataset filter(F f) const {
    return make_filter([f = std::move(f)](const Nest& e) mutable { return bool(detail::call_on(f, e)); });
  }
  /// `[number, element]`, numbers as int64 from 0.
  Dataset enumerate() const;
  /// These elements, then the other's.
  Dataset concatenate(const Dataset& other) const;
  /// `f(element)` is a data set; several are open at a time and take turns: `files.interleave(open_file)`.
  /// Errors: options below 1.
  template <class F>
  Dataset interleave(F f, InterleaveOptions options = {}) const {
    return make_interleave(
        [f = std::move(f)](const Nest& e) mutable { return Dataset(detail::call_on(f, e)); }, options);
  }
  /// The first `fraction` of the elements, and the rest. Errors: a length that only reading tells, a part
  /// without elements.
  std::pair<Dataset, Dataset> split(double fraction) const;
  /// The same after shuffling once: the same elements in every pass.
  std::pair<Dataset, Dataset> split(double fraction, uint64_t seed) const;
  /// Keeps elements in memory as they are read; later passes have them at once. What is random before it
  /// stays as in pass 0.
  Dataset cache() const;
  /// Keeps them in a file instead, which the first pass writes as a whole before it begins: so elements can
  /// be had by number from there on, however many, and shuffled as a whole. An existing file of this data set
  /// is used as it is. Errors (io): the file cannot be written, is damaged, or belongs to another data set.
  Dataset cache(const std::string& path) const;
  /// Keeps `count` elements ready ahead of the reader, made by a thread in the background.
  /// Errors: a count below 1.
  Dataset prefetch(int64_t count = 2) const;

  /// How many elements there are: a number, `infinite` or `unknown`.
  int64_t cardinality() const;
  /// Calls `begin(epoch)` and `end(epoch)` around every epoch of fit; all that is made of this data set has
  /// the hooks, too. Iterating alone calls none.
  Dataset on_epoch(std::function<void(int64_t)> begin, std::function<void(int64_t)> end = {}) const;
  /// Runs the hooks, in the order in which they were added: for whoever trains.
  void begin_epoch(int64_t epoch) const;
  void end_epoch(int64_t epoch) const;

  /// Starts reading. Passes with different numbers shuffle differently; fit numbers its epochs.
  Iterator iterate(int64_t pass = 0) const;
  /// Pass 0 in a range-for.
  Iterator::Position begin() const { return Iterator::Position(std::make_shared<Iterator>(iterate())); }
  std::default_sentinel_t end() const { return {}; }
  /// What it is made of: `from_tensors(60000).shuffle(42).batch(32)`.
  std::string describe() const;

  // For Tandem's own layers.
  explicit Dataset(detail::StageHandle stage);
  const detail::StageHandle& stage() const { return stage_; }

 private:
  static Dataset make_function(std::function<Nest(int64_t)> f, int64_t count);
  Dataset make_map(detail::NestFunction f, MapOptions options) const;
  Dataset make_random_map(uint64_t seed, detail::RandomNestFunction f, MapOptions options) const;
  Dataset make_filter(std::function<bool(const Nest&)> f) const;
  Dataset make_interleave(std::function<Dataset(const Nest&)> f, InterleaveOptions options) const;
  const detail::StageHandle& checked() const;
  /// The data set of this stage, with this one's hooks.
  Dataset with(detail::StageHandle stage) const;
  void add_hooks(const Dataset& other);

  struct Hooks {
    std::function<void(int64_t)> begin, end;
  };
  detail::StageHandle stage_;
  std::vector<std::shared_ptr<const Hooks>> hooks_;
};

}  // namespace tandem::data
