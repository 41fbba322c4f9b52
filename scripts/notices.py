#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Prints the licences of the crates that the library and keyringctl are built from, with their texts and copyright
notices, as these licences ask of whoever distributes binaries. The Debian package contains the output.

    scripts/notices.py [TARGET]     a Rust target triple, by default x86_64-unknown-linux-gnu"""

import json
import re
import subprocess
import sys
from pathlib import Path

OURS = ["keyring_external", "keyringctl"]
TEXT = re.compile(r"^(licen[cs]e|copying|copyright|notice|unlicense)", re.IGNORECASE)
RULE = "=" * 78


def main():
    target = sys.argv[1] if len(sys.argv) > 1 else "x86_64-unknown-linux-gnu"
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target]
    top = Path(__file__).resolve().parent.parent
    metadata = json.loads(subprocess.run(command, cwd=top, check=True, capture_output=True).stdout)
    packages = {package["id"]: package for package in metadata["packages"]}
    crates = sorted(linked(metadata, packages), key=lambda package: (package["name"], package["version"]))
    print("keyring_external and keyringctl contain the crates below, each under its own licence, and the standard")
    print("library of Rust, under MIT OR Apache-2.0.\n")
    texts = {}
    for crate in crates:
        name = f"{crate['name']} {crate['version']}"
        print(f"{name}: {crate['license'] or 'see the text'}")
        for text in texts_of(crate):
            texts.setdefault(text, []).append(name)
    sysroot = subprocess.run(["rustc", "--print", "sysroot"], check=True, capture_output=True, text=True).stdout.strip()
    # Not part of every installation of Rust.
    for file in sorted(Path(sysroot, "share/doc/rust").glob("LICENSE-MIT*")):
        texts.setdefault(tidy(file), []).append("the standard library of Rust")
    for text, names in texts.items():
        print(f"\n{RULE}\n{', '.join(names)}\n{RULE}\n\n{text}")


def linked(metadata, packages):
    """The crates of other people that ours link, directly or through others."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    ours = [id for id, package in packages.items() if package["name"] in OURS and package["source"] is None]
    seen, todo = set(ours), list(ours)
    while todo:
        for dependency in nodes[todo.pop()]["deps"]:
            normal = any(kind["kind"] is None for kind in dependency["dep_kinds"])
            if normal and dependency["pkg"] not in seen:
                seen.add(dependency["pkg"])
                todo.append(dependency["pkg"])
    return [packages[id] for id in seen if packages[id]["source"] is not None]


def texts_of(crate):
    """The texts in the crate's package: its licences, and whatever else names a holder of copyright."""
    directory = Path(crate["manifest_path"]).parent
    files = [file for file in sorted(directory.iterdir()) if file.is_file() and TEXT.match(file.name)]
    # A choice of licences that has MIT in it: that is the one taken.
    mit = [file for file in files if "mit" in file.name.lower()]
    if mit and re.search(r"\bOR\b|/", crate["license"] or ""):
        files = mit + [file for file in files if re.match(r"(?i)copyright|notice", file.name)]
    if not files:
        authors = ", ".join(crate["authors"]) or "not named"
        return [f"Its package contains no text of the licence. Authors: {authors}. Source: {crate['repository']}"]
    return [tidy(file) for file in files]


def tidy(file):
    """A text without differences that nobody sees, so that equal ones are printed once."""
    return "\n".join(line.rstrip() for line in file.read_text("utf-8", "replace").strip().splitlines())


main()
