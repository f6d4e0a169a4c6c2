// Tensors as text, in NumPy's layout (expectations made with NumPy 1.24), and tensors made from braces.

#include <cmath>
#include <limits>

#include "tandem/tandem.h"
#include "tests/support.h"

namespace td = tandem;
using td::Tensor;
using td::to_string;

namespace {

constexpr float inf = std::numeric_limits<float>::infinity();

Tensor counting(const td::Shape& shape) {
  return td::reshape(td::arange(shape.element_count(), td::int32), shape);
}

/// What stands between "Tensor(" and ", shape=".
std::string body(const Tensor& t) {
  const std::string text = to_string(t);
  return text.substr(7, text.rfind(", shape=") - 7);
}

}  // namespace

TEST(Print, FormatsFloats) {
  EXPECT_EQ(to_string(td::pow(Tensor{1, 2, 3, 4, 5.f}, 2)),
            "Tensor([ 1.  4.  9. 16. 25.], shape=(5,), dtype=float32)");
  EXPECT_EQ(body(Tensor{0.1f, 0.25f, -3.f}), "[ 0.1   0.25 -3.  ]");
  EXPECT_EQ(body(Tensor{-1.f, 2.f}), "[-1.  2.]");
  EXPECT_EQ(body(Tensor{0.f, -0.f}), "[ 0. -0.]");
  EXPECT_EQ(body(Tensor{-0.f}), "[-0.]");
  EXPECT_EQ(body(Tensor{1 / 3.f, 2 / 3.f}), "[0.33333334 0.6666667 ]");
  EXPECT_EQ(body(Tensor({1 / 3., 2 / 3.}, td::float64)), "[0.33333333 0.66666667]");
  EXPECT_EQ(body(Tensor({M_PI, M_E * 100}, td::float64)), "[  3.14159265 271.82818285]");
  EXPECT_EQ(body(Tensor{static_cast<float>(M_PI), static_cast<float>(M_E * 100)}),
            "[  3.1415927 271.8282   ]");
  EXPECT_EQ(body(Tensor{99999992.f}), "[99999992.]");
  EXPECT_EQ(body(Tensor{1e-4f}), "[1.e-04]");
  EXPECT_EQ(body(Tensor{0.001f, 1.f}), "[0.001 1.   ]");
  EXPECT_EQ(body(Tensor{{1.f, -2.5f}, {100.f, 0.f}}), "[[  1.   -2.5]\n        [100.    0. ]]");
}

TEST(Print, SwitchesToScientific) {
  EXPECT_EQ(body(Tensor{1e10f, 1.5f}), "[1.0e+10 1.5e+00]");
  EXPECT_EQ(body(Tensor{1e-5f, 1.f}), "[1.e-05 1.e+00]");
  EXPECT_EQ(body(Tensor{0.001f, 1.5f, 1000.5f}), "[1.0000e-03 1.5000e+00 1.0005e+03]");
  EXPECT_EQ(body(Tensor{0.001f, 1.001f}), "[1.000e-03 1.001e+00]");
  EXPECT_EQ(body(Tensor{1e8f}), "[1.e+08]");
  EXPECT_EQ(body(Tensor{0.99e-4f}), "[9.9e-05]");
  EXPECT_EQ(body(Tensor{-1e10f, 2e-10f}), "[-1.e+10  2.e-10]");
  EXPECT_EQ(body(Tensor{1.5e10f, 1.25e10f}), "[1.50e+10 1.25e+10]");
  EXPECT_EQ(body(Tensor({1e100, 1e-100}, td::float64)), "[1.e+100 1.e-100]");
  EXPECT_EQ(body(Tensor({1e100, 1.}, td::float64)), "[1.e+100 1.e+000]");
  EXPECT_EQ(body(Tensor({123456.789, 0.001}, td::float64)), "[1.23456789e+05 1.00000000e-03]");
  EXPECT_EQ(body(Tensor({1.23456789012e20, 1.}, td::float64)), "[1.23456789e+20 1.00000000e+00]");
  EXPECT_EQ(body(Tensor{3.4028235e38f, 1.1754944e-38f}), "[3.4028235e+38 1.1754944e-38]");
  EXPECT_EQ(body(Tensor{1e-45f}), "[1.e-45]");
  EXPECT_EQ(body(Tensor{0.3f, 1.2345678e10f}), "[3.0000001e-01 1.2345678e+10]");
  EXPECT_EQ(body(Tensor({0.1, 1.234567891e10}, td::float64)), "[1.00000000e-01 1.23456789e+10]");
  EXPECT_EQ(body(Tensor{123456.7f, 1e-5f, 9.9999999e8f}), "[1.234567e+05 1.000000e-05 1.000000e+09]");
}

TEST(Print, AlignsSpecialValues) {
  EXPECT_EQ(body(Tensor{1.f, NAN, inf, -inf}), "[  1.  nan  inf -inf]");
  EXPECT_EQ(body(Tensor{NAN, 1.f}), "[nan  1.]");
  EXPECT_EQ(body(Tensor{NAN, NAN}), "[nan nan]");
  EXPECT_EQ(body(Tensor{inf, -inf}), "[ inf -inf]");
  EXPECT_EQ(body(Tensor{-inf, 1.5f}), "[-inf  1.5]");
  EXPECT_EQ(body(Tensor{1e10f, NAN, -inf}), "[1.e+10    nan   -inf]");
  EXPECT_EQ(body(Tensor{1.5f, NAN, -2.f}), "[ 1.5  nan -2. ]");
}

TEST(Print, NarrowFloatsShowTheirOwnDigits) {
  EXPECT_EQ(to_string(Tensor({0.1, 0.2}, td::float16)), "Tensor([0.1 0.2], shape=(2,), dtype=float16)");
  EXPECT_EQ(body(Tensor({0.1, 65504., 1.}, td::float16)), "[1.00e-01 6.55e+04 1.00e+00]");
  EXPECT_EQ(body(Tensor({6e-8, 1.}, td::float16)), "[6.e-08 1.e+00]");
  EXPECT_EQ(body(Tensor({0.1, 1234.}, td::float16)), "[9.998e-02 1.234e+03]");
  EXPECT_EQ(body(Tensor({0.1, 3.14159}, td::bfloat16)), "[0.1  3.14]");
  EXPECT_EQ(body(Tensor({-0., NAN}, td::bfloat16)), "[-0. nan]");
}

TEST(Print, FormatsIntegersAndBool) {
  EXPECT_EQ(to_string(Tensor{1, -20, 300}), "Tensor([  1 -20 300], shape=(3,), dtype=int32)");
  EXPECT_EQ(body(Tensor({-128, 127}, td::int8)), "[-128  127]");
  EXPECT_EQ(body(td::from_range(std::vector<uint64_t>{UINT64_MAX, 0})),
            "[18446744073709551615                    0]");
  EXPECT_EQ(body(Tensor{INT64_MIN, int64_t{1}}), "[-9223372036854775808                    1]");
  EXPECT_EQ(to_string(Tensor{true, false}), "Tensor([ True False], shape=(2,), dtype=bool)");
  EXPECT_EQ(body(Tensor{true, true}), "[ True  True]");
  EXPECT_EQ(body(Tensor{{true}, {false}}), "[[ True]\n        [False]]");
}

TEST(Print, Scalars) {
  EXPECT_EQ(to_string(Tensor(3.5f)), "Tensor(3.5, shape=(), dtype=float32)");
  EXPECT_EQ(body(Tensor(2.f)), "2.0");
  EXPECT_EQ(body(Tensor(3)), "3");
  EXPECT_EQ(body(Tensor(true)), "True");
  EXPECT_EQ(body(Tensor(NAN)), "nan");
  EXPECT_EQ(body(Tensor(-inf)), "-inf");
  EXPECT_EQ(body(Tensor(1e10f)), "1.e+10");
  EXPECT_EQ(body(Tensor(1 / 3.f)), "0.33333334");
  EXPECT_EQ(to_string(Tensor()), "Tensor()");
}

TEST(Print, EmptyTensors) {
  EXPECT_EQ(to_string(td::zeros({0})), "Tensor([], shape=(0,), dtype=float32)");
  EXPECT_EQ(to_string(td::zeros({3, 0})), "Tensor([], shape=(3, 0), dtype=float32)");
  EXPECT_EQ(to_string(td::zeros({2, 0, 2}, td::int64)), "Tensor([], shape=(2, 0, 2), dtype=int64)");
  EXPECT_EQ(to_string(td::zeros({2000, 0})), "Tensor([], shape=(2000, 0), dtype=float32)");
}

TEST(Print, NestsAndViews) {
  EXPECT_EQ(to_string(counting({2, 2, 3})), R"(Tensor([[[ 0  1  2]
         [ 3  4  5]]

        [[ 6  7  8]
         [ 9 10 11]]], shape=(2, 2, 3), dtype=int32))");
  EXPECT_EQ(body(counting({2, 2, 2, 2})), R"([[[[ 0  1]
          [ 2  3]]

         [[ 4  5]
          [ 6  7]]]


        [[[ 8  9]
          [10 11]]

         [[12 13]
          [14 15]]]])");
  EXPECT_EQ(body(td::transpose(counting({2, 3}))), "[[0 3]\n        [1 4]\n        [2 5]]");
  EXPECT_EQ(body(td::flip(counting({3}))), "[2 1 0]");
  EXPECT_EQ(body(td::expand(counting({1, 2}), {2, 2})), "[[0 1]\n        [0 1]]");
}

TEST(Print, WrapsLongLines) {
  EXPECT_EQ(body(counting({30})), R"([ 0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15 16 17 18 19 20 21
        22 23 24 25 26 27 28 29])");
  EXPECT_EQ(body(td::cast(counting({30}), td::float32) / 4),
            R"([0.   0.25 0.5  0.75 1.   1.25 1.5  1.75 2.   2.25 2.5  2.75 3.
        3.25 3.5  3.75 4.   4.25 4.5  4.75 5.   5.25 5.5  5.75 6.   6.25
        6.5  6.75 7.   7.25])");
  EXPECT_EQ(body(counting({2, 30})), R"([[ 0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15 16 17 18 19 20
         21 22 23 24 25 26 27 28 29]
        [30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50
         51 52 53 54 55 56 57 58 59]])");
}

TEST(Print, SummarisesLargeTensors) {
  EXPECT_EQ(to_string(counting({1001})),
            "Tensor([   0    1    2 ...  998  999 1000], shape=(1001,), dtype=int32)");
  EXPECT_EQ(body(counting({1000})).find("..."), std::string::npos);
  EXPECT_EQ(body(counting({100, 20})), R"([[   0    1    2 ...   17   18   19]
        [  20   21   22 ...   37   38   39]
        [  40   41   42 ...   57   58   59]
        ...
        [1940 1941 1942 ... 1957 1958 1959]
        [1960 1961 1962 ... 1977 1978 1979]
        [1980 1981 1982 ... 1997 1998 1999]])");
  EXPECT_EQ(body(counting({1000, 2})), R"([[   0    1]
        [   2    3]
        [   4    5]
        ...
        [1994 1995]
        [1996 1997]
        [1998 1999]])");
  EXPECT_EQ(body(counting({2, 1000})), R"([[   0    1    2 ...  997  998  999]
        [1000 1001 1002 ... 1997 1998 1999]])");
  EXPECT_EQ(body(td::cast(counting({2000}), td::float32) / 7),
            R"([0.0000000e+00 1.4285715e-01 2.8571430e-01 ... 2.8528571e+02
        2.8542856e+02 2.8557144e+02])");
  EXPECT_EQ(body(counting({7, 10, 20})), R"([[[   0    1    2 ...   17   18   19]
         [  20   21   22 ...   37   38   39]
         [  40   41   42 ...   57   58   59]
         ...
         [ 140  141  142 ...  157  158  159]
         [ 160  161  162 ...  177  178  179]
         [ 180  181  182 ...  197  198  199]]

        [[ 200  201  202 ...  217  218  219]
         [ 220  221  222 ...  237  238  239]
         [ 240  241  242 ...  257  258  259]
         ...
         [ 340  341  342 ...  357  358  359]
         [ 360  361  362 ...  377  378  379]
         [ 380  381  382 ...  397  398  399]]

        [[ 400  401  402 ...  417  418  419]
         [ 420  421  422 ...  437  438  439]
         [ 440  441  442 ...  457  458  459]
         ...
         [ 540  541  542 ...  557  558  559]
         [ 560  561  562 ...  577  578  579]
         [ 580  581  582 ...  597  598  599]]

        ...

        [[ 800  801  802 ...  817  818  819]
         [ 820  821  822 ...  837  838  839]
         [ 840  841  842 ...  857  858  859]
         ...
         [ 940  941  942 ...  957  958  959]
         [ 960  961  962 ...  977  978  979]
         [ 980  981  982 ...  997  998  999]]

        [[1000 1001 1002 ... 1017 1018 1019]
         [1020 1021 1022 ... 1037 1038 1039]
         [1040 1041 1042 ... 1057 1058 1059]
         ...
         [1140 1141 1142 ... 1157 1158 1159]
         [1160 1161 1162 ... 1177 1178 1179]
         [1180 1181 1182 ... 1197 1198 1199]]

        [[1200 1201 1202 ... 1217 1218 1219]
         [1220 1221 1222 ... 1237 1238 1239]
         [1240 1241 1242 ... 1257 1258 1259]
         ...
         [1340 1341 1342 ... 1357 1358 1359]
         [1360 1361 1362 ... 1377 1378 1379]
         [1380 1381 1382 ... 1397 1398 1399]]])");
}

TEST(Print, SymbolicTensorsShowTheirName) {
  std::string seen;
  auto f = td::function([&](Tensor x) {
    const Tensor y = td::pow(x, 2);
    seen = to_string(y);
    return y;
  });
  f(Tensor{1.f, 2.f, 3.f, 4.f, 5.f});
  EXPECT_EQ(seen, "Tensor(\"pow:0\", shape=(5,), dtype=float32)");
}

// ---- Tensors from braces

TEST(Braces, DecideTheDtype) {
  EXPECT_EQ(Tensor({1, 2}).dtype(), td::int32);
  EXPECT_EQ(Tensor({1.f, 2.f}).dtype(), td::float32);
  EXPECT_EQ(Tensor({1., 2.}).dtype(), td::float32);
  EXPECT_EQ((Tensor{1, 2, 5.f}).dtype(), td::float32);
  EXPECT_EQ((Tensor{1.5f, 2.}).dtype(), td::float32);
  EXPECT_EQ((Tensor{{1, 2.5}, {3, 4}}).dtype(), td::float32);
  EXPECT_EQ((Tensor{{{1, 2.5}}}).shape(), (td::Shape{1, 1, 2}));
  EXPECT_EQ(Tensor({true, false}).dtype(), td::boolean);
  EXPECT_EQ((Tensor{{true}, {false}}).dtype(), td::boolean);
  EXPECT_EQ(Tensor(true).dtype(), td::boolean);
  EXPECT_EQ(Tensor(1).dtype(), td::int32);
  EXPECT_EQ(Tensor(2.5).dtype(), td::float32);
  EXPECT_EQ(Tensor({int64_t{1}, int64_t{2}}).dtype(), td::int32);
  EXPECT_EQ(Tensor({int64_t{1} << 40, int64_t{2}}).dtype(), td::int64);
  EXPECT_EQ(Tensor(3000000000u).dtype(), td::int64);
  EXPECT_EQ(Tensor(int64_t{5}).dtype(), td::int32);
  EXPECT_EQ(Tensor({size_t{7}}).dtype(), td::int32);
  EXPECT_EQ(Tensor({1, 2}, td::float64).to_vector<double>(), (std::vector<double>{1, 2}));
  EXPECT_EQ(Tensor({1, 0}, td::boolean).dtype(), td::boolean);
  EXPECT_EQ(Tensor({1.0, 2.0}, td::int32).to_vector<int32_t>(), (std::vector<int32_t>{1, 2}));
  EXPECT_EQ((Tensor{{{1}, {2}}, {{3}, {4}}}).shape(), (td::Shape{2, 2, 1}));
}

TEST(Braces, RefuseWhatDoesNotFit) {
  EXPECT_ERROR(Tensor({1.5}, td::int32), "1.5 does not fit dtype int32");
  EXPECT_ERROR(Tensor({300}, td::uint8), "300 does not fit dtype uint8");
  EXPECT_ERROR(Tensor({-1}, td::uint64), "-1 does not fit dtype uint64");
  EXPECT_ERROR(Tensor({1e30}, td::int64), "1e+30 does not fit dtype int64");
  EXPECT_ERROR(Tensor({static_cast<double>(NAN)}, td::int32), "nan does not fit dtype int32");
  EXPECT_ERROR(Tensor({{1, 2}, {3}}),
               "ragged braces: a list at depth 1 has 1 entries where its neighbours have 2");
  EXPECT_ERROR((Tensor{{{1}, {2}}, {{3}}}),
               "ragged braces: a list at depth 1 has 1 entries where its neighbours have 2");
  EXPECT_ERROR((Tensor{{{1}, {2, 3}}}),
               "ragged braces: a list at depth 2 has 2 entries where its neighbours have 1");
  EXPECT_ERROR(Tensor(UINT64_MAX), "18446744073709551615 does not fit dtype int64");
  EXPECT_EQ(Tensor(UINT64_MAX, td::uint64).item<uint64_t>(), UINT64_MAX);
}

TEST(Braces, OtherSources) {
  const std::vector<float> v = {1, 2, 3, 4, 5, 6};
  EXPECT_EQ(td::from_span<float>(v, {2, 3})[1].to_vector<float>(), (std::vector<float>{4, 5, 6}));
  EXPECT_EQ(td::from_range(std::vector<int64_t>{1, 2}).dtype(), td::int64);
  EXPECT_EQ(td::from_vector(std::vector<bool>{true, false}, {2}).dtype(), td::boolean);
  EXPECT_ERROR(td::from_span<float>(v, {4}), "6 elements do not fill shape (4,), which has 4");
  EXPECT_ERROR(td::from_vector(std::vector<int>{1}, {-1}), "shape (?,) has a negative size");
  EXPECT_ERROR(
      td::from_vector(std::vector<int>{}, {0, int64_t{1} << 40, int64_t{1} << 40}),
      "out of memory: a tensor of shape (0, 1099511627776, 1099511627776) has more elements than fit "
      "in memory");
}
