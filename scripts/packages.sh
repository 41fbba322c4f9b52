#!/usr/bin/env bash
# Debian packages that tests and benchmarks need beside a Rust toolchain, a C compiler and python3.
#
#   packages.sh GROUP...             installs what is missing, as root, and says so before it does
#   packages.sh --missing GROUP...   prints what is missing and installs nothing
#
# A GROUP is bindings, valgrind, confine, pages, server, monitoring, unlock, rpm or bench. Exits 77 when something is missing that may not
# or cannot be installed: the caller is not root, there is no apt-get, or NO_INSTALL=1 is set. Whoever called it goes on
# without.
set -euo pipefail

say() { printf 'packages: %s\n' "$*" >&2; }

# PROGRAM:PACKAGE of a group; @NAME is looked for in another way.
needs() {
    case $1 in
        bindings) echo @libclang:libclang-dev ;;
        valgrind) echo valgrind:valgrind @libc6-dbg:libc6-dbg ;;
        confine) # reads the profiles that setup changes; compiles a policy of SELinux and answers from it
            echo apparmor_parser:apparmor sesearch:setools semodule:policycoreutils matchpathcon:selinux-utils
            ;;
        pages) # draws the QR code of a share as a scanner sees it, and reads it
            echo rsvg-convert:librsvg2-bin zbarimg:zbar-tools
            ;;
        server) # filesystems to put keyrings on, what shows memory and system calls, a browser for the report, a
            # monitoring agent, networks between engines, what rotates logs
            echo mkfs.ext4:e2fsprogs mkfs.xfs:xfsprogs mkfs.btrfs:btrfs-progs mkntfs:ntfs-3g \
                mount.exfat-fuse:exfat-fuse mkfs.exfat:exfatprogs fusermount3:fuse3 sshfs:sshfs sshd:openssh-server \
                gcore:gdb strace:strace chromium:chromium prometheus-mysqld-exporter:prometheus-mysqld-exporter \
                ip:iproute2 logrotate:logrotate
            ;;
        monitoring) # what checks alert rules, and units
            echo promtool:prometheus systemd-analyze:systemd
            ;;
        unlock) # where the recipes of packaging/unlock seal a secret: tang, a TPM in software, a token in software
            echo clevis:clevis jose:jose @tangd:tang socat:socat swtpm:swtpm swtpm_setup:swtpm-tools tpm2_unseal:tpm2-tools \
                @tcti-swtpm:libtss2-tcti-swtpm0 softhsm2-util:softhsm2 pkcs11-tool:opensc curl:curl openssl:openssl
            ;;
        rpm) echo rpmbuild:rpm rpmlint:rpmlint ;;
        bench) echo sysbench:sysbench valgrind:valgrind mkfs.ext4:e2fsprogs curl:curl ;;
        *)
            say "there is no group $1"
            exit 2
            ;;
    esac
}

has() {
    local place
    case $1 in
        @libclang)
            [[ -z ${LIBCLANG_PATH:-} ]] || return 0
            # libclang-cpp, which other packages bring, is another library.
            for place in '/usr/lib/llvm-*/lib' '/usr/lib/*-linux-gnu'; do
                compgen -G "$place/libclang.so*" >/dev/null && return
                compgen -G "$place/libclang-[0-9]*.so*" >/dev/null && return
            done
            return 1
            ;;
        @libc6-dbg) [[ -d /usr/lib/debug/.build-id ]] || compgen -G '/usr/lib/debug/lib/*/libc*.so*' >/dev/null ;;
        @tangd) compgen -G '/usr/lib*/tangd' >/dev/null ;;
        @tcti-swtpm) compgen -G '/usr/lib/*/libtss2-tcti-swtpm.so*' >/dev/null ;;
        *) PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null ;;
    esac
}

only_missing=
if [[ ${1:-} == --missing ]]; then
    only_missing=1
    shift
fi
missing=()
for group in "$@"; do
    list=$(needs "$group")
    for need in $list; do
        [[ " ${missing[*]} " == *" ${need##*:} "* ]] || has "${need%%:*}" || missing+=("${need##*:}")
    done
done
if [[ $only_missing ]]; then
    echo "${missing[*]}"
    exit 0
fi
((${#missing[@]})) || exit 0

without() {
    say "${missing[*]}: not installed, $*; what needs them is skipped"
    exit 77
}
[[ ${NO_INSTALL:-} != 1 ]] || without "because NO_INSTALL=1 is set"
[[ $(id -u) == 0 ]] || without "because only root can (apt-get install ${missing[*]})"
command -v apt-get >/dev/null || without "because there is no apt-get here"

say "installing with apt-get: ${missing[*]} (NO_INSTALL=1 skips what needs them)"
# No service is started for it: the tests start an sshd and an exporter of their own when they need one.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 0755 "$policy"
fi
get=(env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends)
failed=()
if ! { apt-get update -qq && "${get[@]}" "${missing[@]}"; } >/dev/null 2>&1; then
    # One that cannot be had must not keep the others away.
    for package in "${missing[@]}"; do
        "${get[@]}" "$package" >/dev/null 2>&1 || failed+=("$package")
    done
fi
for service in openssh-server:ssh prometheus:prometheus prometheus-mysqld-exporter:prometheus-mysqld-exporter; do
    [[ " ${missing[*]} " == *" ${service%%:*} "* ]] && command -v systemctl >/dev/null || continue
    systemctl disable --quiet "${service##*:}.service" 2>/dev/null || :
done
if ((${#failed[@]})); then
    say "apt-get could not install ${failed[*]}; what needs them is skipped"
    exit 77
fi
