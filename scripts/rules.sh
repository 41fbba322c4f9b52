#!/usr/bin/env bash
# The project's own rules that neither rustc nor clippy checks. Each prints what breaks it.
set -euo pipefail
cd "$(dirname "$0")/.."
broken=0
rule() { # rule TEXT, findings on standard input
    local findings
    findings=$(cat)
    if [[ -n $findings ]]; then
        printf 'rule broken: %s\n%s\n' "$1" "$findings" >&2
        broken=1
    fi
}

{ grep -rlE '^\s*#!?\[allow\(unsafe_code\)\]' src || true; } | { grep -vx src/abi/mod.rs || true; } |
    rule "unsafe code lives in src/abi only"
{ grep -rnE '\bunsafe (fn|\{|extern|impl)' src --include='*.rs' || true; } | { grep -v '^src/abi/' || true; } |
    rule "unsafe code lives in src/abi only"
{ grep -rnE 'use (crate|super::super)::(abi|cli)\b' src --include='*.rs' || true; } |
    { grep -vE '^src/(abi|cli)/' || true; } | rule "nobody imports abi or cli"
{ grep -rnE 'crate::(store|keyring|cli|abi)\b' src/format src/key.rs src/secret || true; } |
    { grep -v '//' || true; } | rule "format and the vocabulary do not know store or keyring"
{ grep -rnE 'crate::(store|keyring|format|cli|abi)\b' src/legacy || true; } |
    rule "legacy knows keys and secrets only"
{ grep -rnE 'crate::(keyring|cli|abi)\b' src/store || true; } | rule "store does not know keyring"
{ grep -rohE 'crate::[a-z]+' src/server || true; } | { grep -vxE 'crate::(error|server)' || true; } | rule "server knows error only"
{ find src include scripts mysql-plugin-tests tests benches -name '*.rs' -o -name '*.h' -o -name '*.sh' 2>/dev/null || true; } |
    xargs grep -L -E 'SPDX-License-Identifier|^#!' | rule "every source file begins with its licence"
{ grep -rnE 'pub\(super\) unsafe extern "C" fn|pub unsafe extern "C" fn' -A 12 src/abi --include='*.rs' |
    awk '/extern "C" fn/ { if (name && !seen) print name; name = $0; seen = 0 }
         /guard\(|on_keyring\(|show\(/ { seen = 1 }
         END { if (name && !seen) print name }' || true; } | rule "every entry point starts with the guard"
{ find src -name '*.rs' ! -name sys.rs -exec awk 'END { if (NR > 600) print FILENAME ": " NR " lines" }' {} \; ; } |
    rule "files stay below 600 lines"
if ((broken)); then exit 1; fi
echo "rules: kept"
