// The kernel IR and its interpreter: single primitives, loop nests, row programs, errors.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>

#include "kernel/math.h"
#include "kernel/program.h"
#include "tandem/error.h"

namespace td = tandem;
namespace k = tandem::kernel;
using td::DType;

namespace {

template <class T>
std::vector<T> flat(const k::Program& program, std::vector<const void*> inputs, uint32_t scalar_mask,
                    int64_t n) {
  std::vector<T> out(static_cast<size_t>(n));
  void* outputs[] = {out.data()};
  k::run_flat(program, inputs.data(), scalar_mask, outputs, n);
  return out;
}

/// A program of one binary function.
template <class F>
k::ProgramRef binary(DType type, DType out, F&& f) {
  const DType types[] = {type, type};
  k::Builder b(types);
  b.output(f(b.input(0), b.input(1)), out);
  return b.finish();
}

template <class T, class F>
T apply(F&& f, T x, T y) {
  const DType type = td::dtype_of<T>;
  return flat<T>(*binary(type, type, f), {&x, &y}, 0, 1)[0];
}

const std::vector<const char*> instruction_sets = {"baseline", "avx2", "avx512"};

}  // namespace

TEST(Kernel, AddsFiveNumbers) {
  const auto add = binary(DType::f32, DType::f32, [](auto x, auto y) { return x + y; });
  const float x[] = {1, 2, 3, 4, 5}, y[] = {10, 20, 30, 40, 50}, s = 100;
  EXPECT_EQ(flat<float>(*add, {x, y}, 0, 5), (std::vector<float>{11, 22, 33, 44, 55}));
  EXPECT_EQ(flat<float>(*add, {x, &s}, 2, 5), (std::vector<float>{101, 102, 103, 104, 105}));
  EXPECT_EQ(flat<float>(*add, {&s, y}, 1, 5), (std::vector<float>{110, 120, 130, 140, 150}));
  EXPECT_EQ(flat<float>(*add, {&s, x}, 3, 2), (std::vector<float>{101, 101}));
  EXPECT_EQ(
      k::to_string(*add),
      "%0 = input 0 : float32\n%1 = input 1 : float32\n%2 = add %0 %1 : float32\noutput 0 = %2 : float32\n");
}

TEST(Kernel, MinimumAndMaximumAreIeee) {
  const float nan = NAN;
  const auto low = [](auto x, auto y) { return k::minimum(x, y); };
  const auto high = [](auto x, auto y) { return k::maximum(x, y); };
  EXPECT_TRUE(std::isnan(apply<float>(low, nan, 1)));
  EXPECT_TRUE(std::isnan(apply<float>(low, 1, nan)));
  EXPECT_TRUE(std::isnan(apply<float>(high, nan, 1)));
  EXPECT_TRUE(std::isnan(apply<float>(high, 1, nan)));
  EXPECT_TRUE(std::signbit(apply<float>(low, -0.f, 0.f)));
  EXPECT_TRUE(std::signbit(apply<float>(low, 0.f, -0.f)));
  EXPECT_FALSE(std::signbit(apply<float>(high, -0.f, 0.f)));
  EXPECT_FALSE(std::signbit(apply<float>(high, 0.f, -0.f)));
  EXPECT_EQ(apply<int8_t>(low, -128, 127), -128);
  EXPECT_EQ(apply<uint64_t>(high, 1, ~uint64_t{0}), ~uint64_t{0});
}

TEST(Kernel, IntegersWrapAndDivideAsSpecified) {
  const auto divide = [](auto x, auto y) { return x / y; };
  const auto remainder = [](auto x, auto y) { return k::fmod(x, y); };
  const auto modulo = [](auto x, auto y) { return k::modulo(x, y); };
  const auto multiply = [](auto x, auto y) { return x * y; };
  constexpr int32_t lowest = std::numeric_limits<int32_t>::min();
  EXPECT_EQ(apply<int32_t>(divide, lowest, -1), lowest);
  EXPECT_EQ(apply<int32_t>(remainder, lowest, -1), 0);
  EXPECT_EQ(apply<int32_t>(divide, -7, 2), -3);
  EXPECT_EQ(apply<int32_t>(remainder, -7, 2), -1);
  EXPECT_EQ(apply<int32_t>(modulo, -7, 2), 1);
  EXPECT_EQ(apply<int32_t>(modulo, 7, -2), -1);
  EXPECT_EQ(apply<double>(modulo, -7, 2), 1);
  EXPECT_EQ(apply<uint16_t>(multiply, 65535, 65535), 1);
  EXPECT_EQ(apply<int8_t>(multiply, 100, 100), 16);
  for (const auto& program :
       {binary(DType::i32, DType::i32, divide), binary(DType::i32, DType::i32, remainder),
        binary(DType::i32, DType::i32, modulo)}) {
    const int32_t x[] = {1, 2, 3}, zero[] = {1, 0, 1};
    try {
      flat<int32_t>(*program, {x, zero}, 0, 3);
      FAIL();
    } catch (const td::Error& e) {
      EXPECT_STREQ(e.what(), "integer division by zero");
    }
    EXPECT_EQ(flat<int32_t>(*program, {x, x}, 0, 3).size(), 3u);
  }
}

TEST(Kernel, ShiftsAndPowers) {
  const auto left = [](auto x, auto y) { return k::shift_left(x, y); };
  const auto right = [](auto x, auto y) { return k::shift_right(x, y); };
  const auto power = [](auto x, auto y) { return k::pow(x, y); };
  EXPECT_EQ(apply<uint8_t>(left, 3, 7), 128);
  EXPECT_EQ(apply<uint8_t>(left, 3, 8), 0);
  EXPECT_EQ(apply<uint64_t>(left, 3, 64), 0u);
  EXPECT_EQ(apply<uint64_t>(right, 3, 64), 0u);
  EXPECT_EQ(apply<int32_t>(right, -8, 2), -2);
  EXPECT_EQ(apply<int32_t>(right, -8, 99), -1);
  EXPECT_EQ(apply<int32_t>(power, -3, 3), -27);
  EXPECT_EQ(apply<int32_t>(power, 2, -1), 0);
  EXPECT_EQ(apply<int32_t>(power, -1, -3), -1);
  EXPECT_EQ(apply<uint64_t>(power, 3, 40), 12157665459056928801u);
  EXPECT_EQ(apply<float>(power, 3, 2), 9.f);
}

TEST(Kernel, ConversionsSaturate) {
  const auto convert = [](DType from, DType to) {
    const DType types[] = {from};
    k::Builder b(types);
    b.output(b.input(0), to);
    return b.finish();
  };
  const float x[] = {NAN, INFINITY, -INFINITY, 1e30f, -1e30f, 2.9f, -2.9f, 2147483648.f, -2147483648.f};
  const int64_t n = std::size(x);
  constexpr int32_t low = std::numeric_limits<int32_t>::min(), high = std::numeric_limits<int32_t>::max();
  EXPECT_EQ(flat<int32_t>(*convert(DType::f32, DType::i32), {x}, 0, n),
            (std::vector<int32_t>{0, high, low, high, low, 2, -2, high, low}));
  EXPECT_EQ(flat<uint8_t>(*convert(DType::f32, DType::u8), {x}, 0, n),
            (std::vector<uint8_t>{0, 255, 0, 255, 0, 2, 0, 255, 0}));
  EXPECT_EQ(flat<uint64_t>(*convert(DType::f32, DType::u64), {x}, 0, n),
            (std::vector<uint64_t>{0, ~uint64_t{0}, 0, ~uint64_t{0}, 0, 2, 0, 2147483648u, 0}));
  EXPECT_EQ(flat<uint8_t>(*convert(DType::f32, DType::boolean), {x}, 0, n),
            (std::vector<uint8_t>{1, 1, 1, 1, 1, 1, 1, 1, 1}));
  const int32_t i[] = {-1, 256, 255};
  EXPECT_EQ(flat<uint8_t>(*convert(DType::i32, DType::u8), {i}, 0, 3), (std::vector<uint8_t>{255, 0, 255}));
}

TEST(Kernel, HalvesConvertAsTheScalarTypesDo) {
  std::vector<uint16_t> bits(65536);
  std::iota(bits.begin(), bits.end(), uint16_t{0});
  for (const char* set : instruction_sets) {
    if (!k::set_instruction_set(set)) continue;
    for (DType type : {DType::f16, DType::bf16}) {
      k::Builder widening(std::span(&type, 1));
      widening.output(widening.input(0), DType::f32);
      const auto wide = flat<float>(*widening.finish(), {bits.data()}, 0, 65536);
      std::vector<float> probes = wide;
      for (float f : wide)
        for (float g :
             {std::nextafter(f, 0.f), std::nextafter(f, 1e38f), f * 1.00024414f, f * 1.0009f, f * 0.999f})
          probes.push_back(g);
      const DType single = DType::f32;
      k::Builder narrowing(std::span(&single, 1));
      narrowing.output(narrowing.input(0), type);
      const auto narrow =
          flat<uint16_t>(*narrowing.finish(), {probes.data()}, 0, static_cast<int64_t>(probes.size()));
      int wrong = 0;
      for (size_t i = 0; i < probes.size(); ++i)
        wrong += narrow[i] != (type == DType::f16 ? td::Half(probes[i]).bits : td::BFloat16(probes[i]).bits);
      for (size_t i = 0; i < bits.size(); ++i) {
        td::Half h;
        td::BFloat16 b;
        h.bits = b.bits = bits[i];
        const float expected = type == DType::f16 ? static_cast<float>(h) : static_cast<float>(b);
        wrong += std::memcmp(&expected, &wide[i], 4) != 0;
      }
      EXPECT_EQ(wrong, 0) << set << " " << td::name_of(type);
    }
  }
}

TEST(Kernel, PhiloxGivesItsPublishedNumbers) {
  const DType types[] = {DType::u64, DType::u64};
  k::Builder b(types);
  b.output(k::philox(b.input(0), b.input(1), k::element_index(b)), DType::u32);
  const auto program = b.finish();
  const uint64_t zero = 0;
  const auto r = flat<uint32_t>(*program, {&zero, &zero}, 3, 600);
  EXPECT_EQ((std::vector<uint32_t>(r.begin(), r.begin() + 4)),
            (std::vector<uint32_t>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  std::vector<uint32_t> tail(100);
  void* out[] = {tail.data()};
  const void* in[] = {&zero, &zero};
  k::run_flat(*program, in, 3, out, 100, 500);
  EXPECT_EQ(tail, std::vector<uint32_t>(r.begin() + 500, r.end()));
  // Indices in any order find the same words.
  const DType three[] = {DType::u64, DType::u64, DType::u64};
  k::Builder c(three);
  c.output(k::philox(c.input(0), c.input(1), c.input(2)), DType::u32);
  std::vector<uint64_t> backwards(600);
  for (size_t i = 0; i < 600; ++i) backwards[i] = 599 - i;
  const auto b2 = flat<uint32_t>(*c.finish(), {&zero, &zero, backwards.data()}, 3, 600);
  EXPECT_EQ(std::vector<uint32_t>(b2.rbegin(), b2.rend()), r);
}

TEST(Kernel, BroadcastAndTransposedOperands) {
  const auto add = binary(DType::f32, DType::f32, [](auto x, auto y) { return x + y; });
  for (auto [rows, columns] : {std::pair<int64_t, int64_t>{1000, 3}, {37, 700}, {5, 5}}) {
    std::vector<float> x(static_cast<size_t>(rows * columns)), y(x.size());
    std::iota(x.begin(), x.end(), 0.f);
    std::iota(y.begin(), y.end(), 1e5f);
    const td::Shape shape{rows, columns};
    const td::Strides kinds[] = {{columns, 1}, {0, 1}, {1, 0}, {1, rows}, {0, 0}};
    for (const auto& a : kinds)
      for (const auto& b : kinds) {
        const td::Strides strides[] = {a, b};
        const auto nest = k::LoopNest::elementwise(*add, shape, strides);
        std::vector<float> out(x.size());
        const void* in[] = {x.data(), y.data()};
        void* outs[] = {out.data()};
        const int64_t middle = nest.unit_count() / 3;
        nest.run(in, outs, middle, nest.unit_count());
        nest.run(in, outs, 0, middle);
        for (int64_t i = 0; i < rows; ++i)
          for (int64_t j = 0; j < columns; ++j)
            ASSERT_EQ(
                out[static_cast<size_t>(i * columns + j)],
                x[static_cast<size_t>(i * a[0] + j * a[1])] + y[static_cast<size_t>(i * b[0] + j * b[1])]);
      }
  }
}

TEST(Kernel, CopiesAnyLayout) {
  for (td::Strides strides :
       {td::Strides{35, 5, 1}, td::Strides{1, 7, 49}, td::Strides{5, 1, 40}, td::Strides{0, 3, 0}}) {
    const td::Shape shape{40, 7, 5};
    std::vector<uint16_t> x(4000), out(1400);
    std::iota(x.begin(), x.end(), uint16_t{0});
    k::copy_strided({x.data(), DType::f16, shape, strides}, out.data());
    size_t i = 0;
    for (int64_t a = 0; a < 40; ++a)
      for (int64_t b = 0; b < 7; ++b)
        for (int64_t c = 0; c < 5; ++c) ASSERT_EQ(out[i++], a * strides[0] + b * strides[1] + c * strides[2]);
  }
}

TEST(Kernel, OutputsMayAliasInputs) {
  const DType types[] = {DType::f32, DType::f32};
  k::Builder b(types);
  const auto x = b.input(0), y = b.input(1);
  b.output(x + y, DType::f32);
  b.output(x * y, DType::f32);
  const auto program = b.finish();
  std::vector<float> p(3000), q(3000);
  std::iota(p.begin(), p.end(), 1.f);
  std::iota(q.begin(), q.end(), 2.f);
  const void* in[] = {p.data(), q.data()};
  void* out[] = {p.data(), q.data()};
  k::run_flat(*program, in, 0, out, 3000);
  for (int i = 0; i < 3000; ++i) {
    const float a = static_cast<float>(i + 1), c = static_cast<float>(i + 2);
    ASSERT_EQ(p[static_cast<size_t>(i)], a + c);
    ASSERT_EQ(q[static_cast<size_t>(i)], a * c);
  }
}

TEST(Kernel, FusedProgramsRoundInBetween) {
  const DType half = DType::f16;
  k::Builder first(std::span(&half, 1)), second(std::span(&half, 1));
  first.output(first.input(0) / 3.0, DType::f16);
  second.output(second.input(0) * 3.0, DType::f32);
  const auto a = first.finish(), b = second.finish(), both = k::fuse(*a, *b, 0);
  std::vector<uint16_t> x(1000), middle(1000);
  for (size_t i = 0; i < x.size(); ++i) x[i] = td::Half(static_cast<float>(i) * 0.37f).bits;
  middle = flat<uint16_t>(*a, {x.data()}, 0, 1000);
  EXPECT_EQ(flat<float>(*b, {middle.data()}, 0, 1000), flat<float>(*both, {x.data()}, 0, 1000));
}

namespace {

/// The reduction order of rows.cpp, spelled out.
float reference_sum(const std::vector<float>& x) {
  std::vector<float> tree;
  int64_t blocks = 0;
  const auto combine = [&] {
    tree[tree.size() - 2] += tree.back();
    tree.pop_back();
  };
  for (size_t begin = 0; begin < x.size(); begin += 4096) {
    const size_t n = std::min<size_t>(4096, x.size() - begin), count = std::min<size_t>(32, n);
    std::vector<float> p(x.begin() + static_cast<int64_t>(begin),
                         x.begin() + static_cast<int64_t>(begin + count));
    for (size_t i = 32; i < n; ++i) p[i % 32] += x[begin + i];
    for (size_t s = 16; s > 0; s /= 2)
      for (size_t j = 0; j < s && j + s < count; ++j) p[j] += p[j + s];
    tree.push_back(p[0]);
    ++blocks;
    for (int64_t b = blocks; b % 2 == 0; b /= 2) combine();
  }
  while (tree.size() > 1) combine();
  return tree.empty() ? 0.f : tree[0];
}

}  // namespace

TEST(Kernel, SumsInTheCanonicalOrderWhateverTheLayout) {
  const DType type = DType::f32;
  k::Builder b(std::span(&type, 1));
  b.output(k::reduce_sum(b.input(0)), DType::f32);
  const auto program = b.finish();
  EXPECT_TRUE(k::has_rows(*program));
  EXPECT_TRUE(k::output_is_row_scalar(*program, 0));
  for (int64_t length : {0, 1, 5, 31, 32, 33, 100, 4095, 4096, 4097, 30000})
    for (int64_t rows : {1, 3, 40}) {
      std::vector<float> x(static_cast<size_t>(length * rows));
      for (size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<float>(i)) * 1000.f;
      std::vector<float> expected(static_cast<size_t>(rows)), transposed(x.size());
      for (int64_t r = 0; r < rows; ++r) {
        expected[static_cast<size_t>(r)] =
            reference_sum({x.begin() + r * length, x.begin() + (r + 1) * length});
        for (int64_t i = 0; i < length; ++i)
          transposed[static_cast<size_t>(i * rows + r)] = x[static_cast<size_t>(r * length + i)];
      }
      for (bool strided : {false, true})
        for (const char* set : instruction_sets) {
          if (!k::set_instruction_set(set)) continue;
          const td::Strides in_strides[] = {strided ? td::Strides{1, rows} : td::Strides{length, 1}};
          const td::Strides out_strides[] = {{1, 0}};
          const auto nest = k::LoopNest::rows(*program, {rows, length}, 1, in_strides, out_strides);
          std::vector<float> out(static_cast<size_t>(rows));
          const void* in[] = {strided ? transposed.data() : x.data()};
          void* outs[] = {out.data()};
          nest.run(in, outs, rows / 2, nest.unit_count());
          nest.run(in, outs, 0, rows / 2);
          ASSERT_EQ(std::memcmp(out.data(), expected.data(), out.size() * 4), 0)
              << length << " " << rows << " " << strided << " " << set;
        }
    }
}

TEST(Kernel, SoftmaxAlongAnyAxis) {
  const DType type = DType::f32;
  k::Builder b(std::span(&type, 1));
  const auto x = b.input(0);
  const auto e = k::exp(x - k::reduce_maximum(x));
  b.output(e / k::reduce_sum(e), DType::f32);
  b.output(k::reduce_sum(x) / k::row_count(b, DType::f32), DType::f32);
  const auto program = b.finish();
  for (auto [rows, length] : {std::pair<int64_t, int64_t>{64, 1000}, {100, 10}, {2, 5000}}) {
    std::vector<float> in(static_cast<size_t>(rows * length)), out(in.size()), other(in.size());
    std::vector<float> mean(static_cast<size_t>(rows)), other_mean(mean.size());
    for (size_t i = 0; i < in.size(); ++i) in[i] = std::cos(static_cast<float>(i)) * 5.f;
    std::vector<float> turned(in.size());
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t i = 0; i < length; ++i)
        turned[static_cast<size_t>(i * rows + r)] = in[static_cast<size_t>(r * length + i)];
    const td::Strides plain[] = {{length, 1}}, strided[] = {{1, rows}}, plain_out[] = {{length, 1}, {1, 0}},
                      strided_out[] = {{1, rows}, {1, 0}};
    const void* a[] = {in.data()};
    const void* c[] = {turned.data()};
    void* p[] = {out.data(), mean.data()};
    void* q[] = {other.data(), other_mean.data()};
    k::LoopNest::rows(*program, {rows, length}, 1, plain, plain_out).run(a, p, 0, rows);
    k::LoopNest::rows(*program, {rows, length}, 1, strided, strided_out).run(c, q, 0, rows);
    for (int64_t r = 0; r < rows; ++r) {
      double sum = 0;
      for (int64_t i = 0; i < length; ++i) {
        sum += out[static_cast<size_t>(r * length + i)];
        ASSERT_EQ(out[static_cast<size_t>(r * length + i)], other[static_cast<size_t>(i * rows + r)]);
      }
      ASSERT_NEAR(sum, 1, 1e-5);
      ASSERT_EQ(mean[static_cast<size_t>(r)], other_mean[static_cast<size_t>(r)]);
    }
  }
}

TEST(Kernel, EmptyRowsGiveIdentities) {
  const auto result = [](auto value, k::Value (*reduce)(k::Value)) {
    using T = decltype(value);
    const DType type = td::dtype_of<T>;
    for (int64_t rows : {1, 40}) {
      k::Builder b(std::span(&type, 1));
      b.output(reduce(b.input(0)), type);
      const auto program = b.finish();
      const td::Strides in_strides[] = {{0, 1}}, out_strides[] = {{1, 0}};
      std::vector<uint8_t> out(static_cast<size_t>(rows) * sizeof(T));
      const void* in[] = {nullptr};
      void* outs[] = {out.data()};
      k::LoopNest::rows(*program, {rows, 0}, 1, in_strides, out_strides).run(in, outs, 0, rows);
      std::memcpy(&value, out.data() + out.size() - sizeof(T), sizeof(T));
    }
    return value;
  };
  EXPECT_EQ(result(1.f, k::reduce_sum), 0.f);
  EXPECT_FALSE(std::signbit(result(1.f, k::reduce_sum)));
  EXPECT_EQ(result(2.0, k::reduce_product), 1.0);
  EXPECT_EQ(result(1.f, k::reduce_maximum), -INFINITY);
  EXPECT_EQ(result(1.0, k::reduce_minimum), INFINITY);
  EXPECT_EQ(result(int8_t{1}, k::reduce_maximum), -128);
  EXPECT_EQ(result(int64_t{1}, k::reduce_minimum), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(result(uint64_t{1}, k::reduce_minimum), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(result(false, k::reduce_minimum), true);
  EXPECT_EQ(result(true, k::reduce_maximum), false);
}
