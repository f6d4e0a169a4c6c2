# -v layers="core kernel ...": a folder of src/ includes itself and those before it in the list.
# A public header belongs to the folder that it is named after.

function layer_of(path) {
  sub(/^(src|include\/tandem|tandem)\//, "", path)
  sub(/\.(h|cpp)$/, "", path)
  sub(/\/.*/, "", path)
  return path
}

BEGIN {
  count = split(layers, names, " ")
  for (i = 1; i <= count; ++i) rank[names[i]] = i
}

/^ *#include "/ {
  split($0, quoted, "\"")
  own = layer_of(FILENAME)
  other = layer_of(quoted[2])
  if (own in rank && other in rank && rank[other] > rank[own])
    printf "%s:%d: %s may not include \"%s\": %s comes after it\n", FILENAME, FNR, own, quoted[2], other
}
