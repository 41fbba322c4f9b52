#!/usr/bin/env bash
# All tests (make test). Each step says what it does and how long it took; its whole output is in
# target/test-logs. Ends in what was skipped and why, and a line of counts; exits non-zero when anything failed.
#
# As root the tests on the real server run twice: as root, and, where the user makes a difference, as an ordinary user.
#
# Settings: NO_INSTALL=1 installs no packages and gets no MySQL server, and skips what would need them. MYSQLD=/path
# runs all that applies on that server; what it lacks is skipped, each with its reason (docs/OTHER-SERVERS.md).
# What is shown is in target/test-logs/summary.txt too.
set -uo pipefail
# Snapshots are compared, never written.
export INSTA_UPDATE=no
cd "$(dirname "$0")/.." || exit 2
logs=target/test-logs
mkdir -p "$logs"
# The same once more, with what it shows kept too.
if [[ -z ${KX_TEST_SUMMARY:-} ]]; then
    KX_TEST_SUMMARY=1 scripts/test.sh "$@" | tee "$logs/summary.txt"
    exit "${PIPESTATUS[0]}"
fi
# A server that was asked for and cannot be used: nothing runs, least of all on another one.
if [[ -n ${MYSQLD:-} ]] && ! mysql-plugin-tests/get-mysql.sh; then
    echo "make test: MYSQLD=$MYSQLD cannot be used (see above), so nothing was run" >&2
    exit 2
fi
passed=0 failed=0 skipped=0
began=$SECONDS

# step NAME TEXT COMMAND... : runs the command and adds up the counts that it printed. A command that
# prints none counts as one test; exit code 77 is a skipped one.
step() {
    local name=$1 text=$2 log=$logs/$1.log at=$SECONDS code=0 p f s
    shift 2
    printf '== %-14s %s\n' "$name" "$text"
    "$@" >"$log" 2>&1 </dev/null || code=$?
    read -r p f s < <(awk '
        /^test result: / { gsub(/[;.]/, ""); for (i = 1; i < NF; i++) {
            if ($(i + 1) == "passed") p += $i; if ($(i + 1) == "failed") f += $i; if ($(i + 1) == "ignored") s += $i } }
        /^mtr: [0-9]+ passed, / { gsub(/,/, ""); p += $2; f += $4; s += $6 }
        END { print p + 0, f + 0, s + 0 }' "$log")
    if ((p + f + s == 0)); then
        case $code in
            0) p=1 ;;
            77) s=1 ;;
            *) f=1 ;;
        esac
    elif ((code != 0 && f == 0)); then
        f=1 # it failed outside of what it counted
    fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    printf '   %-14s %d passed, %d failed, %d skipped, %d s\n' '' "$p" "$f" "$s" $((SECONDS - at))
    reasons "$log" "$name"
    if ((f > 0)); then
        printf '   FAILED; what failed, and the end of %s:\n' "$log"
        # Named first: the end may be a long message of the last one only.
        grep -E '^test .* \.\.\. FAILED|panicked at ' "$log" | cut -c1-200 | head -n 40 | sed 's/^/   | /'
        tail -n 60 "$log" | sed 's/^/   | /'
    fi
}

# Adds "STEP<tab>REASON" to $skips for each test that a log says was skipped, and the test's name to what this server
# lacks.
skips=$logs/skipped.list
: >"$skips"
reasons() {
    # The server tests say it in a line of their own, which may stand in the middle of another one.
    grep -oE 'SKIPPED \(.*\): [A-Za-z0-9_:.-]+' "$1" |
        sed -E "s/SKIPPED \((this server .*)\): (.*)/$2\t\1: \2/; s/SKIPPED \((.*)\): .*/$2\t\1/" >>"$skips" && return
    sed -n -E "s/^skipped: (.*)/$2\t\1/p; s/^test (.*) \.\.\. ignored, (.*)/$2\t\1: \2/p" "$1" >>"$skips"
}

# Skips a step that cannot do without a server.
with_server() {
    [[ -r ${KX_MYSQL_ENV:-target/mysql/env} ]] || {
        echo "skipped: there is no MySQL server for the tests (see the step mysql)"
        return 77
    }
    "$@"
}

lint() {
    if ! cargo clippy --version >/dev/null 2>&1 || ! cargo fmt --version >/dev/null 2>&1; then
        echo "skipped: this Rust toolchain has no clippy or rustfmt (rustup component add clippy rustfmt)"
        return 77
    fi
    make lint
}

# Said first, and on the screen: afterwards no step installs anything.
missing=$(scripts/packages.sh --missing bindings valgrind confine pages server monitoring unlock rpm)
if [[ -n $missing && $(id -u) == 0 && ${NO_INSTALL:-} != 1 ]]; then
    printf 'make test is about to install with apt-get, as root: %s\n(make test NO_INSTALL=1 installs nothing and skips what needs them)\n' "$missing"
fi
[[ -z $missing ]] || step packages "Debian packages that tests need" scripts/packages.sh bindings valgrind confine pages server monitoring unlock rpm

step build "the library and keyringctl" make build
step lint "formatting, clippy, the project's own rules and what they refuse" lint
step code "unit tests, file format, crashes, mutations" cargo test --locked --no-fail-fast --lib --bins --tests
step selinux "what setup and doctor say, against Debian's SELinux policy" scripts/selinux.sh
step bindings "src/abi/sys.rs against include/" scripts/bindings.sh --check
step valgrind "the C boundary under Valgrind" env KX_ABI_CALLS=1500 scripts/valgrind-abi.sh
step exports "what the library exports and needs" scripts/exports.sh
step monitoring "alert rules, the dashboard, and systemd's units" scripts/monitoring-check.sh
step mysql "a MySQL server for the tests" make mysql
step engines "etcd, OpenBao and SeaweedFS for the tests" scripts/engines.sh
step deb "a Debian package, and a real server with its files" with_server scripts/deb-check.sh
step rpm "an RPM, installed, upgraded and removed, and a real server with its files" with_server scripts/rpm-check.sh
step unlock "the recipes of packaging/unlock on their real programs" with_server scripts/unlock-check.sh
step tutorial "the commands of docs/TUTORIAL.md, and what the page says they print" with_server scripts/tutorial.py
step servers "finding a server, and what one lacks" mysql-plugin-tests/self-test.sh
step server "keyring and faults on a real server" with_server mysql-plugin-tests/server.sh
step remotes "what keyrings at a remote rely on, on real engines" mysql-plugin-tests/engines.sh
step mtr "MySQL's own test runner on the project's suite" with_server mysql-plugin-tests/mtr.sh
step upstream "short tests of MySQL's own suite for components" with_server mysql-plugin-tests/upstream/run.sh --quick
if [[ $(id -u) == 0 ]]; then
    step server-user "what depends on the user, as an ordinary user" with_server env KX_SECOND_RUN=1 mysql-plugin-tests/server.sh --as-user
    step mtr-user "the same as an ordinary user" with_server mysql-plugin-tests/mtr.sh --as-user
fi

of_server() { sed -n "s/^$1=//p" "${KX_MYSQL_ENV:-target/mysql/env}"; }
[[ ! -r ${KX_MYSQL_ENV:-target/mysql/env} ]] || printf '\non MySQL %s: %s\n' "$(of_server MYSQL_VERSION)" "$(of_server MYSQLD)"
if [[ -s $skips ]]; then
    printf '\nskipped, and why:\n'
    sort "$skips" | uniq -c | awk -F'\t' '{ split($1, a, " "); printf "   %4d  %-12s %s\n", a[1], a[2], $2 }'
fi
printf '\nall tests: %d s; logs in %s\n' $((SECONDS - began)) "$logs"
printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
((failed == 0 && passed > 0))
