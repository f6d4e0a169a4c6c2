#include "onnx/dtypes.h"

#include <fmt/ranges.h>

#include <array>
#include <vector>

#include "core/check.h"

namespace tandem::onnx {

namespace {

// In the order of DType.
constexpr std::array<int32_t, dtype_count> codes = {9, 2, 3, 4, 5, 12, 6, 13, 7, 10, 16, 1, 11};

constexpr std::array names = {
    "UNDEFINED", "FLOAT",      "UINT8",      "INT8",         "UINT16",         "INT16",      "INT32",
    "INT64",     "STRING",     "BOOL",       "FLOAT16",      "DOUBLE",         "UINT32",     "UINT64",
    "COMPLEX64", "COMPLEX128", "BFLOAT16",   "FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ",
    "UINT4",     "INT4",       "FLOAT4E2M1", "FLOAT8E8M0",   "UINT2",          "INT2"};

}  // namespace

int32_t code_of(DType dtype) { return codes[static_cast<size_t>(dtype)]; }

bool dtype_of_code(int64_t code, DType& dtype) {
  for (size_t i = 0; i < codes.size(); ++i)
    if (codes[i] == code) {
      dtype = static_cast<DType>(i);
      return true;
    }
  return false;
}

std::string name_of_code(int64_t code) {
  const bool known = code >= 0 && code < static_cast<int64_t>(names.size());
  return fmt::format("{} ({})", known ? names[static_cast<size_t>(code)] : "unknown", code);
}

DType supported_dtype(int64_t code) {
  DType dtype;
  if (dtype_of_code(code, dtype)) return dtype;
  std::vector<std::string_view> supported;
  for (int32_t c : codes) supported.emplace_back(names[static_cast<size_t>(c)]);
  fail("elements of type {} are not supported; supported: {}", name_of_code(code),
       fmt::join(supported, ", "));
}

}  // namespace tandem::onnx
