#!/usr/bin/env bash
# usage: tools/lint/docs.sh BUILD-FOLDER
# The documentation against the project: links lead somewhere, every command of ./run that is named
# exists, whole programs compile and run (what they write stays in the build), and docs/ops.md is what `tandem ops --markdown` prints.
set -eu
cd "$(dirname "$0")/../.."
build=$(realpath "$1")
folder=$build/docs
mkdir -p "$folder"
findings=$folder/findings
: >"$findings"
find_wrong() { echo "$*" | tee -a "$findings"; }

pages=$(find . -name '*.md' -not -path './build/*' | sed 's,^\./,,' | sort)

for page in $pages; do
  # [text](target), and `path/to/file.cpp` in backticks where the path begins with a folder of ours.
  while read -r number target; do
    case $target in http://* | https://* | '#'*) continue ;; esac
    [ -e "$(dirname "$page")/${target%%#*}" ] || find_wrong "$page:$number: $target leads nowhere"
  done < <(awk '{ line = $0
    while (match(line, /\]\([^) ]+\)/)) {
      print NR, substr(line, RSTART + 2, RLENGTH - 3)
      line = substr(line, RSTART + RLENGTH)
    } }' "$page")
  while read -r number path; do
    compgen -G "$path" >/dev/null || find_wrong "$page:$number: there is no $path"
  done < <(grep -noE '`(src|include|tools|tests|examples|benchmarks|docs|cmake)/[A-Za-z0-9_./*-]*`' "$page" |
    sed -E 's/^([0-9]+):`(.*)`$/\1 \2/')
  while read -r number command; do
    ./run help | grep -qE "^  $command( |\$)" || find_wrong "$page:$number: there is no ./run $command"
  done < <(grep -noE '\./run [a-z]+' "$page" | sed -E 's,^([0-9]+):\./run ,\1 ,')

  # A C++ block with a main is a program: it must compile against the library and succeed.
  awk -v prefix="$folder/$(tr / _ <<<"$page")" '
    /^```cpp/ { inside = 1; text = ""; begin = NR + 1; next }
    /^```/ && inside { inside = 0
      if (text ~ /int main\(/) { file = prefix "." begin ".cpp"; printf "%s", text > file; close(file); print file } }
    inside { text = text $0 "\n" }' "$page" >"$folder/programs"
  while read -r program; do
    if ! g++ -std=c++20 -O1 -Iinclude "$program" -o "$program.out" -L"$build/lib" -Wl,-rpath,"$build/lib" -ltandem \
      >"$program.log" 2>&1 || ! (cd "$folder" && "$program.out") >"$program.log" 2>&1; then
      cat "$program.log"
      find_wrong "$page: the program in line $(grep -oE '[0-9]+\.cpp$' <<<"$program" | cut -d. -f1) fails"
    fi
  done <"$folder/programs"
done

if [ -f docs/ops.md ]; then
  "$build/bin/tandem" ops --markdown >"$folder/ops.md"
  cmp -s docs/ops.md "$folder/ops.md" || find_wrong "docs/ops.md is stale: build/release/bin/tandem ops --markdown >docs/ops.md"
fi

[ -s "$findings" ] || echo "docs: clean"
[ ! -s "$findings" ]
