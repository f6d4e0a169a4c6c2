// Rearranging, indexing and creating tensors.

#include <cmath>

#include "core/tensor_impl.h"
#include "tandem/tandem.h"
#include "tests/support.h"

namespace td = tandem;
using td::Tensor;

namespace {

using Floats = std::vector<float>;
using Ints = std::vector<int32_t>;
using Longs = std::vector<int64_t>;
using Bools = std::vector<bool>;

Bools bools(const Tensor& t) {
  const Tensor dense = t.contiguous();
  return Bools(dense.data<bool>(), dense.data<bool>() + dense.size());
}

/// 0, 1, 2, ... as int32.
Tensor counting(const td::Shape& shape) {
  Ints v(static_cast<size_t>(shape.element_count()));
  for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<int>(i);
  return td::from_vector(std::move(v), shape);
}

bool shares_buffer(const Tensor& view, const Tensor& x) {
  const auto* first = static_cast<const std::byte*>(x.impl()->data);
  const auto* at = static_cast<const std::byte*>(view.impl()->data);
  return at >= first && at < first + x.size() * static_cast<int64_t>(td::size_of(x.dtype()));
}

}  // namespace

// ---- Indexing

TEST(Index, PositionsDropTheirDimension) {
  const Tensor x = counting({2, 3});
  EXPECT_EQ(x[1].to_vector<int32_t>(), (Ints{3, 4, 5}));
  EXPECT_EQ(x[-1].shape(), (td::Shape{3}));
  EXPECT_EQ(x[1][2].item<int32_t>(), 5);
  EXPECT_EQ((x[{1, -3}].item<int32_t>()), 3);
  EXPECT_TRUE(shares_buffer(x[1], x));
}

TEST(Index, RangesAreViewsAndCutToFit) {
  const Tensor x = counting({2, 3, 4});
  EXPECT_EQ((x[{td::all, {1, 5}, -1}].to_vector<int32_t>()), (Ints{7, 11, 19, 23}));
  EXPECT_EQ((x[{td::all, {1, 5}, -1}].shape()), (td::Shape{2, 2}));
  EXPECT_EQ((x[{0, td::all, {3, 0, -2}}].to_vector<int32_t>()), (Ints{3, 1, 7, 5, 11, 9}));
  EXPECT_EQ((x[{1, 1, td::from(2)}].to_vector<int32_t>()), (Ints{18, 19}));
  EXPECT_EQ((x[{1, 1, td::from(-1, -1)}].to_vector<int32_t>()), (Ints{19, 18, 17, 16}));
  EXPECT_EQ((x[{td::all, {2, 2}}].shape()), (td::Shape{2, 0, 4}));
  EXPECT_EQ((x[{{5, 9}}].shape()), (td::Shape{0, 3, 4}));
  EXPECT_TRUE(shares_buffer(x[{td::all, {1, 3}}], x));
}

TEST(Index, NewAxes) {
  const Tensor x = counting({2, 3});
  EXPECT_EQ((x[{td::new_axis, td::all, td::new_axis}].shape()), (td::Shape{1, 2, 1, 3}));
  EXPECT_EQ((x[{1, td::new_axis, {0, 2}, td::new_axis}].shape()), (td::Shape{1, 2, 1}));
  EXPECT_EQ((x[{1, td::new_axis, {0, 2}, td::new_axis}].to_vector<int32_t>()), (Ints{3, 4}));
}

TEST(Index, ErrorsNameIndexAndSize) {
  const Tensor x = counting({2, 3});
  EXPECT_ERROR(x[2],
               "index: index 2 is out of range for size 2 of dimension 0; expected -2 to 1 "
               "(shape_ops_test.cpp:LINE)");
  EXPECT_ERROR((x[{td::all, -4}]),
               "index: index -4 is out of range for size 3 of dimension 1; expected -3 to 2 "
               "(shape_ops_test.cpp:LINE)");
  EXPECT_ERROR(
      (x[{0, 0, 0}]),
      "index: more than 2 indices were given for a tensor of shape (2, 3) (shape_ops_test.cpp:LINE)");
  EXPECT_ERROR((x[{{0, 2, 0}}]), "index: the step of dimension 0 is 0 (shape_ops_test.cpp:LINE)");
  EXPECT_ERROR(Tensor(1.f)[0],
               "index: more than 0 indices were given for a tensor of shape () (shape_ops_test.cpp:LINE)");
}

TEST(Index, GradientsFlowThrough) {
  const Tensor x = {{1.f, 2.f, 3.f}, {4.f, 5.f, 6.f}};
  td::GradientTape tape;
  tape.watch(x);
  const Tensor y = td::sum(x[1] * x[{0, {2, -4, -1}}]);
  EXPECT_EQ(y.item<float>(), 4 * 3 + 5 * 2 + 6 * 1);
  EXPECT_EQ(tape.gradient(y, x).to_vector<float>(), (Floats{6, 5, 4, 3, 2, 1}));
}

// ---- Slices and parts

TEST(Slice, FollowsNumPy) {
  const Tensor x = counting({3, 4});
  EXPECT_EQ(td::slice(x, {1}, {INT64_MAX}, {1}, {2}).to_vector<int32_t>(), (Ints{1, 3, 5, 7, 9, 11}));
  EXPECT_EQ(td::slice(x, {-1}, {INT64_MIN}, {0}, {-2}).to_vector<int32_t>(),
            (Ints{8, 9, 10, 11, 0, 1, 2, 3}));
  EXPECT_EQ(td::slice(x, {-100, 1}, {2, -1}).to_vector<int32_t>(), (Ints{1, 2, 5, 6}));
  EXPECT_EQ(td::slice(x, {3}, {1}).shape(), (td::Shape{0, 4}));
  EXPECT_EQ(td::slice(x, Tensor({2}), Tensor({3}), Tensor({-1})).to_vector<int32_t>(), (Ints{2, 6, 10}));
  EXPECT_EQ(td::slice(x, {0}, {3}, {0}, {INT64_MAX}).to_vector<int32_t>(), (Ints{0, 1, 2, 3}));
  EXPECT_EQ(td::slice(x, {2}, {INT64_MIN}, {0}, {INT64_MIN}).to_vector<int32_t>(), (Ints{8, 9, 10, 11}));
}

TEST(Slice, Errors) {
  const Tensor x = counting({3, 4});
  EXPECT_ERROR(td::slice(x, {0}, {1}, {2}),
               "slice: axis 2 is out of range for rank 2; expected -2 to 1 (shape_ops_test.cpp:LINE)");
  EXPECT_ERROR(td::slice(x, {0, 0}, {1, 1}, {1, -1}),
               "slice: axis 1 is listed twice (shape_ops_test.cpp:LINE)");
  EXPECT_ERROR(td::slice(x, {0, 0}, {1}),
               "slice: starts, ends, axes and steps have 2, 1, 2 and 2 entries; all need the same number "
               "(shape_ops_test.cpp:LINE)");
  EXPECT_ERROR(td::slice(x, {0}, {1}, {0}, {0}), "slice: the step of axis 0 is 0 (shape_ops_test.cpp:LINE)");
  EXPECT_ERROR(td::slice(x, {0, 0, 0}, {1, 1, 1}),
               "slice: 3 ranges were given for the 2 dimensions of shape (3, 4) (shape_ops_test.cpp:LINE)");
}

TEST(Split, EqualPartsAndSizes) {
  const Tensor x = counting({5, 2});
  const auto parts = td::split(x, 2);
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(parts[0].to_vector<int32_t>(), (Ints{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(parts[1].to_vector<int32_t>(), (Ints{6, 7, 8, 9}));
  EXPECT_TRUE(shares_buffer(parts[1], x));
  const auto sized = td::split(x, {0, 4, 1});
  ASSERT_EQ(sized.size(), 3u);
  EXPECT_EQ(sized[0].shape(), (td::Shape{0, 2}));
  EXPECT_EQ(sized[2].to_vector<int32_t>(), (Ints{8, 9}));
  EXPECT_EQ(td::split(x, 2, -1)[1].to_vector<int32_t>(), (Ints{1, 3, 5, 7, 9}));
  EXPECT_EQ(td::split(x, 7).back().shape(), (td::Shape{0, 2}));
  EXPECT_ERROR(td::split(x, {2, 2}),
               "split: the parts' sizes sum to 4; axis 0 has size 5 (shape_ops_test.cpp:LINE)");
  EXPECT_ERROR(td::split(x, {6, -1}), "split: the part size -1 is negative (shape_ops_test.cpp:LINE)");
  EXPECT_ERROR(td::split(x, 0),
               "split: neither the number of parts nor their sizes were given (shape_ops_test.cpp:LINE)");
}

TEST(Split, GradientsOfSomeParts) {
  const Tensor x = {1.f, 2.f, 3.f, 4.f};
  td::GradientTape tape;
  tape.watch(x);
  const auto parts = td::split(x, {1, 3});
  EXPECT_EQ(tape.gradient(td::sum(parts[1] * parts[1]), x).to_vector<float>(), (Floats{0, 4, 6, 8}));
}

TEST(StackAndUnstack, AreInverse) {
  const Tensor x = counting({2, 3});
  EXPECT_EQ(td::stack(td::unstack(x)).to_vector<int32_t>(), x.to_vector<int32_t>());
  EXPECT_EQ(td::stack(td::unstack(x, 1), -1).to_vector<int32_t>(), x.to_vector<int32_t>());
  EXPECT_EQ(td::stack({x, x}, 1).shape(), (td::Shape{2, 2, 3}));
  EXPECT_EQ(td::unstack(td::zeros({0, 2})).size(), 0u);
  EXPECT_ERROR(td::stack({x, counting({3})}),
               "concat: shapes (1, 2, 3) and (1, 3) differ outside axis 0 (shape_ops_test.cpp:LINE)");
  EXPECT_ERROR(td::unstack(x, 2),
               "unstack: axis 2 is out of range for rank 2; expected -2 to 1 (shape_ops_test.cpp:LINE)");
}

// ---- Dimensions

TEST(Dimensions, SqueezeAndUnsqueeze) {
  const Tensor x = counting({1, 3, 1});
  EXPECT_EQ(td::squeeze(x).shape(), (td::Shape{3}));
  EXPECT_EQ(td::squeeze(x, {-1}).shape(), (td::Shape{1, 3}));
  EXPECT_EQ(td::unsqueeze(counting({3}), {0, -1}).shape(), (td::Shape{1, 3, 1}));
  EXPECT_EQ(td::squeeze(x, {0, 2}).to_vector<int32_t>(), (Ints{0, 1, 2}));
  EXPECT_ERROR(td::squeeze(x, {1}),
               "squeeze: dimension 1 of shape (1, 3, 1) has size 3; only sizes of 1 can be dropped "
               "(shape_ops_test.cpp:LINE)");
  EXPECT_ERROR(td::squeeze(x, {0, -3}), "squeeze: axis -3 is listed twice (shape_ops_test.cpp:LINE)");
  EXPECT_ERROR(td::unsqueeze(x, {5}),
               "unsqueeze: axis 5 is out of range for rank 4; expected -4 to 3 (shape_ops_test.cpp:LINE)");
  EXPECT_ERROR(td::unsqueeze(x, {0, 1, 2, 3, 4, 5}),
               "unsqueeze: the result would have 9 dimensions; at most 8 are supported "
               "(shape_ops_test.cpp:LINE)");
}

TEST(Dimensions, FlattenSwapMove) {
  const Tensor x = counting({2, 3, 4});
  EXPECT_EQ(td::flatten(x).shape(), (td::Shape{2, 12}));
  EXPECT_EQ(td::flatten(x, 0).shape(), (td::Shape{1, 24}));
  EXPECT_EQ(td::flatten(x, 3).shape(), (td::Shape{24, 1}));
  EXPECT_EQ(td::flatten(td::transpose(x), -1).to_vector<int32_t>()[1], 12);
  EXPECT_EQ(td::swapaxes(x, 0, -1).shape(), (td::Shape{4, 3, 2}));
  EXPECT_EQ(td::moveaxis(x, 0, -1).shape(), (td::Shape{3, 4, 2}));
  EXPECT_EQ(td::moveaxis(x, 2, 0).shape(), (td::Shape{4, 2, 3}));
  EXPECT_EQ(td::size_of(x).item<int64_t>(), 24);
  EXPECT_ERROR(td::flatten(x, 4),
               "flatten: axis 4 is out of range for rank 3; expected -3 to 3 (shape_ops_test.cpp:LINE)");
  EXPECT_ERROR(td::swapaxes(x, 0, 3),
               "swapaxes: axis 3 is out of range for rank 3; expected -3 to 2 (shape_ops_test.cpp:LINE)");
}

TEST(Dimensions, FlipAndRoll) {
  const Tensor x = counting({2, 3});
  EXPECT_EQ(td::flip(x).to_vector<int32_t>(), (Ints{5, 4, 3, 2, 1, 0}));
  EXPECT_EQ(td::flip(x, {1}).to_vector<int32_t>(), (Ints{2, 1, 0, 5, 4, 3}));
  EXPECT_EQ(td::flip(x, -2).to_vector<int32_t>(), (Ints{3, 4, 5, 0, 1, 2}));
  EXPECT_EQ(td::roll(x, 1, 1).to_vector<int32_t>(), (Ints{2, 0, 1, 5, 3, 4}));
  EXPECT_EQ(td::roll(x, -4, 1).to_vector<int32_t>(), (Ints{1, 2, 0, 4, 5, 3}));
  EXPECT_EQ(td::roll(x, 2).to_vector<int32_t>(), x.to_vector<int32_t>());
  EXPECT_EQ(td::roll(td::zeros({0}), 2).shape(), (td::Shape{0}));
}

// ---- Pad and Tile

TEST(Pad, Modes) {
  const Tensor x = {1, 2, 3};
  EXPECT_EQ(td::pad(x, {1, 2}).to_vector<int32_t>(), (Ints{0, 1, 2, 3, 0, 0}));
  EXPECT_EQ(td::pad(x, {1, 0}, "constant", 7).to_vector<int32_t>(), (Ints{7, 1, 2, 3}));
  EXPECT_EQ(td::pad(x, {5, 2}, "reflect").to_vector<int32_t>(), (Ints{2, 1, 2, 3, 2, 1, 2, 3, 2, 1}));
  EXPECT_EQ(td::pad(x, {2, 2}, "edge").to_vector<int32_t>(), (Ints{1, 1, 1, 2, 3, 3, 3}));
  EXPECT_EQ(td::pad(x, {4, 2}, "wrap").to_vector<int32_t>(), (Ints{3, 1, 2, 3, 1, 2, 3, 1, 2}));
  EXPECT_EQ(td::pad(x, {-1, 1}).to_vector<int32_t>(), (Ints{2, 3, 0}));
  EXPECT_EQ(td::pad(x, {-1, 2}, "reflect").to_vector<int32_t>(), (Ints{2, 3, 2, 3}));
  EXPECT_EQ(td::pad(x, {-2, -1}).shape(), (td::Shape{0}));
  EXPECT_EQ(td::pad(counting({2, 2}), {1, 0}, "constant", nullptr, {-1}).to_vector<int32_t>(),
            (Ints{0, 0, 1, 0, 2, 3}));
  EXPECT_EQ(td::pad(Tensor({4}), {2, 2}, "reflect").to_vector<int32_t>(), (Ints{4, 4, 4, 4, 4}));
}

TEST(Pad, Errors) {
  const Tensor x = {1, 2, 3};
  EXPECT_ERROR(td::pad(x, {1}),
               "pad: 1 numbers were given for 1 axes; there must be 2: those before, then those after "
               "(shape_ops_test.cpp:LINE)");
  EXPECT_ERROR(td::pad(x, {-2, -2}),
               "pad: pads -2 and -2 cut more than the 3 elements of axis 0 (shape_ops_test.cpp:LINE)");
  EXPECT_ERROR(td::pad(x, {1, 1}, "mirror"),
               "pad: mode \"mirror\" is unknown; expected \"constant\", \"reflect\", \"edge\" or \"wrap\" "
               "(shape_ops_test.cpp:LINE)");
  EXPECT_ERROR(td::pad(td::zeros({0}), {1, 0}, "edge"),
               "pad: axis 0 has no elements that mode \"edge\" could repeat (shape_ops_test.cpp:LINE)");
}

TEST(Tile, Repeats) {
  const Tensor x = counting({2, 2});
  EXPECT_EQ(td::tile(x, {1, 2}).to_vector<int32_t>(), (Ints{0, 1, 0, 1, 2, 3, 2, 3}));
  EXPECT_EQ(td::tile(x, {2, 1}).to_vector<int32_t>(), (Ints{0, 1, 2, 3, 0, 1, 2, 3}));
  EXPECT_EQ(td::tile(x, {0, 2}).shape(), (td::Shape{0, 4}));
  EXPECT_ERROR(td::tile(x, {2}),
               "tile: 1 repeats were given for the 2 dimensions of shape (2, 2) (shape_ops_test.cpp:LINE)");
  EXPECT_ERROR(td::tile(x, {2, -1}), "tile: repeat -1 of axis 1 is negative (shape_ops_test.cpp:LINE)");
}

// ---- Gather and Scatter

TEST(Gather, TakesByIndex) {
  const Tensor x = counting({3, 2});
  EXPECT_EQ(td::gather(x, Tensor({2, -3})).to_vector<int32_t>(), (Ints{4, 5, 0, 1}));
  EXPECT_EQ(td::gather(x, Tensor({{1}, {0}}), 1).shape(), (td::Shape{3, 2, 1}));
  EXPECT_EQ(td::gather(x, 1).to_vector<int32_t>(), (Ints{2, 3}));
  EXPECT_EQ(td::gather(x, td::zeros({0, 4}, td::int64)).shape(), (td::Shape{0, 4, 2}));
  EXPECT_ERROR(td::gather(x, Tensor({0, 3})),
               "gather: index 3 is out of range for size 3 of axis 0; expected -3 to 2 "
               "(shape_ops_test.cpp:LINE)");
  EXPECT_ERROR(td::gather(x, Tensor({0.f})),
               "gather: argument 1 (indices) has dtype float32; allowed are int32, int64 "
               "(shape_ops_test.cpp:LINE)");
}

TEST(Gather, AddsUpGradientsOfEqualIndices) {
  const Tensor x = {{1.f, 2.f}, {3.f, 4.f}, {5.f, 6.f}};
  td::GradientTape tape;
  tape.watch(x);
  const Tensor y = td::gather(x, Tensor({2, 0, 2}));
  EXPECT_EQ(tape.gradient(td::sum(y * Tensor({{1.f}, {10.f}, {100.f}})), x).to_vector<float>(),
            (Floats{10, 10, 0, 0, 101, 101}));
}

TEST(Gather, ElementsAndCoordinates) {
  const Tensor x = counting({2, 3});
  EXPECT_EQ(td::gather_elements(x, Tensor({{2, 0}, {-1, 1}}), 1).to_vector<int32_t>(), (Ints{2, 0, 5, 4}));
  EXPECT_EQ(td::gather_elements(x, Tensor({{1, 0, 1}})).to_vector<int32_t>(), (Ints{3, 1, 5}));
  EXPECT_EQ(td::gather_nd(x, Tensor({{1, 0}, {0, -1}})).to_vector<int32_t>(), (Ints{3, 2}));
  EXPECT_EQ(td::gather_nd(x, Tensor({{1}})).to_vector<int32_t>(), (Ints{3, 4, 5}));
  EXPECT_EQ(td::gather_nd(x, Tensor({{2}, {0}}), 1).to_vector<int32_t>(), (Ints{2, 3}));
  EXPECT_ERROR(td::gather_elements(x, Tensor({{0}, {0}, {0}}), 1),
               "gather_elements: indices of shape (3, 1) reach beyond shape (2, 3) outside axis 1 "
               "(shape_ops_test.cpp:LINE)");
  EXPECT_ERROR(td::gather_nd(x, Tensor({{0, 0, 0}})),
               "gather_nd: coordinates of length 3 do not fit the 2 dimensions of shape (2, 3) after 0 of "
               "the batch (shape_ops_test.cpp:LINE)");
}

TEST(Scatter, ReplacesAndReduces) {
  const Tensor x = {1, 2, 3};
  const Tensor at = {0, 0, -1}, updates = {10, 20, 30};
  EXPECT_EQ(td::scatter_elements(x, at, updates).to_vector<int32_t>(), (Ints{20, 2, 30}));
  EXPECT_EQ(td::scatter_elements(x, at, updates, 0, "add").to_vector<int32_t>(), (Ints{31, 2, 33}));
  EXPECT_EQ(td::scatter_elements(x, at, updates, 0, "mul").to_vector<int32_t>(), (Ints{200, 2, 90}));
  EXPECT_EQ(td::scatter_elements(x, at, updates, 0, "max").to_vector<int32_t>(), (Ints{20, 2, 30}));
  EXPECT_EQ(td::scatter_elements(x, at, updates, 0, "min").to_vector<int32_t>(), (Ints{1, 2, 3}));
  EXPECT_EQ(td::scatter_nd(td::zeros({2, 2}), Tensor({{1}}), Tensor({{5.f, 6.f}})).to_vector<float>(),
            (Floats{0, 0, 5, 6}));
  const Tensor special =
      td::scatter_elements(Tensor({0.f, 1.f}), Tensor({0, 1}), Tensor({-0.f, NAN}), 0, "max");
  EXPECT_FALSE(std::signbit(special[0].item<float>()));
  EXPECT_TRUE(std::isnan(special[1].item<float>()));
  EXPECT_EQ(td::scatter_elements(Tensor({200}, td::uint8), Tensor({0}), Tensor({100}, td::uint8), 0, "add")
                .to_vector<uint8_t>(),
            (std::vector<uint8_t>{44}));
  EXPECT_ERROR(td::scatter_elements(x, at, Tensor({1, 2})),
               "scatter_elements: indices have shape (3,), updates (2,); they must be equal "
               "(shape_ops_test.cpp:LINE)");
  EXPECT_ERROR(
      td::scatter_elements(x, at, updates, 0, "sum"),
      "scatter_elements: reduction \"sum\" is unknown; expected \"none\", \"add\", \"mul\", \"max\" or "
      "\"min\" (shape_ops_test.cpp:LINE)");
  EXPECT_ERROR(td::scatter_nd(x, Tensor({{0}}), Tensor({1, 2})),
               "scatter_nd: updates have shape (2,); indices of shape (1, 1) into shape (3,) need (1,) "
               "(shape_ops_test.cpp:LINE)");
}

TEST(Scatter, ProductsOfZerosHaveGradients) {
  const Tensor x = {0.f, 2.f, 3.f}, updates = {5.f, 0.f, 7.f};
  td::GradientTape tape;
  tape.watch(x);
  tape.watch(updates);
  const Tensor y = td::scatter_elements(x, Tensor({0, 1, 1}), updates, 0, "mul");
  const auto [dx, du] = tape.gradient(td::sum(y), x, updates);
  EXPECT_EQ(dx.to_vector<float>(), (Floats{5, 0, 1}));
  EXPECT_EQ(du.to_vector<float>(), (Floats{0, 14, 0}));
}

// ---- Picking

TEST(OneHot, MarksIndices) {
  EXPECT_EQ(td::one_hot(Tensor({1, -1, 3}), 3).to_vector<float>(), (Floats{0, 1, 0, 0, 0, 1, 0, 0, 0}));
  EXPECT_EQ(td::one_hot(Tensor({1, 0}), 2, 0, td::int32).to_vector<int32_t>(), (Ints{0, 1, 1, 0}));
  EXPECT_EQ(td::one_hot_values(Tensor(1), 2, Tensor({-1, 9})).to_vector<int32_t>(), (Ints{-1, 9}));
  EXPECT_ERROR(td::one_hot(Tensor({1}), -2), "one_hot: depth -2 is negative (shape_ops_test.cpp:LINE)");
  EXPECT_ERROR(td::one_hot_values(Tensor({1}), 2, Tensor({1, 2, 3})),
               "one_hot: values have shape (3,); they must be (2,): off and on (shape_ops_test.cpp:LINE)");
}

TEST(TopK, OrdersAndBreaksTies) {
  const Tensor x = {{3, 1, 3, 2}, {5, 5, 5, 6}};
  const auto [values, indices] = td::topk(x, 3);
  EXPECT_EQ(values.to_vector<int32_t>(), (Ints{3, 3, 2, 6, 5, 5}));
  EXPECT_EQ(indices.to_vector<int64_t>(), (Longs{0, 2, 3, 3, 0, 1}));
  const auto smallest = td::topk(x, 2, 0, false);
  EXPECT_EQ(smallest.values.to_vector<int32_t>(), (Ints{3, 1, 3, 2, 5, 5, 5, 6}));
  const auto special = td::topk(Tensor({1.f, NAN, -INFINITY, -0.f, 0.f}), 5);
  EXPECT_EQ(special.indices.to_vector<int64_t>(), (Longs{1, 0, 3, 4, 2}));
  EXPECT_EQ(td::topk(Tensor({1.f, NAN, 0.f}), 3, -1, false).indices.to_vector<int64_t>(), (Longs{2, 0, 1}));
  EXPECT_ERROR(td::topk(x, 5),
               "topk: k is 5, but axis 1 of shape (2, 4) has 4 entries (shape_ops_test.cpp:LINE)");
}

TEST(TopK, MatchesFullSortOnLongRows) {
  std::vector<float> v(5000);
  for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<float>((i * 7919) % 4999);
  const Tensor x = td::from_span<float>(v, {5000});
  std::vector<float> sorted = v;
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  for (int k : {1, 10, 600, 700, 4999, 5000})
    EXPECT_EQ(td::topk(x, k).values.to_vector<float>(), Floats(sorted.begin(), sorted.begin() + k));
}

TEST(Trilu, Triangles) {
  const Tensor x = counting({2, 3}) + 1;
  EXPECT_EQ(td::triu(x).to_vector<int32_t>(), (Ints{1, 2, 3, 0, 5, 6}));
  EXPECT_EQ(td::tril(x).to_vector<int32_t>(), (Ints{1, 0, 0, 4, 5, 0}));
  EXPECT_EQ(td::triu(x, 1).to_vector<int32_t>(), (Ints{0, 2, 3, 0, 0, 6}));
  EXPECT_EQ(td::tril(x, -1).to_vector<int32_t>(), (Ints{0, 0, 0, 4, 0, 0}));
  EXPECT_EQ(td::tril(x, 100).to_vector<int32_t>(), x.to_vector<int32_t>());
  EXPECT_ERROR(td::triu(Tensor({1})),
               "trilu: shape (1,) has no last two dimensions (shape_ops_test.cpp:LINE)");
}

// ---- Sizes that depend on values

TEST(Dynamic, NonZero) {
  EXPECT_EQ(td::nonzero(Tensor({{0, 3}, {4, 0}})).to_vector<int64_t>(), (Longs{0, 1, 1, 0}));
  EXPECT_EQ(td::nonzero(td::zeros({2, 2})).shape(), (td::Shape{2, 0}));
  EXPECT_EQ(td::nonzero(Tensor(5)).shape(), (td::Shape{0, 1}));
  EXPECT_EQ(td::nonzero(Tensor({NAN, -0.f})).to_vector<int64_t>(), (Longs{0}));
}

TEST(Dynamic, Unique) {
  const Tensor x = {2, 1, 2, 3, 1};
  const auto sorted = td::unique(x);
  EXPECT_EQ(sorted.values.to_vector<int32_t>(), (Ints{1, 2, 3}));
  EXPECT_EQ(sorted.indices.to_vector<int64_t>(), (Longs{1, 0, 3}));
  EXPECT_EQ(sorted.inverse.to_vector<int64_t>(), (Longs{1, 0, 1, 2, 0}));
  EXPECT_EQ(sorted.counts.to_vector<int64_t>(), (Longs{2, 2, 1}));
  const auto seen = td::unique(x, {}, false);
  EXPECT_EQ(seen.values.to_vector<int32_t>(), (Ints{2, 1, 3}));
  EXPECT_EQ(seen.inverse.to_vector<int64_t>(), (Longs{0, 1, 0, 2, 1}));
  EXPECT_EQ(seen.counts.to_vector<int64_t>(), (Longs{2, 2, 1}));
  const auto rows = td::unique(Tensor({{1, 2}, {0, 5}, {1, 2}}), 0);
  EXPECT_EQ(rows.values.to_vector<int32_t>(), (Ints{0, 5, 1, 2}));
  EXPECT_EQ(rows.inverse.to_vector<int64_t>(), (Longs{1, 0, 1}));
  EXPECT_EQ(td::unique(Tensor({NAN, 1.f, NAN})).counts.to_vector<int64_t>(), (Longs{1, 2}));
  EXPECT_ERROR(td::unique(x, 1),
               "unique: axis 1 is out of range for rank 1; expected -1 to 0 (shape_ops_test.cpp:LINE)");
}

TEST(Dynamic, CompressAndMask) {
  const Tensor x = counting({3, 2});
  EXPECT_EQ(td::compress(x, Tensor({true, false, true}), 0).to_vector<int32_t>(), (Ints{0, 1, 4, 5}));
  EXPECT_EQ(td::compress(x, Tensor({false, true}), 1).to_vector<int32_t>(), (Ints{1, 3, 5}));
  EXPECT_EQ(td::compress(x, Tensor({false, true, true})).to_vector<int32_t>(), (Ints{1, 2}));
  EXPECT_EQ(td::boolean_mask(x, td::equal(x, 3)).to_vector<int32_t>(), (Ints{3}));
  EXPECT_EQ(td::boolean_mask(x, Tensor({false, true, true})).shape(), (td::Shape{2, 2}));
  EXPECT_EQ(td::boolean_mask(td::zeros({2, 0}), td::zeros({2, 0}, td::boolean)).shape(), (td::Shape{0}));
  EXPECT_ERROR(td::compress(x, Tensor({true, true, true}), 1),
               "compress: the condition has 3 entries, more than the 2 to choose from "
               "(shape_ops_test.cpp:LINE)");
  EXPECT_ERROR(td::boolean_mask(x, Tensor({true, true})),
               "boolean_mask: the mask has shape (2,), which does not begin shape (3, 2) "
               "(shape_ops_test.cpp:LINE)");
}

TEST(Dynamic, CompressHasAGradient) {
  const Tensor x = {1.f, 2.f, 3.f};
  td::GradientTape tape;
  tape.watch(x);
  const Tensor y = td::compress(x, Tensor({true, false, true}));
  EXPECT_EQ(tape.gradient(td::sum(y * y), x).to_vector<float>(), (Floats{2, 0, 6}));
}

// ---- Creation

TEST(Creation, Ranges) {
  EXPECT_EQ(td::arange(4).to_vector<int64_t>(), (Longs{0, 1, 2, 3}));
  EXPECT_EQ(td::arange(2, 10, 3).to_vector<int64_t>(), (Longs{2, 5, 8}));
  EXPECT_EQ(td::arange(3, -4, -3).to_vector<int64_t>(), (Longs{3, 0, -3}));
  EXPECT_EQ(td::arange(0., 1., 0.25).to_vector<float>(), (Floats{0, .25f, .5f, .75f}));
  EXPECT_EQ(td::arange(3, td::int32).to_vector<int32_t>(), (Ints{0, 1, 2}));
  EXPECT_EQ(td::arange(Tensor(3)).dtype(), td::int32);
  EXPECT_EQ(td::arange(3, 3).shape(), (td::Shape{0}));
  EXPECT_EQ(td::arange(3, 1).shape(), (td::Shape{0}));
  EXPECT_ERROR(td::arange(0, 3, 0), "range: the step is 0 (shape_ops_test.cpp:LINE)");
  EXPECT_EQ(td::linspace(0, 1, 5).to_vector<float>(), (Floats{0, .25f, .5f, .75f, 1}));
  EXPECT_EQ(td::linspace(2, 3, 1).to_vector<float>(), (Floats{2}));
  EXPECT_EQ(td::linspace(0, 0.3, 4, td::float64).to_vector<double>().back(), 0.3);
}

TEST(Creation, Filled) {
  EXPECT_EQ(td::full({2, 2}, 3, td::int8).to_vector<int8_t>(), (std::vector<int8_t>{3, 3, 3, 3}));
  EXPECT_EQ(bools(td::full({2}, true, td::boolean)), (Bools{true, true}));
  EXPECT_EQ(td::full({2}, Tensor(0.5f)).to_vector<float>(), (Floats{.5f, .5f}));
  EXPECT_EQ(td::full_like(Tensor({1, 2}), 7).to_vector<int32_t>(), (Ints{7, 7}));
  EXPECT_EQ(td::ones_like(Tensor({1., 2.}, td::float64)).dtype(), td::float64);
  EXPECT_EQ(td::zeros({}).shape(), td::Shape{});
  EXPECT_EQ(td::zeros({3, 0}).size(), 0);
  EXPECT_EQ(td::eye(2).to_vector<float>(), (Floats{1, 0, 0, 1}));
  EXPECT_EQ(td::eye(2, 3, 1, td::int32).to_vector<int32_t>(), (Ints{0, 1, 0, 0, 0, 1}));
  EXPECT_EQ(td::eye_like(td::zeros({3, 2}), -1).to_vector<float>(), (Floats{0, 0, 1, 0, 0, 1}));
  EXPECT_ERROR(td::zeros({2, -1}), "constant_of_shape: size -1 is negative (shape_ops_test.cpp:LINE)");
  EXPECT_ERROR(
      td::full({2}, 0.5, td::int32),
      "full: the number 0.5 does not fit dtype int32; cast the tensor to a floating dtype first, as in "
      "td::cast(x, td::float32) (shape_ops_test.cpp:LINE)");
  EXPECT_ERROR(td::linspace(0, 1, -1), "linspace: the count -1 is negative (shape_ops_test.cpp:LINE)");
}
