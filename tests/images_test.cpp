// Pictures: PNG and JPEG files, whole and damaged, and folders of them.

#include <png.h>
#include <unistd.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>

#include "jpeg_file.h"
#include "support.h"
#include "tandem/data/image.h"
#include "tandem/ops.h"

namespace td = tandem;
using td::Nest;
using td::Tensor;
using td::data::ImageOptions;

namespace {

namespace fs = std::filesystem;

/// A smooth picture: JPEG keeps it nearly as it is.
std::vector<uint8_t> pixels_of(int height, int width, int channels) {
  std::vector<uint8_t> pixels;
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < channels; ++c) pixels.push_back(static_cast<uint8_t>(40 + 3 * y + 2 * x + 20 * c));
  return pixels;
}

std::string png_bytes(int height, int width, int channels) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width);
  image.height = static_cast<png_uint_32>(height);
  image.format = channels == 1 ? PNG_FORMAT_GRAY : channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_RGBA;
  const auto pixels = pixels_of(height, width, channels);
  png_alloc_size_t size = 0;
  png_image_write_to_memory(&image, nullptr, &size, 0, pixels.data(), 0, nullptr);
  std::string bytes(size, 0);
  png_image_write_to_memory(&image, bytes.data(), &size, 0, pixels.data(), 0, nullptr);
  bytes.resize(size);
  return bytes;
}

std::string jpeg_bytes(int height, int width, int channels) {
  return td::testing::encode_jpeg(pixels_of(height, width, channels), height, width, channels);
}

Tensor as_tensor(const std::string& bytes) {
  return td::from_span<uint8_t>({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()},
                                {static_cast<int64_t>(bytes.size())});
}

TEST(Images, PngIsReadExactly) {
  for (int channels : {1, 3, 4}) {
    const Tensor read = td::data::decode_image(as_tensor(png_bytes(5, 7, channels)), {.channels = 0});
    EXPECT_EQ(read.shape(), td::Shape({5, 7, channels}));
    EXPECT_EQ(read.to_vector<uint8_t>(), pixels_of(5, 7, channels));
  }
  const Tensor grey_as_color = td::data::decode_image(as_tensor(png_bytes(5, 7, 1)));
  EXPECT_EQ(grey_as_color.shape(), td::Shape({5, 7, 3}));
  EXPECT_EQ(grey_as_color[0][0].to_vector<uint8_t>(), (std::vector<uint8_t>{40, 40, 40}));
}

TEST(Images, JpegIsReadNearly) {
  for (int channels : {1, 3}) {
    const auto expected = pixels_of(16, 24, channels);
    const auto read = td::data::decode_image(as_tensor(jpeg_bytes(16, 24, channels)), {.channels = 0});
    EXPECT_EQ(read.shape(), td::Shape({16, 24, channels}));
    const auto pixels = read.to_vector<uint8_t>();
    for (size_t i = 0; i < pixels.size(); ++i) ASSERT_NEAR(pixels[i], expected[i], 6);
  }
  EXPECT_EQ(td::data::decode_image(as_tensor(jpeg_bytes(4, 4, 3)), {.channels = 4}).shape(),
            td::Shape({4, 4, 4}));
}

TEST(Images, AreResized) {
  const Tensor read = td::data::decode_image(as_tensor(png_bytes(8, 8, 3)), {.channels = 3, .size = {4, 2}});
  EXPECT_EQ(read.shape(), td::Shape({4, 2, 3}));
  EXPECT_EQ(read.dtype(), td::uint8);
}

TEST(Images, DamageIsAnError) {
  for (const std::string& whole : {png_bytes(40, 30, 3), jpeg_bytes(40, 30, 3)}) {
    for (size_t cut : {size_t{3}, size_t{20}, whole.size() / 2, whole.size() - 20})
      EXPECT_NE(td::testing::message_of([&] { td::data::decode_image(as_tensor(whole.substr(0, cut))); }),
                "no error")
          << cut;
    // Whatever stands there, an error or a picture comes of it.
    for (size_t at = 0; at < whole.size(); at += 7) {
      std::string changed = whole;
      changed[at] = static_cast<char>(changed[at] ^ 0x5a);
      td::testing::message_of([&] { td::data::decode_image(as_tensor(changed), {.most_pixels = 10000}); });
    }
    EXPECT_ERROR(td::data::decode_image(as_tensor(whole), {.most_pixels = 1000}),
                 "the picture says it has 40 by 30 pixels; at most 1000 are read");
  }
  EXPECT_ERROR(td::data::decode_image(as_tensor("GIF89a")), "neither PNG nor JPEG");
  EXPECT_ERROR(td::data::decode_image(as_tensor(png_bytes(2, 2, 3)), {.channels = 2}),
               "a picture of 2 channels was asked for; expected 0, 1, 3 or 4");
}

TEST(Images, SizesThatLieTakeNoMemory) {
  // The header's sizes, with the checksum that a stranger would write.
  const auto claiming = [](uint32_t width, uint32_t height) {
    std::string bytes = png_bytes(4, 4, 3);
    for (int i = 0; i < 4; ++i) {
      bytes[16 + i] = static_cast<char>(width >> (24 - 8 * i));
      bytes[20 + i] = static_cast<char>(height >> (24 - 8 * i));
    }
    const uLong sum = crc32(0, reinterpret_cast<const Bytef*>(bytes.data()) + 12, 17);
    for (int i = 0; i < 4; ++i) bytes[29 + i] = static_cast<char>(sum >> (24 - 8 * i));
    return bytes;
  };
  const std::string path = testing::TempDir() + "tandem_lies_" + std::to_string(getpid()) + ".png";
  const auto message = [&](const std::string& bytes) {
    std::ofstream(path, std::ios::binary) << bytes;
    return td::testing::message_of([&] { td::data::read_image(path); });
  };
  EXPECT_EQ(message(claiming(4, 4)), "no error");
  EXPECT_EQ(message(claiming(1000000, 999999)),
            path + ": the picture says it has 999999 by 1000000 pixels; at most " +
                std::to_string(ImageOptions{}.most_pixels) + " are read");
  EXPECT_EQ(message(claiming(0x7fffffff, 0x7fffffff)).substr(0, path.size() + 20),
            path + ": damaged PNG data: ");
  EXPECT_EQ(message(claiming(0, 4)).substr(0, path.size() + 20), path + ": damaged PNG data: ");
  EXPECT_EQ(message(claiming(40, 40)).substr(0, path.size() + 20), path + ": damaged PNG data: ");
  std::string jpeg = jpeg_bytes(8, 8, 3);
  const size_t frame = jpeg.find("\xff\xc0");
  ASSERT_NE(frame, std::string::npos);
  jpeg.replace(frame + 5, 4, "\xff\xdc\xff\xdc");
  EXPECT_EQ(message(jpeg), path + ": the picture says it has 65500 by 65500 pixels; at most " +
                               std::to_string(ImageOptions{}.most_pixels) + " are read");
  fs::remove(path);
}

class Folder : public testing::Test {
 protected:
  Folder() : root(testing::TempDir() + "tandem_images_" + std::to_string(getpid())) {
    fs::remove_all(root);
    for (const char* name : {"cats/b.png", "cats/a.jpg", "dogs/deep/c.PNG", "dogs/d.png"}) {
      fs::create_directories((fs::path(root) / name).parent_path());
      write(name, std::string(name).ends_with("jpg") ? jpeg_bytes(6, 6, 3) : png_bytes(6, 6, 3));
    }
    write("dogs/notes.txt", "no picture");
  }
  ~Folder() override { fs::remove_all(root); }
  void write(const std::string& name, const std::string& bytes) {
    std::ofstream(root + "/" + name, std::ios::binary) << bytes;
  }
  const std::string root;
};

TEST_F(Folder, NamesAreLabels) {
  const auto pictures = td::data::image_folder(root, {.image = {.size = {4, 4}}});
  EXPECT_EQ(pictures.classes, (std::vector<std::string>{"cats", "dogs"}));
  EXPECT_EQ(pictures.paths, (std::vector<std::string>{root + "/cats/a.jpg", root + "/cats/b.png",
                                                      root + "/dogs/d.png", root + "/dogs/deep/c.PNG"}));
  const Nest batch =
      *pictures.data.map([](const Nest& e) { return e; }, {.workers = 3}).batch(4).iterate().next();
  EXPECT_EQ(batch[0].leaf().shape(), td::Shape({4, 4, 4, 3}));
  EXPECT_EQ(batch[1].leaf().to_vector<int64_t>(), (std::vector<int64_t>{0, 0, 1, 1}));
  EXPECT_EQ(td::data::image_folder(root, {.classes = {"dogs"}}).paths.size(), 2u);
  EXPECT_ERROR(td::data::image_folder(root + "/none"), root + "/none: no such folder");
  EXPECT_ERROR(td::data::image_folder(root + "/cats"),
               root + "/cats: no folder in it; each folder holds the pictures of one class");
}

TEST_F(Folder, UnreadablePicturesAreNamedAndSkippedOnlyOnRequest) {
  write("cats/b.png", "broken");
  td::data::Iterator it = td::data::image_folder(root).data.iterate();
  it.next();
  EXPECT_ERROR(it.next(), root + "/cats/b.png: neither PNG nor JPEG");
  EXPECT_EQ((*it.next())[1].leaf().item<int64_t>(), 1);
  testing::internal::CaptureStderr();
  const auto whole = td::data::image_folder(root, {.skip_unreadable = true});
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "tandem: " + root + "/cats/b.png: neither PNG nor JPEG; left out\n");
  EXPECT_EQ(whole.data.cardinality(), 3);
}

}  // namespace
