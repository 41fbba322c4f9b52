#!/bin/bash
# Builds the library, keyringctl and the tests on a real server (mysql-plugin-tests/tests/server), and runs the
# tests as the calling user.
#
#   server.sh [FILTER] [--list] [--test-threads N] [...]   what the test binary takes; see server.sh -- --help
#   server.sh --as-user [...]      root runs them as the user nobody instead, wherever the checkout is
#
# A test that can't run here (loop mounts need root, core dumps need gdb) is counted as ignored and named
# in a line SKIPPED. Exits 0 when no test failed.
#
# Settings: CARGO_TARGET_DIR, TMPDIR; KX_MYSQL_ENV (another file than target/mysql/env says where MySQL is).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
repo=${here%/*}
user=65534 # nobody

say() { printf 'server: %s\n' "$*" >&2; }
die() {
    say "$*"
    exit 2
}

as_user=
args=()
while (($#)); do
    case $1 in
        -h | --help)
            sed -n '2,/^set -/{/^set -/d; s/^# \{0,1\}//; p}' "${BASH_SOURCE[0]}"
            exit 0
            ;;
        --as-user) as_user=1 ;;
        --)
            shift
            args+=("$@")
            break
            ;;
        *) args+=("$1") ;;
    esac
    shift
done

cd "$repo"
if [[ -z ${KX_MYSQL_ENV:-} ]]; then
    "$here/get-mysql.sh"
    export KX_MYSQL_ENV=$repo/target/mysql/env
fi
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
export KX_LIBRARY_DIR=$target/release

# What the tests put volumes on and look into memory with.
if [[ $(id -u) == 0 && -z $as_user ]]; then
    scripts/packages.sh server || :
fi

say "building"
cargo build --release --locked
# The tests are built for debugging, so that what they need doesn't change what is shipped.
binary=$(cargo test --locked -p mysql-plugin-tests --no-run --test server --message-format=json |
    sed -n '/"kind":\["test"\]/s/.*"executable":"\([^"]*\)".*/\1/p')
[[ -x $binary ]] || die "cargo named no test binary"

if [[ -z $as_user || $(id -u) != 0 ]]; then
    exec "$binary" "${args[@]}"
fi

# --- as nobody ---------------------------------------------------------------------------------

# What nobody needs, in a place that nobody reaches. A copy: the checkout may be closed to others.
work=$(mktemp -d /tmp/kxuser.XXXXXX)
trap 'rm -rf "$work"' EXIT
chmod 0755 "$work"
install -m 0755 -t "$work" "$KX_LIBRARY_DIR/libkeyring_external.so" "$KX_LIBRARY_DIR/keyringctl"
install -m 0755 "$binary" "$work/tests"
install -m 0644 "$KX_MYSQL_ENV" "$work/env"
install -d -m 0700 -o "$user" -g "$user" "$work/tmp"

# All that its programs need is below their base directory.
basedir=$(sed -n 's/^MYSQL_BASEDIR=//p' "$KX_MYSQL_ENV")
"$here/as-nobody.sh" "$work/tmp" "$basedir" env KX_MYSQL_ENV="$work/env" KX_LIBRARY_DIR="$work" \
    "$work/tests" "${args[@]}"
