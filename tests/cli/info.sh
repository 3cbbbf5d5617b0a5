t info --isa ref --threads 2 | sed -E -e '/^ {10}|^compiler|^machine/d' \
    -e 's/^(aneforge  )[0-9.]+, header [0-9.]+$/\1VERSION/' -e 's/^(operators ).*/\1N/' \
    -e 's/^(arrays|images).*/\1/'
"$ANEFORGE" info | grep -q '^          ref  *available' && echo ref is available
# The header and the library are of one version, which is that of --version.
v=$("$ANEFORGE" --version)
"$ANEFORGE" info | grep -q "^aneforge  ${v#aneforge }, header ${v#aneforge }\$" && echo one version
