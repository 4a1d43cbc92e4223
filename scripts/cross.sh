#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# cross.sh TARGET [--prepare | --only NAME] [cmake options]: builds for another system or C library with the C compiler of zig, which
# brings the headers and libraries of all of them; TARGET is its word: x86_64-linux-musl, aarch64-linux-musl,
# aarch64-macos, or with the oldest glibc that will do, x86_64-linux-gnu.2.17. Libraries are built from Debian's sources.
# The tree is build/cross/TARGET/build, and is tested with ctest as any other where its programs run. With --only nothing
# but that target of it is built, with --prepare nothing but what it needs: libraries, and toolchain.cmake for CMake.
set -eu -o pipefail
[ $# -gt 0 ] || { echo "usage: cross.sh TARGET [--prepare | --only NAME] [cmake options]" >&2; exit 2; }
target=$1 only='' prepare_only=''
shift
case ${1-} in
    --only) only=$2; shift 2 ;;
    --prepare) prepare_only=1; shift ;;
esac
no_python=1 more_packages=()
# shellcheck source=scripts/setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

cross=$root/build/cross
prefix=$cross/$target
libraries=(protobuf-c jansson cmocka)
define=-D_UINTPTR_T_DEFINED # the header of cmocka would define that type itself, and not as musl does
install_requirements "$cross/venv" requirements-cross.txt
zig=$("$cross/venv/bin/python" -c 'import os, ziglang; print(os.path.join(os.path.dirname(ziglang.__file__), "zig"))')

# Debian's sources, by a package list of their own: nothing of the system is changed.
fetch_sources() {
    [ ! -e "$cross/source/complete" ] || return 0
    local work mirror suite apt
    rm -rf "$cross/source"
    work=$cross/source/work
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
    # shellcheck disable=SC2016 # names of apt's, not of the shell's
    read -r mirror suite < <(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' 'Label: Debian')
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$work/sources.list"
    apt=(apt-get -qq -o "Dir::Etc::SourceList=$work/sources.list" -o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$work/lists"
        -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=root)
    (cd "$work" && "${apt[@]}" update && "${apt[@]}" source --download-only "${libraries[@]}")
    local library
    for library in "${libraries[@]}"; do
        dpkg-source --no-check -x "$work/$library"_*.dsc "$cross/source/$library"
    done
    rm -rf "$work"
    touch "$cross/source/complete"
}

write_tool() { # write_tool NAME COMMAND ...: one that CMake can call
    local path=$prefix/bin/$1
    shift
    printf '#!/bin/sh\nexport ZIG_GLOBAL_CACHE_DIR=%q ZIG_LOCAL_CACHE_DIR=%q\nexec %q %s "$@"\n' "$cross/cache" "$cross/cache" \
        "$zig" "$*" >"$path"
    chmod +x "$path"
}

write_toolchain() {
    # zig knows -pie only, not the -static-pie of CMakeLists.txt; what CMake tries to link first is to be made for it.
    local system=Linux flags='' link=''
    case $target in
        *macos*) system=Darwin ;;
        *musl*) flags="-fPIE $define" link=-pie ;;
    esac
    mkdir -p "$prefix/bin"
    write_tool cc cc -target "$target"
    write_tool ar ar
    write_tool ranlib ranlib
    cat >"$prefix/toolchain.cmake" <<END
set(CMAKE_SYSTEM_NAME $system)
set(CMAKE_SYSTEM_PROCESSOR ${target%%-*})
set(CMAKE_C_COMPILER $prefix/bin/cc)
set(CMAKE_AR $prefix/bin/ar)
set(CMAKE_RANLIB $prefix/bin/ranlib)
set(CMAKE_C_FLAGS_INIT "$flags")
set(CMAKE_EXE_LINKER_FLAGS_INIT "$link")
set(CMAKE_FIND_ROOT_PATH $prefix)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
END
}

build_library() { # build_library DIRECTORY [cmake options]
    local tree=$prefix/build-${1%%/*}
    cmake -S "$cross/source/$1" -B "$tree" -G Ninja -DCMAKE_TOOLCHAIN_FILE="$prefix/toolchain.cmake" \
        -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$prefix" -DCMAKE_INSTALL_LIBDIR=lib \
        -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DCMAKE_POLICY_VERSION_MINIMUM=3.5 \
        "-DCMAKE_C_FLAGS=$define" -DCMAKE_EXE_LINKER_FLAGS= "${@:2}"
    cmake --build "$tree" --target install
}

build_libraries() {
    build_library protobuf-c/build-cmake -DBUILD_PROTOC=OFF -DBUILD_TESTS=OFF
    build_library jansson -DJANSSON_BUILD_DOCS=OFF -DJANSSON_EXAMPLES=OFF -DJANSSON_WITHOUT_TESTS=ON
    build_library cmocka -DWITH_STATIC_LIB=ON -DWITH_EXAMPLES=OFF
    rm -f "$prefix"/lib/libcmocka.*
    mv "$prefix/lib/libcmocka-static.a" "$prefix/lib/libcmocka.a"
    rm -f "$prefix/bin/protoc-c" # leads to what was not built
}

prepare() {
    fetch_sources
    write_toolchain
    [ -e "$prefix/lib/libcmocka.a" ] || build_libraries
}

# Not as a condition: there, -e is off within.
set +e
(set -e; prepare) >"$log" 2>&1
status=$?
set -e
[ $status -eq 0 ] || { cat "$log" >&2; exit 1; }
[ -z "$prepare_only" ] || exit 0
export PKG_CONFIG_LIBDIR=$prefix/lib/pkgconfig
build_tree "cross/$target/build" -DCMAKE_TOOLCHAIN_FILE="$prefix/toolchain.cmake" -DCMAKE_BUILD_TYPE=Release "$@"
echo "built ${prefix#"$root"/}/build/${only:-int4q}"
