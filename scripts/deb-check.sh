#!/usr/bin/env bash
# Looks at a Debian package (by default it makes one from what `make build` made): what is in it, that it installs on a
# machine without MySQL and AppArmor, that it is not removed under a server that loads it, and that a real mysqld
# (make mysql) runs with its libraries, as plugin and as component.
#
#   deb-check.sh [PACKAGE]
set -euo pipefail
cd "$(dirname "$0")/.."
fail() {
    printf 'deb-check: FAILED: %s\n' "$*" >&2
    exit 1
}
say() { printf 'deb-check: %s\n' "$*"; }
command -v dpkg-deb >/dev/null || {
    echo "skipped: there is no dpkg-deb here"
    exit 77
}
package=${1:-$(scripts/deb.sh --native)}
work=$(mktemp -d /tmp/kxdeb.XXXXXX)
# shellcheck source=scripts/package-server.sh
. scripts/package-server.sh

# --- what is in it -----------------------------------------------------------------------------

listing=$(dpkg-deb -c "$package")
for path in usr/bin/keyringctl usr/lib/mysql/plugin/keyring_external.so usr/lib/mysql/plugin/component_keyring_external.so \
    usr/share/man/man1/keyringctl.1.gz usr/share/man/man1/keyringctl-setup.1.gz usr/share/bash-completion/completions/keyringctl \
    usr/lib/systemd/system/keyring-external-check.timer usr/share/keyring-external/monitoring/prometheus-rules.yml \
    usr/libexec/keyring-external/unlock-clevis usr/share/doc/keyring-external/UNLOCK.md \
    usr/share/keyring-external/logrotate/keyring-external \
    usr/share/doc/keyring-external/copyright usr/share/doc/keyring-external/third-party-licenses.gz \
    usr/share/doc/keyring-external/examples/etc_apparmor.d_local_usr.sbin.mysqld \
    usr/share/doc/keyring-external/examples/etc_systemd_system_mysql.service.d_keyring_external.conf; do
    grep -q " ./$path\$" <<<"$listing" || fail "$path is not in the package"
done
! grep -qE ' \./(etc|var|run)/' <<<"$listing" || fail "the package brings files outside /usr"
! grep -q '^[hl]' <<<"$listing" || fail "the package has links: mysqld needs two files"
awk '$2 != "root/root" { exit 1 }' <<<"$listing" || fail "a file does not belong to root"
say "$(grep -c '^-' <<<"$listing") files, $(dpkg-deb -f "$package" Depends)"

# --- installed on a machine without MySQL ------------------------------------------------------

host=$work/host
if [[ $(id -u) == 0 ]]; then
    install -d "$host/var/lib/dpkg"/{info,updates} "$host/etc" "$host/usr/sbin"
    : >"$host/var/lib/dpkg/status"
    # Its dependencies are the C library's, which this bare host has none of; maintainer scripts run by chroot.
    dpkg --root="$host" --force-depends --force-script-chrootless --log=/dev/null -i "$package" >"$work/log" 2>&1 ||
        fail "it does not install: $(tail -n 3 "$work/log")"
    "$host/usr/bin/keyringctl" --version >/dev/null || fail "keyringctl does not run"
    dpkg --root="$host" --force-depends --force-script-chrootless --log=/dev/null -r keyring-external >"$work/log" 2>&1 ||
        fail "it cannot be removed again: $(tail -n 3 "$work/log")"
    [[ ! -e $host/usr/bin/keyringctl ]] || fail "removing it left keyringctl"
    say "installed and removed on a bare host"
fi
# The guard looks at the running system's files: it is asked about others here.
guard=$work/prerm
dpkg-deb --ctrl-tarfile "$package" | tar -xO ./prerm | sed "s,/usr/sbin/mysqld.my,$work/mysqld.my,; s,/etc/\|/var/\|/usr/lib,$work/none/,g" >"$guard"
sh "$guard" remove || fail "its removal is refused although no server loads it"
echo '{ "components": "file://component_keyring_external" }' >"$work/mysqld.my"
! sh "$guard" remove 2>/dev/null || fail "it is removed under a server that loads it"
sh "$guard" upgrade || fail "an upgrade is refused"
KEYRING_EXTERNAL_REMOVE=1 sh "$guard" remove || fail "its removal cannot be insisted on"
say "not removed while a server loads it"

# --- on a real server --------------------------------------------------------------------------

env_file=${KX_MYSQL_ENV:-target/mysql/env}
if [[ ! -r $env_file ]]; then
    echo "skipped: the package on a real server (make mysql)"
    exit 0
fi
# shellcheck source=/dev/null
. "$env_file"
dpkg -x "$package" "$work/unpacked"
plugins=$work/unpacked/usr/lib/mysql/plugin
new_server "$plugins" "$work/unpacked/usr/bin/keyringctl"
encrypts() { # encrypts NAME: makes an encrypted table, and stops the server
    sql "CREATE DATABASE $1; CREATE TABLE $1.patient (name TEXT) ENCRYPTION='Y'; INSERT INTO $1.patient VALUES ('Astrid');
        ALTER INSTANCE ROTATE INNODB MASTER KEY" || fail "$1: $(tail -n 5 "$work/log.err")"
    stop_server
    say "$1: a table encrypted, the master key rotated"
}
start_plugin "$MYSQLD"
encrypts plugin
# A manifest is looked for beside the program.
cp "$MYSQLD" "$work/mysqld"
configure_component "$work/mysqld"
start_component "$work/mysqld"
encrypts component
[[ $("$keyringctl" list "$volume/keyring" --unlock "file:$work/secret" | grep -c INNODBKey) -ge 2 ]] || fail "the keyring has no master keys"
say "passed"
