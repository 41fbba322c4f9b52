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
volume=
server=
clean() {
    [[ -z $server ]] || kill -9 "$server" 2>/dev/null || :
    rm -rf "$work" ${volume:+"$volume"}
}
trap clean EXIT

# --- what is in it -----------------------------------------------------------------------------

listing=$(dpkg-deb -c "$package")
for path in usr/bin/keyringctl usr/lib/mysql/plugin/keyring_external.so usr/lib/mysql/plugin/component_keyring_external.so \
    usr/share/man/man1/keyringctl.1.gz usr/share/man/man1/keyringctl-setup.1.gz usr/share/bash-completion/completions/keyringctl \
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
keyringctl=$work/unpacked/usr/bin/keyringctl
plugins=$work/unpacked/usr/lib/mysql/plugin
# The keyring must lie on another filesystem than the data.
volume=$(mktemp -d /dev/shm/kxdeb.XXXXXX)
"$keyringctl" init "$volume/keyring" --unlock "file:$work/secret" --generate-secret >/dev/null
common=(--no-defaults --basedir="$MYSQL_BASEDIR" --lc-messages-dir="$MYSQL_SHAREDIR" --datadir="$work/data" --log-error="$work/log.err"
    --plugin-dir="$plugins" --socket="$work/s" --pid-file="$work/pid" --skip-networking --mysqlx=OFF --secure-file-priv=NULL
    --innodb-redo-log-capacity=8M --innodb-flush-method=nosync --innodb-use-native-aio=OFF)
[[ $(id -u) != 0 ]] || common+=(--user=root)
"$MYSQLD" "${common[@]}" --initialize-insecure || fail "mysqld does not initialise: $(tail -n 3 "$work/log.err")"
sql() { "$MYSQL" --no-defaults -N -u root -S "$work/s" -e "$1"; }
run() { # run NAME STATE-QUERY MYSQLD OPTION... : starts, encrypts, stops
    local name=$1 query=$2 i state
    shift 2
    "$@" >/dev/null 2>&1 &
    server=$!
    for ((i = 0; i < 300; i++)); do
        sql 'SELECT 1' >/dev/null 2>&1 && break
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    state=$(sql "$query") || fail "$name: $(tail -n 5 "$work/log.err")"
    [[ $state == ATTACHED ]] || fail "$name: the keyring is $state"
    sql "CREATE DATABASE $name; CREATE TABLE $name.patient (name TEXT) ENCRYPTION='Y'; INSERT INTO $name.patient VALUES ('Astrid');
        ALTER INSTANCE ROTATE INNODB MASTER KEY" || fail "$name: $(tail -n 5 "$work/log.err")"
    kill "$server"
    wait "$server" || fail "$name: mysqld did not end well"
    server=
    say "$name: a table encrypted, the master key rotated"
}
run plugin "SELECT variable_value FROM performance_schema.global_status WHERE variable_name = 'Keyring_external_state'" \
    "$MYSQLD" "${common[@]}" --early-plugin-load=keyring_external.so --keyring-external=FORCE_PLUS_PERMANENT \
    --keyring-external-data="$volume/keyring" --keyring-external-unlock="file:$work/secret"
# A manifest is looked for beside the program.
cp "$MYSQLD" "$work/mysqld"
printf '{ "path": "%s", "unlock": "file:%s" }\n' "$volume/keyring" "$work/secret" >"$plugins/component_keyring_external.cnf"
run component "SELECT status_value FROM performance_schema.keyring_component_status WHERE status_key = 'State'" \
    "$work/mysqld" "${common[@]}"
[[ $("$keyringctl" list "$volume/keyring" --unlock "file:$work/secret" | grep -c INNODBKey) -ge 2 ]] || fail "the keyring has no master keys"
say "passed"
