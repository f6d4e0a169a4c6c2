// Training that is killed at random moments, started again until it ends, has the bits of training that
// nobody disturbed. The program runs itself as the one to be killed.

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "support.h"
#include "tandem/tandem.h"

namespace td = tandem;
namespace nn = td::nn;
namespace fs = std::filesystem;
using td::Nest;
using td::Tensor;

namespace {

constexpr int epochs = 4;

/// Trains with everything that has a state: dropout, momentum, a shuffled and randomly changed data set read
/// ahead by two workers, metrics, validation, a callback that changes the rate.
void train(const std::string& folder, nn::Mode mode, const std::string& result) {
  td::random::seed(11);
  const Tensor x = td::random::normal({160, 6}), y = td::cast(td::argmax(x, 1), td::int64);
  const auto data =
      td::data::Dataset::from_tensors({x, y})
          .shuffle(5)
          .map_random(9,
                      [](const Tensor& row, const Tensor& label, const td::Variable& g) {
                        return Nest{row + 0.1f * td::random::normal({6}, 0, 1, td::float32, g), label};
                      },
                      {.workers = 2})
          .batch(8)
          .prefetch();
  nn::Sequential model(
      {nn::Dense(16, "relu"), nn::Dropout(0.2), nn::BatchNormalization(), nn::Dense(6, "softmax")});
  model.set_mode(mode);
  model.compile(
      {.optimizer = nn::Adam(0.01), .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"}});
  const nn::History history = model.fit(
      data,
      {.epochs = epochs,
       .validation_data = {x, y},
       .callbacks = {std::make_shared<nn::ReduceLROnPlateau>(nn::ReduceLROnPlateauOptions{.patience = 1}),
                     std::make_shared<nn::BackupAndRestore>(
                         folder, nn::BackupOptions{.save_freq = 3, .delete_checkpoint = false})},
       .verbose = 0});
  // Written as a whole: who finds the file finds all of it.
  std::ofstream out(result + ".part");
  for (float loss : history.step_losses) out << std::hexfloat << loss << '\n';
  for (const nn::Logs& logs : history.epochs)
    for (const auto& [name, value] : logs.entries()) out << name << ' ' << std::hexfloat << value << '\n';
  for (const auto& [name, variable] : model.named_parameters()) {
    out << name;
    for (float v : variable.value().to_vector<float>()) out << ' ' << std::hexfloat << v;
    out << '\n';
  }
  out.close();
  fs::rename(result + ".part", result);
}

class Resume : public testing::Test {
 protected:
  Resume()
      : folder(testing::TempDir() + "tandem_resume_" + std::to_string(getpid())), result(folder + "/result") {
    clear();
  }
  ~Resume() override { fs::remove_all(folder); }
  void clear() {
    fs::remove_all(folder);
    fs::create_directories(folder);
  }
  pid_t start(const char* mode) {
    const pid_t child = fork();
    if (child != 0) return child;
    execl("/proc/self/exe", "resume_test", "--train", folder.c_str(), mode, result.c_str(), nullptr);
    _exit(127);
  }
  std::string take_result() {
    std::ifstream in(result);
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    clear();
    return text;
  }
  const std::string folder, result;
};

bool has_ended(pid_t child, int& status) { return waitpid(child, &status, WNOHANG) == child; }

TEST_F(Resume, KilledAtTwentyRandomMoments) {
  using Clock = std::chrono::steady_clock;
  int status = 0;
  const auto begin = Clock::now();
  waitpid(start("eager"), &status, 0);
  ASSERT_EQ(status, 0);
  const auto whole = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin).count();
  const std::string expected = take_result();
  ASSERT_EQ(std::count(expected.begin(), expected.end(), '\n') > epochs * 20, true);

  std::mt19937_64 moments(12345);
  int kills = 0, runs = 0, resumed = 0;
  for (int starts = 0; kills < 20 && starts < 200; ++starts) {
    // The mode changes from start to start: the file does not know who wrote it.
    const pid_t child = start(starts % 2 == 0 ? "graph" : "eager");
    const auto moment =
        Clock::now() + std::chrono::microseconds(moments() % static_cast<uint64_t>(whole * 7 / 10));
    bool ended = false;
    while (!(ended = has_ended(child, status)) && Clock::now() < moment)
      std::this_thread::sleep_for(std::chrono::microseconds(500));
    if (!ended) {
      ++kills;
      resumed += !nn::CheckpointManager(folder, {.name = "backup"}).paths().empty();
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
      continue;
    }
    ASSERT_EQ(status, 0);
    ASSERT_EQ(take_result(), expected) << "after " << kills << " kills";
    ++runs;
  }
  EXPECT_EQ(kills, 20);
  EXPECT_GE(resumed, 5) << "most were killed before they had saved anything";
  // What was killed last ends, too.
  waitpid(start("eager"), &status, 0);
  ASSERT_EQ(status, 0);
  EXPECT_EQ(take_result(), expected);
  std::cout << kills << " kills, " << runs + 1 << " trainings came to their end; after " << resumed
            << " of the kills there was a backup to go on from\n";
}

/// Ends fit by an exception, as a program might end by anything.
struct Interrupt : nn::Callback {
  Interrupt(int64_t epoch, int64_t batch) : epoch(epoch), batch(batch) {}
  void on_epoch_begin(int64_t e, nn::Logs&) override { now = e; }
  void on_train_batch_end(int64_t b, nn::Logs&) override {
    if (now == epoch && b == batch) throw std::runtime_error("interrupted");
  }
  int64_t epoch, batch, now = 0;
};

struct Outcome {
  std::vector<float> losses;
  std::vector<std::string> epochs;
  std::vector<std::vector<float>> weights;
  bool operator==(const Outcome&) const = default;
};

/// Arrays, epochs that end amid a pass, a callback that stops training and puts weights back.
Outcome fit_arrays(const std::string& folder, nn::Mode mode, std::optional<int64_t> save_freq,
                   std::shared_ptr<Interrupt> interrupt) {
  td::random::seed(3);
  const Tensor x = td::random::normal({80, 5}), y = td::sum(x, {1}, true);
  nn::Sequential model({nn::Dense(8, "tanh"), nn::Dropout(0.1), nn::Dense(1)});
  model.set_mode(mode);
  model.compile({.optimizer = nn::SGD(0.05, {.momentum = 0.9}), .loss = "mse", .metrics = {"mae"}});
  std::vector<std::shared_ptr<nn::Callback>> callbacks = {
      std::make_shared<nn::EarlyStopping>(
          nn::EarlyStoppingOptions{.min_delta = 0.2, .patience = 2, .restore_best_weights = true}),
      std::make_shared<nn::ReduceLROnPlateau>(nn::ReduceLROnPlateauOptions{.factor = 0.5, .patience = 1})};
  if (interrupt) callbacks.push_back(interrupt);
  callbacks.push_back(
      std::make_shared<nn::BackupAndRestore>(folder, nn::BackupOptions{.save_freq = save_freq}));
  const nn::History history = model.fit(x, y,
                                        {.batch_size = 8,
                                         .epochs = 9,
                                         .validation_split = 0.25,
                                         .steps_per_epoch = 5,
                                         .callbacks = callbacks,
                                         .verbose = 0});
  Outcome outcome{history.step_losses, {}, {}};
  for (const nn::Logs& logs : history.epochs)
    for (const auto& [name, value] : logs.entries())
      outcome.epochs.push_back(fmt::format("{} {:a}", name, value));
  for (const td::Variable& v : model.variables()) outcome.weights.push_back(v.value().to_vector<float>());
  return outcome;
}

TEST_F(Resume, InterruptedAnywhereWithAnyKindOfBackup) {
  const Outcome expected = fit_arrays(folder + "/whole", nn::Mode::eager, {}, nullptr);
  EXPECT_LT(expected.losses.size(), 45u) << "training is to be stopped early, so that its stop must be kept";
  EXPECT_GT(expected.losses.size(), 20u);
  int64_t number = 0;
  for (const std::optional<int64_t> save_freq : {std::optional<int64_t>(), std::optional<int64_t>(3)})
    for (const auto& [epoch, batch] :
         std::vector<std::pair<int, int>>{{0, 1}, {1, 0}, {1, 4}, {2, 3}, {3, 2}}) {
      const std::string own = folder + "/" + std::to_string(number++);
      const nn::Mode first = number % 2 == 0 ? nn::Mode::eager : nn::Mode::graph;
      const nn::Mode second = number % 3 == 0 ? nn::Mode::eager : nn::Mode::graph;
      EXPECT_THROW(fit_arrays(own, first, save_freq, std::make_shared<Interrupt>(epoch, batch)),
                   std::exception);
      EXPECT_TRUE(fit_arrays(own, second, save_freq, std::make_shared<Interrupt>(99, 0)) == expected)
          << "interrupted at epoch " << epoch << ", batch " << batch;
      // It has ended as it should: nothing is left to go on from.
      EXPECT_TRUE(nn::CheckpointManager(own, {.name = "backup"}).paths().empty());
    }
}

TEST_F(Resume, AFullDiskDoesNotEndTraining) {
  const Outcome expected = fit_arrays(folder + "/whole", nn::Mode::graph, 3, nullptr);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{512, before.rlim_max};
  testing::internal::CaptureStderr();
  setrlimit(RLIMIT_FSIZE, &small);
  const Outcome outcome = fit_arrays(folder + "/full", nn::Mode::graph, 3, nullptr);
  setrlimit(RLIMIT_FSIZE, &before);
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_TRUE(outcome == expected);
  EXPECT_EQ(said.substr(0, said.find('\n')),
            "tandem: no backup at step 3: " + folder +
                "/full/backup-00000003.safetensors: cannot be written: File too large; training goes on");
}

TEST_F(Resume, BackupComesLast) {
  nn::Sequential model({nn::Dense(1)});
  model.compile({.optimizer = "sgd", .loss = "mse"});
  const auto fit = [&] {
    model.fit(
        td::ones({4, 2}), td::ones({4, 1}),
        {.callbacks = {std::make_shared<nn::BackupAndRestore>(folder), std::make_shared<Interrupt>(9, 9)},
         .verbose = 0});
  };
  const std::string message = td::testing::message_of(fit);
  EXPECT_EQ(message.substr(0, message.rfind(" (")),
            "fit: BackupAndRestore stands before other callbacks; give it last, so that it saves what they "
            "have done");
}

TEST_F(Resume, BackupsOfStrangersAreErrors) {
  const auto fit = [&](bool keep) {
    nn::Sequential model({nn::Dense(1)});
    model.compile({.optimizer = "sgd", .loss = "mse"});
    model.fit(td::ones({4, 2}), td::ones({4, 1}),
              {.callbacks = {std::make_shared<nn::EarlyStopping>(
                                 nn::EarlyStoppingOptions{.monitor = "loss", .restore_best_weights = true}),
                             std::make_shared<nn::ReduceLROnPlateau>(
                                 nn::ReduceLROnPlateauOptions{.monitor = "loss"}),
                             std::make_shared<nn::BackupAndRestore>(
                                 folder, nn::BackupOptions{.delete_checkpoint = !keep})},
               .verbose = 0});
  };
  fit(true);
  const std::string path = nn::CheckpointManager(folder, {.name = "backup"}).paths().at(0);
  const nn::Snapshot good = nn::load_snapshot(path);
  // Every single tensor and text is missed, or does not matter; and so with numbers that cannot be.
  const auto message_of = [&](const nn::Snapshot& bad) {
    nn::CheckpointManager(folder, {.name = "backup"}).clear();
    nn::save_snapshot(bad, path);
    return td::testing::message_of([&] { fit(false); });
  };
  const auto expect_refused = [&](const nn::Snapshot& bad, const std::string& why) {
    const std::string message = message_of(bad);
    EXPECT_NE(message.find(why), std::string::npos) << message;
    EXPECT_NE(message.find("in " + path), std::string::npos) << message;
  };
  for (const auto& [name, value] : good.tensors) {
    nn::Snapshot bad = good;
    bad.tensors.erase(name);
    if (name.ends_with("best") || name.ends_with("best_epoch") || name.starts_with("fit/metrics")) continue;
    if (name == "fit/callbacks/0/weights/0" || name == "fit/callbacks/0/wait") continue;
    expect_refused(bad, "");
  }
  const auto with = [&](const std::string& name, const Tensor& value) {
    nn::Snapshot bad = good;
    bad.tensors[name] = value;
    return bad;
  };
  expect_refused(with("fit/callbacks/0/weights/1", td::ones({7})), "the best weights are of another model");
  expect_refused(with("fit/callbacks/0/weights/2", td::ones({1})), "the best weights are of another model");
  expect_refused(with("fit/callbacks/1/wait", Tensor(INT64_MAX, td::int64)),
                 "\"wait\" is 9223372036854775807, which cannot be");
  expect_refused(with("epoch/value", Tensor(int64_t{-1}, td::int64)),
                 "the backup stands at epoch -1, batch 0 and step 1, which cannot be");
  nn::Snapshot bad = good;
  bad.texts["fit/logs"] = "";
  expect_refused(bad, "the backup has no results");
  bad.texts.erase("fit/logs");
  expect_refused(bad, "the checkpoint has no text \"fit/logs\"");
  EXPECT_EQ(message_of(good), "no error");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 5 && std::string(argv[1]) == "--train") {
    train(argv[2], std::string(argv[3]) == "graph" ? nn::Mode::graph : nn::Mode::eager, argv[4]);
    return 0;
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
