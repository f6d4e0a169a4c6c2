// Random programs run in every way that must not matter: instruction set, layout, split into ranges,
// expanded or not, fused or not. Results are compared bit for bit, NaNs with NaNs.

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "kernel/math.h"
#include "kernel/program.h"
#include "tandem/error.h"

namespace td = tandem;
namespace k = tandem::kernel;
using td::DType;

namespace {

using Bytes = std::vector<uint8_t>;
constexpr DType compute_types[] = {DType::boolean, DType::u8,  DType::i8,  DType::u16, DType::i16, DType::u32,
                                   DType::i32,     DType::u64, DType::i64, DType::f32, DType::f64};
constexpr DType input_types[] = {DType::boolean, DType::u8,  DType::i16,  DType::u32, DType::i32, DType::i64,
                                 DType::u64,     DType::f16, DType::bf16, DType::f32, DType::f32, DType::f64};

struct Random {
  std::mt19937_64 engine;
  explicit Random(uint64_t seed) : engine(seed) {}
  int below(int n) { return static_cast<int>(engine() % static_cast<uint64_t>(n)); }
  bool chance(int percent) { return below(100) < percent; }
};

Bytes sample_data(Random& random, DType type, int64_t count) {
  Bytes data(static_cast<size_t>(count) * td::size_of(type));
  for (int64_t i = 0; i < count; ++i) {
    uint64_t bits = random.engine();
    const double plain = static_cast<double>(static_cast<int64_t>(bits)) / 0x1p61;
    const bool wild = random.chance(5);
    switch (type) {
      case DType::boolean:
        bits &= 1;
        break;
      case DType::f16:
        bits = wild ? bits & 0xffff : td::Half(static_cast<float>(plain)).bits;
        break;
      case DType::bf16:
        bits = wild ? bits & 0xffff : td::BFloat16(static_cast<float>(plain)).bits;
        break;
      case DType::f32:
        bits = wild ? bits & 0xffffffff : std::bit_cast<uint32_t>(static_cast<float>(plain));
        break;
      case DType::f64:
        bits = wild ? bits : std::bit_cast<uint64_t>(plain);
        break;
      default:
        if (!wild) bits = static_cast<uint64_t>(static_cast<int64_t>(bits % 41) - 20);
    }
    std::memcpy(data.data() + static_cast<size_t>(i) * td::size_of(type), &bits, td::size_of(type));
  }
  return data;
}

bool same(const Bytes& a, const Bytes& b, DType type) {
  if (a == b) return true;
  const size_t size = td::size_of(type);
  const auto is_nan = [&](const uint8_t* p) {
    uint64_t bits = 0;
    std::memcpy(&bits, p, size);
    switch (type) {
      case DType::f16:
        return (bits & 0x7fff) > 0x7c00;
      case DType::bf16:
        return (bits & 0x7fff) > 0x7f80;
      case DType::f32:
        return (bits & 0x7fffffff) > 0x7f800000;
      case DType::f64:
        return (bits & 0x7fffffffffffffff) > 0x7ff0000000000000;
      default:
        return false;
    }
  };
  for (size_t i = 0; i < a.size(); i += size)
    if (std::memcmp(&a[i], &b[i], size) != 0 && !(is_nan(&a[i]) && is_nan(&b[i]))) return false;
  return true;
}

k::Value random_value(Random& random, std::vector<k::Value>& values, DType type) {
  for (int attempt = 0; attempt < 8; ++attempt) {
    const k::Value v = values[static_cast<size_t>(random.below(static_cast<int>(values.size())))];
    if (v.type == type) return v;
  }
  const k::Value v = values[static_cast<size_t>(random.below(static_cast<int>(values.size())))];
  if (random.chance(30))
    return v.builder->constant(type, random.below(9) - 2 + (td::is_floating(type) ? 0.75 : 0));
  return k::convert(v, type);
}

void grow(Random& random, std::vector<k::Value>& values, bool rows) {
  const DType type = random.chance(50)
                         ? values[static_cast<size_t>(random.below(static_cast<int>(values.size())))].type
                         : compute_types[random.below(std::size(compute_types))];
  const auto any = [&] { return random_value(random, values, type); };
  const k::Value a = any(), b = any();
  k::Value r;
  if (rows && random.chance(25)) {
    const int which = random.below(4);
    if (which == 2 || type == DType::boolean)
      r = k::reduce_maximum(a);
    else if (which == 3)
      r = k::reduce_minimum(a);
    else
      r = which == 0 ? k::reduce_sum(a) : k::reduce_product(a);
  } else if (random.chance(25)) {
    switch (random.below(6)) {
      case 0:
        r = k::less(a, b);
        break;
      case 1:
        r = k::less_equal(a, b);
        break;
      case 2:
        r = k::equal(a, b);
        break;
      case 3:
        r = k::not_equal(a, b);
        break;
      default:
        r = k::select(random_value(random, values, DType::boolean), a, b);
    }
  } else if (type == DType::boolean) {
    r = random.chance(50)   ? k::bit_xor(a, b)
        : random.chance(50) ? k::bit_and(a, k::bit_not(b))
                            : k::maximum(a, b);
  } else if (td::is_floating(type)) {
    switch (random.below(26)) {
      case 0:
        r = a + b;
        break;
      case 1:
        r = a - b;
        break;
      case 2:
        r = a * b;
        break;
      case 3:
        r = a / b;
        break;
      case 4:
        r = k::fma(a, b, any());
        break;
      case 5:
        r = k::minimum(a, b);
        break;
      case 6:
        r = k::maximum(a, b);
        break;
      case 7:
        r = k::sqrt(k::abs(a));
        break;
      case 8:
        r = k::floor(a);
        break;
      case 9:
        r = k::round(a);
        break;
      case 10:
        r = -a;
        break;
      case 11:
        r = k::copysign(a, b);
        break;
      case 12:
        r = k::fmod(a, b);
        break;
      case 13:
        r = k::modulo(a, b);
        break;
      case 14:
        r = k::exp(a);
        break;
      case 15:
        r = k::log(k::abs(a));
        break;
      case 16:
        r = k::tanh(a);
        break;
      case 17:
        r = k::erf(a);
        break;
      case 18:
        r = k::sin(a);
        break;
      case 19:
        r = k::pow(k::abs(a), b);
        break;
      case 20:
        r = k::sigmoid(a);
        break;
      case 21:
        r = k::convert(a, random.chance(50) ? DType::f16 : DType::bf16);
        break;
      case 22:
        r = k::ceil(a);
        break;
      case 23:
        r = k::trunc(a);
        break;
      case 24:
        r = k::is_nan(a);
        break;
      default:
        r = k::sign(a);
    }
  } else {
    switch (random.below(11)) {
      case 0:
        r = a + b;
        break;
      case 1:
        r = a - b;
        break;
      case 2:
        r = a * b;
        break;
      case 3:
        r = k::bit_xor(a, b);
        break;
      case 4:
        r = k::bit_or(a, b);
        break;
      case 5:
        r = k::shift_left(a, k::bit_and(b, k::constant_like(b, 7)));
        break;
      case 6:
        r = k::shift_right(a, b);
        break;
      case 7:
        r = k::minimum(a, b);
        break;
      case 8:
        r = k::maximum(a, b);
        break;
      case 9:
        r = a / k::bit_or(b, k::constant_like(b, 1));
        break;
      default:
        r = k::modulo(a, k::bit_or(b, k::constant_like(b, 1)));
    }
  }
  // f16 and bf16 come back as f32, which is what the rest expects.
  values.push_back(r);
}

struct Made {
  k::ProgramRef program;
  std::vector<DType> inputs, outputs;
};

Made make(Random& random, bool rows, int most) {
  Made made;
  for (int i = 0, n = 1 + random.below(3); i < n; ++i)
    made.inputs.push_back(input_types[random.below(std::size(input_types))]);
  k::Builder b(made.inputs);
  std::vector<k::Value> values;
  for (size_t i = 0; i < made.inputs.size(); ++i) values.push_back(b.input(static_cast<int>(i)));
  if (!rows && random.chance(20)) values.push_back(k::element_index(b));
  if (rows && random.chance(20)) values.push_back(k::row_count(b, DType::f32));
  for (int i = 0, n = 1 + random.below(most); i < n; ++i) grow(random, values, rows);
  for (int i = 0, n = 1 + random.below(2); i < n; ++i) {
    const k::Value v =
        i == 0 ? values.back() : values[static_cast<size_t>(random.below(static_cast<int>(values.size())))];
    const DType dtype = v.type == DType::f32 && random.chance(30) ? DType::f16 : v.type;
    made.outputs.push_back(dtype);
    b.output(v, dtype);
  }
  made.program = b.finish();
  return made;
}

/// A strided copy of dense data: dimensions in another order, with a gap after each run.
struct Strided {
  Bytes data;
  td::Strides strides;
};
Strided lay_out(Random& random, const td::Shape& shape, const Bytes& dense, size_t size, bool gaps) {
  std::vector<int> order(static_cast<size_t>(shape.rank()));
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int>(i);
  std::shuffle(order.begin(), order.end(), random.engine);
  Strided s;
  s.strides = td::Dims::filled(shape.rank(), 0);
  int64_t stride = 1;
  for (int d : order) {
    s.strides[d] = stride;
    stride = stride * shape[d] + (gaps && random.chance(40) ? 3 : 0);
  }
  s.data.resize(static_cast<size_t>(stride + 1) * size);
  const td::Strides plain = td::contiguous_strides(shape);
  for (int64_t i = 0; i < shape.element_count(); ++i) {
    int64_t from = i, to = 0;
    for (int d = 0; d < shape.rank(); ++d) {
      to += from / plain[d] * s.strides[d];
      from %= plain[d];
    }
    if (!dense.empty())
      std::memcpy(&s.data[static_cast<size_t>(to) * size], &dense[static_cast<size_t>(i) * size], size);
  }
  return s;
}
Bytes gather(const td::Shape& shape, const Strided& s, size_t size) {
  Bytes dense(static_cast<size_t>(shape.element_count()) * size);
  const td::Strides plain = td::contiguous_strides(shape);
  for (int64_t i = 0; i < shape.element_count(); ++i) {
    int64_t rest = i, at = 0;
    for (int d = 0; d < shape.rank(); ++d) {
      at += rest / plain[d] * s.strides[d];
      rest %= plain[d];
    }
    std::memcpy(&dense[static_cast<size_t>(i) * size], &s.data[static_cast<size_t>(at) * size], size);
  }
  return dense;
}

int rounds(int standard) {
  const char* text = std::getenv("TANDEM_FUZZ_ROUNDS");
  return text != nullptr ? std::atoi(text) : standard;
}

std::vector<Bytes> outputs_for(const Made& made, int64_t count) {
  std::vector<Bytes> result;
  for (DType type : made.outputs) result.emplace_back(static_cast<size_t>(count) * td::size_of(type));
  return result;
}
std::vector<void*> addresses(std::vector<Bytes>& buffers) {
  std::vector<void*> result;
  for (Bytes& b : buffers) result.push_back(b.data());
  return result;
}

td::Shape random_shape(Random& random) {
  td::Shape shape;
  for (int d = 0, rank = 1 + random.below(4); d < rank; ++d) {
    constexpr int64_t sizes[] = {1, 2, 3, 5, 8, 17, 40, 130, 300};
    shape.push_back(sizes[random.below(rank == 1 ? 9 : rank == 2 ? 8 : 6)]);
  }
  if (random.chance(20)) shape[shape.rank() - 1] = random.chance(50) ? 3000 : 600;
  return shape;
}

}  // namespace

TEST(KernelFuzz, ElementPrograms) {
  for (int seed = 0; seed < rounds(150); ++seed) {
    SCOPED_TRACE(seed);
    Random random(static_cast<uint64_t>(seed));
    const Made made = make(random, false, 12);
    const td::Shape shape = random_shape(random);
    const int64_t count = shape.element_count();
    // Operands, some broadcast along some dimensions.
    std::vector<Bytes> dense;
    std::vector<Strided> strided;
    for (DType type : made.inputs) {
      td::Shape own = shape;
      for (int d = 0; d < shape.rank(); ++d)
        if (random.chance(25)) own[d] = 1;
      const Bytes data = sample_data(random, type, own.element_count());
      Strided s = lay_out(random, own, data, td::size_of(type), true);
      for (int d = 0; d < shape.rank(); ++d)
        if (own[d] == 1) s.strides[d] = 0;
      dense.push_back(gather(shape, s, td::size_of(type)));
      strided.push_back(std::move(s));
    }
    std::vector<const void*> flat_inputs, nest_inputs;
    std::vector<td::Strides> strides;
    for (size_t i = 0; i < dense.size(); ++i) {
      flat_inputs.push_back(dense[i].data());
      nest_inputs.push_back(strided[i].data.data());
      strides.push_back(strided[i].strides);
    }
    std::vector<Bytes> expected;
    for (const char* set : {"baseline", "avx2", "avx512"}) {
      if (!k::set_instruction_set(set)) continue;
      for (const k::ProgramRef& program : {made.program, k::expand(*made.program)}) {
        auto flat = outputs_for(made, count), nested = outputs_for(made, count);
        k::run_flat(*program, flat_inputs.data(), 0, addresses(flat).data(), count);
        if (expected.empty()) expected = flat;
        const auto nest = k::LoopNest::elementwise(*program, shape, strides);
        ASSERT_EQ(nest.unit_count(), count);
        const int64_t cut = static_cast<int64_t>(random.engine() % static_cast<uint64_t>(count + 1));
        nest.run(nest_inputs.data(), addresses(nested).data(), cut, count);
        nest.run(nest_inputs.data(), addresses(nested).data(), 0, cut);
        for (size_t o = 0; o < expected.size(); ++o) {
          ASSERT_TRUE(same(flat[o], expected[o], made.outputs[o])) << set << "\n" << k::to_string(*program);
          ASSERT_TRUE(same(nested[o], expected[o], made.outputs[o]))
              << set << " " << td::to_string(shape) << "\n"
              << k::to_string(*program);
        }
      }
    }
  }
}

TEST(KernelFuzz, FusedProgramsGiveTheSameBits) {
  int fused = 0;
  for (int seed = 0; fused < rounds(150); ++seed) {
    SCOPED_TRACE(seed);
    Random random(static_cast<uint64_t>(seed) + 1000000);
    const Made first = make(random, false, 6), second = make(random, false, 6);
    size_t slot = 0;
    while (slot < second.inputs.size() && second.inputs[slot] != first.outputs[0]) ++slot;
    if (slot == second.inputs.size()) continue;
    ++fused;
    const int64_t count = 1 + random.below(3000);
    std::vector<Bytes> inputs;
    std::vector<const void*> first_inputs, second_inputs, all;
    for (DType type : first.inputs) inputs.push_back(sample_data(random, type, count));
    for (const Bytes& b : inputs) first_inputs.push_back(b.data());
    auto middle = outputs_for(first, count);
    k::run_flat(*first.program, first_inputs.data(), 0, addresses(middle).data(), count);
    std::vector<Bytes> others;
    for (DType type : second.inputs) others.push_back(sample_data(random, type, count));
    all = first_inputs;
    for (size_t i = 0; i < others.size(); ++i) {
      second_inputs.push_back(i == slot ? middle[0].data() : others[i].data());
      if (i != slot) all.push_back(others[i].data());
    }
    auto separate = outputs_for(second, count), together = outputs_for(second, count);
    k::run_flat(*second.program, second_inputs.data(), 0, addresses(separate).data(), count);
    const auto program = k::fuse(*first.program, *second.program, static_cast<int>(slot));
    k::run_flat(*program, all.data(), 0, addresses(together).data(), count);
    for (size_t o = 0; o < separate.size(); ++o)
      ASSERT_TRUE(same(separate[o], together[o], second.outputs[o])) << k::to_string(*program);
  }
}

TEST(KernelFuzz, RowPrograms) {
  for (int seed = 0; seed < rounds(150); ++seed) {
    SCOPED_TRACE(seed);
    Random random(static_cast<uint64_t>(seed) + 2000000);
    const Made made = make(random, true, 8);
    if (!k::has_rows(*made.program)) continue;
    td::Shape shape = random_shape(random);
    if (random.chance(5)) shape[shape.rank() - 1] = 9000;
    const int row_rank = 1 + random.below(shape.rank());
    std::vector<Bytes> dense;
    for (DType type : made.inputs) dense.push_back(sample_data(random, type, shape.element_count()));
    td::Shape outer = shape;
    outer.resize(shape.rank() - row_rank);
    std::vector<Bytes> expected;
    for (const char* set : {"baseline", "avx2", "avx512"}) {
      if (!k::set_instruction_set(set)) continue;
      for (int layout = 0; layout < 4; ++layout) {  // 0: everything dense
        std::vector<Strided> inputs, outputs;
        std::vector<td::Strides> input_strides, output_strides;
        std::vector<const void*> in;
        std::vector<void*> out;
        std::vector<td::Shape> output_shapes;
        for (size_t i = 0; i < dense.size(); ++i) {
          const size_t size = td::size_of(made.inputs[i]);
          inputs.push_back(layout == 0 ? Strided{dense[i], td::contiguous_strides(shape)}
                                       : lay_out(random, shape, dense[i], size, layout == 2));
          input_strides.push_back(inputs.back().strides);
        }
        for (size_t o = 0; o < made.outputs.size(); ++o) {
          const bool scalar = k::output_is_row_scalar(*made.program, static_cast<int>(o));
          output_shapes.push_back(scalar ? outer : shape);
          const td::Shape& own = output_shapes.back();
          const size_t size = td::size_of(made.outputs[o]);
          Strided s = layout == 0 ? Strided{Bytes(static_cast<size_t>(own.element_count()) * size),
                                            td::contiguous_strides(own)}
                                  : lay_out(random, own, {}, size, layout == 2);
          outputs.push_back(s);
          while (s.strides.rank() < shape.rank()) s.strides.push_back(0);
          output_strides.push_back(s.strides);
        }
        for (const Strided& s : inputs) in.push_back(s.data.data());
        for (Strided& s : outputs) out.push_back(s.data.data());
        const auto nest = k::LoopNest::rows(*made.program, shape, row_rank, input_strides, output_strides);
        const int64_t units = nest.unit_count(),
                      cut = static_cast<int64_t>(random.engine() % static_cast<uint64_t>(units + 1));
        nest.run(in.data(), out.data(), cut, units);
        nest.run(in.data(), out.data(), 0, cut);
        std::vector<Bytes> got;
        for (size_t o = 0; o < outputs.size(); ++o)
          got.push_back(gather(output_shapes[o], outputs[o], td::size_of(made.outputs[o])));
        if (expected.empty()) expected = got;
        for (size_t o = 0; o < got.size(); ++o)
          ASSERT_TRUE(same(got[o], expected[o], made.outputs[o]))
              << set << " layout " << layout << " " << td::to_string(shape) << " rows of " << row_rank << "\n"
              << k::to_string(*made.program);
      }
    }
  }
}

TEST(KernelFuzz, ErrorsLeaveEverythingUsable) {
  const DType types[] = {DType::i32, DType::i32};
  k::Builder b(types);
  b.output(k::reduce_sum(b.input(0) / b.input(1)) + b.constant(DType::i32, 1), DType::i32);
  const auto program = b.finish();
  for (td::Strides strides : {td::Strides{100, 1}, td::Strides{1, 50}}) {
    const td::Strides ins[] = {strides, strides}, outs[] = {{1, 0}};
    const auto nest = k::LoopNest::rows(*program, {50, 100}, 1, ins, outs);
    std::vector<int32_t> x(5000, 6), y(5000, 3), r(50);
    y[4321] = 0;
    const void* in[] = {x.data(), y.data()};
    void* out[] = {r.data()};
    for (int i = 0; i < 3; ++i) {
      try {
        nest.run(in, out, 0, 50);
        FAIL();
      } catch (const td::Error& e) {
        EXPECT_STREQ(e.what(), "integer division by zero");
      }
    }
    y[4321] = 3;
    nest.run(in, out, 0, 50);
    EXPECT_EQ(r, std::vector<int32_t>(50, 201));
  }
}
