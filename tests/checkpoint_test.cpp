// Checkpoints: files with everything, the last few of them, damage and full disks.

#include "tandem/nn/checkpoint.h"

#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "support.h"
#include "tandem/tandem.h"

namespace td = tandem;
namespace nn = td::nn;
namespace fs = std::filesystem;
using td::Nest;
using td::Tensor;
using td::Variable;
using td::data::Dataset;

namespace {

class Checkpoints : public testing::Test {
 protected:
  Checkpoints() : folder(testing::TempDir() + "tandem_checkpoints_" + std::to_string(getpid())) {
    fs::remove_all(folder);
  }
  ~Checkpoints() override { fs::remove_all(folder); }
  const std::string folder;
};

/// A loop of one's own: everything that it must not forget.
struct Loop {
  nn::Sequential model{{nn::Dense(4, "tanh"), nn::Dropout(0.3), nn::Dense(1)}};
  nn::Adam optimizer{0.05};
  Dataset data = Dataset::from_tensors({Tensor({{1, 2}, {3, 4}, {5, 6}, {7, 8}, {9, 1}}, td::float32),
                                        Tensor({{1}, {2}, {3}, {4}, {5}}, td::float32)})
                     .shuffle(3)
                     .repeat()
                     .batch(2)
                     .prefetch();
  td::data::Iterator batches = data.iterate();
  int64_t steps = 0;
  nn::Checkpoint all;
  std::function<Tensor(const Tensor&, const Tensor&)> step = [this](const Tensor& x, const Tensor& y) {
    td::GradientTape tape;
    const Tensor loss = td::mean(td::square(model(x, {.training = true}) - y));
    const auto variables = model.trainable_variables();
    optimizer.apply_gradients(tape.gradient(loss, variables), variables);
    return loss;
  };

  explicit Loop(bool graph) {
    td::random::seed(7);
    all.add("model", model).add("optimizer", optimizer).add("generator", td::random::generator());
    all.add("data", batches).add("steps", steps);
    if (graph) step = td::function([eager = step](Tensor x, Tensor y) { return eager(x, y); });
  }
  std::vector<float> train(int64_t count) {
    std::vector<float> losses;
    for (int64_t i = 0; i < count; ++i, ++steps) {
      const Nest batch = *batches.next();
      losses.push_back(step(batch[0].leaf(), batch[1].leaf()).item<float>());
    }
    return losses;
  }
};

std::string content_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST_F(Checkpoints, TrainingGoesOnWithTheSameBits) {
  fs::create_directories(folder);
  std::string file_of_eager;
  for (bool graph : {false, true}) {
    Loop unbroken(graph);
    std::vector<float> expected = unbroken.train(7);
    const auto rest = unbroken.train(9);

    Loop first(graph);
    EXPECT_EQ(first.train(7), expected);
    first.all.save(folder + "/run.safetensors");
    // The mode leaves no trace in the file.
    const std::string file = content_of(folder + "/run.safetensors");
    if (!graph) file_of_eager = file;
    EXPECT_EQ(file, file_of_eager);

    Loop second(!graph);
    second.train(1);  // gives the layers their variables
    second.all.restore(folder + "/run.safetensors");
    EXPECT_EQ(second.steps, 7);
    EXPECT_EQ(second.train(9), rest);
  }
}

TEST_F(Checkpoints, NamesAreReadable) {
  Loop run(false);
  run.train(1);
  std::string names;
  for (const auto& [name, tensor] : run.all.capture().tensors) names += name + " ";
  EXPECT_EQ(
      names,
      "data/place generator model/dense/bias model/dense/kernel model/dense_1/bias model/dense_1/kernel "
      "optimizer/adam/iterations optimizer/adam/learning_rate "
      "optimizer/adam/sequential/dense/bias/momentum optimizer/adam/sequential/dense/bias/velocity "
      "optimizer/adam/sequential/dense/kernel/momentum optimizer/adam/sequential/dense/kernel/velocity "
      "optimizer/adam/sequential/dense_1/bias/momentum optimizer/adam/sequential/dense_1/bias/velocity "
      "optimizer/adam/sequential/dense_1/kernel/momentum optimizer/adam/sequential/dense_1/kernel/velocity "
      "steps/value ");
}

TEST_F(Checkpoints, WhatDoesNotFitChangesNothing) {
  const Variable a(Tensor({1.f, 2.f})), b(Tensor(3));
  nn::Checkpoint both, one, other;
  both.add("a", a).add("b", b);
  one.add("a", a);
  other.add("a", b).add("b", a);
  const nn::Snapshot snapshot = both.capture();
  a.assign(Tensor({5.f, 6.f}));
  EXPECT_ERROR(one.apply(snapshot),
               "the checkpoint does not fit: nothing here takes \"b\"; layers have no variables before their "
               "first call");
  EXPECT_ERROR(both.apply(one.capture()), "the checkpoint does not fit: it has no \"b\"");
  EXPECT_ERROR(other.apply(snapshot),
               "the checkpoint does not fit: \"a\" is float32(2,) there and int32() here");
  EXPECT_EQ(a.value().to_vector<float>(), (std::vector<float>{5, 6}));
  both.apply(snapshot);
  EXPECT_EQ(a.value().to_vector<float>(), (std::vector<float>{1, 2}));
  EXPECT_ERROR(both.add("a", a), "checkpoint: \"a\" was added twice");
  EXPECT_ERROR(both.add("a/b", a), "checkpoint: \"a/b\" cannot be a name; expected one without a slash");
}

TEST_F(Checkpoints, TheLastOnesStay) {
  int64_t number = 0;
  nn::Checkpoint all;
  all.add("number", number);
  const nn::CheckpointManager manager(folder, {.keep = 2});
  EXPECT_EQ(manager.restore_latest(all), std::nullopt);
  for (number = 1; number <= 4; ++number) manager.save(all, number * 10);
  EXPECT_EQ(manager.paths(), (std::vector<std::string>{folder + "/checkpoint-00000030.safetensors",
                                                       folder + "/checkpoint-00000040.safetensors"}));
  EXPECT_EQ(manager.restore_latest(all), 40);
  EXPECT_EQ(number, 4);
  EXPECT_ERROR(nn::CheckpointManager(folder, {.keep = 0}),
               "0 checkpoints cannot be kept; expected 1 or more");
  // What a killed process was writing.
  std::ofstream(folder + "/checkpoint-00000050.safetensors.a1B2c3") << "half";
  const nn::CheckpointManager next(folder);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), fs::directory_iterator()), 2);
  manager.clear();
  EXPECT_TRUE(manager.paths().empty());
}

TEST_F(Checkpoints, DamagedOnesArePassedOver) {
  const Variable values(td::ones({1000}));
  nn::Checkpoint all;
  all.add("values", values);
  const nn::CheckpointManager manager(folder);
  manager.save(all, 1);
  values.assign(td::zeros({1000}));
  const std::string last = manager.save(all, 2);
  std::string bytes = content_of(last);
  bytes[bytes.size() - 100] ^= 1;
  std::ofstream(last, std::ios::binary) << bytes;
  testing::internal::CaptureStderr();
  EXPECT_EQ(manager.restore_latest(all), 1);
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "tandem: " + last +
                ": the checksum is wrong: the data are damaged; the checkpoint before it is used\n");
  EXPECT_EQ(values.value()[0].item<float>(), 1);
  // Training again writes earlier steps: what is damaged belongs to a future that is gone.
  manager.save(all, 1);
  EXPECT_EQ(manager.paths().size(), 1u);
  std::ofstream(manager.paths()[0]) << "nothing";
  EXPECT_NE(td::testing::message_of([&] {
              manager.restore_latest(all);
            }).find("none of the 1 checkpoints can be used"),
            std::string::npos);
}

TEST_F(Checkpoints, CutOrChangedAnywhereTheyAreErrorsThatNameTheFile) {
  fs::create_directories(folder);
  const std::string path = folder + "/all.safetensors";
  const Variable values(Tensor({1.f, 2.f, 3.f}));
  td::data::Iterator batches = Dataset::range(9).shuffle(3).batch(2).iterate();
  int64_t steps = 2;
  nn::Checkpoint all;
  all.add("values", values).add("data", batches).add("steps", steps);
  batches.next();
  all.save(path);
  const std::string whole = content_of(path);
  const auto expect_refused = [&](const std::string& bytes, size_t at) {
    std::ofstream(path, std::ios::binary) << bytes;
    EXPECT_NE(td::testing::message_of([&] { all.restore(path); }).find(path), std::string::npos) << at;
  };
  for (size_t at = 0; at < whole.size(); ++at) {
    expect_refused(whole.substr(0, at), at);
    std::string changed = whole;
    changed[at] ^= 4;
    expect_refused(changed, at);
  }
  // None of them changed anything.
  all.save(path);
  EXPECT_EQ(content_of(path), whole);
}

TEST_F(Checkpoints, WhatAStrangerLeftOutIsAnError) {
  int64_t number = 0;
  nn::Checkpoint all;
  all.add("number", number);
  const nn::CheckpointManager manager(folder);
  const std::string path = manager.save({{{"number/other", Tensor(1)}}, {}}, 7);
  EXPECT_ERROR(manager.restore_latest(all), "the checkpoint has no \"number/value\"\n  in " + path);
  manager.save({{{"number/value", Tensor({1, 2})}}, {}}, 7);
  EXPECT_NE(td::testing::message_of([&] { manager.restore_latest(all); }).find("\n  in " + path),
            std::string::npos);
}

TEST_F(Checkpoints, AFullDiskLeavesTheLastGoodOne) {
  const Variable values(td::ones({100000}));
  nn::Checkpoint all;
  all.add("values", values);
  const nn::CheckpointManager manager(folder);
  manager.save(all, 1);
  values.assign(td::zeros({100000}));
  // Files of more than 64 KiB cannot be written, as on a full disk.
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{65536, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  const std::string message = td::testing::message_of([&] { manager.save(all, 2); });
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_EQ(message, "save_weights: " + folder +
                         "/checkpoint-00000002.safetensors: cannot be written: File too large");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), fs::directory_iterator()), 1);
  EXPECT_EQ(manager.restore_latest(all), 1);
  EXPECT_EQ(values.value()[0].item<float>(), 1);
}

}  // namespace
