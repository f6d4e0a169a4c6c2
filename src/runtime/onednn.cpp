#include "runtime/onednn.h"

#include <dlfcn.h>

#include <cstring>
#include <memory>
#include <string_view>
#include <unordered_map>

#include <oneapi/dnnl/dnnl.h>

#include "core/check.h"
#include "core/tensor_impl.h"
#include "runtime/parallel.h"

namespace tandem::runtime::onednn {

namespace {

// ---- the library, opened late: it is large, and takes time to load

/// oneDNN's functions that are used here, by name.
struct Library {
  void* handle = nullptr;
  dnnl_engine_t engine = nullptr;
  int (*omp_get_max_threads)() = nullptr;
  void (*omp_set_num_threads)(int) = nullptr;

#define TANDEM_ONEDNN_FUNCTIONS(X)                    \
  X(dnnl_engine_create)                               \
  X(dnnl_stream_create)                               \
  X(dnnl_stream_destroy)                              \
  X(dnnl_memory_create)                               \
  X(dnnl_memory_destroy)                              \
  X(dnnl_memory_set_data_handle)                      \
  X(dnnl_memory_desc_init_by_strides)                 \
  X(dnnl_memory_desc_get_size)                        \
  X(dnnl_memory_desc_equal)                           \
  X(dnnl_primitive_attr_create)                       \
  X(dnnl_primitive_attr_destroy)                      \
  X(dnnl_primitive_attr_set_scratchpad_mode)          \
  X(dnnl_primitive_desc_create)                       \
  X(dnnl_primitive_desc_destroy)                      \
  X(dnnl_primitive_desc_query)                        \
  X(dnnl_primitive_desc_query_md)                     \
  X(dnnl_reorder_primitive_desc_create)               \
  X(dnnl_primitive_create)                            \
  X(dnnl_primitive_destroy)                           \
  X(dnnl_primitive_execute)                           \
  X(dnnl_dilated_convolution_forward_desc_init)       \
  X(dnnl_dilated_convolution_backward_data_desc_init) \
  X(dnnl_dilated_convolution_backward_weights_desc_init)
#define TANDEM_DECLARE(name) decltype(&::name) name = nullptr;
  TANDEM_ONEDNN_FUNCTIONS(TANDEM_DECLARE)
#undef TANDEM_DECLARE

  Library() {
    handle = dlopen("libdnnl.so.2", RTLD_NOW | RTLD_LOCAL);
    if (!handle) return;
    bool complete = true;
    const auto find = [&](auto& function, const char* name) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(handle, name));
      complete = complete && function != nullptr;
    };
#define TANDEM_FIND(name) find(name, #name);
    TANDEM_ONEDNN_FUNCTIONS(TANDEM_FIND)
#undef TANDEM_FIND
    find(omp_get_max_threads, "omp_get_max_threads");
    find(omp_set_num_threads, "omp_set_num_threads");
    if (!complete || dnnl_engine_create(&engine, dnnl_cpu, 0) != dnnl_success) engine = nullptr;
  }
#undef TANDEM_ONEDNN_FUNCTIONS
};

const Library& library() {
  static const Library opened;  // never closed: threads may end after this
  return opened;
}

void expect_success(dnnl_status_t status, const char* what) {
  if (status == dnnl_success) return;
  fail(status == dnnl_out_of_memory ? ErrorCode::out_of_memory : ErrorCode::internal,
       "internal error: oneDNN answers {} with status {}", what, static_cast<int>(status));
}

// ---- owners of its objects

template <class T, auto Destroy>
struct Deleter {
  void operator()(T* object) const { (library().*Destroy)(object); }
};
using Primitive = std::unique_ptr<dnnl_primitive, Deleter<dnnl_primitive, &Library::dnnl_primitive_destroy>>;
using PrimitiveDesc =
    std::unique_ptr<dnnl_primitive_desc, Deleter<dnnl_primitive_desc, &Library::dnnl_primitive_desc_destroy>>;
using Memory = std::unique_ptr<dnnl_memory, Deleter<dnnl_memory, &Library::dnnl_memory_destroy>>;
using Stream = std::unique_ptr<dnnl_stream, Deleter<dnnl_stream, &Library::dnnl_stream_destroy>>;
using Attributes =
    std::unique_ptr<dnnl_primitive_attr, Deleter<dnnl_primitive_attr, &Library::dnnl_primitive_attr_destroy>>;

/// Keeps oneDNN to the calling thread. The setting is OpenMP's, which the user may have use for: it is put
/// back.
class OneThread {
 public:
  OneThread() : before_(library().omp_get_max_threads()) {
    if (before_ != 1) library().omp_set_num_threads(1);
  }
  ~OneThread() {
    if (before_ != 1) library().omp_set_num_threads(before_);
  }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  const int before_;
};

/// This thread's stream.
dnnl_stream_t stream() {
  static thread_local const Stream own = [] {
    dnnl_stream_t created = nullptr;
    expect_success(library().dnnl_stream_create(&created, library().engine, dnnl_stream_default_flags),
                   "dnnl_stream_create");
    return Stream(created);
  }();
  return own.get();
}

/// A memory object without memory of its own.
Memory memory_of(const dnnl_memory_desc_t& desc) {
  dnnl_memory_t created = nullptr;
  expect_success(library().dnnl_memory_create(&created, &desc, library().engine, DNNL_MEMORY_NONE),
                 "dnnl_memory_create");
  return Memory(created);
}

Primitive primitive_of(const PrimitiveDesc& desc) {
  dnnl_primitive_t created = nullptr;
  expect_success(library().dnnl_primitive_create(&created, desc.get()), "dnnl_primitive_create");
  return Primitive(created);
}

void execute(const Primitive& primitive, int count, const dnnl_exec_arg_t* arguments) {
  const OneThread one_thread;
  expect_success(library().dnnl_primitive_execute(primitive.get(), stream(), count, arguments),
                 "dnnl_primitive_execute");
}

/// Our scratch memory for so many bytes, from the tensors' free lists.
Tensor bytes(size_t count) { return detail::empty_tensor(DType::u8, {static_cast<int64_t>(count)}); }

dnnl_memory_desc_t by_strides(int rank, const dnnl_dims_t dims, const dnnl_dims_t strides) {
  dnnl_memory_desc_t desc;
  expect_success(library().dnnl_memory_desc_init_by_strides(&desc, rank, dims, dnnl_f32, strides),
                 "dnnl_memory_desc_init_by_strides");
  return desc;
}

/// Row-major memory. Of `rows` rows in the first spatial dimension the tensor may be a part.
dnnl_memory_desc_t dense(int rank, const dnnl_dims_t dims, int64_t rows = 0) {
  dnnl_dims_t strides;
  int64_t step = 1;
  for (int i = rank - 1; i >= 0; --i) {
    strides[i] = step;
    step *= i == 2 && rows > 0 ? rows : dims[i];
  }
  return by_strides(rank, dims, strides);
}

/// Channels last in memory: (batch, channels, sizes...) laid out as (batch, sizes..., channels).
dnnl_memory_desc_t channels_last(int rank, const dnnl_dims_t dims) {
  dnnl_dims_t strides;
  int64_t step = dims[1];
  strides[1] = 1;
  for (int i = rank - 1; i >= 2; --i) {
    strides[i] = step;
    step *= dims[i];
  }
  strides[0] = step;
  return by_strides(rank, dims, strides);
}

/// (outputs, inputs, sizes...) laid out as (sizes..., inputs, outputs).
dnnl_memory_desc_t outputs_last(int rank, const dnnl_dims_t dims) {
  dnnl_dims_t strides;
  strides[0] = 1;
  strides[1] = dims[0];
  int64_t step = dims[0] * dims[1];
  for (int i = rank - 1; i >= 2; --i) {
    strides[i] = step;
    step *= dims[i];
  }
  return by_strides(rank, dims, strides);
}

/// The same sizes in whatever layout oneDNN likes best.
dnnl_memory_desc_t any_layout(const dnnl_memory_desc_t& of) {
  dnnl_memory_desc_t desc = of;
  desc.format_kind = dnnl_format_kind_any;
  return desc;
}

// ---- one convolution of given sizes, on one thread

using Direction = ConvolutionKind;

struct Key {
  Convolution convolution;
  Direction direction;
  bool bias;
  ChannelOrder order;
  int64_t x_rows = 0, y_rows = 0;  ///< of the image of which this is a part; 0: it is none
  bool operator==(const Key&) const = default;
};
struct KeyHash {
  size_t operator()(const Key& k) const {
    uint64_t h = 1469598103934665603u;
    const auto mix = [&](int64_t v) { h = (h ^ static_cast<uint64_t>(v)) * 1099511628211u + (h >> 29); };
    const Convolution& c = k.convolution;
    const int64_t flags = k.bias | k.order.x_last << 1 | k.order.w_last << 2 | k.order.y_last << 3;
    for (int64_t v : {c.batch, c.groups, c.in_channels, c.out_channels,
                      static_cast<int64_t>(k.direction) << 4 | flags, k.x_rows, k.y_rows})
      mix(v);
    for (int d = 0; d < max_spatial; ++d)
      for (int64_t v : {c.windows.input[d], c.windows.output[d], c.windows.kernel[d], c.windows.stride[d],
                        c.windows.dilation[d], c.windows.before[d]})
        mix(v);
    return static_cast<size_t>(h);
  }
};

/// A tensor in our layout and in oneDNN's, and the way from one to the other.
struct Side {
  dnnl_memory_desc_t plain, blocked;
  Memory plain_memory, blocked_memory;
  Primitive reorder;  ///< null where the layouts are the same
  size_t blocked_bytes = 0;

  bool needs_reorder() const { return reorder != nullptr; }
};

class Plan {
 public:
  explicit Plan(const Key& key) { supported_ = build(key); }
  bool is_supported() const { return supported_; }

  Side& x() { return x_; }
  Side& w() { return w_; }
  Side& y() { return y_; }
  /// Whether oneDNN itself has channels last.
  ChannelOrder inner_order() const {
    const auto is_last = [](const Side& side) {
      const dnnl_memory_desc_t last = channels_last(side.plain.ndims, side.plain.dims);
      return library().dnnl_memory_desc_equal(&side.blocked, &last) != 0;
    };
    return {.x_last = is_last(x_), .y_last = is_last(y_)};
  }

  /// From our layout to oneDNN's; `scratch` holds the result, unless it is the same as the argument.
  void* to_blocked(Side& side, const float* from, Tensor& scratch) const {
    auto* source = const_cast<float*>(from);
    if (!side.needs_reorder()) return source;
    scratch = bytes(side.blocked_bytes);
    move(side, side.plain_memory, source, side.blocked_memory, scratch.impl()->data);
    return scratch.impl()->data;
  }
  /// The place where oneDNN writes a result that is wanted at `to`.
  static void* place(const Side& side, float* to, Tensor& scratch) {
    if (!side.needs_reorder()) return to;
    scratch = bytes(side.blocked_bytes);
    return scratch.impl()->data;
  }
  void from_blocked(Side& side, void* from, float* to) const {
    if (side.needs_reorder()) move(side, side.blocked_memory, from, side.plain_memory, to);
  }
  /// The primitive on operands in oneDNN's layout.
  void run(void* x, void* w, const float* bias, void* y) {
    const Library& l = library();
    const auto set = [&](const Memory& memory, void* data) {
      expect_success(l.dnnl_memory_set_data_handle(memory.get(), data), "dnnl_memory_set_data_handle");
    };
    set(x_.blocked_memory, x);
    set(w_.blocked_memory, w);
    set(y_.blocked_memory, y);
    dnnl_exec_arg_t arguments[5] = {{x_argument_, x_.blocked_memory.get()},
                                    {w_argument_, w_.blocked_memory.get()},
                                    {y_argument_, y_.blocked_memory.get()}};
    int count = 3;
    Tensor scratch;
    if (scratchpad_bytes_ > 0) {
      scratch = bytes(scratchpad_bytes_);
      set(scratchpad_, scratch.impl()->data);
      arguments[count++] = {DNNL_ARG_SCRATCHPAD, scratchpad_.get()};
    }
    if (bias_) {
      set(bias_, const_cast<float*>(bias));
      arguments[count++] = {DNNL_ARG_BIAS, bias_.get()};
    }
    execute(primitive_, count, arguments);
  }

 private:
  bool build(const Key& key);
  void prepare(Side& side, const PrimitiveDesc& desc, dnnl_query_t query, bool is_result, bool is_part);
  static void move(Side& side, const Memory& source, void* from, const Memory& target, void* to) {
    const Library& l = library();
    expect_success(l.dnnl_memory_set_data_handle(source.get(), from), "dnnl_memory_set_data_handle");
    expect_success(l.dnnl_memory_set_data_handle(target.get(), to), "dnnl_memory_set_data_handle");
    const dnnl_exec_arg_t arguments[2] = {{DNNL_ARG_FROM, source.get()}, {DNNL_ARG_TO, target.get()}};
    execute(side.reorder, 2, arguments);
  }

  bool supported_ = false;
  Primitive primitive_;
  Side x_, w_, y_;
  Memory bias_, scratchpad_;
  size_t scratchpad_bytes_ = 0;
  int x_argument_ = 0, w_argument_ = 0, y_argument_ = 0;
};

void Plan::prepare(Side& side, const PrimitiveDesc& desc, dnnl_query_t query, bool is_result, bool is_part) {
  const Library& l = library();
  side.blocked = *l.dnnl_primitive_desc_query_md(desc.get(), query, 0);
  // One channel, or one element of each, is in either order.
  bool is_single = query != dnnl_query_weights_md && query != dnnl_query_diff_weights_md &&
                   (side.plain.dims[1] == 1 || !is_part);
  for (int i = 2; is_single && side.plain.dims[1] != 1 && i < side.plain.ndims; ++i)
    is_single = side.plain.dims[i] == 1;
  if (is_single) {
    side.plain = channels_last(side.plain.ndims, side.plain.dims);
    if (!l.dnnl_memory_desc_equal(&side.plain, &side.blocked))
      side.plain = dense(side.plain.ndims, side.plain.dims);
  }
  side.blocked_bytes = l.dnnl_memory_desc_get_size(&side.blocked);
  side.blocked_memory = memory_of(side.blocked);
  side.plain_memory = memory_of(side.plain);
  if (l.dnnl_memory_desc_equal(&side.plain, &side.blocked)) return;
  dnnl_primitive_desc_t created = nullptr;
  const dnnl_memory_desc_t &from = is_result ? side.blocked : side.plain,
                           &to = is_result ? side.plain : side.blocked;
  expect_success(l.dnnl_reorder_primitive_desc_create(&created, &from, l.engine, &to, l.engine, nullptr),
                 "dnnl_reorder_primitive_desc_create");
  side.reorder = primitive_of(PrimitiveDesc(created));
}

bool Plan::build(const Key& key) {
  const Library& l = library();
  const Convolution& c = key.convolution;
  const Windows& w = c.windows;
  const OneThread one_thread;  // what it chooses depends on how many there are
  const int rank = w.rank, first = max_spatial - rank;
  dnnl_dims_t x = {c.batch, c.groups * c.in_channels}, y = {c.batch, c.groups * c.out_channels};
  dnnl_dims_t weights, strides, dilations, before, after;
  int w_rank = 0;
  if (c.groups > 1) weights[w_rank++] = c.groups;
  weights[w_rank++] = c.out_channels;
  weights[w_rank++] = c.in_channels;
  for (int i = 0; i < rank; ++i) {
    const int d = first + i;
    x[2 + i] = w.input[d];
    y[2 + i] = w.output[d];
    weights[w_rank++] = w.kernel[d];
    strides[i] = w.stride[d];
    dilations[i] = w.dilation[d] - 1;
    before[i] = w.before[d];
    after[i] =
        (w.output[d] - 1) * w.stride[d] + (w.kernel[d] - 1) * w.dilation[d] + 1 - w.input[d] - w.before[d];
    // oneDNN only pads. That no window reaches the input's very end is no cut.
    if (before[i] < 0 || after[i] <= -w.stride[d]) return false;
    after[i] = std::max<int64_t>(0, after[i]);
  }
  const ChannelOrder& order = key.order;
  x_.plain = order.x_last ? channels_last(2 + rank, x) : dense(2 + rank, x, key.x_rows);
  w_.plain = order.w_last ? outputs_last(w_rank, weights) : dense(w_rank, weights);
  y_.plain = order.y_last ? channels_last(2 + rank, y) : dense(2 + rank, y, key.y_rows);
  const dnnl_memory_desc_t any_x = any_layout(x_.plain), any_w = any_layout(w_.plain),
                           any_y = any_layout(y_.plain);
  const dnnl_dims_t outputs = {c.groups * c.out_channels};
  const dnnl_memory_desc_t bias = dense(1, outputs);

  dnnl_convolution_desc_t operation;
  dnnl_status_t status;
  PrimitiveDesc hint;
  dnnl_primitive_attr_t created_attributes = nullptr;
  expect_success(l.dnnl_primitive_attr_create(&created_attributes), "dnnl_primitive_attr_create");
  const Attributes attributes(created_attributes);
  expect_success(l.dnnl_primitive_attr_set_scratchpad_mode(attributes.get(), dnnl_scratchpad_mode_user),
                 "dnnl_primitive_attr_set_scratchpad_mode");
  // Winograd's would be less accurate.
  constexpr dnnl_alg_kind_t algorithm = dnnl_convolution_direct;
  dnnl_primitive_desc_t created = nullptr;
  if (key.direction != Direction::forward) {  // backward ones want to see the forward one
    status = l.dnnl_dilated_convolution_forward_desc_init(&operation, dnnl_forward_training, algorithm,
                                                          &any_x, &any_w, nullptr, &any_y, strides, dilations,
                                                          before, after);
    if (status != dnnl_success || l.dnnl_primitive_desc_create(&created, &operation, attributes.get(),
                                                               l.engine, nullptr) != dnnl_success)
      return false;
    hint.reset(created);
  }
  switch (key.direction) {
    case Direction::forward:
      status = l.dnnl_dilated_convolution_forward_desc_init(&operation, dnnl_forward_inference, algorithm,
                                                            &any_x, &any_w, key.bias ? &bias : nullptr,
                                                            &any_y, strides, dilations, before, after);
      break;
    case Direction::input_gradient:
      status = l.dnnl_dilated_convolution_backward_data_desc_init(&operation, algorithm, &any_x, &any_w,
                                                                  &any_y, strides, dilations, before, after);
      break;
    default:
      status = l.dnnl_dilated_convolution_backward_weights_desc_init(
          &operation, algorithm, &any_x, &any_w, nullptr, &any_y, strides, dilations, before, after);
  }
  if (status != dnnl_success || l.dnnl_primitive_desc_create(&created, &operation, attributes.get(), l.engine,
                                                             hint.get()) != dnnl_success)
    return false;
  const PrimitiveDesc desc(created);
  // Its loops without vectors are slower than ours.
  const char* name = "";
  if (l.dnnl_primitive_desc_query(desc.get(), dnnl_query_impl_info_str, 0, &name) != dnnl_success)
    return false;
  if (const std::string_view info = name; info.starts_with("ref") || info.starts_with("gemm")) return false;

  const bool forward = key.direction == Direction::forward,
             input = key.direction == Direction::input_gradient;
  prepare(x_, desc, input ? dnnl_query_diff_src_md : dnnl_query_src_md, input, key.x_rows > 0);
  prepare(w_, desc, forward || input ? dnnl_query_weights_md : dnnl_query_diff_weights_md, !forward && !input,
          false);
  prepare(y_, desc, forward ? dnnl_query_dst_md : dnnl_query_diff_dst_md, forward, key.y_rows > 0);
  x_argument_ = input ? DNNL_ARG_DIFF_SRC : DNNL_ARG_SRC;
  w_argument_ = forward || input ? DNNL_ARG_WEIGHTS : DNNL_ARG_DIFF_WEIGHTS;
  y_argument_ = forward ? DNNL_ARG_DST : DNNL_ARG_DIFF_DST;
  if (forward && key.bias) bias_ = memory_of(bias);
  const dnnl_memory_desc_t& scratchpad =
      *l.dnnl_primitive_desc_query_md(desc.get(), dnnl_query_scratchpad_md, 0);
  scratchpad_bytes_ = l.dnnl_memory_desc_get_size(&scratchpad);
  if (scratchpad_bytes_ > 0) scratchpad_ = memory_of(scratchpad);
  primitive_ = primitive_of(desc);
  return true;
}

using Cache = std::unordered_map<Key, Plan, KeyHash>;
Cache& cache() {
  static thread_local Cache plans;
  return plans;
}

/// This thread's plan.
Plan& plan(const Key& key) {
  Cache& plans = cache();
  if (const auto found = plans.find(key); found != plans.end()) return found->second;
  constexpr size_t most = 512;
  if (plans.size() >= most) plans.clear();
  return plans.try_emplace(key, key).first->second;
}
Plan& plan(const Convolution& c, Direction direction, bool bias, ChannelOrder order) {
  return plan(Key{c, direction, bias, order});
}

// ---- slices

/// Multiplications and additions.
double work(const Convolution& c) {
  return static_cast<double>(c.batch * c.groups * c.out_channels * c.in_channels) *
         static_cast<double>(c.windows.output_count() * c.windows.kernel_count());
}

/// Below this a call of oneDNN costs more than it saves.
constexpr double least_work = 200e3;

/// How the batch is cut: by shapes alone, into slices worth a call each.
struct Slices {
  int64_t count, size;
  Slices(const Convolution& c, int64_t most) {
    constexpr double slice_work = 4e6;
    const double per_image = work(c) / static_cast<double>(c.batch);
    const auto worth = static_cast<int64_t>(slice_work / per_image) + 1;
    size = std::min(c.batch, std::max(worth, (c.batch + most - 1) / most));
    count = (c.batch + size - 1) / size;
  }
  Convolution part(const Convolution& c, int64_t slice) const {
    Convolution p = c;
    p.batch = std::min(size, c.batch - slice * size);
    return p;
  }
  /// The last slice may be smaller than the others.
  bool are_supported(const Convolution& c, Direction direction, bool bias, ChannelOrder order) const {
    return plan(part(c, 0), direction, bias, order).is_supported() &&
           plan(part(c, count - 1), direction, bias, order).is_supported();
  }
};

/// How a single image is cut: by its sizes alone, into rows of the result that are worth a call each.
struct Rows {
  int64_t count = 1;
  explicit Rows(const Convolution& c) {
    constexpr double part_work = 10e6;
    constexpr int64_t most = 4, least_rows = 4;
    if (c.batch != 1) return;
    const int64_t worth = std::min(most, static_cast<int64_t>(work(c) / part_work));
    count = std::max<int64_t>(1, std::min(worth, c.windows.output[first(c)] / least_rows));
    for (int64_t i = 0; i < count; ++i)
      if (inputs(c, i).begin >= inputs(c, i).end) count = 1;  // rows of padding alone
  }
  Key part(const Convolution& c, int64_t i, bool bias, ChannelOrder order) const {
    Key key{c, Direction::forward, bias, order};
    if (count == 1) return key;
    const int d = first(c);
    const Range in = inputs(c, i), out = outputs(c, i);
    Windows& w = key.convolution.windows;
    key.x_rows = w.input[d];
    key.y_rows = w.output[d];
    w.before[d] += in.begin - out.begin * w.stride[d];
    w.after[d] = 0;
    w.input[d] = in.end - in.begin;
    w.output[d] = out.end - out.begin;
    return key;
  }
  /// Where part i begins: elements of one channel of x and y.
  int64_t x_begin(const Convolution& c, int64_t i) const {
    return inputs(c, i).begin * (c.windows.input_count() / c.windows.input[first(c)]);
  }
  int64_t y_begin(const Convolution& c, int64_t i) const {
    return outputs(c, i).begin * (c.windows.output_count() / c.windows.output[first(c)]);
  }

 private:
  struct Range {
    int64_t begin, end;
  };
  static int first(const Convolution& c) { return max_spatial - c.windows.rank; }
  Range outputs(const Convolution& c, int64_t i) const {
    const int64_t all = c.windows.output[first(c)];
    return {all * i / count, all * (i + 1) / count};
  }
  /// The rows that the windows of part i see.
  Range inputs(const Convolution& c, int64_t i) const {
    const Windows& w = c.windows;
    const int d = first(c);
    const Range out = outputs(c, i);
    return {std::max<int64_t>(0, w.position(d, out.begin, 0)),
            std::min(w.input[d], w.position(d, out.end - 1, w.kernel[d] - 1) + 1)};
  }
};

int64_t x_size(const Convolution& c) { return c.groups * c.in_channels * c.windows.input_count(); }
int64_t y_size(const Convolution& c) { return c.groups * c.out_channels * c.windows.output_count(); }
int64_t w_size(const Convolution& c) {
  return c.groups * c.out_channels * c.in_channels * c.windows.kernel_count();
}

/// Whether oneDNN is faster here than products of columns, as measured on a few dozen shapes.
bool is_worthwhile(const Convolution& c, Direction direction) {
  if (c.dtype != DType::f32 || c.batch == 0 || w_size(c) == 0 || work(c) < least_work) return false;
  if (direction != Direction::weight_gradient) {
    // Products need no columns for kernels of one element; and putting large weights into oneDNN's layout
    // must pay for itself.
    if (c.windows.kernel_count() == 1 || c.batch * c.windows.output_count() < 128) return false;
    // Of oneDNN's ways back to few channels none is quick.
    if (direction == Direction::input_gradient && c.groups == 1 && c.in_channels < 8) return false;
  }
  return is_available();
}

bool are_supported(const Convolution& c, const Rows& rows, bool bias, ChannelOrder order) {
  for (int64_t i = 0; i < rows.count; ++i)
    if (!plan(rows.part(c, i, bias, order)).is_supported()) return false;
  return true;
}

bool convolve_rows(const Convolution& c, const Rows& rows, const float* x, const float* w, const float* bias,
                   float* y, ChannelOrder order) {
  if (!are_supported(c, rows, bias != nullptr, order)) return false;
  Plan& first = plan(rows.part(c, 0, bias != nullptr, order));
  Tensor w_scratch;
  void* weights = first.to_blocked(first.w(), w, w_scratch);
  const dnnl_memory_desc_t shared = first.w().blocked;
  parallel_for(rows.count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      Plan& own = plan(rows.part(c, i, bias != nullptr, order));
      Tensor x_scratch, y_scratch, own_scratch;
      void* own_weights = weights;
      if (!library().dnnl_memory_desc_equal(&own.w().blocked, &shared))
        own_weights = own.to_blocked(own.w(), w, own_scratch);
      const int64_t x_step = order.x_last ? c.groups * c.in_channels : 1,
                    y_step = order.y_last ? c.groups * c.out_channels : 1;
      void* source = own.to_blocked(own.x(), x + rows.x_begin(c, i) * x_step, x_scratch);
      float* to = y + rows.y_begin(c, i) * y_step;
      void* target = Plan::place(own.y(), to, y_scratch);
      own.run(source, own_weights, bias, target);
      own.from_blocked(own.y(), target, to);
    }
  });
  return true;
}

}  // namespace

bool is_available() { return library().engine != nullptr; }

int cached_primitives() { return static_cast<int>(cache().size()); }

bool convolve(const Convolution& c, const float* x, const float* w, const float* bias, float* y,
              ChannelOrder order) {
  if (!is_worthwhile(c, Direction::forward)) return false;
  if (const Rows rows(c); rows.count > 1) return convolve_rows(c, rows, x, w, bias, y, order);
  const Slices slices(c, 16);
  if (!slices.are_supported(c, Direction::forward, bias != nullptr, order)) return false;
  Plan& whole = plan(slices.part(c, 0), Direction::forward, bias != nullptr, order);
  Tensor w_scratch;
  void* weights = whole.to_blocked(whole.w(), w, w_scratch);
  parallel_for(slices.count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Convolution part = slices.part(c, i);
      Plan& own = plan(part, Direction::forward, bias != nullptr, order);
      Tensor x_scratch, y_scratch, own_scratch;
      // Slices of equal size share the weights in oneDNN's layout.
      void* own_weights = weights;
      if (part.batch != slices.size) own_weights = own.to_blocked(own.w(), w, own_scratch);
      void* source = own.to_blocked(own.x(), x + i * slices.size * x_size(c), x_scratch);
      float* to = y + i * slices.size * y_size(c);
      void* target = Plan::place(own.y(), to, y_scratch);
      own.run(source, own_weights, bias, target);
      own.from_blocked(own.y(), target, to);
    }
  });
  return true;
}

bool convolve_transposed(const Convolution& c, const float* y, const float* w, float* x, ChannelOrder order) {
  if (!is_worthwhile(c, Direction::input_gradient)) return false;
  const Slices slices(c, 16);
  if (!slices.are_supported(c, Direction::input_gradient, false, order)) return false;
  Plan& whole = plan(slices.part(c, 0), Direction::input_gradient, false, order);
  Tensor w_scratch;
  void* weights = whole.to_blocked(whole.w(), w, w_scratch);
  parallel_for(slices.count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Convolution part = slices.part(c, i);
      Plan& own = plan(part, Direction::input_gradient, false, order);
      Tensor x_scratch, y_scratch, own_scratch;
      void* own_weights = weights;
      if (part.batch != slices.size) own_weights = own.to_blocked(own.w(), w, own_scratch);
      void* source = own.to_blocked(own.y(), y + i * slices.size * y_size(c), y_scratch);
      float* to = x + i * slices.size * x_size(c);
      void* target = Plan::place(own.x(), to, x_scratch);
      own.run(target, own_weights, nullptr, source);
      own.from_blocked(own.x(), target, to);
    }
  });
  return true;
}

bool correlate(const Convolution& c, const float* x, const float* y, float* w, ChannelOrder order) {
  if (!is_worthwhile(c, Direction::weight_gradient)) return false;
  const Slices slices(c, 8);
  if (!slices.are_supported(c, Direction::weight_gradient, false, order)) return false;
  const int64_t size = w_size(c);
  // Each slice has sums of its own, which are added up in order.
  const Tensor sums =
      slices.count > 1 ? bytes(static_cast<size_t>(slices.count * size) * sizeof(float)) : Tensor();
  float* parts = slices.count > 1 ? static_cast<float*>(sums.impl()->data) : w;
  parallel_for(slices.count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Convolution part = slices.part(c, i);
      Plan& own = plan(part, Direction::weight_gradient, false, order);
      Tensor x_scratch, y_scratch, w_scratch;
      void* left = own.to_blocked(own.x(), x + i * slices.size * x_size(c), x_scratch);
      void* right = own.to_blocked(own.y(), y + i * slices.size * y_size(c), y_scratch);
      void* target = Plan::place(own.w(), parts + i * size, w_scratch);
      own.run(left, target, nullptr, right);
      own.from_blocked(own.w(), target, parts + i * size);
    }
  });
  if (slices.count == 1) return true;
  parallel_for(size, 64 * 1024, [&](int64_t begin, int64_t end) {
    std::memcpy(w + begin, parts + begin, static_cast<size_t>(end - begin) * sizeof(float));
    for (int64_t i = 1; i < slices.count; ++i)
      for (int64_t k = begin; k < end; ++k) w[k] += parts[i * size + k];
  });
  return true;
}

bool computes(const Convolution& c, ConvolutionKind kind, bool bias) {
  if (!is_worthwhile(c, kind)) return false;
  if (const Rows rows(c); kind == Direction::forward && rows.count > 1)
    return are_supported(c, rows, bias, {});
  return Slices(c, kind == Direction::weight_gradient ? 8 : 16).are_supported(c, kind, bias, {});
}

ChannelOrder preferred_order(const Convolution& c, bool bias) {
  if (!computes(c, Direction::forward, bias)) return {};
  if (const Rows rows(c); rows.count > 1) return plan(rows.part(c, 0, bias, {})).inner_order();
  return plan(Slices(c, 16).part(c, 0), Direction::forward, bias, {}).inner_order();
}

}  // namespace tandem::runtime::onednn
