#!/usr/bin/env bash
# Installs the files of a release: the one list of them, for `make install` and for both packages.
#
#   install.sh BUILT     BUILT is the directory with the built library and keyringctl
#
# Settings: DESTDIR, PREFIX, PLUGIN_DIR, MAN_DIR, BASH_DIR, ZSH_DIR, FISH_DIR.
set -euo pipefail
cd "$(dirname "$0")/.."
built=$1
prefix=${PREFIX:-/usr/local}
share=$prefix/share
plugins=${PLUGIN_DIR:-/usr/lib/mysql/plugin}
man=${MAN_DIR:-$share/man/man1}
keyringctl=$built/keyringctl

put() { # put MODE FILE PATH
    printf 'install: %s\n' "$3"
    install -D -m "$1" "$2" "${DESTDIR:-}$3"
}
completions() { # completions SHELL PATH
    "$keyringctl" completions "$1" >"$work/completions"
    put 0644 "$work/completions" "$2"
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Two copies, never links: mysqld keeps a loaded library's statics per file.
put 0644 "$built/libkeyring_external.so" "$plugins/keyring_external.so"
put 0644 "$built/libkeyring_external.so" "$plugins/component_keyring_external.so"
put 0755 "$keyringctl" "$prefix/bin/keyringctl"
install -d "$work/man"
"$keyringctl" man "$work/man" >/dev/null
for page in "$work"/man/*; do
    put 0644 "$page" "$man/${page##*/}"
done
completions bash "${BASH_DIR:-$share/bash-completion/completions}/keyringctl"
completions zsh "${ZSH_DIR:-$share/zsh/site-functions}/_keyringctl"
completions fish "${FISH_DIR:-$share/fish/vendor_completions.d}/keyringctl.fish"

# To be copied to /etc/logrotate.d by whoever uses an audit log: its path is a setting.
put 0644 packaging/logrotate/keyring-external "$share/keyring-external/logrotate/keyring-external"

# For monitoring systems: units, which are off until somebody enables them, alert rules and a dashboard.
monitoring=packaging/monitoring
for unit in "$monitoring"/*.service "$monitoring"/*.timer; do
    sed "s,/usr/bin/keyringctl,$prefix/bin/keyringctl," "$unit" >"$work/unit"
    put 0644 "$work/unit" "$prefix/lib/systemd/system/${unit##*/}"
done
for file in prometheus-rules.yml prometheus-rules-test.yml grafana-dashboard.json monitoring.env; do
    put 0644 "$monitoring/$file" "$share/keyring-external/monitoring/$file"
done

# Programs for the unlock source command:, which run only where a server is configured with one.
for program in packaging/unlock/*; do
    put 0755 "$program" "$prefix/libexec/keyring-external/${program##*/}"
done
