// How long the interpreter takes, beside memcpy of the same data in the same run.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <numbers>
#include <vector>

#include "kernel/math.h"
#include "kernel/program.h"

namespace td = tandem;
namespace k = tandem::kernel;
using td::DType;

namespace {

/// The median over rounds of one call's nanoseconds.
double nanoseconds(const std::function<void()>& call, int calls) {
  std::vector<double> rounds;
  for (int round = 0; round < 31; ++round) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < calls; ++i) call();
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
    rounds.push_back(took.count() / calls);
  }
  std::nth_element(rounds.begin(), rounds.begin() + 15, rounds.end());
  return rounds[15];
}

k::ProgramRef unary(k::Value (*f)(k::Value), DType out = DType::f32) {
  const DType type = DType::f32;
  k::Builder b(std::span(&type, 1));
  b.output(f(b.input(0)), out);
  return b.finish();
}

k::Value gelu(k::Value x) { return 0.5 * x * (1.0 + k::erf(x * std::numbers::sqrt2 / 2.0)); }
k::Value gelu_tanh(k::Value x) {
  return 0.5 * x * (1.0 + k::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * (x * x * x))));
}
k::Value chain(k::Value x) { return k::sqrt(k::maximum((x * 1.1 + 0.3) * x - 0.7, x) * 0.9 + 2.0); }
k::Value softmax(k::Value x) {
  const k::Value e = k::exp(x - k::reduce_maximum(x));
  return e / k::reduce_sum(e);
}
k::Value layer_norm(k::Value x) {
  const k::Value n = k::row_count(*x.builder, x.type);
  const k::Value d = x - k::reduce_sum(x) / n;
  return d / k::sqrt(k::reduce_sum(d * d) / n + 1e-5);
}

void report(const char* name, double ns, double copy) {
  std::printf("%-34s %10.1f ns", name, ns);
  if (copy > 0) std::printf("   %6.2f x memcpy", ns / copy);
  std::printf("\n");
}

}  // namespace

int main() {
  std::printf("instruction set %s\n", k::instruction_set());
  std::vector<float> x(1 << 18), y(1 << 18), z(1 << 18);
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] = std::sin(static_cast<float>(i)) * 3.f;
    y[i] = std::cos(static_cast<float>(i)) + 2.f;
  }
  const auto copy = [&](int64_t n) {
    return nanoseconds([&, n] { std::memcpy(z.data(), x.data(), static_cast<size_t>(n) * 4); }, 20);
  };
  const auto flat = [&](const char* name, const k::Program& program, int64_t n) {
    const void* in[] = {x.data(), y.data()};
    void* out[] = {z.data()};
    const int calls = n < 1000 ? 100000 : 20;
    report(name, nanoseconds([&] { k::run_flat(program, in, 0, out, n); }, calls), n < 1000 ? 0 : copy(n));
  };
  const DType pair[] = {DType::f32, DType::f32};
  k::Builder b(pair);
  b.output(b.input(0) + b.input(1), DType::f32);
  const auto add = b.finish();
  flat("add, 5 floats", *add, 5);
  flat("relu, 5 floats", *unary([](k::Value v) { return k::maximum(v, k::constant_like(v, 0)); }), 5);
  flat("exp, 5 floats", *unary(k::exp), 5);
  flat("gelu, 5 floats", *unary(gelu), 5);
  flat("add, 256k", *add, 1 << 18);
  flat("chain of seven, 256k", *unary(chain), 1 << 18);
  flat("exp, 64k", *unary(k::exp), 1 << 16);
  flat("log, 64k", *unary(k::log), 1 << 16);
  flat("tanh, 64k", *unary(k::tanh), 1 << 16);
  flat("erf, 64k", *unary(k::erf), 1 << 16);
  flat("sin, 64k", *unary(k::sin), 1 << 16);
  flat("sigmoid, 64k", *unary(k::sigmoid), 1 << 16);
  flat("gelu, 64k", *unary(gelu), 1 << 16);
  flat("gelu (tanh), 64k", *unary(gelu_tanh), 1 << 16);
  flat("to f16, 64k", *unary([](k::Value v) { return v; }, DType::f16), 1 << 16);

  const DType random_types[] = {DType::u64, DType::u64};
  k::Builder random_builder(random_types);
  random_builder.output(
      k::philox(random_builder.input(0), random_builder.input(1), k::element_index(random_builder)),
      DType::u32);
  const auto random = random_builder.finish();
  const uint64_t key = 1, base = 2;
  const void* random_in[] = {&key, &base};
  void* random_out[] = {z.data()};
  report("philox, 64k", nanoseconds([&] { k::run_flat(*random, random_in, 3, random_out, 1 << 16); }, 20),
         copy(1 << 16));

  const auto element = [&](const char* name, const k::Program& program, const td::Shape& shape,
                           std::vector<td::Strides> strides) {
    const auto nest = k::LoopNest::elementwise(program, shape, strides);
    const void* in[] = {x.data(), y.data()};
    void* out[] = {z.data()};
    report(name, nanoseconds([&] { nest.run(in, out, 0, nest.unit_count()); }, 20), copy(nest.unit_count()));
  };
  element("add (64,1024) + (1024)", *add, {64, 1024}, {{1024, 1}, {0, 1}});
  element("add (64,1024) + (64,1)", *add, {64, 1024}, {{1024, 1}, {1, 0}});
  element("add (20000,3) + (3)", *add, {20000, 3}, {{3, 1}, {0, 1}});
  element("add (20000,3) + (20000,1)", *add, {20000, 3}, {{3, 1}, {1, 0}});
  element("add (512,512) + transposed", *add, {512, 512}, {{512, 1}, {1, 512}});

  const auto rows = [&](const char* name, k::Value (*f)(k::Value), const td::Shape& shape,
                        const td::Strides& in_strides, const td::Strides& out_strides) {
    const auto program = unary(f);
    const td::Strides ins[] = {in_strides}, outs[] = {out_strides};
    const auto nest = k::LoopNest::rows(*program, shape, 1, ins, outs);
    const void* in[] = {x.data()};
    void* out[] = {z.data()};
    report(name, nanoseconds([&] { nest.run(in, out, 0, nest.unit_count()); }, 20),
           copy(shape.element_count()));
  };
  rows("softmax (64,1024)", softmax, {64, 1024}, {1024, 1}, {1024, 1});
  rows("softmax (1024,64)", softmax, {1024, 64}, {64, 1}, {64, 1});
  rows("softmax (100,10)", softmax, {100, 10}, {10, 1}, {10, 1});
  rows("softmax (64,1024) over axis 0", softmax, {1024, 64}, {1, 1024}, {1, 1024});
  rows("layer_norm (64,1024)", layer_norm, {64, 1024}, {1024, 1}, {1024, 1});
  rows("layer_norm (1024,64)", layer_norm, {1024, 64}, {64, 1}, {64, 1});
  rows("sum (64,1024)", k::reduce_sum, {64, 1024}, {1024, 1}, {1, 0});
  rows("sum (1,262144)", k::reduce_sum, {1, 262144}, {262144, 1}, {1, 0});
  rows("maximum (64,1024)", k::reduce_maximum, {64, 1024}, {1024, 1}, {1, 0});
  rows("sum (60,128) over axis 0", k::reduce_sum, {128, 60}, {1, 128}, {1, 0});
  rows("sum (1024,64) over axis 0", k::reduce_sum, {64, 1024}, {1, 64}, {1, 0});
  rows("sum (60000,4)", k::reduce_sum, {60000, 4}, {4, 1}, {1, 0});
}
