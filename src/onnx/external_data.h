#pragma once
// Tensor elements that lie in files beside the model.

#include <map>
#include <memory>
#include <string>

#include "core/mapped_file.h"
#include "onnx/model.pb.h"

namespace tandem::onnx {

/// The files in one folder, mapped as tensors name them. Names come from an untrusted file: nothing outside
/// the folder is opened, by whatever way.
class ExternalData {
 public:
  explicit ExternalData(std::string folder) : folder_(std::move(folder)) {}

  struct Range {
    std::shared_ptr<const MappedFile> file;
    const std::byte* data = nullptr;
  };
  /// The `bytes` bytes of a tensor's external_data. Errors (io): names that leave the folder, ranges that
  /// leave the file, a length that the shape contradicts.
  Range find(const TensorProto& tensor, size_t bytes);

 private:
  std::shared_ptr<const MappedFile> open(const std::string& location);

  std::string folder_;
  std::map<std::string, std::shared_ptr<const MappedFile>> files_;
};

}  // namespace tandem::onnx
