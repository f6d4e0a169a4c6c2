// The C interface: td::load and its models behind opaque handles, exceptions as status codes.

#include "tandem_c.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <new>

#include "core/check.h"
#include "core/tensor_impl.h"
#include "onnx/dtypes.h"
#include "tandem/load.h"

using tandem::DType;
using tandem::Error;
using tandem::ErrorCode;
using tandem::LoadedModel;
using tandem::ModelValue;
using tandem::Tensor;
using TensorList = std::vector<Tensor>;

struct td_model {
  LoadedModel model;
};

struct td_results {
  struct Result {
    std::string name;
    Tensor tensor;  // contiguous
  };
  std::vector<Result> list;
};

namespace {

thread_local std::string last_error;

td_status failed(td_status status, const char* text) noexcept {
  try {
    last_error = text;
  } catch (const std::bad_alloc&) {
    last_error.clear();
  }
  return status;
}

td_status status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::io:
      return TD_IO;
    case ErrorCode::out_of_memory:
      return TD_OUT_OF_MEMORY;
    case ErrorCode::internal:
      return TD_INTERNAL;
    default:
      return TD_INVALID_ARGUMENT;
  }
}

/// Runs `f`, which returns a td_status; no exception leaves.
template <class F>
td_status guarded(F&& f) noexcept {
  try {
    return f();
  } catch (const Error& e) {
    return failed(status_of(e.code()), e.what());
  } catch (const std::bad_alloc&) {
    return failed(TD_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception& e) {
    return failed(TD_INTERNAL, e.what());
  } catch (...) {
    return failed(TD_INTERNAL, "an exception of an unknown kind");
  }
}

/// Which tensor messages speak of: `input 0`, `input "x"`.
std::string described(const char* kind, size_t index, const char* name) {
  return name ? fmt::format("{} \"{}\"", kind, name) : fmt::format("{} {}", kind, index);
}

/// Whether all tensors of a list have names. Throws where only some have.
bool all_named(const char* kind, const td_tensor* tensors, size_t count) {
  size_t named = 0;
  for (size_t i = 0; i < count; ++i) named += tensors[i].name != nullptr;
  TD_CHECK(named == 0 || named == count, "{} of {} {}s have names; all or none must", named, count, kind);
  return named > 0;
}

DType checked_dtype(int32_t code, const std::string& what) {
  DType dtype;
  TD_CHECK(tandem::onnx::dtype_of_code(code, dtype), "{} has dtype {}, which is no td_dtype", what, code);
  return dtype;
}

Tensor tensor_from(const td_tensor& t, const std::string& what) {
  const DType dtype = checked_dtype(t.dtype, what);
  TD_CHECK(t.rank >= 0 && t.rank <= TD_MAXIMUM_RANK, "{} has rank {}; 0 to {} are possible", what, t.rank,
           TD_MAXIMUM_RANK);
  tandem::Shape shape;
  // What the memory holds bounds every product, so that none overflows; sizes of zero come first.
  bool empty = false;
  for (int i = 0; i < t.rank; ++i) {
    TD_CHECK(t.shape[i] >= 0, "{} has a size of {} in dimension {}", what, t.shape[i], i);
    shape.push_back(t.shape[i]);
    empty = empty || t.shape[i] == 0;
  }
  size_t needed = empty ? 0 : tandem::size_of(dtype);
  for (int i = 0; i < t.rank && needed > 0; ++i) {
    TD_CHECK(static_cast<size_t>(t.shape[i]) <= SIZE_MAX / needed, "{} has too many elements: shape {}", what,
             shape);
    needed *= static_cast<size_t>(t.shape[i]);
  }
  TD_CHECK(t.byte_count == needed, "{} is {}{}, which takes {} bytes; byte_count is {}", what,
           tandem::name_of(dtype), shape, needed, t.byte_count);
  TD_CHECK(needed == 0 || t.data, "{} has {} bytes, but its data is NULL", what, needed);
  Tensor copy = tandem::detail::empty_tensor(dtype, shape);
  if (needed == 0) return copy;
  std::memcpy(copy.impl()->data, t.data, needed);
  if (dtype == DType::boolean)
    for (auto *b = static_cast<unsigned char*>(copy.impl()->data), *end = b + needed; b != end; ++b)
      *b = *b != 0;
  return copy;
}

/// What a tensor is, without its name.
void describe(const Tensor& t, td_tensor& to) {
  to.dtype = tandem::onnx::code_of(t.dtype());
  to.rank = t.rank();
  for (int i = 0; i < TD_MAXIMUM_RANK; ++i) to.shape[i] = i < t.rank() ? t.shape().codes()[i] : 0;
  to.byte_count = static_cast<size_t>(t.size()) * tandem::size_of(t.dtype());
}

std::vector<td_results::Result> run(const td_model* model, td_mode mode, const td_tensor* inputs,
                                    size_t count) {
  TD_CHECK(model, "the model is NULL");
  TD_CHECK(mode == TD_MODE_GRAPH || mode == TD_MODE_EAGER, "{} is no td_mode", static_cast<int>(mode));
  TD_CHECK(inputs || count == 0, "{} inputs are said to be at NULL", count);
  const LoadedModel& m = model->model;
  const bool eagerly = mode == TD_MODE_EAGER;
  std::vector<td_results::Result> results;
  if (all_named("input", inputs, count)) {
    std::map<std::string, Tensor> named;
    for (size_t i = 0; i < count; ++i) {
      const std::string what = described("input", i, inputs[i].name);
      TD_CHECK(named.emplace(inputs[i].name, tensor_from(inputs[i], what)).second, "{} is given twice", what);
    }
    for (auto& [name, tensor] : eagerly ? m.by_name_eagerly(named) : m.by_name(named))
      results.push_back({name, tensor.contiguous()});
    return results;
  }
  TensorList list;
  for (size_t i = 0; i < count; ++i) list.push_back(tensor_from(inputs[i], described("input", i, nullptr)));
  const TensorList found = eagerly ? m.run_eagerly(list) : m(list);
  for (size_t i = 0; i < found.size(); ++i) results.push_back({m.outputs()[i].name, found[i].contiguous()});
  return results;
}

using Values = const std::vector<ModelValue>& (LoadedModel::*)() const;

size_t count_of(const td_model* model, Values values) { return model ? (model->model.*values)().size() : 0; }

td_status describe_value(const td_model* model, Values values, const char* kind, size_t index,
                         td_value* value) {
  return guarded([&] {
    TD_CHECK(model, "the model is NULL");
    TD_CHECK(value, "the place for the description is NULL");
    const std::vector<ModelValue>& list = (model->model.*values)();
    TD_CHECK(index < list.size(), "there is no {} {}; there are {}", kind, index, list.size());
    const ModelValue& v = list[index];
    *value = {v.name.c_str(), tandem::onnx::code_of(v.dtype), v.has_shape ? v.shape.rank() : -1, {}, {}};
    for (int i = 0; i < value->rank; ++i) {
      value->shape[i] = v.shape[i];
      value->dimension_names[i] = v.dimension_names[static_cast<size_t>(i)].c_str();
    }
    return TD_OK;
  });
}

}  // namespace

extern "C" {

const char* td_version(void) { return TANDEM_VERSION; }

const char* td_last_error(void) { return last_error.c_str(); }

const char* td_dtype_name(int32_t dtype) {
  DType found;
  return tandem::onnx::dtype_of_code(dtype, found) ? tandem::name_of(found).data() : nullptr;
}

size_t td_dtype_size(int32_t dtype) {
  DType found;
  return tandem::onnx::dtype_of_code(dtype, found) ? tandem::size_of(found) : 0;
}

td_status td_model_load(const char* path, td_model** model) {
  return guarded([&] {
    TD_CHECK(path, "the path is NULL");
    TD_CHECK(model, "the place for the model is NULL");
    *model = new td_model{tandem::load(path)};
    return TD_OK;
  });
}

td_status td_model_load_bytes(const void* bytes, size_t byte_count, td_model** model) {
  return guarded([&] {
    TD_CHECK(bytes, "the bytes are NULL");
    TD_CHECK(model, "the place for the model is NULL");
    *model = new td_model{tandem::load_bytes({static_cast<const std::byte*>(bytes), byte_count})};
    return TD_OK;
  });
}

void td_model_free(td_model* model) { delete model; }

size_t td_model_input_count(const td_model* model) { return count_of(model, &LoadedModel::inputs); }
size_t td_model_output_count(const td_model* model) { return count_of(model, &LoadedModel::outputs); }
size_t td_model_default_count(const td_model* model) { return count_of(model, &LoadedModel::defaults); }

td_status td_model_input(const td_model* model, size_t index, td_value* value) {
  return describe_value(model, &LoadedModel::inputs, "input", index, value);
}
td_status td_model_output(const td_model* model, size_t index, td_value* value) {
  return describe_value(model, &LoadedModel::outputs, "output", index, value);
}
td_status td_model_default(const td_model* model, size_t index, td_value* value) {
  return describe_value(model, &LoadedModel::defaults, "input with a default", index, value);
}

td_status td_model_run(const td_model* model, td_mode mode, const td_tensor* inputs, size_t input_count,
                       td_results** results) {
  return guarded([&] {
    TD_CHECK(results, "the place for the results is NULL");
    auto found = std::make_unique<td_results>();
    found->list = run(model, mode, inputs, input_count);
    *results = found.release();
    return TD_OK;
  });
}

td_status td_model_run_into(const td_model* model, td_mode mode, const td_tensor* inputs, size_t input_count,
                            td_tensor* outputs, size_t output_count) {
  return guarded([&] {
    TD_CHECK(model, "the model is NULL");
    TD_CHECK(outputs || output_count == 0, "{} outputs are said to be at NULL", output_count);
    const bool named = all_named("output", outputs, output_count);
    const size_t given = model->model.outputs().size();
    TD_CHECK(named || output_count == given, "{} outputs are asked for; the model gives {}", output_count,
             given);
    for (size_t i = 0; i < output_count; ++i)
      TD_CHECK(outputs[i].data || outputs[i].byte_count == 0, "{} has {} bytes, but its data is NULL",
               described("output", i, outputs[i].name), outputs[i].byte_count);
    const std::vector<td_results::Result> results = run(model, mode, inputs, input_count);
    std::vector<const Tensor*> found;
    for (size_t i = 0; i < output_count; ++i) {
      const std::string_view name =
          named ? outputs[i].name : std::string_view(model->model.outputs()[i].name);
      const auto result = std::find_if(results.begin(), results.end(),
                                       [&](const td_results::Result& r) { return r.name == name; });
      TD_CHECK(result != results.end(), "the model gives no output \"{}\"", name);
      found.push_back(&result->tensor);
    }
    bool fits = true;
    for (size_t i = 0; i < output_count; ++i) {
      const size_t room = outputs[i].byte_count;
      describe(*found[i], outputs[i]);
      if (room >= outputs[i].byte_count) continue;
      if (fits)
        failed(TD_BUFFER_TOO_SMALL,
               fmt::format("{} has room for {} bytes; {} are needed", described("output", i, outputs[i].name),
                           room, outputs[i].byte_count)
                   .c_str());
      fits = false;
    }
    if (!fits) return TD_BUFFER_TOO_SMALL;
    for (size_t i = 0; i < output_count; ++i)
      if (outputs[i].byte_count > 0)
        std::memcpy(outputs[i].data, found[i]->impl()->data, outputs[i].byte_count);
    return TD_OK;
  });
}

size_t td_results_count(const td_results* results) { return results ? results->list.size() : 0; }

td_status td_results_get(const td_results* results, size_t index, td_tensor* tensor) {
  return guarded([&] {
    TD_CHECK(results, "the results are NULL");
    TD_CHECK(tensor, "the place for the tensor is NULL");
    TD_CHECK(index < results->list.size(), "there is no result {}; there are {}", index,
             results->list.size());
    const td_results::Result& r = results->list[index];
    tensor->name = r.name.c_str();
    tensor->data = r.tensor.impl()->data;
    describe(r.tensor, *tensor);
    return TD_OK;
  });
}

void td_results_free(td_results* results) { delete results; }

}  // extern "C"
