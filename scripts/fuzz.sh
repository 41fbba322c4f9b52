#!/usr/bin/env bash
# Runs the fuzz targets, one after the other (make fuzz).
#
#   fuzz.sh [TARGET...]      runs these targets, or all of them
#   fuzz.sh --list           lists the targets
#
# Settings: SECONDS_EACH (600), FUZZ_ARGS (further arguments for libFuzzer), CARGO_TARGET_DIR.
# Needs a nightly Rust toolchain for AddressSanitizer (rustup toolchain install nightly --profile minimal), a C++ compiler,
# and cargo-fuzz (cargo install cargo-fuzz --locked).
# Each target starts from its seeds and from the corpus of earlier runs, which is kept in target/fuzz-corpus. An input that
# crashes a target is kept in fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
each=${SECONDS_EACH:-600}
read -ra more <<<"${FUZZ_ARGS:-}"

die() {
    printf 'fuzz: %s\n' "$*" >&2
    exit 2
}
cargo +nightly --version >/dev/null 2>&1 ||
    die "there is no nightly Rust toolchain: rustup toolchain install nightly --profile minimal"
cargo fuzz --version >/dev/null 2>&1 || die "cargo-fuzz is missing: cargo install cargo-fuzz --locked"
# Use the project's versions of all dependencies; cargo adds those of the fuzzer.
cp Cargo.lock fuzz/Cargo.lock
mapfile -t all < <(sed -n 's/^name = "\(.*\)"$/\1/p' fuzz/Cargo.toml | tail -n +2)
if [[ ${1:-} == --list ]]; then
    printf '%s\n' "${all[@]}"
    exit
fi
targets=("$@")
((${#targets[@]})) || targets=("${all[@]}")

failed=0
for name in "${targets[@]}"; do
    [[ " ${all[*]} " == *" $name "* ]] || die "there is no target $name: ${all[*]}"
    corpus=$target/fuzz-corpus/$name
    seeds=$target/fuzz-seeds/$name
    rm -rf "$seeds"
    mkdir -p "$corpus"
    cargo run --quiet --manifest-path fuzz/Cargo.toml --target-dir "$target/fuzz" --example seeds -- "$name" "$seeds"
    printf 'fuzz: %s, for %s s\n' "$name" "$each"
    leaks=1
    case $name in
        # These start threads. A scope of threads ends when their work ends, so that a thread which is still ending
        # looks like a leak.
        tablespace | redo | binlog | archive) leaks=0 ;;
    esac
    if ! ASAN_OPTIONS=detect_leaks=$leaks cargo +nightly fuzz run --target-dir "$target/fuzz" "$name" "$corpus" "$seeds" -- \
        -max_total_time="$each" -max_len=36864 -timeout=20 -rss_limit_mb=4096 -detect_leaks=$leaks -print_final_stats=1 "${more[@]}"; then
        printf 'fuzz: %s FAILED; the input is in fuzz/artifacts/%s\n' "$name" "$name" >&2
        failed=1
    fi
done
exit "$failed"
