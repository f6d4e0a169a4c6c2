// What steady-state calls take from the heap: nothing. Counts `new` in all its forms and the blocks that the
// tensors' cache takes; oneDNN's own are not among them, as no case here reaches it.

#include <cstdlib>
#include <functional>
#include <new>

#include "core/sanitized.h"
#include "tandem/tandem.h"
#include "tests/support.h"

namespace td = tandem;

namespace {
constinit thread_local int64_t new_count = 0;
}

#if !TANDEM_SANITIZED
constexpr bool counts = true;
static void* counted(size_t bytes, size_t alignment) {
  ++new_count;
  const size_t size = (bytes / alignment + 1) * alignment;
  if (void* block = std::aligned_alloc(alignment, size)) return block;
  throw std::bad_alloc();
}
// g++ inlines the deletes below without the news above, and takes them for a mismatch.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
void* operator new(size_t bytes) { return counted(bytes, alignof(std::max_align_t)); }
void* operator new(size_t bytes, std::align_val_t alignment) {
  return counted(bytes, static_cast<size_t>(alignment));
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, size_t) noexcept { std::free(block); }
void operator delete(void* block, std::align_val_t) noexcept { std::free(block); }
void operator delete(void* block, size_t, std::align_val_t) noexcept { std::free(block); }
#else
constexpr bool counts = false;
#endif

namespace {

/// Heap allocations of one call, after others have filled all caches.
int64_t allocations(const std::function<void()>& call) {
  for (int i = 0; i < 10; ++i) call();
  const auto taken = [] { return new_count + td::memory_statistics().heap_allocations; };
  const int64_t before = taken();
  for (int i = 0; i < 10; ++i) call();
  return (taken() - before) / 10;
}

struct Case {
  const char* name;
  std::function<td::Tensor()> call;
};

std::vector<Case> eager_cases() {
  const td::Tensor x = td::reshape(td::arange(0.f, 60.f), {5, 12}) * 0.1f, y = x + 1.f, row = x[0];
  const td::Tensor column = td::slice(x, {0}, {1}, {1}), one = 2.f, turned = td::transpose(x);
  const td::Tensor index = {2, 0, 4}, integers = td::cast(x, td::int32), weights = td::ones({12, 7});
  const td::Tensor batch = td::reshape(x, {1, 5, 12}), many = td::ones({3, 12, 4}), flags = x > 2.f;
  const std::vector<td::Tensor> parts = {x, y, x};
  return {
      {"add", [=] { return x + y; }},
      {"add a number", [=] { return x + 1.f; }},
      {"multiply by a scalar tensor", [=] { return x * one; }},
      {"add a row", [=] { return x + row; }},
      {"add a column", [=] { return x + column; }},
      {"add a transposed tensor", [=] { return turned + td::transpose(y); }},
      {"compare", [=] { return x < y; }},
      {"where", [=] { return td::where(flags, x, y); }},
      {"clip", [=] { return td::clip(x, 1, 2); }},
      {"pow", [=] { return td::pow(x, 2); }},
      {"gelu", [=] { return td::gelu(x); }},
      {"leaky relu", [=] { return td::leaky_relu(x, 0.1f); }},
      {"cast", [=] { return td::cast(x, td::float16); }},
      {"sum", [=] { return td::sum(x); }},
      {"mean of rows", [=] { return td::mean(x, {1}); }},
      {"sum of columns", [=] { return td::sum(x, {0}, true); }},
      {"sum of a transposed tensor", [=] { return td::sum(turned, {1}); }},
      {"maximum", [=] { return td::amax(x, {-1}); }},
      {"argmax", [=] { return td::argmax(x, 1); }},
      {"softmax", [=] { return td::softmax(x); }},
      {"softmax over columns", [=] { return td::softmax(x, 0); }},
      {"layer normalization", [=] { return td::layer_normalization(x, row, row); }},
      {"matmul", [=] { return td::matmul(x, weights); }},
      {"matmul of a transposed matrix", [=] { return td::matmul(turned, x); }},
      {"batched matmul", [=] { return td::matmul(batch, many); }},
      {"reshape",
       [=] {
         return td::reshape(x, {6, -1});
       }},
      {"transpose",
       [=] {
         return td::transpose(x, {1, 0});
       }},
      {"slice", [=] { return td::slice(x, {1}, {4}, {0}); }},
      {"index", [=] { return x[1]; }},
      {"contiguous", [=] { return turned.contiguous(); }},
      {"concat", [=] { return td::concat(parts, 0); }},
      {"gather", [=] { return td::gather(x, index); }},
      {"one hot", [=] { return td::one_hot(index, 5); }},
      {"cumsum", [=] { return td::cumsum(x, 1); }},
      {"expand",
       [=] {
         return td::expand(row, {4, 12});
       }},
      {"zeros",
       [=] {
         return td::zeros({3, 4});
       }},
      {"random",
       [=] {
         return td::random::uniform({3, 4});
       }},
      {"integers", [=] { return integers * integers + 1; }},
  };
}

}  // namespace

TEST(Allocations, EagerOperationsTakeNothingFromTheHeap) {
  if (!counts) GTEST_SKIP() << "a sanitizer brings its own heap";
  for (const Case& c : eager_cases()) EXPECT_EQ(allocations([&] { c.call(); }), 0) << c.name;
}

TEST(Allocations, RecordedOperationsTakeNothingFromTheHeap) {
  if (!counts) GTEST_SKIP() << "a sanitizer brings its own heap";
  for (const Case& c : eager_cases()) {
    td::Tensor seen;
    EXPECT_EQ(allocations([&] {
                td::GradientTape tape;
                tape.watch(td::ones({2}));
                seen = c.call();
              }),
              0)
        << c.name;
  }
}

TEST(Allocations, ATrainingStepTakesNothingFromTheHeap) {
  if (!counts) GTEST_SKIP() << "a sanitizer brings its own heap";
  td::random::seed(3);
  const td::Variable w1(td::random::normal({20, 32}) * 0.1f, {.name = "first_dense_layer/kernel"}),
      b1(td::zeros({32}), {.name = "first_dense_layer/bias"});
  const td::Variable w2(td::random::normal({32, 10}) * 0.1f), b2(td::zeros({10}));
  const td::Tensor x = td::random::normal({16, 20}), labels = td::random::randint(0, 10, {16}, td::int32);
  const auto step = [&] {
    td::GradientTape tape;
    const td::Tensor hidden = td::relu(td::matmul(x, w1) + b1), logits = td::matmul(hidden, w2) + b2;
    const td::Tensor loss = td::mean(td::sparse_softmax_cross_entropy(logits, labels));
    const auto [dw1, db1, dw2, db2] = tape.gradient(loss, w1, b1, w2, b2);
    w1.assign_sub(0.1f * dw1);
    b1.assign_sub(0.1f * db1);
    w2.assign_sub(0.1f * dw2);
    b2.assign_sub(0.1f * db2);
  };
  EXPECT_EQ(allocations(step), 0);
  // A list of variables: the vector of results is the caller's.
  const std::vector<td::Variable> variables{w1, b1, w2, b2};
  EXPECT_EQ(allocations([&] {
              td::GradientTape tape;
              const td::Tensor hidden = td::tanh(td::matmul(x, w1) + b1);
              const td::Tensor y = td::softmax(td::matmul(hidden, w2) + b2);
              tape.gradient(td::sum(td::square(y)), variables);
            }),
            1);
}

TEST(Allocations, NestedTapesTakeNothingFromTheHeap) {
  if (!counts) GTEST_SKIP() << "a sanitizer brings its own heap";
  const td::Tensor x = {1.f, 2.f, 3.f};
  EXPECT_EQ(allocations([&] {
              td::GradientTape outer;
              outer.watch(x);
              td::Tensor first;
              {
                td::GradientTape inner;
                inner.watch(x);
                first = inner.gradient(td::sum(td::exp(x) * x), x);
              }
              outer.gradient(first, x);
            }),
            0);
}

TEST(Allocations, FunctionCallsTakeNothingFromTheHeap) {
  if (!counts) GTEST_SKIP() << "a sanitizer brings its own heap";
  const td::Variable w(td::ones({12, 12}));
  auto f = td::function([&](td::Tensor x) { return td::softmax(td::matmul(x, w) + 1.f); });
  const td::Tensor x = td::ones({5, 12});
  EXPECT_EQ(allocations([&] { f(x); }), 0);
}
