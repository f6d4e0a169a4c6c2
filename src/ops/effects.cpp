// Effects: printing and checking each time a graph runs.

#include <iostream>
#include <mutex>
#include <sstream>

#include "ops/dispatch.h"
#include "ops/families.h"
#include "tandem/control_flow.h"

namespace tandem {

namespace {

std::ostream*& print_stream() {
  static std::ostream* stream = &std::cout;
  return stream;
}
std::mutex& print_mutex() {
  static std::mutex m;
  return m;
}

struct TextAttributes {
  std::string text;
  static constexpr auto fields() { return std::tuple{field("text", &TextAttributes::text)}; }
};

struct Print : NotDifferentiable {
  static constexpr std::string_view name = "Print", domain = "ai.tandem";
  using Attributes = TextAttributes;
  static constexpr std::array<InputDef, 1> inputs{{{"values", types::all, -1, InputDef::variadic}}};
  static constexpr int outputs = 0;
  static constexpr uint32_t traits = effect;
  static void infer(InferContext&, const Attributes&) {}
  static void run_tensors(const Attributes& a, std::span<const Tensor> in, std::span<Tensor>) {
    std::ostringstream line;
    line << a.text;
    for (size_t i = 0; i < in.size(); ++i) line << (i == 0 && a.text.empty() ? "" : " ") << in[i];
    line << '\n';
    const std::lock_guard<std::mutex> lock(print_mutex());
    *print_stream() << line.str() << std::flush;
  }
  static std::vector<Sample> samples() {
    const Attributes a{"print"};
    return {{{Tensor({1.f, 2.f})}, AttributeBox(attribute_type<Attributes>, &a), false}};
  }
};

struct Assert : NotDifferentiable {
  static constexpr std::string_view name = "Assert", domain = "ai.tandem";
  using Attributes = TextAttributes;
  static constexpr std::array<InputDef, 2> inputs{
      {{"condition", types::boolean, 1}, {"values", types::all, -1, InputDef::variadic}}};
  static constexpr int outputs = 0;
  static constexpr uint32_t traits = effect;
  static void infer(InferContext& c, const Attributes&) {
    TD_CHECK(c.shape(0).element_count() == 1 || c.shape(0).element_count() == -1,
             "the condition has shape {}; a scalar bool is needed", c.shape(0));
  }
  static void run_tensors(const Attributes& a, std::span<const Tensor> in, std::span<Tensor>) {
    if (*in[0].contiguous().data<bool>()) return;
    std::string text = a.text;
    for (const Tensor& t : in.subspan(1)) text += " " + to_string(t);
    fail(ErrorCode::invalid_argument, "{}", text);
  }
  static std::vector<Sample> samples() { return {{{Tensor(true)}, {}, false}}; }
};

constexpr const OpDef* effect_table[] = {&op_def<Print>, &op_def<Assert>};

template <class Op>
void apply_effect(const TextAttributes& a, const Tensor* first, const std::vector<Tensor>& tensors,
                  Location where) {
  std::vector<Operand> operands;
  if (first) operands.emplace_back(*first, where);
  for (const Tensor& t : tensors) operands.emplace_back(t, where);
  std::vector<const Operand*> list;
  for (const Operand& o : operands) list.push_back(&o);
  const CallSite site(where);
  Tensors none;
  apply(op_def<Op>, &a, list, none);
}

}  // namespace

std::span<const OpDef* const> effect_ops() { return effect_table; }

void print(const std::string& text, const std::vector<Tensor>& tensors, Location where) {
  apply_effect<Print>({text}, nullptr, tensors, where);
}

void set_print_stream(std::ostream* stream) {
  const std::lock_guard<std::mutex> lock(print_mutex());
  print_stream() = stream ? stream : &std::cout;
}

void check(const Tensor& condition, const std::string& message, const std::vector<Tensor>& tensors,
           Location where) {
  apply_effect<Assert>({message}, &condition, tensors, where);
}

}  // namespace tandem
