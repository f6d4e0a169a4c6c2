#pragma once
// The stages that data sets are made of; Dataset's methods check what users write and call these.

#include "data/stage.h"

namespace tandem::data::detail {

StageHandle tensors_stage(const Nest& rows);
StageHandle elements_stage(std::vector<Nest> elements);
StageHandle function_stage(std::string name, std::function<Nest(int64_t)> f, int64_t count);
StageHandle generator_stage(std::function<std::function<std::optional<Nest>()>()> make, int64_t cardinality);

StageHandle shuffle_stage(StageHandle source, uint64_t seed, const ShuffleOptions& options);
StageHandle repeat_stage(StageHandle source, int64_t count);
StageHandle take_stage(StageHandle source, int64_t count);
StageHandle skip_stage(StageHandle source, int64_t count);

StageHandle batch_stage(StageHandle source, int64_t count, bool drop_remainder);

StageHandle map_stage(StageHandle source, NestFunction f, int workers);
StageHandle random_map_stage(StageHandle source, uint64_t seed, RandomNestFunction f, int workers);
StageHandle prefetch_stage(StageHandle source, int64_t count);

/// How many are left of `cardinality` elements after `count` were left out; infinite and unknown stay.
int64_t without_first(int64_t cardinality, int64_t count);

}  // namespace tandem::data::detail
