#!/bin/bash
# Runs MySQL's own suite for keyring components, as it is installed, twice: against Oracle's
# component_keyring_file, which is the reference, and against component_keyring_external.
#
#   run.sh                  the tests of the suite that a release server can run
#   run.sh --big-test       the long ones too
#   run.sh TEST...          some of them
#   run.sh --quick          ours alone, with those short ones that pass for the reference (for make test)
#
# Prints a list of both and fails when a test that passes for the reference does not pass for ours. No test is
# tried twice. As root log_encrypt_6, a long one, fails for both: it starts a mysqld of its own without --user.
# Anything else goes to mysql-test-run.pl. Settings: as mtr.sh; MTR_WORK (default target/mtr-upstream).
#
# Nothing of the suite is changed but, in a copy, the name of the component, its configuration, and what two
# results show of what each component says of itself (adjust.sh).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
repo=$(cd "$here/../.." && pwd -P)
work=${MTR_WORK:-$repo/target/mtr-upstream}
suite=component_keyring_file

[[ -r $repo/target/mysql/env ]] || "$here/../get-mysql.sh"
# shellcheck source=/dev/null # made by get-mysql.sh
. "$repo/target/mysql/env"
if [[ -z $MTR_DIR || ! -d $MTR_DIR/suite/$suite/t || ! -d $MTR_DIR/include/keyring_tests ]]; then
    echo "skipped: this server has no suite $suite in its test suite"
    exit 77
fi

mkdir -p "$work"
(umask 077 && head -c 32 /dev/urandom >"$work/secret.new" && mv "$work/secret.new" "$work/secret")
export KX_UPSTREAM_SECRET=$work/secret

# run COMPONENT ARGUMENTS...: writes "TEST pass|fail|skipped" lines to $work/COMPONENT.list
run() {
    local component=$1 list=$work/$1.list
    shift
    printf '== upstream: suite %s with %s\n' "$suite" "$component"
    KX_UPSTREAM_COMPONENT=$component MTR_WORK=$work/$component MTR_ADJUST=$here/adjust.sh \
        "$here/../mtr.sh" --stock "$suite" "$@" >"$work/$component.out" 2>&1 || true
    # A combination ('mix') is a test of its own; a line without a worker comes from --parallel=1.
    sed -n -E "s/^(\[ *[0-9]+%\] )?$suite\.([a-z0-9_-]+( '[^']*')*) +(w[0-9]+ +)?\[ (pass|fail|skipped|disabled) \].*/\2 \5/p" \
        "$work/$component.out" | sort -u >"$list"
    grep -q ' pass$' "$list" || {
        tail -n 30 "$work/$component.out" >&2
        echo "upstream: no test passed with $component" >&2
        exit 1
    }
}
# Short ones that cover what the suite is about: loading, configuration, status, functions, sensitive variables,
# tables, redo and undo.
quick=(config-errors engine keyring_component_status keyring_udf_invalid_args load log_encrypt_1 sensitive_variables
    udf_test)
if [[ ${1:-} == --quick ]]; then
    present=() lacking=0
    for test in "${quick[@]}"; do
        if [[ -f $MTR_DIR/suite/$suite/t/$test.test ]]; then
            present+=("$test")
        else
            printf 'SKIPPED (this server has no such test in its suite %s): %s\n' "$suite" "$test"
            lacking=$((lacking + 1))
        fi
    done
    quick=("${present[@]}")
    run component_keyring_external "${quick[@]}"
    list=$work/component_keyring_external.list
    passed=$(grep -c ' pass$' "$list" || true)
    # Each is named with what became of it: one that was not run is one that failed.
    for test in "${quick[@]}"; do
        printf '%-40s %s\n' "$test" "$(grep -E "^$test( |')" "$list" | sed 's/.* //' | sort | head -n 1 || true)"
    done
    missing=0
    for test in "${quick[@]}"; do
        grep -qE "^$test( '.*')? pass$" "$list" || missing=$((missing + 1))
    done
    printf 'mtr: %d passed, %d failed, %d skipped\n' "$passed" "$missing" "$lacking"
    ((missing == 0)) || tail -n 40 "$work/component_keyring_external.out"
    exit $((missing > 0))
fi
run component_keyring_file "$@"
run component_keyring_external "$@"

reference=$work/component_keyring_file.list
ours=$work/component_keyring_external.list
worse=0
passed=0
printf '\n%-52s %-10s %s\n' 'test' 'reference' 'ours'
while read -r test; do
    of() { sed -n "s/^$test //p" "$1" | sort -r | head -n 1; }
    was=$(of "$reference") is=$(of "$ours")
    [[ $was == skipped && $is == skipped ]] && continue
    note=
    if [[ $was == pass && $is != pass ]]; then
        note='  <-- worse'
        worse=$((worse + 1))
    fi
    [[ $is != pass ]] || passed=$((passed + 1))
    printf '%-52s %-10s %s%s\n' "$test" "${was:--}" "${is:--}" "$note"
done < <(sed 's/ [a-z]*$//' "$reference" "$ours" | sort -u)

count() { grep -c " $2\$" "$1" || true; }
for list in "$reference" "$ours"; do
    printf 'upstream: %-28s %s passed, %s failed, %s skipped\n' "$(basename "$list" .list)" \
        "$(count "$list" pass)" "$(count "$list" fail)" "$(count "$list" skipped)"
done
if ((worse)); then
    printf 'upstream: %s tests pass with the reference and not with ours; see %s\n' "$worse" "$work"
fi
# For make test's count.
printf 'mtr: %d passed, %d failed, %d skipped\n' "$passed" "$worse" "$(count "$ours" skipped)"
((worse == 0))
