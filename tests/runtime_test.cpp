// The thread pool, and matrix products against a plain reference and against themselves.

#include <gtest/gtest.h>

#include <atomic>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstring>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "runtime/cpu.h"
#include "runtime/matmul.h"
#include "runtime/matmul_kernels.h"
#include "runtime/parallel.h"
#include "tandem/error.h"

namespace td = tandem;
using td::DType;
using td::runtime::Matrix;
using td::runtime::parallel_for;

namespace {

class Runtime : public testing::Test {
 protected:
  ~Runtime() override { td::runtime::set_thread_count(before_); }
  int before_ = td::runtime::thread_count();
};
using Parallel = Runtime;
using Matmul = Runtime;

TEST_F(Parallel, CoversEveryIndexOnce) {
  for (int threads : {1, 2, 3, 4, 7}) {
    td::runtime::set_thread_count(threads);
    EXPECT_EQ(td::runtime::thread_count(), threads);
    for (int64_t count : {0, 1, 2, 5, 63, 64, 65, 1000, 10000})
      for (int64_t grain : {0, 1, 2, 7, 100, 5000, 20000}) {
        std::vector<std::atomic<int>> hits(count);
        parallel_for(count, grain, [&](int64_t begin, int64_t end) {
          ASSERT_LT(begin, end);
          for (int64_t i = begin; i < end; ++i) hits[i].fetch_add(1);
        });
        for (auto& hit : hits) ASSERT_EQ(hit.load(), 1);
      }
  }
}

TEST_F(Parallel, SmallJobsStayOnTheCaller) {
  td::runtime::set_thread_count(4);
  int calls = 0;
  parallel_for(100, 51, [&](int64_t begin, int64_t end) {
    ++calls;
    EXPECT_EQ(begin, 0);
    EXPECT_EQ(end, 100);
    EXPECT_FALSE(td::runtime::in_parallel_region());
  });
  EXPECT_EQ(calls, 1);
}

TEST_F(Parallel, NestedOnesRunOnTheirThread) {
  td::runtime::set_thread_count(4);
  EXPECT_FALSE(td::runtime::in_parallel_region());
  std::atomic<int64_t> sum{0};
  parallel_for(64, 1, [&](int64_t begin, int64_t end) {
    EXPECT_TRUE(td::runtime::in_parallel_region());
    const auto self = std::this_thread::get_id();
    for (int64_t i = begin; i < end; ++i)
      parallel_for(100, 1, [&](int64_t from, int64_t to) {
        EXPECT_EQ(std::this_thread::get_id(), self);
        EXPECT_EQ(to - from, 100);
        sum += to - from;
      });
  });
  EXPECT_EQ(sum.load(), 6400);
  EXPECT_FALSE(td::runtime::in_parallel_region());
}

TEST_F(Parallel, CarriesTheFirstExceptionOver) {
  td::runtime::set_thread_count(4);
  for (int round = 0; round < 100; ++round) {
    try {
      parallel_for(1000, 1, [&](int64_t begin, int64_t end) {
        if (begin <= 500 && 500 < end) throw std::runtime_error("range with 500");
      });
      FAIL() << "nothing was thrown";
    } catch (const std::runtime_error& error) {
      EXPECT_EQ(std::string(error.what()), "range with 500");
    }
    EXPECT_FALSE(td::runtime::in_parallel_region());
    std::atomic<int64_t> sum{0};
    parallel_for(1000, 1, [&](int64_t begin, int64_t end) { sum += end - begin; });
    EXPECT_EQ(sum.load(), 1000);
  }
}

TEST_F(Parallel, ManyThreadsMayCallAtOnce) {
  td::runtime::set_thread_count(3);
  std::atomic<int64_t> sum{0};
  std::vector<std::thread> users;
  for (int user = 0; user < 4; ++user)
    users.emplace_back([&] {
      for (int round = 0; round < 500; ++round) {
        int64_t mine[64] = {};
        parallel_for(64, 1, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) mine[i] = i;
        });
        for (int64_t value : mine) sum += value;
      }
    });
  td::runtime::set_thread_count(2);
  for (auto& user : users) user.join();
  EXPECT_EQ(sum.load(), 4 * 500 * (63 * 64 / 2));
}

TEST_F(Parallel, WorkersWakeUpAfterAPause) {
  td::runtime::set_thread_count(3);
  for (int round = 0; round < 20; ++round) {
    std::atomic<int64_t> sum{0};
    parallel_for(100, 1, [&](int64_t begin, int64_t end) { sum += end - begin; });
    EXPECT_EQ(sum.load(), 100);
    std::this_thread::sleep_for(std::chrono::microseconds(round * 20));
  }
}

TEST_F(Parallel, RefusesBadThreadCounts) {
  const auto message = [](auto call) -> std::string {
    try {
      call();
    } catch (const td::Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message([] { td::runtime::set_thread_count(0); }),
            "thread count 0 is out of range; expected 1 to 256");
  EXPECT_EQ(message([] { td::runtime::set_thread_count(257); }),
            "thread count 257 is out of range; expected 1 to 256");
  td::runtime::set_thread_count(2);
  EXPECT_EQ(message([] { parallel_for(2, 1, [](int64_t, int64_t) { td::runtime::set_thread_count(1); }); }),
            "the thread count cannot be changed inside a parallel region");
}

/// A matrix of rows x columns in one of several physical layouts, filled with the same numbers in each.
enum class Layout { plain, transposed, padded, padded_transposed, every_second };

template <class T>
struct Stored {
  std::vector<T> memory;
  Matrix matrix;

  Stored(const std::vector<T>& values, int64_t rows, int64_t columns, Layout layout) {
    int64_t row_stride = columns, column_stride = 1;
    switch (layout) {
      case Layout::plain:
        break;
      case Layout::transposed:
        row_stride = 1, column_stride = rows;
        break;
      case Layout::padded:
        row_stride = columns + 5;
        break;
      case Layout::padded_transposed:
        row_stride = 1, column_stride = rows + 3;
        break;
      case Layout::every_second:
        row_stride = 2 * columns, column_stride = 2;
        break;
    }
    memory.resize(rows * columns == 0 ? 0 : (rows - 1) * row_stride + (columns - 1) * column_stride + 1);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j)
        memory[i * row_stride + j * column_stride] = values[i * columns + j];
    matrix = {memory.data(), row_stride, column_stride};
  }
};

template <class T>
std::vector<T> random_values(int64_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<T> values(count);
  for (T& value : values) {
    if constexpr (std::is_integral_v<T>)
      value = static_cast<T>(random());
    else
      value = static_cast<T>(std::uniform_real_distribution<float>(-1, 1)(random));
  }
  return values;
}

struct Size {
  int64_t m, n, k;
};

const std::vector<Size> odd_sizes = {
    {1, 1, 1},      {1, 7, 1},     {7, 1, 1},     {1, 1, 9},      {4, 4, 4},     {3, 5, 7},   {16, 16, 16},
    {17, 33, 65},   {1, 128, 784}, {1, 129, 783}, {5, 1, 300},    {130, 1, 77},  {33, 47, 1}, {60, 128, 40},
    {100, 10, 256}, {23, 31, 301}, {2, 257, 129}, {65, 64, 1030}, {25, 100, 900}};

template <class T>
void compare_with_reference(const Size& size) {
  const auto [m, n, k] = size;
  const std::vector<T> a = random_values<T>(m * k, 1), b = random_values<T>(k * n, 2);
  std::vector<T> c(m * n);
  td::runtime::matmul(td::dtype_of<T>, m, n, k, {a.data(), k, 1}, {b.data(), n, 1}, c.data());
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      if constexpr (std::is_integral_v<T>) {
        uint64_t sum = 0;
        for (int64_t p = 0; p < k; ++p)
          sum += static_cast<uint64_t>(a[i * k + p]) * static_cast<uint64_t>(b[p * n + j]);
        ASSERT_EQ(c[i * n + j], static_cast<T>(sum)) << m << "x" << k << "x" << n;
      } else {
        constexpr bool narrow = sizeof(T) == 2;
        constexpr double epsilon = std::is_same_v<T, double>     ? 0x1p-52
                                   : std::is_same_v<T, float>    ? 0x1p-23
                                   : std::is_same_v<T, td::Half> ? 0x1p-10
                                                                 : 0x1p-7;
        double sum = 0, magnitude = 0;
        for (int64_t p = 0; p < k; ++p) {
          const double term =
              static_cast<double>(static_cast<std::conditional_t<narrow, float, T>>(a[i * k + p])) *
              static_cast<double>(static_cast<std::conditional_t<narrow, float, T>>(b[p * n + j]));
          sum += term;
          magnitude += std::abs(term);
        }
        const double bound =
            narrow ? epsilon * std::abs(sum) + 1e-6 * magnitude : epsilon * magnitude * std::sqrt(k + 1.0);
        ASSERT_NEAR(static_cast<double>(static_cast<std::conditional_t<narrow, float, T>>(c[i * n + j])), sum,
                    bound)
            << td::name_of(td::dtype_of<T>) << " " << m << "x" << k << "x" << n;
      }
    }
}

template <class... T>
void compare_all(const Size& size) {
  (compare_with_reference<T>(size), ...);
}

TEST_F(Matmul, AgreesWithAReferenceInEveryDtype) {
  for (const Size& size : odd_sizes)
    compare_all<float, double, td::Half, td::BFloat16, uint8_t, int8_t, uint16_t, int16_t, uint32_t, int32_t,
                uint64_t, int64_t>(size);
}

TEST_F(Matmul, EmptyProducts) {
  float nothing = 5;
  td::runtime::matmul(DType::f32, 0, 1, 1, {&nothing, 1, 1}, {&nothing, 1, 1}, &nothing);
  td::runtime::matmul(DType::f32, 1, 0, 1, {&nothing, 1, 1}, {&nothing, 0, 1}, &nothing);
  EXPECT_EQ(nothing, 5);
  for (DType dtype : {DType::f32, DType::f64, DType::f16, DType::bf16, DType::i8, DType::i64}) {
    std::vector<unsigned char> zeros(6 * 8 + 1, 0xff);
    td::runtime::matmul(dtype, 2, 3, 0, {nullptr, 0, 1}, {nullptr, 3, 1}, zeros.data());
    const size_t bytes = 6 * td::size_of(dtype);
    for (size_t i = 0; i < zeros.size(); ++i) EXPECT_EQ(zeros[i], i < bytes ? 0 : 0xff);
  }
}

template <class T>
void compare_bits(const Size& size) {
  const auto [m, n, k] = size;
  const std::vector<T> a = random_values<T>(m * k, 3), b = random_values<T>(k * n, 4);
  std::vector<T> first(m * n), c(m * n);
  td::runtime::set_thread_count(1);
  td::runtime::matmul(td::dtype_of<T>, m, n, k, {a.data(), k, 1}, {b.data(), n, 1}, first.data());
  constexpr Layout layouts[] = {Layout::plain, Layout::transposed, Layout::padded, Layout::padded_transposed,
                                Layout::every_second};
  const int most_threads = m * n * k < 500000 ? 1 : 4;  // small ones are never cut
  for (int threads = 1; threads <= most_threads; ++threads) {
    td::runtime::set_thread_count(threads);
    for (const Layout left : layouts)
      for (const Layout right : layouts) {
        if (left != right && left != Layout::plain && right != Layout::plain) continue;
        const Stored<T> stored_a(a, m, k, left), stored_b(b, k, n, right);
        std::memset(static_cast<void*>(c.data()), 0xff, c.size() * sizeof(T));
        td::runtime::matmul(td::dtype_of<T>, m, n, k, stored_a.matrix, stored_b.matrix, c.data());
        ASSERT_EQ(std::memcmp(c.data(), first.data(), c.size() * sizeof(T)), 0)
            << td::name_of(td::dtype_of<T>) << " " << m << "x" << k << "x" << n << " layouts "
            << static_cast<int>(left) << " " << static_cast<int>(right) << " threads " << threads;
      }
  }
}

TEST_F(Matmul, LayoutsAndThreadsGiveTheSameBits) {
  for (const Size& size : odd_sizes) {
    compare_bits<float>(size);
    compare_bits<double>(size);
    compare_bits<td::Half>(size);
    compare_bits<int16_t>(size);
  }
  for (const Size& size : std::vector<Size>{{60, 128, 784},
                                            {100, 256, 784},
                                            {100, 256, 256},
                                            {97, 259, 257},
                                            {1, 1024, 1024},
                                            {3, 1000, 700},
                                            {7, 515, 1300},
                                            {300, 9, 1100},
                                            {784, 128, 60},
                                            {128, 64, 2049},
                                            {1000, 1, 1000},
                                            {31, 33, 3000},
                                            {513, 127, 129}})
    compare_bits<float>(size);
}

template <class T>
void compare_kernels(td::runtime::ProductKernel<T> one, td::runtime::ProductKernel<T> other) {
  for (const Size& size : odd_sizes) {
    const auto [m, n, k] = size;
    const std::vector<T> a = random_values<T>(m * k, 5), b = random_values<T>(k * n, 6);
    const Stored<T> transposed(b, k, n, Layout::padded_transposed);
    const int64_t ldc = n + 2;
    std::vector<T> first(m * ldc, 7), second(m * ldc, 7);
    one(m, n, k, {a.data(), k, 1}, {b.data(), n, 1}, first.data(), ldc);
    other(m, n, k, {a.data(), k, 1}, {b.data(), n, 1}, second.data(), ldc);
    ASSERT_EQ(std::memcmp(first.data(), second.data(), first.size() * sizeof(T)), 0)
        << m << "x" << k << "x" << n;
    other(m, n, k, {a.data(), k, 1}, {transposed.memory.data(), 1, transposed.matrix.column_stride},
          second.data(), ldc);
    ASSERT_EQ(std::memcmp(first.data(), second.data(), first.size() * sizeof(T)), 0)
        << m << "x" << k << "x" << n;
  }
}

TEST_F(Matmul, EveryInstructionSetGivesTheSameBits) {
  using td::runtime::InstructionSet;
  const td::runtime::ProductKernels baseline = td::runtime::product_kernels_baseline();
  const auto compare = [&](const td::runtime::ProductKernels& other) {
    compare_kernels<float>(baseline.f32, other.f32);
    compare_kernels<double>(baseline.f64, other.f64);
    std::vector<uint16_t> every(65536 - 3), narrow_first(every.size()), narrow_second(every.size());
    std::vector<float> first(every.size()), second(every.size());
    for (size_t i = 0; i < every.size(); ++i) every[i] = static_cast<uint16_t>(i + 2);
    const auto count = static_cast<int64_t>(every.size());
    baseline.widen_f16(count, every.data(), first.data());
    other.widen_f16(count, every.data(), second.data());
    EXPECT_EQ(std::memcmp(first.data(), second.data(), count * sizeof(float)), 0);
    baseline.widen_bf16(count, every.data(), first.data());
    other.widen_bf16(count, every.data(), second.data());
    EXPECT_EQ(std::memcmp(first.data(), second.data(), count * sizeof(float)), 0);
    std::mt19937 random(9);  // every exponent, and fractions that are ties as often as not
    for (float& value : first)
      value =
          std::bit_cast<float>(static_cast<uint32_t>(random() & (random() % 2 ? 0xffffffffu : 0xffff9000u)));
    baseline.narrow_f16(count, first.data(), narrow_first.data());
    other.narrow_f16(count, first.data(), narrow_second.data());
    EXPECT_EQ(narrow_first, narrow_second);
    baseline.narrow_bf16(count, first.data(), narrow_first.data());
    other.narrow_bf16(count, first.data(), narrow_second.data());
    EXPECT_EQ(narrow_first, narrow_second);
  };
  if (td::runtime::instruction_set() >= InstructionSet::avx2) compare(td::runtime::product_kernels_avx2());
  if (td::runtime::instruction_set() >= InstructionSet::avx512)
    compare(td::runtime::product_kernels_avx512());
}

}  // namespace
