#!/bin/bash
# Tests of the test rig: what get-mysql.sh says of a program that is no server for the tests, what it writes down of one
# that is, and that a test is skipped, with the reason, on a server that lacks what the test needs.
#
#   self-test.sh
#
# The last part takes the server that get-mysql.sh found for one of 8.0.45 with fewer options and programs. It is left
# out if none was found.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
repo=${here%/*}
# A short path: sockets lie below it.
work=$(mktemp -d /tmp/kxself.XXXXXX)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0

# is WHAT CONDITION... : counts whether the condition holds.
is() {
    local what=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAILED: %s\n' "$what"
        sed 's/^/   | /' "$work/out"
    fi
}
says() { grep -q -F -e "$1" "$work/out"; }
ended_with() { [[ $code == "$1" ]]; }

# A checkout of its own: its target directory is not this one's.
mkdir -p "$work/checkout/mysql-plugin-tests"
cp "$here/get-mysql.sh" "$here/debian-archive.sh" "$work/checkout/mysql-plugin-tests/"
env_file=$work/checkout/target/mysql/env
get() { # get MYSQLD
    code=0
    MYSQLD=$1 "$work/checkout/mysql-plugin-tests/get-mysql.sh" >"$work/out" 2>&1 || code=$?
}

# stub NAME VERSION : a program that answers as a mysqld of that version.
stub() {
    mkdir -p "$work/$1/bin"
    cat >"$work/$1/bin/mysqld" <<SH
#!/bin/sh
case "\$*" in
    *--verbose*)
        echo "basedir        $work/$1/"
        echo "plugin-dir     $work/$1/lib/plugin/"
        echo "lc-messages-dir  $work/$1/share/"
        ;;
    *) echo "$2" ;;
esac
SH
    chmod 755 "$work/$1/bin/mysqld"
}
stub good "mysqld  Ver 8.0.45 for Linux on x86_64 (Source distribution)"
touch "$work/good/bin/mysqladmin"
chmod 755 "$work/good/bin/mysqladmin"
stub maria "mariadbd  Ver 10.11.6-MariaDB-0+deb12u1 for debian-linux-gnu on x86_64 (Debian 12)"
stub five "mysqld  Ver 5.7.44 for linux-glibc2.12 on x86_64 (MySQL Community Server (GPL))"
stub early "mysqld  Ver 8.0.23 for Linux on x86_64 (MySQL Community Server - GPL)"
stub other "hello"
mkdir -p "$work/broken"
printf '#!/bin/sh\necho "error while loading shared libraries: libaio.so.1" >&2\nexit 127\n' >"$work/broken/mysqld"
chmod 755 "$work/broken/mysqld"

get "$work/good/bin/mysqld"
is "8.0.45 is taken" ended_with 0
is "its version is written down" grep -q -x 'MYSQL_VERSION=8.0.45' "$env_file"
is "its plugin directory is written down" grep -q -x "MYSQL_PLUGIN_DIR=$work/good/lib/plugin" "$env_file"
is "a program beside it is written down" grep -q -x "MYSQLADMIN=$work/good/bin/mysqladmin" "$env_file"

# refused MYSQLD REASON : it says so, and no test runs on the server that was found before.
refused() {
    get "$work/good/bin/mysqld"
    get "$1"
    is "$1 is refused" ended_with 2
    is "$1: the reason is given" says "$1: $2"
    is "$1: what to do is said" says "Give the path of another mysqld with MYSQLD="
    is "$1: the server before it is forgotten" test ! -e "$env_file"
}
refused /nonexistent/mysqld "there is no such file"
refused "$work" "it is not a program"
refused "$work/maria/bin/mysqld" "it is MariaDB"
refused "$work/five/bin/mysqld" "it is MySQL 5.7.44; 8.0.24 or later is needed"
refused "$work/early/bin/mysqld" "it is MySQL 8.0.23; 8.0.24 or later is needed"
refused "$work/other/bin/mysqld" "it does not answer --version as mysqld does"
refused "$work/broken/mysqld" "it does not run: error while loading shared libraries: libaio.so.1"

# --- a server that has less --------------------------------------------------------------------

real=${KX_MYSQL_ENV:-$repo/target/mysql/env}
if [[ -r $real ]]; then
    mysqld=$(sed -n 's/^MYSQLD=//p' "$real")
    # As 8.0 does, it refuses an option that it does not have.
    cat >"$work/mysqld" <<SH
#!/bin/bash
for option; do
    case \$option in
        --innodb-redo-log-capacity* | --keyring-migration-from-component*)
            echo "unknown variable '\$option'" >&2
            exit 2
            ;;
    esac
done
if [[ " \$* " == *" --verbose --help "* ]]; then
    "$mysqld" "\$@" | grep -v -E -e '--(innodb-redo-log-capacity|keyring-migration-from-component)'
    exit
fi
exec "$mysqld" "\$@"
SH
    chmod 755 "$work/mysqld"
    mkdir "$work/plugins"
    ln -s "$(sed -n 's/^MYSQL_PLUGIN_DIR=//p' "$real")"/* "$work/plugins/"
    rm -f "$work/plugins/keyring_udf.so"
    sed -e "s,^MYSQLD=.*,MYSQLD=$work/mysqld,; s,^MYSQL_PLUGIN_DIR=.*,MYSQL_PLUGIN_DIR=$work/plugins," \
        -e 's,^MYSQL_VERSION=.*,MYSQL_VERSION=8.0.45,; s,^MYSQL_MIGRATE_KEYRING=.*,MYSQL_MIGRATE_KEYRING=,' "$real" >"$work/env"
    tests() { # tests FILTER
        code=0
        KX_MYSQL_ENV=$work/env "$here/server.sh" "$1" >"$work/out" 2>&1 || code=$?
    }
    tests component::migrated
    is "what applies passes" ended_with 0
    is "what applies runs" says "test result: ok. 1 passed; 0 failed; 2 ignored"
    is "a missing option is named" \
        says "SKIPPED (this server has no option --keyring-migration-from-component): component::migrated_to_the_plugin"
    is "a missing program is named" \
        says "SKIPPED (this server has no program mysql_migrate_keyring): component::migrated_by_the_tool"
    tests threads::fetches_while_storing
    is "a missing library is named" says "SKIPPED (this server has no keyring_udf.so): threads::fetches_while_storing"
else
    echo "skipped: tests on a server that has less (make mysql finds a server)"
fi

printf 'mtr: %d passed, %d failed, 0 skipped\n' "$passed" "$failed"
((failed == 0))
