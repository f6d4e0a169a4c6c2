#pragma once
// Images in IDX files: MNIST, Fashion-MNIST, and whatever else has their format.

#include <string>

#include "tandem/data/dataset.h"
#include "tandem/tensor.h"

namespace tandem::data {

/// The array in an IDX file, plain or gzip. Errors (io): missing, not IDX, damaged, sizes that lie.
Tensor read_idx(const std::string& path);

/// The entries along the array's first dimension, one an element, without reading the whole file first: a
/// plain file of bytes is mapped, and its elements can be had by number; gzip and wider elements are read in
/// order, a row at a time. Errors (io): as read_idx.
Dataset idx_rows(const std::string& path);

/// Pictures to learn from and pictures to be judged by.
struct Images {
  Tensor train_images;  ///< uint8, (N, 28, 28)
  Tensor train_labels;  ///< int64, (N,), 0 to 9
  Tensor test_images;   ///< as train_images
  Tensor test_labels;   ///< as train_labels
};

/// Reads MNIST's or Fashion-MNIST's files from a folder: train-images-idx3-ubyte, train-labels-idx1-ubyte and
/// t10k-..., each plain or .gz. Without test files the last 10,000 training images are held back as the test.
/// Errors (io): a file missing or damaged, images not 28 by 28, counts that differ, a label above 9.
Images load_images(const std::string& directory);

}  // namespace tandem::data
