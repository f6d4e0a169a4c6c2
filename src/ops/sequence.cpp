// Operations on sequences of different lengths.

#include <cstring>

#include "ops/dispatch.h"
#include "ops/elements.h"
#include "ops/families.h"
#include "tandem/ops/creation.h"
#include "tandem/ops/math.h"
#include "tandem/ops/shape.h"

namespace tandem {

namespace {

struct ReverseSequence {
  static constexpr std::string_view name = "ReverseSequence";
  static constexpr int since = 28;
  static constexpr uint32_t traits = moves_only;
  struct Attributes {
    int64_t batch_axis = 1, time_axis = 0;
    static constexpr auto fields() {
      return std::tuple{field("batch_axis", &Attributes::batch_axis),
                        field("time_axis", &Attributes::time_axis)};
    }
  };
  static constexpr std::array<InputDef, 2> inputs{
      {{"input"}, {"sequence_lens", types::i64, 1, InputDef::no_gradient}}};
  static void infer(InferContext& c, const Attributes& a) {
    const Shape &x = c.shape(0), &lengths = c.shape(1);
    TD_CHECK(x.rank() >= 2, "the input has shape {}; two dimensions are needed at least", x);
    TD_CHECK((a.batch_axis == 0 && a.time_axis == 1) || (a.batch_axis == 1 && a.time_axis == 0),
             "batch_axis is {} and time_axis {}; one must be 0 and the other 1", a.batch_axis, a.time_axis);
    const int64_t batch = x[static_cast<int>(a.batch_axis)];
    TD_CHECK(lengths.rank() == 1 && (lengths[0] == batch || lengths[0] < 0 || batch < 0),
             "sequence_lens has shape {}; ({},) is needed", lengths, batch);
    c.output(c.dtype(0), x);
  }
  static void kernel(const KernelContext& k, const Attributes& a) {
    const Shape& shape = k.inputs[0].shape;
    const int64_t steps = shape[static_cast<int>(a.time_axis)];
    const auto block = static_cast<size_t>(product(shape, 2, shape.rank())) * size_of(k.inputs[0].dtype);
    const auto* from = static_cast<const std::byte*>(k.inputs[0].data);
    auto* to = static_cast<std::byte*>(k.outputs[0].data);
    for (int64_t i = 0; i < shape[0]; ++i)
      for (int64_t j = 0; j < shape[1]; ++j) {
        const int64_t batch = a.batch_axis == 0 ? i : j, time = a.batch_axis == 0 ? j : i;
        const int64_t length = integer_at(k.inputs[1], batch);
        TD_CHECK(length >= 0 && length <= steps, "sequence {} has length {}; allowed are 0 to {}", batch,
                 length, steps);
        const int64_t source = time < length ? length - 1 - time : time;
        const int64_t at = a.batch_axis == 0 ? i * shape[1] + source : source * shape[1] + j;
        if (block == 0) continue;  // nothing to copy, and nothing to copy from
        std::memcpy(to + static_cast<size_t>(i * shape[1] + j) * block,
                    from + static_cast<size_t>(at) * block, block);
      }
  }
  static Tensors gradient(const Gradient& g, const Attributes& a) {
    return {reverse_sequence(g.dy(), g.x(1), a.batch_axis, a.time_axis), {}};
  }
  static std::vector<Sample> samples() {
    const Tensor x({{1.f, 2.f, 3.f}, {4.f, 5.f, 6.f}, {7.f, 8.f, 9.f}});
    const Tensor lengths({3, 0, 2}, DType::i64);
    return {{{x, lengths}, {}},
            {{x, lengths}, boxed(Attributes{0, 1})},
            {{transpose(stack({x, x + 0.5f, -x}), {0, 2, 1}), lengths}, {}},
            {{zeros({2, 3, 0}), Tensor({2, 0, 1}, DType::i64)}, {}},
            {{zeros({0, 3}), zeros({3}, DType::i64)}, {}}};
  }
};

constexpr const OpDef* sequence_table[] = {&op_def<ReverseSequence>};

}  // namespace

std::span<const OpDef* const> sequence_ops() { return sequence_table; }

Tensor reverse_sequence(const Operand& x, const Operand& lengths, int64_t batch_axis, int64_t time_axis) {
  return dispatch<ReverseSequence>({batch_axis, time_axis}, x, lengths);
}

}  // namespace tandem
