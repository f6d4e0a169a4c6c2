#include "tandem/save.h"

#include "core/atomic_file.h"
#include "core/check.h"
#include "core/named.h"
#include "function/function_core.h"
#include "onnx/emitter.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace detail {

Tensor SavedArgument<Tensor>::value(const type& argument) {
  // Only the trace's shapes matter; 0 and 1 would not stand for any size.
  constexpr int64_t some_size = 2;
  Dims shape = argument.given.shape;
  for (int64_t& d : shape)
    if (d < 0) d = some_size;
  return expand(zeros(Dims(), argument.given.dtype), shape);
}

FunctionOptions options_for_saving(const FunctionCore& core, std::vector<Spec> specs) {
  FunctionOptions options = options_of(core);
  options.input_signature = std::move(specs);
  options.max_traces = 0;
  return options;
}

void save_function(const FunctionCore& core, const std::string& path, const SaveOptions& options,
                   Location where) {
  tandem::detail::named("save", where, [&] {
    const std::vector<FunctionTrace*> traces = core.traces();
    TD_CHECK(traces.size() == 1, "the function has {} traces; say by specs which one is meant",
             traces.size());
    onnx::ModelProto model;
    onnx::Emitter(model, options)
        .emit_model(traces[0]->compiled.graph(), options.name.empty() ? core.options().name : options.name);
    onnx::write_model(model, path);
  });
}

}  // namespace detail

void onnx::write_model(const ModelProto& model, const std::string& path) {
  // protobuf writes no more than an int can count.
  constexpr size_t most = (size_t{1} << 31) - 1;
  TD_CHECK(model.ByteSizeLong() <= most, ErrorCode::io, "the model has {} bytes; one file holds at most {}",
           model.ByteSizeLong(), most);
  AtomicFile file(path);
  const std::string bytes = model.SerializeAsString();
  file.write(bytes.data(), bytes.size());
  file.commit();
}

}  // namespace tandem
