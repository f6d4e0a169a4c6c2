#!/usr/bin/env bash
# Shows every rule of tools/lint/rules.sh an offender, and something close to one that it must accept.
set -eu
rules=$(readlink -f "$(dirname "$0")/../../tools/lint/rules.sh")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
failed=0

# expect FILE FINDING: with the text from standard input in FILE, the rules find exactly FINDING.
expect() {
  mkdir -p "$(dirname "$1")"
  cat >"$1"
  found=$("$rules" . || true)
  if [ "$found" != "$2" ]; then
    printf 'in %s\nexpected: %s\nfound:    %s\n' "$1" "$2" "$found" >&2
    failed=1
  fi
  rm "$1"
}

expect src/ops/a.cpp 'src/ops/a.cpp:2: ops may not include "graph/graph.h": graph comes after it' <<<'#include "runtime/parallel.h"
#include "graph/graph.h"'
expect include/tandem/ops/unary.h \
  'include/tandem/ops/unary.h:2: ops may not include "tandem/nn.h": nn comes after it' <<<'#pragma once
#include "tandem/nn.h"'
expect src/graph/a.cpp '' <<<'#include "graph/graph.h"
#include "tandem/ops/unary.h"'

expect include/tandem/a.h 'include/tandem/a.h:2: a public header includes only tandem/ and the standard library' \
  <<<'#pragma once
#include <fmt/format.h>'
expect include/tandem/a.h 'include/tandem/a.h:2: a public header includes only tandem/ and the standard library' \
  <<<'#pragma once
#include "core/check.h"'
expect include/tandem_c.h "include/tandem_c.h:2: the C interface includes only C99's <std*.h>" \
  <<<'#pragma once
#include <vector>'
expect include/tandem_c.h '' <<<'#pragma once
#include <stdint.h>'
expect include/tandem/a.h '' <<<'#pragma once
#include <vector>  // see core/check.h
#include "tandem/b.h"'

expect src/ops/a.cpp 'src/ops/a.cpp:1: only src/runtime/onednn.cpp includes oneDNN' <<<'#include <oneapi/dnnl/dnnl.hpp>'
expect src/runtime/onednn.cpp '' <<<'#include <oneapi/dnnl/dnnl.hpp>'

expect src/data/a.cpp 'src/data/a.cpp:1: only src/runtime/parallel.* makes threads' <<<'std::thread reader([] {});'
expect src/data/a.cpp '' <<<'int cores = std::thread::hardware_concurrency();  // no std::thread is made
std::this_thread::yield();'

by_name="control flow that asks for an op's name belongs into the op table, in src/ops"
expect src/graph/a.cpp "src/graph/a.cpp:1: $by_name" <<<'if (name == "Add") return;'
expect src/graph/a.cpp "src/graph/a.cpp:1: $by_name" <<<'if (node.op->name != other) return;'
expect src/graph/a.cpp '' <<<'if (pass.name == name || mode == "auto") return;'
expect src/ops/a.cpp '' <<<'if (name == "Add") return;'

needs='needs a `///` comment that says what it does'
expect include/tandem/a.h "include/tandem/a.h:2: sum $needs
include/tandem/a.h:3: operator* $needs" <<<'#pragma once
Tensor sum(Operand x);
Tensor operator*(Operand a, Operand b);'
expect include/tandem/a.h "include/tandem/a.h:6: Options $needs" <<<'#pragma once
/// Documented, with a body.
inline int f(int a) {
  return g(a);
}
struct Options {
  int a;
};

inline void Options::f(int a,
                       int b) {
}'
expect include/tandem/a.h '' <<<'#pragma once
namespace tandem {
class Forward;
/// Overloads share a comment.
Tensor sum(Operand x);
template <class T>
Tensor sum(Operand x,
           int axis);

Tensor mean(Operand x);  ///< so does a line its own
Tensor operator*(Operand a, Operand b);  ///< a product
template <class T>
Tensor mean(T x) {  // declared before
}
template <>
struct Forward<int> {
};
namespace detail {
int hidden();
}  // namespace detail
}  // namespace tandem'

expect src/core/a.cpp 'src/core/a.cpp:1000: 1001 lines; a file has one subject and at most 1000 lines' \
  < <(seq 1001 | sed 's,^,// ,')
expect src/core/a.cpp 'warning: src/core/a.cpp has 801 lines; 800 is a lot' < <(seq 801 | sed 's,^,// ,')
expect src/core/a.h 'src/core/a.h:1: a header begins with #pragma once' <<<'int a;'
expect src/core/a.cpp 'src/core/a.cpp:1: a tab or a blank at the end of the line' <<<$'\tint a;'
expect src/core/a.cpp 'src/core/a.cpp:1: a tab or a blank at the end of the line' <<<'int a; '

exit $failed
