// Comparisons, logic, bits, and selection.

#include "tandem/ops/logic.h"

#include <limits>

#include "kernel/math.h"
#include "ops/dispatch.h"
#include "ops/families.h"
#include "ops/variable_impl.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/math.h"
#include "tandem/ops/reduce.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

using kernel::Value;

struct Equal : Elementwise, NotDifferentiable {
  static constexpr std::string_view name = "Equal";
  static constexpr int since = 19;
  static constexpr TypeSet types = types::all;
  static constexpr uint32_t traits = commutative;
  static constexpr DType result_dtype = DType::boolean;
  static Value expression(Value a, Value b) { return equal(a, b); }
};

struct Where : Elementwise {
  static constexpr std::string_view name = "Where";
  static constexpr int since = 16;
  static constexpr std::array<InputDef, 3> inputs{
      {{"condition", types::boolean, 1, InputDef::no_gradient}, {"X"}, {"Y"}}};
  static DType result(const InferContext& c, const NoAttributes&) { return c.dtype(1); }
  static Value expression(Value condition, Value a, Value b) { return select(condition, a, b); }
  static Tensors gradient(const Gradient& g) {
    const Tensor zero = zeros_like(g.dy());
    return {{},
            g.needs(1) ? where(g.x(0), g.dy(), zero) : Tensor(),
            g.needs(2) ? where(g.x(0), zero, g.dy()) : Tensor()};
  }
};

/// Comparisons give bool and are flat.
struct Comparison : Elementwise, NotDifferentiable {
  static constexpr DType result_dtype = DType::boolean;
};

struct Less : Comparison {
  static constexpr std::string_view name = "Less";
  static constexpr int since = 13;
  static Value expression(Value a, Value b) { return less(a, b); }
};

struct LessOrEqual : Comparison {
  static constexpr std::string_view name = "LessOrEqual";
  static constexpr int since = 16;
  static Value expression(Value a, Value b) { return less_equal(a, b); }
};

struct Greater : Comparison {
  static constexpr std::string_view name = "Greater";
  static constexpr int since = 13;
  static Value expression(Value a, Value b) { return greater(a, b); }
};

struct GreaterOrEqual : Comparison {
  static constexpr std::string_view name = "GreaterOrEqual";
  static constexpr int since = 16;
  static Value expression(Value a, Value b) { return greater_equal(a, b); }
};

struct Logical : Elementwise, NotDifferentiable {
  static constexpr TypeSet types = types::boolean;
  static constexpr uint32_t traits = commutative;
  static constexpr int since = 7;
};

struct And : Logical {
  static constexpr std::string_view name = "And";
  static Value expression(Value a, Value b) { return bit_and(a, b); }
};

struct Or : Logical {
  static constexpr std::string_view name = "Or";
  static Value expression(Value a, Value b) { return bit_or(a, b); }
};

struct Xor : Logical {
  static constexpr std::string_view name = "Xor";
  static Value expression(Value a, Value b) { return bit_xor(a, b); }
};

struct Not : Logical {
  static constexpr std::string_view name = "Not";
  static constexpr int since = 1;
  static constexpr uint32_t traits = involution;
  static Value expression(Value x) { return bit_not(x); }
};

/// The bits of integers of any width as booleans in a new last axis of 64, the lowest first; and back.
Tensor to_bits(const Tensor& x) {
  const Tensor places = arange(64, DType::u64);
  const Tensor shifted = bit_shift(unsqueeze(cast(x, DType::u64), {-1}), places, "RIGHT");
  return cast(mod(shifted, Tensor(2, DType::u64)), DType::boolean);
}
Tensor from_bits(const Tensor& bits, DType dtype) {
  const Tensor shifted = bit_shift(cast(bits, DType::u64), arange(64, DType::u64), "LEFT");
  return cast(reduce_sum(cast(shifted, DType::i64), {-1}), dtype);
}

struct Bitwise : Elementwise, NotDifferentiable {
  static constexpr TypeSet types = types::integer;
  static constexpr uint32_t traits = commutative;
  static constexpr int since = 18;
  static constexpr double low = 0, high = 100;
};

struct BitwiseAnd : Bitwise {
  static constexpr std::string_view name = "BitwiseAnd";
  static Value expression(Value a, Value b) { return bit_and(a, b); }
  static Tensors decomposition(std::span<const Tensor> in, const NoAttributes&) {
    return {from_bits(logical_and(to_bits(in[0]), to_bits(in[1])), in[0].dtype())};
  }
};

struct BitwiseOr : Bitwise {
  static constexpr std::string_view name = "BitwiseOr";
  static Value expression(Value a, Value b) { return bit_or(a, b); }
  static Tensors decomposition(std::span<const Tensor> in, const NoAttributes&) {
    return {from_bits(logical_or(to_bits(in[0]), to_bits(in[1])), in[0].dtype())};
  }
};

struct BitwiseXor : Bitwise {
  static constexpr std::string_view name = "BitwiseXor";
  static Value expression(Value a, Value b) { return bit_xor(a, b); }
  static Tensors decomposition(std::span<const Tensor> in, const NoAttributes&) {
    return {from_bits(logical_xor(to_bits(in[0]), to_bits(in[1])), in[0].dtype())};
  }
};

struct BitwiseNot : Bitwise {
  static constexpr std::string_view name = "BitwiseNot";
  static constexpr uint32_t traits = involution;
  static Value expression(Value x) { return bit_not(x); }
  static Tensors decomposition(std::span<const Tensor> in, const NoAttributes&) {
    return {from_bits(logical_not(to_bits(in[0])), in[0].dtype())};
  }
};

struct BitShift : Elementwise, NotDifferentiable {
  static constexpr std::string_view name = "BitShift";
  static constexpr int since = 11;
  static constexpr TypeSet types =
      type_bit(DType::u8) | type_bit(DType::u16) | type_bit(DType::u32) | type_bit(DType::u64);
  struct Attributes {
    Word direction = "LEFT";
    static constexpr auto fields() { return std::tuple{field("direction", &Attributes::direction)}; }
  };
  static DType result(const InferContext& c, const Attributes& a) {
    TD_CHECK(a.direction == "LEFT" || a.direction == "RIGHT",
             "direction \"{}\" is unknown; allowed are \"LEFT\" and \"RIGHT\"",
             std::string_view(a.direction));
    return c.dtype(0);
  }
  static Value expression(const Attributes& a, Value x, Value y) {
    return a.direction == "LEFT" ? shift_left(x, y) : shift_right(x, y);
  }
  static std::vector<Sample> samples() {
    const Attributes right{.direction = "RIGHT"};
    const Tensor x({1, 16, 200}, DType::u8), y({1, 2, 9}, DType::u8);
    return {{{x, y}, {}}, {{x, y}, AttributeBox(attribute_type<Attributes>, &right)}};
  }
};

struct IsNaN : Elementwise, NotDifferentiable {
  static constexpr std::string_view name = "IsNaN";
  static constexpr int since = 20;
  static constexpr TypeSet types = types::floating;
  static constexpr DType result_dtype = DType::boolean;
  static Value expression(Value x) { return is_nan(x); }
  static std::vector<Sample> samples() { return {{{special_values()}, {}}}; }
  static Tensor special_values() {
    const float infinity = std::numeric_limits<float>::infinity();
    return Tensor({1.f, std::numeric_limits<float>::quiet_NaN(), infinity, -infinity, -0.f});
  }
};

struct IsInf : Elementwise, NotDifferentiable {
  static constexpr std::string_view name = "IsInf";
  static constexpr int since = 20;
  static constexpr TypeSet types = types::floating;
  static constexpr DType result_dtype = DType::boolean;
  struct Attributes {
    bool detect_negative = true, detect_positive = true;
    static constexpr auto fields() {
      return std::tuple{field("detect_negative", &Attributes::detect_negative),
                        field("detect_positive", &Attributes::detect_positive)};
    }
  };
  static Value expression(const Attributes& a, Value x) {
    if (a.detect_negative && a.detect_positive) return is_inf(x);
    const Value zero = constant_like(x, 0);
    if (a.detect_negative) return bit_and(is_inf(x), less(x, zero));
    if (a.detect_positive) return bit_and(is_inf(x), greater(x, zero));
    return bit_and(is_inf(x), is_nan(x));  // never
  }
  static std::vector<Sample> samples() {
    std::vector<Sample> all;
    for (int i = 0; i < 4; ++i) {
      const Attributes a{(i & 1) != 0, (i & 2) != 0};
      all.push_back({{IsNaN::special_values()}, AttributeBox(attribute_type<Attributes>, &a)});
    }
    return all;
  }
};

constexpr const OpDef* logic_table[] = {
    &op_def<Equal>,          &op_def<Where>,     &op_def<Less>,       &op_def<LessOrEqual>, &op_def<Greater>,
    &op_def<GreaterOrEqual>, &op_def<And>,       &op_def<Or>,         &op_def<Xor>,         &op_def<Not>,
    &op_def<BitwiseAnd>,     &op_def<BitwiseOr>, &op_def<BitwiseXor>, &op_def<BitwiseNot>,  &op_def<BitShift>,
    &op_def<IsNaN>,          &op_def<IsInf>};

/// Whether `&` and its kin mean logic on these operands: the first tensor decides.
bool is_logical(std::initializer_list<const Operand*> operands) {
  for (const Operand* o : operands) {
    if (o->is_tensor()) return o->tensor_impl()->dtype == DType::boolean;
    if (o->kind() == Operand::Kind::variable) return o->variable_impl()->spec.dtype == DType::boolean;
  }
  return true;
}

}  // namespace

std::span<const OpDef* const> logic_ops() { return logic_table; }

Tensor equal(const Operand& a, const Operand& b) { return dispatch<Equal>({}, a, b); }
Tensor not_equal(const Operand& a, const Operand& b) {
  const std::array<const Operand*, 2> operands{&a, &b};
  const CallSite site(location_of(operands));
  return logical_not(equal(a, b));
}
Tensor less(const Operand& a, const Operand& b) { return dispatch<Less>({}, a, b); }
Tensor less_or_equal(const Operand& a, const Operand& b) { return dispatch<LessOrEqual>({}, a, b); }
Tensor greater(const Operand& a, const Operand& b) { return dispatch<Greater>({}, a, b); }
Tensor greater_or_equal(const Operand& a, const Operand& b) { return dispatch<GreaterOrEqual>({}, a, b); }
Tensor where(const Operand& condition, const Operand& a, const Operand& b) {
  return dispatch<Where>({}, condition, a, b);
}

Tensor logical_and(const Operand& a, const Operand& b) { return dispatch<And>({}, a, b); }
Tensor logical_or(const Operand& a, const Operand& b) { return dispatch<Or>({}, a, b); }
Tensor logical_xor(const Operand& a, const Operand& b) { return dispatch<Xor>({}, a, b); }
Tensor logical_not(const Operand& x) { return dispatch<Not>({}, x); }
Tensor bitwise_and(const Operand& a, const Operand& b) { return dispatch<BitwiseAnd>({}, a, b); }
Tensor bitwise_or(const Operand& a, const Operand& b) { return dispatch<BitwiseOr>({}, a, b); }
Tensor bitwise_xor(const Operand& a, const Operand& b) { return dispatch<BitwiseXor>({}, a, b); }
Tensor bitwise_not(const Operand& x) { return dispatch<BitwiseNot>({}, x); }
Tensor bit_shift(const Operand& x, const Operand& amount, std::string_view direction) {
  return dispatch<BitShift>({direction}, x, amount);
}
Tensor is_nan(const Operand& x) { return dispatch<IsNaN>({}, x); }
Tensor is_inf(const Operand& x, bool detect_negative, bool detect_positive) {
  return dispatch<IsInf>({detect_negative, detect_positive}, x);
}

Tensor operator==(const Operand& a, const Operand& b) { return equal(a, b); }
Tensor operator!=(const Operand& a, const Operand& b) { return not_equal(a, b); }
Tensor operator<(const Operand& a, const Operand& b) { return less(a, b); }
Tensor operator<=(const Operand& a, const Operand& b) { return less_or_equal(a, b); }
Tensor operator>(const Operand& a, const Operand& b) { return greater(a, b); }
Tensor operator>=(const Operand& a, const Operand& b) { return greater_or_equal(a, b); }
Tensor operator&(const Operand& a, const Operand& b) {
  return is_logical({&a, &b}) ? logical_and(a, b) : bitwise_and(a, b);
}
Tensor operator|(const Operand& a, const Operand& b) {
  return is_logical({&a, &b}) ? logical_or(a, b) : bitwise_or(a, b);
}
Tensor operator^(const Operand& a, const Operand& b) {
  return is_logical({&a, &b}) ? logical_xor(a, b) : bitwise_xor(a, b);
}
Tensor operator~(const Operand& x) { return is_logical({&x}) ? logical_not(x) : bitwise_not(x); }

}  // namespace tandem
