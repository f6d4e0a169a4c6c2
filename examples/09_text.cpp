// Text: a transformer, or an LSTM, learns to write like a file, one character at a time.
//
// It reads tinyshakespeare where it is, or the file that --data names; else it learns a saying by heart. What
// to look at:
//   - characters become numbers by CharacterCodes; a data set cuts the text into windows, of which the
//     target is the same one character later;
//   - Positions is a layer of one's own among Tandem's; use_causal_mask lets each position see what came
//     before it alone, so that one pass learns from all of them;
//   - the loss is in nats a character: exp of it is among how many characters the model hesitates;
//   - to write, the model is asked for the next character again and again, and one is drawn by its chances.
//
// Try: --model lstm, or --data with any text of your own.

#include <tandem/tandem.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>

#include "options.h"

namespace td = tandem;
namespace nn = td::nn;

namespace {

constexpr const char* saying =
    "The rain it raineth every day upon the just and unjust fellow; but more upon the just, because the "
    "unjust hath the just's umbrella. ";

struct Settings {
  int64_t context, width, layers, heads, batch, steps_an_epoch;
  double rate;
};

/// Adds to each position what was learned of it.
struct Positions : nn::Module {
  nn::Embedding table;
  Positions(int64_t context, int64_t width) : table(member("table", nn::Embedding(context, width))) {}
  td::Tensor operator()(const td::Tensor& x) const { return x + table(td::arange(x.dim(1))); }
};

nn::Model transformer(const Settings& s, int64_t characters) {
  const auto text = nn::Input({s.context}, {.dtype = td::int64});
  auto h = nn::Layer(Positions(s.context, s.width))(nn::Embedding(characters, s.width)(text));
  for (int64_t i = 0; i < s.layers; ++i) {
    const nn::MultiHeadAttention attention(s.heads, s.width / s.heads, {.use_causal_mask = true});
    h = nn::Add()({h, attention(nn::LayerNormalization()(h))});
    const auto thought = nn::Dense(4 * s.width, "gelu")(nn::LayerNormalization()(h));
    h = nn::Add()({h, nn::Dense(s.width)(thought)});
  }
  return {text, nn::Dense(characters)(nn::LayerNormalization()(h)), {.name = "transformer"}};
}

nn::Model lstm(const Settings& s, int64_t characters) {
  const auto text = nn::Input({s.context}, {.dtype = td::int64});
  auto h = nn::Embedding(characters, s.width)(text);
  for (int64_t i = 0; i < s.layers; ++i) h = nn::LSTM(s.width, {}, {.return_sequences = true})(h);
  return {text, nn::Dense(characters)(h), {.name = "lstm"}};
}

/// Windows of the text that begin at every `shift`-th character, each with the one a character later.
td::data::Dataset windows(const td::Tensor& text, int64_t context, int64_t shift) {
  return td::data::Dataset::from_tensors(text)
      .windows(context + 1, shift)
      .map([context](const td::Tensor& w) {
        return std::pair(w[{{0, context}}], w[{{1, context + 1}}]);
      });
}

/// Goes on with a text: each next character is drawn by the chances that the model gives it.
std::string write(const nn::Model& model, const td::data::CharacterCodes& codes, const std::string& begin,
                  int64_t length, int64_t context) {
  std::vector<int64_t> written = codes.encode(begin).to_vector<int64_t>();
  for (int64_t i = 0; i < length; ++i) {
    // The last characters; zeros behind them fill up the window, and the causal model does not see them.
    const auto known = std::min<size_t>(static_cast<size_t>(context), written.size());
    std::vector<int64_t> window(written.end() - static_cast<std::ptrdiff_t>(known), written.end());
    window.resize(static_cast<size_t>(context));
    const td::Tensor logits = model.predict(td::from_vector(std::move(window), {1, context}));
    // Below 1 the likely ones become likelier.
    constexpr float temperature = 0.8f;
    const td::Tensor chances =
        td::softmax(td::Tensor(logits[{0, static_cast<int64_t>(known) - 1}]) / temperature);
    const td::Tensor passed = td::cumsum(chances, 0) < td::random::uniform({});
    const auto next = td::sum(td::cast(passed, td::int64)).item<int64_t>();
    written.push_back(std::min(next, codes.size() - 1));
  }
  const auto size = static_cast<int64_t>(written.size());
  return codes.decode(td::from_vector(std::move(written), {size}));
}

void run(const lesson::Options& options) {
  std::filesystem::path path = options["data"];
  if (std::filesystem::is_directory(path)) path /= "input.txt";
  const bool there = std::filesystem::exists(path),
             recurrent = options.word("model", {"transformer", "lstm"}) == "lstm";
  Settings s{32, 32, 1, 2, 8, 50, 3e-3};
  std::string text;
  if (there) {
    text = td::data::read_text(path.string());
    s = recurrent ? Settings{64, 256, 2, 0, 32, 250, 3e-3} : Settings{64, 128, 4, 4, 32, 250, 2e-3};
  } else {
    std::cout << "There is no " << path.string() << "; learning a saying by heart instead.\n";
    for (int i = 0; i < 8; ++i) text += saying;
  }

  if (options.number("steps") > 0) s.steps_an_epoch = options.number("steps");

  // The last tenth is never trained on.
  const td::data::CharacterCodes codes(text);
  const td::Tensor all = codes.encode(text);
  const int64_t cut = all.size() * 9 / 10;
  const auto train = windows(all[{{0, cut}}], s.context, 1).shuffle(1).batch(s.batch).prefetch();
  const auto held = windows(all[{{cut, all.size()}}], s.context, s.context).batch(128);

  td::random::seed(1);
  const nn::Model model = recurrent ? lstm(s, codes.size()) : transformer(s, codes.size());
  const int64_t epochs = options.number("epochs");
  const auto steps = static_cast<double>(epochs * s.steps_an_epoch);
  const nn::schedules::CosineDecay rate(
      0, steps * 0.95, {.alpha = 0.05, .warmup_target = s.rate, .warmup_steps = steps * 0.05});
  model.compile({.optimizer = nn::AdamW(rate, {}, {.weight_decay = 0.1, .global_clipnorm = 1.0}),
                 .loss = nn::SparseCategoricalCrossentropy({.from_logits = true})});
  std::cout << model.summary() << '\n';

  // An epoch is no pass over the text here, but a number of steps after which the held back part is looked
  // at.
  const auto begin = std::chrono::steady_clock::now();
  const nn::History history =
      model.fit(train, {.epochs = epochs, .validation_data = held, .steps_per_epoch = s.steps_an_epoch});
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const double nats = history.epochs.empty() ? 0 : history.epochs.back()["val_loss"];
  std::cout << "on the tenth that was held back: " << nats << " nats a character, after " << seconds
            << " s\n\n"
            << write(model, codes, text.substr(0, 16), there ? 500 : 100, s.context) << '\n';
  if (!options["json"].empty())
    std::ofstream(options["json"]) << "{\"model\": \"" << options["model"] << "\", \"steps\": " << steps
                                   << ", \"nats_per_character\": " << nats << ", \"seconds\": " << seconds
                                   << "}\n";
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(lesson::Options(
        argc, argv,
        {{"data", "../shared/data/tinyshakespeare"},  // a text file, or a folder with input.txt
         {"model", "transformer"},                    // or lstm
         {"epochs", "8"},
         {"steps", "0"},  // an epoch; 0: as many as are good
         {"json", ""}}));
  } catch (const std::exception& e) {
    std::cerr << e.what() << '\n';
    return 1;
  }
}
