#pragma once
// Graphs as text, printed and parsed:
//
//   graph(x: float32(5,), w: float32(?0, 3)) {
//     %constant = Constant {value=float32()[2]} : float32()  @model.cpp:41
//     %pow = Pow(%x, %constant) : float32(5,)  @model.cpp:41
//     %split = Split(%pow) {num_outputs=2} : float32(3,), float32(2,)
//     return %split:0
//   }
//
// `?0` is a symbolic size, `_` an absent optional input. A number attribute without a point or exponent is an
// integer; `0.1f` has float precision. Attributes at their defaults are left out. Tensors are
// `dtype(shape)[elements in row-major order]`; `[0, ...]` repeats one element; floats are the shortest digits
// that read back to the same bits, and a NaN with other bits than NumPy's is `nan:0x7fc00001`.

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "graph/graph.h"

namespace tandem {

struct TextOptions {
  bool locations = true;
  bool full_paths = false;          ///< of locations; else their last component, as in messages
  int64_t constant_elements = 64;   ///< longer constants are elided to a hash, which the parser refuses
  bool complete_constants = false;  ///< ... never
};

std::string to_text(const Graph& graph, const TextOptions& options = {});
/// One node's line, without indentation and line end.
std::string to_text(const Graph& graph, const Node& node, const TextOptions& options = {});

/// "float32(?0, 3)"
std::string to_text(const Spec& spec);

/// Finds the cell behind a variable's name; null when there is none.
using VariableResolver = std::function<std::shared_ptr<detail::VariableImpl>(std::string_view name)>;

struct ParseOptions {
  VariableResolver variables;
  int64_t constant_bytes = int64_t{1} << 28;  ///< larger constants are refused
};

/// The graph that `text` says, verified. Inputs come first in it. Throws "graph text 3:14: ..." (line:column)
/// when the text is malformed, and what the verifier throws when the graph is.
Graph parse_graph(std::string_view text, const ParseOptions& options = {});

}  // namespace tandem
