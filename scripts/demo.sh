#!/usr/bin/env bash
# The main job from nothing to the proof, on a real MySQL server (make demo):
# a keyring on a volume of its own, an encrypted table, the volume taken away, the refusal, the way back.
# Everything lies below target/demo, and every server it starts it stops.
set -euo pipefail
cd "$(dirname "$0")/.."
repo=$(pwd)
# shellcheck disable=SC1091 # made by `make mysql`
. "$repo/target/mysql/env"

demo=$repo/target/demo
run=$(mktemp -d /tmp/kxdemo.XXXXXX) # for the socket, whose path must be short
data=$demo/server/data
log=$demo/server/mysqld.err
secret=$demo/server/keyring.secret
plugins=$demo/server/plugins
image=$demo/volume.img
server=
mounted=
keyringctl=$repo/target/release/keyringctl

bold() { if [[ -t 1 ]]; then printf '\n\033[1m%s\033[0m\n' "$*"; else printf '\n%s\n' "$*"; fi; }
say() { printf '   %s\n' "$*"; }
die() {
    printf 'demo: %s\n' "$*" >&2
    [[ -f $log ]] && tail -n 5 "$log" >&2
    exit 1
}

finish() {
    if [[ -n $server ]] && kill -0 "$server" 2>/dev/null; then
        kill "$server" || true
        wait "$server" 2>/dev/null || true
    fi
    if [[ -n $mounted ]]; then umount "$volume" || true; fi
    rm -rf "$run"
}
trap finish EXIT

as_user=()
[[ $(id -u) != 0 ]] || as_user=(--user=root)

program=$MYSQLD
plugin_options() {
    options=(--early-plugin-load=keyring_external.so --keyring-external=FORCE_PLUS_PERMANENT
        --keyring-external-data="$keyring" --keyring-external-unlock="file:$secret")
}

start() { # starts mysqld with the keyring; returns 1 when it ends before it is ready
    "$program" --no-defaults --basedir="$MYSQL_BASEDIR" "${as_user[@]}" --datadir="$data" --plugin-dir="$plugins" --secure-file-priv=NULL \
        --skip-networking --mysqlx=OFF --socket="$run/s" --pid-file="$run/pid" --log-error="$log" \
        --loose-innodb-redo-log-capacity=8M "${options[@]}" >>"$run/out" 2>&1 &
    server=$!
    for _ in $(seq 600); do
        if ! kill -0 "$server" 2>/dev/null; then
            wait "$server" || true
            server=
            return 1
        fi
        if [[ -S $run/s ]] && "$MYSQLADMIN" -uroot -S "$run/s" ping >/dev/null 2>&1; then return 0; fi
        sleep 0.1
    done
    die "the server did not answer within a minute; see $log"
}

stop() {
    kill "$server"
    wait "$server" || true
    server=
}

sql() { "$MYSQL" --no-defaults -uroot -S "$run/s" --batch --skip-column-names -e "$1"; }
table() { "$MYSQL" --no-defaults -uroot -S "$run/s" --table -e "$1" | sed 's/^/   /'; }
flush() { # has InnoDB write the table's pages to its file
    sql "FLUSH TABLES biobank.patients FOR EXPORT; UNLOCK TABLES"
    rm -f "$data/biobank/patients.cfg" "$data/biobank/patients.cfp"
}
names_in_file() { { grep -a -o -F 'Astrid Lindqvist' "$data/biobank/patients.ibd" || true; } | wc -l; }

mount_volume() {
    if [[ $kind == loop ]]; then
        mount -o loop "$image" "$volume"
        mounted=1
    else
        mv "$volume.away" "$volume"
    fi
}
take_volume_away() {
    if [[ $kind == loop ]]; then
        umount "$volume"
        mounted=
    else
        mv "$volume" "$volume.away"
    fi
}

rm -rf "$demo"
mkdir -p "$demo/server"

bold "1. A volume of its own for the keys"
PATH=$PATH:/usr/sbin:/sbin
kind=directory
if [[ $(id -u) == 0 ]] && command -v mkfs.ext4 >/dev/null; then
    volume=$demo/volume
    mkdir "$volume"
    truncate -s 64M "$image"
    mkfs.ext4 -q -F "$image"
    if mount -o loop "$image" "$volume" 2>"$run/mount"; then
        kind=loop
        mounted=1
        rmdir "$volume/lost+found"
        say "an ext4 image, mounted at $volume, stands for the USB stick"
    else
        say "this machine does not mount images ($(head -n 1 "$run/mount"))"
    fi
fi
if [[ $kind == directory ]]; then
    volume=$(mktemp -d /dev/shm/kxdemo.XXXXXX)
    say "the directory $volume, on another filesystem than the server's data, stands for the USB stick"
    say "(as root, and where images can be mounted, this demo uses one)"
fi
keyring=$volume/keys/biobank.keyring
mkdir -m 0700 "$volume/keys"

bold "2. A keyring on it, its unlock secret on the server"
"$keyringctl" init "$keyring" --unlock "file:$secret" --generate-secret --label 'Biobank demo' | sed 's/^/   /'

bold "3. A MySQL $MYSQL_VERSION server that loads the keyring plugin"
mkdir "$plugins"
ln -s "$MYSQL_PLUGIN_DIR"/* "$plugins/"
rm -f "$plugins/keyring_external.so"
cp target/release/libkeyring_external.so "$plugins/keyring_external.so"
say "making a data directory ..."
"$MYSQLD" --no-defaults "${as_user[@]}" --initialize-insecure --datadir="$data" --secure-file-priv=NULL \
    --loose-innodb-redo-log-capacity=8M --log-error="$log" >>"$run/out" 2>&1 || die "mysqld --initialize failed"
plugin_options
start || die "the server did not start"
table "SHOW STATUS WHERE Variable_name IN ('Keyring_external_state', 'Keyring_external_id', 'Keyring_external_copies')"

bold "4. Patients, first unencrypted, then encrypted"
sql "CREATE DATABASE biobank;
     CREATE TABLE biobank.patients (id INT PRIMARY KEY, name VARCHAR(60), diagnosis VARCHAR(60)) ENCRYPTION='N';
     INSERT INTO biobank.patients VALUES (1, 'Astrid Lindqvist', 'C50.9'), (2, 'Johan Ek', 'E11.9')"
flush
before=$(names_in_file)
say "unencrypted: the table's file holds the name 'Astrid Lindqvist' $before time(s), for anyone who takes the disk"
((before > 0)) || die "the name should be in the unencrypted file"
sql "ALTER TABLE biobank.patients ENCRYPTION='Y'"
flush
after=$(names_in_file)
say "encrypted:   it holds the name $after time(s)"
((after == 0)) || die "the name is still in the encrypted file"
table "SELECT * FROM biobank.patients"

bold "5. A new master key"
sql "ALTER INSTANCE ROTATE INNODB MASTER KEY"
say "rotated; the keys are durable on the volume when the statement returns:"
"$keyringctl" list "$keyring" --unlock "file:$secret" | sed 's/^/   /'

bold "6. The server stops, the volume is taken away"
stop
take_volume_away
say "gone: $keyring"
if start; then die "the server started without its keyring"; fi
say "the server refuses to start, and says:"
refusal=$(grep -a -F 'the keyring was not opened' "$log" | tail -n 1)
[[ -n $refusal ]] || die "the refusal is not in the error log"
fold -s -w 100 <<<"${refusal#*reported: }" | sed 's/^/      /'
if [[ $kind == loop ]]; then
    [[ -z $(ls -A "$volume") ]] || die "something was created in the empty mount point"
    say "and it created nothing: $volume is empty"
fi

bold "7. The volume is back"
mount_volume
start || die "the server did not start with the volume back"
table "SELECT * FROM biobank.patients"
[[ $(sql "SELECT name FROM biobank.patients WHERE id = 1") == "Astrid Lindqvist" ]] || die "the patient was not read back"
stop
"$keyringctl" verify "$keyring" --unlock "file:$secret" | sed 's/^/   /'

bold "8. The same keyring through the component, which is how 8.4 and 9.x want it"
# The manifest lies beside the program, so the program is given a place of its own.
mkdir "$demo/server/bin"
program=$demo/server/bin/mysqld
ln "$MYSQLD" "$program" 2>/dev/null || cp "$MYSQLD" "$program"
rm -f "$plugins/component_keyring_external.so"
cp target/release/libkeyring_external.so "$plugins/component_keyring_external.so"
printf '{ "components": "file://component_keyring_external" }\n' >"$program.my"
printf '{ "path": "%s", "unlock": "file:%s" }\n' "$keyring" "$secret" >"$plugins/component_keyring_external.cnf"
say "$program.my:"
say "   $(cat "$program.my")"
say "$plugins/component_keyring_external.cnf:"
say "   $(cat "$plugins/component_keyring_external.cnf")"
options=()
start || die "the server did not start with the component"
table "SELECT * FROM performance_schema.keyring_component_status WHERE STATUS_KEY IN ('Component_status', 'State', 'Keys')"
table "SELECT * FROM biobank.patients"
[[ $(sql "SELECT name FROM biobank.patients WHERE id = 1") == "Astrid Lindqvist" ]] || die "the patient was not read back"
stop

bold "Summary"
say "A table encrypted with a key that lies on another volume; no name in its file; no start without"
say "the volume, and nothing created in its place; everything read back with it."
say "Look at:  $data/biobank/patients.ibd   the encrypted table"
say "          $log   the server's error log, with the refusal"
if [[ $kind == loop ]]; then
    say "          $image   the volume (mount -o loop it)"
else
    say "          $volume   the volume"
fi
say "Next:     README.md, 'On your own server'; everything that a server keeps on disk is encrypted by"
say "          keyringctl encrypt plan, apply and finish"
printf '\ndemo: done\n'
