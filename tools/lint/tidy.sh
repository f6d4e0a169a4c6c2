#!/usr/bin/env bash
# usage: tools/lint/tidy.sh BUILD-FOLDER
# clang-tidy over the library and the command. A file that passed is not looked at again until it, some
# header or .clang-tidy changes: the build folder keeps a stamp for each.
set -eu
cd "$(dirname "$0")/../.."
export build=$1 stamps=$1/tidy
mkdir -p "$stamps"
export headers
headers=$(tools/lint/files.sh '\.h$|^\.clang-tidy$' | xargs -d '\n' cat | sha1sum)

check() {
  local stamp key
  stamp=$stamps/$(tr / _ <<<"$1")
  key="$headers $(sha1sum <"$1")"
  if [ "$(cat "$stamp" 2>/dev/null)" = "$key" ]; then return; fi
  # The build asks g++ for what clang does anyway, or does not know.
  if output=$(clang-tidy -p "$build" --quiet --extra-arg=-Wno-unknown-warning-option "$1" 2>"$stamp.errors"); then
    echo "$key" >"$stamp"
  else
    printf '%s\n' "$output"
    grep 'error:' "$stamp.errors" || true
    return 1
  fi
}
export -f check

tools/lint/files.sh '^(src|tools)/.*\.cpp$' | xargs -d '\n' -r -n 1 -P "$(nproc)" bash -euc 'check "$0"'
