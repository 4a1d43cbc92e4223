#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# fresh.sh SUITE ...: whether quickstart.sh and test.sh pass on machines that have nothing. For each suite (bookworm,
# trixie) debootstrap makes a minimal Debian with git and CA certificates in build/check/fresh-SUITE, which gets a clone of
# HEAD, and of this machine only what apt and pip must know to reach their servers. Wants root, network and half an hour
# a suite. The machine goes when both pass.
set -eu -o pipefail
[ $# -gt 0 ] || { sed -n '3,7s/^# //p' "$0" >&2; exit 2; }
[ "$(id -u)" -eq 0 ] || exec sudo --preserve-env "$0" "$@"
more_packages=(debootstrap) no_python=1
# shellcheck source=scripts/setup.sh
. "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

# shellcheck disable=SC2016 # names of apt's, not of the shell's
mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' |
    head -n 1)}
mapfile -t pip_settings < <(env | grep '^PIP_')

make_machine() { # make_machine SUITE FOLDER
    rm -rf "$2"
    mkdir -p "$2"
    debootstrap --variant=minbase --include=git,ca-certificates "$1" "$2" "$mirror"
    apt-config dump Acquire >"$2/etc/apt/apt.conf.d/00host"
    cp /etc/ssl/certs/ca-certificates.crt "$2/etc/ssl/certs/"
    [ ! -e /etc/pip.conf ] || cp /etc/pip.conf "$2/etc/"
    git clone -q --no-hardlinks "$root" "$2/root/int4q"
}

inside() { # inside FOLDER COMMAND: where all mounts and processes go when the command ends
    # shellcheck disable=SC2016 # the inner shell's variables
    unshare --mount --pid --fork --kill-child -- bash -c '
        folder=$1
        shift
        mount -t proc proc "$folder/proc"
        mount --rbind /sys "$folder/sys"
        mount --rbind /dev "$folder/dev"
        exec chroot "$folder" env -i "$@"' - "$1" HOME=/root "${pip_settings[@]}" \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$2"
}

for suite in "$@"; do
    machine=$root/build/check/fresh-$suite
    make_machine "$suite" "$machine"
    for command in quickstart test; do
        echo "== $suite: $command.sh"
        inside "$machine" "/root/int4q/scripts/$command.sh"
    done
    rm -rf --one-file-system "$machine"
done
