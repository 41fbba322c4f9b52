#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# What an init container does before mysqld starts in Kubernetes (docs/CONTAINERS.md). It runs as mysqld's user.
#
#   /out               a volume that mysqld's container gets the library and keyringctl from
#   /secret/unlock     the unlock secret as Kubernetes mounts it: with fsGroup, its group can read it
#   /run/keyring       a volume in memory, for a copy of the secret that its owner alone can read
#   /keyring/*/keys    the directories of the copies
set -eu

files=$(dirname "$0")
install -m 0644 "$files/component_keyring_external.so" "$files/keyring_external.so" /out/
install -m 0755 "$files/keyringctl" /out/
install -m 0400 /secret/unlock /run/keyring/unlock

# With fsGroup, Kubernetes opens the files of a volume to the group when it mounts it. The server refuses a keyring that
# others than its owner can read or write.
for volume in /keyring/*/; do
    keys=${volume}keys
    [ -d "$keys" ] || mkdir "$keys"
    chmod 0700 "$keys"
    for file in "$keys"/*; do
        if [ -f "$file" ] && [ ! -L "$file" ]; then
            chmod 0600 "$file"
        fi
    done
done
