// Accuracy of the mathematical functions against MPFR, their special values, and equal bits from vector
// loops and expansions under every instruction set.

#include <gtest/gtest.h>
#include <mpfr.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "kernel/math.h"
#include "kernel/program.h"

namespace td = tandem;
namespace k = tandem::kernel;
using td::DType;

namespace {

using Reference = std::function<void(mpfr_t, const mpfr_t)>;

void sigmoid(mpfr_t r, const mpfr_t x) {
  mpfr_neg(r, x, MPFR_RNDN);
  mpfr_exp(r, r, MPFR_RNDN);
  mpfr_add_ui(r, r, 1, MPFR_RNDN);
  mpfr_ui_div(r, 1, r, MPFR_RNDN);
}
void softplus(mpfr_t r, const mpfr_t x) {
  mpfr_exp(r, x, MPFR_RNDN);
  mpfr_log1p(r, r, MPFR_RNDN);
}
template <class F>
Reference of(F* f) {
  return [f](mpfr_t r, const mpfr_t x) { f(r, x, MPFR_RNDN); };
}

struct Case {
  const char* name;
  k::Value (*function)(k::Value);
  Reference reference;
  double low, high;       ///< samples lie here ...
  double bound, bound64;  ///< ULPs
};

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      {"exp", k::exp, of(mpfr_exp), -105, 90, 1.5, 1.5},
      {"expm1", k::expm1, of(mpfr_expm1), -25, 90, 2, 2},
      {"log", k::log, of(mpfr_log), 0, INFINITY, 1.5, 1.5},
      {"log1p", k::log1p, of(mpfr_log1p), -1, INFINITY, 1.5, 2},
      {"sin", k::sin, of(mpfr_sin), -1e6, 1e6, 1, 1},
      {"cos", k::cos, of(mpfr_cos), -1e6, 1e6, 1, 1},
      {"tan", k::tan, of(mpfr_tan), -1e6, 1e6, 2.25, 1},
      {"asin", k::asin, of(mpfr_asin), -1, 1, 2, 1},
      {"acos", k::acos, of(mpfr_acos), -1, 1, 1.5, 1},
      {"atan", k::atan, of(mpfr_atan), -INFINITY, INFINITY, 1.5, 1},
      {"sinh", k::sinh, of(mpfr_sinh), -90, 90, 2, 2},
      {"cosh", k::cosh, of(mpfr_cosh), -90, 90, 2, 2},
      {"tanh", k::tanh, of(mpfr_tanh), -12, 12, 1.5, 2},
      {"asinh", k::asinh, of(mpfr_asinh), -INFINITY, INFINITY, 2, 2},
      {"acosh", k::acosh, of(mpfr_acosh), 1, INFINITY, 2, 2},
      {"atanh", k::atanh, of(mpfr_atanh), -1, 1, 2, 2},
      {"erf", k::erf, of(mpfr_erf), -5, 5, 1.5, 1},
      {"sigmoid", k::sigmoid, sigmoid, -105, 40, 2.5, 2.5},
      {"softplus", k::softplus, softplus, -105, 100, 2, 2},
  };
  return all;
}

template <class T>
T step(T x, T to) {
  return std::nextafter(x, to);
}

/// Uniform over the bit patterns and over the values of [low, high], and the ends.
template <class T>
std::vector<T> samples(double low, double high, int count) {
  std::mt19937_64 random(7);
  std::vector<T> x;
  const T a = static_cast<T>(low), b = static_cast<T>(high);
  const double wide_low = std::max(low, -1e4), wide_high = std::min(high, 1e4);
  std::uniform_real_distribution<double> values(wide_low, wide_high), near(-4, 4);
  while (static_cast<int>(x.size()) < count) {
    T bits;
    if constexpr (sizeof(T) == 4)
      bits = std::bit_cast<float>(static_cast<uint32_t>(random()));
    else
      bits = std::bit_cast<double>(random());
    for (T v : {bits, static_cast<T>(values(random)), static_cast<T>(near(random))})
      if (v >= a && v <= b) x.push_back(v);
  }
  return x;
}

template <class T>
std::vector<T> evaluate(const k::Program& program, const std::vector<T>& x) {
  std::vector<T> y(x.size());
  const void* in[] = {x.data()};
  void* out[] = {y.data()};
  k::run_flat(program, in, 0, out, static_cast<int64_t>(x.size()));
  return y;
}

template <class T>
k::ProgramRef program_of(k::Value (*f)(k::Value)) {
  const DType type = td::dtype_of<T>;
  k::Builder b(std::span(&type, 1));
  b.output(f(b.input(0)), type);
  return b.finish();
}

/// |got - exact| in units of the last place of exact.
template <class T>
double ulps(T got, const mpfr_t exact, mpfr_t scratch) {
  const T rounded = sizeof(T) == 4 ? static_cast<T>(mpfr_get_flt(exact, MPFR_RNDN))
                                   : static_cast<T>(mpfr_get_d(exact, MPFR_RNDN));
  if (std::isnan(rounded) || std::isnan(got)) return std::isnan(rounded) && std::isnan(got) ? 0 : 1e30;
  if (std::isinf(rounded) || std::isinf(got)) return rounded == got ? 0 : 1e30;
  const int digits = std::numeric_limits<T>::digits;
  const int exponent =
      std::max(rounded == 0 ? -100000 : std::ilogb(rounded), std::numeric_limits<T>::min_exponent - 1);
  mpfr_set_d(scratch, static_cast<double>(got), MPFR_RNDN);
  mpfr_sub(scratch, scratch, exact, MPFR_RNDN);
  mpfr_mul_2si(scratch, scratch, digits - 1 - exponent, MPFR_RNDN);
  return std::abs(mpfr_get_d(scratch, MPFR_RNDN));
}

template <class T>
void check_accuracy(const Case& c, int count) {
  const double bound = sizeof(T) == 4 ? c.bound : c.bound64;
  double low = c.low, high = c.high;
  if (sizeof(T) == 8 && low >= -105 && low < -20) low *= 7.2;
  if (sizeof(T) == 8 && high > 80 && high < 200) high *= 7.9;
  std::vector<T> x = samples<T>(low, high, count);
  const auto y = evaluate<T>(*program_of<T>(c.function), x);
  mpfr_t in, exact, scratch;
  mpfr_inits2(128, in, exact, scratch, nullptr);
  double worst = 0;
  T at = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    mpfr_set_d(in, static_cast<double>(x[i]), MPFR_RNDN);
    c.reference(exact, in);
    const double error = ulps<T>(y[i], exact, scratch);
    if (error > worst) worst = error, at = x[i];
  }
  mpfr_clears(in, exact, scratch, nullptr);
  EXPECT_LE(worst, bound) << c.name << " of " << std::hexfloat << at;
  if (std::getenv("TANDEM_SHOW_ERRORS") != nullptr)
    std::printf("%-9s f%zu %.3f at %a\n", c.name, sizeof(T) * 8, worst, static_cast<double>(at));
}

int sample_count() {
  const char* text = std::getenv("TANDEM_MATH_SAMPLES");
  return text != nullptr ? std::atoi(text) : 20000;
}

template <class T>
std::vector<T> special_values() {
  using L = std::numeric_limits<T>;
  std::vector<T> x = {0,
                      1,
                      2,
                      T(0.5),
                      T(0.1),
                      3,
                      10,
                      80,
                      100,
                      1000,
                      L::min(),
                      L::denorm_min(),
                      L::max(),
                      L::infinity(),
                      T(1e5),
                      T(1.1e5),
                      T(1e10),
                      T(1e-10),
                      step(T(1), T(2)),
                      step(T(1), T(0)),
                      T(0.8),
                      T(0.55)};
  for (size_t n = x.size(), i = 0; i < n; ++i) x.push_back(-x[i]);
  x.push_back(L::quiet_NaN());
  return x;
}

}  // namespace

TEST(KernelMath, AccuracyOfSingle) {
  for (const Case& c : cases()) check_accuracy<float>(c, sample_count());
}

TEST(KernelMath, AccuracyOfDouble) {
  for (const Case& c : cases()) check_accuracy<double>(c, sample_count() / 2);
}

TEST(KernelMath, SpecialValuesAreThoseOfTheCLibrary) {
  struct Pair {
    const char* name;
    k::Value (*function)(k::Value);
    double (*library)(double);
  };
  const Pair pairs[] = {
      {"exp", k::exp, std::exp},       {"expm1", k::expm1, std::expm1}, {"log", k::log, std::log},
      {"log1p", k::log1p, std::log1p}, {"sin", k::sin, std::sin},       {"cos", k::cos, std::cos},
      {"tan", k::tan, std::tan},       {"asin", k::asin, std::asin},    {"acos", k::acos, std::acos},
      {"atan", k::atan, std::atan},    {"sinh", k::sinh, std::sinh},    {"cosh", k::cosh, std::cosh},
      {"tanh", k::tanh, std::tanh},    {"asinh", k::asinh, std::asinh}, {"acosh", k::acosh, std::acosh},
      {"atanh", k::atanh, std::atanh}, {"erf", k::erf, std::erf}};
  const auto check = [&]<class T>(T) {
    for (const Pair& p : pairs) {
      const auto x = special_values<T>();
      const auto y = evaluate<T>(*program_of<T>(p.function), x);
      for (size_t i = 0; i < x.size(); ++i) {
        const T expected = static_cast<T>(p.library(static_cast<double>(x[i])));
        if (std::isnan(expected)) {
          EXPECT_TRUE(std::isnan(y[i])) << p.name << " of " << x[i] << " is " << y[i];
          continue;
        }
        EXPECT_EQ(std::signbit(y[i]), std::signbit(expected)) << p.name << " of " << x[i] << " is " << y[i];
        if (std::isinf(expected) || expected == 0) {
          EXPECT_EQ(y[i], expected) << p.name << " of " << x[i];
        } else {
          EXPECT_NEAR(y[i] / expected, 1, std::abs(expected) < std::numeric_limits<T>::min() ? 1 : 1e-6)
              << p.name << " of " << x[i];
        }
      }
    }
  };
  check(0.f);
  check(0.0);
}

namespace {
template <class T>
void check_pow() {
  const DType types[] = {td::dtype_of<T>, td::dtype_of<T>};
  k::Builder b(types);
  b.output(k::pow(b.input(0), b.input(1)), types[0]);
  const auto program = b.finish();
  std::vector<T> x, y;
  auto special = special_values<T>();
  for (T v : {T(2), T(-2), T(3), T(-3), T(1.5), T(-1.5), T(16777216), T(16777215), T(1e30)})
    special.push_back(v);
  for (T a : special)
    for (T c : special) x.push_back(a), y.push_back(c);
  const size_t exact_count = x.size();
  std::mt19937_64 random(3);
  std::uniform_real_distribution<double> base(0, 20), exponent(-30, 30), narrow(0.9, 1.1), far(-800, 800);
  for (int i = 0; i < sample_count(); ++i) {
    x.push_back(static_cast<T>(base(random))), y.push_back(static_cast<T>(exponent(random)));
    x.push_back(static_cast<T>(narrow(random))), y.push_back(static_cast<T>(far(random)));
  }
  std::vector<T> r(x.size());
  const void* in[] = {x.data(), y.data()};
  void* out[] = {r.data()};
  k::run_flat(*program, in, 0, out, static_cast<int64_t>(x.size()));
  mpfr_t p, q, exact, scratch;
  mpfr_inits2(128, p, q, exact, scratch, nullptr);
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    if (i < exact_count) {
      const double expected = std::pow(static_cast<double>(x[i]), static_cast<double>(y[i]));
      const T rounded = static_cast<T>(expected);
      if (std::isnan(rounded) || std::isinf(rounded) || rounded == 0) {
        EXPECT_TRUE((std::isnan(rounded) && std::isnan(r[i])) || rounded == r[i])
            << x[i] << "^" << y[i] << " = " << r[i];
        if (!std::isnan(rounded)) {
          EXPECT_EQ(std::signbit(rounded), std::signbit(r[i])) << x[i] << "^" << y[i];
        }
        continue;
      }
    }
    mpfr_set_d(p, static_cast<double>(x[i]), MPFR_RNDN);
    mpfr_set_d(q, static_cast<double>(y[i]), MPFR_RNDN);
    mpfr_pow(exact, p, q, MPFR_RNDN);
    const double error = ulps<T>(r[i], exact, scratch);
    EXPECT_LE(error, 1) << x[i] << "^" << y[i] << " = " << r[i];
    worst = std::max(worst, error);
    if (y[i] == 2) {
      EXPECT_EQ(r[i], x[i] * x[i]);
    }
    if (y[i] == -1) {
      EXPECT_EQ(r[i], 1 / x[i]);
    }
    if (y[i] == 1) {
      EXPECT_EQ(r[i], x[i]);
    }
  }
  mpfr_clears(p, q, exact, scratch, nullptr);
  if (std::getenv("TANDEM_SHOW_ERRORS") != nullptr)
    std::printf("pow       f%zu %.3f\n", sizeof(T) * 8, worst);
  // One exponent for all takes other paths and gives the same bits.
  for (T e : {T(2), T(1), T(-1), T(0), T(0.5), T(3), T(-2.5)}) {
    std::vector<T> many(x.size(), e), a(x.size()), c(x.size());
    const void* full[] = {x.data(), many.data()};
    const void* one[] = {x.data(), &e};
    void* first[] = {a.data()};
    void* second[] = {c.data()};
    k::run_flat(*program, full, 0, first, static_cast<int64_t>(x.size()));
    k::run_flat(*program, one, 2, second, static_cast<int64_t>(x.size()));
    for (size_t i = 0; i < x.size(); ++i)
      if (!std::isnan(a[i])) {
        ASSERT_EQ(std::memcmp(&a[i], &c[i], sizeof(T)), 0) << x[i] << "^" << e;
      }
  }
}
}  // namespace

TEST(KernelMath, PowOfSingle) { check_pow<float>(); }
TEST(KernelMath, PowOfDouble) { check_pow<double>(); }

TEST(KernelMath, ExpansionsAndInstructionSetsAgreeBitForBit) {
  const auto check = [&]<class T>(T) {
    std::vector<T> x = special_values<T>();
    for (const Case& c : cases()) {
      const auto more = samples<T>(c.low, c.high, 3000);
      x.insert(x.end(), more.begin(), more.end());
    }
    for (const Case& c : cases()) {
      const auto program = program_of<T>(c.function), expanded = k::expand(*program);
      std::vector<T> expected;
      for (const char* set : {"baseline", "avx2", "avx512"}) {
        if (!k::set_instruction_set(set)) continue;
        for (const auto& p : {program, expanded}) {
          const auto y = evaluate<T>(*p, x);
          if (expected.empty()) expected = y;
          for (size_t i = 0; i < x.size(); ++i) {
            if (std::isnan(expected[i]) && std::isnan(y[i])) continue;
            ASSERT_EQ(std::memcmp(&y[i], &expected[i], sizeof(T)), 0)
                << c.name << " " << set << " of " << std::hexfloat << x[i] << ": " << y[i] << " or "
                << expected[i];
          }
        }
      }
    }
  };
  check(0.f);
  check(0.0);
  const DType types[] = {DType::f32, DType::f32};
  k::Builder b(types);
  b.output(k::pow(b.input(0), b.input(1)), DType::f32);
  const auto program = b.finish(), expanded = k::expand(*program);
  std::vector<float> x, y;
  for (float p : samples<float>(-1e30, 1e30, 400))
    for (float q : samples<float>(-100, 100, 100)) x.push_back(p), y.push_back(q);
  std::vector<float> expected;
  for (const char* set : {"baseline", "avx2", "avx512"}) {
    if (!k::set_instruction_set(set)) continue;
    for (const auto& p : {program, expanded}) {
      std::vector<float> r(x.size());
      const void* in[] = {x.data(), y.data()};
      void* out[] = {r.data()};
      k::run_flat(*p, in, 0, out, static_cast<int64_t>(x.size()));
      if (expected.empty()) expected = r;
      for (size_t i = 0; i < x.size(); ++i)
        if (!std::isnan(expected[i]) || !std::isnan(r[i])) {
          ASSERT_EQ(std::memcmp(&r[i], &expected[i], 4), 0) << x[i] << "^" << y[i];
        }
    }
  }
}
