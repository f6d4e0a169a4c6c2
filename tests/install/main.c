/* A C program that knows Tandem only as installed. */

#include <stdio.h>
#include <tandem_c.h>

int main(void) {
  td_model* model = NULL;
  const td_status status = td_model_load("/no/such/model.onnx", &model);
  printf("%s: %s\n", td_version(), td_last_error());
  return status == TD_IO && model == NULL ? 0 : 1;
}
