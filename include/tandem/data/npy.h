#pragma once
// NumPy's files: one array (.npy), or several by name (.npz).

#include <map>
#include <string>

#include "tandem/tensor.h"

namespace tandem::data {

/// The array in a .npy file, of any byte order and either element order. Two-byte void elements ("V2"), as
/// ml_dtypes writes them, are bfloat16. Errors (io): missing, not NumPy's, cut off, elements that are no
/// numbers (objects, records, texts, complex numbers).
Tensor read_npy(const std::string& path);
/// The same array, without reading it: its elements are the file's own pages, which come as they are used, so
/// that arrays larger than memory do. `Dataset::from_tensors({td::data::map_npy("x.npy"),
/// td::data::map_npy("y.npy")})` Arrays of the other byte or element order are read as by read_npy. The file
/// must not change while in use.
Tensor map_npy(const std::string& path);
/// Writes an array: aside, then moved into place. Errors (io): the file cannot be written.
void write_npy(const std::string& path, const Tensor& tensor);

/// The arrays of a .npz file, stored or compressed. Errors (io): as read_npy, and damaged archives.
std::map<std::string, Tensor> read_npz(const std::string& path);
/// Writes arrays under their names, uncompressed. Errors (io): as write_npy; (invalid_argument): names that
/// are empty or hold a zero byte.
void write_npz(const std::string& path, const std::map<std::string, Tensor>& tensors);

}  // namespace tandem::data
