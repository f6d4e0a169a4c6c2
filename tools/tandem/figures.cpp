#include "figures.h"

#include "json_file.h"

namespace tandem::cli {

void write_json(const std::string& path, const std::vector<Figures>& figures) {
  // Members stay in the order in which they are written here.
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const auto& [comparison, accuracy] : figures) {
    nlohmann::ordered_json entry;
    entry["name"] = comparison.name;
    entry["eager_ns"] = comparison.eager_ns;
    entry["graph_ns"] = comparison.graph_ns;
    entry["eager_first_ns"] = comparison.eager_first_ns;
    entry["graph_first_ns"] = comparison.graph_first_ns;
    // Null where the graph never catches up.
    entry["break_even_calls"] = nullptr;
    if (comparison.break_even_calls) entry["break_even_calls"] = *comparison.break_even_calls;
    entry["max_ulp"] = comparison.max_ulp;
    entry["eager_allocations"] = comparison.eager_allocations;
    entry["graph_allocations"] = comparison.graph_allocations;
    if (accuracy) entry["accuracy"] = *accuracy;
    list.push_back(std::move(entry));
  }
  write_json_file(path, list);
}

}  // namespace tandem::cli
