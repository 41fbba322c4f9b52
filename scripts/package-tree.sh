#!/usr/bin/env bash
# Lays out the files of a package, without what its format adds.
#
#   package-tree.sh debian|redhat BUILT ROOT     BUILT has the built library and keyringctl; ROOT must not exist
#
# What `make install` installs, below /usr, with the documentation, the licences, and examples of what setup writes.
set -euo pipefail
cd "$(dirname "$0")/.."
family=$1 built=$2 root=$3
doc=$root/usr/share/doc/keyring-external
host=$(mktemp -d)
trap 'rm -rf "$host"' EXIT

case $family in
    debian)
        plugins=/usr/lib/mysql/plugin
        zsh=/usr/share/zsh/vendor-completions
        unit=mysql
        install -d "$host"/etc/{mysql/mysql.conf.d,apparmor.d}
        ;;
    redhat)
        plugins=/usr/lib64/mysql/plugin
        zsh=/usr/share/zsh/site-functions
        unit=mysqld
        install -d "$host"/etc/my.cnf.d
        printf '!includedir /etc/my.cnf.d\n' >"$host/etc/my.cnf"
        ;;
    *) exit 2 ;;
esac
DESTDIR=$root PREFIX=/usr PLUGIN_DIR=$plugins ZSH_DIR=$zsh scripts/install.sh "$built" >/dev/null
gzip -9n "$root"/usr/share/man/man1/*.1

install -d "$doc/examples"
install -m 0644 README.md SECURITY.md docs/*.md "$doc"
install -d "$doc/schema"
install -m 0644 docs/schema/*.json "$doc/schema"
notices=$(scripts/notices.py "$(rustc -vV | sed -n 's/^host: //p')")
if [[ $family == debian ]]; then
    install -m 0644 packaging/copyright "$doc/copyright"
    gzip -9n <<<"$notices" >"$doc/third-party-licenses.gz"
    gzip -9nc CHANGELOG.md >"$doc/changelog.gz"
else
    licenses=$root/usr/share/licenses/keyring-external
    install -d "$licenses"
    install -m 0644 LICENSE "$licenses/LICENSE"
    sed 's,^On Debian systems the text of version 2 is in .*,The text of version 2 is in LICENSE.,; s/licenses\.gz/licenses/' \
        packaging/copyright >"$licenses/copyright"
    printf '%s\n' "$notices" >"$licenses/third-party-licenses"
    install -m 0644 CHANGELOG.md "$doc/CHANGELOG.md"
fi

# What setup would write on a host like most, as examples: none of it is put in place by the installation.
install -d "$host"/etc/systemd/system "$host"/usr/sbin "$host$plugins" "$host"/mnt/{a,b}
echo 'mysql:x:27:27::/:/bin/false' >"$host/etc/passwd"
chmod -R a+rX "$host"
for way in component plugin; do
    "$built/keyringctl" --json setup /mnt/a/keys/main.keyring --mirror /mnt/b/keys/main.keyring --root "$host" --as $way \
        --unit $unit --dry-run >"$host/setup.json"
    python3 - "$host/setup.json" "$doc/examples" <<'PYTHON'
import json, os, sys
for file in json.load(open(sys.argv[1]))["files"]:
    name = file["path"].strip("/").replace("/", "_")
    with open(os.path.join(sys.argv[2], name), "w") as to:
        to.write(file["contents"])
PYTHON
done

find "$root" -mindepth 1 -type d -exec chmod 0755 {} +
find "$root/usr/share" -type f -exec chmod 0644 {} +
