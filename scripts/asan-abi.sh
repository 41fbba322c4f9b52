#!/usr/bin/env bash
# Runs the tests of the C boundary (tests/abi.rs) with AddressSanitizer, in library and test alike. The sanitizer
# is not in stable Rust yet: the compiler is told to allow it all the same (RUSTC_BOOTSTRAP). Builds in a target
# directory of its own, which takes some minutes the first time. Exits 77 where Rust has no sanitizer.
#
#   asan-abi.sh [TEST...]      KX_ABI_CALLS (default 1,000,000) is how many random calls are made
set -euo pipefail
cd "$(dirname "$0")/.."

host=$(rustc -vV | sed -n 's/^host: //p')
runtime=$(rustc --print sysroot)/lib/rustlib/$host/lib
compgen -G "$runtime/librustc*_rt.asan.a" >/dev/null || {
    echo "skipped: this Rust has no AddressSanitizer for $host"
    exit 77
}
mkdir -p target
# The library finds the sanitizer in the program that opens it, and nothing else there: the program has this
# library's own symbols too, and they must not stand in for them.
list=$PWD/target/asan.list
echo '{ __asan_*; ___asan*; __sanitizer_*; __lsan_*; __ubsan_*; __interceptor_*; };' >"$list"
binary=$(RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/asan \
    cargo rustc --locked -p keyring_external --target "$host" --test abi --message-format=json -- -Clink-arg="-Wl,--dynamic-list=$list" |
    sed -n '/"kind":\["test"\]/s/.*"executable":"\([^"]*\)".*/\1/p')
[[ -x $binary ]] || {
    echo "asan-abi: cargo named no test binary" >&2
    exit 2
}
code=0
# Leaks are Valgrind's part (valgrind-abi.sh): what the tests never close on purpose would be reported here.
KX_ABI_CALLS=${KX_ABI_CALLS:-1000000} ASAN_OPTIONS=detect_leaks=0 "$binary" --nocapture "$@" >target/asan-abi.out 2>&1 ||
    code=$?
grep -aE '^test result|calls made|ERROR: AddressSanitizer' target/asan-abi.out || tail -n 30 target/asan-abi.out
exit "$code"
