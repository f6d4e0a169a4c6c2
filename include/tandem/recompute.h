#pragma once
// recompute: less memory under a tape, for more arithmetic.

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "tandem/structure.h"

namespace tandem {

namespace detail {
std::vector<Tensor> recompute(const std::vector<Tensor>& arguments,
                              const std::function<std::vector<Tensor>(const std::vector<Tensor>&)>& body,
                              Location where);
}  // namespace detail

/// f, of which a tape keeps nothing but the arguments and results: the way back runs it again. The same
/// values and gradients bit for bit (gradients of gradients are rounded otherwise); random numbers are those
/// of the first run, and assignments and prints happen once. Gradients go to its arguments and to variables
/// that it reads; other tensors that it captures count as constants. Arguments and results as those of a
/// Function.
///
///     auto block = td::recompute([&](td::Tensor x) { return td::relu(td::matmul(x, w)); });
///     td::Tensor y = block(x);
///
/// Errors, on the call: in a trace, a cond or while_loop inside that has effects.
template <class F>
auto recompute(F f, Location where = here()) {
  return [f = std::make_shared<F>(std::move(f)), where]<class... Args>(const Args&... arguments) {
    using Arguments = std::tuple<Args...>;
    using Result = std::decay_t<std::invoke_result_t<F&, const Args&...>>;
    const auto given = std::make_shared<Arguments>(arguments...);
    const auto skeleton = std::make_shared<Result>();
    auto body = [f, given, skeleton](const std::vector<Tensor>& tensors) {
      Arguments copy = *given;
      size_t next = 0;
      Structure<Arguments>::visit(copy, [&](Tensor& t) { t = tensors[next++]; });
      *skeleton = std::apply(*f, copy);
      std::vector<Tensor> results;
      StructureWriter writer{&results, nullptr};
      Structure<Result>::write(*skeleton, writer);
      // Only the form of what they hold is used again.
      Structure<Result>::visit(*skeleton, [](Tensor& t) { t = Tensor(); });
      return results;
    };
    std::vector<Tensor> tensors;
    StructureWriter writer{&tensors, nullptr};
    Structure<Arguments>::write(*given, writer);
    Structure<Arguments>::visit(*given, [](Tensor& t) { t = Tensor(); });
    const std::vector<Tensor> values = detail::recompute(tensors, body, where);
    Result result = *skeleton;
    size_t next = 0;
    Structure<Result>::visit(result, [&](Tensor& t) { t = values[next++]; });
    return result;
  };
}

}  // namespace tandem
