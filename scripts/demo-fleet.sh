#!/usr/bin/env bash
# A fleet from nothing to the proof, on real servers and a real engine (make demo-fleet): three MySQL servers whose
# keyrings lie in one etcd of three nodes, a node killed, a server moved to another machine, the whole engine down.
# Everything lies below target/demo-fleet and listens on loopback only, and everything it starts it stops.
#
# Settings: KX_LIBRARY_DIR (default target/release): where the library and keyringctl are.
set -euo pipefail
cd "$(dirname "$0")/.."
repo=$(pwd)
# shellcheck disable=SC1091 # made by `make mysql`
. "$repo/target/mysql/env"
# shellcheck disable=SC1091 # made by `make engines`
. "$repo/target/engines/env"

demo=$repo/target/demo-fleet
built=${KX_LIBRARY_DIR:-$repo/target/release}
keyringctl=$built/keyringctl
remotes=$demo/remotes.json
plugins=$demo/plugins
run=$(mktemp -d /tmp/kxfleet.XXXXXX) # for the sockets, whose paths must be short
declare -A node=() server=()

bold() { if [[ -t 1 ]]; then printf '\n\033[1m%s\033[0m\n' "$*"; else printf '\n%s\n' "$*"; fi; }
say() { printf '   %s\n' "$*"; }
die() {
    printf 'demo-fleet: %s\n' "$*" >&2
    exit 1
}
seconds() { awk -v ms=$((($(date +%s%N) - $1) / 1000000)) 'BEGIN { printf "%.1f s", ms / 1000 }'; }

finish() {
    kill "${server[@]}" 2>/dev/null || true
    wait "${server[@]}" 2>/dev/null || true
    kill -9 "${node[@]}" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$run"
}
trap finish EXIT

as_user=()
[[ $(id -u) != 0 ]] || as_user=(--user=root)

# --- etcd ----------------------------------------------------------------------------------------

free_ports() { # so many ports that nobody listens on
    python3 -c 'import socket, sys
sockets = [socket.socket() for _ in range(int(sys.argv[1]))]
for s in sockets: s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in sockets))' "$1"
}

start_node() {
    local n=$1
    "$ETCD" --name "n$n" --data-dir "$demo/etcd/n$n" --initial-cluster "$cluster" \
        --initial-cluster-token kxfleet --listen-peer-urls "${peer[n]}" --initial-advertise-peer-urls "${peer[n]}" \
        --listen-client-urls "${client[n]}" --advertise-client-urls "${client[n]}" --auto-compaction-retention=1h \
        --logger=zap --log-outputs="$demo/etcd/n$n.log" >>"$demo/etcd/out" 2>&1 &
    node[$n]=$!
}

healthy() { curl -s -m 2 "${client[$1]}/health" 2>/dev/null | grep -q '"true"'; }

wait_healthy() {
    for _ in $(seq 300); do
        if healthy "$1"; then return 0; fi
        sleep 0.1
    done
    die "etcd is not healthy after half a minute; see $demo/etcd"
}

leader() { # the number of the node that leads
    local n
    for n in 1 2 3; do
        if ETCDCTL_API=3 "$ETCDCTL" --endpoints "${client[n]}" --command-timeout 5s endpoint status -w json |
            python3 -c 'import json, sys
s = json.load(sys.stdin)[0]["Status"]
sys.exit(s["leader"] != s["header"]["member_id"])'; then
            echo "$n"
            return 0
        fi
    done
    die "no node leads"
}

# --- servers -------------------------------------------------------------------------------------

start() { # NAME KEYRING [OPTION...]: returns 1 when it ends before it is ready
    local name=$1 keyring=$2 dir=$demo/$1
    shift 2
    "$MYSQLD" --no-defaults --basedir="$MYSQL_BASEDIR" "${as_user[@]}" --datadir="$dir/data" --plugin-dir="$plugins" \
        --secure-file-priv=NULL --skip-networking --mysqlx=OFF --socket="$run/$name" --pid-file="$run/$name.pid" \
        --log-error="$dir/mysqld.err" --loose-innodb-redo-log-capacity=8M --innodb-buffer-pool-size=16M \
        --early-plugin-load=keyring_external.so --keyring-external=FORCE_PLUS_PERMANENT \
        --keyring-external-remotes="$remotes" --keyring-external-data="$keyring" \
        --keyring-external-mirrors="$dir/keys/mirror.keyring" --keyring-external-allow-same-device=ON \
        --keyring-external-unlock="file:$dir/secret" "$@" >>"$dir/out" 2>&1 &
    server[$name]=$!
    for _ in $(seq 600); do
        if ! kill -0 "${server[$name]}" 2>/dev/null; then
            wait "${server[$name]}" || true
            unset "server[$name]"
            tail -n 5 "$dir/mysqld.err" >&2
            return 1
        fi
        if [[ -S $run/$name ]] && "$MYSQLADMIN" --no-defaults -uroot -S "$run/$name" ping >/dev/null 2>&1; then return 0; fi
        sleep 0.1
    done
    die "the server $name did not answer within a minute; see $dir/mysqld.err"
}

stop() {
    kill "${server[$1]}"
    wait "${server[$1]}" || true
    unset "server[$1]"
}

sql() { "$MYSQL" --no-defaults -uroot -S "$run/$1" --batch --skip-column-names -e "$2"; }
state() {
    sql "$1" "SELECT CONCAT(MAX(IF(VARIABLE_NAME LIKE '%_state', VARIABLE_VALUE, '')), ', ',
        MAX(IF(VARIABLE_NAME LIKE '%_copies', VARIABLE_VALUE, '')), ' copies, ',
        MAX(IF(VARIABLE_NAME LIKE '%_keys', VARIABLE_VALUE, '')), ' keys')
        FROM performance_schema.global_status WHERE VARIABLE_NAME IN
        ('Keyring_external_state', 'Keyring_external_copies', 'Keyring_external_keys')"
}
await() { # NAME STATE
    for _ in $(seq 300); do
        if [[ $(state "$1") == "$2"* ]]; then return 0; fi
        sleep 0.2
    done
    die "$1 is $(state "$1"), not $2; see $demo/$1/mysqld.err"
}
patient() { # the patient that a server keeps
    local name
    name=$(sql "$1" "SELECT name FROM biobank.patients")
    [[ $name == "patient of $2" ]] || die "$1 does not read its table: $name"
}

rm -rf "$demo"
mkdir -p "$demo/etcd" "$plugins"
chmod 0700 "$demo/etcd"
ln -s "$MYSQL_PLUGIN_DIR"/* "$plugins/"
rm -f "$plugins/keyring_external.so"
cp "$built/libkeyring_external.so" "$plugins/keyring_external.so"

bold "1. An etcd $ETCD_VERSION of three nodes"
read -ra ports < <(free_ports 6)
peer=('' "http://127.0.0.1:${ports[0]}" "http://127.0.0.1:${ports[1]}" "http://127.0.0.1:${ports[2]}")
client=('' "http://127.0.0.1:${ports[3]}" "http://127.0.0.1:${ports[4]}" "http://127.0.0.1:${ports[5]}")
cluster="n1=${peer[1]},n2=${peer[2]},n3=${peer[3]}"
for n in 1 2 3; do start_node "$n"; done
for n in 1 2 3; do wait_healthy "$n"; done
(umask 077 && printf '{ "keys": { "kind": "etcd", "endpoints": ["%s", "%s", "%s"] } }\n' "${client[@]:1}" >"$remotes")
say "the remotes file, $remotes (on loopback without TLS; elsewhere TLS is required):"
say "   $(cat "$remotes")"

bold "2. A keyring for each of three servers, in the engine and on the server's own disk"
for name in db1 db2 db3; do
    mkdir -p "$demo/$name"
    mkdir -m 0700 "$demo/$name/keys"
    "$keyringctl" --remotes "$remotes" init "@keys/$name" --mirror "$demo/$name/keys/mirror.keyring" \
        --unlock "file:$demo/$name/secret" --generate-secret --label "Biobank, $name" >"$demo/$name/init.txt"
    say "@keys/$name and $demo/$name/keys/mirror.keyring"
done

bold "3. Three MySQL $MYSQL_VERSION servers, each with an encrypted table"
say "making the data directories ..."
"$MYSQLD" --no-defaults "${as_user[@]}" --initialize-insecure --datadir="$demo/data" --secure-file-priv=NULL \
    --loose-innodb-redo-log-capacity=8M --log-error="$demo/initialize.err" || die "mysqld --initialize failed; see $demo/initialize.err"
rm "$demo/data/auto.cnf" # each makes an identity of its own
for name in db1 db2 db3; do
    cp -a --sparse=always "$demo/data" "$demo/$name/data"
    start "$name" "@keys/$name" || die "$name did not start"
    sql "$name" "CREATE DATABASE biobank;
        CREATE TABLE biobank.patients (id INT PRIMARY KEY, name VARCHAR(60)) ENCRYPTION='Y';
        INSERT INTO biobank.patients VALUES (1, 'patient of $name')"
    say "$name: $(state "$name")"
done
rm -rf "$demo/data"

bold "4. The leader of etcd is killed, and every server makes a new master key"
first=$(leader)
kill -9 "${node[$first]}"
wait "${node[$first]}" 2>/dev/null || true
unset "node[$first]"
say "node $first is gone"
for name in db1 db2 db3; do
    at=$(date +%s%N)
    sql "$name" "ALTER INSTANCE ROTATE INNODB MASTER KEY"
    took=$(seconds "$at")
    await "$name" "ATTACHED, 2/2"
    say "$name: rotated in $took; $(state "$name")"
done

bold "5. db1 moves to another machine: its data, its secret, the remotes file, and nothing else"
id=$(sql db1 "SELECT VARIABLE_VALUE FROM performance_schema.global_status WHERE VARIABLE_NAME = 'Keyring_external_id'")
stop db1
new=$demo/machine4
mkdir -p "$new"
mkdir -m 0700 "$new/keys"
cp -a "$demo/db1/secret" "$new/"
cp -a --sparse=always "$demo/db1/data" "$new/data"
mv "$demo/db1" "$demo/db1.switched-off"
say "the new machine makes its local copy from the engine:"
"$keyringctl" --remotes "$remotes" sync @keys/db1 --mirror "$new/keys/mirror.keyring" --create --yes \
    --unlock "file:$new/secret" 2>&1 | sed 's/^/      /'
say "before the server starts, every encrypted file is opened with the keyring:"
"$keyringctl" --remotes "$remotes" verify @keys/db1 --datadir "$new/data" --unlock "file:$new/secret" >"$new/verify.txt" 2>&1 ||
    { cat "$new/verify.txt" >&2; die "the keyring does not open the data"; }
tail -n 2 "$new/verify.txt" | sed 's/^/      /'
start machine4 @keys/db1 || die "the moved server did not start"
patient machine4 db1
[[ $id == "$(sql machine4 "SELECT VARIABLE_VALUE FROM performance_schema.global_status WHERE VARIABLE_NAME = 'Keyring_external_id'")" ]] ||
    die "the moved server has another keyring"
sql machine4 "ALTER INSTANCE ROTATE INNODB MASTER KEY"
say "it reads its patients, and makes new keys: $(state machine4)"

bold "6. The whole engine goes down, and db2 starts without it"
kill -9 "${node[@]}"
wait "${node[@]}" 2>/dev/null || true
node=()
stop db2
at=$(date +%s%N)
start db2 @keys/db2 || die "db2 did not start from its mirror"
say "started in $(seconds "$at") from its mirror: $(state db2)"
patient db2 db2
patient db3 db3
sql db2 "ALTER INSTANCE ROTATE INNODB MASTER KEY"
say "it reads its patients, and makes new keys on its mirror: $(state db2)"

bold "7. The engine is back, all three nodes"
for n in 1 2 3; do start_node "$n"; done
for n in 1 2 3; do wait_healthy "$n"; done
for name in machine4 db2 db3; do
    await "$name" "ATTACHED, 2/2"
    say "$name: $(state "$name"), without a restart"
done
"$keyringctl" --remotes "$remotes" fleet status @keys | sed 's/^/   /'

bold "8. Every key of every server is in the engine"
for name in machine4 db2 db3; do
    prefix=$name
    [[ $name != machine4 ]] || prefix=db1
    stop "$name"
    "$keyringctl" --remotes "$remotes" verify "@keys/$prefix" "$demo/$name/keys/mirror.keyring" --datadir "$demo/$name/data" \
        --unlock "file:$demo/$name/secret" >"$demo/$name/verify.txt" 2>&1 ||
        { cat "$demo/$name/verify.txt" >&2; die "@keys/$prefix does not open the data of $name"; }
    say "@keys/$prefix and its mirror open every encrypted file of $name"
done

bold "Summary"
say "Three servers, one engine. The leader killed: every server made a new key. A server moved: it reads everything with"
say "the keyring in the engine. The engine down: a server started from its mirror, made a key, and brought it to the engine."
say "Look at:  $demo   logs, data and the remotes file"
say "Next:     docs/FLEET.md, and docs/REMOTES.md for the policy that each engine needs"
printf '\ndemo-fleet: done, everything was as it must be\n'
