// Data sets: what each stage yields, in which order, how many, and going on from a saved place.

#include "tandem/data/dataset.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <map>
#include <numeric>
#include <set>
#include <stdexcept>
#include <thread>

#include "support.h"
#include "tandem/function.h"
#include "tandem/ops.h"
#include "tandem/tape.h"

namespace td = tandem;
using td::Nest;
using td::Tensor;
using td::data::Dataset;
using td::data::infinite;
using td::data::IteratorState;
using td::data::unknown;

namespace {

/// The elements of data sets of int64 tensors, each element's numbers in braces.
std::string text_of(const Nest& element) {
  std::string text;
  for (const Tensor& leaf : element.flatten()) {
    text += text.empty() ? "" : "|";
    bool first = true;
    for (int64_t v : leaf.to(td::int64).to_vector<int64_t>()) {
      text += (first ? "" : " ") + std::to_string(v);
      first = false;
    }
  }
  return text;
}
std::string read(const Dataset& data, int64_t pass = 0, int64_t most = 1000) {
  std::string text;
  td::data::Iterator it = data.iterate(pass);
  for (int64_t i = 0; i < most; ++i) {
    const auto element = it.next();
    if (!element) break;
    text += (i == 0 ? "" : ", ") + text_of(*element);
  }
  return text;
}

/// Elements that can only be read one after the other.
Dataset stream(int64_t count) {
  return Dataset::from_generator([count] {
    return [count, i = int64_t{0}]() mutable -> std::optional<Nest> {
      if (i == count) return std::nullopt;
      return Nest(Tensor(i++, td::int64));
    };
  });
}

TEST(Dataset, FromTensorsGivesRows) {
  const Tensor x({{1, 2}, {3, 4}, {5, 6}}, td::float32), y({7, 8, 9}, td::int64);
  const Dataset data = Dataset::from_tensors({x, y});
  EXPECT_EQ(data.cardinality(), 3);
  EXPECT_EQ(read(data), "1 2|7, 3 4|8, 5 6|9");
  td::data::Iterator it = data.iterate();
  const Nest first = *it.next();
  EXPECT_EQ(first[0].leaf().dtype(), td::float32);
  EXPECT_EQ(first[1].leaf().shape(), td::Shape());
  EXPECT_EQ(read(Dataset::from_tensors({{"a", x}, {"b", y}})), "1 2|7, 3 4|8, 5 6|9");
  EXPECT_EQ(read(Dataset::from_tensors(Nest(td::transpose(x)))), "1 3 5, 2 4 6");
  EXPECT_EQ(read(Dataset::from_tensors(Nest(td::zeros({0, 2})))), "");
  EXPECT_ERROR(Dataset::from_tensors({x, Tensor({1, 2})}),
               "from_tensors was given tensors with different numbers of rows: 3, 2");
  EXPECT_ERROR(Dataset::from_tensors(Nest(Tensor(1))), "from_tensors was given a scalar, which has no rows");
}

TEST(Dataset, OtherSources) {
  EXPECT_EQ(read(Dataset::range(4)), "0, 1, 2, 3");
  EXPECT_EQ(read(Dataset::from_elements({Nest(Tensor({1, 2})), Nest(Tensor(5))})), "1 2, 5");
  EXPECT_EQ(read(Dataset::from_function([](int64_t i) { return std::pair(Tensor(i), Tensor(i * i)); }, 3)),
            "0|0, 1|1, 2|4");
  const Dataset data = stream(3);
  EXPECT_EQ(data.cardinality(), unknown);
  EXPECT_EQ(read(data), "0, 1, 2");
  EXPECT_EQ(read(data), "0, 1, 2");
}

TEST(Dataset, BatchStacks) {
  for (const Dataset& data : {Dataset::range(5), stream(5)}) {
    EXPECT_EQ(read(data.batch(2)), "0 1, 2 3, 4");
    EXPECT_EQ(read(data.batch(2, {.drop_remainder = true})), "0 1, 2 3");
    EXPECT_EQ(read(data.batch(7)), "0 1 2 3 4");
    EXPECT_EQ(read(data.batch(2).batch(2).take(1)), "0 1 2 3");
  }
  EXPECT_EQ(Dataset::range(5).batch(2).cardinality(), 3);
  EXPECT_EQ(Dataset::range(5).batch(2, {.drop_remainder = true}).cardinality(), 2);
  EXPECT_EQ((*Dataset::range(5).batch(2).iterate().next()).leaf().shape(), td::Shape({2}));
  EXPECT_ERROR(Dataset::range(5).batch(0), "batch: 0 elements make no batch; expected 1 or more");
  const Dataset uneven = Dataset::from_elements({Nest(Tensor({1, 2})), Nest(Tensor({1, 2, 3}))}).batch(2);
  EXPECT_ERROR(
      uneven.iterate().next(),
      "element 1 of the batch has shape (3,) where the first has (2,); padded_batch makes them equal");
  EXPECT_ERROR(Dataset::from_elements({Nest(Tensor(1)), Nest(Tensor(1.f))}).batch(2).iterate().next(),
               "element 1 of the batch is float32 where the first is int32");
  EXPECT_ERROR(
      Dataset::from_elements({Nest(Tensor(1)), Nest{Tensor(1), Tensor(2)}}).batch(2).iterate().next(),
      "element 1 of the batch is [*, *] where the first is *");
}

TEST(Dataset, UnshuffledBatchesAreViews) {
  const Tensor x = td::zeros({10, 3});
  const Nest batch = *Dataset::from_tensors(Nest(x)).batch(4).skip(1).iterate().next();
  EXPECT_EQ(batch.leaf().data<float>(), x.data<float>() + 12);
}

TEST(Dataset, TakeSkipRepeat) {
  for (const Dataset& data : {Dataset::range(4), stream(4)}) {
    EXPECT_EQ(read(data.take(2)), "0, 1");
    EXPECT_EQ(read(data.take(9)), "0, 1, 2, 3");
    EXPECT_EQ(read(data.skip(3)), "3");
    EXPECT_EQ(read(data.skip(9)), "");
    EXPECT_EQ(read(data.skip(1).take(2).repeat(2)), "1, 2, 1, 2");
    EXPECT_EQ(read(data.repeat(0)), "");
    EXPECT_EQ(read(data.repeat().take(6)), "0, 1, 2, 3, 0, 1");
    EXPECT_EQ(read(data.repeat().skip(5).take(2)), "1, 2");
    EXPECT_EQ(read(data.repeat(2).batch(3)), "0 1 2, 3 0 1, 2 3");
  }
  EXPECT_EQ(read(stream(0).repeat()), "");
  EXPECT_EQ(Dataset::range(4).repeat().cardinality(), infinite);
  EXPECT_EQ(Dataset::range(4).repeat().take(6).cardinality(), 6);
  EXPECT_EQ(Dataset::range(4).repeat(3).skip(1).cardinality(), 11);
  EXPECT_EQ(stream(4).take(2).cardinality(), unknown);
  EXPECT_ERROR(Dataset::range(4).take(-1), "take: a count of -1 is negative; expected 0 or more");
}

std::multiset<std::string> parts(const std::string& text) {
  std::multiset<std::string> all;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(", ", at), text.size());
    all.insert(text.substr(at, end - at));
    at = end + 2;
  }
  return all;
}

TEST(Dataset, ShuffleIsAPermutationOfSeedAndPass) {
  for (const Dataset& data : {Dataset::range(50), stream(50)})
    for (int64_t window : {0, 7}) {
      const Dataset mixed = data.shuffle(3, {.window = window});
      const std::string first = read(mixed);
      EXPECT_EQ(first, read(mixed));
      EXPECT_NE(first, read(data));
      EXPECT_EQ(parts(first), parts(read(data)));
      EXPECT_NE(first, read(mixed, 1));
      EXPECT_EQ(parts(first), parts(read(mixed, 1)));
      EXPECT_NE(first, read(data.shuffle(4, {.window = window})));
      const Dataset once = data.shuffle(3, {.window = window, .each_pass = false});
      EXPECT_EQ(read(once), read(once, 1));
      // Repetitions are passes.
      EXPECT_EQ(read(mixed.repeat(2)), read(mixed, 0) + ", " + read(mixed, 1));
      EXPECT_EQ(read(mixed.repeat().take(100)), read(mixed, 0) + ", " + read(mixed, 1));
    }
  // A window of w lets no element come more than w places early.
  td::data::Iterator it = stream(100).shuffle(1, {.window = 5}).iterate();
  for (int64_t i = 0; i < 100; ++i) EXPECT_LT((*it.next()).leaf().item<int64_t>(), i + 5);
}

TEST(Dataset, ShuffleReachesEveryOrder) {
  std::map<std::string, int> seen;
  const Dataset data = Dataset::range(3).shuffle(9);
  for (int64_t pass = 0; pass < 600; ++pass) ++seen[read(data, pass)];
  EXPECT_EQ(seen.size(), 6);
  for (const auto& [order, times] : seen) EXPECT_NEAR(times, 100, 40) << order;
}

TEST(Dataset, ShuffleInsideBlocks) {
  td::data::Iterator it = Dataset::range(10).shuffle(5, {.block = 4}).iterate();
  std::vector<int64_t> order;
  for (const Nest& e : it) order.push_back(e.leaf().item<int64_t>());
  for (auto [first, count] : {std::pair(0, 4), {4, 4}, {8, 2}}) {
    std::sort(order.begin() + first, order.begin() + first + count);
    for (int i = 0; i < count; ++i) EXPECT_EQ(order[first + i], first + i);
  }
  EXPECT_ERROR(stream(3).shuffle(1, {.block = 2}),
               "shuffle: blocks need elements that can be had by number, and no window");
}

TEST(Dataset, MapTakesNestsOrTensors) {
  const Dataset pairs = Dataset::from_tensors({Tensor({1, 2, 3}), Tensor({4, 5, 6})});
  EXPECT_EQ(read(pairs.map([](const Nest& e) { return Nest{e[1], e[0]}; })), "4|1, 5|2, 6|3");
  EXPECT_EQ(read(pairs.map([](Tensor x, Tensor y) { return x * y; })), "4, 10, 18");
  EXPECT_EQ(read(pairs.map([](Tensor x, Tensor y) { return std::pair(x + y, y); })), "5|4, 7|5, 9|6");
  EXPECT_EQ(read(stream(3).map([](Tensor x) { return x * x; })), "0, 1, 4");
  auto graph = td::function([](Tensor x) { return x * 2; });
  EXPECT_EQ(read(stream(3).map(graph)), "0, 2, 4");
  EXPECT_ERROR(stream(1).map([](Tensor x, Tensor y) { return x + y; }).iterate().next(),
               "the function takes 2 tensors, but an element is *\n  in map, at element 0");
}

TEST(Dataset, ErrorsComeAtTheirElement) {
  for (const Dataset& data : {Dataset::range(5), stream(5)})
    for (int workers : {1, 3}) {
      const Dataset mapped = data.map(
          [](Tensor x) {
            if (x.item<int64_t>() == 2) throw td::Error(td::ErrorCode::io, "no such thing");
            return x;
          },
          {.workers = workers});
      td::data::Iterator it = mapped.iterate();
      EXPECT_EQ(text_of(*it.next()), "0");
      EXPECT_EQ(text_of(*it.next()), "1");
      EXPECT_ERROR(it.next(), "no such thing\n  in map, at element 2");
      EXPECT_EQ(text_of(*it.next()), "3");
    }
}

/// What a pipeline of everything yields, with the source by number or in order.
Dataset pipeline(const Dataset& source, int workers, bool ahead) {
  Dataset data = source.shuffle(11, {.window = 20})
                     .map([](Tensor x) { return x * 10; }, {.workers = workers})
                     .map_random(5,
                                 [](Tensor x, const td::Variable& g) {
                                   return x + td::random::randint(0, 10, {}, td::int64, g);
                                 },
                                 {.workers = workers})
                     .batch(3);
  if (ahead) data = data.prefetch(3);
  return data.repeat(2);
}

TEST(Dataset, WorkersChangeNothing) {
  for (const Dataset& source : {Dataset::range(50), stream(50), Dataset::range(10)}) {
    const std::string expected = read(pipeline(source, 1, false));
    for (int workers : {1, 2, 8}) EXPECT_EQ(read(pipeline(source, workers, true)), expected) << workers;
  }
}

TEST(Dataset, EveryPlaceCanBeGoneBackTo) {
  for (const Dataset& source : {Dataset::range(23), stream(23)}) {
    const Dataset plain = pipeline(source, 1, false);
    std::vector<std::string> elements;
    for (const Nest& e : plain.iterate(4)) elements.push_back(text_of(e));
    for (size_t stop = 0; stop <= elements.size() + 1; ++stop)
      for (int workers : {1, 3}) {
        td::data::Iterator first = pipeline(source, workers, workers > 1).iterate(4);
        for (size_t i = 0; i < stop; ++i) first.next();
        const IteratorState state = first.state();
        EXPECT_LT(state.size(), 16u);
        // Other numbers of workers read the state, too.
        td::data::Iterator second = (workers > 1 ? plain : pipeline(source, 4, true)).iterate();
        second.restore(state);
        EXPECT_EQ(second.pass(), 4);
        EXPECT_EQ(second.state(), state);
        for (size_t i = stop; i < elements.size(); ++i) ASSERT_EQ(text_of(*second.next()), elements[i]);
        EXPECT_FALSE(second.next());
      }
  }
}

TEST(Dataset, WindowsComeBackHoweverFarTheyWent) {
  for (int64_t window : {1, 2, 5, 64}) {
    const Dataset data = Dataset::range(7).repeat().shuffle(3, {.window = window});
    for (int64_t draws : {1, 2, 5, 63, 64, 65, 1000}) {
      td::data::Iterator first = data.iterate(), second = data.iterate();
      for (int64_t i = 0; i < draws; ++i) first.next();
      second.restore(first.state());
      for (int64_t i = 0; i < 3 * window; ++i) ASSERT_EQ(text_of(*second.next()), text_of(*first.next()));
    }
    // Nobody has drawn so many; a state from anywhere may say so.
    td::data::Iterator it = data.iterate();
    IteratorState state = it.state();
    const int64_t draws = int64_t{1} << 50;
    state[state.size() - 2] = draws + window - 1;  // read
    state[state.size() - 1] = draws;
    it.restore(state);
    EXPECT_TRUE(it.next());
  }
}

TEST(Dataset, StatesOfOthersAreRefused) {
  td::data::Iterator it = Dataset::range(5).batch(2).iterate();
  const IteratorState state = Dataset::range(5).batch(3).iterate().state();
  EXPECT_ERROR(it.restore(state), "the state belongs to another data set than range(5).batch(2)");
  IteratorState own = it.state();
  own.back() = 9;
  EXPECT_ERROR(it.restore(own), "the state says 9 where 0 to 3 is possible");
  own.pop_back();
  EXPECT_ERROR(it.restore(own), "the state is cut off after 3 numbers");
  EXPECT_EQ(text_of(*it.next()), "0 1");
}

TEST(Dataset, SkippingComputesNothing) {
  std::atomic<int> calls = 0;
  const auto count = [&](Tensor x) {
    ++calls;
    return x;
  };
  for (const Dataset& source : {Dataset::range(100), stream(100)}) {
    td::data::Iterator it = source.map(count).batch(10).iterate();
    EXPECT_EQ(it.skip(9), 9);
    EXPECT_EQ(calls, 0);
    EXPECT_EQ(text_of(*it.next()).substr(0, 5), "90 91");
    EXPECT_EQ(it.skip(5), 0);
    calls = 0;
  }
}

TEST(Dataset, PrefetchWorksWhileTheReaderDoes) {
  std::atomic<int> made = 0;
  const Dataset data = stream(100)
                           .map([&](Tensor x) {
                             ++made;
                             return x;
                           })
                           .prefetch(4);
  td::data::Iterator it = data.iterate();
  EXPECT_EQ(made, 0);
  const auto wait_for = [&](int count) {
    for (int i = 0; i < 2000 && made < count; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  };
  it.next();
  wait_for(4);
  EXPECT_GE(made, 4);
  EXPECT_LE(made, 5);  // one is read, four are ready
  for (int i = 0; i < 4; ++i) it.next();
  wait_for(8);
  EXPECT_GE(made, 8);
  EXPECT_LE(made, 9);
}

TEST(Dataset, FilterAndEnumerate) {
  const auto odd = [](Tensor x) { return x.item<int64_t>() % 2 == 1; };
  for (const Dataset& data : {Dataset::range(6), stream(6)}) {
    EXPECT_EQ(read(data.filter(odd)), "1, 3, 5");
    EXPECT_EQ(read(data.filter(odd).enumerate()), "0|1, 1|3, 2|5");
    EXPECT_EQ(read(data.enumerate().skip(4)), "4|4, 5|5");
  }
  EXPECT_EQ(Dataset::range(6).filter(odd).cardinality(), unknown);
}

TEST(Dataset, ZipAndConcatenate) {
  for (const Dataset& data : {Dataset::range(3), stream(3)}) {
    EXPECT_EQ(read(Dataset::zip({data, Dataset::range(9).skip(5)})), "0|5, 1|6, 2|7");
    EXPECT_EQ(read(Dataset::zip({Dataset::range(2), data.repeat()})), "0|0, 1|1");
    EXPECT_EQ(read(data.concatenate(Dataset::range(2))), "0, 1, 2, 0, 1");
    EXPECT_EQ(read(data.concatenate(Dataset::range(2)).batch(2)), "0 1, 2 0, 1");
    EXPECT_EQ(read(data.concatenate(Dataset::range(2)).skip(4)), "1");
  }
  EXPECT_EQ(Dataset::zip({Dataset::range(3), Dataset::range(5).repeat()}).cardinality(), 3);
  EXPECT_EQ(Dataset::zip({Dataset::range(3), stream(5)}).cardinality(), unknown);
  EXPECT_EQ(Dataset::range(3).concatenate(Dataset::range(4)).cardinality(), 7);
  EXPECT_ERROR(Dataset::zip({}), "zip was given no data set");
}

TEST(Dataset, SplitCutsOnce) {
  const auto [first, second] = Dataset::range(10).split(0.3);
  EXPECT_EQ(read(first), "0, 1, 2");
  EXPECT_EQ(read(second), "3, 4, 5, 6, 7, 8, 9");
  const auto [train, test] = Dataset::range(10).split(0.8, 5);
  EXPECT_EQ(parts(read(train) + ", " + read(test, 3)), parts(read(Dataset::range(10))));
  EXPECT_NE(read(train), "0, 1, 2, 3, 4, 5, 6, 7");
  EXPECT_EQ(read(train), read(train, 1));
  EXPECT_ERROR(Dataset::range(10).split(1),
               "split: a fraction of 1 cuts 10 elements into 10 and 0; both need some");
  EXPECT_ERROR(stream(3).split(0.5),
               "split: from_generator() has no known length; take and skip cut it at a number");
}

TEST(Dataset, PaddedBatchFillsUp) {
  const auto matrices = Dataset::from_elements(
      {Nest{Tensor({{1, 2}, {3, 4}}), Tensor({1})}, Nest{Tensor({{5, 6, 7}}), Tensor({2, 3})}});
  EXPECT_EQ(read(matrices.padded_batch(2)), "1 2 0 3 4 0 5 6 7 0 0 0|1 0 2 3");
  EXPECT_EQ((*matrices.padded_batch(2).iterate().next())[0].leaf().shape(), td::Shape({2, 2, 3}));
  EXPECT_EQ(read(matrices.padded_batch(2, {.values = {9, -1}})), "1 2 9 3 4 9 5 6 7 9 9 9|1 -1 2 3");
  EXPECT_EQ(read(matrices.padded_batch(1, {.shapes = {{-1, 3}, {3}}})), "1 2 0 3 4 0|1 0 0, 5 6 7|2 3 0");
  EXPECT_EQ(read(matrices.padded_batch(3, {.drop_remainder = true})), "");
  EXPECT_ERROR(matrices.padded_batch(2, {.value = 0.5}).iterate().next(),
               "padded_batch: 0.5 cannot stand in a tensor of int32");
  EXPECT_ERROR(matrices.padded_batch(2, {.shapes = {{-1, 2}, {-1}}}).iterate().next(),
               "padded_batch: an element of size 3 in dimension 1 is larger than (?, 2)");
  EXPECT_ERROR(matrices.padded_batch(2, {.values = {1}}).iterate().next(),
               "padded_batch: 1 values for elements of 2 tensors");
}

TEST(Dataset, WindowsOverlap) {
  for (const Dataset& data : {Dataset::range(7), stream(7)}) {
    EXPECT_EQ(read(data.windows(3)), "0 1 2, 1 2 3, 2 3 4, 3 4 5, 4 5 6");
    EXPECT_EQ(read(data.windows(3, 2)), "0 1 2, 2 3 4, 4 5 6");
    EXPECT_EQ(read(data.windows(2, 4)), "0 1, 4 5");
    EXPECT_EQ(read(data.windows(2, 2, 3)), "0 3, 2 5");
    EXPECT_EQ(read(data.windows(8)), "");
  }
  EXPECT_EQ(Dataset::range(7).windows(3, 2).cardinality(), 3);
}

TEST(Dataset, UnbatchUndoesBatch) {
  EXPECT_EQ(read(stream(5).batch(2).unbatch()), "0, 1, 2, 3, 4");
  EXPECT_EQ(read(Dataset::range(5).batch(2).unbatch().batch(3)), "0 1 2, 3 4");
}

TEST(Dataset, InterleaveTakesTurns) {
  const auto tens = [](Tensor x) {
    const int64_t from = x.item<int64_t>() * 10;
    return Dataset::range(3).map([from](Tensor y) { return y + from; });
  };
  for (const Dataset& data : {Dataset::range(3), stream(3)}) {
    EXPECT_EQ(read(data.interleave(tens, {.cycle = 2})), "0, 10, 1, 11, 2, 12, 20, 21, 22");
    EXPECT_EQ(read(data.interleave(tens, {.cycle = 3, .block = 2})), "0, 1, 10, 11, 20, 21, 2, 12, 22");
    EXPECT_EQ(read(data.interleave(tens, {.cycle = 1})), "0, 1, 2, 10, 11, 12, 20, 21, 22");
    EXPECT_EQ(read(data.interleave(tens, {.cycle = 9})), "0, 10, 20, 1, 11, 21, 2, 12, 22");
  }
}

TEST(Dataset, CacheReadsOnce) {
  std::atomic<int> calls = 0;
  const auto count = [&](Tensor x) {
    ++calls;
    return x;
  };
  for (const Dataset& source : {Dataset::range(6), stream(6)}) {
    calls = 0;
    const Dataset data = source.shuffle(2).map(count).cache();
    const std::string first = read(data, 0, 4);
    EXPECT_EQ(calls, 4);
    EXPECT_EQ(read(data, 1).substr(0, first.size()), first);
    EXPECT_EQ(read(data, 2), read(source.shuffle(2)));
    EXPECT_EQ(calls, 6);
    EXPECT_NE(read(data.shuffle(1)), read(data));
  }
}

TEST(Dataset, CacheFileHoldsEverything) {
  const std::string path = testing::TempDir() + "tandem_elements_" + std::to_string(getpid());
  std::remove(path.c_str());
  std::atomic<int> calls = 0;
  const auto make = [&] {
    return stream(9).map([&](Tensor x) {
      ++calls;
      const int64_t i = x.item<int64_t>();
      return Nest({{"ones", td::ones({i}, td::float32)}, {"pair", {x, Tensor(i % 2 == 0)}}});
    });
  };
  const Dataset data = make().cache(path);
  const std::string all = read(make());
  calls = 0;
  EXPECT_EQ(read(data), all);
  EXPECT_EQ(calls, 9);
  // Another handle, maybe of another process, finds the file; what was a stream has numbers now.
  const Dataset again = make().cache(path);
  EXPECT_EQ(again.cardinality(), 9);
  EXPECT_EQ(parts(read(again.shuffle(1))), parts(all));
  EXPECT_EQ(calls, 9);
  const Nest last = *again.skip(8).iterate().next();
  EXPECT_EQ(last["pair"][1].leaf().dtype(), td::boolean);
  EXPECT_EQ(last["ones"].leaf().shape(), td::Shape({8}));
  EXPECT_ERROR(
      stream(9).cache(path).iterate(),
      path + ": the file caches from_generator().map(), not from_generator(); remove it to write it anew");
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 8);
  EXPECT_ERROR(make().cache(path).iterate(), path + ": the file of cached elements is damaged");
  std::remove(path.c_str());
}

TEST(Dataset, CombinedPlacesCanBeGoneBackTo) {
  const auto tens = [](Tensor x) {
    return stream(x.item<int64_t>() % 4).map([x](Tensor y) { return y + x * 10; }, {.workers = 2});
  };
  const auto short_ones = [](Tensor x) { return td::zeros({x.item<int64_t>() % 3}, td::int64) + x; };
  for (const Dataset& source : {Dataset::range(12), stream(12)})
    for (const Dataset& data :
         {source.interleave(tens, {.cycle = 3, .block = 2}).prefetch(), source.windows(4, 3, 2),
          Dataset::zip({source, source.shuffle(1, {.window = 3})}),
          source.concatenate(source).batch(5).unbatch(),
          source.filter([](Tensor x) { return x.item<int64_t>() % 3 != 0; }).enumerate(),
          source.map(short_ones).padded_batch(5), source.cache().shuffle(1).repeat(2),
          source.skip(2).take(7)}) {
      const std::string all = read(data, 3);
      size_t count = 0;
      for ([[maybe_unused]] const Nest& e : data.iterate(3)) ++count;
      for (size_t stop = 0; stop <= count; ++stop) {
        td::data::Iterator first = data.iterate(3);
        std::string text;
        const auto add = [&](td::data::Iterator& it) {
          const auto element = it.next();
          if (element) text += (text.empty() ? "" : ", ") + text_of(*element);
          return element.has_value();
        };
        for (size_t i = 0; i < stop; ++i) add(first);
        td::data::Iterator second = data.iterate();
        second.restore(first.state());
        while (add(second)) continue;
        ASSERT_EQ(text, all) << data.describe() << " at " << stop;
      }
    }
}

TEST(Dataset, HooksGoWithWhatIsMadeOfIt) {
  std::string calls;
  const auto hook = [&](const char* name) {
    return [&calls, name](int64_t epoch) { calls += name + std::to_string(epoch) + " "; };
  };
  const Dataset inner = Dataset::range(3).on_epoch(hook("a"), hook("b"));
  const Dataset data = Dataset::zip({inner, inner.batch(2).on_epoch({}, hook("c"))}).prefetch();
  read(data);
  EXPECT_EQ(calls, "");
  data.begin_epoch(4);
  data.end_epoch(4);
  EXPECT_EQ(calls, "a4 b4 c4 ");
}

TEST(Dataset, ThreadsEndWithTheirIterator) {
  const Dataset endless =
      Dataset::range(10).repeat().map([](Tensor x) { return x; }, {.workers = 4}).prefetch();
  for (int i = 0; i < 20; ++i) {
    td::data::Iterator it = endless.iterate();
    for (int k = 0; k < i; ++k) it.next();
  }
  td::data::Iterator it = endless.iterate();
  EXPECT_THROW(
      {
        td::data::Iterator inner = endless.iterate();
        inner.next();
        throw std::runtime_error("a step failed");
      },
      std::runtime_error);
}

TEST(Dataset, ReadingIsNeitherRecordedNorTraced) {
  td::data::Iterator it =
      Dataset::from_tensors(Nest(td::ones({4}))).map([](Tensor x) { return x * 2; }).iterate();
  auto f = td::function([&](Tensor x) { return x + it.next()->leaf(); });
  EXPECT_NE(
      td::testing::message_of([&] { f(Tensor(1.f)); }).find("a data set was read while a function is traced"),
      std::string::npos);
}

TEST(Dataset, DescribesItself) {
  EXPECT_EQ(
      Dataset::range(6).shuffle(7).map([](Tensor x) { return x; }).batch(2).prefetch().repeat().describe(),
      "range(6).shuffle(7).map().batch(2).repeat()");
  EXPECT_ERROR(Dataset().batch(1), "an empty Dataset handle was used");
}

}  // namespace
