// NumPy's files: what we write and read back, what NumPy writes, and what is damaged.

#include <unistd.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>

#include "data/npy_header.h"
#include "data/zip_archive.h"
#include "same_bits.h"
#include "support.h"
#include "tandem/data/npy.h"
#include "tandem/ops.h"

namespace tandem::data {
namespace {

using testing::same_bits;

/// A folder that disappears with the test.
struct Folder {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("tandem_npy_" + std::to_string(getpid()));
  Folder() { std::filesystem::create_directory(path); }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string operator/(const char* name) const { return (path / name).string(); }
  std::string write(const char* name, const std::string& bytes) const {
    std::ofstream(path / name, std::ios::binary) << bytes;
    return *this / name;
  }
};

std::string bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// A file as NumPy writes it, version 1.
std::string npy(const std::string& dictionary, const std::string& elements) {
  std::string text = "\x93NUMPY\x01";
  text += '\0';
  text += static_cast<char>(dictionary.size() & 0xff);
  text += static_cast<char>(dictionary.size() >> 8);
  return text + dictionary + elements;
}

TEST(Npy, EveryDtypeComesBack) {
  const Folder folder;
  std::map<std::string, Tensor> all;
  for (int d = 0; d < dtype_count; ++d) {
    const auto dtype = static_cast<DType>(d);
    const Tensor x = cast(transpose(reshape(arange(0, 6, 1, float32), {2, 3})), dtype);
    write_npy(folder / "x.npy", x);
    EXPECT_TRUE(same_bits(read_npy(folder / "x.npy"), x)) << name_of(dtype);
    all["array " + std::string(name_of(dtype))] = x;
  }
  all["scalar"] = Tensor(2.5f);
  all["empty"] = zeros({0, 3});
  all["\xc3\xa9"] = Tensor({1, 2});
  write_npz(folder / "all.npz", all);
  const auto back = read_npz(folder / "all.npz");
  ASSERT_EQ(back.size(), all.size());
  for (const auto& [name, tensor] : all) EXPECT_TRUE(same_bits(back.at(name), tensor)) << name;
  EXPECT_EQ(
      std::distance(std::filesystem::directory_iterator(folder.path), std::filesystem::directory_iterator()),
      2)
      << "nothing is left aside";
}

TEST(Npy, HeadersAreNumPys) {
  EXPECT_EQ(
      format_npy_header(float32, {3, 4}),
      npy("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }" + std::string(58, ' ') + "\n", ""));
  EXPECT_NE(format_npy_header(boolean, {}).find("{'descr': '|b1', 'fortran_order': False, 'shape': (), }"),
            std::string::npos);
  EXPECT_NE(format_npy_header(int64, {5}).find("{'descr': '<i8', 'fortran_order': False, 'shape': (5,), }"),
            std::string::npos);
  EXPECT_EQ(format_npy_header(int64, {5}).size() % 64, 0u);
}

TEST(Npy, OtherOrdersAreRead) {
  const Folder folder;
  const std::string path =
      folder.write("f.npy", npy("{'descr': '>i2', 'fortran_order': True, 'shape': (2L, 3), }\n",
                                std::string("\0\1\0\2\0\3\0\4\0\5\0\6", 12)));
  EXPECT_EQ(read_npy(path).shape(), Shape({2, 3}));
  EXPECT_EQ(read_npy(path).to_vector<int16_t>(), (std::vector<int16_t>{1, 3, 5, 2, 4, 6}));
}

TEST(Npy, DamagedFilesAreErrors) {
  const Folder folder;
  auto complaint = [&](const std::string& bytes) {
    const std::string path = folder.write("bad.npy", bytes);
    return testing::message_of([&] { read_npy(path); }).substr(path.size() + 2);
  };
  const std::string good = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }";
  EXPECT_EQ(complaint("hello, world"), "this is no array of NumPy's");
  EXPECT_EQ(complaint(npy(good, "123")), "the array is cut off: float32(1,) needs 4 bytes, and 3 are there");
  EXPECT_EQ(complaint(npy(good, "").substr(0, 30)), "the array is cut off in its header");
  EXPECT_EQ(complaint(npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", "")),
            "the header of the array says elements of type '|O'; numbers and booleans of up to 8 bytes are "
            "supported");
  EXPECT_EQ(complaint(npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", "")),
            "the header of the array has no text before \"[('a', '<f4')], 'for\"; only plain element types "
            "are supported");
  EXPECT_EQ(complaint(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", "")),
            "the header of the array has no size before \"-1,), }\"");
  EXPECT_EQ(
      complaint(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }", "")),
      "the array's shape (4294967296, 4294967296) has too many elements");
  EXPECT_EQ(
      complaint(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4294967296, 4294967296), }", "")),
      "the array's shape (0, 4294967296, 4294967296) has too many elements");
  EXPECT_EQ(complaint(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1), }", "")),
            "the header of the array says more than 8 dimensions");
  EXPECT_EQ(complaint(npy("{'descr': '<f4', 'shape': (1,), }", "")),
            "the header of the array lacks one of descr, fortran_order and shape");
  EXPECT_EQ(complaint(npy("{'descr': '<f4', 'descr': '<f4'}", "")),
            "the header of the array has the key \"descr\" twice");
  std::string later = npy(good, "1234");
  later[6] = 4;
  EXPECT_EQ(complaint(later), "the array's format is version 4; 1 to 3 are known");
  EXPECT_ERROR(read_npy("/nowhere/x.npy"), "/nowhere/x.npy: no such file");
  EXPECT_ERROR(write_npy("/nowhere/x.npy", Tensor(1.f)),
               "/nowhere/x.npy: cannot be written: No such file or directory");
}

/// One deflated entry, as numpy.savez_compressed writes it.
std::string deflated_npz(const std::string& content) {
  std::string packed(compressBound(content.size()), '\0');
  z_stream s{};
  deflateInit2(&s, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  s.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  s.avail_in = static_cast<uInt>(content.size());
  s.next_out = reinterpret_cast<Bytef*>(packed.data());
  s.avail_out = static_cast<uInt>(packed.size());
  deflate(&s, Z_FINISH);
  packed.resize(s.total_out);
  deflateEnd(&s);
  std::string zip;
  auto put = [&](uint64_t v, int n) {
    for (int i = 0; i < n; ++i) zip += static_cast<char>(v >> (8 * i) & 0xff);
  };
  auto common = [&] {
    put(20, 2), put(0, 2), put(8, 2), put(0, 4);
    put(crc32(0, reinterpret_cast<const Bytef*>(content.data()), static_cast<uInt>(content.size())), 4);
    put(packed.size(), 4), put(content.size(), 4), put(5, 2), put(0, 2);
  };
  put(0x04034b50, 4), common();
  zip += "x.npy" + packed;
  const size_t directory = zip.size();
  put(0x02014b50, 4), put(20, 2), common(), put(0, 2 + 2 + 2), put(0, 4), put(0, 4);
  zip += "x.npy";
  const size_t end = zip.size();
  put(0x06054b50, 4), put(0, 4), put(1, 2), put(1, 2), put(end - directory, 4), put(directory, 4), put(0, 2);
  return zip;
}

TEST(Npz, CompressedOnesAreReadAndDamageIsNoticed) {
  const Folder folder;
  const Tensor x = arange(0, 5000, 1, float32);
  write_npy(folder / "x.npy", x);
  const std::string zip = deflated_npz(bytes_of(folder / "x.npy"));
  EXPECT_TRUE(same_bits(read_npz(folder.write("x.npz", zip)).at("x"), x));
  // Every single damaged byte is noticed or does not matter, and nothing crashes; so for cut files.
  int noticed = 0;
  for (size_t i = 0; i < zip.size(); i += 61) {
    std::string bad = zip;
    bad[i] = static_cast<char>(bad[i] ^ 0x55);
    const std::string path = folder.write("bad.npz", bad);
    noticed += testing::message_of([&] { read_npz(path); }) != "no error" ? 1 : 0;
  }
  EXPECT_GT(noticed, static_cast<int>(zip.size() / 61 * 9 / 10));
  for (size_t n = 0; n < zip.size(); n += 311)
    EXPECT_NE(testing::message_of([&] { read_npz(folder.write("cut.npz", zip.substr(0, n))); }), "no error")
        << n;
  EXPECT_ERROR(read_npz(folder.write("no.npz", std::string(100, 'x'))),
               folder / "no.npz" + ": this is no ZIP archive, or it is cut off");
}

TEST(Npz, EntriesCannotShareTheirBytes) {
  const Folder folder;
  write_npz(folder / "one.npz", {{"x", zeros({1000})}});
  const std::string one = bytes_of(folder / "one.npz");
  const size_t directory = one.find("PK\1\2"), end = one.find("PK\5\6");
  ASSERT_LT(directory, end);
  const std::string entry = one.substr(directory, end - directory);
  std::string tail = one.substr(end);
  tail[8] = tail[10] = 3;  // how many entries there are
  EXPECT_ERROR(read_npz(folder.write("three.npz", one.substr(0, directory) + entry + entry + entry + tail)),
               folder / "three.npz" + ": the archive's entries take more bytes than it has");
}

}  // namespace
}  // namespace tandem::data
