// Data sets from files: CSV, text, IDX and NumPy's, whole and a part at a time.

#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "support.h"
#include "tandem/data/csv.h"
#include "tandem/data/idx.h"
#include "tandem/data/npy.h"
#include "tandem/data/text.h"
#include "tandem/ops.h"

namespace td = tandem;
using td::Nest;
using td::Tensor;
using td::data::Dataset;

namespace {

const std::filesystem::path shared_folder = TANDEM_SHARED_FOLDER;

/// A file that is gone when the test is.
class File {
 public:
  explicit File(const std::string& content, const std::string& name = "tandem_readers_test.csv")
      : path(testing::TempDir() + std::to_string(getpid()) + "_" + name) {
    std::ofstream(path, std::ios::binary) << content;
  }
  ~File() { std::remove(path.c_str()); }
  const std::string path;
};

std::vector<double> numbers(const Tensor& t) { return t.to(td::float64).to_vector<double>(); }

TEST(Csv, FindsTypes) {
  const File file(
      "whole,part,kind,gap\n"
      "1,2.5,b,7\n"
      "-3, 1e3 ,a,\n"
      "+4,-.5,\"b\",9\n");
  const auto table = td::data::read_csv(file.path);
  EXPECT_EQ(table.rows(), 3);
  EXPECT_EQ(table.names(), (std::vector<std::string>{"whole", "part", "kind", "gap"}));
  EXPECT_EQ(table["whole"].dtype(), td::int64);
  EXPECT_EQ(numbers(table["whole"]), (std::vector<double>{1, -3, 4}));
  EXPECT_EQ(table["part"].dtype(), td::float32);
  EXPECT_EQ(numbers(table["part"]), (std::vector<double>{2.5, 1000, -0.5}));
  EXPECT_EQ(table.column("kind").categories, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(numbers(table["kind"]), (std::vector<double>{1, 0, 1}));
  EXPECT_EQ(table["gap"].dtype(), td::float32);
  EXPECT_TRUE(std::isnan(numbers(table["gap"])[1]));
  EXPECT_EQ(numbers(table.matrix({"kind", "whole"})), (std::vector<double>{1, 1, 0, -3, 1, 4}));
  EXPECT_ERROR(table["no"], "the table has no column \"no\"; its columns are whole, part, kind, gap");
}

TEST(Csv, OptionsDecide) {
  const File file("1;x;\r\n\r\n2;?;5\r\n");
  const auto table = td::data::read_csv(file.path, {.separator = ';',
                                                    .header = false,
                                                    .names = {"a", "b", "c"},
                                                    .select = {"c", "b", "a"},
                                                    .types = {{"a", td::uint8}},
                                                    .categories = {{"b", {"y", "x"}}},
                                                    .fill = {{"c", -1}}});
  EXPECT_EQ(table.names(), (std::vector<std::string>{"c", "b", "a"}));
  EXPECT_EQ(table["a"].dtype(), td::uint8);
  EXPECT_EQ(numbers(table["b"]), (std::vector<double>{1, -1}));
  EXPECT_EQ(table["c"].dtype(), td::int64);
  EXPECT_EQ(numbers(table["c"]), (std::vector<double>{-1, 5}));
}

TEST(Csv, QuotesHoldSeparatorsAndLines) {
  const File file("\xef\xbb\xbfname,n\n\"a,\"\"b\"\"\nc\",1\nd,2\n");
  const auto table = td::data::read_csv(file.path);
  EXPECT_EQ(table.column("name").categories, (std::vector<std::string>{"a,\"b\"\nc", "d"}));
  EXPECT_EQ(numbers(table["n"]), (std::vector<double>{1, 2}));
}

TEST(Csv, ErrorsNameFileAndLine) {
  const auto message = [](const std::string& content, const td::data::CsvOptions& options = {}) {
    const File file(content);
    const std::string text = td::testing::message_of([&] { td::data::read_csv(file.path, options); });
    return text.substr(std::min(text.find("tandem_readers_test.csv"), text.size()));
  };
  const std::string file = "tandem_readers_test.csv";
  EXPECT_EQ(message("a,b\n1,2\n\n3\n"), file + ":4: the row has 1 column; expected 2");
  EXPECT_EQ(message("a,b\n\"1\n\n\",2\n3,4,5\n"), file + ":5: the row has 3 columns; expected 2");
  EXPECT_EQ(message(""), file + ": the file has no rows");
  EXPECT_EQ(message("a,b\n1,\"2\n"), file + ":2: a quote is never closed");
  EXPECT_EQ(message("a,b\n1,\"2\"x\n"),
            file + ":2: behind a closing quote stands neither a separator nor the line's end");
  EXPECT_EQ(message("a,a\n"), file + ":1: two columns have the name \"a\"");
  EXPECT_EQ(message("a,b\n1,2\n", {.select = {"c"}}),
            file + ":1: there is no column \"c\"; the columns are a, b");
  EXPECT_EQ(message("a\n1\nx\n", {.types = {{"a", td::float32}}}),
            file + ":3: column \"a\": \"x\" is no number");
  EXPECT_EQ(message("a\n1\n256\n", {.types = {{"a", td::uint8}}}),
            file + ":3: column \"a\": \"256\" does not fit uint8");
  EXPECT_EQ(message("a\n1\n?\n", {.types = {{"a", td::int32}}}),
            file + ":3: column \"a\": a value is missing, and int32 has none for that; `fill` gives one");
  EXPECT_EQ(message("a\nx\nz\n", {.categories = {{"a", {"x", "y"}}}}),
            file + ":3: column \"a\": \"z\" is none of its categories: x, y");
  EXPECT_EQ(message("1,2\n", {.header = false, .names = {"a"}}),
            file + ":1: the row has 2 columns, but 1 names are given");
}

TEST(Csv, StrangersTablesAreErrorsOrTables) {
  const auto message = [](const std::string& content) {
    const File file(content);
    const std::string text = td::testing::message_of([&] { td::data::read_csv(file.path); });
    return text.substr(std::min(text.find("tandem_readers_test.csv"), text.size()));
  };
  const std::string file = "tandem_readers_test.csv";
  const std::string nul(1, '\0'), long_text(1 << 20, 'x');
  {
    // Without a line end, with zero bytes and a field of a megabyte.
    const File strange("a,b\n1," + nul + "\n2," + long_text);
    const auto table = td::data::read_csv(strange.path);
    EXPECT_EQ(numbers(table["a"]), (std::vector<double>{1, 2}));
    EXPECT_EQ(table.column("b").categories, (std::vector<std::string>{nul, long_text}));
  }
  EXPECT_EQ(message(nul + "\n" + nul + ",1"), file + ":2: the row has 2 columns; expected 1");
  EXPECT_EQ(message("a,b\n1,\"" + long_text), file + ":2: a quote is never closed");
  EXPECT_EQ(message("a\n\""), file + ":2: a quote is never closed");
  EXPECT_EQ(message(long_text + "," + long_text),
            file + ":1: two columns have the name \"" + std::string(60, 'x') + "...\"");
  EXPECT_EQ(message("a\x1b[2J,a\x1b[2J\n"), file + ":1: two columns have the name \"a?[2J\"");
  EXPECT_EQ(message("\n\r\n\n"), file + ": the file has no rows");
  // Columns without number take no time that grows with their square.
  std::string wide;
  for (int i = 0; i < 200000; ++i) wide += std::to_string(i) + ',';
  EXPECT_EQ(message(wide + "end\n1\n"), file + ":2: the row has 1 column; expected 200001");
}

TEST(Csv, RowsAreReadWhenNeeded) {
  std::string content = "x,kind,y\n";
  for (int i = 0; i < 200; ++i) content += fmt::format("{},{},{}\n", i, i % 3 == 0 ? "fizz" : "no", i * 2.5);
  const File file(content);
  const auto table = td::data::read_csv(file.path);
  const Dataset rows = td::data::csv_rows(file.path, {.label = "y"});
  EXPECT_EQ(rows.cardinality(), 200);
  std::vector<double> x, kind, y;
  for (const Nest& e : rows.shuffle(1).batch(64)) {
    for (double v : numbers(e[0]["x"].leaf())) x.push_back(v);
    for (double v : numbers(e[0]["kind"].leaf())) kind.push_back(v);
    for (double v : numbers(e[1].leaf())) y.push_back(v);
  }
  ASSERT_EQ(x.size(), 200u);
  EXPECT_NE(x, numbers(table["x"]));
  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_EQ(y[i], x[i] * 2.5);
    EXPECT_EQ(kind[i], std::fmod(x[i], 3) == 0 ? 0 : 1);
  }
  const Nest batch =
      *td::data::csv_rows(file.path, {.label = "y", .vector = true}).batch(100).skip(1).iterate().next();
  EXPECT_EQ(batch[0].leaf().shape(), td::Shape({100, 2}));
  EXPECT_EQ(numbers(batch[0].leaf()[1]), (std::vector<double>{101, 1}));
  EXPECT_EQ(numbers(batch[1].leaf())[99], 199 * 2.5);
}

TEST(Csv, HousingAndIris) {
  if (!std::filesystem::exists(shared_folder / "data"))
    GTEST_SKIP() << shared_folder / "data"
                 << " is not there";
  const auto housing = td::data::read_csv(shared_folder / "data/california-housing/housing.csv");
  EXPECT_EQ(housing.rows(), 20640);
  EXPECT_EQ(housing.column("ocean_proximity").categories,
            (std::vector<std::string>{"<1H OCEAN", "INLAND", "ISLAND", "NEAR BAY", "NEAR OCEAN"}));
  int missing = 0;
  for (double v : numbers(housing["total_bedrooms"])) missing += std::isnan(v);
  EXPECT_EQ(missing, 207);
  const auto iris = td::data::read_csv(shared_folder / "data/iris/iris.data", {.header = false});
  EXPECT_EQ(iris.rows(), 150);
  EXPECT_EQ(iris.column("4").categories.size(), 3u);
}

TEST(Text, LinesAndCharacters) {
  std::string content;
  for (int i = 0; i < 150; ++i) content += "line " + std::to_string(i) + (i % 2 == 0 ? "\n" : "\r\n");
  const File file(content + "\nlast", "tandem_text");
  const Dataset lines = td::data::text_lines(file.path);
  EXPECT_EQ(lines.cardinality(), 152);
  int i = 0;
  for (const Nest& e : lines) {
    const std::string expected = i < 150 ? "line " + std::to_string(i) : i == 150 ? "" : "last";
    EXPECT_EQ(td::data::to_text(e.leaf()), expected);
    ++i;
  }
  EXPECT_EQ(i, 152);
  EXPECT_EQ(td::data::read_text(file.path), content + "\nlast");
  EXPECT_ERROR(td::data::text_lines("no such"), "no such: no such file");
}

TEST(Text, CharactersHaveCodes) {
  const std::string text = "zażółć gęślą jaźń 😀";
  const td::data::CharacterCodes codes(text);
  const Tensor encoded = codes.encode(text);
  EXPECT_EQ(encoded.dtype(), td::int64);
  EXPECT_EQ(encoded.size(), 19);
  EXPECT_EQ(codes.decode(encoded), text);
  EXPECT_EQ(td::data::CharacterCodes(codes.characters()).characters(), codes.characters());
  EXPECT_EQ(codes.encode(" ").item<int64_t>(), 0);
  EXPECT_ERROR(codes.encode("zaq"), "the character U+0071 at byte 2 has no code");
  EXPECT_ERROR(codes.encode("a\xff"), "the text is no UTF-8 at byte 1");
  EXPECT_ERROR(codes.encode("\xe0\x80\x80"), "the text is no UTF-8 at byte 0");
  EXPECT_ERROR(codes.decode(Tensor({99})), "code 99 is out of range; expected 0 to 15");
  // What a language model learns from: windows, and the same one character on.
  const Dataset pairs = Dataset::from_tensors(Nest(encoded)).windows(5).map([](Tensor w) {
    return std::pair(w[td::Index(0, 4)], w[td::Index(1, 5)]);
  });
  EXPECT_EQ(pairs.cardinality(), 15);
  const Nest first = *pairs.iterate().next();
  EXPECT_EQ(codes.decode(first[0].leaf()) + "|" + codes.decode(first[1].leaf()), "zażó|ażół");
}

TEST(Idx, RowsOfPlainAndPackedFiles) {
  const std::string header("\0\0\x08\x02\0\0\0\x03\0\0\0\x02", 12);
  const File plain(header + std::string("\1\2\3\4\5\6", 6), "tandem_plain_idx");
  std::string text;
  for (const Nest& e : td::data::idx_rows(plain.path)) text += td::to_string(e.leaf());
  EXPECT_EQ(text, td::to_string(Tensor({1, 2}, td::uint8)) + td::to_string(Tensor({3, 4}, td::uint8)) +
                      td::to_string(Tensor({5, 6}, td::uint8)));
  const File wide(std::string("\0\0\x0b\x01\0\0\0\x02\x01\x02\xff\xfe", 12), "tandem_wide_idx");
  EXPECT_EQ(numbers(td::data::idx_rows(wide.path).batch(2).iterate().next()->leaf()),
            (std::vector<double>{258, -2}));
  const File cut(header + "\1\2\3", "tandem_cut_idx");
  EXPECT_ERROR(
      td::data::idx_rows(cut.path),
      cut.path + ": its header declares (3, 2) of uint8, 6 bytes, but the file holds 3 bytes of data");

  const auto packed = shared_folder / "data/fashion-mnist/train-labels-idx1-ubyte.gz";
  if (!std::filesystem::exists(packed)) GTEST_SKIP() << packed << " is not there";
  const Dataset labels = td::data::idx_rows(packed);
  EXPECT_EQ(labels.cardinality(), 60000);
  const Tensor all = td::data::read_idx(packed);
  td::data::Iterator it = labels.batch(100).iterate();
  it.skip(7);
  EXPECT_EQ(numbers(it.next()->leaf()), numbers(all[td::Index(700, 800)]));
}

TEST(Npy, MappedArraysAreTheFilesPages) {
  const File file("", "tandem_mapped.npy");
  for (const Tensor& t : {Tensor({{1, 2, 3}, {4, 5, 6}}), td::ones({3}, td::float16), Tensor({true, false}),
                          td::zeros({0, 2}), Tensor(7.5)}) {
    td::data::write_npy(file.path, t);
    const Tensor mapped = td::data::map_npy(file.path);
    EXPECT_EQ(td::to_string(mapped), td::to_string(t));
  }
  td::data::write_npy(file.path, Tensor({{1, 2, 3}, {4, 5, 6}}));
  const Tensor mapped = td::data::map_npy(file.path);
  std::remove(file.path.c_str());  // the pages stay as long as somebody uses them
  EXPECT_EQ(numbers(Dataset::from_tensors(Nest(mapped)).shuffle(1).skip(1).iterate().next()->leaf()).size(),
            3u);
  EXPECT_EQ(numbers(mapped + 1), (std::vector<double>{2, 3, 4, 5, 6, 7}));
}

}  // namespace
