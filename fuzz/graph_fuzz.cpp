// Any text as a graph: an error or a graph whose text says the same graph, never a crash.

#include <string_view>

#include "fuzz/support.h"
#include "graph/text.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view given(reinterpret_cast<const char*>(data), size);
  const tandem::ParseOptions parsing{.variables = {}, .constant_bytes = 1 << 16};
  const tandem::TextOptions printing{.full_paths = true, .complete_constants = true};
  std::string text;
  try {
    text = to_text(tandem::parse_graph(given, parsing), printing);
  } catch (const tandem::Error&) {
    return 0;  // the answer for what is no graph
  }
  if (to_text(tandem::parse_graph(text, parsing), printing) != text) std::abort();
  return 0;
}
