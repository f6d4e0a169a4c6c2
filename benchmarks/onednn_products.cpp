#include "onednn_products.h"

#include <dnnl.hpp>
#include <unordered_map>

extern "C" void omp_set_num_threads(int);  // of the OpenMP library that oneDNN is linked to

namespace tandem::bench {

struct OneDnnProduct::Parts {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  dnnl::matmul product;
  std::unordered_map<int, dnnl::memory> arguments;
};

OneDnnProduct::OneDnnProduct(int64_t m, int64_t k, int64_t n, const float* a, bool a_transposed,
                             const float* b, bool b_transposed, float* c)
    : parts_(std::make_unique<Parts>()) {
  using dnnl::memory;
  const auto desc = [](int64_t rows, int64_t columns, bool transposed) {
    return memory::desc({rows, columns}, memory::data_type::f32,
                        transposed ? memory::format_tag::ba : memory::format_tag::ab);
  };
  const memory::desc left = desc(m, k, a_transposed), right = desc(k, n, b_transposed),
                     result = desc(m, n, false);
  parts_->product =
      dnnl::matmul(dnnl::matmul::primitive_desc(dnnl::matmul::desc(left, right, result), parts_->engine));
  parts_->arguments = {{DNNL_ARG_SRC, memory(left, parts_->engine, const_cast<float*>(a))},
                       {DNNL_ARG_WEIGHTS, memory(right, parts_->engine, const_cast<float*>(b))},
                       {DNNL_ARG_DST, memory(result, parts_->engine, c)}};
}

OneDnnProduct::~OneDnnProduct() = default;

void OneDnnProduct::run() { parts_->product.execute(parts_->stream, parts_->arguments); }

void use_threads_in_onednn(int count) { omp_set_num_threads(count); }

}  // namespace tandem::bench
