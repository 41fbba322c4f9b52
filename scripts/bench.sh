#!/usr/bin/env bash
# Measures this keyring beside component_keyring_file of the same server (make bench), and writes docs/BENCHMARKS.md and
# docs/bench/*.svg. Takes about forty minutes; nothing else should run meanwhile. Fails when an instruction count is off, or
# when encrypting a database in use loses a row or leaves something unencrypted, never because of a time.
#
#   bench.sh [--quick] [--record] [--only PART]... [--dir DIR] [--out DIR]
#
# A PART is counts, abi, copies, stores, tablespaces, verify, oltp, online, remotes or audit; with --only, only the parts
# `online`, `remotes` and `audit` are written. `online` needs 10 GB below TMPDIR, `remotes` the engines of `make engines`.
#
# Settings: QUICK=1 (a few minutes, written below the target directory), RECORD=1 (writes benches/instructions.toml),
# ONLY="PART ...", DIR=/path (keyrings there instead of on an ext4 of their own), CARGO_TARGET_DIR; KX_MYSQL_ENV as in server.sh.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'bench: %s\n' "$*" >&2; }

target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
args=("$@")
[[ ${QUICK:-} != 1 ]] || args+=(--quick)
[[ ${RECORD:-} != 1 ]] || args+=(--record)
for part in ${ONLY:-}; do args+=(--only "$part"); done
[[ -z ${DIR:-} ]] || args+=(--dir "$(realpath "$DIR")")
if [[ " ${args[*]} " != *" --out "* ]]; then
    out=$PWD/docs
    [[ " ${args[*]} " != *" --quick "* ]] || out=$target/bench
    args+=(--out "$out")
fi

if [[ -z ${KX_MYSQL_ENV:-} ]]; then
    mysql-plugin-tests/get-mysql.sh
    export KX_MYSQL_ENV=$PWD/target/mysql/env
fi
export KX_LIBRARY_DIR=$target/release

# Without them the figures say what stands in, or is skipped.
scripts/packages.sh bench || :
scripts/engines.sh || :

say "building"
binary=$(cargo bench --locked -p mysql-plugin-tests --no-run --bench figures --message-format=json |
    sed -n '/"kind":\["bench"\]/s/.*"executable":"\([^"]*\)".*/\1/p')
[[ -x $binary ]] || {
    say "cargo named no program"
    exit 2
}
# What is measured is what is shipped.
cargo build --release --locked

# Whatever happens, nothing is left: servers die with the program, root's mounts are its own.
TMPDIR=$(mktemp -d "${TMPDIR:-/tmp}/kxb.XXXXXX")
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT
own=()
if [[ $(id -u) == 0 ]] && unshare --mount --propagation private -- true 2>/dev/null; then
    own=(unshare --mount --propagation private --)
fi
"${own[@]}" "$binary" "${args[@]}"
