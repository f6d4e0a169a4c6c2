#include "graph_command.h"

#include <fmt/format.h>

#include "model_inputs.h"
#include "tandem/summary.h"

namespace tandem::cli {

bool write_model_graph(const GraphOptions& options) {
  const LoadedModel model = load(options.model);
  const std::map<std::string, std::string> sizes = parse_pairs(options.sizes, "size");
  std::vector<Spec> specs;
  std::vector<Tensor> examples;
  for (const ModelValue& v : model.inputs()) {
    Spec spec{v.dtype, known_shape(v, sizes)};
    for (int i = 0; i < v.shape.rank(); ++i)
      if (v.shape[i] < 0 && !sizes.count(v.dimension_names[static_cast<size_t>(i)])) spec.shape[i] = -1;
    specs.push_back(spec);
    examples.push_back(detail::SavedArgument<Tensor>::value(spec));
  }
  using ModelFunction = Function<std::vector<Tensor>(std::vector<Tensor>)>;
  const ModelFunction& function = model.function();
  const ModelFunction traced(function.body(), detail::options_for_saving(function.core(), specs));
  traced.prepare(examples);
  const summary::Writer writer(options.tensorboard);
  writer.graph(traced);
  fmt::print("{}\n", writer.path());
  return true;
}

}  // namespace tandem::cli
