#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# mysql-test-run.pl runs this before a test's servers start: every test links it as t/NAME-master.sh.
# It makes an empty volume and an unlock secret for each of two servers, all closed to others. The
# first server makes its keyring there at its first start (suite.opt says auto_create).
set -eu
umask 077
dir=${MYSQLTEST_VARDIR:?}/keyring_external
rm -rf "$dir"
mkdir -p "$dir/volume" "$dir/volume2"
head -c 32 /dev/urandom >"$dir/secret"
head -c 32 /dev/urandom >"$dir/secret2"
