#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# wheel.sh: builds the wheels of int4q into build/dist, for x86-64 and AArch64, and checks them. The tool in each is static,
# made for musl. Those for glibc also have libint4q_ort.so, which runs with a glibc from 2.17 on; those for musl have none,
# since ONNX Runtime has no package for musl. Checks: the tags are true, pip takes the right one everywhere, and each one
# alone in an environment of Python does its work, the laboratory included; AArch64 by qemu, with the same bytes.
set -eu -o pipefail
no_python=1 more_packages=(qemu-user binutils file unzip)
# shellcheck source=scripts/setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
cd "$root"

glibc=2.17 work=$root/build/wheel dist=$root/build/dist
architectures=(x86_64 aarch64)
model=$root/tests/data/good-detector.onnx
header=$root/build/onnxruntime/usr/include/onnxruntime
[ -e "$header" ] || header=/usr/include/onnxruntime
install_requirements "$work/venv" requirements-wheel.txt
export PATH=$work/venv/bin:$PATH # auditwheel looks there for what it calls

# wheel_for TAG ARCHITECTURE LIBRARY: one wheel, with that libint4q_ort.so or none
wheel_for() {
    local prefix=$root/build/cross/$2-linux-musl
    PKG_CONFIG_LIBDIR=$prefix/lib/pkgconfig "$work/venv/bin/python" -m pip wheel -q --no-deps --no-build-isolation -w "$dist" . \
        --config-settings "build-dir=$work/$2" --config-settings install.strip=false --config-settings "wheel.tags=$1" \
        --config-settings "cmake.define.CMAKE_TOOLCHAIN_FILE=$prefix/toolchain.cmake" --config-settings "cmake.define.CMAKE_EXE_LINKER_FLAGS=-pie -s" \
        --config-settings cmake.define.INT4Q_STATIC=ON --config-settings "cmake.define.INT4Q_OPS_LIBRARY=$3" >"$log" 2>&1 || { cat "$log" >&2; return 1; }
}

build() {
    local architecture library
    rm -rf "$dist"
    for architecture in "${architectures[@]}"; do
        echo "building for $architecture"
        "$root/scripts/cross.sh" "$architecture-linux-gnu.$glibc" --only int4q_ort -DINT4Q_TESTS=OFF -DINT4Q_ORT_OP=ON \
            "-DONNXRUNTIME_INCLUDE_DIR=$header" -DCMAKE_MODULE_LINKER_FLAGS=-s >"$log" || { cat "$log" >&2; return 1; }
        "$root/scripts/cross.sh" "$architecture-linux-musl" --prepare
        library=$root/build/cross/$architecture-linux-gnu.$glibc/build/libint4q_ort.so
        wheel_for "py3-none-manylinux_${glibc/./_}_$architecture;py3-none-manylinux2014_$architecture" "$architecture" "$library"
        wheel_for "py3-none-musllinux_1_1_$architecture" "$architecture" ""
    done
}

# What the names promise: the tool needs nothing of the system, the library no newer glibc.
check_content() {
    local wheel architecture folder needed
    for wheel in "$dist"/*.whl; do
        architecture=$(sed -E 's/.*_(x86_64|aarch64)\.whl/\1/' <<<"$wheel")
        folder=$work/content/$(basename "$wheel" .whl)
        mkdir -p "$folder"
        unzip -q -o "$wheel" -d "$folder"
        file "$folder"/int4q-*.data/scripts/int4q | grep -E 'static(-pie|ally) linked, stripped' >/dev/null
        needed=$(readelf -d "$folder"/int4q-*.data/scripts/int4q)
        [[ $needed != *NEEDED* ]]
        if [[ $wheel == *manylinux* ]]; then
            auditwheel show "$wheel" | tr '\n' ' ' | grep "manylinux_${glibc/./_}_$architecture" >/dev/null
            [ "$(nm -D --defined-only "$folder/int4q/libint4q_ort.so" | awk '{print $3}')" = RegisterCustomOps ]
        else
            [ ! -e "$folder/int4q/libint4q_ort.so" ]
        fi
    done
}

# The one that pip takes on each kind of system.
check_choice() {
    local architecture tag
    for architecture in "${architectures[@]}"; do
        for tag in manylinux_2_17 manylinux2014 musllinux_1_1; do # systems of today know these too
            rm -rf "$work/choice"
            "$work/venv/bin/python" -m pip download -q --no-index --find-links "$dist" --only-binary :all: --no-deps \
                --platform "${tag}_$architecture" -d "$work/choice" int4q
            compgen -G "$work/choice/int4q-*-py3-none-*${tag}_$architecture*.whl" >/dev/null
        done
    done
}

# Installed alone, into an environment that has nothing: the tool, the package, and run without an installation.
check_alone() {
    local wheel=$1 env=$work/alone
    rm -rf "$env"
    /usr/bin/python3 -m venv --without-pip "$env"
    "$work/venv/bin/uv" pip install -q --offline --no-index --python "$env/bin/python" "$wheel"
    (cd "$env" && PATH=$env/bin:/usr/bin:/bin
        int4q rewrite -q "$model" --method squant -o out.onnx
        int4q inspect -q out.onnx --require 'int4>=1' --require valid
        python -c 'import int4q, ctypes; int4q.__version__; ctypes.CDLL(int4q.ops_library()).RegisterCustomOps'
        python -c 'import int4q, sys; assert int4q.rewrite(sys.argv[1]).written' "$model"
        int4q-lab --help >/dev/null
        said=$(int4q-lab calibrate --help 2>&1) && exit 1
        grep "the Python package .* is missing: pip install 'int4q\[lab\]'" <<<"$said" >/dev/null)
    "$work/venv/bin/uvx" -q --offline --no-index --python /usr/bin/python3 --from "$wheel" int4q rewrite -q -n "$model"
}

# That for musl cannot be installed here, but what is in it runs: no library, and the same bytes.
check_musl() {
    local folder
    folder=$(compgen -G "$work/content/*musllinux*_x86_64")
    (cd "$work/alone" && PYTHONPATH=$folder INT4Q=$(compgen -G "$folder/int4q-*.data/scripts/int4q") /usr/bin/python3 - "$model" <<'END'
import sys
import int4q
assert int4q.rewrite(sys.argv[1]).model == open("out.onnx", "rb").read()
try:
    sys.exit(int4q.ops_library())
except FileNotFoundError:
    pass
END
    )
}

# With the extra [lab], of which the packages are those that the tests use: from a model to one that runs from 4 bits.
check_lab() {
    local wheel=$1 env=$work/lab
    install_requirements "$env" requirements.txt
    "$env/bin/python" -m pip install -q --no-index --no-deps --force-reinstall "$wheel"
    "$work/venv/bin/uv" pip install -q --offline --dry-run --python "$env/bin/python" "int4q[lab] @ file://$wheel"
    rm -rf "$env/work"
    mkdir "$env/work"
    (cd "$env/work" && PATH=$env/bin:/usr/bin:/bin && int4q-lab make-yolov10 --size n -o model.onnx &&
        int4q rewrite -q model.onnx --method squant --decode nbits -o small.onnx &&
        int4q-lab smoke-run small.onnx --reference model.onnx) >"$log" 2>&1 || { cat "$log" >&2; return 1; }
}

# For another CPU: the same bytes.
check_foreign() {
    local folder
    for folder in "$work"/content/*_aarch64; do
        qemu-aarch64 "$folder"/int4q-*.data/scripts/int4q rewrite --no-sandbox -q -f "$model" --method squant -o "$work/foreign.onnx"
        cmp "$work/foreign.onnx" "$work/alone/out.onnx"
    done
}

rm -rf "$work/content"
build
echo "checking"
check_content
check_choice
wheel=$(compgen -G "$dist/*manylinux*_x86_64.whl")
check_alone "$wheel"
check_musl
check_lab "$wheel"
check_foreign
stat -c '%s %n' "$dist"/*.whl
