#!/usr/bin/env bash
# What setup, doctor and docs/SETUP.md say about SELinux, compared with Debian's policy. The policy is built in a
# directory and not installed: this host need not use SELinux. Exits 77 if what it needs cannot be had.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin

for tool in sesearch semodule matchpathcon; do
    if ! command -v "$tool" >/dev/null; then
        echo "skipped: there is no $tool (scripts/packages.sh confine)"
        exit 77
    fi
done
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
package=selinux-policy-default
if ! (cd "$top" && apt-get download -qq "$package" && dpkg-deb -x "$package"_*.deb .) >"$top/log" 2>&1; then
    echo "skipped: cannot download the package $package: $(tail -n 1 "$top/log")"
    exit 77
fi
modules=$top/usr/share/selinux/default
mkdir -p "$top/var/lib/selinux/default"
args=()
while read -r module; do
    args+=(-i "$modules/$module.pp.bz2")
done <"$modules/.modules"
# -n: the kernel's policy is left alone.
semodule -p "$top" -s default -n -X 100 "${args[@]}" >"$top/log" 2>&1 || {
    cat "$top/log"
    exit 1
}
KX_SELINUX=$top/etc/selinux/default cargo test --locked -p keyringctl --test selinux_policy -- --include-ignored "$@"
