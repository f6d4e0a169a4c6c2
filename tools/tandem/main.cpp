// The command `tandem`.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <string>

#include "allocations.h"
#include "compare_command.h"
#include "convert_command.h"
#include "demo.h"
#include "graph_command.h"
#include "model_commands.h"
#include "ops_command.h"
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

  RunOptions run_options;
  CLI::App* run = app.add_subcommand("run", "Run a saved model");
  run->add_option("model", run_options.model, "The ONNX file")->type_name("FILE")->required();
  run->add_option("--input", run_options.inputs, "An input's array, as NumPy writes it")
      ->type_name("NAME=FILE.npy");
  run->add_option("--output", run_options.outputs, "Where an output goes; else it is printed")
      ->type_name("NAME=FILE.npy");
  run->add_flag("--random", run_options.random, "Random numbers for the inputs that are not given");
  run->add_option("--size", run_options.sizes, "An unknown size of random inputs; else 1")
      ->type_name("NAME=N");
  run->add_option("--repeat", run_options.repeat, "Run it so often, and say how long it takes")
      ->type_name("N")
      ->capture_default_str();
  run->add_option("--mode", run_options.mode, "graph or eager")
      ->check(CLI::IsMember({"eager", "graph"}))
      ->capture_default_str();
  run->add_option("--json", run_options.json, "Write the figures into this file")->type_name("FILE");

  InspectOptions inspect_options;
  CLI::App* inspect =
      app.add_subcommand("inspect", "Say what a saved model takes, gives, contains and costs");
  inspect->add_option("model", inspect_options.model, "The ONNX file")->type_name("FILE")->required();
  inspect->add_option("--size", inspect_options.sizes, "An unknown size, for what a run costs; else 1")
      ->type_name("NAME=N");
  inspect->add_option("--json", inspect_options.json, "Write it into this file")->type_name("FILE");

  CheckOptions check_options;
  CLI::App* check = app.add_subcommand("check", "Say what in a saved model can't run here, and why");
  check->add_option("model", check_options.model, "The ONNX file")->type_name("FILE")->required();
  check->add_option("--json", check_options.json, "Write it into this file")->type_name("FILE");

  GraphOptions graph_options;
  CLI::App* graph = app.add_subcommand("graph", "Write a saved model's graph for TensorBoard");
  graph->add_option("model", graph_options.model, "The ONNX file")->type_name("FILE")->required();
  graph->add_option("--tensorboard", graph_options.tensorboard, "The folder to write an event file into")
      ->type_name("DIR")
      ->required();
  graph->add_option("--size", graph_options.sizes, "An unknown size that is to be known")
      ->type_name("NAME=N");

  ConvertOptions convert_options;
  CLI::App* convert = app.add_subcommand("convert", "Write a saved model in another form");
  convert->add_option("model", convert_options.model, "The ONNX file")->type_name("FILE")->required();
  convert->add_option("output", convert_options.output, "The ONNX file to write")->type_name("FILE");
  convert->add_option("--opset", convert_options.opset, "Write it in this opset: 17")->type_name("N");
  convert
      ->add_option("--weights", convert_options.weights,
                   "Move the weights into this file, which then belongs to the output")
      ->type_name("FILE.safetensors");
  convert->add_flag("--strip-training", convert_options.strip_training,
                    "Leave out what only training needs; a saved state becomes constants");
  convert->add_option("--json", convert_options.json, "Write the outcome into this file")->type_name("FILE");

  app.footer(
      "--json - writes to the standard output instead.\n"
      "Exit codes: 0: good; 1: the answer is no (cases or checks fail, modes differ); 2: it could not be "
      "done\n"
      "(demo and compare: 1); above 100: the command line was wrong.");
  OpsOptions ops_options;
  CLI::App* ops = app.add_subcommand("ops", "List the operations");
  ops->add_flag("--markdown", ops_options.markdown, "As docs/ops.md");
  ops->add_flag("--json", ops_options.json, "With everything that the table says of them");

  CLI11_PARSE(app, argc, argv);
  tandem::detail::set_allocation_counter(allocation_count);
  try {
    const bool good = demo->parsed()      ? run_demo(demo_options)
                      : compare->parsed() ? run_compare(compare_options)
                      : run->parsed()     ? run_model(run_options)
                      : inspect->parsed() ? inspect_model(inspect_options)
                      : check->parsed()   ? check_model(check_options)
                      : graph->parsed()   ? write_model_graph(graph_options)
                      : convert->parsed() ? convert_model(convert_options)
                      : ops->parsed()     ? run_ops(ops_options)
                                          : run_test(test_options);
    return good ? 0 : 1;
  } catch (const std::exception& e) {
    std::fflush(stdout);
    std::fprintf(stderr, "tandem: %s\n", e.what());
    return demo->parsed() || compare->parsed() ? 1 : 2;
  }
}
