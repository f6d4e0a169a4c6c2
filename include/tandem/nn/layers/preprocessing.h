#pragma once
// Layers that prepare data: numbers, categories, sizes of images.

#include "tandem/nn/layer.h"
#include "tandem/nn/layers/core.h"
#include "tandem/nn/layers/per_axis.h"

namespace tandem::nn {

/// Options of Normalization.
struct NormalizationOptions {
  Axes axis = -1;                   ///< has a mean and a variance for each position; {} has one of each
  Tensor mean = {}, variance = {};  ///< both, or neither: then adapt() finds them
  bool invert = false;              ///< x * deviation + mean instead
  std::string name = {};
};

/// (x - mean) / deviation. Before adapt() the mean is 0 and the variance 1. Floating dtypes.
///
///     nn::Normalization normalization;
///     normalization.adapt(features);
class Normalization : public Layer {
 public:
  explicit Normalization(NormalizationOptions options = {}, Location where = here());
  /// Takes mean and variance from data, whose first dimension is the examples'. Errors: they were given.
  void adapt(const Tensor& data, Location where = here()) const;
};

/// Options of Rescaling.
struct RescalingOptions {
  double offset = 0;
  std::string name = {};
};

/// x * scale + offset as float32 (other floating dtypes stay). `nn::Rescaling(1 / 255.0)`
class Rescaling : public Layer {
 public:
  explicit Rescaling(double scale, RescalingOptions options = {}, Location where = here());
};

/// Options of CategoryEncoding.
struct CategoryEncodingOptions {
  std::string output_mode = "multi_hot";  ///< or "one_hot", "count"
  std::string name = {};
};

/// Integers at least 0 and below num_tokens as float32: "one_hot" gives (..., num_tokens), a last dimension
/// of 1 dropped; "multi_hot" and "count" take (batch, n) to (batch, num_tokens), with 1 or the count for each
/// that is there.
class CategoryEncoding : public Layer {
 public:
  explicit CategoryEncoding(int64_t num_tokens, CategoryEncodingOptions options = {},
                            Location where = here());
};

/// Options of Discretization.
struct DiscretizationOptions {
  std::string output_mode = "int";  ///< or "one_hot", "multi_hot", "count", as CategoryEncoding
  std::string name = {};
};

/// Numbers as the index of their range: int64, how many of the ascending boundaries are not above them.
class Discretization : public Layer {
 public:
  explicit Discretization(std::vector<double> bin_boundaries, DiscretizationOptions options = {},
                          Location where = here());
  /// Boundaries from data: each of so many ranges holds an equal share of it.
  static Discretization adapted(int64_t num_bins, const Tensor& data, DiscretizationOptions options = {},
                                Location where = here());
};

/// Options of IntegerLookup.
struct IntegerLookupOptions {
  int64_t num_oov_indices = 1;      ///< indices for numbers outside the vocabulary, which come first
  std::string output_mode = "int";  ///< or "one_hot", "multi_hot", "count", as CategoryEncoding
  std::string name = {};
};

/// Whole numbers as their places in a vocabulary: int64, from num_oov_indices on. Numbers outside it share
/// the indices before; without any, they are an error of the graph or call that meets them. (Words become
/// numbers in the data pipeline: tensors hold no text.)
class IntegerLookup : public Layer {
 public:
  explicit IntegerLookup(std::vector<int64_t> vocabulary, IntegerLookupOptions options = {},
                         Location where = here());
  /// A vocabulary from data: its numbers, the most frequent first, at most max_tokens (0: all).
  static IntegerLookup adapted(const Tensor& data, int64_t max_tokens = 0, IntegerLookupOptions options = {},
                               Location where = here());
};

/// Options of Resizing.
struct ResizingOptions {
  std::string interpolation = "bilinear";  ///< or "nearest", "bicubic"
  bool crop_to_aspect_ratio = false;       ///< cuts the longer side first, so that nothing is stretched
  std::string data_format = "channels_last";
  std::string name = {};
};

/// Images in another size: (batch, height, width, channels). Floating dtypes.
class Resizing : public Layer {
 public:
  Resizing(int64_t height, int64_t width, ResizingOptions options = {}, Location where = here());
};

/// Options of CenterCrop.
struct CenterCropOptions {
  std::string data_format = "channels_last";
  std::string name = {};
};

/// The middle of images. Those that are too small are made larger first, without stretching.
class CenterCrop : public Layer {
 public:
  CenterCrop(int64_t height, int64_t width, CenterCropOptions options = {}, Location where = here());
};

}  // namespace tandem::nn
