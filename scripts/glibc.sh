#!/usr/bin/env bash
# Says for each program or library the newest version of the GNU C library that it needs, and the libraries it loads.
#   glibc.sh FILE...            one line a file
#   glibc.sh --newest FILE...   the newest version of all, nothing else
set -euo pipefail
only=
if [[ ${1:-} == --newest ]]; then
    only=1
    shift
fi
newest() { objdump -T "$@" | sed -n 's/.*GLIBC_\([0-9][0-9.]*\).*/\1/p' | sort -uV | tail -n 1; }
if [[ -n $only ]]; then
    newest "$@"
    exit
fi
for file in "$@"; do
    libraries=$(readelf -d "$file" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | tr '\n' ' ')
    printf '%-60s glibc %s or later; loads %s\n' "$file" "$(newest "$file")" "$libraries"
done
