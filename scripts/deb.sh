#!/usr/bin/env bash
# Builds the Debian package, into target/deb (make deb).
#
#   deb.sh            built with zig as linker, for glibc 2.28 (Debian 10, Ubuntu 20.04); with the native toolchain when
#                     zig cannot be had
#   deb.sh --native   from what `make build` made, or makes now
#
# cargo-zigbuild and ziglang come from PyPI into target/tools, once. Settings: CARGO, CARGO_TARGET_DIR.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo=${CARGO:-cargo}
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
tools=$target/tools/zig
out=$target/deb
oldest=2.28
triple=$(rustc -vV | sed -n 's/^host: //p')

say() { printf 'deb: %s\n' "$*" >&2; }
die() {
    say "$*"
    exit 2
}
command -v dpkg-deb >/dev/null || die "dpkg-deb is missing: a Debian package is made on Debian or Ubuntu"

# zig as linker, below target/tools.
get_zig() {
    [[ $triple == *-linux-gnu ]] || return 1
    if ! python3 -m pip --version >/dev/null 2>&1; then
        [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null || return 1
        say "installing python3-pip, to get zig with"
        { apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-pip; } >/dev/null 2>&1 || return 1
    fi
    if [[ ! -e $tools/.done ]]; then
        say "getting cargo-zigbuild and ziglang into $tools"
        rm -rf "$tools"
        python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --target "$tools" \
            cargo-zigbuild ziglang || return 1
        touch "$tools/.done"
    fi
    PYTHONPATH=$tools "$tools/bin/cargo-zigbuild" --version >/dev/null 2>&1
}

built=
if [[ ${1:-} != --native ]]; then
    if get_zig; then
        say "building for glibc $oldest with zig"
        PATH=$tools/bin:$PATH PYTHONPATH=$tools "$cargo" zigbuild --release --locked --target "$triple.$oldest" &&
            built=$target/$triple/release
    fi
    [[ -n $built ]] || say "zig cannot be had or does not build here: the native toolchain is used, and the package needs this machine's glibc"
fi
if [[ -z $built ]]; then
    "$cargo" build --release --locked
    built=$target/release
fi
library=$built/libkeyring_external.so
keyringctl=$built/keyringctl
scripts/exports.sh "$library" >&2
scripts/glibc.sh "$library" "$keyringctl" >&2

# --- the files of the package ------------------------------------------------------------------

version=$(sed -n '/^\[workspace\.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
arch=$(dpkg --print-architecture)
root=$out/root
doc=$root/usr/share/doc/keyring-external
rm -rf "$out"
install -d "$root/DEBIAN" "$root/usr/share/man/man1" "$doc/examples"
# Two copies, never links: mysqld keeps a loaded library's statics per file.
for name in keyring_external.so component_keyring_external.so; do
    install -D -m 0644 "$library" "$root/usr/lib/mysql/plugin/$name"
done
install -D -m 0755 "$keyringctl" "$root/usr/bin/keyringctl"
"$keyringctl" man "$root/usr/share/man/man1" >/dev/null
gzip -9n "$root"/usr/share/man/man1/*.1
completions() { # completions SHELL FILE
    install -d "$(dirname "$root/usr/share/$2")"
    "$keyringctl" completions "$1" >"$root/usr/share/$2"
}
completions bash bash-completion/completions/keyringctl
completions zsh zsh/vendor-completions/_keyringctl
completions fish fish/vendor_completions.d/keyringctl.fish
install -m 0644 README.md SECURITY.md docs/*.md "$doc"
install -m 0644 packaging/copyright "$doc/copyright"
scripts/notices.py "$triple" | gzip -9n >"$doc/third-party-licenses.gz"
gzip -9nc CHANGELOG.md >"$doc/changelog.gz"

# What setup would write on a host like most, as examples: none of it is put in place by the installation.
host=$(mktemp -d)
trap 'rm -rf "$host"' EXIT
install -d "$host"/etc/{mysql/mysql.conf.d,apparmor.d,systemd/system} "$host"/usr/sbin "$host"/usr/lib/mysql/plugin "$host"/mnt/{a,b}
echo 'mysql:x:27:27::/:/bin/false' >"$host/etc/passwd"
chmod -R a+rX "$host"
for way in component plugin; do
    "$keyringctl" --json setup /mnt/a/keys/main.keyring --mirror /mnt/b/keys/main.keyring --root "$host" --as $way \
        --unit mysql --dry-run >"$host/setup.json"
    python3 - "$host/setup.json" "$doc/examples" <<'PYTHON'
import json, os, sys
for file in json.load(open(sys.argv[1]))["files"]:
    name = file["path"].strip("/").replace("/", "_")
    with open(os.path.join(sys.argv[2], name), "w") as to:
        to.write(file["contents"])
PYTHON
done

# --- the package -------------------------------------------------------------------------------

depends="libc6 (>= $(scripts/glibc.sh --newest "$library" "$keyringctl"))"
if readelf -d "$library" "$keyringctl" | grep -q 'libgcc_s\.so'; then
    depends+=", libgcc-s1 | libgcc1"
fi
find "$root" -mindepth 1 -type d -exec chmod 0755 {} +
find "$root/usr/share" -type f -exec chmod 0644 {} +
size=$(du -sk --apparent-size "$root/usr" | cut -f1)
sed "s/@VERSION@/$version/; s/@ARCHITECTURE@/$arch/; s/@SIZE@/$size/; s/@DEPENDS@/$depends/" packaging/control.in \
    >"$root/DEBIAN/control"
install -m 0755 packaging/prerm "$root/DEBIAN/prerm"
(cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
package=$out/keyring-external_${version}_$arch.deb
dpkg-deb --root-owner-group -Zxz --build "$root" "$package" >/dev/null
say "$(du -k "$package" | cut -f1) KiB, needs $depends"
printf '%s\n' "$package"
