#!/usr/bin/env bash
# Builds the RPM for Red Hat's family, into target/rpm (make rpm).
#
#   rpm.sh              built with zig as linker, for glibc 2.28 (RHEL, AlmaLinux, Rocky 8 and later)
#   rpm.sh --native     from what `make build` made, or makes now: it needs this machine's glibc
#   rpm.sh --tree DIR   packs the files in DIR, and builds nothing
#
# Settings: RELEASE (1) of the same version, OUT (target/rpm), CARGO, CARGO_TARGET_DIR.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
out=$(realpath -m "${OUT:-$target/rpm}")
release=${RELEASE:-1}

say() { printf 'rpm: %s\n' "$*" >&2; }
die() {
    say "$*"
    exit 2
}
command -v rpmbuild >/dev/null ||
    die "rpmbuild is missing: install the package rpm (Debian, Ubuntu: sudo apt-get install rpm) or rpm-build (sudo dnf install rpm-build)"

rm -rf "$out"
install -d "$out"
case ${1:-} in
    --tree) tree=$(realpath "$2") ;;
    --native | '')
        # Without a fallback: a package that does not install on RHEL 8 must be asked for.
        built=$(scripts/portable.sh ${1:+"$1"}) || die "not built; scripts/rpm.sh --native builds a package for this machine's glibc and later"
        tree=$out/tree
        scripts/package-tree.sh redhat "$built" "$tree"
        ;;
    *) die "what is $1? See scripts/rpm.sh" ;;
esac

# --- the list of files --------------------------------------------------------------------------

# Directories of the packages filesystem and systemd; others are ours too, so that removing the package removes them.
theirs=' /usr /usr/bin /usr/lib /usr/lib/systemd /usr/lib/systemd/system /usr/lib64 /usr/libexec /usr/share /usr/share/doc
/usr/share/licenses /usr/share/man /usr/share/man/man1 '
(cd "$tree" && find . -mindepth 1 -printf '%y %m /%P\n' | LC_ALL=C sort -k 3) | while read -r kind mode path; do
    case $kind:$path in
        d:*) [[ " ${theirs//$'\n'/ } " == *" $path "* ]] || printf '%%dir %%attr(%s,root,root) %s\n' "$mode" "$path" ;;
        f:/usr/share/doc/*) printf '%%doc %%attr(%s,root,root) %s\n' "$mode" "$path" ;;
        f:/usr/share/licenses/*) printf '%%license %%attr(%s,root,root) %s\n' "$mode" "$path" ;;
        f:*) printf '%%attr(%s,root,root) %s\n' "$mode" "$path" ;;
        *) die "$path is neither a file nor a directory" ;;
    esac
done >"$out/files"

# --- the package --------------------------------------------------------------------------------

# A hyphen may not be in an RPM's version, and 1.0~rc.1 is older than 1.0.
version=$(sed -n '/^\[workspace\.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml | tr - '~')
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
rpmbuild -bb --quiet --define "_topdir $out/build" --define "_rpmdir $out" \
    --define '_rpmfilename %{NAME}-%{VERSION}-%{RELEASE}.%{ARCH}.rpm' \
    --define "kx_version $version" --define "kx_release $release" --define "kx_tree $tree" --define "kx_files $out/files" \
    --define "kx_guard $PWD/packaging/prerm" --define "kx_date $(LC_ALL=C date -u -d "@$SOURCE_DATE_EPOCH" '+%a %b %d %Y')" \
    packaging/keyring-external.spec >"$out/log" 2>&1 || {
    tail -n 20 "$out/log" >&2
    die "rpmbuild failed; its output is in $out/log"
}
rm -rf "$out/build"
package=$(echo "$out"/*.rpm)
say "$(du -k "$package" | cut -f1) KiB, needs glibc $(rpm -qp --requires "$package" 2>/dev/null | sed -n 's/.*(GLIBC_\([0-9.]*\)).*/\1/p' | sort -V | tail -n 1)"
printf '%s\n' "$package"
