#!/bin/sh
# Install a build into an empty folder and use it from outside the tree: consumer.sh BUILD
#
# By find_package and by pkg-config, shared and static; the header also as C++17 where a C++ compiler
# is installed.  The install goes through DESTDIR first, as packagers do it.
set -eu
[ $# -eq 1 ] || { echo "usage: consumer.sh BUILD" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "$1" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/aneforge-consumer.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

DESTDIR=$work/stage cmake --install "$build" --prefix /opt/aneforge > "$work/log" 2>&1 ||
    { cat "$work/log"; exit 1; }
for file in include/aneforge.h include/aneforge_ops.h bin/aneforge; do
    [ -f "$work/stage/opt/aneforge/$file" ] || { echo "consumer: $file is not installed"; exit 1; }
done
# What `make install` does behind its build.
make -n -C "$here/.." install BUILD="$build" PREFIX="$work/a b" | grep 'cmake --install' |
    sh > "$work/log" 2>&1 || { cat "$work/log"; exit 1; }
[ -f "$work/a b/bin/aneforge" ] || { echo "consumer: PREFIX with a blank is not taken whole"; exit 1; }
prefix=$work/prefix
cmake --install "$build" --prefix "$prefix" > "$work/log" 2>&1 || { cat "$work/log"; exit 1; }
libdir=$(dirname "$(find "$prefix" -name libaneforge.a)")

cmake -S "$here/consumer" -B "$work/cmake" -DCMAKE_PREFIX_PATH="$prefix" > "$work/log" 2>&1 &&
    cmake --build "$work/cmake" >> "$work/log" 2>&1 || { cat "$work/log"; exit 1; }
for lib in aneforge aneforge_static; do
    echo "find_package, $lib: $(LD_LIBRARY_PATH=$libdir "$work/cmake/consumer_$lib")"
done

# The .pc file holds the prefix of the configuration; pkg-config moves it to where the file lies.
export PKG_CONFIG_PATH="$libdir/pkgconfig"
pc="pkg-config --define-variable=prefix=$prefix aneforge"
cc=${CC:-cc}
$cc -std=c11 "$here/consumer/consumer.c" $($pc --cflags --libs) -o "$work/shared"
echo "pkg-config, shared: $(LD_LIBRARY_PATH=$libdir "$work/shared")"
static_libs=$($pc --static --libs | sed "s|-laneforge|$libdir/libaneforge.a|")
$cc -std=c11 -DANF_STATIC "$here/consumer/consumer.c" $($pc --cflags) $static_libs -o "$work/static"
echo "pkg-config, static: $("$work/static")"
if ldd "$work/static" 2>/dev/null | grep -q libaneforge; then
    echo "consumer: the static program needs the shared library" >&2
    exit 1
fi
if command -v g++ > /dev/null; then
    g++ -std=c++17 -Wall -Wextra -Wpedantic -Werror -c "$here/consumer/consumer.cpp" \
        $($pc --cflags) -o "$work/cpp.o"
    echo "C++17: the header compiles"
else
    echo "C++17: skipped, there is no g++"
fi
