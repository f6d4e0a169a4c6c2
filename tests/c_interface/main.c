/* The C interface as a C program uses it: c_interface_test PROGRAM_THAT_WRITES_MODELS FOLDER */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tandem_c.h>

static int failures = 0;

#define EXPECT(condition)                                                                   \
  do {                                                                                      \
    if (!(condition)) {                                                                     \
      printf("%s:%d: %s is false (%s)\n", __FILE__, __LINE__, #condition, td_last_error()); \
      ++failures;                                                                           \
    }                                                                                       \
  } while (0)

static void expect_error(td_status found, td_status expected, const char* message, int line) {
  if (found == expected && strcmp(td_last_error(), message) == 0) return;
  printf("%s:%d: status %d, \"%s\"; expected %d, \"%s\"\n", __FILE__, line, (int)found, td_last_error(),
         (int)expected, message);
  ++failures;
}
#define EXPECT_ERROR(call, status, message) expect_error(call, status, message, __LINE__)

static char path[4096];
static const char* file(const char* folder, const char* name) {
  snprintf(path, sizeof path, "%s/%s", folder, name);
  return path;
}

static td_tensor floats(const char* name, float* data, int64_t rows, int64_t columns) {
  td_tensor t = {name, TD_FLOAT32, 2, {rows, columns}, data, (size_t)(rows * columns) * sizeof(float)};
  return t;
}

static void inspects(const td_model* m) {
  td_value v;
  EXPECT(td_model_input_count(m) == 1 && td_model_output_count(m) == 2 && td_model_default_count(m) == 0);
  EXPECT(td_model_input(m, 0, &v) == TD_OK);
  EXPECT(strcmp(v.name, "x") == 0 && v.dtype == TD_FLOAT32 && v.rank == 2);
  EXPECT(v.shape[0] == -1 && v.shape[1] == 3 && strcmp(v.dimension_names[1], "") == 0);
  EXPECT(strlen(v.dimension_names[0]) > 0);
  EXPECT(td_model_output(m, 1, &v) == TD_OK);
  EXPECT(strcmp(v.name, "sums") == 0 && v.rank == 1);
  EXPECT_ERROR(td_model_output(m, 2, &v), TD_INVALID_ARGUMENT, "there is no output 2; there are 2");
  EXPECT_ERROR(td_model_default(m, 0, &v), TD_INVALID_ARGUMENT,
               "there is no input with a default 0; there are 0");
  EXPECT_ERROR(td_model_input(m, 0, NULL), TD_INVALID_ARGUMENT, "the place for the description is NULL");
}

static void runs(const td_model* m, td_mode mode) {
  float x[6] = {1, 0, 0, 0, 1, 0}, y[4] = {0}, sums[2] = {0};
  td_tensor in = floats(NULL, x, 2, 3);
  td_tensor out[2] = {floats(NULL, y, 0, 0), floats(NULL, sums, 0, 0)};
  td_results* results = NULL;
  td_tensor t;
  out[0].byte_count = sizeof y;
  out[1].byte_count = sizeof sums;
  EXPECT(td_model_run_into(m, mode, &in, 1, out, 2) == TD_OK);
  EXPECT(y[0] == 2 && y[1] == 3 && y[2] == 4 && y[3] == 5 && sums[0] == 5 && sums[1] == 9);
  EXPECT(out[0].rank == 2 && out[0].shape[0] == 2 && out[0].shape[1] == 2 && out[0].byte_count == 16);
  EXPECT(out[1].rank == 1 && out[1].shape[0] == 2 && out[1].dtype == TD_FLOAT32);

  /* By names: any of the outputs. */
  sums[0] = 0;
  in.name = "x";
  out[1].name = "sums";
  EXPECT(td_model_run_into(m, mode, &in, 1, out + 1, 1) == TD_OK);
  EXPECT(sums[0] == 5);

  EXPECT(td_model_run(m, mode, &in, 1, &results) == TD_OK);
  EXPECT(td_results_count(results) == 2);
  EXPECT(td_results_get(results, 0, &t) == TD_OK);
  EXPECT(strcmp(t.name, "sums") == 0 || strcmp(t.name, "y") == 0);
  EXPECT_ERROR(td_results_get(results, 2, &t), TD_INVALID_ARGUMENT, "there is no result 2; there are 2");
  td_results_free(results);

  /* No rows: no data are needed. */
  in = floats(NULL, NULL, 0, 3);
  EXPECT(td_model_run(m, mode, &in, 1, &results) == TD_OK);
  EXPECT(td_results_get(results, 0, &t) == TD_OK);
  EXPECT(strcmp(t.name, "y") == 0 && t.shape[0] == 0 && t.shape[1] == 2 && t.byte_count == 0);
  td_results_free(results);
}

static void refuses(const td_model* m) {
  float x[6] = {0}, y[3] = {7, 7, 7}, sums[2] = {0};
  td_tensor in = floats(NULL, x, 2, 3), out[2] = {floats(NULL, y, 3, 1), floats(NULL, sums, 2, 1)};
  td_results* results = NULL;
  const td_mode graph = TD_MODE_GRAPH;
#define REFUSED(message) EXPECT_ERROR(td_model_run(m, graph, &in, 1, &results), TD_INVALID_ARGUMENT, message)
  EXPECT_ERROR(td_model_run_into(m, graph, &in, 1, out, 2), TD_BUFFER_TOO_SMALL,
               "output 0 has room for 12 bytes; 16 are needed");
  EXPECT(out[0].byte_count == 16 && out[1].byte_count == 8 && y[0] == 7);
  EXPECT_ERROR(td_model_run_into(m, graph, &in, 1, out, 1), TD_INVALID_ARGUMENT,
               "1 outputs are asked for; the model gives 2");
  EXPECT_ERROR(td_model_run_into(m, graph, &in, 1, NULL, 2), TD_INVALID_ARGUMENT,
               "2 outputs are said to be at NULL");
  out[0].name = "z";
  EXPECT_ERROR(td_model_run_into(m, graph, &in, 1, out, 1), TD_INVALID_ARGUMENT,
               "the model gives no output \"z\"");
  EXPECT_ERROR(td_model_run_into(m, graph, &in, 1, out, 2), TD_INVALID_ARGUMENT,
               "1 of 2 outputs have names; all or none must");
  out[0].data = NULL;
  EXPECT_ERROR(td_model_run_into(m, graph, &in, 1, out, 1), TD_INVALID_ARGUMENT,
               "output \"z\" has 16 bytes, but its data is NULL");

  EXPECT_ERROR(td_model_run(NULL, graph, &in, 1, &results), TD_INVALID_ARGUMENT, "the model is NULL");
  EXPECT_ERROR(td_model_run(m, graph, &in, 1, NULL), TD_INVALID_ARGUMENT,
               "the place for the results is NULL");
  EXPECT_ERROR(td_model_run(m, graph, NULL, 1, &results), TD_INVALID_ARGUMENT,
               "1 inputs are said to be at NULL");
  EXPECT_ERROR(td_model_run(m, (td_mode)5, &in, 1, &results), TD_INVALID_ARGUMENT, "5 is no td_mode");
  EXPECT(td_model_run(m, graph, &in, 0, &results) == TD_INVALID_ARGUMENT);
  EXPECT(strstr(td_last_error(), "0 tensors were given; 1 are needed: x: float32(") != NULL);
  in.byte_count = 23;
  REFUSED("input 0 is float32(2, 3), which takes 24 bytes; byte_count is 23");
  in.byte_count = 24;
  in.data = NULL;
  REFUSED("input 0 has 24 bytes, but its data is NULL");
  in = floats(NULL, x, 2, 3);
  in.dtype = 8;
  REFUSED("input 0 has dtype 8, which is no td_dtype");
  in.dtype = TD_FLOAT32;
  in.rank = 9;
  REFUSED("input 0 has rank 9; 0 to 8 are possible");
  in.rank = -1;
  REFUSED("input 0 has rank -1; 0 to 8 are possible");
  in.rank = 2;
  in.shape[0] = -2;
  REFUSED("input 0 has a size of -2 in dimension 0");
  in.shape[0] = INT64_MAX;
  in.shape[1] = INT64_MAX;
  EXPECT(td_model_run(m, graph, &in, 1, &results) == TD_INVALID_ARGUMENT);
  EXPECT(strstr(td_last_error(), "input 0 has too many elements: shape (") == td_last_error());
  in = floats("q", x, 2, 3);
  EXPECT(td_model_run(m, graph, &in, 1, &results) == TD_INVALID_ARGUMENT);
  EXPECT(strstr(td_last_error(), "there is no input \"q\"; the inputs are x: float32(") != NULL);
  EXPECT(results == NULL);
}

/* A saved state goes on with each run, unless the run gives it. */
static void counts(const char* folder) {
  td_model* m = NULL;
  int32_t by = 2, total = 0, start = 40;
  td_tensor in[2] = {{"by", TD_INT32, 0, {0}, NULL, sizeof by},
                     {"count", TD_INT32, 0, {0}, NULL, sizeof start}};
  td_tensor out = {"total", TD_INT32, 0, {0}, NULL, sizeof total};
  td_value v;
  int mode;
  in[0].data = &by;
  in[1].data = &start;
  out.data = &total;
  EXPECT(td_model_load(file(folder, "counter.onnx"), &m) == TD_OK);
  EXPECT(td_model_default_count(m) == 1 && td_model_default(m, 0, &v) == TD_OK &&
         strcmp(v.name, "count") == 0);
  for (mode = 0; mode < 2; ++mode) {
    EXPECT(td_model_run_into(m, (td_mode)mode, in, 1, &out, 1) == TD_OK && total == 2 + 2 * mode);
    EXPECT(td_model_run_into(m, (td_mode)mode, in, 2, &out, 1) == TD_OK && total == 42);
  }
  td_model_free(m);
}

int main(int argument_count, char** arguments) {
  td_model* m = NULL;
  const char* folder = arguments[2];
  char command[8192];
  if (argument_count != 3) return 2;
  snprintf(command, sizeof command, "'%s' '%s'", arguments[1], folder);
  if (system(command) != 0) return 2;

  EXPECT(strcmp(td_version(), EXPECTED_VERSION) == 0 && TD_C_VERSION == 1 && strcmp(td_last_error(), "") == 0);
  EXPECT(strcmp(td_dtype_name(TD_BFLOAT16), "bfloat16") == 0 && td_dtype_size(TD_BFLOAT16) == 2);
  EXPECT(td_dtype_name(8) == NULL && td_dtype_size(8) == 0);

  EXPECT(td_model_load(file(folder, "missing.onnx"), &m) == TD_IO && strlen(td_last_error()) > 0);
  EXPECT(td_model_load(file(folder, "broken.onnx"), &m) == TD_IO && m == NULL);
  EXPECT_ERROR(td_model_load(NULL, &m), TD_INVALID_ARGUMENT, "the path is NULL");
  EXPECT_ERROR(td_model_load(path, NULL), TD_INVALID_ARGUMENT, "the place for the model is NULL");
  EXPECT_ERROR(td_model_load_bytes(NULL, 3, &m), TD_INVALID_ARGUMENT, "the bytes are NULL");
  EXPECT(td_model_load_bytes("no model", 8, &m) == TD_IO && m == NULL);

  EXPECT(td_model_load(file(folder, "affine.onnx"), &m) == TD_OK);
  if (!m) return 1;
  inspects(m);
  runs(m, TD_MODE_GRAPH);
  runs(m, TD_MODE_EAGER);
  refuses(m);
  td_model_free(m);
  counts(folder);

  td_model_free(NULL);
  td_results_free(NULL);
  EXPECT(td_model_input_count(NULL) == 0 && td_results_count(NULL) == 0);
  printf("%d failures\n", failures);
  return failures > 0;
}
