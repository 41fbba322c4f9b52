#!/usr/bin/env bash
# Checks what the library shows to the server: exactly the symbols that mysqld looks up, and no library
# beside the C library's own (libc, libm, its loader; libpthread and libdl, which are parts of it since 2.34) and
# libgcc_s.
set -euo pipefail
cd "$(dirname "$0")/.."
library=${1:-target/release/libkeyring_external.so}

expected="_mysql_plugin_declarations_
_mysql_plugin_interface_version_
_mysql_sizeof_struct_st_plugin_
list_components
my_plugin_log_service
mysql_malloc_service
plugin_registry_service"
exported=$(nm -D --defined-only "$library" | awk '{ print $3 }' | LC_ALL=C sort)
if ! diff <(echo "$expected") <(echo "$exported"); then
    echo "exports: $library exports other symbols than expected (< expected, > found)" >&2
    exit 1
fi
needed=$(readelf -d "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
if others=$(grep -vE '^(libc\.so\.6|libm\.so\.6|libpthread\.so\.0|libdl\.so\.2|libgcc_s\.so\.1|ld-linux-.*\.so\.[0-9]+)$' <<<"$needed"); then
    echo "exports: $library needs other libraries: $others" >&2
    exit 1
fi
echo "exports: $(wc -l <<<"$expected") symbols, as expected; needs $(tr '\n' ' ' <<<"$needed")"
