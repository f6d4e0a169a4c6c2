#include "nn/training/batch_source.h"

#include <algorithm>
#include <iostream>
#include <limits>

#include "core/check.h"
#include "tandem/ops.h"
#include "tandem/ops/random.h"

namespace tandem::nn::detail {

namespace {

Nest map_rows(const Nest& nest, int64_t begin, int64_t end) {
  return nest.map([&](const Tensor& t) { return t[{Index(begin, end)}]; });
}

Nest gathered(const Nest& nest, const Tensor& chosen) {
  return nest.map([&](const Tensor& t) { return gather(t, chosen); });
}

// The sizes of the first dimensions: "5, 6".
std::string counts_of(const Nest& nest, const char* what) {
  std::string text;
  for (const Tensor& t : nest.flatten()) {
    TD_CHECK(t.defined(), "{} has an empty tensor handle", what);
    TD_CHECK(t.rank() > 0, "{} has a scalar; the first dimension counts the examples", what);
    text += (text.empty() ? "" : ", ") + std::to_string(t.shape().codes()[0]);
  }
  return text;
}

class ArraySource final : public BatchSource {
 public:
  ArraySource(Arrays arrays, const CutOptions& options)
      : arrays_(std::move(arrays)), options_(options), count_(arrays_.count()) {}

  int64_t batch_count() const override { return (count_ + options_.batch_size - 1) / options_.batch_size; }

  void begin_pass(int64_t) override {
    next_ = 0;
    if (options_.shuffle.kind() == Shuffle::Kind::none) return;
    // One number decides a pass, so that a few numbers say where it stands.
    seed_ = random::randint(0, std::numeric_limits<int64_t>::max(), {}).item<int64_t>();
    draw_order();
  }

  std::optional<Batch> next() override {
    if (next_ >= count_) return std::nullopt;
    const int64_t begin = next_, end = std::min(begin + options_.batch_size, count_);
    next_ = end;
    if (options_.shuffle.kind() == Shuffle::Kind::none) {
      if (begin == 0 && end == count_) return Batch{arrays_.x, arrays_.y, arrays_.sample_weight};
      return Batch{map_rows(arrays_.x, begin, end), map_rows(arrays_.y, begin, end),
                   map_rows(arrays_.sample_weight, begin, end)};
    }
    const Tensor chosen = order_[{Index(begin, end)}];
    return Batch{gathered(arrays_.x, chosen), gathered(arrays_.y, chosen),
                 gathered(arrays_.sample_weight, chosen)};
  }

  bool may_vary() const override { return false; }
  std::vector<int64_t> state() const override { return {count_, next_, seed_}; }
  void restore(int64_t, const std::vector<int64_t>& state) override {
    TD_CHECK(state.size() == 3 && state[0] == count_ && state[1] >= 0 && state[1] <= count_,
             "the position belongs to other data than these {} examples", count_);
    next_ = state[1];
    seed_ = state[2];
    if (options_.shuffle.kind() != Shuffle::Kind::none) draw_order();
  }

 private:
  void draw_order() {
    const Variable generator = random::make_generator(static_cast<uint64_t>(seed_));
    if (options_.shuffle.kind() == Shuffle::Kind::all) {
      order_ = random::permutation(count_, generator);
      return;
    }
    // Inside each batch: the order of random numbers there.
    std::vector<int64_t> order(static_cast<size_t>(count_));
    for (int64_t begin = 0; begin < count_; begin += options_.batch_size) {
      const int64_t size = std::min(options_.batch_size, count_ - begin);
      const Tensor part = random::permutation(size, generator);
      for (int64_t i = 0; i < size; ++i)
        order[static_cast<size_t>(begin + i)] = begin + part.span<int64_t>()[static_cast<size_t>(i)];
    }
    order_ = from_vector(std::move(order), {count_});
  }

  Arrays arrays_;
  CutOptions options_;
  int64_t count_, next_ = 0, seed_ = 0;
  Tensor order_;
};

class GeneratorSource final : public BatchSource {
 public:
  explicit GeneratorSource(BatchGenerator generator) : generator_(std::move(generator)) {}

  int64_t batch_count() const override { return generator_.batches.value_or(data::unknown); }
  void begin_pass(int64_t) override { given_ = 0; }
  std::optional<Batch> next() override {
    std::optional<Nest> element = generator_.next();
    if (!element) return std::nullopt;
    ++given_;
    return batch_of(std::move(*element));
  }
  std::vector<int64_t> state() const override { return {given_}; }
  void restore(int64_t, const std::vector<int64_t>& state) override {
    TD_CHECK(state.size() == 1, "the position belongs to other data than a generator");
    for (; given_ < state[0]; ++given_)
      TD_CHECK(generator_.next(), "the generator gave {} batches and was at number {}", given_, state[0]);
  }
  void on_epoch_begin(int64_t epoch) override {
    if (generator_.on_epoch_begin) generator_.on_epoch_begin(epoch);
  }
  void on_epoch_end(int64_t epoch) override {
    if (generator_.on_epoch_end) generator_.on_epoch_end(epoch);
  }

 private:
  BatchGenerator generator_;
  int64_t given_ = 0;  ///< batches of this pass
};

class DatasetSource final : public BatchSource {
 public:
  explicit DatasetSource(data::Dataset dataset) : dataset_(std::move(dataset)) {}

  int64_t batch_count() const override { return dataset_.cardinality(); }
  void begin_pass(int64_t pass) override { iterator_.emplace(dataset_.iterate(pass)); }
  std::optional<Batch> next() override {
    std::optional<Nest> element = iterator_->next();
    if (!element) return std::nullopt;
    return batch_of(std::move(*element));
  }
  std::vector<int64_t> state() const override {
    return iterator_ ? iterator_->state() : data::IteratorState();
  }
  void restore(int64_t pass, const std::vector<int64_t>& state) override {
    iterator_.emplace(dataset_.iterate(pass));
    iterator_->restore(state);
  }

  void on_epoch_begin(int64_t epoch) override { dataset_.begin_epoch(epoch); }
  void on_epoch_end(int64_t epoch) override { dataset_.end_epoch(epoch); }

 private:
  data::Dataset dataset_;
  std::optional<data::Iterator> iterator_;
};

class ClassWeightedSource final : public BatchSource {
 public:
  ClassWeightedSource(std::unique_ptr<BatchSource> source, std::map<int64_t, double> weights)
      : source_(std::move(source)), weights_(std::move(weights)) {}

  int64_t batch_count() const override { return source_->batch_count(); }
  void begin_pass(int64_t pass) override { source_->begin_pass(pass); }
  std::optional<Batch> next() override {
    std::optional<Batch> batch = source_->next();
    if (batch) {
      TD_CHECK(batch->sample_weight.flatten().empty(),
               "both class weights and sample weights were given; expected one of them");
      const std::vector<Tensor> targets = batch->y.flatten();
      TD_CHECK(targets.size() == 1, "class weights need one output, and the targets are {}", batch->y.form());
      batch->sample_weight = weights_for(targets[0]);
    }
    return batch;
  }
  std::vector<int64_t> state() const override { return source_->state(); }
  void restore(int64_t pass, const std::vector<int64_t>& state) override { source_->restore(pass, state); }
  void on_epoch_begin(int64_t epoch) override { source_->on_epoch_begin(epoch); }
  void on_epoch_end(int64_t epoch) override { source_->on_epoch_end(epoch); }

 private:
  // Labels (n) or (n, 1), or one row for each example whose largest entry is its class.
  Tensor weights_for(const Tensor& targets) const {
    Tensor labels = targets;
    if (labels.rank() == 2 && labels.shape().codes()[1] > 1) labels = argmax(labels, -1);
    if (labels.rank() == 2) labels = squeeze(labels, {-1});
    TD_CHECK(labels.rank() == 1, "class weights need targets of shape (n,), (n, 1) or (n, classes), not {}",
             targets.shape());
    const std::vector<int64_t> classes = cast(labels, DType::i64).to_vector<int64_t>();
    std::vector<float> values(classes.size(), 1.f);
    for (size_t i = 0; i < classes.size(); ++i)
      if (const auto found = weights_.find(classes[i]); found != weights_.end())
        values[i] = static_cast<float>(found->second);
    const auto count = static_cast<int64_t>(values.size());
    return from_vector(std::move(values), {count});
  }

  std::unique_ptr<BatchSource> source_;
  std::map<int64_t, double> weights_;
};

class ArrayData final : public DataBody {
 public:
  explicit ArrayData(Arrays arrays) : arrays_(std::move(arrays)) {}
  std::unique_ptr<BatchSource> open(const CutOptions& options) const override {
    check_arrays(arrays_);
    return open_arrays(arrays_, options);
  }
  const Arrays* arrays() const override { return &arrays_; }

 private:
  Arrays arrays_;
};

class DatasetData final : public DataBody {
 public:
  explicit DatasetData(data::Dataset dataset) : dataset_(std::move(dataset)) {}
  std::unique_ptr<BatchSource> open(const CutOptions&) const override {
    TD_CHECK(dataset_.defined(), "the data set is an empty handle");
    return std::make_unique<DatasetSource>(dataset_);
  }

 private:
  data::Dataset dataset_;
};

class GeneratorData final : public DataBody {
 public:
  explicit GeneratorData(BatchGenerator generator) : generator_(std::move(generator)) {}
  std::unique_ptr<BatchSource> open(const CutOptions&) const override {
    TD_CHECK(generator_.next, "the generator has no function");
    return std::make_unique<GeneratorSource>(generator_);
  }

 private:
  BatchGenerator generator_;
};

}  // namespace

Batch batch_of(Nest element) {
  if (!element.is_list()) return {std::move(element), {}, {}};
  TD_CHECK(element.size() >= 1 && element.size() <= 3,
           "a batch is {}; expected [x], [x, y] or [x, y, sample_weight]", element.form());
  Batch batch{element[0], {}, {}};
  if (element.size() > 1) batch.y = element[1];
  if (element.size() > 2) batch.sample_weight = element[2];
  return batch;
}

int64_t Arrays::count() const { return x.flatten().front().shape().codes()[0]; }

Arrays Arrays::rows(int64_t begin, int64_t end) const {
  return {map_rows(x, begin, end), map_rows(y, begin, end), map_rows(sample_weight, begin, end)};
}

void check_arrays(const Arrays& arrays) {
  const std::string x = counts_of(arrays.x, "x"), y = counts_of(arrays.y, "y"),
                    weights = counts_of(arrays.sample_weight, "sample_weight");
  TD_CHECK(!x.empty(), "x has no tensors");
  const int64_t count = arrays.count();
  for (const Nest* nest : {&arrays.x, &arrays.y, &arrays.sample_weight})
    for (const Tensor& t : nest->flatten())
      TD_CHECK(t.shape().codes()[0] == count, "the numbers of examples differ: x {}{}{}", x,
               y.empty() ? "" : "; y " + y, weights.empty() ? "" : "; sample_weight " + weights);
  TD_CHECK(count > 0, "there are no examples");
}

std::unique_ptr<BatchSource> open_arrays(Arrays arrays, const CutOptions& options) {
  return std::make_unique<ArraySource>(std::move(arrays), options);
}

std::unique_ptr<BatchSource> with_class_weights(std::unique_ptr<BatchSource> source,
                                                const std::map<int64_t, double>& weights) {
  return std::make_unique<ClassWeightedSource>(std::move(source), weights);
}

EpochReader::EpochReader(std::unique_ptr<BatchSource> source, std::optional<int64_t> steps,
                         int64_t first_pass)
    : source_(std::move(source)), steps_(steps), first_pass_(first_pass), pass_(first_pass) {
  TD_CHECK(!steps || *steps > 0, "{} steps were asked for; expected 1 or more", *steps);
}

int64_t EpochReader::batch_count() const {
  const int64_t pass = source_->batch_count();
  if (!steps_) return pass >= 0 ? pass : -1;
  return pass >= 0 ? std::min(*steps_, pass) : *steps_;
}

void EpochReader::begin_epoch(int64_t epoch) {
  done_ = 0;
  ended_ = pass_began_in_epoch_ = false;
  source_->on_epoch_begin(epoch);
}

void EpochReader::check_form(const Batch& batch) {
  const auto describe = [](const Nest& nest) {
    std::string text;
    for (const Tensor& t : nest.flatten())
      text += fmt::format("{}{}{}", text.empty() ? "" : ", ", t.dtype(), t.shape());
    return nest.form() + ": " + text;
  };
  const auto fits = [](const Nest& a, const Nest& b) {
    if (!a.same_form(b)) return false;
    const std::vector<Tensor> x = a.flatten(), y = b.flatten();
    for (size_t i = 0; i < x.size(); ++i)
      if (x[i].rank() != y[i].rank() || x[i].dtype() != y[i].dtype()) return false;
    return true;
  };
  const Nest now{batch.x, batch.y, batch.sample_weight};
  if (!any_batch_ && first_.size() == 0) {
    TD_CHECK(!batch.x.flatten().empty(), "the first batch has no tensors");
    first_ = now;
  }
  TD_CHECK(fits(now, first_), "batch {} is {}; the batches before are {}", done_, describe(now),
           describe(first_));
}

std::optional<Batch> EpochReader::next() {
  while (!ended_ && (!steps_ || done_ < *steps_)) {
    if (!in_pass_) {
      source_->begin_pass(pass_++);
      in_pass_ = pass_began_in_epoch_ = true;
    }
    if (std::optional<Batch> batch = source_->next()) {
      if (source_->may_vary()) check_form(*batch);
      ++done_;
      any_batch_ = true;
      return batch;
    }
    in_pass_ = false;
    TD_CHECK(any_batch_, "the data gave no batch; expected at least one");
    ended_ = !steps_ || pass_began_in_epoch_;
    if (ended_ && steps_) {
      if (source_->batch_count() >= 0 && !std::exchange(warned_, true))
        std::cerr << "tandem: the data gave " << done_ << " batches and an epoch was to have " << *steps_
                  << "; epochs end early\n";
    }
  }
  return std::nullopt;
}

std::vector<int64_t> EpochReader::state() const {
  std::vector<int64_t> state{pass_, in_pass_ ? 1 : 0, pass_began_in_epoch_ ? 1 : 0};
  if (in_pass_) {
    const std::vector<int64_t> inner = source_->state();
    state.insert(state.end(), inner.begin(), inner.end());
  }
  return state;
}

void EpochReader::restore(int64_t done, const std::vector<int64_t>& state) {
  TD_CHECK(state.size() >= 3, "the position has {} numbers; expected at least 3", state.size());
  done_ = done;
  pass_ = state[0];
  in_pass_ = any_batch_ = state[1] != 0;
  pass_began_in_epoch_ = done > 0 && state[2] != 0;
  if (in_pass_) source_->restore(pass_ - 1, {state.begin() + 3, state.end()});
}

}  // namespace tandem::nn::detail

namespace tandem::nn {

TrainingData::TrainingData(Nest x, Nest y, Nest sample_weight)
    : body_(std::make_shared<detail::ArrayData>(
          detail::Arrays{std::move(x), std::move(y), std::move(sample_weight)})) {}

TrainingData::TrainingData(data::Dataset dataset)
    : body_(std::make_shared<detail::DatasetData>(std::move(dataset))) {}

TrainingData::TrainingData(BatchGenerator generator)
    : body_(std::make_shared<detail::GeneratorData>(std::move(generator))) {}

}  // namespace tandem::nn
