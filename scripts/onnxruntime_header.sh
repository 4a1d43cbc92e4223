#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# onnxruntime_header.sh: unpacks ONNX Runtime's C header into build/onnxruntime, where CMake finds it, unless this or
# the system has one. No Debian before 13 has it as a package; that of 13 is taken, from the mirror that the system is
# set up for: nothing is installed, and the package list that finds it is a list of its own. Without it, all is built
# but libint4q_ort.so, so that it cannot be had is said in one line, and no failure.
set -eu -o pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
folder=$root/build/onnxruntime
package=libonnxruntime-dev version=1.21.0+dfsg-1 suite=trixie
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

[ ! -e /usr/include/onnxruntime/onnxruntime_c_api.h ] || exit 0
[ ! -e "$folder/usr/include/onnxruntime/onnxruntime_c_api.h" ] || exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$folder"

download() {
    local mirror apt
    # shellcheck disable=SC2016 # names of apt's, not of the shell's
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | head -n 1)
    [ -n "$mirror" ] || { echo "no mirror of Debian in apt's sources"; return 1; }
    echo "deb [signed-by=$keyring] $mirror $suite main" >"$work/debian13.list"
    apt=(apt-get -qq -o "Dir::Etc::SourceList=$work/debian13.list" -o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$work/lists"
        -o "Dir::Cache=$work/cache" -o Acquire::Languages=none -o APT::Sandbox::User=root)
    cd "$work" && "${apt[@]}" update && "${apt[@]}" download "$package=$version" &&
        dpkg-deb --extract "$package"_*.deb "$folder"
}

echo "unpacking the header of $package $version"
(download) >"$work/log" 2>&1 && exit
echo "the header of ONNX Runtime cannot be had, libint4q_ort.so will not be built: $(tail -n 1 "$work/log")"
