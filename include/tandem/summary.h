#pragma once
// Event files for TensorBoard: curves, histograms, pictures, text and graphs, without TensorFlow.
//
//     td::summary::Writer writer("runs/first");
//     for (int64_t step = 0; step < 100; ++step) writer.scalar("loss", train_step(), step);
//     writer.graph(td::function(model), {td::spec({-1, 784})});
//
// then `tensorboard --logdir runs`.

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "tandem/function.h"
#include "tandem/save.h"
#include "tandem/tensor.h"

namespace tandem::summary {

/// How scalars are written.
enum class ScalarForm {
  tensor,        ///< as TensorFlow 2 does, with the plugin's metadata
  simple_value,  ///< as TensorFlow 1 did, which other readers of event files know too
};

/// How a Writer writes.
struct WriterOptions {
  /// What the file's name ends with.
  std::string suffix = {};
  ScalarForm scalars = ScalarForm::tensor;
  /// What is written reaches the file at the latest with the first event after so many seconds, and always
  /// with flush() and with the last handle.
  double flush_seconds = 5;
};

/// Options of Writer::histogram.
struct HistogramOptions {
  int64_t buckets = 30;
};

/// Options of Writer::image.
struct ImageOptions {
  int64_t max_outputs = 3;  ///< of a batch, the first so many
};

/// A hyperparameter's value.
using Hyperparameter = std::variant<bool, double, std::string>;

namespace detail {
class EventFile;
/// The graph of the trace that was made last.
void write_graph(EventFile& file, const tandem::detail::FunctionCore& core, Location where);
}  // namespace detail

/// Writes one event file into a folder, which a run of its own should have. It is a handle; any number of
/// threads may use it. Tags with slashes are shown in groups. Steps may repeat.
class Writer {
 public:
  /// Makes the folder if need be. Errors (io): a folder or a file that cannot be made.
  explicit Writer(const std::string& folder, WriterOptions options = {}, Location where = here());

  /// A point of a curve. Errors: more than one element, a symbolic tensor (inside td::function).
  void scalar(std::string_view tag, const Tensor& value, int64_t step, Location where = here()) const;
  /// How the elements are distributed, in buckets of equal width; those that are not finite are left out.
  void histogram(std::string_view tag, const Tensor& values, int64_t step, HistogramOptions options = {},
                 Location where = here()) const;
  /// One image (height, width, channels) or a batch of them, as PNG. 1 to 4 channels: grey, grey and alpha,
  /// RGB, RGB and alpha; uint8, or floating between 0 and 1. Errors: other shapes and dtypes.
  void image(std::string_view tag, const Tensor& images, int64_t step, ImageOptions options = {},
             Location where = here()) const;
  /// Text, shown as Markdown.
  void text(std::string_view tag, const std::string& text, int64_t step, Location where = here()) const;
  /// What this run was started with; one row of the table of hyperparameters.
  void hyperparameters(const std::map<std::string, Hyperparameter>& values, Location where = here()) const;

  /// The graph of a function as it was traced last: a node for each operation, in the scopes of its layers
  /// and NameScopes, with the shapes of what flows. Errors: a function that was never called.
  template <class R, class... Args>
  void graph(const Function<R(Args...)>& function, Location where = here()) const {
    detail::write_graph(*file_, function.core(), where);
  }
  /// The graph of a function, a model or a callable, traced for tensors of these specs (-1: any size).
  /// `writer.graph(model, {td::spec({-1, 28, 28})});` Errors: another number of specs than arguments.
  template <class F>
  void graph(const F& f, const std::vector<Spec>& specs, Location where = here()) const {
    trace_for(tandem::detail::as_function(f), specs, where);
  }

  /// Hands everything written so far to the system. Errors (io): the disk is full, and the like.
  void flush(Location where = here()) const;
  /// The file's path.
  const std::string& path() const;

 private:
  template <class R, class... Args>
  void trace_for(const Function<R(Args...)>& function, const std::vector<Spec>& specs, Location where) const {
    static_assert((std::is_same_v<Args, Tensor> && ...),
                  "td::summary: call the function first, then give it without specs: only plain tensors can "
                  "stand for its arguments");
    check_count(specs.size(), sizeof...(Args), where);
    const Function<R(Args...)> traced(function.body(),
                                      tandem::detail::options_for_saving(function.core(), specs));
    [&]<size_t... i>(std::index_sequence<i...>) {
      traced.prepare(tandem::detail::SavedArgument<Args>::value(specs[i])..., where);
    }
    (std::index_sequence_for<Args...>());
    detail::write_graph(*file_, traced.core(), where);
  }
  static void check_count(size_t given, size_t wanted, Location where);

  std::shared_ptr<detail::EventFile> file_;
};

}  // namespace tandem::summary
