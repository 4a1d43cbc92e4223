#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# check.sh [STEP ...]: everything that looks for mistakes beyond `scripts/test.sh`, or only the steps named; sets up what
# they need. Prints a line a step and leaves what it said in build/check/STEP.log; fails if any step did, but not if one
# cannot be done on this machine (77). The step `fresh`, quickstart.sh and test.sh on bare machines, wants root and an
# hour, and is done only when it is named.
set -eu -o pipefail

# Functions of this file, in the order in which they run, and the Debian packages that they need.
steps=(format shell layers ruff mypy cppcheck tidy analyzer gcc_debug gcc_release clang_debug clang_release
    sanitizers threads memory valgrind runtimes qonnx page cpus static posix musl macos install package wheel
    symbols reproducible)
declare -A needs=([format]=clang-format [page]=chromium [shell]=shellcheck [cppcheck]=cppcheck [tidy]=clang-tidy [clang_debug]=clang
    [clang_release]=clang [memory]='clang libclang-rt-dev' [valgrind]=valgrind
    [macos]=file [cpus]='gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user libsimde-dev')
[ $# -eq 0 ] || steps=("$@")
more_packages=()
for step in "${steps[@]}"; do
    # shellcheck disable=SC2206 # words
    more_packages+=(${needs[$step]-})
done
# shellcheck source=scripts/setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
cd "$root"

mapfile -t sources < <(git ls-files 'src/*.[ch]' 'include/*.h' 'tests/*.[ch]' 'examples/*.c')
mapfile -t scripts < <(git ls-files '*.sh' .ci/run)

tree() { # tree NAME [cmake options]
    local name=$1
    shift
    cmake -S . -B "build/check/$name" -G Ninja -DINT4Q_WERROR=ON "$@" && "${runner[@]}" cmake --build "build/check/$name"
}

tests() { # tests NAME [ctest options]: what needs no Python
    local name=$1
    shift
    "${runner[@]}" ctest --test-dir "build/check/$name" --output-on-failure -j2 -LE acceptance "$@"
}

format() { clang-format --dry-run -Werror "${sources[@]}"; }
layers() { "$python" tests/layers.py; }
shell() { shellcheck -x -e SC1091 "${scripts[@]}"; }
python_tool() { # python_tool NAME [arguments]
    install_requirements "$root/build/check-venv" requirements-check.txt
    "$root/build/check-venv/bin/$1" "${@:2}"
}
ruff() { python_tool ruff check scripts tests; }
mypy() { python_tool mypy --python-executable "$python"; } # the packages of .venv
cppcheck() {
    command cppcheck --quiet --error-exitcode=1 --enable=warning,performance,portability --inline-suppr --std=c11 -j2 \
        -DINT4Q_VERSION='""' -DI4Q_HAS_SANDBOX=1 -D_GNU_SOURCE --suppress=missingIncludeSystem --suppress=invalidPointerCast -Isrc src
}
tidy() { # without checks of style, and without those that see mistakes where there are none
    local checks='-*,clang-analyzer-*,-clang-analyzer-optin.performance.Padding,-clang-analyzer-valist.Uninitialized'
    checks+=',-clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling'
    # What failed calls leave behind it cannot know.
    checks+=',-clang-analyzer-core.NullDereference,-clang-analyzer-core.NonNullParamChecker'
    checks+=',-clang-analyzer-optin.portability.UnixAPI'
    checks+=',bugprone-*,-bugprone-easily-swappable-parameters,-bugprone-narrowing-conversions'
    checks+=',-bugprone-assignment-in-if-condition,-bugprone-implicit-widening-of-multiplication-result'
    checks+=',-bugprone-sizeof-expression'
    tree gcc_debug -DCMAKE_BUILD_TYPE=Debug
    git ls-files 'src/*.c' | grep -v neon |
        xargs -P2 -n4 clang-tidy -p build/check/gcc_debug --quiet --warnings-as-errors='*' \
            --checks="$checks"
}
# It takes what a structure of the caller holds for lost, what vector code fills for uninitialized, and the number of
# lanes for that of bits.
analyzer() {
    local flags='-fanalyzer -Wno-analyzer-malloc-leak -Wno-analyzer-use-of-uninitialized-value'
    flags+=' -Wno-analyzer-shift-count-overflow'
    tree analyzer -DCMAKE_C_COMPILER=gcc -DCMAKE_BUILD_TYPE=Debug -DINT4Q_TESTS=OFF "-DCMAKE_C_FLAGS=$flags"
}
gcc_debug() { tree gcc_debug -DCMAKE_BUILD_TYPE=Debug && tests gcc_debug; }
gcc_release() { tree gcc_release -DCMAKE_BUILD_TYPE=Release && tests gcc_release; }
clang_debug() { tree clang_debug -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=Debug && tests clang_debug; }
clang_release() { tree clang_release -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=Release && tests clang_release; }
sanitizers() {
    keep_addresses
    tree asan -DCMAKE_BUILD_TYPE=Debug -DINT4Q_SANITIZE=address,undefined
    ASAN_OPTIONS=detect_stack_use_after_return=1 tests asan
}
threads() {
    keep_addresses
    mkdir -p build/check/tsan
    echo 'int main(void) { return 0; }' | cc -fsanitize=thread -x c - -o build/check/tsan/nothing
    "${runner[@]}" build/check/tsan/nothing || { echo 'ThreadSanitizer cannot run on this kernel'; return 77; }
    tree tsan -DCMAKE_BUILD_TYPE=Debug -DINT4Q_SANITIZE=thread
    tests tsan -E 'rewrite.price|emulated|cross' # what has no threads, and takes minutes there
}
# MemorySanitizer knows nothing of what uninstrumented libraries write: the modules that use none.
memory() {
    keep_addresses
    tree msan -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=Debug -DINT4Q_SANITIZE=memory
    tests msan -R '^unit\.(base\.(arena|half|size)|kernels\.kernels|platform\.threads|quantize\.squant)$|^fuzz\.kernels$'
}
valgrind() {
    tree gcc_debug -DCMAKE_BUILD_TYPE=Debug
    local model
    for model in tests/data/*.onnx; do
        command valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite \
            build/check/gcc_debug/int4q rewrite --no-sandbox -n "$model" >/dev/null || [ $? -ne 99 ]
    done
    local test
    for test in node kernel; do # it takes two sums for one in PMADDWD, and what nobody reads for what counts
        INT4Q_CPU=scalar command valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite \
            "build/check/gcc_debug/tests/test_ort_$test"
    done
}
runtimes() { # ConvNBits and stretches of 8 bits in ONNX Runtimes from the oldest that it is for; that of .venv is in scripts/test.sh
    tree gcc_release -DCMAKE_BUILD_TYPE=Release
    local version folder
    for version in 1.19.2 1.20.1 1.22.1 1.24.4 1.28.0; do
        folder=$root/build/runtimes/$version
        [ -e "$folder/onnxruntime" ] ||
            "$python" -m pip install -q --disable-pip-version-check --no-deps --target "$folder" "onnxruntime==$version"
        PYTHONPATH=$folder INT4Q=$root/build/check/gcc_release/int4q \
            INT4Q_OPS_LIBRARY=$root/build/check/gcc_release/libint4q_ort.so \
            "$python" -m pytest -q -p no:cacheprovider tests/acceptance/test_conv_nbits.py tests/acceptance/test_fused.py
    done
}
qonnx() { # what is written for them, in qonnx and hls4ml
    tree gcc_release -DCMAKE_BUILD_TYPE=Release
    install_requirements "$root/build/qonnx-venv" requirements-qonnx.txt
    INT4Q=$root/build/check/gcc_release/int4q "$root/build/qonnx-venv/bin/python" -m pytest -q -p no:cacheprovider \
        tests/acceptance/test_qonnx.py tests/acceptance/test_qonnx_export.py tests/acceptance/test_qonnx_tools.py
}
page() { # of the experiments, in a browser
    tree gcc_release -DCMAKE_BUILD_TYPE=Release
    INT4Q=$root/build/check/gcc_release/int4q "$python" -m pytest -q -p no:cacheprovider \
        tests/acceptance/test_scripts_schemes.py -k test_page
}
cpus() {
    tree gcc_release -DCMAKE_BUILD_TYPE=Release
    local set
    for set in scalar avx2 avx512; do
        INT4Q_CPU=$set tests gcc_release
    done
    tests gcc_release -R '^emulated\.' # with these packages, none is skipped
}
static() { tree static -DCMAKE_BUILD_TYPE=Release -DINT4Q_STATIC=ON && tests static; }
posix() { # without what only Linux has, as on other systems
    tree posix -DCMAKE_BUILD_TYPE=Release -DINT4Q_POSIX=ON && tests posix
}
musl() { # another C library, and by way of its compiler the newest clang
    scripts/cross.sh x86_64-linux-musl -DINT4Q_STATIC=ON -DINT4Q_WERROR=ON
    ctest --test-dir build/cross/x86_64-linux-musl/build --output-on-failure -j2 -LE acceptance -E '^emulated'
}
macos() { # compiled and linked; nothing here could run it
    scripts/cross.sh aarch64-macos -DINT4Q_WERROR=ON
    file build/cross/aarch64-macos/build/int4q | grep 'Mach-O 64-bit arm64 executable'
}
install() {
    tree gcc_release -DCMAKE_BUILD_TYPE=Release
    rm -rf build/check/root
    DESTDIR=$root/build/check/root cmake --install build/check/gcc_release --prefix /usr
    installed build/check/root
}
package() {
    tree gcc_release -DCMAKE_BUILD_TYPE=Release
    rm -rf build/check/root build/check/package
    cpack --config build/check/gcc_release/CPackConfig.cmake -B build/check/package
    dpkg-deb --info build/check/package/int4q_*.deb | grep -E '^ Depends: .*libprotobuf-c1.*' | grep libjansson4
    dpkg-deb --extract build/check/package/int4q_*.deb build/check/root
    installed build/check/root
}
installed() { # installed ROOT: all that int4q consists of, and it runs
    set -- "$(realpath "$1")"
    "$1/usr/bin/int4q" rewrite -n tests/data/good-detector.onnx
    local file
    for file in man/man1/int4q{,-rewrite,-inspect,-restore}.1 bash-completion/completions/int4q \
        zsh/vendor-completions/_int4q fish/vendor_completions.d/int4q.fish \
        doc/int4q/{README.md,NEWS.md,LICENSE,docs/trust.md}; do
        [ -s "$1/usr/share/$file" ]
    done
    local library # a system has its libraries in a folder of its architecture, or not
    library=$(find "$1/usr/lib" -name libint4q_ort.so)
    [ "$(nm -D --defined-only "$library" | awk '{print $3}')" = RegisterCustomOps ]
    [ -s "$1/usr/include/int4q/ort.h" ]
    [ -x "$1/usr/share/doc/int4q/examples/ci/check_model.sh" ]
    # The commands in Python, and the program from Python, with an environment's packages and Python's own.
    (cd / && "$python" "$1/usr/bin/int4q-lab" calibrate --help) | grep '^usage: int4q-lab calibrate'
    [ "$(cd / && env -u INT4Q PYTHONPATH="$1/usr/share/int4q" /usr/bin/python3 -c 'import int4q; print(int4q.find_program())')" = \
        "$1/usr/bin/int4q" ]
}
wheel() { scripts/wheel.sh; }
symbols() { # of the library: others than ours would be in the way of programs that link it
    tree gcc_release -DCMAKE_BUILD_TYPE=Release
    local library
    library=$(find build/check/gcc_release -name libint4q_core.a)
    nm -g --defined-only "$library" | awk 'NF == 3 && $3 !~ /^i4q_/' | grep . && return 1
    # Functions whose last bits are those of a C library, see base/elementary.h.
    ! nm -u "$library" | awk '{print $2}' | sort -u |
        grep -xE '(exp|exp2|exp10|expm1|log|log2|log10|log1p|pow|sinh?|cosh?|tanh?|a(sin|cos|tan)h?|atan2|cbrt|hypot|erfc?)[fl]?'
}
reproducible() {
    local place
    for place in one two/deeper; do
        rm -rf "build/check/$place"
        mkdir -p "build/check/$place/source"
        git ls-files -z | tar -c --null -T - | tar -xC "build/check/$place/source"
        cmake -S "build/check/$place/source" -B "build/check/$place/build" -G Ninja -DINT4Q_TESTS=OFF
        cmake --build "build/check/$place/build"
    done
    cmp build/check/one/build/int4q build/check/two/deeper/build/int4q
}

fresh() { scripts/fresh.sh bookworm trixie; }

mkdir -p build/check
failed=()
for step in "${steps[@]}"; do
    [ "$(type -t "$step")" = function ] || { echo "check.sh: no step '$step'" >&2; exit 2; }
    # Not as a condition: there, -e is off within the step too.
    set +e
    (set -e; "$step") >"build/check/$step.log" 2>&1
    status=$?
    set -e
    if [ "$status" -eq 0 ]; then
        echo "ok      $step"
    elif [ "$status" -eq 77 ]; then
        echo "skipped $step: $(tail -n 1 "build/check/$step.log")"
    else
        echo "FAILED  $step: build/check/$step.log, which ends so:"
        tail -n 15 "build/check/$step.log" | sed 's/^/        /'
        failed+=("$step")
    fi
done
[ "${#failed[@]}" -eq 0 ]
