#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs a program on a terminal of its own and types answers: terminal.py ANSWERS PROGRAM ARGS, where ANSWERS is a
JSON list of [prompt, answer]. Each answer is typed when its prompt has appeared, and an answer to a prompt for a
passphrase or a share when the echo is off. Prints what the terminal showed."""

import json
import os
import pty
import select
import sys
import termios
import time

answers = json.loads(sys.argv[1])
child, terminal = pty.fork()
if child == 0:
    os.execv(sys.argv[2], sys.argv[2:])
shown, seen = b"", 0
while True:
    if not select.select([terminal], [], [], 120)[0]:
        os.kill(child, 9)
        sys.exit(f"waited in vain for {answers[:1]} after: {shown.decode(errors='replace')}")
    try:
        read = os.read(terminal, 65536)
    except OSError:
        break
    if not read:
        break
    shown += read
    while answers and (at := shown.find(answers[0][0].encode(), seen)) >= 0:
        seen = at + len(answers[0][0].encode())
        while any(secret in answers[0][0] for secret in ("assphrase", "Share ")) and termios.tcgetattr(terminal)[3] & termios.ECHO:
            time.sleep(0.001)
        os.write(terminal, answers.pop(0)[1].encode() + b"\n")
sys.stdout.write(shown.decode().replace("\r\n", "\n"))
if answers:
    sys.exit(f"it never asked {answers[0][0]!r}")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
