#!/usr/bin/env bash
# Builds the library and keyringctl for a package, and prints the directory that they are in.
#
#   portable.sh            for glibc 2.28 (Debian 10, Ubuntu 20.04, RHEL 8) with zig as linker; exits 77 without a build
#                          when zig cannot be had
#   portable.sh --native   with the native toolchain: they need this machine's glibc
#
# cargo-zigbuild and ziglang come from PyPI into target/tools, once. Settings: CARGO, CARGO_TARGET_DIR.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
tools=$target/tools/zig
oldest=2.28
triple=$(rustc -vV | sed -n 's/^host: //p')

say() { printf 'portable: %s\n' "$*" >&2; }
without() {
    say "$*"
    exit 77
}

if [[ ${1:-} == --native ]]; then
    "$cargo" build --release --locked
    built=$target/release
else
    [[ $triple == *-linux-gnu ]] || without "zig is used on hosts with glibc only; this one is $triple"
    if ! python3 -m pip --version >/dev/null 2>&1; then
        if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
            without "zig cannot be had without pip: install python3-pip (as root: apt-get install python3-pip, or dnf install python3-pip)"
        fi
        say "installing python3-pip, to get zig with"
        { apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-pip; } >/dev/null 2>&1 ||
            without "apt-get could not install python3-pip, which gets zig"
    fi
    if [[ ! -e $tools/.done ]]; then
        say "getting cargo-zigbuild and ziglang into $tools"
        rm -rf "$tools"
        python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target "$tools" \
            cargo-zigbuild ziglang || without "pip could not get cargo-zigbuild and ziglang"
        touch "$tools/.done"
    fi
    export PATH=$tools/bin:$PATH PYTHONPATH=$tools
    cargo-zigbuild --version >/dev/null || without "the zig in $tools does not run: remove that directory, and try again"
    say "building for glibc $oldest with zig"
    "$cargo" zigbuild --release --locked --target "$triple.$oldest"
    built=$target/$triple/release
fi
scripts/exports.sh "$built/libkeyring_external.so" >&2
scripts/glibc.sh "$built/libkeyring_external.so" "$built/keyringctl" >&2
scripts/glibc.sh --check $oldest "$built/libkeyring_external.so" "$built/keyringctl" >&2
printf '%s\n' "$built"
