#!/usr/bin/env bash
# Builds the Debian package, into target/deb (make deb).
#
#   deb.sh            built with zig as linker, for glibc 2.28 (Debian 10, Ubuntu 20.04); with the native toolchain when
#                     zig cannot be had
#   deb.sh --native   from what `make build` made, or makes now
#
# Settings: CARGO, CARGO_TARGET_DIR.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
out=$target/deb

say() { printf 'deb: %s\n' "$*" >&2; }
die() {
    say "$*"
    exit 2
}
command -v dpkg-deb >/dev/null || die "dpkg-deb is missing: a Debian package is made on Debian or Ubuntu"

if [[ ${1:-} == --native ]] || ! built=$(scripts/portable.sh); then
    [[ ${1:-} == --native ]] || say "the native toolchain is used, and the package needs this machine's glibc"
    built=$(scripts/portable.sh --native)
fi
library=$built/libkeyring_external.so
keyringctl=$built/keyringctl

version=$(sed -n '/^\[workspace\.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
arch=$(dpkg --print-architecture)
root=$out/root
rm -rf "$out"
scripts/package-tree.sh debian "$built" "$root"

depends="libc6 (>= $(scripts/glibc.sh --newest "$library" "$keyringctl"))"
if readelf -d "$library" "$keyringctl" | grep -q 'libgcc_s\.so'; then
    depends+=", libgcc-s1 | libgcc1"
fi
size=$(du -sk --apparent-size "$root/usr" | cut -f1)
install -d "$root/DEBIAN"
sed "s/@VERSION@/$version/; s/@ARCHITECTURE@/$arch/; s/@SIZE@/$size/; s/@DEPENDS@/$depends/" packaging/control.in \
    >"$root/DEBIAN/control"
install -m 0755 packaging/prerm "$root/DEBIAN/prerm"
(cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
package=$out/keyring-external_${version}_$arch.deb
dpkg-deb --root-owner-group -Zxz --build "$root" "$package" >/dev/null
say "$(du -k "$package" | cut -f1) KiB, needs $depends"
printf '%s\n' "$package"
