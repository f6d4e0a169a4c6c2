// Text: a transformer, or an LSTM, learns to write like a file, one character at a time.
//
// Without --data it learns a saying by heart, in a second. With a folder that holds input.txt
// (tinyshakespeare, say) it is a network of 0.8 million numbers. What to look at:
//   - Positions is a layer of one's own among Tandem's;
//   - a causal mask lets each position see what came before it, so that one pass learns from all of them;
//   - the loss is in nats a character: exp of it is how many characters the model hesitates between.

#include <tandem/tandem.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>

#include "options.h"

namespace td = tandem;
namespace nn = td::nn;

namespace {

// Read when no file is given: enough to see that it works.
constexpr const char* small_text =
    "The rain it raineth every day upon the just and unjust fellow; but more upon the just, because the "
    "unjust hath the just's umbrella. ";

struct Settings {
  int64_t context, width, layers, heads, batch, steps;
  double rate;
};

// The characters that occur, and the text as their numbers.
struct Text {
  std::string alphabet;
  td::Tensor numbers;

  explicit Text(const std::string& text) : alphabet(text) {
    std::sort(alphabet.begin(), alphabet.end());
    alphabet.erase(std::unique(alphabet.begin(), alphabet.end()), alphabet.end());
    std::vector<int32_t> list;
    for (const char c : text) list.push_back(static_cast<int32_t>(alphabet.find(c)));
    numbers = td::from_vector(std::move(list), {static_cast<int64_t>(text.size())});
  }
  int64_t letters() const { return static_cast<int64_t>(alphabet.size()); }
};

// Adds to each position what was learned of it.
struct Positions : nn::Module {
  nn::Embedding table;
  Positions(int64_t context, int64_t width) : table(member("table", nn::Embedding(context, width))) {}
  td::Tensor operator()(const td::Tensor& x) const { return x + table(td::arange(x.dim(1))); }
};

nn::Model transformer(const Settings& s, int64_t letters) {
  const auto words = nn::Input({s.context}, {.dtype = td::int32});
  auto h = nn::Layer(Positions(s.context, s.width))(nn::Embedding(letters, s.width)(words));
  for (int64_t i = 0; i < s.layers; ++i) {
    const auto seen = nn::MultiHeadAttention(s.heads, s.width / s.heads,
                                             {.use_causal_mask = true})(nn::LayerNormalization()(h));
    h = nn::Add()({h, seen});
    const auto thought = nn::Dense(4 * s.width, "gelu")(nn::LayerNormalization()(h));
    h = nn::Add()({h, nn::Dense(s.width)(thought)});
  }
  return {words, nn::Dense(letters)(nn::LayerNormalization()(h)), {.name = "transformer"}};
}

nn::Model recurrent(const Settings& s, int64_t letters) {
  const auto words = nn::Input({s.context}, {.dtype = td::int32});
  auto h = nn::Embedding(letters, s.width)(words);
  for (int64_t i = 0; i < std::max<int64_t>(1, s.layers / 2); ++i)
    h = nn::LSTM(s.width, {}, {.return_sequences = true})(h);
  return {words, nn::Dense(letters)(h), {.name = "lstm"}};
}

// Windows of the text from these places on, and the same one character later.
std::pair<td::Tensor, td::Tensor> windows(const td::Tensor& numbers, const td::Tensor& starts,
                                          int64_t context) {
  const td::Tensor places = td::unsqueeze(starts, {1}) + td::arange(context);
  return {td::gather(numbers, places), td::gather(numbers, places + 1)};
}

// Goes on with a text: each next character is drawn from what the model expects.
std::string written(const nn::Model& model, const Text& text, std::string so_far, int64_t length,
                    int64_t context) {
  for (int64_t i = 0; i < length; ++i) {
    // The last characters, with the first of the alphabet behind them up to the model's length.
    const auto known = std::min<int64_t>(context, static_cast<int64_t>(so_far.size()));
    std::vector<int32_t> window(static_cast<size_t>(context), 0);
    for (int64_t k = 0; k < known; ++k)
      window[static_cast<size_t>(k)] =
          static_cast<int32_t>(text.alphabet.find(so_far[so_far.size() - static_cast<size_t>(known - k)]));
    const td::Tensor logits = model.predict(td::from_vector(std::move(window), {1, context}));
    const td::Tensor shares = td::softmax(td::Tensor(logits[{0, known - 1}]) / 0.8f);
    double drawn = td::random::uniform({}).item<float>();
    size_t next = 0;
    for (const float share : shares.to_vector<float>()) {
      if ((drawn -= share) < 0) break;
      ++next;
    }
    so_far += text.alphabet[std::min(next, text.alphabet.size() - 1)];
  }
  return so_far;
}

}  // namespace

int main(int count, char** words) {
  const lesson::Options options(count, words,
                                {{"data", ""},              // a folder with input.txt
                                 {"model", "transformer"},  // or lstm
                                 {"steps", "0"},
                                 {"json", ""}});
  const std::string folder = options["data"];
  Settings s{32, 32, 1, 2, 8, 20, 3e-3};
  if (!folder.empty()) s = {64, 128, 4, 4, 32, 2500, 2e-3};
  if (options.number("steps") > 0) s.steps = options.number("steps");
  std::string letters;
  if (folder.empty()) {
    for (int i = 0; i < 8; ++i) letters += small_text;
  } else {
    std::ifstream file(folder + "/input.txt");
    if (!file) {
      std::cerr << "cannot read " << folder << "/input.txt\n";
      return 1;
    }
    std::ostringstream all;
    all << file.rdbuf();
    letters = all.str();
  }
  const Text text(letters);
  // The last tenth is never trained on.
  const int64_t length = text.numbers.size(), split = length * 9 / 10;
  const td::Tensor training = text.numbers[{{0, split}}], rest = text.numbers[{{split, length}}];
  const auto [x, y] = windows(rest, td::arange(0, rest.size() - s.context - 1, s.context), s.context);

  td::random::seed(1);
  const nn::Model model =
      options["model"] == "lstm" ? recurrent(s, text.letters()) : transformer(s, text.letters());
  const double steps = static_cast<double>(s.steps);
  model.compile(
      {.optimizer = nn::AdamW(nn::schedules::CosineDecay(
           0, steps * 0.95, {.alpha = 0.05, .warmup_target = s.rate, .warmup_steps = steps * 0.05})),
       .loss = nn::SparseCategoricalCrossentropy({.from_logits = true})});
  std::cout << model.summary() << '\n';

  const auto begin = std::chrono::steady_clock::now();
  const auto seconds = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  const int64_t part = std::min<int64_t>(s.steps, 250);
  double held_out = 0;
  int64_t done = 0;
  while (done < s.steps) {
    const td::Tensor starts = td::random::randint(0, training.size() - s.context - 1, {part * s.batch});
    const auto [from, to] = windows(training, starts, s.context);
    const nn::History history = model.fit(from, to, {.batch_size = s.batch, .shuffle = false, .verbose = 0});
    done += part;
    held_out = model.evaluate(x, y, {.batch_size = 128})["loss"];
    std::cout << "step " << done << ": " << history["loss"].back() << " nats a character, held out "
              << held_out << ", " << std::round(seconds()) << " s" << std::endl;
  }
  std::cout << "\n"
            << written(model, text, letters.substr(0, 16), folder.empty() ? 40 : 400, s.context) << '\n';
  if (!options["json"].empty())
    std::ofstream(options["json"]) << "{\"model\": \"" << options["model"] << "\", \"steps\": " << done
                                   << ", \"nats_per_character\": " << held_out
                                   << ", \"seconds\": " << seconds() << "}\n";
}
