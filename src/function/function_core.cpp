#include "function/function_core.h"

#include <algorithm>
#include <chrono>
#include <iostream>

#include "function/trace_mode.h"
#include "graph/text.h"
#include "ops/dispatch.h"
#include "ops/variable_impl.h"

namespace tandem {

namespace {
std::atomic<bool> eager_functions{false};
}

void run_functions_eagerly(bool on) { eager_functions = on; }
bool functions_run_eagerly() { return eager_functions; }

namespace detail {

constinit thread_local uint32_t trace_context = 0;

namespace {

constexpr int recursion_limit = 64;
constexpr int warn_at_trace = 5;
constexpr int warning_limit = 2;

double microseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
}

// A known size fits itself. A symbolic one fits any size but 0 and 1: a trace made at 1 would broadcast.
bool dim_fits(int64_t pattern, int64_t size) { return pattern == size || (pattern < 0 && size > 1); }

bool spec_fits(const Spec& pattern, const TensorImpl& t) {
  if (t.dtype != pattern.dtype || t.shape.rank() != pattern.shape.rank()) return false;
  for (int i = 0; i < t.shape.rank(); ++i)
    if (!dim_fits(pattern.shape[i], t.shape[i])) return false;
  return true;
}

std::string describe(const Spec& s) { return fmt::format("{}{}", s.dtype, s.shape); }

void check_defined(std::span<const Tensor> tensors) {
  for (size_t i = 0; i < tensors.size(); ++i)
    TD_CHECK(tensors[i].defined(), "argument {} is an empty tensor handle", i);
}

}  // namespace

// ---- traces

bool FunctionTrace::accepts(std::span<const Tensor> tensors, const std::string& key) const {
  if (tensors.size() != inputs.size() || context != trace_context || key != static_key) return false;
  for (size_t i = 0; i < tensors.size(); ++i)
    if (!spec_fits(inputs[i], *tensors[i].impl())) return false;
  return true;
}

bool FunctionTrace::accepts(std::span<const Tensor* const> tensors) const {
  if (tensors.size() != inputs.size() || context != trace_context) return false;
  for (size_t i = 0; i < tensors.size(); ++i)
    if (!spec_fits(inputs[i], *tensors[i]->impl())) return false;
  return true;
}

FunctionCore::FunctionCore(FunctionOptions options) : options_(std::move(options)) {
  pipeline_.disabled = options_.disabled_passes;
  pipeline_.fast_math = options_.fast_math;
  lists_.push_back(std::make_unique<const List>());
  list_.store(lists_.back().get());
}

FunctionTrace* FunctionCore::find(std::span<const Tensor> tensors, const std::string& key) const {
  const List* list = list_.load(std::memory_order_acquire);
  FunctionTrace* general = nullptr;
  for (const auto& t : list->traces) {
    if (!t->accepts(tensors, key)) continue;
    // The exact trace is preferred to a general one.
    if (std::all_of(t->inputs.begin(), t->inputs.end(), [](const Spec& s) { return s.shape.is_static(); }))
      return t.get();
    if (!general) general = t.get();
  }
  return general;
}

FunctionTrace* FunctionCore::find_simple(std::span<const Tensor* const> tensors) const {
  const List* list = list_.load(std::memory_order_acquire);
  if (list->traces.size() == 1) return list->traces[0]->accepts(tensors) ? list->traces[0].get() : nullptr;
  std::vector<Tensor> copies;
  for (const Tensor* t : tensors) copies.push_back(*t);
  return find(copies, {});
}

std::vector<FunctionTrace*> FunctionCore::traces() const {
  std::vector<FunctionTrace*> result;
  for (const auto& t : list_.load(std::memory_order_acquire)->traces) result.push_back(t.get());
  return result;
}

std::string FunctionCore::describe() const { return options_.name.empty() ? "function" : options_.name; }

void FunctionCore::check_signature(const FunctionCall& call) const {
  const std::vector<Spec>& signature = options_.input_signature;
  if (signature.empty()) return;
  TD_CHECK(signature.size() == call.tensors.size(), "the input signature has {} tensors and the call {}",
           signature.size(), call.tensors.size());
  for (size_t i = 0; i < signature.size(); ++i) {
    const Spec s = detail::coded_spec(call.tensors[i]);
    bool fits = s.dtype == signature[i].dtype && s.shape.rank() == signature[i].shape.rank();
    for (int d = 0; fits && d < s.shape.rank(); ++d)
      fits = signature[i].shape[d] < 0 || signature[i].shape[d] == s.shape[d];
    TD_CHECK(fits, "argument {} is {}, which the input signature {} does not allow", i, detail::describe(s),
             detail::describe(signature[i]));
  }
}

// The specs of the next trace: those of the call, with sizes made symbolic where an earlier trace had another
// size.
std::vector<Spec> FunctionCore::specs_for(const FunctionCall& call, const std::string& key,
                                          std::string& reason) const {
  std::vector<Spec> specs;
  for (const Tensor& t : call.tensors) specs.push_back(detail::coded_spec(t));
  int64_t symbol = symbol_base;
  if (!options_.input_signature.empty()) {
    reason = "the input signature";
    for (size_t i = 0; i < specs.size(); ++i)
      for (int d = 0; d < specs[i].shape.rank(); ++d)
        // A size of 0 or 1 keeps a trace of its own: it would broadcast.
        if (options_.input_signature[i].shape[d] < 0 && specs[i].shape[d] > 1) specs[i].shape[d] = symbol--;
    return specs;
  }
  const List* list = list_.load(std::memory_order_acquire);
  if (list->traces.empty()) {
    reason = "first call";
    return specs;
  }
  // The trace nearest to the call says what changed.
  const FunctionTrace* nearest = nullptr;
  bool same_kind = false;
  for (size_t i = list->traces.size(); i-- > 0 && !same_kind;) {
    const FunctionTrace& t = *list->traces[i];
    bool match = t.static_key == key && t.context == trace_context && t.inputs.size() == specs.size();
    for (size_t k = 0; match && k < specs.size(); ++k)
      match = t.inputs[k].dtype == specs[k].dtype && t.inputs[k].shape.rank() == specs[k].shape.rank();
    if (match || !nearest) nearest = &t;
    same_kind = match;
  }
  std::vector<std::string> changes;
  if (nearest->context != trace_context) changes.push_back("the caller changed a mode, such as training");
  if (nearest->static_key != key) changes.push_back("a static argument has another value");
  for (size_t i = 0; i < specs.size(); ++i) {
    if (i >= nearest->inputs.size()) {
      changes.push_back("another number of tensors");
      break;
    }
    const Spec& before = nearest->inputs[i];
    if (before.dtype != specs[i].dtype || before.shape.rank() != specs[i].shape.rank()) {
      changes.push_back(fmt::format("argument {} changed from {} to {}", i, detail::describe(before),
                                    detail::describe(specs[i])));
      continue;
    }
    for (int d = 0; d < specs[i].shape.rank(); ++d) {
      const int64_t was = before.shape[d], is = specs[i].shape[d];
      if (dim_fits(was, is)) {
        if (was < 0 && same_kind && options_.generalize) specs[i].shape[d] = symbol--;
        continue;
      }
      changes.push_back(fmt::format("dimension {} of argument {} changed from {} to {}", d, i,
                                    was < 0 ? "?" : std::to_string(was), is));
      const bool pinned = std::any_of(pins_.begin(), pins_.end(), [&](const Pin& p) {
        return p.argument == static_cast<int>(i) && p.axis == d;
      });
      if (same_kind && options_.generalize && !pinned && was > 1 && is > 1) specs[i].shape[d] = symbol--;
    }
  }
  reason.clear();
  for (const std::string& c : changes) reason += (reason.empty() ? "" : "; ") + c;
  return specs;
}

std::shared_ptr<FunctionTrace> FunctionCore::record(const FunctionCall& call, const TraceBody& body,
                                                    const std::string& key) {
  std::string reason;
  std::vector<Spec> specs = specs_for(call, key, reason);
  for (;;) {
    const auto start = std::chrono::steady_clock::now();
    for (const Pin& p : pins_) {
      int64_t& d = specs[static_cast<size_t>(p.argument)].shape[p.axis];
      if (d < 0) d = call.tensors[static_cast<size_t>(p.argument)].shape().codes()[p.axis];
    }
    TraceMode trace;
    trace.may_create_variables = !traced_before_;
    trace.graph.next_symbol = symbol_base - 4096;  // arguments have the first ones
    std::vector<Tensor> arguments;
    for (size_t i = 0; i < specs.size(); ++i)
      arguments.push_back(
          trace.add_input(i < options_.parameters.size() ? options_.parameters[i] : "x", specs[i]));
    trace.pinnable_inputs = static_cast<int>(specs.size());
    std::shared_ptr<void> skeleton;
    std::vector<Tensor> results;
    try {
      const ModeScope scope(&trace);
      const CallChainScope calls(nullptr);
      results = body(arguments, skeleton);
    } catch (const PinRequest& p) {
      pins_.push_back({p.argument, p.axis, p.where});
      continue;
    }
    for (const Tensor& t : results)
      trace.graph.outputs.push_back(t.defined() ? trace.value_of(t, call.where) : ValueRef{});
    traced_before_ = true;
    const double trace_us = microseconds_since(start);
    auto result = std::make_shared<FunctionTrace>(std::move(trace.graph), pipeline_);
    result->inputs = std::move(specs);
    result->static_key = key;
    result->skeleton = std::move(skeleton);
    result->reason = reason;
    result->where = call.where;
    result->trace_us = trace_us;
    result->structured = std::make_shared<StructuredCall>(result->recorded, pipeline_, &result->compiled);
    return result;
  }
}

FunctionTrace* FunctionCore::trace(const FunctionCall& call, const TraceBody& body) {
  static const std::string no_key;
  const std::string& key = call.static_key ? *call.static_key : no_key;
  const std::lock_guard<std::recursive_mutex> lock(tracing_);
  if (FunctionTrace* found = find(call.tensors, key)) return found;  // another thread was first
  check_signature(call);
  const List* old = list_.load(std::memory_order_acquire);
  if (options_.max_traces > 0 && static_cast<int>(old->traces.size()) >= options_.max_traces) {
    std::string reason;
    specs_for(call, key, reason);
    fail("the {} may have {} traces and this call needs another: {} (against the trace made at {}:{})",
         describe(), options_.max_traces, reason, old->traces.back()->where.file_name(),
         old->traces.back()->where.line);
  }
  std::shared_ptr<FunctionTrace> made = record(call, body, key);
  auto list = std::make_unique<List>(*old);
  list->traces.push_back(made);
  list_.store(list.get(), std::memory_order_release);
  lists_.push_back(std::move(list));
  const auto count = static_cast<int>(lists_.back()->traces.size());
  if (count >= warn_at_trace && retrace_warnings_ < warning_limit) {
    ++retrace_warnings_;
    std::cerr << "tandem: the " << describe() << " was traced " << count << " times, the last at "
              << call.where.file_name() << ':' << call.where.line << ": " << made->reason
              << "; each trace costs compilation (explain() lists them)\n";
  }
  return made.get();
}

// ---- calls

std::shared_ptr<FunctionCore> make_function_core(FunctionOptions options) {
  return std::make_shared<FunctionCore>(std::move(options));
}

bool must_run_body() {
  Mode* mode = tandem::current_mode();
  return eager_functions.load(std::memory_order_relaxed) ||
         (mode && (mode->is_tracing() || mode->opens_functions()));
}

namespace {

// Under a tape the call is an op; otherwise the compiled graph runs at once.
void run_trace(FunctionTrace& trace, std::span<const Tensor> tensors, Location where,
               std::span<Tensor> outputs) {
  if (!tandem::current_mode()) return trace.compiled.run(tensors, outputs);
  Tensors results;
  apply_call(trace.structured, tensors, where, results);
  for (int i = 0; i < results.size(); ++i) outputs[static_cast<size_t>(i)] = results[i];
}

// A call from eager code: it is worth a line of its own where the function has a name.
void name_call(Error& e, const FunctionCore& core, Location where) {
  const std::string& name = core.options().name;
  e.set_origin(name.empty() ? "function" : name, where);
  if (!name.empty() && e.op() != name) add_call(e, name, where);
}

struct RecursionGuard {
  static int& depth() {
    static thread_local int d = 0;
    return d;
  }
  RecursionGuard() {
    TD_CHECK(depth() < recursion_limit,
             "functions call each other {} deep; recursion on tensors never ends while tracing, so recurse "
             "on numbers or "
             "use td::while_loop",
             recursion_limit);
    ++depth();
  }
  ~RecursionGuard() { --depth(); }
};

}  // namespace

const FunctionTrace* call_function(FunctionCore& core, const FunctionCall& call, const TraceBody& body,
                                   std::vector<Tensor>& outputs) {
  try {
    check_defined(call.tensors);
    FunctionTrace* trace = core.find(call.tensors, *call.static_key);
    const bool first = trace == nullptr;
    if (first) {
      const RecursionGuard guard;
      trace = core.trace(call, body);
    }
    outputs.resize(static_cast<size_t>(trace->compiled.output_count()));
    const auto start = std::chrono::steady_clock::now();
    run_trace(*trace, call.tensors, call.where, outputs);
    if (first) trace->first_run_us = microseconds_since(start);
    return trace;
  } catch (Error& e) {
    name_call(e, core, call.where);
    throw;
  }
}

void prepare_function(FunctionCore& core, const FunctionCall& call, const TraceBody& body) {
  try {
    check_defined(call.tensors);
    if (core.find(call.tensors, *call.static_key) != nullptr) return;
    const RecursionGuard guard;
    core.trace(call, body);
  } catch (Error& e) {
    name_call(e, core, call.where);
    throw;
  }
}

InlinedCall::InlinedCall(const FunctionCore& core, Location where) : outer_(current_calls) {
  current_calls = std::make_shared<const CallFrame>(CallFrame{core.options().name, where, current_calls});
}
InlinedCall::~InlinedCall() { current_calls = std::static_pointer_cast<const CallFrame>(outer_); }

void note_call(Error& error, const FunctionCore& core, Location where) {
  add_call(error, core.options().name, where);
}

const FunctionOptions& options_of(const FunctionCore& core) { return core.options(); }

bool call_simple(FunctionCore& core, std::span<const Tensor* const> tensors, Location where, Tensor& output) {
  if (tandem::current_mode() || eager_functions.load(std::memory_order_relaxed)) return false;
  for (const Tensor* t : tensors)
    if (!t->defined()) return false;
  FunctionTrace* trace = core.find_simple(tensors);
  if (!trace) return false;
  try {
    trace->compiled.run(tensors, {&output, 1});
  } catch (Error& e) {
    name_call(e, core, where);
    throw;
  }
  return true;
}

const std::shared_ptr<void>& skeleton_of(const FunctionTrace& trace) { return trace.skeleton; }
int trace_count(const FunctionCore& core) { return static_cast<int>(core.traces().size()); }

namespace {

std::string signature_of(const FunctionCore& core, const FunctionTrace& t, const TraceInfo& info) {
  const auto list = [](const auto& values, const auto& text) {
    std::string all;
    for (const auto& v : values) all += (all.empty() ? "" : ", ") + text(v);
    return all;
  };
  std::string text = core.options().name.empty() ? "function" : core.options().name;
  text += '(' +
          list(t.recorded.inputs,
               [&](int32_t id) {
                 const Node& n = t.recorded.node(id);
                 return n.name + ": " + describe(n.outputs[0]);
               }) +
          ')';
  if (!info.captured_variables.empty())
    text += " uses " + list(info.captured_variables, [](const Variable& v) {
              return v.name() + ": " + describe(Spec{v.dtype(), v.shape(), {}});
            });
  return text + " -> (" + list(info.outputs, [](const Spec& s) { return describe(s); }) + ')';
}

std::string counted(int count, const char* what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

}  // namespace

TraceInfo trace_info(const FunctionCore& core, int i) {
  const std::vector<FunctionTrace*> traces = core.traces();
  TD_CHECK(i >= 0 && i < static_cast<int>(traces.size()), "trace {} was asked for; there are {}", i,
           traces.size());
  const FunctionTrace& t = *traces[static_cast<size_t>(i)];
  TraceInfo info;
  info.inputs = t.inputs;
  for (ValueRef v : t.compiled.graph().outputs)
    info.outputs.push_back(v.present() ? t.compiled.graph().spec(v) : Spec{});
  info.reason = t.reason;
  info.where = t.where;
  info.node_count = static_cast<int>(t.compiled.graph().nodes.size());
  info.plan_count = t.compiled.plan_count();
  info.segment_count = t.compiled.segment_count();
  info.direct_count = t.compiled.direct_count();
  for (const Node& n : t.recorded.nodes) {
    if (!n.op->has(reads_variable) && !n.op->has(writes_variable)) continue;
    const Variable v = Variable::from_impl(n.attributes.as<VariableAttributes>().variable);
    const auto is_known = [&](const Variable& other) { return other.is(v); };
    if (std::none_of(info.captured_variables.begin(), info.captured_variables.end(), is_known))
      info.captured_variables.push_back(v);
  }
  info.graph = to_text(t.compiled.graph());
  info.signature = signature_of(core, t, info);
  info.trace_us = t.trace_us;
  info.optimize_us = t.compiled.optimize_us();
  info.plan_us = t.compiled.plan_us();
  info.first_run_us = t.first_run_us;
  info.peak_bytes = t.compiled.peak_bytes();
  return info;
}

std::string FunctionCore::explain() const {
  const std::vector<FunctionTrace*> all = traces();
  std::string text = fmt::format("{}: {} trace{}\n", describe(), all.size(), all.size() == 1 ? "" : "s");
  for (size_t i = 0; i < all.size(); ++i) {
    const FunctionTrace& t = *all[i];
    std::string arguments;
    for (const Spec& s : t.inputs) arguments += (arguments.empty() ? "" : ", ") + detail::describe(s);
    text += fmt::format("  trace {}: ({})\n    why: {} ({}:{})\n", i, arguments, t.reason,
                        t.where.file_name(), t.where.line);
    text += fmt::format("    {} nodes traced, {} after optimization; {}\n", t.recorded.nodes.size(),
                        t.compiled.graph().nodes.size(), counted(t.compiled.plan_count(), "plan"));
    if (const int direct = t.compiled.direct_count(); direct > 0)
      text += fmt::format("    shapes depend on data at {}; planned between them: {}\n",
                          counted(direct, "node"), counted(t.compiled.segment_count(), "segment"));
    text += fmt::format("    trace {:.0f} us, optimize {:.0f} us, plan {:.0f} us, first run {:.0f} us\n",
                        t.trace_us, t.compiled.optimize_us(), t.compiled.plan_us(), t.first_run_us.load());
  }
  for (const Pin& p : pins_)
    text += fmt::format("  dimension {} of argument {} stays fixed: its size is read as a number at {}:{}\n",
                        p.axis, p.argument, p.where.file_name(), p.where.line);
  return text;
}

std::string explain(const FunctionCore& core) { return core.explain(); }

}  // namespace detail

}  // namespace tandem
