// Random numbers: one op takes the next numbers of a generator's stream, all others are functions of (key,
// counter, shape) alone.

#include "tandem/ops/random.h"

#include <cmath>

#include "core/named.h"
#include "kernel/math.h"
#include "ops/dispatch.h"
#include "ops/elements.h"
#include "ops/families.h"
#include "ops/random_bodies.h"
#include "ops/variable_impl.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/indexing.h"
#include "tandem/ops/logic.h"
#include "tandem/ops/math.h"
#include "tandem/ops/reduce.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

using kernel::Builder;
using kernel::Value;

Tensor state_of(uint64_t key, uint64_t counter) {
  const uint64_t state[] = {key, counter};
  return detail::from_bytes(state, DType::u64, 2, {2});
}
/// The key of the parameters' stream: far from those that people choose.
uint64_t parameter_seed(uint64_t seed) { return seed + 0x9e3779b97f4a7c15u; }
Tensor scalar(uint64_t value) { return detail::from_bytes(&value, DType::u64, 1, {}); }

/// Takes what a result of this shape needs: gives the generator's key and counter, and moves the counter on.
struct DrawCounter : NotDifferentiable {
  static constexpr std::string_view name = "DrawCounter", domain = "ai.tandem";
  using Attributes = VariableAttributes;
  static constexpr uint32_t traits = effect | reads_variable | writes_variable;
  static constexpr int outputs = 2;
  // `words` random words of 32 bits an element; a block of the generator has four.
  static constexpr std::array<InputDef, 2> inputs{
      {{"shape", types::i64, 0, InputDef::parameter}, {"words", types::i64, 0, InputDef::parameter}}};
  static void infer(InferContext& c, const Attributes& a) {
    TD_CHECK(a.variable->spec.dtype == DType::u64 && a.variable->spec.shape == Shape{2},
             "variable {} is no generator: it has dtype {} and shape {}, not uint64 and (2,)",
             a.variable->name, a.variable->spec.dtype, a.variable->spec.shape);
    c.output(DType::u64, {});
    c.output(DType::u64, {});
  }
  static void run_tensors(const Attributes& a, std::span<const Tensor> in, std::span<Tensor> out) {
    const Tensor sizes = in[0].contiguous();
    int64_t words = in[1].item<int64_t>();
    bool overflow = false;
    for (int64_t size : sizes.span<int64_t>()) {
      TD_CHECK(size >= 0, "size {} is negative", size);
      overflow = __builtin_mul_overflow(words, size, &words) || overflow;
    }
    TD_CHECK(!overflow || words == 0, "the shape has more elements than fit in memory");
    const uint64_t blocks = (static_cast<uint64_t>(words) + 3) / 4;
    // Threads that draw at once get different parts of the stream.
    for (;;) {
      const Tensor state = a.variable->load();
      TD_CHECK(state.defined(), "variable {} is read before it has a value", a.variable->name);
      const uint64_t key = state.data<uint64_t>()[0], counter = state.data<uint64_t>()[1];
      if (!a.variable->replace(state, state_of(key, counter + blocks))) continue;
      out[0] = scalar(key);
      out[1] = scalar(counter);
      return;
    }
  }
  // Of an op that reads and writes a variable: its value is the last input, its next value the last result.
  static Tensors decomposition(std::span<const Tensor> in, const Attributes&) {
    const Tensor &state = in[2], count = reduce_prod(in[0], {0}) * reshape(in[1], Dims());
    const Tensor key = gather(state, Tensor(0, DType::i64)), counter = gather(state, Tensor(1, DType::i64));
    const Tensor next = cast(counter, DType::i64) + div(count + 3, 4);
    return {key, counter, stack({key, cast(next, DType::u64)})};
  }
  static std::vector<Sample> samples() {
    // A shape without elements takes nothing, so that every run gives the same.
    static const Variable v(state_of(7, 3), {.name = "sample", .trainable = false});
    const Attributes a(v.impl());
    return {{{Tensor({0}, DType::i64), Tensor(1, DType::i64)}, boxed(a), false}};
  }
};

// ---- what the others share

constexpr InputDef key_input{"key", type_bit(DType::u64), -1},
    counter_input{"counter", type_bit(DType::u64), -1};
constexpr InputDef shape_input{"shape", types::i64, -1, InputDef::parameter};

void check_state(const InferContext& c) {
  TD_CHECK(c.rank(0) == 0 && c.rank(1) == 0, "key and counter have shapes {} and {}; scalars are needed",
           c.shape(0), c.shape(1));
}

/// Word `word` of the `words` that belong to the element at hand.
Value random_word(Value key, Value counter, int words, int word) {
  const Value i = element_index(*key.builder);
  return philox(key, counter, words == 1 ? i : i * words + word);
}

/// The upper `bits` of a word, as an integer.
Value upper_bits(Value word, int bits) {
  return shift_right(word, word.builder->constant(DType::u32, 32 - bits));
}

/// 53 random bits of two words as a double.
Value wide_bits(Value key, Value counter, int words, int word) {
  const Value high = convert(upper_bits(random_word(key, counter, words, word), 27), DType::f64);
  const Value low = convert(upper_bits(random_word(key, counter, words, word + 1), 26), DType::f64);
  return high * 0x1p26 + low;
}

/// Words that a number of this dtype takes.
int words_of(DType dtype) { return dtype == DType::f64 ? 2 : 1; }

/// Uniform in [0, 1), with as many bits as the dtype's precision has.
Value unit_interval(Value key, Value counter, DType dtype) {
  if (dtype == DType::f64) return wide_bits(key, counter, 2, 0) * 0x1p-53;
  const int bits = dtype == DType::f16 ? 11 : dtype == DType::bf16 ? 8 : 24;
  return convert(upper_bits(random_word(key, counter, 1, 0), bits), DType::f32) * std::ldexp(1.0, -bits);
}

Value rounded(Value x, DType dtype) {
  return dtype == DType::f16 || dtype == DType::bf16 ? convert(x, dtype) : x;
}

/// The nearest number below `bound` in the dtype.
double below(double bound, DType dtype) {
  return with_element(dtype, [&]<class T>(T) -> double {
    if constexpr (std::is_floating_point_v<T>) {
      const T near = static_cast<T>(bound);
      return static_cast<double>(near) < bound ? near
                                               : std::nextafter(near, -std::numeric_limits<T>::infinity());
    } else if constexpr (std::is_same_v<Computed<T>, float>) {
      T near(static_cast<float>(bound));
      if (static_cast<double>(static_cast<float>(near)) < bound) return static_cast<float>(near);
      // One step towards minus infinity, across zero too.
      if ((near.bits & 0x7fff) == 0)
        near.bits = 0x8001;
      else
        near.bits = static_cast<uint16_t>(near.bits & 0x8000 ? near.bits + 1 : near.bits - 1);
      return static_cast<float>(near);
    } else {
      return bound;
    }
  });
}

/// Key and counter of samples.
std::vector<Tensor> sample_inputs(std::initializer_list<int64_t> shape) {
  return {scalar(0x123456789abcdefull), scalar(41), to_tensor(Operand(Dims(shape)))};
}

struct PhiloxUniform : NotDifferentiable {
  static constexpr std::string_view name = "PhiloxUniform", domain = "ai.tandem";
  struct Attributes {
    double low = 0, high = 1;
    DType dtype = DType::f32;
    static constexpr auto fields() {
      return std::tuple{field("low", &Attributes::low), field("high", &Attributes::high),
                        field("dtype", &Attributes::dtype)};
    }
  };
  static constexpr std::array<InputDef, 3> inputs{{key_input, counter_input, shape_input}};
  static void infer(InferContext& c, const Attributes& a) {
    check_state(c);
    TD_CHECK(is_floating(a.dtype), "dtype {} is not floating; randint gives integers", a.dtype);
    TD_CHECK(a.low <= a.high && std::isfinite(a.high - a.low), "{} to {} is no range", a.low, a.high);
    c.output(a.dtype, shape_parameter(c, 2));
  }
  static Value expression(const Attributes& a, Value key, Value counter) {
    const Value x = unit_interval(key, counter, a.dtype) * (a.high - a.low) + a.low;
    // Rounding may reach the upper end, which does not belong to the range.
    const double last = a.low < a.high ? std::max(below(a.high, a.dtype), a.low) : a.low;
    const Value r = rounded(x, a.dtype);
    return minimum(r, constant_like(r, last));
  }
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    const Tensor x = unit_interval(in[0], in[1], in[2], a.dtype) * (a.high - a.low) + a.low;
    const double last = a.low < a.high ? std::max(below(a.high, a.dtype), a.low) : a.low;
    return {minimum(cast(x, a.dtype), last)};
  }
  static std::vector<Sample> samples() {
    const Attributes wide{-2, 3, DType::f64}, half{0, 1, DType::f16}, brain{1, 2, DType::bf16};
    return {{sample_inputs({2, 3}), {}},       {sample_inputs({3, 5}), boxed(wide)},
            {sample_inputs({7}), boxed(half)}, {sample_inputs({7}), boxed(brain)},
            {sample_inputs({0, 3}), {}},       {sample_inputs({}), {}}};
  }
};

constexpr double two_pi = 6.283185307179586476925;

struct PhiloxNormal : NotDifferentiable {
  static constexpr std::string_view name = "PhiloxNormal", domain = "ai.tandem";
  struct Attributes {
    double mean = 0, stddev = 1;
    DType dtype = DType::f32;
    static constexpr auto fields() {
      return std::tuple{field("mean", &Attributes::mean), field("stddev", &Attributes::stddev),
                        field("dtype", &Attributes::dtype)};
    }
  };
  static constexpr std::array<InputDef, 3> inputs{{key_input, counter_input, shape_input}};
  static void infer(InferContext& c, const Attributes& a) {
    check_state(c);
    TD_CHECK(is_floating(a.dtype), "dtype {} is not floating", a.dtype);
    TD_CHECK(a.stddev >= 0, "the standard deviation {} is negative", a.stddev);
    c.output(a.dtype, shape_parameter(c, 2));
  }
  // Box and Muller's way: two uniform numbers, the first one never zero.
  static Value expression(const Attributes& a, Value key, Value counter) {
    Value radius = key, angle = key;
    if (a.dtype == DType::f64) {
      radius = (wide_bits(key, counter, 4, 0) + 1) * 0x1p-53;
      angle = wide_bits(key, counter, 4, 2) * 0x1p-53;
    } else {
      radius = convert(random_word(key, counter, 2, 0), DType::f32) * 0x1p-32 + 0x1p-33;
      angle = convert(upper_bits(random_word(key, counter, 2, 1), 24), DType::f32) * 0x1p-24;
    }
    return sqrt(log(radius) * -2.0) * cos(angle * two_pi) * a.stddev + a.mean;
  }
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    const bool wide = a.dtype == DType::f64;
    const Tensor words = random_words(in[0], in[1], in[2], wide ? 4 : 2);
    const Tensor radius = wide ? (wide_bits(words, 0) + 1) * 0x1p-53
                               : cast(random_word(words, 0), DType::f32) * 0x1p-32 + 0x1p-33;
    const Tensor angle = wide ? wide_bits(words, 2) * 0x1p-53
                              : cast(upper_bits(random_word(words, 1), 24), DType::f32) * 0x1p-24;
    return {cast(sqrt(log(radius) * -2.0) * cos(angle * two_pi) * a.stddev + a.mean, a.dtype)};
  }
  static std::vector<Sample> samples() {
    const Attributes wide{-2, 3, DType::f64}, half{0, 1, DType::f16};
    return {{sample_inputs({2, 3}), {}},
            {sample_inputs({3, 5}), boxed(wide)},
            {sample_inputs({7}), boxed(half)},
            {sample_inputs({0}), {}}};
  }
};

/// 64 random bits.
Value long_word(Value key, Value counter) {
  const Value high = convert(random_word(key, counter, 2, 0), DType::u64);
  const Value low = convert(random_word(key, counter, 2, 1), DType::u64);
  return bit_or(shift_left(high, key.builder->constant(DType::u64, 32)), low);
}

struct PhiloxIntegers : NotDifferentiable {
  static constexpr std::string_view name = "PhiloxIntegers", domain = "ai.tandem";
  struct Attributes {
    int64_t low = 0, high = 2;
    DType dtype = DType::i64;
    static constexpr auto fields() {
      return std::tuple{field("low", &Attributes::low), field("high", &Attributes::high),
                        field("dtype", &Attributes::dtype)};
    }
  };
  static constexpr std::array<InputDef, 3> inputs{{key_input, counter_input, shape_input}};
  static void infer(InferContext& c, const Attributes& a) {
    check_state(c);
    TD_CHECK(is_integer(a.dtype), "dtype {} is not an integer's; uniform gives fractions", a.dtype);
    TD_CHECK(a.low < a.high, "there is no integer from {} up to, not including, {}", a.low, a.high);
    const bool fits = with_element(a.dtype, [&]<class T>(T) {
      if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>)
        return std::in_range<T>(a.low) && std::in_range<T>(a.high - 1);
      else
        return false;
    });
    TD_CHECK(fits, "integers from {} up to, not including, {} do not fit dtype {}", a.low, a.high, a.dtype);
    c.output(a.dtype, shape_parameter(c, 2));
  }
  // Of 2^64 words each integer gets the same number, but for one in 2^64 / range: too few to notice.
  static Value expression(const Attributes& a, Value key, Value counter) {
    Builder& k = *key.builder;
    const auto low = static_cast<uint64_t>(a.low), range = static_cast<uint64_t>(a.high) - low;
    const Value x =
        fmod(long_word(key, counter), k.constant_bits(DType::u64, range)) + k.constant_bits(DType::u64, low);
    return convert(bitcast(x, DType::i64), a.dtype);
  }
  static Tensors decomposition(std::span<const Tensor> in, const Attributes& a) {
    const auto range = static_cast<uint64_t>(a.high) - static_cast<uint64_t>(a.low);
    const Tensor words = random_words(in[0], in[1], in[2], 2);
    const Tensor high = random_word(words, 0), low = random_word(words, 1);
    // Small ranges need no 64 bits: the remainder of the upper word's share, and of the whole.
    if (range <= uint64_t{1} << 31) {
      const auto n = static_cast<int64_t>(range);
      return {cast(mod(mod(high, n) * ((int64_t{1} << 32) % n) + low, n) + a.low, a.dtype)};
    }
    const Tensor whole =
        cast(high, DType::u64) * Tensor(uint64_t{1} << 32, DType::u64) + cast(low, DType::u64);
    return {cast(cast(mod(whole, Tensor(range, DType::u64)), DType::i64) + a.low, a.dtype)};
  }
  static std::vector<Sample> samples() {
    const Attributes bytes{-128, 128, DType::i8}, all{INT64_MIN, INT64_MAX, DType::i64},
        large{0, 1000, DType::u16};
    return {{sample_inputs({2, 3}), {}},
            {sample_inputs({9}), boxed(bytes)},
            {sample_inputs({5}), boxed(all)},
            {sample_inputs({5}), boxed(large)},
            {sample_inputs({0}), {}}};
  }
};

struct PhiloxBernoulli : NotDifferentiable {
  static constexpr std::string_view name = "PhiloxBernoulli", domain = "ai.tandem";
  static constexpr std::array<InputDef, 4> inputs{
      {key_input, counter_input, {"p", types::floating, -1, InputDef::no_gradient}, shape_input}};
  static void infer(InferContext& c) {
    check_state(c);
    const Shape shape = shape_parameter(c, 3);
    const Shape both = broadcast_shapes(shape, c.shape(2), &c);
    bool fits = both.rank() == shape.rank();
    for (int i = 0; fits && i < shape.rank(); ++i) fits = both[i] == shape[i] || both[i] < 0 || shape[i] < 0;
    TD_CHECK(fits, "p has shape {}, which does not broadcast to {}", c.shape(2), shape);
    c.output(DType::boolean, shape);
  }
  static Value expression(Value key, Value counter, Value p) {
    return less(unit_interval(key, counter, DType::f32), convert(p, DType::f32));
  }
  static Tensors decomposition(std::span<const Tensor> in, const NoAttributes&) {
    return {less(unit_interval(in[0], in[1], in[3], DType::f32), cast(in[2], DType::f32))};
  }
  static std::vector<Sample> samples() {
    const auto with_p = [](Tensor p, std::initializer_list<int64_t> shape) {
      std::vector<Tensor> inputs = sample_inputs(shape);
      inputs.insert(inputs.begin() + 2, std::move(p));
      return Sample{std::move(inputs), {}, false};
    };
    return {with_p(Tensor(0.5f), {2, 3}), with_p(Tensor({0.f, 0.5f, 1.f}), {4, 3}),
            with_p(Tensor({0.25, 0.75}, DType::f64), {2}), with_p(Tensor(0.5, DType::f16), {0, 2})};
  }
};

struct PhiloxPermutation : NotDifferentiable {
  static constexpr std::string_view name = "PhiloxPermutation", domain = "ai.tandem";
  static constexpr std::array<InputDef, 3> inputs{
      {key_input, counter_input, {"n", types::i64, -1, InputDef::parameter}}};
  static void infer(InferContext& c) {
    check_state(c);
    Integers n;
    if (!c.constant(2, n)) n.push_back(c.fresh_symbol());
    TD_CHECK(n.size() == 1 && (n[0] >= 0 || is_symbol(n[0])), "{} is not a number of elements", n[0]);
    c.output(DType::i64, {n[0]});
  }
  static void kernel(const KernelContext& k) {
    const int64_t n = k.outputs[0].shape[0];
    if (n == 0) return;
    static const kernel::ProgramRef words = [] {
      const DType types[] = {DType::u64, DType::u64};
      Builder b(types);
      b.output(long_word(b.input(0), b.input(1)), DType::u64);
      return b.finish();
    }();
    const Tensor scratch = detail::empty_tensor(DType::u64, {n});
    auto* random = detail::mutable_data<uint64_t>(scratch);
    const void* in[] = {k.inputs[0].data, k.inputs[1].data};
    void* to = random;
    kernel::run_flat(*words, in, n == 1 ? 0 : 3, &to, n);
    auto* order = k.out<int64_t>(0);
    for (int64_t i = 0; i < n; ++i) order[i] = i;
    for (int64_t i = n - 1; i > 0; --i)
      std::swap(order[i], order[random[i] % (static_cast<uint64_t>(i) + 1)]);
  }
  static std::vector<Sample> samples() {
    const auto of = [](int64_t n) {
      std::vector<Tensor> inputs = sample_inputs({});
      inputs[2] = Tensor(n, DType::i64);
      return Sample{std::move(inputs), {}, false};
    };
    return {of(10), of(1), of(0)};
  }
};

/// Takes numbers from a generator, the common one unless `from` is another.
struct Draw {
  CallSite site;
  Tensor key, counter;
  Draw(const Operand& shape, const Operand& words, const Variable& from, Location where) : site(where) {
    const auto& variable = (from.defined() ? from : random::generator()).impl();
    Tensors drawn = dispatch_all<DrawCounter>(VariableAttributes(variable), shape, words);
    key = drawn[0];
    counter = drawn[1];
  }
};

/// `words`: 0 where nothing is to be taken.
Tensor bernoulli_of(const Operand& p, const Operand& shape, const Operand& words, const Variable& generator) {
  const CallSite site(p);
  const Tensor probability = to_tensor(p, DType::f32);
  const Operand wanted = shape.present() ? shape : Operand(probability.shape(), p.location());
  const Draw d(wanted, words, generator, p.location());
  return dispatch<PhiloxBernoulli>({}, Operand(d.key), Operand(d.counter), Operand(probability), wanted);
}

// ---- Dropout

/// What is kept of x, and the mask that says so. `scale` is 1 / keep, but finite where nothing is kept.
Tensors drop(const Tensor& x, const Operand& keep, const Operand& scale, const Operand& words,
             const Variable& generator) {
  const Tensor mask = bernoulli_of(keep, x.shape(), words, generator);
  return {where(mask, x * scale, zeros_like(x)), mask};
}
Tensors drop_share(const Tensor& x, const Tensor& ratio, const Tensor& training, const Variable& generator) {
  const Tensor keep = 1 - where(training, ratio, zeros_like(ratio));
  // Without training nothing is drawn, also where a graph learns that only when it runs.
  return drop(x, keep, cast(1 / where(equal(keep, 0), ones_like(keep), keep), x.dtype()),
              cast(training, DType::i64), generator);
}

struct Dropout : NotDifferentiable {
  static constexpr std::string_view name = "Dropout";
  static constexpr int since = 22;
  static constexpr int outputs = 2;
  static constexpr uint32_t traits = effect;
  struct Attributes {
    std::optional<int64_t> seed;  // files carry it; the numbers come from the common generator
    static constexpr auto fields() { return std::tuple{field("seed", &Attributes::seed)}; }
  };
  static constexpr std::array<InputDef, 3> inputs{
      {{"data", types::floating},
       {"ratio", types::floating, 1, InputDef::optional | InputDef::no_gradient},
       {"training_mode", types::boolean, 2, InputDef::optional | InputDef::no_gradient}}};
  static void infer(InferContext& c, const Attributes&) {
    c.output(c.dtype(0), c.shape(0));
    c.output(DType::boolean, c.shape(0));
  }
  static Tensors decomposition(std::span<const Tensor> in, const Attributes&) {
    const bool training = in.size() > 2 && in[2].defined();
    if (!training || (!in[2].is_symbolic() && !in[2].item<bool>()))
      return {identity(in[0]), full(in[0].shape(), true, DType::boolean)};
    const Tensor ratio = in[1].defined() ? in[1] : Tensor(0.5f);
    return drop_share(in[0], ratio, in[2], {});
  }
  static std::vector<Sample> samples() {
    // Without training nothing is drawn.
    const Tensor x({{1.f, -2.f, 3.f}, {0.5f, 4.f, -1.f}});
    return {{{x}, {}}, {{x, Tensor(0.25f), Tensor(false)}, {}}, {{zeros({0, 2})}, {}}};
  }
};

constexpr const OpDef* random_table[] = {
    &op_def<DrawCounter>,     &op_def<PhiloxUniform>,     &op_def<PhiloxNormal>, &op_def<PhiloxIntegers>,
    &op_def<PhiloxBernoulli>, &op_def<PhiloxPermutation>, &op_def<Dropout>};

template <class Op>
Tensor draw(const detail::Attributes<Op>& attributes, const Operand& given, int64_t words,
            const Variable& from) {
  // Empty braces make no list, but mean one.
  const Operand shape = given.present() ? given : Operand(Dims(), given.location());
  const Draw d(shape, words, from, shape.location());
  return dispatch<Op>(attributes, Operand(d.key), Operand(d.counter), shape);
}

}  // namespace

std::span<const OpDef* const> random_ops() { return random_table; }

namespace random {

const Variable& generator() {
  // Never destroyed: other static objects may still draw.
  static const Variable* const common = new Variable(make_generator(0));
  return *common;
}

const Variable& parameter_generator() {
  static const Variable* const common = new Variable(make_generator(parameter_seed(0)));
  return *common;
}

Variable make_generator(uint64_t seed, Location where) {
  return Variable([&] { return state_of(seed, 0); },
                  {.name = "generator", .trainable = false, .unique_name = false}, where);
}

void seed(uint64_t seed, Location where) {
  generator().assign(Operand(state_of(seed, 0), where));
  // First values are made outside graphs, so a graph that seeds does not concern them.
  if (const Mode* mode = current_mode(); !mode || !mode->is_tracing())
    parameter_generator().assign(Operand(state_of(parameter_seed(seed), 0), where));
}

Tensor uniform(const Operand& shape, double low, double high, DType dtype, const Variable& generator) {
  return draw<PhiloxUniform>({low, high, dtype}, shape, words_of(dtype), generator);
}
Tensor normal(const Operand& shape, double mean, double stddev, DType dtype, const Variable& generator) {
  return draw<PhiloxNormal>({mean, stddev, dtype}, shape, 2 * words_of(dtype), generator);
}
Tensor randint(int64_t low, int64_t high, const Operand& shape, DType dtype, const Variable& generator) {
  return draw<PhiloxIntegers>({low, high, dtype}, shape, 2, generator);
}
Tensor bernoulli(const Operand& p, const Operand& shape, const Variable& generator) {
  return bernoulli_of(p, shape, 1, generator);
}
Tensor permutation(const Operand& n, const Variable& generator) {
  return draw<PhiloxPermutation>({}, n, 2, generator);
}
Tensor shuffle(const Operand& x, int64_t axis, const Variable& generator) {
  const CallSite site(x);
  const Tensor t = to_tensor(x);
  const int at = InferContext::normalize_axis(axis, t.rank());
  return gather(t, permutation(t.dim(at), generator), at);
}

}  // namespace random

Tensor dropout(const Operand& x, const Operand& ratio, const Operand& training, const Variable& generator) {
  return tandem::detail::named("dropout", x.location(), [&]() -> Tensor {
    const CallSite site(x);
    Tensor t = to_tensor(x);
    TD_CHECK(is_floating(t.dtype()), "dtype {} is not floating", t.dtype());
    if (training.is_number() && training.integer() == 0) return t;
    if (training.is_number() && ratio.is_number()) {
      const double share = ratio.floating();
      TD_CHECK(share >= 0 && share <= 1, "ratio {} is out of range; expected 0 to 1", share);
      return drop(t, 1 - share, share < 1 ? 1 / (1 - share) : 1, 1, generator)[0];
    }
    return drop_share(t, to_tensor(ratio, t.dtype()), to_tensor(training, DType::boolean), generator)[0];
  });
}

}  // namespace tandem
