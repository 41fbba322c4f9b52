#!/bin/bash
# Finds a MySQL server for the tests, or brings one, and writes down where its parts are.
#
#   get-mysql.sh            an installed MySQL 8.0.24 or later if there is one, else a private one
#   get-mysql.sh --unpack   the private one, whatever is installed
#   MYSQLD=/path get-mysql.sh   that server, or an error if it is none
#
# Before 8.0.24 no server loads a keyring component.
#
# The private server is Debian's own, unpacked under target/mysql/ with a copy of every library it
# needs, the C library included, so that it runs on an older system. Nothing outside target/ is
# written, and no root is needed. The answer is target/mysql/env: KEY=VALUE lines without quotes,
# for a shell's `.` and for anything that splits a line at its first `=`.
#
# Settings: MYSQL_SUITE (Debian suite, default sid), MYSQL_MIRROR (archive, default: the machine's own).
set -euo pipefail
# What apt and mysqld say is read below.
export LC_ALL=C

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
dest=$repo/target/mysql
root=$dest/root
env_file=$dest/env
suite=${MYSQL_SUITE:-sid}
# Raise this when a change below makes an older unpacked tree unusable.
recipe=1
packages=(mysql-server-core mysql-client-core mysql-testsuite libjson-perl perl patchelf)

say() { printf 'get-mysql: %s\n' "$*" >&2; }
# shellcheck source-path=SCRIPTDIR source=debian-archive.sh
. "$repo/mysql-plugin-tests/debian-archive.sh"
die() {
    say "$*"
    exit 2
}
# No test may run on the server that was found last instead.
refuse() {
    rm -f "$env_file"
    die "$*. Give the path of another mysqld with MYSQLD="
}

# --- an installed server -----------------------------------------------------------------------

# The version of a mysqld. Of a program that is no server for the tests, it says why instead, and fails.
version_of() {
    local text version major minor patch
    if [[ ! -e $1 ]]; then
        echo "there is no such file"
    elif [[ ! -f $1 || ! -x $1 ]]; then
        echo "it is not a program"
    elif ! text=$("$1" --no-defaults --version 2>&1); then
        echo "it does not run: ${text##*$'\n'}"
    elif [[ $text == *[Mm]aria[Dd][Bb]* ]]; then
        echo "it is MariaDB, which has other keyrings; MySQL 8.0.24 or later is needed"
    elif [[ ! $text =~ Ver\ ([0-9]+)\.([0-9]+)\.([0-9]+) ]]; then
        echo "it does not answer --version as mysqld does"
    else
        major=${BASH_REMATCH[1]} minor=${BASH_REMATCH[2]} patch=${BASH_REMATCH[3]}
        version=$major.$minor.$patch
        if ((major * 10000 + minor * 100 + patch >= 80024)); then
            printf '%s\n' "$version"
            return
        fi
        echo "it is MySQL $version; 8.0.24 or later is needed"
    fi
    return 1
}

find_installed() {
    local candidate
    # sbin is often not on an ordinary user's PATH.
    for candidate in "$(command -v mysqld || true)" /usr/sbin/mysqld /usr/libexec/mysqld \
        /usr/local/sbin/mysqld /usr/local/mysql/bin/mysqld; do
        if [[ -x $candidate ]] && version_of "$candidate" >/dev/null; then
            readlink -f "$candidate"
            return
        fi
    done
    return 1
}

# A program that belongs to the server: beside it, in the bin of its prefix, or on PATH.
program_beside() {
    local server=$1 name=$2 dir
    dir=$(dirname "$server")
    for dir in "$dir" "${dir%/*}/bin" "${dir%/*}/sbin"; do
        if [[ -x $dir/$name ]]; then
            printf '%s\n' "$dir/$name"
            return
        fi
    done
    command -v "$name" || true
}

# One of the server's own settings, as it would be with no option file.
server_setting() {
    sed -n "s/^$1  *//p" "$2" | head -n 1
}

use_installed() {
    local server=$1 version settings basedir share dir mtr=''
    version=$(version_of "$server") || refuse "$server: $version"
    settings=$(mktemp)
    # shellcheck disable=SC2064 # the name is fixed now, on purpose
    trap "rm -f '$settings'" EXIT
    # As root mysqld answers nothing without --user.
    "$server" --no-defaults --user="$(id -un)" --verbose --help >"$settings" 2>/dev/null ||
        refuse "$server does not tell its settings (mysqld --verbose --help failed)"
    basedir=$(server_setting basedir "$settings")
    share=$(server_setting lc-messages-dir "$settings")
    for dir in "${basedir%/}/lib/mysql-test" "${basedir%/}/mysql-test" "${basedir%/}/share/mysql-test" \
        /usr/lib/mysql-test /usr/share/mysql-test; do
        if [[ -f $dir/mysql-test-run.pl ]]; then
            mtr=$dir
            break
        fi
    done
    write_env installed "$version" "$server" "${basedir%/}" "$(server_setting plugin-dir "$settings")" \
        "$share" "$mtr" "$(command -v perl || true)" ''
    say "MySQL $version, installed: $server"
}

# --- the answer --------------------------------------------------------------------------------

# Written beside and renamed, so that nobody ever reads half of it.
write_env() {
    local source=$1 version=$2 server=$3 basedir=$4 plugins=$5 share=$6 mtr=$7 perl=$8 path=$9 key name
    mkdir -p "$dest"
    {
        printf 'MYSQL_SOURCE=%s\n' "$source"
        printf 'MYSQL_VERSION=%s\n' "$version"
        printf 'MYSQLD=%s\n' "$server"
        printf 'MYSQL_BASEDIR=%s\n' "$basedir"
        printf 'MYSQL_PLUGIN_DIR=%s\n' "${plugins%/}"
        printf 'MYSQL_SHAREDIR=%s\n' "${share%/}"
        for name in mysql mysqladmin mysqlbinlog mysqldump mysqlcheck innochecksum ibd2sdi \
            mysql_migrate_keyring my_print_defaults perror; do
            key=${name^^}
            printf '%s=%s\n' "$key" "$(program_beside "$server" "$name")"
        done
        printf 'MTR_DIR=%s\n' "$mtr"
        printf 'PERL=%s\n' "$perl"
        # Programs that the test suite calls by bare name and that this system need not have.
        printf 'MYSQL_TOOLS_PATH=%s\n' "$path"
    } >"$env_file.$$"
    mv -f "$env_file.$$" "$env_file"
}

# --- a private server --------------------------------------------------------------------------

# Declares as installed, and held, what the test suite depends on but no test here runs: it would pull
# in systemd.
declare_stubs() {
    local dir=$1 version stub
    version=$(apt-cache -c "$dir/apt.conf" show --no-all-versions mysql-testsuite | sed -n 's/^Version: //p')
    for stub in mysql-server mysql-client; do
        printf 'Package: %s\nStatus: hold ok installed\nVersion: %s\nArchitecture: all\n' "$stub" "$version"
        printf 'Maintainer: nobody <nobody@localhost>\nDescription: stub\n\n'
    done >"$dir/status"
}

fetch() {
    local apt=$dest/apt mirror found='' plan count total
    for mirror in $(mirrors); do
        private_apt "$apt" "$mirror" "$suite"
        say "reading the package list of Debian $suite"
        if apt-get -c "$apt/apt.conf" -q update >"$apt/log" 2>&1 &&
            ! grep -q -E '^(Err:|W: Failed)' "$apt/log" &&
            apt-cache -c "$apt/apt.conf" show mysql-testsuite >/dev/null 2>&1; then
            found=1
            break
        fi
        say "  no mysql-testsuite there; last words: $(tail -n 1 "$apt/log")"
    done
    [[ -n $found ]] ||
        die "no Debian archive with MySQL could be reached. Install MySQL 8.0.24 or later, or set MYSQLD= or MYSQL_MIRROR="
    declare_stubs "$apt"
    # Asked with an empty cache, apt also names what an interrupted run has already brought.
    plan=$(apt-get -c "$apt/apt.conf" -q -o Dir::Cache::archives="$apt/empty" install -y --print-uris \
        "${packages[@]}" 2>"$apt/log" |
        sed -n -E "s/^'[^']*' +([^ ]+) +([0-9]+) .*/\1 \2/p") ||
        die "the packages of MySQL do not fit together in Debian $suite today: $(tail -n 3 "$apt/log")"
    [[ -n $plan ]] || die "Debian $suite has nothing to install for ${packages[*]}"
    # Only the packages of today's plan may be unpacked.
    local file
    for file in "$apt"/archives/*.deb; do
        [[ ! -e $file ]] || grep -q -F -x "${file##*/}" <(cut -d' ' -f1 <<<"$plan") || rm -f "$file"
    done
    count=$(wc -l <<<"$plan")
    total=$(awk '{ sum += $2 } END { printf "%.0f", sum / 1048576 }' <<<"$plan")
    say "downloading $count packages, $total MB"
    with_progress "$apt/archives" "$total" "$apt/log" \
        apt-get -c "$apt/apt.conf" -q install -y --download-only "${packages[@]}" ||
        die "the download failed: $(tail -n 3 "$apt/log")"
    # The server's own package is declared installed. Of it the tests want the AppArmor profile, and have rules
    # of their own to stand in for it.
    mkdir -p "$apt/server"
    (cd "$apt/server" && apt-get -c "$apt/apt.conf" -q download mysql-server >>"$apt/log" 2>&1) ||
        say "  without the AppArmor profile of mysql-server"
}

unpack() {
    local file
    rm -rf "$root" "$root.new"
    mkdir -p "$root.new"
    say "unpacking"
    for file in "$dest"/apt/archives/*.deb; do
        dpkg -x "$file" "$root.new"
    done
    for file in "$dest"/apt/server/*.deb; do
        [[ ! -e $file ]] || dpkg --fsys-tarfile "$file" | tar -x -C "$root.new" --wildcards './etc/apparmor.d/*'
    done
    mv "$root.new" "$root"
}

# Tells every program which loader and libraries are its own, by absolute path: the loader's path can
# not be relative. DT_RPATH rather than DT_RUNPATH, because only the former also serves the libraries
# of libraries and what a plugin needs. That is why a library with a path of its own is changed too.
patch_programs() {
    local libs loader file list patched=0
    loader=$(find "$root/usr/lib64" "$root/usr/lib" -maxdepth 2 -name 'ld-linux*.so*' -print -quit 2>/dev/null)
    [[ -n $loader ]] || die "there is no loader in $root"
    libs=$(dirname "$(find "$root/usr/lib" -maxdepth 2 -name libc.so.6 -print -quit)")
    [[ ! -d $root/usr/lib/mysql/private ]] || libs+=:$root/usr/lib/mysql/private
    patchelf() { "$loader" --library-path "$libs" "$root/usr/bin/patchelf" "$@"; }
    say "giving the programs their own loader and libraries"
    list=$(mktemp)
    # ELF files only; patchelf itself runs while it works and is left alone.
    find "$root/usr/bin" "$root/usr/sbin" "$root/usr/lib/mysql" "$root/usr/lib/mysql-test/bin" \
        "${libs%%:*}" -maxdepth 2 -type f ! -name patchelf \
        \( -perm -u+x -o -name '*.so*' \) -print0 2>/dev/null |
        xargs -0 grep -l -a -P -m 1 '\A\x7fELF' >"$list" || true
    while IFS= read -r file; do
        [[ -w $file ]] || chmod u+w "$file"
        if [[ $file != *.so* ]] && patchelf --print-interpreter "$file" >/dev/null 2>&1; then
            patchelf --set-interpreter "$loader" --force-rpath --set-rpath "$libs" "$file"
            patched=$((patched + 1))
        elif [[ -n $(patchelf --print-rpath "$file" 2>/dev/null) ]]; then
            patchelf --force-rpath --set-rpath "$libs" "$file"
            patched=$((patched + 1))
        fi
    done <"$list"
    rm -f "$list"
    unset -f patchelf
    say "  $patched files"
}

# The test suite needs a Perl with modules that a small system lacks, and Perl's own module path is
# fixed at build time. A wrapper sets it for this Perl alone; exported, it would break the system's.
make_tools() {
    local bin=$dest/bin name dir lib='' quoted
    rm -rf "$bin"
    mkdir -p "$bin"
    for name in unzip lz4 patchelf; do
        [[ ! -x $root/usr/bin/$name ]] || ln -s "../root/usr/bin/$name" "$bin/$name"
    done
    rm -f "$bin/patchelf"
    for dir in "$root"/usr/share/perl5 "$root"/usr/lib/*/perl-base "$root"/usr/lib/*/perl5/[0-9]* \
        "$root"/usr/lib/*/perl/[0-9]* "$root"/usr/share/perl/[0-9]*; do
        [[ ! -d $dir ]] || lib+=${lib:+:}$dir
    done
    printf -v quoted '%q' "$lib"
    printf '#!/bin/sh\nexport PERL5LIB=%s\nexec %q "$@"\n' "$quoted" "$root/usr/bin/perl" >"$bin/perl"
    chmod 755 "$bin/perl"
}

check_private() {
    local program
    for program in "$root/usr/sbin/mysqld" "$root/usr/bin/mysql" "$root/usr/bin/mysqlbinlog" \
        "$root/usr/lib/mysql-test/bin/mysqltest"; do
        "$program" --no-defaults --version >/dev/null 2>&1 || die "$program does not run"
    done
    "$dest/bin/perl" -MJSON -MTime::HiRes -MMemoize -e 1 || die "the private Perl lacks a module"
}

use_private() {
    local stamp=$root/.stamp have='' version
    # What the tree was made for: recipe, suite and place. Written last, so half a tree has none.
    local want="$recipe $suite $root"
    [[ ! -r $stamp ]] || have=$(<"$stamp")
    if [[ $have != "$want" ]]; then
        rm -f "$env_file"
        if [[ $have == "$recipe $suite "* ]]; then
            say "the checkout has moved"
            rm -f "$stamp"
        else
            [[ ${NO_INSTALL:-} != 1 ]] || {
                echo "skipped: no MySQL 8.0.24 or later is installed, and NO_INSTALL=1 gets none"
                exit 77
            }
            [[ -n $(command -v apt-get) && -n $(command -v dpkg) ]] ||
                die "no MySQL 8.0.24 or later is installed, and without apt-get and dpkg none can be unpacked. Install one or set MYSQLD="
            fetch
            unpack
        fi
        patch_programs
        make_tools
        check_private
        printf '%s\n' "$want" >"$stamp.new"
        mv "$stamp.new" "$stamp"
        rm -rf "$dest/apt"
        say "done in $SECONDS s, $(megabytes "$dest") MB on disk"
    fi
    version=$(version_of "$root/usr/sbin/mysqld") || die "$root/usr/sbin/mysqld does not run"
    write_env unpacked "$version" "$root/usr/sbin/mysqld" "$root/usr" "$root/usr/lib/mysql/plugin" \
        "$root/usr/share/mysql" "$root/usr/lib/mysql-test" "$dest/bin/perl" "$dest/bin"
    say "MySQL $version, unpacked: $root"
}

# -----------------------------------------------------------------------------------------------

unpack_only=
case ${1:-} in
    '') ;;
    --unpack) unpack_only=1 ;;
    -h | --help)
        sed -n '2,/^set -/{/^set -/d; s/^# \{0,1\}//; p}' "${BASH_SOURCE[0]}"
        exit 0
        ;;
    *) die "unknown argument: $1 (see --help)" ;;
esac

# The answer has no quotes, an rpath is split at colons, and MySQL's own test runner refuses blanks.
if [[ $repo == *[[:space:]]* || $repo == *[":;&|<>()\$\`\\\"'*?#~!{}"]* || $repo == *[][]* ]]; then
    die "the path of this checkout has a blank or a special character, which the server's programs can't take: $repo"
fi

mkdir -p "$dest"
# Two builds at once would unpack into each other.
exec 9>"$dest/.lock"
flock -n 9 || {
    say "another run is at work, waiting"
    flock 9
}

if [[ -n $unpack_only || ${MYSQLD:-} == "$root"/* ]]; then
    use_private
elif [[ -n ${MYSQLD:-} ]]; then
    use_installed "$(readlink -m "$MYSQLD")"
elif server=$(find_installed); then
    use_installed "$server"
else
    use_private
fi
