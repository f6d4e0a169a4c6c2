// Writes what fuzzing begins with, made by the project's own writers: FOLDER/TARGET/NAME.

#include <filesystem>
#include <fstream>
#include <iostream>

#include "data/image_file.h"
#include "fuzz/training.h"
#include "graph/text.h"
#include "tests/jpeg_file.h"

namespace {

namespace td = tandem;
namespace nn = td::nn;
namespace fs = std::filesystem;

class Corpus {
 public:
  explicit Corpus(std::string folder) : folder_(std::move(folder)) {}
  /// Where a seed of a target is to be written.
  std::string path(const std::string& target, const std::string& name) const {
    fs::create_directories(fs::path(folder_) / target);
    return (fs::path(folder_) / target / name).string();
  }
  void add(const std::string& target, const std::string& name, const std::string& bytes) const {
    std::ofstream(path(target, name), std::ios::binary) << bytes;
  }

 private:
  std::string folder_;
};

void add_models(const Corpus& corpus) {
  const td::Variable scale(td::Tensor({1.f, 2.f}), {.name = "scale"});
  const auto f = td::function([&](td::Tensor x) {
    return td::while_loop([](const td::Tensor& t) { return td::sum(t) < 100.f; },
                          [&](const td::Tensor& t) { return t * 2.f + scale; }, td::relu(x));
  });
  td::save(f, corpus.path("load_fuzz", "loop.onnx"), td::spec({-1, 2}));
  const auto g = td::function([](td::Tensor x) {
    return td::softmax(td::conv(x, td::ones({2, 1, 3, 3}), nullptr, {.strides = {2, 2}}), 1);
  });
  td::save(g, corpus.path("load_fuzz", "convolution.onnx"), td::spec({-1, 1, 8, 8}));
}

void add_arrays(const Corpus& corpus) {
  const td::Tensor floats({{1, 2, 3}, {4, 5, 6}}, td::float32), numbers({-1, 300}, td::int64);
  td::data::write_npy(corpus.path("arrays_fuzz", "floats.npy"), floats);
  td::data::write_npy(corpus.path("arrays_fuzz", "bfloat16.npy"), td::cast(floats, td::bfloat16));
  td::data::write_npz(corpus.path("arrays_fuzz", "two.npz"), {{"floats", floats}, {"numbers", numbers}});
  td::save_weights({{"a/kernel", floats}, {"b", numbers}}, corpus.path("arrays_fuzz", "two.safetensors"),
                   {{"author", "fuzz"}});
  using namespace std::string_literals;
  corpus.add("arrays_fuzz", "bytes.idx", "\0\0\x08\x02\0\0\0\x02\0\0\0\x03"s + "abcdef");
  corpus.add("arrays_fuzz", "floats.idx", "\0\0\x0d\x01\0\0\0\x01"s + "\x3f\x80\0\0"s);
}

void add_tables(const Corpus& corpus) {
  corpus.add("table_fuzz", "plain.csv", "x,kind,y\n1,a,0.5\n2,b,NA\n-3e4,a,\n");
  corpus.add("table_fuzz", "quoted.csv", "\xef\xbb\xbf\"a \"\"b\"\"\",c\r\n\"x,\ny\",1\r\n?,+2\r\n");
  corpus.add("table_fuzz", "semicolons.csv", "1;2\n3; 4\n");
  corpus.add("table_fuzz", "text.txt",
             "Gr\xc3\xbc\xc3\x9f"
             "e \xf0\x9f\x8c\x8d\n\nend");
}

void add_pictures(const Corpus& corpus) {
  for (const int channels : {1, 3, 4}) {
    std::vector<uint8_t> pixels;
    for (int i = 0; i < 9 * 7 * channels; ++i) pixels.push_back(static_cast<uint8_t>(i * 5));
    corpus.add("picture_fuzz", std::to_string(channels) + ".png",
               td::data::encode_png(pixels, 9, 7, channels));
    if (channels == 4) continue;
    corpus.add("picture_fuzz", std::to_string(channels) + ".jpg",
               td::testing::encode_jpeg(pixels, 9, 7, channels, channels == 3));
  }
}

void add_graphs(const Corpus& corpus) {
  corpus.add("graph_fuzz", "values",
             "graph(x: float32(?0, 3), n: int64()) {\n"
             "  %c = Constant {value=float32(2, 3)[0.5, ...]} : float32(2, 3)  @a.cpp:3\n"
             "  %t = Transpose(%c) {perm=[1, 0]} : float32(3, 2)\n"
             "  %m = MatMul(%x, %t) : float32(?0, 2)\n"
             "  return %m\n}\n");
  const auto add_traced = [&](const std::string& name, const auto& function, const td::Tensor& x) {
    function(x);
    corpus.add("graph_fuzz", name, function.trace(0).graph);
  };
  add_traced("network", td::function([](td::Tensor x) {
               return td::softmax(td::matmul(x, td::ones({2, 3})) + td::Tensor({0.5f, -1.f, 2.f}), -1);
             }),
             fuzz::rows_of_x());
  add_traced("branches", td::function([](td::Tensor x) {
               return td::cond(
                   td::sum(x) > 3.f, [&] { return x * 2.f; }, [&] { return -x; });
             }),
             td::ones({2, 2}));
  add_traced("views", td::function([](td::Tensor x) {
               return td::split(td::transpose(x, {1, 0}), 2)[0] + td::cast(td::argmax(x, 0), td::float32);
             }),
             td::ones({2, 2}));
}

void add_checkpoints(const Corpus& corpus) {
  fuzz::Loop loop;
  loop.batches.next();
  loop.all.save(corpus.path("checkpoint_fuzz", "loop.safetensors"));
  const std::string folder = corpus.path("checkpoint_fuzz", "run");
  fuzz::fit(folder, true);
  for (const auto& entry : fs::directory_iterator(folder))
    fs::copy_file(entry.path(), corpus.path("checkpoint_fuzz", entry.path().filename().string()),
                  fs::copy_options::overwrite_existing);
  fs::remove_all(folder);
}

void add_saved_models(const Corpus& corpus) {
  const nn::Sequential classifier(
      {nn::Dense(3, "relu", {.kernel_regularizer = "l2"}), nn::Dropout(0.2), nn::Dense(2, "softmax")});
  classifier.compile(
      {.optimizer = nn::Adam(), .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"}});
  classifier.fit(fuzz::rows_of_x(), td::Tensor({0, 1, 0, 1, 1}, td::int64), {.verbose = 0});
  classifier.save(corpus.path("model_fuzz", "classifier.onnx"));
  const nn::Value a = nn::Input({2}), b = nn::Input({2});
  const nn::Model two({a, b}, nn::Dense(1)(nn::Concatenate()({a, b})));
  two.save(corpus.path("model_fuzz", "two.onnx"));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: fuzz_corpus FOLDER\n";
    return 2;
  }
  const Corpus corpus(argv[1]);
  add_models(corpus);
  add_arrays(corpus);
  add_tables(corpus);
  add_pictures(corpus);
  add_graphs(corpus);
  add_checkpoints(corpus);
  add_saved_models(corpus);
}
