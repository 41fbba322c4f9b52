#!/bin/bash
# Called by mtr.sh with the directory of links that mysql-test-run.pl is going to see: puts the component
# $KX_UPSTREAM_COMPONENT in the place of component_keyring_file in MySQL's own suite for that one.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
tests=$1
stock=component_keyring_file
ours=$KX_UPSTREAM_COMPONENT
[[ $ours != "$stock" ]] || exit 0

# $KEYRING_FILE_COMPONENT, from which the suite takes the library and the component's name.
sed -i -E "s/^$stock( .* KEYRING_FILE_COMPONENT) .*/$ours\1 $ours/; /KEYRING_EXTERNAL_COMPONENT/d" \
    "$tests/include/plugin.defs"
grep -q "^$ours .* KEYRING_FILE_COMPONENT $ours" "$tests/include/plugin.defs" || {
    echo "adjust.sh: plugin.defs has another form than expected" >&2
    exit 1
}

suite=$tests/suite/$stock
from=$(readlink -f "$suite")
rm "$suite"
mkdir -p "$suite"/{inc,r}
ln -s "$from/t" "$suite/t"

# The settings that this component needs beside the path.
more=", \\\\\"unlock\\\\\": \\\\\"file:$KX_UPSTREAM_SECRET\\\\\", \\\\\"auto_create\\\\\": true, \\\\\"allow_same_device\\\\\": true }"
changed=0
for file in "$from"/inc/*.inc; do
    sed "/KEYRING_CONFIG_CONTENT/s|\(read_only[\\\\]*\": *false\) *}|\1$more|" "$file" >"$suite/inc/${file##*/}"
    cmp -s "$file" "$suite/inc/${file##*/}" && continue
    # It refuses a keyring in a directory that others may read.
    sed -i '1i --chmod 0700 $MYSQLTEST_VARDIR' "$suite/inc/${file##*/}"
    changed=$((changed + 1))
    # Tests that exchange the keyring are told what is missing in the other one, and mean it.
    [[ $file == */setup_* ]] || continue
    sed -i '1i --disable_query_log\
CALL mtr.add_suppression("keys of the keyring at .* are not in the one at");\
--enable_query_log' "$suite/inc/${file##*/}"
done
((changed >= 3)) || {
    echo "adjust.sh: the suite's setup files have another form than expected" >&2
    exit 1
}

for file in "$from"/r/*.result; do
    sed "s/$stock/$ours/g" "$file" >"$suite/r/${file##*/}"
done
# What each component says of itself. The test shows a keyring's id, which is random.
# The generation is 2: a first use without a witness makes durable what was read, as a new generation.
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$here/../../Cargo.toml" | head -n 1)
sed -i -e "s/^Author\t.*/Author\tThe keyring_external developers/; s/^Version\t.*/Version\t$version/" \
    -e "/^Read_only\t/a Mirrors\t\nState\tATTACHED\nKeyring_id\tID\nGeneration\t2\nKeys\t0\nCopies\t1/1\nLast_error\t" \
    "$suite/r/keyring_component_status.result"
rm "$tests/include/keyring_tests"
cp -rs "$(dirname "$(dirname "$from")")/include/keyring_tests" "$tests/include/"
mat=$tests/include/keyring_tests/mats/keyring_component_status.inc
sed -i "/^SELECT .*keyring_component_status/i --replace_regex /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/ID/" "$mat"
grep -q '^--replace_regex' "$mat" || {
    echo "adjust.sh: $mat has another form than expected" >&2
    exit 1
}
# Tests that put an empty keyring in the place of another, or bring that one back, mean it: they give up the
# witness too, which would refuse the exchange.
for file in local_keyring_file_backup local_keyring_file_restore local_keyring_file_remove; do
    file=$tests/include/keyring_tests/helper/$file.inc
    cat "$file" - >"$file.new" <<'INC'

--perl
  use File::Find;
  find({ no_chdir => 1, wanted => sub { unlink if /\/keyring_external\.witness$/ } }, $ENV{MYSQLTEST_VARDIR});
EOF
INC
    mv "$file.new" "$file"
done
# Where there is no server, the component's log lines go to standard error, which this test does not show.
sed -i '/^TIMESTAMP /d' "$suite/r/keyring_encryption_test.result"
