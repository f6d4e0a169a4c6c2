// The command `tandem`.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <string>

#include "allocations.h"
#include "compare_command.h"
#include "demo.h"
#include "tandem/compare.h"
#include "test_command.h"

int main(int argc, char** argv) {
  using namespace tandem::cli;
  CLI::App app("Tandem: deep learning in which the same code runs eagerly or as an optimized graph.",
               "tandem");
  app.require_subcommand(1);

  DemoOptions demo_options;
  CLI::App* demo =
      app.add_subcommand("demo", "Tell the comparison of eager and graph mode as a story, on real images");
  demo->add_option("--data", demo_options.data,
                   "Folder of MNIST's or Fashion-MNIST's IDX files, plain or .gz")
      ->type_name("DIR");
  demo->add_option("--json", demo_options.json, "Write the figures into this file")->type_name("FILE");

  CompareOptions compare_options;
  CLI::App* compare = app.add_subcommand("compare", "Measure functions in both modes, one table each");
  compare->add_option("names", compare_options.names, "Which ones; all of them when left out")
      ->type_name("NAME");
  compare->add_flag("--list", compare_options.list, "Say what there is to compare, and stop");
  compare->add_option("--json", compare_options.json, "Write the figures into this file")->type_name("FILE");

  TestOptions test_options;
  CLI::App* test = app.add_subcommand("test", "Run a folder of ONNX's conformance cases");
  test->add_option("folder", test_options.folder, "Folder of cases, or one case")
      ->type_name("DIR")
      ->required();
  test->add_option("--mode", test_options.mode, "eager, graph, or both: then their bits are compared, too")
      ->check(CLI::IsMember({"eager", "graph", "both"}))
      ->capture_default_str();
  test->add_option("--json", test_options.json, "Write the outcome into this file")->type_name("FILE");

  CLI11_PARSE(app, argc, argv);
  tandem::detail::set_allocation_counter(allocation_count);
  try {
    const bool good = demo->parsed()      ? run_demo(demo_options)
                      : compare->parsed() ? run_compare(compare_options)
                                          : run_test(test_options);
    return good ? 0 : 1;
  } catch (const std::exception& e) {
    std::fflush(stdout);
    std::fprintf(stderr, "tandem: %s\n", e.what());
    return test->parsed() ? 2 : 1;
  }
}
