#!/bin/bash
# Runs a command as the user nobody; only root can.
#
#   as-nobody.sh HOME PLACE COMMAND...
#
# HOME is a directory that nobody owns and reaches. PLACE is one that the command needs at its own path: the
# unpacked server knows its programs and libraries by absolute paths. Where a directory on the way to it is
# closed to nobody, the command sees an empty one in its stead that holds PLACE and nothing else.
set -euo pipefail

user=65534 # nobody
home=$1
place=$2
shift 2

as_nobody=(setpriv --reuid="$user" --regid="$user" --clear-groups --)
run=("${as_nobody[@]}" env -C "$home" HOME="$home" TMPDIR="$home" "$@")

# The outermost directory on the way to a path that nobody may not pass.
closed_to_nobody() {
    local path=$1 way=
    while [[ -n $path ]]; do
        path=${path#/}
        way+=/${path%%/*}
        "${as_nobody[@]}" test -x "$way" || {
            printf '%s\n' "$way"
            return
        }
        [[ $path == */* ]] || return 0
        path=/${path#*/}
    done
}

closed=$(closed_to_nobody "$place")
[[ -n $closed ]] || exec "${run[@]}"

printf 'as-nobody: %s is closed to nobody: showing nobody %s and nothing else below it\n' "$closed" "$place" >&2
hold=$(mktemp -d /tmp/kxhold.XXXXXX)
trap 'rmdir "$hold"' EXIT
# shellcheck disable=SC2016 # the inner shell's own
unshare --mount --propagation private -- bash -euc '
    place=$1 closed=$2 hold=$3
    shift 3
    umask 022
    mount --bind "$place" "$hold"
    mount -t tmpfs -o mode=0755 tmpfs "$closed"
    mkdir -p "$place"
    mount --move "$hold" "$place"
    exec "$@"' - "$place" "$closed" "$hold" "${run[@]}"
