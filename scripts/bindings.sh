#!/usr/bin/env bash
# Makes src/abi/sys.rs anew from include/keyring_external_abi.h, with bindgen.
#
#   bindings.sh           writes src/abi/sys.rs
#   bindings.sh --check   fails when the committed file differs from a fresh one; exits 77 when it
#                         cannot tell, because libclang is missing and was not installed
set -euo pipefail
cd "$(dirname "$0")/.."

# libclang, which bindgen reads C with (about 90 MB).
scripts/packages.sh bindings || {
    echo "skipped: libclang is missing (apt-get install libclang-dev)"
    exit 77
}

out=src/abi/sys.rs
if [[ ${1:-} == --check ]]; then
    mkdir -p target
    out=$(pwd)/target/sys.rs.fresh
    rm -f "$out"
fi
# A time stamp that cargo has not seen makes build.rs run again.
KX_BINDINGS_OUT=$out KX_BINDINGS_RUN=$(date +%s%N) \
    cargo check --locked --quiet -p keyring_external --features bindgen --target-dir target/bindings
if [[ ${1:-} == --check ]]; then
    if ! diff -u src/abi/sys.rs "$out"; then
        echo "bindings: src/abi/sys.rs is not what include/ says: run make bindings" >&2
        exit 1
    fi
    echo "bindings: src/abi/sys.rs is what include/ says"
else
    echo "bindings: wrote $out"
fi
