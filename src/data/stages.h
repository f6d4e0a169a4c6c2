#pragma once
// The stages that data sets are made of; Dataset's methods check what users write and call these.

#include "data/stage.h"

namespace tandem::data::detail {

/// Rows that are the same in every pass.
StageHandle rows_stage(std::string name, std::shared_ptr<const Rows> rows);
StageHandle tensors_stage(const Nest& rows);
StageHandle elements_stage(std::vector<Nest> elements);
StageHandle function_stage(std::string name, std::function<Nest(int64_t)> f, int64_t count);
StageHandle generator_stage(std::string name, std::function<std::function<std::optional<Nest>()>()> make,
                            int64_t cardinality);

StageHandle shuffle_stage(StageHandle source, uint64_t seed, const ShuffleOptions& options);
StageHandle repeat_stage(StageHandle source, int64_t count);
StageHandle take_stage(StageHandle source, int64_t count);
StageHandle skip_stage(StageHandle source, int64_t count);

StageHandle batch_stage(StageHandle source, int64_t count, bool drop_remainder,
                        std::optional<PaddedBatchOptions> padding = {});
StageHandle windows_stage(StageHandle source, int64_t size, int64_t shift, int64_t stride);
StageHandle unbatch_stage(StageHandle source);

StageHandle map_stage(StageHandle source, NestFunction f, int workers);
StageHandle random_map_stage(StageHandle source, uint64_t seed, RandomNestFunction f, int workers);
StageHandle prefetch_stage(StageHandle source, int64_t count);
StageHandle filter_stage(StageHandle source, std::function<bool(const Nest&)> predicate);
StageHandle enumerate_stage(StageHandle source);

StageHandle zip_stage(std::vector<StageHandle> sources);
StageHandle concatenate_stage(StageHandle first, StageHandle second);
StageHandle interleave_stage(StageHandle source, std::function<Dataset(const Nest&)> open, int64_t cycle,
                             int64_t block);

StageHandle memory_cache_stage(StageHandle source);
StageHandle file_cache_stage(StageHandle source, std::string path);

/// How many are left of `cardinality` elements after `count` were left out; infinite and unknown stay.
int64_t without_first(int64_t cardinality, int64_t count);

}  // namespace tandem::data::detail
