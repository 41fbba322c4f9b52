#!/bin/bash
# Tests what keyrings at a remote rely on, on the real engines (mysql-plugin-tests/tests/engines). Gets the engines first
# (scripts/engines.sh); one that cannot be had is skipped. Needs no MySQL server.
#
#   engines.sh [FILTER] [--list] [--test-threads N] [...]   what the test binary takes; see engines.sh -- --help
#
# Settings: KX_ENGINES_ENV (another file than target/engines/env says where the engines are), KX_LONG=1 (more faults).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    sed -n '2,/^set -/{/^set -/d; s/^# \{0,1\}//; p}' mysql-plugin-tests/engines.sh
    exit 0
fi
[[ ${1:-} != -- ]] || shift
[[ -n ${KX_ENGINES_ENV:-} ]] || scripts/engines.sh || (($? == 77))
binary=$(cargo test --locked -p mysql-plugin-tests --no-run --test engines --message-format=json |
    sed -n '/"kind":\["test"\]/s/.*"executable":"\([^"]*\)".*/\1/p')
exec "$binary" "$@"
