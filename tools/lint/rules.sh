#!/usr/bin/env bash
# usage: tools/lint/rules.sh [FOLDER]
# The project's own rules, which no compiler and no clang-tidy check knows. A finding is one line,
# `file:line: what is wrong`. tests/lint/check.sh shows every rule an offender.
set -eu
rules=$(readlink -f "$(dirname "$0")")
cd "${1:-$rules/../..}"

# The folders of src/ in the order in which they may depend on each other, earlier ones first.
layers="core kernel runtime ops autodiff graph compiler function onnx data summary nn inspect c_api"

files=$("$rules/files.sh" .)

# matching REGEX [EXCEPT-REGEX]: the project's files whose path matches.
matching() { grep -E "$1" <<<"$files" | grep -vE "${2:-^$}" || true; }

# code_with REGEX MESSAGE FILES...: every line whose code, comments left out, matches.
code_with() {
  local regex=$1 message=$2
  shift 2
  [ $# = 0 ] || awk -v regex="$regex" -v message="$message" '
    { sub(/\/\/.*/, "") }
    $0 ~ regex { printf "%s:%d: %s\n", FILENAME, FNR, message }' "$@"
}

all_rules() {
  code='\.(h|cpp)$'

  awk -v layers="$layers" -f "$rules/layers.awk" $(matching "^(src|include)/.*$code")

  code_with '^ *#include +("([^t]|t[^a]|ta[^n])|<.*[./])' \
    'a public header includes only tandem/ and the standard library' \
    $(matching '^include/.*\.h$' '^include/tandem_c\.h$')
  code_with '^ *#include +("|<([^s]|s[^t]|st[^d]))' 'the C interface includes only C99'"'"'s <std*.h>' \
    $(matching '^include/tandem_c\.h$')

  code_with '#include.*(dnnl|oneapi)' 'only src/runtime/onednn.cpp includes oneDNN' \
    $(matching "^(src|include)/.*$code" '^src/runtime/onednn\.cpp$')

  code_with 'std::(jthread|async|thread([^:_a-z]|$))|pthread_create' 'only src/runtime/parallel.* makes threads' \
    $(matching "^(src|include)/.*$code" '^src/runtime/parallel\.')

  # Names of ops begin with a capital letter; what else is compared with a literal doesn't.
  code_with '[!=]= *"[A-Z][A-Za-z0-9]*"|"[A-Z][A-Za-z0-9]*" *[!=]=|op[a-z_]*(\(\))?(\.|->)name(\(\))? *[!=]=' \
    "control flow that asks for an op's name belongs into the op table, in src/ops" \
    $(matching "^(src|tools)/.*$code" '^src/ops/')

  awk -f "$rules/docstrings.awk" $(matching '^include/.*\.h$')

  for file in $(matching "$code"); do
    lines=$(wc -l <"$file")
    [ "$lines" -le 1000 ] || echo "$file:1000: $lines lines; a file has one subject and at most 1000 lines"
  done
  for file in $(matching "\.h$"); do
    grep -q '^#pragma once$' "$file" || echo "$file:1: a header begins with #pragma once"
  done

  grep -nE $'\t| +$' $(matching '\.(h|cpp|sh|awk|cmake|md|json|txt)$|^run$|^\.ci/run$' '^(tests|examples)/data/') /dev/null |
    sed -E 's/^([^:]+:[0-9]+):.*/\1: a tab or a blank at the end of the line/' || true
}

findings=$(all_rules)

for file in $(matching '\.(h|cpp)$'); do
  lines=$(wc -l <"$file")
  [ "$lines" -le 800 ] || [ "$lines" -gt 1000 ] || echo "warning: $file has $lines lines; 800 is a lot"
done

[ -z "$findings" ] || { echo "$findings"; exit 1; }
