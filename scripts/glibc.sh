#!/usr/bin/env bash
# Says for each program or library the newest version of the GNU C library that it needs, and the libraries it loads.
#   glibc.sh FILE...                   one line a file
#   glibc.sh --newest FILE...          the newest version of all, nothing else
#   glibc.sh --check VERSION FILE...   fails when a file uses a symbol that VERSION does not have
set -euo pipefail

# Symbols that 2.28 has too. Newer versions of the C library gave them a new version when they moved them out of
# libpthread, libdl and the static part of libc, or changed the errors of log2 and pow. A file that was built on a newer
# machine needs the new ones; built for 2.28, the same sources need the old ones.
moved="__libc_start_main dlsym fstat64 fstatat64 log2 lstat64 pow pthread_attr_getguardsize pthread_attr_getstack
pthread_attr_setstacksize pthread_create pthread_detach pthread_getattr_np pthread_join pthread_key_create
pthread_key_delete pthread_setname_np pthread_setspecific stat64"

# VERSION and name of each symbol of the C library that a file names.
symbols() { sed -n 's/.*GLIBC_\([0-9][0-9.]*\))* *\(.*\)/\1 \2/p' | sort -uV; }
newest() { objdump -T "$@" | symbols | cut -d ' ' -f 1 | tail -n 1; }

case ${1:-} in
    --newest)
        shift
        newest "$@"
        exit
        ;;
    --check)
        oldest=$2
        shift 2
        # A weak symbol may be missing. Built for an older version, it is one without a version.
        used=$(objdump -T "$@" | grep -v ' w ' | symbols)
        while read -r version name; do
            [[ $version != "$oldest" && $(printf '%s\n' "$version" "$oldest" | sort -V | tail -n 1) == "$version" ]] || continue
            grep -qw -- "$name" <<<"$moved" || {
                printf 'glibc: FAILED: %s is new in glibc %s: use it only if it is there, or do without (%s)\n' "$name" "$version" "$*" >&2
                exit 1
            }
        done <<<"$used"
        exit
        ;;
esac
for file in "$@"; do
    libraries=$(readelf -d "$file" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | tr '\n' ' ')
    printf '%-60s glibc %s or later; loads %s\n' "$file" "$(newest "$file")" "$libraries"
done
