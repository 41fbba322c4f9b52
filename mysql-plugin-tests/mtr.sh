#!/bin/bash
# Runs MySQL's own test runner, mysql-test-run.pl, on this project's suite.
#
#   mtr.sh                       the whole suite keyring_external
#   mtr.sh TEST...               some of its tests
#   mtr.sh --record TEST         writes mtr/keyring_external/r/TEST.result
#   mtr.sh --as-user [...]       root runs it as the user nobody instead, wherever the checkout is
#   mtr.sh --stock SUITE [TEST...]   one of the server's own suites, with our plugin at hand if it is built
#
# Anything else (--big-test, --mem, --do-test=..., --mysqld=...) goes to mysql-test-run.pl as it is.
# It exits 0 when every test that ran passed and at least one ran, else 1; 2 means that it could not start.
#
# Settings: KEYRING_EXTERNAL_SO (the plugin to test), MTR_SUITE_DIR (the suite's directory),
# MTR_PARALLEL (default 2), MTR_STD_DATA=all (for stock suites that unpack large data), MTR_WORK (where
# everything is written, default target/mtr: another place lets two runs go side by side, and lets a
# user run the suite of a checkout and of an unpacked server that belong to somebody else), MTR_ADJUST (a
# program that is called with the directory of links before the tests; upstream/run.sh has one).
#
# Nothing is written into the source tree except by --record, and nothing into the unpacked test suite:
# mysql-test-run.pl sees a directory of links under MTR_WORK, made anew each time.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
repo=${here%/*}
target=$repo/target
work=${MTR_WORK:-$target/mtr}
library=${KEYRING_EXTERNAL_SO:-$target/release/libkeyring_external.so}
suite_dir=${MTR_SUITE_DIR:-$here/mtr/keyring_external}

say() { printf 'mtr: %s\n' "$*" >&2; }
die() {
    say "$*"
    exit 2
}

suite=keyring_external
stock=
as_user=
recording=
args=()
while (($#)); do
    case $1 in
        -h | --help)
            sed -n '2,/^set -/{/^set -/d; s/^# \{0,1\}//; p}' "${BASH_SOURCE[0]}"
            exit 0
            ;;
        --stock)
            (($# >= 2)) || die "--stock wants the name of a suite"
            suite=$2
            stock=1
            shift
            ;;
        --as-user) as_user=1 ;;
        --record)
            recording=1
            args+=("$1")
            ;;
        *) args+=("$1") ;;
    esac
    shift
done
[[ -z $stock || -z $recording ]] || die "a stock suite's results are not ours to record"

# What nobody needs, in a place that nobody reaches: this script sees a checkout there, and a server that it
# may only read.
if [[ -n $as_user && $(id -u) == 0 ]]; then
    "$here/get-mysql.sh"
    user=65534 # nobody
    place=$(mktemp -d /tmp/kxmtr.XXXXXX)
    trap 'rm -rf "$place"' EXIT
    chmod 0755 "$place"
    install -D -m 0755 "$library" "$place/target/release/libkeyring_external.so"
    install -D -m 0644 "$target/mysql/env" "$place/target/mysql/env"
    cp -r "$here" "$place/mysql-plugin-tests"
    chmod -R a+rX "$place"
    install -d -m 0700 -o "$user" -g "$user" "$place/home"
    "$here/as-nobody.sh" "$place/home" "$target/mysql" env MTR_WORK="$place/home/mtr" \
        "$place/mysql-plugin-tests/mtr.sh" ${stock:+--stock "$suite"} "${args[@]}"
    exit
fi

mkdir -p "$work"
work=$(cd "$work" && pwd -P)
base=$work/base
plugins=$work/plugins
[[ $work != *[[:space:]]* ]] || die "the path of MTR_WORK has a blank, which mysql-test-run.pl can't take: $work"

if [[ -r $target/mysql/env && ! -w $target/mysql ]]; then
    say "using the server that $target/mysql/env names, as it is"
else
    "$here/get-mysql.sh"
fi
# shellcheck source=/dev/null # made by the line above
. "$target/mysql/env"
# What the tests need and this server lacks is no failure: make test says what it skipped.
without() {
    printf 'skipped: %s\n' "$*"
    exit 77
}
[[ -n $MTR_DIR ]] || without "this server has no test suite: mysql-test is not beside $MYSQLD (package mysql-testsuite)"
[[ -n $PERL ]] || without "there is no perl, in which MySQL's test runner is written"
[[ -z $stock || -d $MTR_DIR/suite/$suite/t ]] || without "this server has no suite $suite in its test suite"
lacking=$(cd "$MTR_DIR" && "$PERL" -c mysql-test-run.pl 2>&1 | sed -n "s/^Can't locate \(.*\)\.pm in .*/\1/p" | head -n 1 || true)
[[ -z $lacking ]] || without "Perl has no module ${lacking//\//::}, which this server's mysql-test-run.pl needs"
if [[ -z $stock ]]; then
    [[ -f $library ]] || die "$library is not there: build it first (make build)"
    [[ -d $suite_dir/t ]] || die "$suite_dir/t is not there"
    [[ -z $recording ]] || mkdir -p "$suite_dir/r"
fi

# Some tests rewrite the manifest beside mysqld and the files beside the plugins, so runs take turns.
exec 8>"$work/.lock"
flock -n 8 || {
    say "another run is at work, waiting"
    flock 8
}

# A plugin is copied, not linked, and twice: two names of one file would be one library with one set
# of globals. It is put in place by a rename, which a server that still maps the old one survives.
install_copy() {
    cp "$1" "$2.new"
    mv -f "$2.new" "$2"
}

make_plugin_dir() {
    mkdir -p "$plugins"
    find "$plugins" -mindepth 1 \( -type l -o -name '*.cnf*' \) -delete
    ln -s "$MYSQL_PLUGIN_DIR"/* "$plugins/"
    if [[ -f $library ]]; then
        install_copy "$library" "$plugins/keyring_external.so"
        install_copy "$library" "$plugins/component_keyring_external.so"
    else
        rm -f "$plugins/keyring_external.so" "$plugins/component_keyring_external.so"
    fi
    # Lets each server of a parallel run bring its own settings in its datadir.
    local component
    for component in component_keyring_file component_keyring_external; do
        printf '{ "read_local_config": true }' >"$plugins/$component.cnf"
    done
}

make_base() {
    local dir=$base/mysql-test file
    rm -rf "$base"
    mkdir -p "$base"/{bin,lib,share} "$dir"/{suite,include}
    ln -s "$plugins" "$base/lib/plugin"
    ln -s "$MYSQL_SHAREDIR" "$base/share/mysql"
    for file in "$MTR_DIR"/bin/* "$(dirname "$MYSQL")"/* "$(dirname "$MYSQLD")"/*; do
        case ${file##*/} in
            # The manifest is looked for beside the file that a link leads to: mysqld must really be here.
            mysqld) ;;
            mysql* | my_* | myisam* | ibd2sdi | innochecksum | perror | comp_err | zlib_decompress | lz4_decompress)
                ln -sf "$file" "$base/bin/"
                ;;
        esac
    done
    ln "$MYSQLD" "$base/bin/mysqld" 2>/dev/null || cp "$MYSQLD" "$base/bin/mysqld"
    printf '{ "read_local_manifest": true }' >"$base/bin/mysqld.my"

    for file in "$MTR_DIR"/*; do
        case ${file##*/} in
            suite | include | std_data | var | bin) ;;
            *) ln -s "$file" "$dir/" ;;
        esac
    done
    ln -s "$MTR_DIR"/suite/* "$dir/suite/"
    ln -s "$MTR_DIR"/include/* "$dir/include/"
    # Every run copies std_data. All but 70 MB of its 360 are old databases for upgrade tests.
    cp -rs "$MTR_DIR/std_data" "$dir/"
    [[ ${MTR_STD_DATA:-} == all ]] ||
        (cd "$MTR_DIR" && find std_data -type f -size +4M -print0) | (cd "$dir" && xargs -0 rm -f)

    # This list gives the tests $KEYRING_EXTERNAL_PLUGIN, ..._OPT, ..._LOAD_EARLY and so on.
    rm "$dir/include/plugin.defs"
    {
        cat "$MTR_DIR/include/plugin.defs"
        printf '\n%s plugin_output_directory %s %s %s\n' \
            keyring_external no KEYRING_EXTERNAL_PLUGIN keyring_external \
            component_keyring_external yes KEYRING_EXTERNAL_COMPONENT component_keyring_external
    } >"$dir/include/plugin.defs"
    if [[ -d $suite_dir ]]; then
        ln -sfn "$suite_dir" "$dir/suite/keyring_external"
    fi
}

# The tests that source a file which this server's test suite lacks, as "suite.test : BUG#0 why" lines: newer suites
# have their files for replication in another place. MySQL's runner wants the number.
lacks() {
    local file test todo included
    for file in "$suite_dir"/t/*.test; do
        test=${file##*/}
        test=${test%.test}
        todo=("$file")
        while ((${#todo[@]})); do
            while read -r included; do
                case $included in
                    *'$'*) ;;
                    ../*) todo+=("$suite_dir/t/$included") ;;
                    *)
                        [[ -e $base/mysql-test/$included ]] && continue
                        printf '%s.%s : BUG#0 this server has no %s in its test suite\n' "$suite" "$test" "$included"
                        continue 3
                        ;;
                esac
            done < <(sed -n -E 's/^[ \t]*(--)?[ \t]*source[ \t]+([^ \t;]+).*/\2/p' "${todo[0]}")
            todo=("${todo[@]:1}")
        done
    done
}

make_plugin_dir
make_base
lacking=$work/lacking.list
: >"$lacking"
if [[ -z $stock ]]; then
    lacks >"$lacking"
    sed -E 's/^([^ ]*) : BUG#0 (.*)/SKIPPED (\2): \1/' "$lacking"
fi
[[ -z ${MTR_ADJUST:-} ]] || "$MTR_ADJUST" "$base/mysql-test" || die "$MTR_ADJUST failed"

# Sockets live here: their paths may not be longer than 107 bytes, and target/ can be deep.
tmp=$(mktemp -d /tmp/mtr.XXXXXX)
trap 'rm -rf "$tmp"' EXIT

[[ -z ${MYSQL_TOOLS_PATH:-} ]] || PATH=$MYSQL_TOOLS_PATH:$PATH
# Would lead mysql-test-run.pl away from the links.
unset MTR_BINDIR MTR_VARDIR

log=$work/log
say "suite $suite on MySQL $MYSQL_VERSION"
code=0
(cd "$base/mysql-test" &&
    exec "$PERL" mysql-test-run.pl --suite="$suite" --parallel="${MTR_PARALLEL:-2}" --force --max-test-fail=0 --retry=0 \
        --skip-test-list="$lacking" --vardir="$work/var" --tmpdir="$tmp/t" --timer "${args[@]}" 8>&- 2>&1) | tee "$log" || code=$?

# Its own last check, shutdown_report, is no test of ours unless it fails.
count() { grep -E "\[ $1 \]" "$log" | grep -c -v '[ .]shutdown_report ' || true; }
passed=$(count pass)
skipped=$(count '(skipped|disabled)')
failed=$(grep -c -E '\[ fail \]' "$log" || true)
if ((code == 0 && failed == 0 && passed == 0)); then
    say "no test ran"
    code=1
elif ((code)); then
    say "the servers' logs are in $work/var/log"
    code=1
fi
printf 'mtr: %d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
exit "$code"
