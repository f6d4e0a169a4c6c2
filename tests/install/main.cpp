// A program that knows Tandem only as installed.

#include <tandem/dtype.h>
#include <tandem/error.h>
#include <tandem/shape.h>

#include <cstring>
#include <iostream>

namespace td = tandem;

int main() {
  std::cout << td::name_of(td::float32) << '\n';
  try {
    td::Shape shape{1, 2, 3, 4, 5, 6, 7, 8, 9};
  } catch (const td::Error& e) {
    return std::strcmp(e.what(), "rank 9 is too large; at most 8 dimensions are supported") == 0 ? 0 : 1;
  }
  return 1;
}
