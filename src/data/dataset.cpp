#include "tandem/data/dataset.h"

#include <algorithm>
#include <cmath>

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
  const int64_t pass = reader.next_within(0, detail::most_passes);
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

Dataset::Dataset(detail::StageHandle stage) : stage_(std::move(stage)) {}

Dataset Dataset::with(detail::StageHandle stage) const {
  Dataset result(std::move(stage));
  result.hooks_ = hooks_;
  return result;
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
  return Dataset(detail::generator_stage("from_generator", std::move(make), cardinality));
}

Dataset Dataset::shuffle(uint64_t seed, ShuffleOptions options) const {
  TD_CHECK(options.window >= 0 && options.block >= 0,
           "shuffle: a window of {} and a block of {}; expected 0 or more", options.window, options.block);
  TD_CHECK(options.block == 0 || (options.window == 0 && checked()->has_rows()),
           "shuffle: blocks need elements that can be had by number, and no window");
  return with(detail::shuffle_stage(checked(), seed, options));
}
Dataset Dataset::batch(int64_t count, BatchOptions options) const {
  TD_CHECK(count >= 1, "batch: {} elements make no batch; expected 1 or more", count);
  return with(detail::batch_stage(checked(), count, options.drop_remainder));
}
Dataset Dataset::repeat(int64_t count) const {
  TD_CHECK(count >= infinite, "repeat: a count of {} means nothing; expected 0 or more, or infinite", count);
  return with(detail::repeat_stage(checked(), count));
}
Dataset Dataset::take(int64_t count) const {
  TD_CHECK(count >= 0, "take: a count of {} is negative; expected 0 or more", count);
  return with(detail::take_stage(checked(), count));
}
Dataset Dataset::skip(int64_t count) const {
  TD_CHECK(count >= 0, "skip: a count of {} is negative; expected 0 or more", count);
  return with(detail::skip_stage(checked(), count));
}
Dataset Dataset::make_map(detail::NestFunction f, MapOptions options) const {
  detail::check_workers("map", options);
  return with(detail::map_stage(checked(), std::move(f), options.workers));
}
Dataset Dataset::make_random_map(uint64_t seed, detail::RandomNestFunction f, MapOptions options) const {
  detail::check_workers("map_random", options);
  return with(detail::random_map_stage(checked(), seed, std::move(f), options.workers));
}
Dataset Dataset::zip(const std::vector<Dataset>& parts) {
  TD_CHECK(!parts.empty(), "zip was given no data set");
  std::vector<detail::StageHandle> stages;
  for (const Dataset& part : parts) stages.push_back(part.checked());
  Dataset result(detail::zip_stage(std::move(stages)));
  for (const Dataset& part : parts) result.add_hooks(part);
  return result;
}
Dataset Dataset::padded_batch(int64_t count, PaddedBatchOptions options) const {
  TD_CHECK(count >= 1, "padded_batch: {} elements make no batch; expected 1 or more", count);
  const bool drop = options.drop_remainder;
  return with(detail::batch_stage(checked(), count, drop, std::move(options)));
}
Dataset Dataset::windows(int64_t size, int64_t shift, int64_t stride) const {
  TD_CHECK(size >= 1 && shift >= 1 && stride >= 1,
           "windows: a size of {}, a shift of {} and a stride of {}; expected 1 or more", size, shift,
           stride);
  return with(detail::windows_stage(checked(), size, shift, stride));
}
Dataset Dataset::unbatch() const { return with(detail::unbatch_stage(checked())); }
Dataset Dataset::make_filter(std::function<bool(const Nest&)> f) const {
  return with(detail::filter_stage(checked(), std::move(f)));
}
Dataset Dataset::enumerate() const { return with(detail::enumerate_stage(checked())); }
Dataset Dataset::concatenate(const Dataset& other) const {
  Dataset result = with(detail::concatenate_stage(checked(), other.checked()));
  result.add_hooks(other);
  return result;
}
Dataset Dataset::make_interleave(std::function<Dataset(const Nest&)> f, InterleaveOptions options) const {
  TD_CHECK(options.cycle >= 1 && options.block >= 1,
           "interleave: a cycle of {} and a block of {}; expected 1 or more", options.cycle, options.block);
  return with(detail::interleave_stage(checked(), std::move(f), options.cycle, options.block));
}
std::pair<Dataset, Dataset> Dataset::split(double fraction) const {
  const int64_t all = cardinality();
  TD_CHECK(all >= 0, "split: {} has no known length; take and skip cut it at a number", describe());
  const int64_t first = std::llround(fraction * static_cast<double>(all));
  TD_CHECK(first > 0 && first < all,
           "split: a fraction of {} cuts {} elements into {} and {}; both need some", fraction, all, first,
           all - first);
  return {take(first), skip(first)};
}
std::pair<Dataset, Dataset> Dataset::split(double fraction, uint64_t seed) const {
  return shuffle(seed, {.each_pass = false}).split(fraction);
}
Dataset Dataset::cache() const { return with(detail::memory_cache_stage(checked())); }
Dataset Dataset::cache(const std::string& path) const {
  return with(detail::file_cache_stage(checked(), path));
}

void Dataset::add_hooks(const Dataset& other) {
  for (const auto& hooks : other.hooks_)
    if (std::find(hooks_.begin(), hooks_.end(), hooks) == hooks_.end()) hooks_.push_back(hooks);
}
Dataset Dataset::on_epoch(std::function<void(int64_t)> begin, std::function<void(int64_t)> end) const {
  Dataset result = with(checked());
  result.hooks_.push_back(std::make_shared<Hooks>(Hooks{std::move(begin), std::move(end)}));
  return result;
}
void Dataset::begin_epoch(int64_t epoch) const {
  for (const auto& hooks : hooks_)
    if (hooks->begin) hooks->begin(epoch);
}
void Dataset::end_epoch(int64_t epoch) const {
  for (const auto& hooks : hooks_)
    if (hooks->end) hooks->end(epoch);
}

Dataset Dataset::prefetch(int64_t count) const {
  TD_CHECK(count >= 1, "prefetch: {} elements cannot be kept ready; expected 1 or more", count);
  return with(detail::prefetch_stage(checked(), count));
}

int64_t Dataset::cardinality() const { return checked()->cardinality(); }
Iterator Dataset::iterate(int64_t pass) const {
  TD_CHECK(pass >= 0, "iterate: pass {} is negative; passes count from 0", pass);
  return Iterator(checked(), pass);
}
std::string Dataset::describe() const { return checked()->describe(); }

}  // namespace tandem::data
