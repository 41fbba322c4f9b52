#!/usr/bin/env bash
# Runs the tests of the C boundary (tests/abi.rs) under Valgrind: invalid reads and writes, use of what was
# freed or never set, definite leaks. Installs a missing Valgrind when it may
# (packages.sh); without one it exits 77.
#
#   valgrind-abi.sh [TEST...]     KX_ABI_CALLS (default 4000) is how many random calls are made
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/packages.sh valgrind || :
command -v valgrind >/dev/null || {
    echo "skipped: there is no valgrind on this machine (apt-get install valgrind)"
    exit 77
}
binary=$(cargo test --locked --no-run --test abi --message-format=json |
    sed -n '/"kind":\["test"\]/s/.*"executable":"\([^"]*\)".*/\1/p')
[[ -x $binary ]] || {
    echo "valgrind-abi: cargo named no test binary" >&2
    exit 2
}
export KX_ABI_CALLS=${KX_ABI_CALLS:-4000}
mkdir -p target
# Leaks are shown and do not count: a library that is unloaded leaves the tables of its statics behind, and the
# tests open things that they never close, on purpose.
code=0
valgrind --error-exitcode=9 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=none \
    --num-callers=30 --fair-sched=yes --log-file=target/valgrind-abi.log "$binary" --nocapture "$@" \
    >target/valgrind-abi.out 2>&1 || code=$?
grep -aE '^test result|calls made' target/valgrind-abi.out || tail -n 30 target/valgrind-abi.out
grep -E 'ERROR SUMMARY' target/valgrind-abi.log
exit "$code"
