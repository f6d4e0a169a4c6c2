#pragma once
// Where the loops get their batches from.

#include <memory>
#include <optional>
#include <vector>

#include "tandem/nn/compile.h"
#include "tandem/nn/training_data.h"

namespace tandem::nn::detail {

/// Batches of one reader, pass by pass.
class BatchSource {
 public:
  virtual ~BatchSource() = default;
  /// Batches of a pass, or as data::Dataset::cardinality().
  virtual int64_t batch_count() const = 0;
  virtual void begin_pass(int64_t /*pass*/) {}
  /// The next batch of the pass; none at its end.
  virtual std::optional<Batch> next() = 0;
  /// Where the next batch of the pass comes from, in few numbers.
  virtual std::vector<int64_t> state() const = 0;
  /// Takes a pass up there, in place of begin_pass. Errors: a state of other data.
  virtual void restore(int64_t pass, const std::vector<int64_t>& state) = 0;
  /// False where all batches have one form for certain.
  virtual bool may_vary() const { return true; }
  virtual void on_epoch_begin(int64_t /*epoch*/) {}
  virtual void on_epoch_end(int64_t /*epoch*/) {}
};

/// How arrays are cut into batches.
struct CutOptions {
  int64_t batch_size = 32;
  Shuffle shuffle = false;
};

/// Arrays with a common first dimension.
struct Arrays {
  Nest x, y, sample_weight;
  int64_t count() const;
  Arrays rows(int64_t begin, int64_t end) const;
};

/// What a TrainingData holds.
class DataBody {
 public:
  virtual ~DataBody() = default;
  virtual std::unique_ptr<BatchSource> open(const CutOptions& options) const = 0;
  /// Null for what brings its own batches.
  virtual const Arrays* arrays() const { return nullptr; }
};

/// [x], [x, y] or [x, y, sample_weight], or x alone. Errors: other lists.
Batch batch_of(Nest element);
/// Errors: counts that differ, no examples, scalars, empty handles.
void check_arrays(const Arrays& arrays);
std::unique_ptr<BatchSource> open_arrays(Arrays arrays, const CutOptions& options);
/// Multiplies each batch's weights by those of its classes. Errors: several outputs, sample weights.
std::unique_ptr<BatchSource> with_class_weights(std::unique_ptr<BatchSource> source,
                                                const std::map<int64_t, double>& weights);

/// Cuts the endless row of passes into epochs of so many steps, or lets each pass be one.
class EpochReader {
 public:
  /// Passes are numbered from `first_pass` on.
  EpochReader(std::unique_ptr<BatchSource> source, std::optional<int64_t> steps, int64_t first_pass = 0);

  /// Batches of the epoch, or -1.
  int64_t batch_count() const;
  void begin_epoch(int64_t epoch);
  /// The next batch of the epoch. Errors: the data have never given one.
  std::optional<Batch> next();
  void end_epoch(int64_t epoch) { source_->on_epoch_end(epoch); }
  int64_t batches_done() const { return done_; }
  /// Where the epoch stands; the number of its batches done is `done`.
  std::vector<int64_t> state() const;
  void restore(int64_t done, const std::vector<int64_t>& state);
  /// Begins the next epoch with a new pass, wherever the last one ended.
  void rewind() {
    in_pass_ = false;
    pass_ = first_pass_;
  }

 private:
  void check_form(const Batch& batch);

  std::unique_ptr<BatchSource> source_;
  std::optional<int64_t> steps_;
  int64_t first_pass_, pass_;  ///< the pass that begins next
  int64_t done_ = 0;           ///< batches of this epoch
  bool in_pass_ = false, pass_began_in_epoch_ = false, ended_ = false, any_batch_ = false, warned_ = false;
  Nest first_;  ///< [x, y, weights] of the first batch, of which the others have the form and the ranks
};

}  // namespace tandem::nn::detail
