// Tensors and attributes as ONNX stores them.

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "core/atomic_file.h"
#include "onnx/attribute_proto.h"
#include "onnx/dtypes.h"
#include "onnx/tensor_proto.h"
#include "ops/op_def.h"
#include "same_bits.h"
#include "support.h"
#include "tandem/ops.h"

namespace tandem::onnx {
namespace {

using testing::same_bits;

/// A folder that disappears with the test.
struct TemporaryFolder {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / ("tandem_onnx_" + std::to_string(getpid()));
  TemporaryFolder() { std::filesystem::create_directories(path / "inside"); }
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
  std::string write(const std::string& name, const std::string& bytes) const {
    const std::string file = (path / name).string();
    AtomicFile out(file);
    out.write(bytes.data(), bytes.size());
    out.commit();
    return file;
  }
};

TensorProto proto_of(std::vector<int64_t> dims, int32_t type) {
  TensorProto p;
  p.set_name("t");
  for (int64_t d : dims) p.add_dims(d);
  p.set_data_type(type);
  return p;
}

TensorProto raw(std::vector<int64_t> dims, int32_t type, std::string bytes) {
  TensorProto p = proto_of(std::move(dims), type);
  p.set_raw_data(std::move(bytes));
  return p;
}

TensorProto external(std::vector<int64_t> dims, const std::string& location, const std::string& offset,
                     const std::string& length = "") {
  TensorProto p = proto_of(std::move(dims), 1);
  p.set_data_location(1);
  auto entry = [&](const char* key, const std::string& value) {
    if (value.empty()) return;
    auto* e = p.add_external_data();
    e->set_key(key);
    e->set_value(value);
  };
  entry("location", location);
  entry("offset", offset);
  entry("length", length);
  return p;
}

TEST(TensorProto, EveryDtypeComesBackInBits) {
  for (int d = 0; d < dtype_count; ++d)
    for (int64_t rows : {0, 3, 3000}) {
      const auto dtype = static_cast<DType>(d);
      const Tensor t = transpose(cast(reshape(arange(0, rows * 2), {rows, 2}), dtype), {1, 0});
      TensorProto p;
      write_tensor(t, "t", p);
      const Tensor back = read_tensor(p);
      EXPECT_TRUE(same_bits(back, t)) << tandem::name_of(dtype);
    }
}

TEST(TensorProto, ElementsMayLieInTheFieldOfTheirType) {
  auto filled = [](int32_t type, auto add) {
    TensorProto p = proto_of({2}, type);
    add(p, 1), add(p, 2);
    return p;
  };
  auto add_int32 = [](TensorProto& p, int v) { p.add_int32_data(v); };
  for (int32_t type : {2, 3, 4, 5, 6}) {
    TensorProto p = filled(type, add_int32);
    EXPECT_EQ(cast(read_tensor(p), int64).to_vector<int64_t>(), (std::vector<int64_t>{1, 2})) << type;
  }
  TensorProto b = filled(9, add_int32);
  EXPECT_EQ(cast(read_tensor(b), int64).to_vector<int64_t>(), (std::vector<int64_t>{1, 1}));
  TensorProto h = proto_of({1}, 10);
  h.add_int32_data(0x3c00);
  EXPECT_EQ(static_cast<float>(read_tensor(h).item<Half>()), 1.f);
  TensorProto u = filled(12, [](TensorProto& p, int v) { p.add_uint64_data(static_cast<uint64_t>(v)); });
  EXPECT_EQ(read_tensor(u).to_vector<uint32_t>(), (std::vector<uint32_t>{1, 2}));
  TensorProto too_large = proto_of({1}, 3);
  too_large.add_int32_data(200);
  EXPECT_ERROR(read_tensor(too_large), "tensor \"t\": the element 200 does not fit its type");
}

TEST(TensorProto, LiesAreErrors) {
  TensorProto p = raw({2}, 1, "1234567");
  EXPECT_ERROR(read_tensor(p), "tensor \"t\": raw_data has 7 bytes; shape (2,) and type float32 need 8");
  p = raw({2}, 17, "12");
  EXPECT_ERROR(
      read_tensor(p),
      "tensor \"t\": elements of type FLOAT8E4M3FN (17) are not supported; supported: BOOL, UINT8, INT8, "
      "UINT16, INT16, UINT32, INT32, UINT64, INT64, FLOAT16, BFLOAT16, FLOAT, DOUBLE");
  p = raw({2}, 99, "12");
  EXPECT_NE(testing::message_of([&] { read_tensor(p); }).find("unknown (99)"), std::string::npos);
  p = raw({-1}, 1, "");
  EXPECT_ERROR(read_tensor(p), "tensor \"t\": dimension 0 has the size -1");
  p = raw({int64_t{1} << 40, int64_t{1} << 40}, 1, "");
  EXPECT_ERROR(read_tensor(p),
               "tensor \"t\": the shape (1099511627776, 1099511627776) has too many elements");
  p = raw({1, 1, 1, 1, 1, 1, 1, 1, 1}, 1, "1234");
  EXPECT_ERROR(read_tensor(p), "tensor \"t\": the rank is 9; at most 8 is supported");
  p = proto_of({3}, 1);
  p.add_float_data(1);
  EXPECT_ERROR(read_tensor(p), "tensor \"t\": float_data has 1 elements; shape (3,) needs 3");
  // No memory is taken on the word of a shape.
  p = proto_of({int64_t{1} << 50}, 1);
  EXPECT_ERROR(read_tensor(p),
               "tensor \"t\": float_data has 0 elements; shape (1125899906842624,) needs 1125899906842624");
}

TEST(TensorProto, ExternalDataStayInTheirFolder) {
  const TemporaryFolder folder;
  const std::vector<float> values(2000, 3.f);
  folder.write("inside/data.bin", std::string(reinterpret_cast<const char*>(values.data()), 8000));
  folder.write("secret.bin", std::string(8000, 'x'));
  std::filesystem::create_symlink("../secret.bin", folder.path / "inside/link.bin");
  ExternalData data((folder.path / "inside").string());
  TensorProto p = external({1000}, "data.bin", "4000", "4000");
  EXPECT_EQ(read_tensor(p, &data).to_vector<float>(), std::vector<float>(1000, 3.f));
  EXPECT_EQ(data.find(p, 4000).data, data.find(p, 4000).data) << "one mapping";
  auto complaint = [&](TensorProto bad) { return testing::message_of([&] { read_tensor(bad, &data); }); };
  const std::string leaves = "leaves the model's folder";
  for (const char* location : {"../secret.bin", "/etc/hostname", "a/../../secret.bin", "link.bin"})
    EXPECT_EQ(complaint(external({2000}, location, "0")),
              "tensor \"t\": the external data's location \"" + std::string(location) + "\" " + leaves);
  EXPECT_EQ(complaint(external({1999}, "data.bin", "8")),
            "tensor \"t\": the external data are bytes 8 to 8004 of \"data.bin\", which has 8000");
  EXPECT_EQ(
      complaint(external({1}, "data.bin", "18446744073709551615")),
      "tensor \"t\": the external data are bytes 18446744073709551615 to 3 of \"data.bin\", which has 8000");
  EXPECT_EQ(complaint(external({1}, "data.bin", "-4")),
            "tensor \"t\": the external data's offset is \"-4\"; a number of bytes is needed");
  EXPECT_EQ(complaint(external({1}, "data.bin", "0", "8")),
            "tensor \"t\": the external data have 8 bytes; the shape and type need 4");
  EXPECT_EQ(complaint(external({1}, "none.bin", "0")),
            "tensor \"t\": the external data's file \"none.bin\": No such file or directory");
  TensorProto alone = external({1}, "data.bin", "0");
  EXPECT_ERROR(read_tensor(alone),
               "tensor \"t\": its elements are in another file, and there is no folder to look in");
}

TEST(SparseTensorProto, BecomesDense) {
  int64_t budget = most_sparse_bytes;
  SparseTensorProto s;
  *s.mutable_values() = raw({2}, 1, std::string("\0\0\x80\x3f\0\0\0\x40", 8));
  s.add_dims(2), s.add_dims(3);
  auto indices = [&](std::vector<int64_t> shape, std::vector<int64_t> at) {
    *s.mutable_indices() = proto_of(std::move(shape), 7);
    for (int64_t i : at) s.mutable_indices()->add_int64_data(i);
    return s;
  };
  SparseTensorProto linear = indices({2}, {1, 5}), rows = indices({2, 2}, {0, 1, 1, 2});
  EXPECT_EQ(read_sparse_tensor(linear, nullptr, budget).to_vector<float>(),
            (std::vector<float>{0, 1, 0, 0, 0, 2}));
  EXPECT_EQ(read_sparse_tensor(rows, nullptr, budget).to_vector<float>(),
            (std::vector<float>{0, 1, 0, 0, 0, 2}));
  SparseTensorProto far = indices({2}, {1, 6});
  EXPECT_ERROR(read_sparse_tensor(far, nullptr, budget),
               "tensor \"t\": the sparse index 6 is out of range; expected 0 to 5");
  SparseTensorProto odd = indices({1}, {1});
  EXPECT_ERROR(read_sparse_tensor(odd, nullptr, budget),
               "tensor \"t\": sparse indices are int64(1,); int64(2,) or int64(2, 2) is needed");
  EXPECT_EQ(budget, most_sparse_bytes - 4 * 24);
  budget = 23;
  EXPECT_ERROR(read_sparse_tensor(linear, nullptr, budget),
               "tensor \"t\": with shape (2, 3) the model's sparse tensors take more than 1073741824 bytes");
}

TEST(AttributeProto, GoesAndComesBack) {
  for (const OpDef* op : all_ops()) {
    if (op->attributes->opaque) continue;
    for (const Sample& sample : op->samples ? op->samples() : std::vector<Sample>()) {
      const AttributeBox box = testing::attributes_of(*op, sample);
      NodeProto node, again;
      write_attributes(box, node);
      const std::string written = node.SerializeAsString();
      AttributeDraft draft(*op->attributes);
      for (AttributeProto& a : *node.mutable_attribute()) EXPECT_TRUE(read_attribute(a, draft)) << op->name;
      write_attributes(draft.box(), again);
      EXPECT_EQ(again.SerializeAsString(), written) << op->name;
    }
  }
}

TEST(AttributeProto, SaysWhatDoesNotFit) {
  const OpDef& op = *find_op("Transpose");
  AttributeDraft draft(*op.attributes);
  AttributeProto a;
  a.set_name("perm");
  a.set_type(AttributeProto::INT);
  a.set_i(3);
  EXPECT_ERROR(read_attribute(a, draft),
               "attribute \"perm\" (INT): the attribute has a value of another kind");
  a.set_name("unknown");
  EXPECT_FALSE(read_attribute(a, draft));
}

}  // namespace
}  // namespace tandem::onnx
