#include "tandem/data/dataset.h"

#include "core/check.h"
#include "data/stages.h"
#include "ops/dispatch.h"

namespace tandem::data {

namespace detail {

void refuse_element(const Nest& element, size_t wanted) {
  fail("the function takes {} tensor{}, but an element is {}", wanted, wanted == 1 ? "" : "s",
       element.form());
}

namespace {

/// A number for the kind of data set that a state belongs to (FNV-1a).
int64_t fingerprint(const std::string& text) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (unsigned char c : text) hash = (hash ^ c) * 0x100000001b3u;
  return static_cast<int64_t>(hash);
}

constexpr int max_workers = 256;

void check_workers(std::string_view name, const MapOptions& options) {
  TD_CHECK(options.workers >= 1 && options.workers <= max_workers,
           "{}: {} workers are out of range; expected 1 to {}", name, options.workers, max_workers);
}

}  // namespace
}  // namespace detail

// ---- Iterator

Iterator::Iterator(detail::StageHandle stage, int64_t pass)
    : stage_(std::move(stage)), pass_(pass), cursor_(stage_->open(pass)) {}
Iterator::~Iterator() = default;
Iterator::Iterator(Iterator&&) noexcept = default;
Iterator& Iterator::operator=(Iterator&&) noexcept = default;

std::optional<Nest> Iterator::next() {
  const Mode* mode = current_mode();
  TD_CHECK(!mode || !mode->is_tracing(),
           "a data set was read while a function is traced: the trace would see one element for ever; read "
           "outside and give the element as an argument");
  // Elements are the same whether or not somebody records what happens to them.
  const ModeScope no_mode(nullptr);
  Nest element;
  if (ended_ || !cursor_->next(element)) {
    ended_ = true;
    return std::nullopt;
  }
  return std::optional<Nest>(std::move(element));
}

int64_t Iterator::skip(int64_t count) {
  TD_CHECK(count >= 0, "skip: {} elements cannot be left out", count);
  const ModeScope no_mode(nullptr);
  return ended_ ? 0 : cursor_->skip(count);
}

IteratorState Iterator::state() const {
  IteratorState state = {detail::fingerprint(stage_->describe()), pass_, ended_};
  if (!ended_) cursor_->save(state);
  return state;
}

void Iterator::restore(const IteratorState& state) {
  detail::StateReader reader(state);
  TD_CHECK(reader.next() == detail::fingerprint(stage_->describe()),
           "the state belongs to another data set than {}", stage_->describe());
  const int64_t pass = reader.next_within(0, INT64_MAX);
  const bool ended = reader.next_within(0, 1) != 0;
  const ModeScope no_mode(nullptr);
  std::unique_ptr<detail::Cursor> cursor = stage_->open(pass);
  if (!ended) cursor->load(reader);
  TD_CHECK(reader.at_end(), "the state has more numbers than {} needs", stage_->describe());
  pass_ = pass;
  ended_ = ended;
  cursor_ = std::move(cursor);
}

// ---- Dataset

const detail::StageHandle& Dataset::checked() const {
  TD_CHECK(stage_, "an empty Dataset handle was used");
  return stage_;
}

Dataset Dataset::from_tensors(const Nest& rows) { return Dataset(detail::tensors_stage(rows)); }
Dataset Dataset::from_elements(std::vector<Nest> elements) {
  return Dataset(detail::elements_stage(std::move(elements)));
}
Dataset Dataset::range(int64_t count) {
  TD_CHECK(count >= 0, "range: a count of {} is negative; expected 0 or more", count);
  return Dataset(detail::function_stage(
      "range", [](int64_t i) { return Nest(Tensor(i, DType::i64)); }, count));
}
Dataset Dataset::make_function(std::function<Nest(int64_t)> f, int64_t count) {
  TD_CHECK(count >= 0, "from_function: a count of {} is negative; expected 0 or more", count);
  return Dataset(detail::function_stage("from_function", std::move(f), count));
}
Dataset Dataset::from_generator(std::function<std::function<std::optional<Nest>()>()> make,
                                int64_t cardinality) {
  TD_CHECK(cardinality >= unknown, "from_generator: a cardinality of {} means nothing", cardinality);
  return Dataset(detail::generator_stage(std::move(make), cardinality));
}

Dataset Dataset::shuffle(uint64_t seed, ShuffleOptions options) const {
  TD_CHECK(options.window >= 0 && options.block >= 0,
           "shuffle: a window of {} and a block of {}; expected 0 or more", options.window, options.block);
  TD_CHECK(options.block == 0 || (options.window == 0 && checked()->has_rows()),
           "shuffle: blocks need elements that can be had by number, and no window");
  return Dataset(detail::shuffle_stage(checked(), seed, options));
}
Dataset Dataset::batch(int64_t count, BatchOptions options) const {
  TD_CHECK(count >= 1, "batch: {} elements make no batch; expected 1 or more", count);
  return Dataset(detail::batch_stage(checked(), count, options.drop_remainder));
}
Dataset Dataset::repeat(int64_t count) const {
  TD_CHECK(count >= infinite, "repeat: a count of {} means nothing; expected 0 or more, or infinite", count);
  return Dataset(detail::repeat_stage(checked(), count));
}
Dataset Dataset::take(int64_t count) const {
  TD_CHECK(count >= 0, "take: a count of {} is negative; expected 0 or more", count);
  return Dataset(detail::take_stage(checked(), count));
}
Dataset Dataset::skip(int64_t count) const {
  TD_CHECK(count >= 0, "skip: a count of {} is negative; expected 0 or more", count);
  return Dataset(detail::skip_stage(checked(), count));
}
Dataset Dataset::make_map(detail::NestFunction f, MapOptions options) const {
  detail::check_workers("map", options);
  return Dataset(detail::map_stage(checked(), std::move(f), options.workers));
}
Dataset Dataset::make_random_map(uint64_t seed, detail::RandomNestFunction f, MapOptions options) const {
  detail::check_workers("map_random", options);
  return Dataset(detail::random_map_stage(checked(), seed, std::move(f), options.workers));
}
Dataset Dataset::prefetch(int64_t count) const {
  TD_CHECK(count >= 1, "prefetch: {} elements cannot be kept ready; expected 1 or more", count);
  return Dataset(detail::prefetch_stage(checked(), count));
}

int64_t Dataset::cardinality() const { return checked()->cardinality(); }
Iterator Dataset::iterate(int64_t pass) const {
  TD_CHECK(pass >= 0, "iterate: pass {} is negative; passes count from 0", pass);
  return Iterator(checked(), pass);
}
std::string Dataset::describe() const { return checked()->describe(); }

}  // namespace tandem::data
