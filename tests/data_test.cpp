// Files of the IDX format, honest and hostile, and the generator of digits.

#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "data/digit_renderer.h"
#include "data/idx_file.h"
#include "tandem/data/digits.h"
#include "tandem/data/idx.h"
#include "tandem/error.h"

namespace td = tandem;

namespace {

/// A folder that disappears with the test.
class IdxTest : public testing::Test {
 protected:
  IdxTest() {
    folder_ = std::filesystem::temp_directory_path() /
              ("tandem_" + std::to_string(getpid()) +
               testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  ~IdxTest() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  std::string write(const std::string& name, const std::string& content) const {
    std::ofstream(path(name), std::ios::binary) << content;
    return path(name);
  }
  std::string write_gzip(const std::string& name, const std::string& content) const {
    gzFile file = gzopen(path(name).c_str(), "wb6");
    gzwrite(file, content.data(), static_cast<unsigned>(content.size()));
    gzclose(file);
    return path(name);
  }
  std::string content_of(const std::string& path) const {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  std::string folder() const { return folder_.string(); }

  /// The message of the io error that this gives, without the folder's path.
  template <class F>
  std::string io_error(const F& f) const {
    try {
      f();
    } catch (const td::Error& e) {
      EXPECT_EQ(e.code(), td::ErrorCode::io);
      std::string text = e.what();
      const std::string prefix = folder_.string() + "/";
      for (size_t at = 0; (at = text.find(prefix)) != std::string::npos;) text.erase(at, prefix.size());
      return text;
    }
    return "no error";
  }
  std::string error_of(const std::string& path) const {
    return io_error([&] { td::data::read_idx_file(path); });
  }

 private:
  std::filesystem::path folder_;
};

std::string header(uint8_t type, const std::vector<uint32_t>& sizes) {
  std::string text = {0, 0, static_cast<char>(type), static_cast<char>(sizes.size())};
  for (uint32_t size : sizes)
    for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(size >> shift);
  return text;
}

}  // namespace

TEST_F(IdxTest, ReadsPlainAndGzip) {
  const std::string content = header(0x08, {2, 3}) + "abcdef";
  for (const std::string& file : {write("plain", content), write_gzip("zipped.gz", content)}) {
    const auto array = td::data::read_idx_file(file);
    EXPECT_EQ(array.dtype, td::uint8);
    EXPECT_EQ(array.shape, td::Shape({2, 3}));
    ASSERT_EQ(array.bytes.size(), 6u);
    EXPECT_EQ(std::memcmp(array.bytes.data(), "abcdef", 6), 0);
  }
}

TEST_F(IdxTest, ReadsEveryTypeInThisMachinesByteOrder) {
  const auto first = [&](uint8_t type, const std::string& bytes, td::DType dtype, auto expected) {
    const auto array = td::data::read_idx_file(write("file", header(type, {1}) + bytes));
    EXPECT_EQ(array.dtype, dtype);
    auto value = expected;
    ASSERT_EQ(array.bytes.size(), sizeof value);
    std::memcpy(&value, array.bytes.data(), sizeof value);
    EXPECT_EQ(value, expected);
  };
  using namespace std::string_literals;
  first(0x08, "\xfe"s, td::uint8, uint8_t{254});
  first(0x09, "\xfe"s, td::int8, int8_t{-2});
  first(0x0b, "\xff\x01"s, td::int16, int16_t{-255});
  first(0x0c, "\x00\x01\x02\x03"s, td::int32, int32_t{66051});
  first(0x0d, "\x3f\xc0\x00\x00"s, td::float32, 1.5f);
  first(0x0e, "\xc0\x00\x00\x00\x00\x00\x00\x00"s, td::float64, -2.0);
}

TEST_F(IdxTest, ReadsEmptyArrays) {
  const auto array = td::data::read_idx_file(write("file", header(0x08, {0, 0xffffffff})));
  EXPECT_EQ(array.shape.element_count(), 0);
  EXPECT_TRUE(array.bytes.empty());
}

TEST_F(IdxTest, ReadsMoreThanOneChunk) {
  std::string data(3'000'001, 0);
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i * i >> 7);
  const std::string content = header(0x08, {3'000'001}) + data;
  for (const std::string& file : {write("plain", content), write_gzip("zipped.gz", content)}) {
    const auto array = td::data::read_idx_file(file);
    ASSERT_EQ(array.bytes.size(), data.size());
    EXPECT_EQ(std::memcmp(array.bytes.data(), data.data(), data.size()), 0);
  }
}

TEST_F(IdxTest, RefusesWhatIsNoIdxFile) {
  EXPECT_EQ(error_of(path("missing")), "missing: no such file");
  std::filesystem::create_directory(path("folder"));
  EXPECT_EQ(error_of(path("folder")), "folder: not a regular file");
  EXPECT_EQ(error_of(write("empty", "")),
            "empty: 0 bytes are too few for an IDX file; its header has at least 8");
  EXPECT_EQ(error_of(write("text", "hello, world")),
            "text: not an IDX file: it begins with 0x68 0x65; expected 0x00 0x00");
  EXPECT_EQ(
      error_of(write("type", header(0x0a, {1}) + "a")),
      "type: IDX type code 0x0a is unknown; expected 0x08 (uint8), 0x09 (int8), 0x0b (int16), 0x0c (int32), "
      "0x0d (float32) or 0x0e (float64)");
  EXPECT_EQ(error_of(write("scalar", header(0x08, {}) + "a")),
            "scalar: IDX rank 0 is out of range; expected 1 to 8");
  EXPECT_EQ(error_of(write("rank", header(0x08, std::vector<uint32_t>(200, 1)) + "a")),
            "rank: IDX rank 200 is out of range; expected 1 to 8");
  EXPECT_EQ(error_of(write("header", header(0x08, {1, 2}).substr(0, 9))),
            "header: the file ends inside its header, after 9 bytes; an IDX header of rank 2 has 12");
}

TEST_F(IdxTest, RefusesSizesThatLie) {
  EXPECT_EQ(error_of(write("short", header(0x08, {2, 3}) + "abcde")),
            "short: its header declares (2, 3) of uint8, 6 bytes, but the file holds 5 bytes of data");
  EXPECT_EQ(error_of(write("long", header(0x08, {2, 3}) + "abcdefg")),
            "long: its header declares (2, 3) of uint8, 6 bytes, but the file holds 7 bytes of data");
  EXPECT_EQ(error_of(write_gzip("short.gz", header(0x08, {2, 3}) + "abcde")),
            "short.gz: its header declares (2, 3) of uint8, 6 bytes, but the file holds 5 bytes of data");
  EXPECT_EQ(error_of(write_gzip("long.gz", header(0x08, {2, 3}) + "abcdefg")),
            "long.gz: its header declares (2, 3) of uint8, 6 bytes, but the file holds more data");
  EXPECT_EQ(error_of(write("huge", header(0x0e, {0xffffffff, 0xffffffff, 0xffffffff}) + "a")),
            "huge: its header declares (4294967295, 4294967295, 4294967295) of float64, more bytes than 64 "
            "bits can "
            "count");
  EXPECT_EQ(
      error_of(write("large", header(0x08, {0xffffffff, 0xffff}) + "a")),
      "large: its header declares (4294967295, 65535) of uint8, 281470681677825 bytes, but the file holds 1 "
      "bytes of data");
  const std::string zipped = write_gzip("large.gz", header(0x08, {0xffffffff, 0xffff}) + "a");
  EXPECT_EQ(error_of(zipped),
            "large.gz: its header declares (4294967295, 65535) of uint8, 281470681677825 bytes, but the file "
            "can hold "
            "at most " +
                std::to_string(1032 * std::filesystem::file_size(zipped)) + " bytes of data");
}

TEST_F(IdxTest, EmptyArraysClaimSizesThatCanBe) {
  const std::string empty = write("empty", header(0x0e, {0, 0xffffff, 0xffff}));
  EXPECT_EQ(tandem::data::read_idx(empty).size(), 0);
  EXPECT_EQ(tandem::data::idx_rows(empty).iterate().next(), std::nullopt);
  // Their strides would be more than an int64 counts.
  EXPECT_EQ(
      error_of(write("wide", header(0x0e, {0, 0xffffffff, 0xffffffff, 0xffffffff}))),
      "wide: its header declares (0, 4294967295, 4294967295, 4294967295) of float64, more bytes than 64 "
      "bits can count");
}

TEST_F(IdxTest, RefusesAZipBombAtItsDeclaredSize) {
  // 64 MiB of zeros behind a header that declares 16 bytes: reading stops there.
  const std::string file = write_gzip("bomb.gz", header(0x08, {16}) + std::string(64 << 20, '\0'));
  EXPECT_EQ(error_of(file),
            "bomb.gz: its header declares (16,) of uint8, 16 bytes, but the file holds more data");
}

TEST_F(IdxTest, RefusesDamagedGzipData) {
  std::string data(10'000, 'a');
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i * 2654435761u >> 24);
  const std::string whole = content_of(write_gzip("whole.gz", header(0x08, {10'000}) + data));
  EXPECT_EQ(error_of(write("cut.gz", whole.substr(0, whole.size() / 2))),
            "cut.gz: damaged gzip data: unexpected end of file");
  EXPECT_EQ(error_of(write("tail.gz", whole.substr(0, whole.size() - 5))),
            "tail.gz: damaged gzip data: unexpected end of file");
  std::string flipped = whole;
  flipped[whole.size() - 6] ^= 1;  // of the checksum
  EXPECT_EQ(error_of(write("flipped.gz", flipped)), "flipped.gz: damaged gzip data: incorrect data check");
}

TEST_F(IdxTest, BecomesATensor) {
  const td::Tensor pixels = td::data::read_idx(write("pixels", header(0x08, {2, 2}) + "abcd"));
  EXPECT_EQ(td::to_string(pixels), "Tensor([[ 97  98]\n        [ 99 100]], shape=(2, 2), dtype=uint8)");
  const td::Tensor numbers =
      td::data::read_idx(write("numbers", header(0x0d, {1}) + std::string("\x3f\xc0\0\0", 4)));
  EXPECT_EQ(numbers.item<float>(), 1.5f);
}

namespace {
/// `count` images of 28 by 28 whose pixels all are the image's number (modulo 256).
std::string image_file(uint32_t count) {
  std::string text = header(0x08, {count, 28, 28});
  for (uint32_t i = 0; i < count; ++i) text.append(28 * 28, static_cast<char>(i));
  return text;
}
std::string label_file(uint32_t count) {
  std::string text = header(0x08, {count});
  for (uint32_t i = 0; i < count; ++i) text += static_cast<char>(i % 10);
  return text;
}
}  // namespace

TEST_F(IdxTest, LoadsTrainingAndTestImages) {
  write("train-images-idx3-ubyte", image_file(12));
  write_gzip("train-labels-idx1-ubyte.gz", label_file(12));
  write_gzip("t10k-images.idx3-ubyte.gz", image_file(3));
  write("t10k-labels.idx1-ubyte", label_file(3));
  const auto images = td::data::load_images(folder());
  EXPECT_EQ(images.train_images.shape(), td::Shape({12, 28, 28}));
  EXPECT_EQ(images.train_images.dtype(), td::uint8);
  EXPECT_EQ(images.train_images.span<uint8_t>().back(), 11);
  EXPECT_EQ(images.train_labels.to_vector<int64_t>(),
            (std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1}));
  EXPECT_EQ(images.test_images.shape(), td::Shape({3, 28, 28}));
  EXPECT_EQ(images.test_labels.to_vector<int64_t>(), (std::vector<int64_t>{0, 1, 2}));
}

TEST_F(IdxTest, HoldsTheLastTenThousandImagesBack) {
  write("train-images-idx3-ubyte", image_file(10'003));
  write("train-labels-idx1-ubyte", label_file(10'003));
  const auto images = td::data::load_images(folder());
  EXPECT_EQ(images.train_images.shape(), td::Shape({3, 28, 28}));
  EXPECT_EQ(images.train_labels.to_vector<int64_t>(), (std::vector<int64_t>{0, 1, 2}));
  EXPECT_EQ(images.test_images.shape(), td::Shape({10'000, 28, 28}));
  EXPECT_EQ(images.test_images.span<uint8_t>().front(), 3);
  EXPECT_EQ(images.test_labels.span<int64_t>().front(), 3);
}

TEST_F(IdxTest, RefusesFoldersThatDoNotHoldDigits) {
  const auto load = [&] { return io_error([&] { td::data::load_images(folder()); }); };
  EXPECT_EQ(io_error([&] { td::data::load_images(path("nowhere")); }), "nowhere: no such folder");
  EXPECT_EQ(load(), folder() + ": holds no train-images-idx3-ubyte; expected MNIST's files, plain or .gz");
  write("train-images-idx3-ubyte", image_file(12));
  EXPECT_EQ(load(), folder() + ": holds no train-labels-idx1-ubyte; expected MNIST's files, plain or .gz");
  write("train-labels-idx1-ubyte", label_file(11));
  EXPECT_EQ(load(),
            "train-labels-idx1-ubyte: holds 11 labels, but train-images-idx3-ubyte holds 12 images; expected "
            "as many");
  write("train-labels-idx1-ubyte", label_file(12));
  EXPECT_EQ(load(),
            "train-images-idx3-ubyte: holds 12 images and no test files; expected more than 10000, of which "
            "the last "
            "are held back");
  write("t10k-images-idx3-ubyte", image_file(0));
  EXPECT_EQ(
      load(),
      folder() + ": holds t10k-images-idx3-ubyte, but no t10k-labels-idx1-ubyte; expected both or neither");
  write("t10k-labels-idx1-ubyte", label_file(0));
  EXPECT_EQ(load(), "t10k-images-idx3-ubyte: holds no images; expected at least 1");
  write("t10k-labels-idx1-ubyte", header(0x09, {1}) + "a");
  EXPECT_EQ(load(), "t10k-labels-idx1-ubyte: holds (1,) of int8; expected labels, (N,) of uint8");
  write("t10k-images-idx3-ubyte", header(0x08, {1, 2, 2}) + "abcd");
  EXPECT_EQ(load(),
            "t10k-images-idx3-ubyte: holds (1, 2, 2) of uint8; expected images, (N, 28, 28) of uint8");
  write("train-labels-idx1-ubyte", header(0x08, {12}) + std::string(7, 1) + char(10) + std::string(4, 1));
  EXPECT_EQ(load(), "train-labels-idx1-ubyte: label 7 is 10; expected 0 to 9");
}

TEST(Images, FashionMnistIsRead) {
  const std::string folder = TANDEM_SHARED_FOLDER "/data/fashion-mnist";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << folder << " is absent";
  const auto images = td::data::load_images(folder);
  EXPECT_EQ(images.train_images.shape(), td::Shape({50'000, 28, 28}));
  EXPECT_EQ(images.test_labels.shape(), td::Shape({10'000}));
  EXPECT_EQ(images.train_labels.span<int64_t>().front(), 9);  // the data set begins with an ankle boot
}

TEST(Digits, BecomeTensors) {
  const auto [images, labels] = td::data::digits(130, 7);
  EXPECT_EQ(images.shape(), td::Shape({130, 28, 28}));
  EXPECT_EQ(images.dtype(), td::uint8);
  EXPECT_EQ(labels.shape(), td::Shape({130}));
  std::array<uint8_t, td::data::digit_pixels> pixels;
  td::data::draw_digit(7, 129, pixels);
  EXPECT_TRUE(
      std::equal(pixels.begin(), pixels.end(), images.span<uint8_t>().end() - td::data::digit_pixels));
  EXPECT_EQ(labels.span<int64_t>().back(), td::data::digit_label(7, 129));
  EXPECT_EQ(td::data::digits(0).images.shape(), td::Shape({0, 28, 28}));
  try {
    td::data::digits(-1);
    FAIL();
  } catch (const td::Error& e) {
    EXPECT_STREQ(e.what(), "digits: a count of -1 is negative; expected 0 or more");
  }
}

TEST(Digits, DependOnSeedAndIndexAlone) {
  std::array<uint8_t, td::data::digit_pixels> a, b;
  td::data::draw_digit(1, 41, a);
  td::data::draw_digit(1, 42, b);
  EXPECT_NE(a, b);
  td::data::draw_digit(1, 41, b);
  EXPECT_EQ(a, b);
  td::data::draw_digit(2, 41, b);
  EXPECT_NE(a, b);
}

TEST(Digits, KeepTheirBytesOnEveryMachine) {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  std::array<uint8_t, td::data::digit_pixels> pixels;
  for (uint64_t i = 0; i < 1000; ++i) {
    td::data::draw_digit(0, i, pixels);
    for (uint8_t pixel : pixels) hash = (hash ^ pixel) * 0x100000001b3;
  }
  EXPECT_EQ(hash, 14199037427185542841u);
}

TEST(Digits, AreBalancedVisibleAndWhole) {
  std::array<int, 10> counts = {};
  std::array<uint8_t, td::data::digit_pixels> pixels;
  constexpr int side = td::data::digit_side;
  for (uint64_t i = 0; i < 5000; ++i) {
    ++counts[static_cast<size_t>(td::data::digit_label(3, i))];
    td::data::draw_digit(3, i, pixels);
    EXPECT_GT(*std::max_element(pixels.begin(), pixels.end()), 120) << i;
    int inked = 0;
    for (uint8_t pixel : pixels) inked += pixel > 100;
    EXPECT_GT(inked, 10) << i;
    EXPECT_LT(inked, 400) << i;
    for (size_t j = 0; j < side; ++j)  // no stroke leaves the picture
      for (size_t at : {j, (side - 1) * side + j, j * side, j * side + side - 1})
        EXPECT_LT(pixels[at], 210) << i;
  }
  for (int count : counts) EXPECT_NEAR(count, 500, 100);
}
