#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what building and testing need: Debian packages, Python packages into .venv, a header into build/. Does
# nothing, and takes no time, where all of it is there. Sourced by the other scripts: sets `root` and `python`. A script
# that needs more packages names them in `more_packages` before, one that needs no Python sets `no_python`.
set -eu -o pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck disable=SC2034 # used by the scripts that source this one
python=$root/.venv/bin/python

packages=(build-essential cmake ninja-build pkg-config protobuf-c-compiler protobuf-compiler libprotobuf-c-dev
    libjansson-dev libcmocka-dev python3 python3-venv "${more_packages[@]}")

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

missing_packages() {
    local package
    for package in "${packages[@]}"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
    done
}

install_packages() {
    local missing
    mapfile -t missing < <(missing_packages)
    [ "${#missing[@]}" -gt 0 ] || return 0
    echo "installing: ${missing[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" \
        >"$log" 2>&1 || { cat "$log" >&2; return 1; }
}

# An environment with the packages of one list: install_requirements DIRECTORY LIST. It is made anew when the list has
# changed. The Python of Debian is asked for by its path, since another one may come first in PATH.
install_requirements() {
    local venv=$1 list=$root/scripts/$2
    cmp -s "$list" "$venv/requirements.txt" && return
    echo "installing Python packages into ${venv#"$root"/}"
    rm -rf "$venv"
    /usr/bin/python3 -m venv "$venv" &&
        "$venv/bin/python" -m pip install -q --disable-pip-version-check -r "$list" &&
        cp "$list" "$venv/requirements.txt"
}

# What builds, as they run what they have built, and tests are run by. Sanitizers of GCC 12 and clang 14 find no place for
# their shadow, or hang, where the kernel scatters addresses widely (vm.mmap_rnd_bits above 28): keep_addresses, called
# before, has it not scatter them at all, where that is allowed.
runner=()
keep_addresses() {
    ! setarch -R true 2>/dev/null || runner=(setarch -R)
}

# Configures and builds one tree, or of it only the target that is named in `only`: build_tree NAME [cmake options]
build_tree() {
    local tree=$root/build/$1
    shift
    cmake -S "$root" -B "$tree" -G Ninja "$@" >"$log" 2>&1 || { cat "$log" >&2; return 1; }
    "${runner[@]}" cmake --build "$tree" ${only:+--target "$only"} >"$log" 2>&1 || { cat "$log" >&2; return 1; }
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
install_packages
"$root/scripts/onnxruntime_header.sh"
[ -n "${no_python-}" ] || install_requirements "$root/.venv" requirements.txt
