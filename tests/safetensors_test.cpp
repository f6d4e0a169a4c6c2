// safetensors: round trips, what other writers produce, and files that lie.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "tandem/data/safetensors.h"
#include "tandem/nn.h"
#include "tandem/ops.h"
#include "tests/same_bits.h"
#include "tests/support.h"

namespace td = tandem;
using td::DType;
using td::Tensor;
using td::testing::same_bits;

namespace {

class Safetensors : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() /
              ("tandem_safetensors_" + std::to_string(::testing::UnitTest::GetInstance()->random_seed()) +
               "_" + std::to_string(std::random_device()()));
    std::filesystem::create_directory(folder_);
    path_ = folder_ / "weights.safetensors";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  /// A file of this header and these elements, as any writer might make it.
  void write(const std::string& header, const std::string& elements, int64_t claimed_length = -1) {
    std::ofstream file(path_, std::ios::binary);
    const uint64_t length = claimed_length < 0 ? header.size() : static_cast<uint64_t>(claimed_length);
    for (int i = 0; i < 8; ++i) file.put(static_cast<char>(length >> (8 * i)));
    file << header << elements;
  }
  /// The error after "PATH: no valid safetensors file: ".
  std::string complaint() {
    const std::string message = td::testing::message_of([&] { td::load_weights(path_); });
    const std::string start = path_ + ": no valid safetensors file: ";
    return message.starts_with(start) ? message.substr(start.size()) : "not about the format: " + message;
  }
  std::string complaint_of(const std::string& header, const std::string& elements = {}) {
    write(header, elements);
    return complaint();
  }

  std::filesystem::path folder_;
  std::string path_;
};

TEST_F(Safetensors, EveryDtypeAndShapeComesBack) {
  td::Weights weights;
  const Tensor values({{0.f, 1.f, -2.5f}, {300.f, 1e-3f, 7.f}});
  for (int d = 0; d < td::dtype_count; ++d) {
    const auto dtype = static_cast<DType>(d);
    weights[std::string(td::name_of(dtype))] = td::cast(values, dtype);
  }
  weights["scalar"] = Tensor(2.5);
  weights["empty"] = td::zeros({3, 0, 2}, td::float16);
  weights["turned \"quoted\" \xc3\xa9"] = td::transpose(values);
  td::save_weights(weights, path_, {{"format", "pt"}, {"note", "line\nbreak"}});
  const td::Weights again = td::load_weights(path_);
  ASSERT_EQ(again.size(), weights.size());
  for (const auto& [name, value] : weights) EXPECT_TRUE(same_bits(again.at(name), value)) << name;
  EXPECT_EQ(td::load_weights_metadata(path_),
            (td::WeightsMetadata{{"format", "pt"}, {"note", "line\nbreak"}}));
  // Elements begin at a multiple of eight bytes, and nothing else is left in the folder.
  std::ifstream file(path_, std::ios::binary);
  char first = 0;
  file.get(first);
  EXPECT_EQ(first % 8, 0);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);
}

TEST_F(Safetensors, NothingIsAFileToo) {
  td::save_weights(td::Weights(), path_);
  EXPECT_TRUE(td::load_weights(path_).empty());
}

TEST_F(Safetensors, ReadsWhatOthersWrite) {
  write(R"( {"a":{"dtype":"I16","shape":[2],"data_offsets":[0,4]}} )", std::string("\1\0\2\1", 4));
  EXPECT_EQ(complaint(), "the header does not begin with {");
  write(R"({"b":{"shape":[2],"data_offsets":[4,6],"dtype":"U8"},"a":{"dtype":"I16","shape":[2],)"
        R"("data_offsets":[0,4]},"__metadata__":{"k":"v"}}   )",
        std::string("\1\0\2\1\7\6", 6));
  const td::Weights w = td::load_weights(path_);
  EXPECT_EQ(w.at("a").to_vector<int16_t>(), (std::vector<int16_t>{1, 258}));
  EXPECT_EQ(w.at("b").to_vector<uint8_t>(), (std::vector<uint8_t>{7, 6}));
}

TEST_F(Safetensors, SaysWhatIsWrong) {
  EXPECT_EQ(complaint_of("{}", "x"), "1 bytes of elements belong to no tensor");
  EXPECT_EQ(complaint_of("{"), "the header is no JSON (byte 2)");
  EXPECT_EQ(complaint_of("{} {}"), "the header is no JSON (byte 4)");
  EXPECT_EQ(complaint_of(R"({"a":1})"), "the header holds a number where none belongs, at \"a\"");
  EXPECT_EQ(complaint_of(R"({"a":{"dtype":"F32"}})"),
            "the tensor \"a\" lacks its dtype, shape or data_offsets");
  EXPECT_EQ(
      complaint_of(R"({"a":{"dtype":"F8_E4M3","shape":[],"data_offsets":[0,1]}})", "x"),
      "the tensor \"a\" has dtype \"F8_E4M3\"; Tandem has BOOL, U8, I8, U16, I16, U32, I32, U64, I64, F16, "
      "BF16, F32, F64");
  EXPECT_EQ(complaint_of(R"({"a":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]}})", "x"),
            "the tensor \"a\" has more than 8 dimensions");
  EXPECT_EQ(complaint_of(R"({"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})", "x"),
            "the header holds a negative number where none belongs, at \"shape\"");
  EXPECT_EQ(complaint_of(R"({"a":{"dtype":"U8","shape":[[1]],"data_offsets":[0,1]}})", "x"),
            "the header holds a list where none belongs, at \"shape\"");
  EXPECT_EQ(complaint_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1,1]}})", "x"),
            "the tensor \"a\" has more than two data_offsets");
  EXPECT_EQ(complaint_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"more":1}})", "x"),
            "the tensor \"a\" has a field \"more\"");
  const std::string one = R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  EXPECT_EQ(complaint_of("{" + one + "," + one + "}", "x"), "the tensor \"a\" is listed twice");
  EXPECT_EQ(complaint_of(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", "1234"),
            "\"a\", float32(2,), is said to lie in bytes 0 to 4 of 4; expected were 8 bytes from 0");
  EXPECT_EQ(
      complaint_of(R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}})"),
      "\"a\", float32(4611686018427387904, 4), is said to lie in bytes 0 to 0 of 0; expected were too many "
      "bytes from 0");
  EXPECT_EQ(
      complaint_of(R"({"a":{"dtype":"F32","shape":[0,4611686018427387904,4],"data_offsets":[0,0]}})"),
      "\"a\", float32(0, 4611686018427387904, 4), is said to lie in bytes 0 to 0 of 0; expected were too "
      "many bytes from 0");
  EXPECT_EQ(complaint_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                         R"("b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
                         "x"),
            "\"b\", uint8(1,), is said to lie in bytes 0 to 1 of 1; expected were 1 bytes from 1");
  EXPECT_EQ(
      complaint_of(R"({"a":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}})", std::string("\1\2", 2)),
      "\"a\" holds the truth value 2");
  write("{}", "", 1000);
  EXPECT_EQ(complaint(),
            "the header's length is said to be 1000 of the file's 10 bytes; at most 2 are allowed");
  std::ofstream(path_, std::ios::binary) << "short";
  EXPECT_EQ(complaint(), "5 bytes are too few");
  EXPECT_EQ(complaint_of(std::string(1000, '[')), "the header does not begin with {");
  EXPECT_ERROR(td::load_weights(folder_ / "none"), (folder_ / "none").string() + ": no such file");
}

TEST_F(Safetensors, DamagedFilesNeverCrash) {
  td::save_weights({{"a", Tensor({1.f, 2.f})}, {"b", Tensor({{1, 2}})}}, path_, {{"k", "v"}});
  std::ifstream file(path_, std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(file), {}};
  std::mt19937 random(7);
  for (int i = 0; i < 500; ++i) {
    std::string bytes = whole;
    for (unsigned k = 0; k < 1 + random() % 3; ++k)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    if (i % 4 == 0) bytes.resize(random() % bytes.size());
    std::ofstream(path_, std::ios::binary) << bytes;
    try {
      td::load_weights(path_);
    } catch (const td::Error&) {
    }
  }
}

TEST_F(Safetensors, ModulesSaveAndLoad) {
  const td::nn::Dense first(3), second(3);
  EXPECT_ERROR(td::save_weights(first, path_),
               "save_weights: the module has no variables yet; layers make theirs at their first call "
               "(safetensors_test.cpp:LINE)");
  const Tensor x({{1.f, -2.f}});
  const Tensor y = first(x);
  EXPECT_FALSE(same_bits(second(x), y));
  td::save_weights(first, path_);
  td::load_weights(second, path_);
  EXPECT_TRUE(same_bits(second(x), y));
  td::Weights weights = td::load_weights(path_);
  weights.begin()->second = td::zeros({1});
  const std::string name = weights.begin()->first;
  td::save_weights(weights, path_);
  EXPECT_ERROR(td::load_weights(second, path_),
               "load_weights: \"" + name + "\" is float32(1,) in " + path_ +
                   ", but float32(3,) in the module (safetensors_test.cpp:LINE)");
  EXPECT_TRUE(same_bits(second(x), y));
}

TEST_F(Safetensors, SavingSaysWhatCannotBeSaved) {
  EXPECT_ERROR(td::save_weights({{"a", Tensor()}}, path_),
               "save_weights: the tensor \"a\" is undefined (safetensors_test.cpp:LINE)");
  EXPECT_ERROR(td::save_weights({{"\xff", Tensor(1.f)}}, path_),
               "save_weights: a tensor's name or a metadata text is no UTF-8 (safetensors_test.cpp:LINE)");
  EXPECT_FALSE(std::filesystem::exists(path_));
}

}  // namespace
