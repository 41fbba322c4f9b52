#!/usr/bin/env bash
# Tests packaging/unlock on the real programs: each recipe seals a secret, and a real mysqld reads it with the unlock source
# command:. The server is started, killed, started while the helper (tang, TPM, OpenBao, token) is away, and started again.
# It needs what `make build` built, a server (make mysql), Debian's packages of the group unlock, and OpenBao (make engines);
# a recipe whose programs are missing is skipped, with a line that says so.
#
#   unlock-check.sh [BUILT] [RECIPE...]     BUILT is the directory with the built library and keyringctl; RECIPE is clevis,
#                                           tpm2, openbao or pkcs11
set -euo pipefail
cd "$(dirname "$0")/.."
fail() {
    printf 'unlock-check: FAILED: %s\n' "$*" >&2
    exit 1
}
say() { printf 'unlock-check: %s\n' "$*"; }
built=$(realpath "${1:-${CARGO_TARGET_DIR:-target}/release}")
[[ $# == 0 ]] || shift
recipes=("${@:-clevis tpm2 openbao pkcs11}")
keyringctl=$built/keyringctl
[[ -x $keyringctl ]] || fail "there is no $keyringctl (make build)"
of_env() { [[ ! -r $1 ]] || sed -n "s/^$2=//p" "$1"; }
mysql_env=${KX_MYSQL_ENV:-target/mysql/env}
engines_env=${KX_ENGINES_ENV:-target/engines/env}
mysqld=$(of_env "$mysql_env" MYSQLD)
mysql=$(of_env "$mysql_env" MYSQL)
basedir=$(of_env "$mysql_env" MYSQL_BASEDIR)
[[ -x $mysqld ]] || fail "there is no MySQL server for the tests (make mysql)"
unlock=$PWD/packaging/unlock
memory=$(mktemp -d /dev/shm/kxunlock.XXXXXX)
work=$(mktemp -d /tmp/kxunlock.XXXXXX)
helper= server=
end() { # end PID : ends a process that this script started, and waits for it
    [[ -z $1 ]] || { kill "$1" 2>/dev/null && wait "$1" 2>/dev/null; } || :
}
trap 'end "$server"; end "$helper"; rm -rf "$work" "$memory"' EXIT
# The unlock programs find nothing of this shell's: mysqld passes on its own environment.
export KX_UNLOCK_LIMIT=10

# --- the server ----------------------------------------------------------------------------------

sql() { "$mysql" --no-defaults -uroot -S "$work/s" -N -e "$1"; }
start() { # start SOURCE : starts the server; false if it ends instead
    "$mysqld" --no-defaults --user=root --basedir="$basedir" --datadir="$data" --plugin-dir="$work/plugins" \
        --early-plugin-load=keyring_external.so --keyring-external=FORCE_PLUS_PERMANENT \
        --keyring-external-data="$keys/k" --keyring-external-unlock="$1" \
        --keyring-external-allow-same-device=ON --socket="$work/s" --skip-networking --mysqlx=OFF --secure-file-priv=NULL \
        --pid-file="$work/pid" --log-error="$work/log.err" --innodb-buffer-pool-size=32M </dev/null >>"$work/server.out" 2>&1 &
    server=$!
    until sql 'SELECT 1' >/dev/null 2>&1; do
        kill -0 "$server" 2>/dev/null || {
            wait "$server" || :
            server=
            return 1
        }
        sleep 0.2
    done
}
kill_server() {
    kill -9 "$server"
    wait "$server" 2>/dev/null || :
    server=
}
install -d "$work/plugins"
cp "$built/libkeyring_external.so" "$work/plugins/keyring_external.so"
"$mysqld" --no-defaults --user=root --initialize-insecure --basedir="$basedir" --datadir="$work/fresh" --secure-file-priv=NULL \
    --log-error="$work/init.err" 2>"$work/init.out" || fail "mysqld --initialize: $(cat "$work/init.err" "$work/init.out")"

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
wait_for() { # wait_for COMMAND... : until it succeeds
    local tries=0
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        ((tries < 300)) || fail "$* does not succeed"
        sleep 0.2
    done
}

# check NAME SOURCE MESSAGE : a keyring with that source, on a server, with the helper there and away.
# The functions away and back end the helper and start it.
check() {
    local name=$1 source=$2 message=$3 began
    data=$work/data-$name keys=$memory/$name
    cp -a "$work/fresh" "$data"
    rm -f "$data/auto.cnf" "$work/log.err"
    install -d -m 0700 "$keys"
    "$keyringctl" init "$keys/k" --unlock "$source" >/dev/null || fail "$name: init"
    start "$source" || fail "$name: the server does not start: $(tail -n 5 "$work/log.err")"
    sql "CREATE SCHEMA clinic; CREATE TABLE clinic.patient (name TEXT) ENCRYPTION='Y'; INSERT INTO clinic.patient VALUES ('Eva')"
    kill_server
    away
    began=$SECONDS
    : >"$work/log.err"
    ! start "$source" || fail "$name: the server starts without its helper"
    ((SECONDS - began < 60)) || fail "$name: it took $((SECONDS - began)) s to find out that the helper is away"
    grep -qF "$message" "$work/log.err" || fail "$name: the error log does not say \"$message\": $(cat "$work/log.err")"
    grep -qF "unlock-$name" "$work/log.err" || fail "$name: the error log does not name the program: $(cat "$work/log.err")"
    back
    start "$source" || fail "$name: the server does not start again: $(tail -n 5 "$work/log.err")"
    [[ $(sql 'SELECT name FROM clinic.patient') == Eva ]] || fail "$name: the row is gone"
    kill_server
    end "$helper"
    helper=
    say "$name: started, killed, refused without its helper, started again"
}
without() { echo "skipped: $1: $2 is missing (scripts/packages.sh unlock, or make engines)"; }

# --- the recipes ---------------------------------------------------------------------------------

clevis() {
    local port thp program
    for program in /usr/bin/clevis /usr/bin/jose /usr/bin/socat; do
        [[ -x $program ]] || { without clevis "$program"; return; }
    done
    tangd=$(compgen -G '/usr/lib*/tangd' || :)
    [[ -n $tangd ]] || { without clevis tangd; return; }
    install -d "$work/tang"
    "${tangd}-keygen" "$work/tang" sig exc
    port=$(free_port)
    back() {
        socat "TCP-LISTEN:$port,bind=127.0.0.1,reuseaddr,fork" "EXEC:$tangd $work/tang" 2>/dev/null &
        helper=$!
        wait_for curl -fs "http://127.0.0.1:$port/adv"
    }
    away() { end "$helper"; helper=; }
    back
    thp=$(jose jwk thp -a S256 -i "$work/tang/sig.jwk")
    head -c 32 /dev/urandom | "$unlock/unlock-clevis" --seal "$work/clevis.jwe" tang "{\"url\":\"http://127.0.0.1:$port\",\"thp\":\"$thp\"}" 2>/dev/null
    check clevis "command:$unlock/unlock-clevis $work/clevis.jwe" "the tang server cannot be reached"
}

tpm2() {
    local port control program
    for program in swtpm swtpm_setup tpm2_unseal; do
        command -v "$program" >/dev/null || { without tpm2 "$program"; return; }
    done
    install -d "$work/tpm"
    swtpm_setup --tpm2 --tpmstate "$work/tpm" --overwrite >/dev/null
    port=$(free_port)
    # The library of the TPM looks for the control channel at the next port.
    control=$((port + 1))
    back() {
        swtpm socket --tpm2 --tpmstate "dir=$work/tpm" --server "type=tcp,port=$port,bindaddr=127.0.0.1" \
            --ctrl "type=tcp,port=$control,bindaddr=127.0.0.1" --flags startup-clear,not-need-init 2>/dev/null &
        helper=$!
        wait_for env "TPM2TOOLS_TCTI=swtpm:host=127.0.0.1,port=$port" tpm2_getcap properties-fixed
    }
    away() { end "$helper"; helper=; }
    back
    head -c 32 /dev/urandom | "$unlock/unlock-tpm2" --seal "$work/tpm2" sha256:7 "swtpm:host=127.0.0.1,port=$port" 2>/dev/null
    check tpm2 "command:$unlock/unlock-tpm2 $work/tpm2" "the TPM cannot be used"
    # A register changes: the TPM is there, and does not unseal.
    back
    TPM2TOOLS_TCTI=swtpm:host=127.0.0.1,port=$port tpm2_pcrextend "7:sha256=$(printf x | sha256sum | cut -c1-64)"
    "$unlock/unlock-tpm2" "$work/tpm2" 2>"$work/said" >/dev/null && fail "the TPM unseals although a register has changed"
    grep -qF "have changed" "$work/said" || fail "tpm2: $(cat "$work/said")"
    end "$helper"
    helper=
}

openbao() {
    local bao port cluster role
    bao=$(of_env "$engines_env" BAO)
    [[ -x $bao ]] || { without openbao OpenBao; return; }
    command -v curl >/dev/null || { without openbao curl; return; }
    port=$(free_port)
    export BAO_ADDR=http://127.0.0.1:$port BAO_TOKEN=root
    cluster=$(free_port)
    install -d "$work/bao"
    cat >"$work/bao.hcl" <<HCL
storage "raft" {
  path = "$work/bao"
  node_id = "one"
}
listener "tcp" {
  address = "127.0.0.1:$port"
  cluster_address = "127.0.0.1:$cluster"
  tls_disable = true
}
api_addr = "$BAO_ADDR"
cluster_addr = "http://127.0.0.1:$cluster"
HCL
    back() {
        "$bao" server -config "$work/bao.hcl" >"$work/bao.log" 2>&1 &
        helper=$!
        wait_for curl -s "$BAO_ADDR/v1/sys/health"
        [[ ! -e $work/bao.key ]] || "$bao" operator unseal "$(cat "$work/bao.key")" >/dev/null
        [[ ! -e $work/bao.token ]] || wait_for "$bao" token lookup
    }
    away() { end "$helper"; helper=; }
    back
    "$bao" operator init -key-shares=1 -key-threshold=1 -format=json >"$work/bao.json"
    python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); open(sys.argv[2], "w").write(d["unseal_keys_b64"][0]); open(sys.argv[3], "w").write(d["root_token"])' \
        "$work/bao.json" "$work/bao.key" "$work/bao.token"
    "$bao" operator unseal "$(cat "$work/bao.key")" >/dev/null
    BAO_TOKEN=$(cat "$work/bao.token")
    export BAO_TOKEN
    wait_for "$bao" token lookup
    {
        "$bao" secrets enable transit
        "$bao" write -f transit/keys/mysql-db1
        "$bao" policy write unlock-db1 - <<'HCL'
path "transit/encrypt/mysql-db1" { capabilities = ["update"] }
path "transit/decrypt/mysql-db1" { capabilities = ["update"] }
HCL
        "$bao" auth enable approle
        "$bao" write auth/approle/role/mysql-db1 token_policies=unlock-db1 token_ttl=5m
    } >/dev/null
    role=$("$bao" read -field=role_id auth/approle/role/mysql-db1/role-id)
    "$bao" write -f -field=secret_id auth/approle/role/mysql-db1/secret-id >"$work/bao.secret-id"
    printf '%s\n' "address=$BAO_ADDR" key=mysql-db1 "sealed=$work/bao.sealed" "role_id=$role" \
        "secret_id_file=$work/bao.secret-id" >"$work/bao.conf"
    head -c 32 /dev/urandom | "$unlock/unlock-openbao" --seal "$work/bao.conf" 2>/dev/null
    check openbao "command:$unlock/unlock-openbao $work/bao.conf" "cannot reach $BAO_ADDR"
    # It is there, and sealed.
    "$bao" server -config "$work/bao.hcl" >"$work/bao.log" 2>&1 &
    helper=$!
    wait_for curl -s "$BAO_ADDR/v1/sys/health"
    "$unlock/unlock-openbao" "$work/bao.conf" 2>"$work/said" >/dev/null && fail "a sealed OpenBao decrypts"
    grep -qF "is unsealed" "$work/said" || fail "openbao: $(cat "$work/said")"
    end "$helper"
    helper=
}

pkcs11() {
    local module program
    for program in softhsm2-util pkcs11-tool openssl; do
        command -v "$program" >/dev/null || { without pkcs11 "$program"; return; }
    done
    module=$(compgen -G '/usr/lib*/softhsm/libsofthsm2.so' || compgen -G '/usr/lib/*/softhsm/libsofthsm2.so' || :)
    [[ -n $module ]] || { without pkcs11 libsofthsm2.so; return; }
    install -d "$work/tokens"
    export SOFTHSM2_CONF=$work/softhsm2.conf
    printf 'directories.tokendir = %s\n' "$work/tokens" >"$SOFTHSM2_CONF"
    softhsm2-util --init-token --free --label db1 --pin 123456 --so-pin 654321 >/dev/null
    pkcs11-tool --module "$module" --token-label db1 --login --pin 123456 --keypairgen --key-type rsa:2048 --id 01 --label keyring >/dev/null 2>&1
    echo 123456 >"$work/pin"
    printf '%s\n' "module=$module" token=db1 id=01 "pin_file=$work/pin" "sealed=$work/pkcs11.sealed" >"$work/pkcs11.conf"
    head -c 32 /dev/urandom | "$unlock/unlock-pkcs11" --seal "$work/pkcs11.conf" 2>/dev/null
    # The token is pulled out.
    away() { mv "$work/tokens" "$work/tokens.away" && install -d "$work/tokens"; }
    back() { rmdir "$work/tokens" && mv "$work/tokens.away" "$work/tokens"; }
    check pkcs11 "command:$unlock/unlock-pkcs11 $work/pkcs11.conf" "it is not there"
}

# shellcheck disable=SC2068 # the default is one word
for recipe in ${recipes[@]}; do
    "$recipe"
done
# A program that does not end is stopped by the recipe itself, with a message.
mkdir "$work/bin"
printf '#!/bin/sh\nexec sleep 600\n' >"$work/bin/clevis"
chmod 0755 "$work/bin/clevis"
: >"$work/sealed"
sed "s,^PATH=.*,PATH=$work/bin:/usr/bin:/bin," "$unlock/unlock-clevis" >"$work/unlock-clevis"
KX_UNLOCK_LIMIT=1 sh "$work/unlock-clevis" "$work/sealed" 2>"$work/said" && fail "a helper that hangs is no error"
grep -qF "within 1 seconds" "$work/said" || fail "hung: $(cat "$work/said")"
say "passed"
