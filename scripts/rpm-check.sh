#!/usr/bin/env bash
# Looks at an RPM (by default it makes one from what `make build` made): rpmlint, what is in it and what it needs; that
# rpm installs it into an empty root, upgrades it under a running server, does not remove it from under a server that
# loads it, and leaves nothing when it does; and that a real mysqld (make mysql) runs with the installed files.
#
#   rpm-check.sh [PACKAGE]     a PACKAGE that is named must run with glibc 2.28
set -euo pipefail
cd "$(dirname "$0")/.."
fail() {
    printf 'rpm-check: FAILED: %s\n' "$*" >&2
    exit 1
}
say() { printf 'rpm-check: %s\n' "$*"; }
command -v rpmbuild >/dev/null || {
    echo "skipped: there is no rpmbuild here (Debian's package rpm)"
    exit 77
}
package=$(realpath "${1:-$(scripts/rpm.sh --native)}")
work=$(mktemp -d /tmp/kxrpm.XXXXXX)
# shellcheck source=scripts/package-server.sh
. scripts/package-server.sh
plugin_dir=/usr/lib64/mysql/plugin

# --- what is in it -----------------------------------------------------------------------------

if command -v rpmlint >/dev/null; then
    rpmlint --strict --config packaging/rpmlint.toml "$package" >"$work/lint" 2>&1 || fail "rpmlint: $(cat "$work/lint")"
    say "rpmlint: $(tail -n 1 "$work/lint")"
else
    echo "skipped: rpmlint (Debian's package rpmlint)"
fi
query() { rpm -qp --qf "$1" "$package" 2>/dev/null; }
query '[%{FILEMODES:perms} %{FILEUSERNAME} %{FILEGROUPNAME} %{FILENAMES}\n]' | LC_ALL=C sort -k 4 >"$work/listing"
for path in usr/bin/keyringctl "${plugin_dir#/}/keyring_external.so" "${plugin_dir#/}/component_keyring_external.so" \
    usr/share/man/man1/keyringctl.1.gz usr/share/man/man1/keyringctl-setup.1.gz usr/share/bash-completion/completions/keyringctl \
    usr/lib/systemd/system/keyring-external-check.timer usr/share/keyring-external/monitoring/prometheus-rules.yml \
    usr/libexec/keyring-external/unlock-clevis \
    usr/share/keyring-external/logrotate/keyring-external \
    usr/share/licenses/keyring-external/{LICENSE,copyright,third-party-licenses} \
    usr/share/doc/keyring-external/{README.md,SETUP.md,CHANGELOG.md} \
    usr/share/doc/keyring-external/examples/etc_my.cnf.d_keyring_external.cnf \
    usr/share/doc/keyring-external/examples/etc_systemd_system_mysqld.service.d_keyring_external.conf; do
    grep -q " /$path\$" "$work/listing" || fail "/$path is not in the package"
done
grep -vE '^(drwxr-xr-x|-rw-r--r--) root root /usr/|^-rwxr-xr-x root root /usr/(bin/keyringctl|libexec/keyring-external/unlock-[a-z0-9]+)$' "$work/listing" &&
    fail "these have another owner, mode or place than a package's files"
needs=$(rpm -qp --requires "$package" 2>/dev/null)
# What rpm 4.14 of RHEL 8 knows, the C library, libgcc, and what the guard runs.
odd=$(grep -vE '^(rpmlib\((CompressedFileNames|FileDigests|PayloadFilesHavePrefix|PayloadIsXz)\) .*|/bin/sh|grep|sed|(libc|libm|libgcc_s|libdl|libpthread|ld-linux-[a-z0-9_-]+)\.so\.[0-9]+\(.*\)|rtld\(GNU_HASH\))$' <<<"$needs") &&
    fail "it needs what Red Hat's family does not have everywhere: $odd"
provides=$(rpm -qp --provides "$package" 2>/dev/null | cut -d ' ' -f 1 | sed 's/(.*//' | sort -u)
[[ $provides == keyring-external ]] || fail "it provides more than itself: $provides"
glibc=$(sed -n 's/.*(GLIBC_\([0-9.]*\)).*/\1/p' <<<"$needs" | sort -V | tail -n 1)
[[ $# == 0 || $(printf '%s\n' "$glibc" 2.28 | sort -V | tail -n 1) == 2.28 ]] || fail "it needs glibc $glibc"
say "$(grep -c '^-' "$work/listing") files, needs glibc $glibc"

# --- installed into an empty root ---------------------------------------------------------------

host=$work/host
as_root=
[[ $(id -u) != 0 ]] || as_root=1
host_rpm() { # host_rpm OPTION... : in the log is what it says, without the warning that Debian's rpm always gives
    local code=0
    rpm --root "${root:-$host}" --dbpath /var/lib/rpm "$@" >"$work/rpm.all" 2>&1 || code=$?
    grep -v '^rpm: ' "$work/rpm.all" >"$work/rpm.log" || :
    return $code
}
files() { (cd "$host" && find . -path ./var -prune -o -printf '%M %u %g /%P\n' | LC_ALL=C sort -k 4); }
install -d "$host"/{bin,etc/my.cnf.d,tmp,var/lib/rpm,usr/{bin,sbin,lib64,libexec,lib/systemd/system,share/{doc,licenses,man/man1}}}
if [[ $as_root ]]; then
    # Says what the guard calls.
    printf '#!/bin/sh\necho "$*" >>/var/systemctl.log\n' >"$host/usr/bin/systemctl"
    chmod 0755 "$host/usr/bin/systemctl"
    timers=$(sed -n 's,.* /usr/lib/systemd/system/\(.*\.timer\)$,--no-reload disable --now \1,p' "$work/listing")
    # The shell and the two programs that the guard runs there.
    for program in sh grep sed; do
        cp -L "$(command -v $program)" "$host/bin/$program"
        ldd "$host/bin/$program" | grep -oE '/[^ ]+' | sort -u | while read -r library; do
            install -D "$library" "$host$library"
        done
    done
    files >"$work/before"
    # Without its dependencies: they are the C library's and libgcc's, of which this root has only what the shell needs.
    host_rpm -i --nodeps "$package" || fail "it does not install: $(cat "$work/rpm.log")"
    files | grep -vxFf "$work/before" >"$work/installed"
    diff "$work/listing" "$work/installed" >&2 || fail "rpm installed other files, owners or modes than the package lists (< listed, > installed)"
    host_rpm -V --nodeps keyring-external || fail "rpm -V: $(cat "$work/rpm.log")"
    say "installed into an empty root"
else
    rpm2archive - <"$package" | tar -xz -C "$host"
    echo "skipped: installing, upgrading and removing the RPM (rpm --root needs root)"
fi

# --- a real server with the installed files -----------------------------------------------------

env_file=${KX_MYSQL_ENV:-target/mysql/env}
if [[ ! -r $env_file ]]; then
    echo "skipped: the RPM on a real server (make mysql)"
    exit 0
fi
# shellcheck source=/dev/null
. "$env_file"
new_server "$host$plugin_dir" "$host/usr/bin/keyringctl"
patients() { [[ $(sql 'SELECT name FROM biobank.patient' || :) == Astrid ]] || fail "$1: the encrypted table is not read: $(tail -n 3 "$work/log.err")"; }
start_plugin "$MYSQLD"
sql "CREATE DATABASE biobank; CREATE TABLE biobank.patient (name TEXT) ENCRYPTION='Y'; INSERT INTO biobank.patient VALUES ('Astrid')" ||
    fail "no encrypted table: $(tail -n 5 "$work/log.err")"
stop_server
say "plugin: a table encrypted"
mysqld=$host/usr/sbin/mysqld
cp "$MYSQLD" "$mysqld"
configure_component "$mysqld"
start_component "$mysqld"
patients "component"
say "component: the table read after a restart"

# --- the next release, under the running server -------------------------------------------------

[[ $as_root ]] || {
    stop_server
    exit 0
}
inode() { stat -c %i "$host$plugin_dir/component_keyring_external.so"; }
mkdir "$work/tree"
rpm2archive - <"$package" | tar -xz -C "$work/tree"
rm "$work/tree/usr/share/fish/vendor_completions.d/keyringctl.fish"
next=$(RELEASE=$(($(query '%{RELEASE}') + 1)) OUT=$work/next scripts/rpm.sh --tree "$work/tree" 2>/dev/null)
old=$(inode)
host_rpm -U --nodeps "$next" || fail "the upgrade fails: $(cat "$work/rpm.log")"
[[ ! -s $work/rpm.log ]] || fail "the upgrade is not silent: $(cat "$work/rpm.log")"
host_rpm -q keyring-external
[[ $(cat "$work/rpm.log") == "$(basename "$next" .rpm)" ]] || fail "the next release is not the one installed: $(cat "$work/rpm.log")"
[[ $(inode) != "$old" ]] || fail "the upgrade wrote into the library that the server runs"
[[ ! -e $host/usr/share/fish/vendor_completions.d/keyringctl.fish ]] || fail "the upgrade left a file that the next release does not have"
host_rpm -V --nodeps keyring-external || fail "rpm -V after the upgrade: $(cat "$work/rpm.log")"
sql 'ALTER INSTANCE ROTATE INNODB MASTER KEY' || fail "the running server lost its keyring in the upgrade"
stop_server
start_component "$mysqld"
patients "the next release"
stop_server
say "upgraded under a running server, which goes on, and starts with the new files"

# --- its removal --------------------------------------------------------------------------------

files >"$work/configured"
! host_rpm -e keyring-external || fail "it is removed under a server that loads it"
grep -q '/usr/sbin/mysqld.my' "$work/rpm.log" || fail "the refusal does not name the manifest: $(cat "$work/rpm.log")"
files | diff "$work/configured" - >&2 || fail "the refused removal changed files"
host_rpm -V --nodeps keyring-external || fail "the refused removal changed the package: $(cat "$work/rpm.log")"
[[ ! -e $host/var/systemctl.log ]] || fail "the upgrade or the refused removal called systemctl: $(cat "$host/var/systemctl.log")"
cp -a "$host" "$work/insisted"
root=$work/insisted KEYRING_EXTERNAL_REMOVE=1 host_rpm -e keyring-external || fail "its removal cannot be insisted on: $(cat "$work/rpm.log")"
[[ ! -e $work/insisted/usr/bin/keyringctl ]] || fail "the removal that was insisted on left keyringctl"
rm "$mysqld" "$mysqld.my" "$host$plugin_dir/component_keyring_external.cnf"
host_rpm -e keyring-external || fail "it cannot be removed: $(cat "$work/rpm.log")"
[[ $(cat "$host/var/systemctl.log") == "$timers" ]] || fail "the removal did not disable the timers: $(cat "$host/var/systemctl.log")"
files | diff "$work/before" - >&2 || fail "the removal does not leave what was there before (< before, > after)"
say "removed when no server loads it: nothing is left"
say "passed"
