#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# manual.sh INT4Q DIRECTORY: man pages and completions know every command and option, and complete what they should.
# What needs zsh, fish or mandoc is left out where there is none, and it says so.
set -u -o pipefail
int4q=$1 manual=$2
failed=0

fail() {
    echo "$*"
    failed=1
}

expect() { # expect WHAT EXPECTED ACTUAL
    [ "$2" = "$3" ] || fail "$1: '$3', '$2' expected"
}

have() {
    command -v "$1" >/dev/null || { echo "skipped: no $1"; return 1; }
}

# ---- everything is there

mapfile -t commands < <("$int4q" --help | sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
[ "${#commands[@]}" -ge 3 ] || fail "only ${#commands[@]} commands found"
for command in "${commands[@]}"; do
    mapfile -t options < <("$int4q" "$command" --help | sed -n 's/^  \(-., \|    \)--\([a-z-]*\).*/\2/p')
    usage=$("$int4q" "$command" --help | grep -c '^usage: .*OUTPUT')
    expect "OUTPUT in the synopsis of $command" "$usage" "$(sed -n '/^.SH SYNOPSIS/,/^.SH DESCRIPTION/p' "$manual/int4q-$command.1" | grep -c OUTPUT)"
    [ "${#options[@]}" -ge 10 ] || fail "only ${#options[@]} options of $command found"
    for option in "${options[@]}"; do
        grep -qF -- "\\-\\-${option//-/\\-}\\fR" "$manual/int4q-$command.1" || fail "int4q-$command(1): no --$option"
        for file in int4q.bash _int4q int4q.fish; do
            grep -qE -- "(--|-l )$option\b" "$manual/$file" || fail "$file: no --$option"
        done
    done
done

# ---- bash

# shellcheck disable=SC1091
. "$manual/int4q.bash"
offers() { # offers WORD ...: what is offered in place of the last one
    COMP_WORDS=(int4q "$@")
    COMP_CWORD=$#
    _int4q
    echo "${COMPREPLY[*]-}"
}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit
touch model.onnx notes.txt
mkdir models
expect "commands" "${commands[*]} --help --version" "$(offers '')"
expect "part of a command" rewrite "$(offers rew)"
expect "options" "--include --include-from" "$(offers rewrite --inc)"
expect "values" "int4 int8 int2" "$(offers rewrite --format int)"
expect "values after =" "int4 int8 int2" "$(offers rewrite --format = int)"
expect "all values after =" "float int8" "$(offers rewrite --keep-format =)"
expect "models" "model.onnx models" "$(offers inspect '')"
expect "any file" "" "$(offers inspect --reference m)"
expect "nothing is known" "" "$(offers rewrite --keep '')"

# ---- the others

if have fish; then
    offers() {
        fish --no-config -c "source $manual/int4q.fish; complete -C '$1'" | cut -f1 | sort | tr '\n' ' '
    }
    expect "fish: commands" "inspect restore rewrite " "$(offers 'int4q ')"
    expect "fish: options" "--include --include-from " "$(offers 'int4q rewrite --inc')"
    expect "fish: values" "int2 int4 int8 packed-u8 packed2 packed3 packed4 packed5 packed6 uint2 uint4 " "$(offers 'int4q rewrite --format ')"
    expect "fish: of this command only" "" "$(offers 'int4q inspect --inc')"
fi
if have zsh; then
    zsh -n "$manual/_int4q" || fail "_int4q: no zsh"
fi
if have mandoc; then # a page made by a build has no date
    mandoc -T lint -W warning "$manual"/*.1 | grep -v "missing date" && fail "troff"
fi
exit "$failed"
