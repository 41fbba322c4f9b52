#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the commands that docs/TUTORIAL.md shows, on a real MySQL server, and compares what they print with the page.

  scripts/tutorial.py            fails if the page shows anything that the commands do not print
  scripts/tutorial.py --write    writes what they print into the page

Each block of the page that begins with ```console holds commands, after "# ", and their output. They run in order, as root,
on a terminal of 80 columns. A comment above a block, <!-- answers: yes, 3 -->, holds what is typed when a command asks.

The host is this one with its own mounts: overlays over /etc, /usr, /var, /root and /mnt, in which the test server is
installed, with an account and a unit of systemd, and three volumes, ext4 images. Nothing of it is left afterwards. It needs
root, loop mounts and overlays, and exits with 77 where it cannot run. What differs from run to run, such as ids, times and
sizes, is not compared.
"""

import ctypes
import difflib
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import fcntl
import time
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
PAGE = REPO / "docs/TUTORIAL.md"
WIDTH = 80
# A command that has printed nothing for so long has hung.
LIMIT = 300
BLOCK = re.compile(r"(?:<!-- answers: (?P<answers>[^\n]*) -->\n)?```console\n(?P<text>.*?)^```$", re.S | re.M)
OVERLAID = ["etc", "usr", "var", "root", "mnt"]
ENV = REPO / "target/mysql/env"


class CannotRun(Exception):
    """Why the page cannot be checked on this machine."""


def run(*command, **more):
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True, **more)


# --- the host -----------------------------------------------------------------------------------


class Host:
    """This host with mounts of its own, and a MySQL server in it."""

    def __init__(self):
        self.work = Path(tempfile.mkdtemp(prefix="kxtutorial."))
        self.images = []

    def build(self):
        settings = dict(line.split("=", 1) for line in ENV.read_text().splitlines() if "=" in line)
        own_mounts()
        run("hostname", "db1")
        run("mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", self.work)
        for name in OVERLAID:
            upper, work = self.work / name / "upper", self.work / name / "work"
            upper.mkdir(parents=True)
            work.mkdir()
            upper.chmod(os.stat(f"/{name}").st_mode & 0o7777)
            options = f"lowerdir=/{name},upperdir={upper},workdir={work}"
            try:
                run("mount", "-t", "overlay", "-o", options, "overlay", f"/{name}")
            except subprocess.CalledProcessError as e:
                raise CannotRun(f"no overlay over /{name} here: {e.stderr.strip()}") from e
        self.install(settings)
        for name in ["keyring", "mirror", "safe"]:
            self.volume(name)

    def install(self, settings):
        for old in ["/etc/my.cnf", "/etc/my.cnf.d", "/etc/mysql", "/var/lib/mysql", "/etc/apparmor.d/usr.sbin.mysqld"]:
            shutil.rmtree(old, ignore_errors=True)
            Path(old).unlink(missing_ok=True)
        release = REPO / "target/release"
        for source, to in [
            (settings["MYSQLD"], "/usr/sbin/mysqld"),
            (release / "libkeyring_external.so", "/usr/lib/mysql/plugin/keyring_external.so"),
            (release / "libkeyring_external.so", "/usr/lib/mysql/plugin/component_keyring_external.so"),
            (os.environ.get("KX_KEYRINGCTL", release / "keyringctl"), "/usr/bin/keyringctl"),
        ]:
            Path(to).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, to)
        with open("/etc/passwd", "a+", encoding="ascii") as passwd, open("/etc/group", "a", encoding="ascii") as group:
            passwd.seek(0)
            if not re.search("^mysql:", passwd.read(), re.M):
                passwd.write("mysql:x:4242:4242::/nonexistent:/bin/false\n")
                group.write("mysql:x:4242:\n")
        write("/etc/mysql/my.cnf", "!includedir /etc/mysql/conf.d/\n")
        write(
            "/etc/mysql/conf.d/mysqld.cnf",
            f"[mysqld]\nuser=mysql\nlc-messages-dir={settings['MYSQL_SHAREDIR']}\nplugin-dir=/usr/lib/mysql/plugin\n"
            "datadir=/var/lib/mysql\nsocket=/run/mysqld/mysqld.sock\npid-file=/run/mysqld/mysqld.pid\n"
            "log-error=/var/log/mysql/error.log\nskip-networking\nmysqlx=OFF\nsecure-file-priv=NULL\n"
            "loose-innodb-redo-log-capacity=8M\n",
        )
        write("/usr/lib/systemd/system/mysql.service", "[Service]\nUser=mysql\nExecStart=/usr/sbin/mysqld\n")
        # systemd does not run in here: this does what it would do with the server.
        write(
            "/usr/bin/systemctl",
            "#!/bin/sh\nset -e\ncase $1 in\n"
            "show) cat /run/mysqld/mysqld.pid;;\n"
            'stop|restart) kill "$(cat /run/mysqld/mysqld.pid)"; while [ -e /run/mysqld/mysqld.pid ]; do sleep 0.1; done;;\nesac\n'
            "case $1 in\nstart|restart)\n"
            "setsid /usr/sbin/mysqld >/dev/null 2>&1 </dev/null &\n"
            "for i in $(seq 600); do [ -S /run/mysqld/mysqld.sock ] && exit 0; sleep 0.1; done\n"
            "echo 'mysql.service did not start' >&2; exit 1;;\nesac\n",
        )
        os.chmod("/usr/bin/systemctl", 0o755)
        for place in ["/run/mysqld", "/var/log/mysql", "/var/lib/mysql"]:
            os.makedirs(place, exist_ok=True)
            shutil.chown(place, "mysql", "mysql")
        run("mount", "-t", "tmpfs", "tmpfs", "/run/mysqld")
        shutil.chown("/run/mysqld", "mysql", "mysql")
        run("/usr/sbin/mysqld", "--initialize-insecure")
        run("systemctl", "start", "mysql")
        sql = (
            "CREATE SCHEMA openspecimen; CREATE TABLE openspecimen.patients (id INT PRIMARY KEY, name VARCHAR(80));"
            "CREATE TABLE openspecimen.visits (id INT PRIMARY KEY, patient INT, FOREIGN KEY (patient) REFERENCES patients (id));"
            "INSERT INTO openspecimen.patients VALUES (1, 'Astrid Lindqvist'), (2, 'Johan Ek')"
        )
        run(settings["MYSQL"], "-uroot", "-S", "/run/mysqld/mysqld.sock", "-e", sql)

    def volume(self, name):
        image, point = self.work / f"{name}.img", Path("/mnt") / name
        with open(image, "wb") as file:
            file.truncate(64 << 20)
        point.mkdir()
        try:
            run("mkfs.ext4", "-q", "-F", image)
            run("mount", "-o", "loop,nodev,nosuid,noexec", image, point)
        except (subprocess.CalledProcessError, FileNotFoundError) as e:
            raise CannotRun(f"no loop mounts here: {getattr(e, 'stderr', e)}") from e
        uuid = run("blkid", "-s", "UUID", "-o", "value", image).stdout.strip()
        with open("/etc/fstab", "a", encoding="ascii") as fstab:
            fstab.write(f"UUID={uuid} {point} ext4 nofail,nodev,nosuid,noexec 0 2\n")
        self.images.append(point)

    def close(self):
        """Stops the server, and leaves nothing behind."""
        try:
            pid = int(Path("/run/mysqld/mysqld.pid").read_text())
        except (OSError, ValueError):
            pid = None
        if pid:
            os.kill(pid, signal.SIGTERM)
            while Path(f"/proc/{pid}").exists():
                time.sleep(0.1)
        for point in [*self.images, *(f"/{name}" for name in OVERLAID), self.work]:
            subprocess.run(["umount", "-l", str(point)], check=False, capture_output=True)
        self.work.rmdir()


def own_mounts():
    """Gives this process mounts and a host name of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(0x00020000 | 0x04000000) != 0:  # CLONE_NEWNS, CLONE_NEWUTS
        raise CannotRun(f"no namespaces here: {os.strerror(ctypes.get_errno())}")
    run("mount", "--make-rprivate", "/")


def write(path, text):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text, encoding="utf-8")


# --- the terminal -------------------------------------------------------------------------------


def shown(command, answers):
    """Runs a command on a terminal. Returns what the terminal shows at the end, and the exit code."""
    child, terminal = pty.fork()
    if child == 0:
        os.execve("/bin/sh", ["sh", "-c", command], {**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8", "HOME": "/root", "NO_COLOR": "1"})
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, WIDTH, 0, 0))
    seen = b""
    while True:
        waiting = bool(answers) and re.search(rb"[:?\]] $", seen)
        ready, _, _ = select.select([terminal], [], [], 0.5 if waiting else LIMIT)
        if not ready and not waiting:
            os.kill(child, signal.SIGKILL)
            raise SystemExit(f"tutorial: {command}: nothing for {LIMIT} s after:\n{render(seen)}")
        if not ready:
            os.write(terminal, answers.pop(0).encode() + b"\n")
            # The echo.
            select.select([terminal], [], [], 5)
            seen += os.read(terminal, 65536)
            continue
        try:
            more = os.read(terminal, 65536)
        except OSError:
            break
        if not more:
            break
        seen += more
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    return render(seen), os.waitstatus_to_exitcode(status)


def render(output):
    """The lines that a terminal shows after this output; one that it breaks at its width is one line."""
    rows, broken, row, column = [""], set(), 0, 0
    text = output.decode("utf-8", "replace")
    for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|.", text, re.S):
        count = int(part[2:-1]) if part.startswith("\x1b[") and part[2:-1].isdigit() else 1
        if part == "\n":
            row += 1
        elif part == "\r":
            column = 0
        elif part.endswith("A") and len(part) > 1:
            row = max(0, row - count)
        elif part.endswith("B") and len(part) > 1:
            row += count
        elif part.endswith("K") and len(part) > 1:
            rows[row] = "" if part[2:-1] == "2" else rows[row][:column]
            broken.discard(row)
        elif part.endswith("J") and len(part) > 1:
            rows[row:] = [rows[row][:column]]
        elif len(part) == 1 and part >= " ":
            if column == WIDTH:
                broken.add(row)
                row, column = row + 1, 0
        rows.extend([""] * (row + 1 - len(rows)))
        if len(part) == 1 and part >= " ":
            rows[row] = rows[row][:column].ljust(column) + part + rows[row][column + 1 :]
            column += 1
    lines = [""]
    for number, text in enumerate(rows):
        lines[-1] += text
        if number not in broken:
            lines.append("")
    return "\n".join(line.rstrip() for line in lines).strip("\n")


# --- the page -----------------------------------------------------------------------------------

VARIES = [
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?Z?( UTC)?", "TIME"),
    (r"\b[0-9a-f]{64}\b", "SHA256"),
    (r"\b[A-Z0-9]{5}(-[A-Z0-9]{5}){7}\b", "RECOVERY KEY"),
    (r"\b\d+\.\d+\.\d+(-\d+)?\b", "VERSION"),
    (r"\bbinlog\.\d+", "binlog.N"),
    (r"less than a second|\d+ min \d+ s", "N"),
    (r"(?<![\w/.])[\d.,]+(?: ?(?:B|KB|MB|GB|TB|KiB|MiB|GiB|bytes|ms|s|min|h|seconds?|minutes?)\b)?", "N"),
]


def comparable(text):
    """The words of a text, without what differs from run to run."""
    for pattern, name in VARIES:
        text = re.sub(pattern, name, text)
    # Columns and lines are as wide as what varies.
    return re.sub(r"-{3,}", "---", text).split()


def blocks(page):
    for match in BLOCK.finditer(page):
        commands = re.findall(r"^# (.*?(?:\\\n.*?)*)$", match["text"], re.M)
        answers = [answer.strip() for answer in match["answers"].split(",")] if match["answers"] else []
        yield match, commands, answers


def check(page, write_it):
    """Runs the page. Returns it as it should be, and where it differs."""
    differences, new, at = [], "", 0
    for match, commands, answers in blocks(page):
        text = ""
        for command in commands:
            print(f"tutorial: {command}", flush=True)
            output, code = shown(command, answers)
            text += f"# {command}\n" + (output + "\n" if output else "")
            if code not in (0, 1):
                differences.append(f"{command}: exit code {code}:\n{output}")
            too_wide = [line for line in output.splitlines() if len(line) > WIDTH]
            # Paths and commands are never broken, and files are shown as they are.
            too_wide = [line for line in too_wide if "/" not in line and not line.startswith("    | ")]
            differences += [f"{command}: wider than {WIDTH} columns: {line}" for line in too_wide]
        if answers:
            differences.append(f"{commands}: never asked for {answers}")
        if comparable(text) != comparable(match["text"]):
            lines = difflib.unified_diff(match["text"].splitlines(), text.splitlines(), "docs/TUTORIAL.md", "printed now", lineterm="")
            differences.append("\n".join(lines))
        new += page[at : match.start("text")] + text
        at = match.end("text")
    return new + page[at:], differences if not write_it else [d for d in differences if not d.startswith("---")]


def main():
    write_it = sys.argv[1:] == ["--write"]
    if sys.argv[1:] and not write_it:
        print(__doc__)
        return 2
    if os.geteuid() != 0:
        print("skipped: the tutorial needs root, for mounts of its own")
        return 77
    page = PAGE.read_text(encoding="utf-8")
    if not any(True for _ in blocks(page)):
        print("tutorial: docs/TUTORIAL.md has no block of commands")
        return 1
    host = Host()
    try:
        host.build()
        new, differences = check(page, write_it)
    except CannotRun as why:
        print(f"skipped: {why}")
        return 77
    except subprocess.CalledProcessError as e:
        print(f"tutorial: {e}\n{e.stdout}{e.stderr}")
        return 1
    finally:
        host.close()
    if write_it:
        PAGE.write_text(new, encoding="utf-8")
    for difference in differences:
        print(difference)
    if differences:
        print("tutorial: FAILED: see above; scripts/tutorial.py --write writes what is printed now into docs/TUTORIAL.md")
        return 1
    print("tutorial: the page shows what the commands print")
    return 0


if __name__ == "__main__":
    code = main()
    sys.exit(code)
