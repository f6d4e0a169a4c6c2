// Writes the models that the C program loads: c_interface_models FOLDER

#include <filesystem>
#include <fstream>

#include "tandem/tandem.h"

namespace td = tandem;

int main(int, char** arguments) {
  const std::string folder = arguments[1];
  std::filesystem::create_directories(folder);
  // y = x w + 1 and the sum of each row, for any number of rows.
  const td::Tensor w = {{1, 2}, {3, 4}, {5, 6.f}};
  const auto affine = td::function([&](td::Tensor x) {
    const td::Tensor y = td::matmul(x, w) + 1;
    return std::vector<td::Tensor>{y, td::sum(y, {1})};
  });
  td::save(affine, folder + "/affine.onnx", td::spec({-1, 3}), {.inputs = {"x"}, .outputs = {"y", "sums"}});
  // Counts its calls.
  const td::Variable count(td::Tensor(0), {.name = "count"});
  const auto counter = td::function([&](td::Tensor by) {
    count.assign_add(by);
    return count.value();
  });
  td::save(counter, folder + "/counter.onnx", td::spec({}, td::int32),
           {.inputs = {"by"}, .outputs = {"total"}});
  std::ofstream(folder + "/broken.onnx") << "no model";
}
