#include "tandem/data/npy.h"

#include <algorithm>
#include <cstring>

#include "core/atomic_file.h"
#include "core/check.h"
#include "core/mapped_file.h"
#include "core/tensor_impl.h"
#include "data/mapped_tensor.h"
#include "data/npy_header.h"
#include "data/zip_archive.h"
#include "tandem/ops/shape.h"

namespace tandem::data {

namespace {

Tensor read_array(std::span<const std::byte> bytes) {
  NpyHeader header = parse_npy_header(bytes);
  if (header.columns_first) std::reverse(header.shape.begin(), header.shape.end());
  Tensor tensor = tandem::detail::empty_tensor(header.dtype, header.shape);
  auto* elements = static_cast<std::byte*>(tensor.impl()->data);
  const size_t count = header.element_bytes(), size = size_of(header.dtype);
  if (count > 0) std::memcpy(elements, bytes.data() + header.size, count);
  if (header.swapped)
    for (size_t i = 0; i < count; i += size) std::reverse(elements + i, elements + i + size);
  if (header.dtype == DType::boolean)
    std::transform(elements, elements + count, elements,
                   [](std::byte b) { return std::byte(b != std::byte(0)); });
  return header.columns_first ? transpose(tensor).contiguous() : tensor;
}

std::span<const std::byte> bytes_of(const Tensor& dense) {
  return {static_cast<const std::byte*>(dense.impl()->data),
          static_cast<size_t>(dense.size()) * size_of(dense.dtype())};
}

// Errors inside name the file.
template <class F>
auto named(const std::string& path, F&& f) {
  try {
    return f();
  } catch (const Error& e) {
    if (e.message().starts_with(path)) throw;
    throw Error(e.code(), path + ": " + e.message());
  }
}

}  // namespace

Tensor read_npy(const std::string& path) {
  return named(path, [&] { return read_array(MappedFile::open(path)->bytes()); });
}

Tensor map_npy(const std::string& path) {
  return named(path, [&] {
    auto file = MappedFile::open(path);
    const NpyHeader header = parse_npy_header(file->bytes());
    // Truth values may be any bytes there, and numbers may lie askew.
    const bool as_they_are = !header.swapped && !header.columns_first && header.dtype != DType::boolean &&
                             header.size % size_of(header.dtype) == 0;
    if (!as_they_are) return read_array(file->bytes());
    return mapped_tensor(std::move(file), header.size, header.dtype, header.shape);
  });
}

void write_npy(const std::string& path, const Tensor& tensor) {
  const Tensor dense = tensor.contiguous();
  const std::string header = format_npy_header(dense.dtype(), dense.shape().codes());
  AtomicFile file(path);
  file.write(header.data(), header.size());
  file.write(bytes_of(dense).data(), bytes_of(dense).size());
  file.commit();
}

std::map<std::string, Tensor> read_npz(const std::string& path) {
  return named(path, [&] {
    const auto file = MappedFile::open(path);
    std::map<std::string, Tensor> tensors;
    for (const ZipEntry& entry : list_zip(file->bytes())) {
      std::string name = entry.name;
      if (name.ends_with(".npy")) name.resize(name.size() - 4);
      try {
        std::vector<std::byte> buffer;
        TD_CHECK(tensors.emplace(name, read_array(extract(file->bytes(), entry, buffer))).second,
                 ErrorCode::io, "it is there twice");
      } catch (const Error& e) {
        throw Error(e.code(), fmt::format("array \"{}\": {}", name, e.message()));
      }
    }
    return tensors;
  });
}

void write_npz(const std::string& path, const std::map<std::string, Tensor>& tensors) {
  AtomicFile file(path);
  ZipWriter zip(file);
  for (const auto& [name, tensor] : tensors) {
    TD_CHECK(!name.empty() && name.find('\0') == std::string::npos && name.size() < 60000,
             "\"{}\" cannot be the name of an array in a file", name);
    const Tensor dense = tensor.contiguous();
    const std::string header = format_npy_header(dense.dtype(), dense.shape().codes());
    zip.add(name + ".npy", std::as_bytes(std::span(header)), bytes_of(dense));
  }
  zip.finish();
  file.commit();
}

}  // namespace tandem::data
