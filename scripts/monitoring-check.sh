#!/usr/bin/env bash
# Checks packaging/monitoring: the alert rules and their unit tests, the dashboard, the names of metrics in both, the
# units, and what keyring-external-metrics.service does. It needs what `make build` built, promtool and systemd-analyze;
# what cannot be checked without the last two is skipped, with a line that says so.
#
#   monitoring-check.sh [BUILT]     BUILT is the directory with the built library and keyringctl
set -euo pipefail
cd "$(dirname "$0")/.."
fail() {
    printf 'monitoring-check: FAILED: %s\n' "$*" >&2
    exit 1
}
say() { printf 'monitoring-check: %s\n' "$*"; }
built=$(realpath "${1:-${CARGO_TARGET_DIR:-target}/release}")
keyringctl=$built/keyringctl
[[ -x $keyringctl ]] || fail "there is no $keyringctl (make build)"
work=$(mktemp -d /tmp/kxmonitoring.XXXXXX)
trap 'rm -rf "$work"' EXIT

# --- what is installed -------------------------------------------------------------------------

DESTDIR=$work/root PREFIX=/usr scripts/install.sh "$built" >/dev/null
units=$work/root/usr/lib/systemd/system
share=$work/root/usr/share/keyring-external/monitoring

# --- metrics, and where their names are used ---------------------------------------------------

install -d -m 0700 "$work/a" "$work/b" "$work/out"
"$keyringctl" init "$work/a/k" --mirror "$work/b/k" --unlock "file:$work/secret" --generate-secret >/dev/null 2>&1
metrics=$("$keyringctl" status "$work/a/k" "$work/b/k" --unlock "file:$work/secret" --datadir "$work" --prometheus)
metrics+=$'\n'$("$keyringctl" drill history --history "$work/no-drills" --prometheus || :)
{
    sed -n 's/^# TYPE \([^ ]*\) .*/\1/p' <<<"$metrics"
    grep -rhoE 'c"Keyring_external_[a-z_]+"' src/abi | sed -E 's/c"(.*)"/mysql_global_status_\L\1/'
    # Of the exporters themselves.
    printf '%s\n' mysql_up node_systemd_unit_state
} | sort -u >"$work/known"
python3 - "$work/known" "$share" "$work/dashboard.yml" <<'PYTHON'
import json, pathlib, re, sys

known = set(pathlib.Path(sys.argv[1]).read_text().split())
share = pathlib.Path(sys.argv[2])
dashboard = json.loads((share / "grafana-dashboard.json").read_text())
panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
exprs = [target["expr"] for panel in panels for target in panel["targets"]]
queries = [v["definition"] for v in dashboard["templating"]["list"] if v["type"] == "query"]
variables = {v["name"] for v in dashboard["templating"]["list"]}
assert exprs and len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
for panel in panels:
    at = panel["gridPos"]
    assert at["x"] + at["w"] <= 24, panel["title"]
texts = {"grafana-dashboard.json": "\n".join(exprs + queries)}
texts |= {name: (share / name).read_text() for name in ("prometheus-rules.yml", "prometheus-rules-test.yml")}
for name, text in texts.items():
    text = re.sub(r"^\s*#.*", "", text, flags=re.MULTILINE)
    used = set(re.findall(r"\b(?:mysql_|keyring_external_|node_)[a-z_]+", text))
    used -= {"keyring_external_server", "keyring_external_copies", "keyring_external_drills", "keyring_external_timers"}
    assert used, name
    if used - known:
        sys.exit(f"{name} uses metrics that nothing has: {' '.join(sorted(used - known))}")
for name in re.findall(r"\$\{?(\w+)", json.dumps(dashboard)):
    if name not in variables and name != "__all":
        sys.exit(f"grafana-dashboard.json uses the variable {name}, which it does not define")
# JSON is YAML.
rules = [{"record": f"dashboard:expr{i}", "expr": expr} for i, expr in enumerate(exprs)]
pathlib.Path(sys.argv[3]).write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
PYTHON
say "$(wc -l <"$work/known") names of metrics; the rules and the dashboard use no other"

if command -v promtool >/dev/null; then
    promtool check rules "$share/prometheus-rules.yml" "$work/dashboard.yml"
    promtool test rules "$share/prometheus-rules-test.yml"
    promtool check metrics <<<"$metrics"
    # Each alert has a test in which it fires.
    for alert in $(sed -n 's/^ *- alert: //p' "$share/prometheus-rules.yml"); do
        grep -qE "alertname(=\"|: )$alert\"?,?.*" "$share/prometheus-rules-test.yml" || fail "$alert has no test"
    done
else
    echo "skipped: the alert rules and the dashboard were not checked by promtool (Debian's prometheus)"
fi

# --- units -------------------------------------------------------------------------------------

for unit in "$units"/*.service; do
    [[ -e ${unit%.service}.timer ]] || fail "$unit has no timer"
    page=$(sed -n 's/^Documentation=man:\(.*\)(1)$/\1/p' "$unit")
    "$keyringctl" man "$work/out" >/dev/null
    [[ -e $work/out/$page.1 ]] || fail "$unit names the manual page $page, which does not exist"
done
if command -v systemd-analyze >/dev/null; then
    # Programs that a unit starts must exist.
    sed -i "s,/usr/bin/keyringctl,$keyringctl," "$units"/*.service
    found=$(systemd-analyze verify --man=no "$units"/keyring-external-* 2>&1) || fail "systemd-analyze: $found"
    found=$(grep -F keyring-external <<<"$found") && fail "systemd-analyze: $found"
    say "$(find "$units" -type f | wc -l) units: systemd-analyze has nothing to say"
else
    echo "skipped: the units were not checked by systemd-analyze (Debian's systemd)"
fi

# --- what the metrics service runs -------------------------------------------------------------

command_of() { # command_of LINE : the shell command of a line of the unit, as systemd gives it to the shell
    sed -n "s/^$1=+\?\/bin\/sh -c '\(.*\)'\$/\1/p" "$units/keyring-external-metrics.service" |
        sed "s/\\\$\\\$/\$/g; s,/run/keyring-external-metrics,$work/run,g; s,/usr/bin/keyringctl,$keyringctl,g"
}
service() { # as the service runs: the exit code of its ExecStart
    local code=0
    rm -rf "$work/run"
    install -d "$work/run"
    COPIES="$work/a/k $work/b/k" DATADIR=$work UNLOCK=file:$work/secret sh -c "$(command_of ExecStart)" || code=$?
    TEXTFILE_DIR=$work/textfiles sh -c "$(command_of ExecStopPost)" || fail "ExecStopPost of the metrics service"
    echo "$code"
}
install -d "$work/textfiles"
[[ $(service) == 0 ]] || fail "the metrics service ends with an error"
prom=$work/textfiles/keyring_external.prom
[[ $(grep -c '^keyring_external_copy_fine{.*} 1$' "$prom") == 2 && $(stat -c %a "$prom") == 644 ]] || fail "$prom: $(cat "$prom")"
rm "$work/b/k"
[[ $(service) == 1 ]] || fail "the metrics service does not end with 1 for a missing copy"
grep -q "^keyring_external_copy_fine{path=\"$work/b/k\",keyring=\"\"} 0$" "$prom" || fail "$prom: $(cat "$prom")"
rm "$work/secret"
[[ $(service 2>/dev/null) == 2 ]] || fail "the metrics service does not end with 2 without a secret"
grep -q '^keyring_external_copy_fine' "$prom" || fail "metrics were replaced by none"
[[ $(ls "$work/textfiles") == keyring_external.prom ]] || fail "files were left: $(ls "$work/textfiles")"
say "passed"
