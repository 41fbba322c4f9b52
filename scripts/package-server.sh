#!/usr/bin/env bash
# A real server with the files of a package, for deb-check.sh and rpm-check.sh, which read this file in. They define
# `fail` and the directory $work before, and read in target/mysql/env before the first function.
: "${work:?}"
volume=
server=
clean() {
    [[ -z $server ]] || kill -9 "$server" 2>/dev/null || :
    rm -rf "$work" ${volume:+"$volume"}
}
trap clean EXIT

# new_server PLUGIN_DIR KEYRINGCTL: a keyring on another filesystem than the data, and an empty data directory.
new_server() {
    plugins=$1 keyringctl=$2
    volume=$(mktemp -d /dev/shm/kxpackage.XXXXXX)
    "$keyringctl" init "$volume/keyring" --unlock "file:$work/secret" --generate-secret >/dev/null
    common=(--no-defaults --basedir="$MYSQL_BASEDIR" --lc-messages-dir="$MYSQL_SHAREDIR" --datadir="$work/data"
        --log-error="$work/log.err" --plugin-dir="$plugins" --socket="$work/s" --pid-file="$work/pid" --skip-networking
        --mysqlx=OFF --secure-file-priv=NULL --loose-innodb-redo-log-capacity=8M --innodb-flush-method=nosync
        --innodb-use-native-aio=OFF)
    [[ $(id -u) != 0 ]] || common+=(--user=root)
    "$MYSQLD" "${common[@]}" --initialize-insecure || fail "mysqld does not initialise: $(tail -n 3 "$work/log.err")"
}
sql() { "$MYSQL" --no-defaults -N -u root -S "$work/s" -e "$1"; }
start_server() { # start_server NAME QUERY-FOR-THE-STATE MYSQLD OPTION...
    local name=$1 query=$2 i state
    shift 2
    "$@" >/dev/null 2>&1 &
    server=$!
    for ((i = 0; i < 600; i++)); do
        sql 'SELECT 1' >/dev/null 2>&1 && break
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    state=$(sql "$query") || fail "$name: $(tail -n 5 "$work/log.err")"
    [[ $state == ATTACHED ]] || fail "$name: the keyring is $state"
}
start_plugin() { # start_plugin MYSQLD
    start_server plugin "SELECT variable_value FROM performance_schema.global_status WHERE variable_name = 'Keyring_external_state'" \
        "$1" "${common[@]}" --early-plugin-load=keyring_external.so --keyring-external=FORCE_PLUS_PERMANENT \
        --keyring-external-data="$volume/keyring" --keyring-external-unlock="file:$work/secret"
}
configure_component() { # configure_component MYSQLD: the manifest beside it, and the configuration beside the library
    printf '{ "components": "file://component_keyring_external" }\n' >"$1.my"
    printf '{ "path": "%s", "unlock": "file:%s" }\n' "$volume/keyring" "$work/secret" >"$plugins/component_keyring_external.cnf"
}
start_component() { # start_component MYSQLD
    start_server component "SELECT status_value FROM performance_schema.keyring_component_status WHERE status_key = 'State'" \
        "$1" "${common[@]}"
}
stop_server() {
    kill "$server"
    wait "$server" || fail "mysqld did not end well: $(tail -n 5 "$work/log.err")"
    server=
}
