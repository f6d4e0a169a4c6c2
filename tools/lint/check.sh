#!/usr/bin/env bash
# usage: tools/lint/check.sh BUILD-FOLDER [--fix]
# All that `./run lint` checks: the project's rules, the format (which --fix mends), and clang-tidy.
set -eu
cd "$(dirname "$0")/../.."
build=$1 fix=${2:-}
failed=

step() {
  local name=$1
  shift
  if "$@"; then echo "$name: clean"; else echo "$name: see above"; failed=yes; fi
}

sources() { tools/lint/files.sh '\.(h|cpp)$' | tr '\n' '\0'; }

format() {
  if [ "$fix" = --fix ]; then sources | xargs -0 clang-format -i; fi
  sources | xargs -0 -n 1 -P "$(nproc)" bash -c \
    'clang-format --dry-run -Werror "$0" 2>/dev/null || { echo "$0:1: ./run lint --fix formats this file"; exit 1; }'
}

step rules tools/lint/rules.sh
step format format
step tidy tools/lint/tidy.sh "$build"
[ -z "$failed" ]
