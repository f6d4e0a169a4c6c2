#pragma once
// Tandem in C: loads and runs saved graphs, for programs in other languages. C99.
//
// Every call that can fail gives a td_status; td_last_error() says why, in words, for the calling thread.
// Handles are opaque and come from one call and go with its `_free`. No call ends the program or lets an
// exception out. What a call gives through a pointer is untouched when it fails, unless its comment says
// otherwise.
//
//     td_model* model;
//     if (td_model_load("model.onnx", &model) != TD_OK) return complain(td_last_error());
//     float x[6] = {0}, y[2];
//     td_tensor in = {NULL, TD_FLOAT32, 2, {2, 3}, x, sizeof x};
//     td_tensor out = {NULL, TD_FLOAT32, 1, {2}, y, sizeof y};
//     td_status status = td_model_run_into(model, TD_MODE_GRAPH, &in, 1, &out, 1);
//     td_model_free(model);

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Of this header: it grows when a declaration is added; what is declared stays.
#define TD_C_VERSION 1

// In C every number can be passed as one of these; so that C++ can look at each, too, they have a type there.
#ifdef __cplusplus
#define TD_ENUM(name) enum name : unsigned int
#else
#define TD_ENUM(name) enum name
#endif

/// What became of a call.
typedef TD_ENUM(td_status){
    TD_OK = 0,
    TD_INVALID_ARGUMENT = 1,  ///< a pointer, number, name, dtype or shape that was given is wrong
    TD_IO = 2,                ///< a file cannot be read, or is no model
    TD_OUT_OF_MEMORY = 3,
    TD_BUFFER_TOO_SMALL = 4,  ///< td_model_run_into says what is needed
    TD_INTERNAL = 5           ///< a mistake of Tandem's own
} td_status;

/// Element types, by ONNX's numbers. A bool is a byte, 0 or 1.
typedef TD_ENUM(td_dtype){TD_FLOAT32 = 1, TD_UINT8 = 2,   TD_INT8 = 3,     TD_UINT16 = 4,   TD_INT16 = 5,
                          TD_INT32 = 6,   TD_INT64 = 7,   TD_BOOL = 9,     TD_FLOAT16 = 10, TD_FLOAT64 = 11,
                          TD_UINT32 = 12, TD_UINT64 = 13, TD_BFLOAT16 = 16} td_dtype;

/// How a model runs: optimized as a whole, or operation by operation. The results are equal, bit for bit.
typedef TD_ENUM(td_mode){TD_MODE_GRAPH = 0, TD_MODE_EAGER = 1} td_mode;

/// The highest rank of a tensor.
#define TD_MAXIMUM_RANK 8

/// A tensor in memory: elements in row-major order without gaps.
typedef struct td_tensor {
  const char* name;  ///< of the input or output that it is; NULL: that of its place in the list
  int32_t dtype;     ///< a td_dtype
  int32_t rank;      ///< 0 to TD_MAXIMUM_RANK
  int64_t shape[TD_MAXIMUM_RANK];
  void* data;  ///< may be NULL where there are no elements; inputs are only read
  size_t byte_count;
} td_tensor;

/// What a model takes or gives at one place. The pointers live as long as the model.
typedef struct td_value {
  const char* name;
  int32_t dtype;                                 ///< a td_dtype
  int32_t rank;                                  ///< -1: any
  int64_t shape[TD_MAXIMUM_RANK];                ///< -1: any size
  const char* dimension_names[TD_MAXIMUM_RANK];  ///< "" without one; equal names are equal sizes
} td_value;

/// A loaded model. Any number of threads may run one at once.
typedef struct td_model td_model;

/// The tensors that a run gave.
typedef struct td_results td_results;

/// Tandem's version, "0.1.0".
const char* td_version(void);

/// What went wrong in this thread's last call that failed; "" before any. Valid until the next call that
/// fails.
const char* td_last_error(void);

/// "float32" and the like; NULL for numbers that are no td_dtype.
const char* td_dtype_name(int32_t dtype);

/// Bytes of one element; 0 for numbers that are no td_dtype.
size_t td_dtype_size(int32_t dtype);

/// Loads an ONNX file; td_model_free frees what it puts into `model`.
td_status td_model_load(const char* path, td_model** model);

/// The same for a file in memory, which may go afterwards. Its data may not stand in other files.
td_status td_model_load_bytes(const void* bytes, size_t byte_count, td_model** model);

/// Frees a model; NULL is none. Results of its runs stay.
void td_model_free(td_model* model);

/// How many tensors a run must give; 0 for NULL.
size_t td_model_input_count(const td_model* model);

/// How many tensors a run returns; 0 for NULL.
size_t td_model_output_count(const td_model* model);

/// How many further inputs have a default value, a saved function's state among them. Only a run by names can
/// give them.
size_t td_model_default_count(const td_model* model);

/// Describes input `index`.
td_status td_model_input(const td_model* model, size_t index, td_value* value);

/// Describes output `index`.
td_status td_model_output(const td_model* model, size_t index, td_value* value);

/// Describes input `index` of those that have a default value.
td_status td_model_default(const td_model* model, size_t index, td_value* value);

/// Runs a model on inputs in its order or, where every one of them has a name, by these. A saved function's
/// state goes one step on, except where the inputs give it. td_results_free frees what it puts into
/// `results`.
td_status td_model_run(const td_model* model, td_mode mode, const td_tensor* inputs, size_t input_count,
                       td_results** results);

/// The same into the caller's memory. `outputs` are all of the model's in its order or, where every one of
/// them has a name, any of them. `byte_count` says how much `data` can hold; the call sets dtype, rank, shape
/// and byte_count to those of the result. TD_BUFFER_TOO_SMALL: some memory is too small, byte_count says for
/// each what is needed, and no data is written; the run has been made, though, and a state has gone on: where
/// sizes are not known, td_model_run serves better.
td_status td_model_run_into(const td_model* model, td_mode mode, const td_tensor* inputs, size_t input_count,
                            td_tensor* outputs, size_t output_count);

/// How many tensors there are; 0 for NULL.
size_t td_results_count(const td_results* results);

/// Describes result `index`: its name and data live as long as the results and are to be read only.
td_status td_results_get(const td_results* results, size_t index, td_tensor* tensor);

/// Frees results; NULL is none.
void td_results_free(td_results* results);

#ifdef __cplusplus
}
#endif
