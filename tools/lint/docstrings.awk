# Every function and type at namespace level of a public header has a `///` comment, above it or behind
# it. The comment opens a group (overloads, aliases) that the next blank line, or a body, ends. Members
# that are defined outside their class have theirs inside; what was declared before needs no
# second one, and a specialization has its template's.

FNR == 1 { documented = inside = hidden = 0 }

/^namespace detail/ { hidden = 1 }
/^}  \/\/ namespace detail/ { hidden = 0; next }
hidden { next }

# The rest of a declaration that began on an earlier line.
inside {
  if (/^}/) inside = documented = 0
  else if (!braces && /;( *\/\/.*)?$/) inside = 0
  else if (/{ *(\/\/.*)?$/) braces = 1
  next
}

/^$/ { documented = 0; next }
/^\/\/\// { documented = 1; next }
/^(\/\/|#|}|namespace |using |template |extern |requires[ (]| )/ { next }

/^[A-Za-z\[]/ {
  name = $0
  sub(/ *[({;].*/, "", name)
  name = substr(name, match(name, /(operator[^a-zA-Z_]+|[A-Za-z0-9_]+)$/))
  if (documented || /\/\/\/</)
    seen[FILENAME, name] = 1
  else if ((/\(/ || /^(struct|class|enum) /) && !/^(struct|class) [A-Za-z]+[;<]/ && !/[A-Za-z]::[A-Za-z_~]+\(/ &&
           !((FILENAME, name) in seen))
    printf "%s:%d: %s needs a `///` comment that says what it does\n", FILENAME, FNR, name
  braces = /{ *(\/\/.*)?$/ && !/} *(\/\/.*)?$/
  inside = braces || !/[;}] *(\/\/.*)?$/
}
