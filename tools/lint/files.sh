#!/usr/bin/env bash
# usage: tools/lint/files.sh REGEX
# The files under the current folder whose path matches, one a line: in a repository those that it has
# or would take, elsewhere all.
set -euo pipefail
if [ -e .git ]; then
  # The folder is the user's own choice, whoever owns it.
  git -c safe.directory='*' ls-files --cached --others --exclude-standard
else
  find ./* -type f | sed 's,^\./,,'
fi | { grep -E "$1" || true; } | while read -r file; do
  if [ -f "$file" ]; then echo "$file"; fi
done
