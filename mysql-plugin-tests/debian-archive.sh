# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Gets Debian packages without touching the system, as any user. For get-mysql.sh and scripts/engines.sh, which have a
# function `say`. Setting: MYSQL_MIRROR (archive, default: the machine's own).

megabytes() { du -sm "$1" 2>/dev/null | cut -f1; }

# The archives this machine already trusts and can reach, the main one of Debian first. Both forms
# of apt's source files are read, since apt itself lists only what it has fetched before.
mirrors() {
    if [[ -n ${MYSQL_MIRROR:-} ]]; then
        printf '%s\n' "${MYSQL_MIRROR%/}"
        return
    fi
    local files=() file
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
        [[ ! -r $file ]] || files+=("$file")
    done
    ((${#files[@]})) || return 0
    awk '
        /^[ \t]*#/ { next }
        FILENAME ~ /\.sources$/ {
            # A field goes on in the lines that begin with a blank.
            if ($0 ~ /^[A-Za-z-]+:/) { field = tolower($0); sub(/:.*/, "", field); sub(/^[^:]*:/, "") }
            else if ($0 !~ /^[ \t]/) field = ""
            if (field == "uris") for (i = 1; i <= NF; i++) print $i
            next
        }
        $1 == "deb" || $1 == "deb-src" {
            line = $0
            sub(/^[ \t]*deb(-src)?[ \t]+/, "", line)
            sub(/^\[[^]]*\][ \t]*/, "", line)
            split(line, part, /[ \t]+/)
            print part[1]
        }' "${files[@]}" |
        sed -n -E 's,/+$,,; /^(https?|mirror(\+[a-z]+)?|file|copy):/p' |
        awk '!seen[$0]++ { if (/\/debian$/) print; else rest = rest $0 "\n" } END { printf "%s", rest }'
}

# An apt that reads and writes only under $1, and fetches suite $3 from archive $2. What the machine says about
# proxies and certificates stays in force; its hooks, pins and other archives do not.
private_apt() {
    local dir=$1 mirror=$2 suite=$3 keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    mkdir -p "$dir"/{lists,archives,empty}/partial "$dir/sources"
    {
        printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\n' "$mirror" "$suite"
        printf 'Architectures: %s\n' "$(dpkg --print-architecture)"
        [[ ! -r $keyring ]] || printf 'Signed-By: %s\n' "$keyring"
    } >"$dir/sources/debian.sources"
    : >"$dir/status"
    cat >"$dir/apt.conf" <<CONF
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Pre-Install-Pkgs;
#clear DPkg::Post-Invoke;
#clear APT::Default-Release;
Dir::State "$dir";
Dir::State::lists "$dir/lists";
Dir::State::status "$dir/status";
Dir::State::extended_states "$dir/extended_states";
Dir::Cache "$dir";
Dir::Cache::archives "$dir/archives";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$dir/sources";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Log "$dir";
APT::Sandbox::User "root";
APT::Install-Recommends "false";
APT::Architectures { "$(dpkg --print-architecture)"; };
Acquire::Check-Valid-Until "false";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
CONF
}

# with_progress DIR TOTAL LOG COMMAND... : runs a long download into DIR and says every few seconds how far it is. TOTAL, in
# megabytes, may be empty.
with_progress() {
    local dir=$1 total=$2 log=$3 pid ticks=0
    shift 3
    "$@" >"$log" 2>&1 9>&- &
    pid=$!
    # A background job doesn't get the terminal's interrupt.
    # shellcheck disable=SC2064 # the number is fixed now, on purpose
    trap "kill $pid 2>/dev/null" EXIT
    while kill -0 "$pid" 2>/dev/null; do
        sleep 0.2
        if ((++ticks % 15 == 0)); then
            say "  $(megabytes "$dir")${total:+ of $total} MB"
        fi
    done
    trap - EXIT
    wait "$pid"
}
