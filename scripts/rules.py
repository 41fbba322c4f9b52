#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks the project's own rules, those that neither rustc nor clippy checks (make lint).

    scripts/rules.py [DIR]        checks the project in DIR, by default this one; exits with 1 if a rule is broken
    scripts/rules.py --self-test  plants violations in a copy of the project, and checks that each rule finds its own

Each rule comes with the violations that the self-test plants: a rule that nothing can break is an error."""

import sys

sys.dont_write_bytecode = True

import contextlib
import functools
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import rust_imports

# --- The layout of the project --------------------------------------------------------------------

LIBRARY, TOOL = "src", "keyringctl/src"
BINDINGS = "src/abi/sys.rs"  # generated

# Where unsafe code is allowed, and why. A folder ends in a slash.
UNSAFE = {
    "src/abi/": "the C boundary",
    "tests/abi.rs": "the attribute that allows it in tests/abi/",
    "tests/abi/": "the part of mysqld that calls through the C boundary",
    "mysql-plugin-tests/src/rig/power.rs": "the ioctl that cuts a filesystem's power",
    "benches/figures/main.rs": "the attribute that allows it in the two files below",
    "benches/figures/host.rs": "the part of mysqld that calls through the C boundary",
    "benches/figures/names.rs": "C strings without a check, in a loop that is measured",
}

# What each part of a package may import: parts of its own package by name, parts of the library from another package
# as `keyring_external::NAME`. lib.rs and main.rs may import every part, and no part imports them.
VOCABULARY = ["aes", "config", "custodians", "error", "key", "paper", "recovery", "secret", "unlock"]
ARROWS = {
    LIBRARY: {
        **{part: VOCABULARY for part in VOCABULARY},
        "format": VOCABULARY,
        "store": ["format", *VOCABULARY],
        "audit": ["store", "format", *VOCABULARY],
        "keyring": ["audit", "store", "format", *VOCABULARY],
        "abi": ["audit", "keyring", "store", "format", *VOCABULARY],
    },
    TOOL: {
        "terminal": [],
        "show": ["terminal"],
        "error": ["show", "keyring_external::error"],
        "server": ["error", "show"],
        "readers": [],
        "legacy": ["keyring_external::key", "keyring_external::secret"],
        "tablespace": ["error", "readers", "show", *(f"keyring_external::{part}" for part in ("key", "keyring", "secret"))],
        "host": ["show", *(f"keyring_external::{part}" for part in ("config", "store", "unlock"))],
        "commands": [
            *("error", "show", "terminal", "server", "legacy", "tablespace", "readers", "host"),
            *(f"keyring_external::{part}" for part in ("audit", "keyring", "store", "format", *VOCABULARY)),
        ],
    },
}
PACKAGES = {"keyring_external": LIBRARY, "keyringctl": TOOL}

# What the body of an `extern "C"` function is: one call of these.
GUARDS = r"guard(?:_yes_no)?\s*\("

# Parts that must not panic. The first file of each denies these lints, so that clippy finds what this script does not.
NO_PANIC = [f"{LIBRARY}/abi", f"{LIBRARY}/audit", f"{LIBRARY}/format", f"{LIBRARY}/store", f"{TOOL}/legacy", f"{TOOL}/tablespace"]
NO_PANIC_LINTS = ["unwrap_used", "expect_used", "indexing_slicing", "panic"]

LINES, LINES_AIM = 600, 350

CRATES = "scripts/library-crates.txt"

# Paths and hosts that mean nothing to a reader. The brackets keep this file from matching itself.
FOREIGN_PLACE = re.compile(
    r"(?<![\w.-])/wor[k]\b(?!-)|(?<![\w/-])share[d]/|"
    r"https?://(?:[\w-]+\.)*(?:crates\.io|docs\.rs|pypi\.org|pythonhosted\.org|npmjs\.(?:com|org)|golang\.org)"
)
LOCK_FILE = re.compile(r"(?:^|/)Cargo\.lock$")  # cargo names its registry there


# --- The tree -------------------------------------------------------------------------------------


class Tree:
    """The project's files below a directory."""

    _answers = {}

    def __init__(self, top, files):
        self.top, self.files = Path(top), sorted(files)
        self.sources = rust_imports.Sources(top)

    @classmethod
    def of_git(cls, top):
        """The files that git tracks, and new ones that it does not ignore."""
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(command, cwd=top, check=True, capture_output=True).stdout.decode().split("\0")
        return cls(top, {name for name in names if name and (Path(top) / name).is_file()})

    def below(self, folder, *endings):
        return [path for path in self.files if path.startswith(folder) and path.endswith(endings)]

    def compiled(self, folder):
        """The Rust files below a folder that are compiled outside tests."""
        return [path for path in self.below(folder, ".rs") if path in self.crates.files]

    def text(self, path):
        return (self.top / path).read_text(encoding="utf-8", errors="replace")

    def rust(self, path):
        return self.sources.source(path)

    def cargo(self, *args):
        """The output of a cargo command, which depends on the manifests and the names of files only."""
        manifests = tuple(self.text(path) for path in self.files if path.endswith(("Cargo.toml", "Cargo.lock")))
        question = self.top, args, manifests, tuple(self.files)
        if question not in self._answers:
            done = subprocess.run(["cargo", *args], cwd=self.top, capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"rules: cargo {args[0]} failed:\n{done.stderr}")
            self._answers[question] = done.stdout
        return self._answers[question]

    @functools.cached_property
    def crates(self):
        """Every target of every package. Other crates can name the libraries only."""
        workspaces = [p for p in self.files if p.endswith("Cargo.toml") and "[workspace]" in self.text(p)]
        metadata = "metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path"
        packages = [p for manifest in workspaces for p in json.loads(self.cargo(*metadata, manifest))["packages"]]
        roots = []
        for target in (target for package in packages for target in package["targets"]):
            is_library = any("lib" in kind for kind in target["kind"])
            name = target["name"].replace("-", "_") if is_library else None
            if "custom-build" not in target["kind"]:
                roots.append((name, str(Path(target["src_path"]).resolve().relative_to(self.top.resolve()))))
        return rust_imports.Crates(self.sources, roots)

    @functools.cached_property
    def imports(self):
        return sorted(set(self.crates.imports()))


# --- The rules ------------------------------------------------------------------------------------

RULES = []
NOTES = []
SPDX = "// SPDX-License-Identifier: GPL-2.0-or-later\n"


def rule(text, *violations):
    """Adds a rule: a function from a tree to its findings (path, line, what).

    A violation maps paths to what is planted there: the text of a file; `+` and a text to append; or a pair, of which
    the second text replaces the first."""

    def add(check):
        if not violations:
            sys.exit(f"rules: no violation shows that this rule can be broken: {text}")
        RULES.append((text, check, violations))
        return check

    return add


def module(parent, name, text):
    """A violation: a module that is declared in the file `parent`."""
    return {parent: f"+\nmod {name};\n", f"{Path(parent).parent}/{name}.rs": SPDX + text}


@rule(
    f"unsafe code is in {LIBRARY}/abi only, and in the files that UNSAFE names",
    {"src/store/mod.rs": "+\nfn planted() -> u8 {\n    unsafe { *std::ptr::null() }\n}\n"},
    {"src/keyring/planted.rs": SPDX + '#![allow(\n    unsafe_code,\n    reason = "planted"\n)]\n'},
    {"keyringctl/src/host/mod.rs": "+\n#[unsafe(no_mangle)]\nfn planted() {}\n"},
    {"mysql-plugin-tests/src/rig/power.rs": SPDX},
)
def unsafe_code(tree):
    used = set()
    for path in tree.below("", ".rs"):
        source = tree.rust(path)
        place = next((p for p in UNSAFE if path == p or p.endswith("/") and path.startswith(p)), None)
        for match in re.finditer(r"\bunsafe\b|\b(?:allow|expect)\s*\([^)]*\bunsafe_code\b", source.code):
            used.add(place)
            if not place:
                yield path, source.line(match.start()), "unsafe code"
    for place in UNSAFE.keys() - used:
        yield place, 1, "has no unsafe code: remove it from UNSAFE in scripts/rules.py"


def part_of(path, package):
    """The part of a package that a file belongs to: `format` for `src/format/slots.rs`."""
    return path[len(package) + 1 :].split("/")[0].removesuffix(".rs")


@rule(
    "imports between the parts of a package run one way, as ARROWS has them",
    module("src/format/mod.rs", "planted", "use crate::{\n    key::{self, KeyName},\n    store::{fs::Fs},\n};\n"),
    module("src/store/mod.rs", "planted", "fn planted() {\n    crate::keyring::Keyring::planted();\n}\n"),
    module("src/store/mod.rs", "planted", "use super::super::abi::sys as planted;\n"),
    module("keyringctl/src/server/mod.rs", "planted", "use keyring_external::key::KeyName;\n"),
    module("keyringctl/src/legacy/mod.rs", "planted", "use crate::commands;\nfn f() {\n    commands::main();\n}\n"),
    module("src/lib.rs", "planted", "//! Part of nothing.\n"),
)
def arrows(tree):
    for package, parts in ARROWS.items():
        for path in tree.compiled(package + "/"):
            if (part := part_of(path, package)) not in {*parts, "lib", "main"}:
                yield path, 1, f"{part} is not in ARROWS in scripts/rules.py"
    for path, line, target, name in tree.imports:
        package = next((p for p in ARROWS if path.startswith(p + "/")), None)
        home = next((p for p in ARROWS if target.startswith(p + "/")), None)
        if not package or not home or (package, home) == (LIBRARY, TOOL):
            continue  # the last is the next rule's
        part, other = part_of(path, package), part_of(target, home)
        if home != package:
            other = f"{next(name for name, folder in PACKAGES.items() if folder == home)}::{other}"
        if part not in ("lib", "main") and other != part and other not in ARROWS[package].get(part, []):
            yield path, line, f"{part} imports {other} ({name})"


@rule(
    "the library and its tests do not import keyringctl",
    {"src/abi/mod.rs": "+\nuse keyringctl::commands;\n"},
    {"tests/keyring/faults.rs": "+\nfn planted() {\n    keyringctl::commands::main();\n}\n"},
)
def library_alone(tree):
    for path in [*tree.below(LIBRARY + "/", ".rs"), *tree.below("tests/", ".rs")]:
        source = tree.rust(path)
        for match in re.finditer(r"\bkeyringctl\s*::|\bextern\s+crate\s+keyringctl\b", source.code):
            yield path, source.line(match.start()), "imports keyringctl"


@rule(
    "the imports of files form no circle",
    {
        **module("src/store/mod.rs", "planted", "use super::other::Two;\npub(crate) struct One(Two);\n"),
        "src/store/mod.rs": "+\nmod other;\nmod planted;\n",
        "src/store/other.rs": SPDX + "pub(crate) struct Two;\nfn back(_: super::planted::One) {}\n",
    },
    {
        **module("keyringctl/src/host/mod.rs", "planted", "mod below;\nuse below::Two;\npub(crate) struct One(Two);\n"),
        "keyringctl/src/host/planted/below.rs": SPDX + "use super::One;\npub(crate) struct Two;\nfn up(_: One) {}\n",
    },
    {
        "mysql-plugin-tests/src/lib.rs": "+\nmod face;\nmod planted;\nmod other;\n",
        "mysql-plugin-tests/src/face.rs": SPDX + "pub use super::{other::*, planted::One};\n",
        "mysql-plugin-tests/src/planted.rs": SPDX + "use crate::face::Two;\npub struct One(Two);\n",
        "mysql-plugin-tests/src/other.rs": SPDX + "use crate::face as f;\npub struct Two;\nfn back(_: f::One) {}\n",
    },
)
def no_circles(tree):
    targets, reasons = {}, {}
    for path, line, target, name in tree.imports:
        targets.setdefault(path, set()).add(target)
        reasons.setdefault((path, target), []).append((line, name))
    for circle in rust_imports.circles(targets):
        steps = [(path, target) for path in circle for target in sorted(targets[path] & set(circle))]
        shown = "".join(f"\n    {path} -> {target}: {first(reasons[path, target])}" for path, target in steps)
        yield circle[0], 1, f"one of {len(circle)} files in a circle:{shown}"


def first(imports):
    """Some of the names that a file takes from another, and the line of the first."""
    names = list(dict.fromkeys(name for _, name in imports))
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"line {imports[0][0]}, {', '.join(names[:3])}{rest}"


@rule(
    "every source file begins with its licence or its interpreter",
    {"scripts/planted.sh": "echo planted\n"},
    {"src/store/planted.rs": "//! No licence.\n"},
    {"include/planted.h": "#pragma once\n"},
)
def licence(tree):
    for path in tree.below("", ".rs", ".h", ".sh", ".py"):
        line = tree.text(path).split("\n", 1)[0]
        if not line.startswith("#!") and "SPDX-License-Identifier: GPL-2.0-or-later" not in line:
            yield path, 1, "no licence"


@rule(
    "every function that C calls is one call of the guard",
    {"src/abi/mod.rs": '+\nextern "C" fn planted(at: *const u8) -> bool {\n    // guard(\n    at.is_null()\n}\n'},
    {"src/abi/mod.rs": '+\nunsafe extern "C-unwind" fn planted() {\n    drop(1);\n    guard(|| Ok(()))\n}\n'},
    {"src/abi/mod.rs": '+\nextern "C" fn planted() {\n    guard(|| Ok(()));\n    drop(1)\n}\n'},
)
def entry_points(tree):
    for path in tree.compiled(f"{LIBRARY}/abi/"):
        source = tree.rust(path)
        code = source.product
        for match in re.finditer(r'\bextern(?:\s+"[^"]*")?\s+fn\s+(\$?\w+)\s*\(', code):
            body = re.compile(r"[^{;]*\{\s*").match(code, rust_imports.closing(code, match.end() - 1))
            guard = body and re.compile(GUARDS).match(code, body.end())
            if body and not (guard and code[rust_imports.closing(code, guard.end() - 1) :].lstrip().startswith("}")):
                yield path, source.line(match.start()), f"{match[1]} is not one call of the guard"


@rule(
    "code that serves mysqld or reads files does not panic outside tests",
    {"src/store/mod.rs": "+\nfn planted(x: Option<u8>) -> u8 {\n    x\n        .unwrap()\n}\n"},
    {"src/format/mod.rs": "+\n#[allow(clippy::indexing_slicing)]\nfn planted() {}\n"},
    {"src/format/mod.rs": ("clippy::panic", "clippy::print_stdout")},
)
def no_panic(tree):
    lints = "|".join(NO_PANIC_LINTS)
    panics = re.compile(
        r"\.\s*(?:unwrap|expect)\s*\(|\b(?:panic|todo|unimplemented|unreachable)\s*!"
        rf"|\ballow\s*\([^)]*clippy::(?:{lints})\b(?![^;{{}}]*\bmod sys;)"  # generated
    )
    for folder in NO_PANIC:
        for path in tree.compiled(folder + "/"):
            source = tree.rust(path)
            for match in panics.finditer(source.product):
                yield path, source.line(match.start()), " ".join(match.group().split())
        denied = re.search(r"\bdeny\s*\(([^)]*)\)", tree.rust(f"{folder}/mod.rs").code)
        missing = [lint for lint in NO_PANIC_LINTS if not denied or f"clippy::{lint}" not in denied[1]]
        if missing:
            yield f"{folder}/mod.rs", 1, f"does not deny {', '.join(missing)}"


FIELD = re.compile(r"((?:#\[[^\]]*\]\s*)*)((?:pub(?:\([^)]*\))?\s+)?\w+\s*:\s*[^,{}]*?\b(?:PathBuf|Path|OsString|OsStr)\b)")


@rule(
    f"{TOOL} shows paths with Shown::shown, serializes them with show::path, and prints lines one by one",
    {"keyringctl/src/host/mod.rs": "+\nfn planted(path: &Path) -> String {\n    path\n        .display()\n        .to_string()\n}\n"},
    {"keyringctl/src/error.rs": ("path.shown()", "path.display()")},
    {"keyringctl/src/commands/stat.rs": "+\n#[derive(Debug, Serialize)]\nstruct Planted {\n    pub a: u8,\n    path: PathBuf,\n}\n"},
    {"keyringctl/src/commands/list.rs": '+\nfn planted(out: &mut Output) {\n    out.line(format_args!(\n        "{}.\\n  b", 1));\n}\n'},
    {"keyringctl/src/commands/setup/change.rs": ('    #[serde(serialize_with = "crate::show::path")]\n', "")},
)
def names_shown(tree):
    for path in tree.compiled(TOOL + "/"):
        source = tree.rust(path)
        for match in re.finditer(r"\.\s*display\s*\(\s*\)", source.product):
            yield path, source.line(match.start()), "display() of a path: use shown()"
        for match in re.finditer(r"\.\s*line\s*\(\s*(?:format_args!\s*\(\s*)?(?=\")", source.product):
            if re.compile(r'"(?:[^"\\]|\\[^n])*\\n').match(tree.text(path), match.end()):
                yield path, source.line(match.start()), "a line feed in a line: print two lines, or a block()"
        for match in re.finditer(r"\bderive\s*\([^)]*\bSerialize\b[^)]*\)\]([^{};]*)\bstruct\s[^{};(]*\{", source.product):
            body = source.product[match.end() : rust_imports.closing(source.product, match.end() - 1) - 1]
            for field in FIELD.finditer(body):
                if "serialize_with" not in field[1]:
                    yield path, source.line(match.end() + field.start(2)), "serde fails for a path that is not UTF-8"


@rule(f"no file is longer than {LINES} lines", {"src/format/planted.rs": SPDX + "// One more.\n" * LINES})
def length(tree):
    for path in [*tree.below(LIBRARY + "/", ".rs"), *tree.below(TOOL + "/", ".rs")]:
        lines = tree.text(path).count("\n")
        if path != BINDINGS and lines > LINES:
            yield path, LINES + 1, f"{lines} lines"
        elif path != BINDINGS and lines > LINES_AIM:
            NOTES.append(f"{path}: {lines} lines; the aim is {LINES_AIM}")


@rule(
    "no file names a path of some machine or the host of a package registry",
    {"README.md": "+\nSee /wor" + "k/notes.\n"},
    {"docs/FORMAT.md": "+\nSee `share" + "d/NOTES.md`.\n"},
    {"Makefile": "+\n# From https" + "://static.crates.io/planted\n"},
)
def no_foreign_places(tree):
    for path in tree.files:
        for line, place in [] if LOCK_FILE.search(path) else foreign_places(tree.text(path)):
            yield path, line, f"names {place}"


@functools.cache
def foreign_places(text):
    return [(text.count("\n", 0, match.start()) + 1, match.group()) for match in FOREIGN_PLACE.finditer(text)]


@rule(
    f"the library is built from the crates in {CRATES}",
    {CRATES: "+zz-planted\n"},
    {CRATES: "# No crates.\n"},
)
def library_crates(tree):
    listed = [line for line in tree.text(CRATES).split("\n") if line and not line.startswith("#")]
    args = "-p keyring_external -e normal --prefix none --format {p} --target x86_64-unknown-linux-gnu --locked"
    lines = tree.cargo("tree", *args.split()).split("\n")
    used = {line.split()[0] for line in lines if line} - {"keyring_external"}
    for crate in sorted(used - set(listed)):
        yield CRATES, 1, f"{crate} is new in mysqld: add it, with the reason in the commit, or do without it"
    for crate in sorted(set(listed) - used):
        yield CRATES, 1, f"{crate} is gone: remove it"
    if listed != sorted(set(listed)):
        yield CRATES, 1, "is not sorted"


# A number before a plural noun, in a text to be formatted. "2/3 copies" is a ratio.
NUMBERED = re.compile(
    r"(?<!/)\{(?![A-Z_]+\})[^{}\"]*\} (?:more |other |old )?(?:tables|keys|files|copies|slots|steps|places|partitions|passes|mirrors|secrets|"
    r"errors|warnings|checks|records|pages|schemas|statements|connections)\b"
)


@rule(
    "a number before a noun is written by show::counted, so that 1 has no plural",
    {"keyringctl/src/commands/stat.rs": '+\nfn planted(n: usize) -> String {\n    format!("{n} tables are left")\n}\n'},
    {"keyringctl/src/commands/list.rs": '+\nfn planted(n: usize) -> String {\n    format!("see {} more files", n)\n}\n'},
)
def numbers_counted(tree):
    for path in tree.compiled(TOOL):
        for number, line in enumerate(tree.text(path).split("#[cfg(test)]\nmod tests")[0].split("\n"), 1):
            # An arm of a match, or a condition, writes the singular beside it.
            is_beside = " => " in line or " == 1 " in line or line.lstrip().startswith("//")
            if not is_beside and (found := NUMBERED.search(line)):
                yield path, number, f"{found.group()!r}: 1 of them would be wrong"


def broken(tree):
    """The rules that are broken, each with its findings."""
    found = {}
    for text, check, _ in RULES:
        for finding in check(tree):
            found.setdefault(text, []).append(finding)
    return found


# --- The self-test --------------------------------------------------------------------------------

# What looks like a violation and is none.
HARMLESS = [
    {"src/store/mod.rs": "+\n// unsafe { crate::abi::sys }\n/* /* unsafe */ use crate::keyring::Keyring; */\n"},
    {"keyringctl/src/commands/stat.rs": "+\n#[derive(Serialize)]\nenum Planted {\n    /// A path: PathBuf.\n    One,\n}\n"},
    {"src/store/mod.rs": "+\nconst A: &str = r#\"unsafe \" use crate::abi;\"#;\nconst B: [char; 2] = ['\"', '{'];\n"},
    {
        "src/store/mod.rs": "+\n#[cfg(test)]\nmod tests {\n    use crate::keyring;\n    fn f() {\n        g().unwrap();\n    }\n}\n"
    },
    {
        **module(
            "src/store/mod.rs", "planted", "#[cfg(test)]\nmod below;\n#[cfg(test)]\nuse below::Two;\nstruct One;\n"
        ),
        "src/store/planted/below.rs": SPDX + "use super::One;\npub(crate) struct Two(One);\n",
    },
    {
        **module("src/store/mod.rs", "planted", "mod below;\npub(crate) struct One;\n"),
        "src/store/planted/below.rs": SPDX + "use super::One;\npub(in crate::store) struct Two(One);\n",
    },
    {"keyringctl/src/commands/planted.rs": SPDX + "// Not compiled: no module.\nuse crate::server::Nothing;\n"},
]


@contextlib.contextmanager
def planted(tree, violation):
    """The tree with a violation in it, for a while."""
    before = {path: tree.text(path) if (tree.top / path).is_file() else None for path in violation}
    for path, text in violation.items():
        if isinstance(text, tuple) or text.startswith("+"):
            if before[path] is None or isinstance(text, tuple) and text[0] not in before[path]:
                sys.exit(f"rules: self-test: {path} is not what it was: plant the violation elsewhere")
            text = before[path].replace(*text) if isinstance(text, tuple) else before[path] + text[1:]
        (tree.top / path).parent.mkdir(parents=True, exist_ok=True)
        (tree.top / path).write_text(text, encoding="utf-8")
    yield Tree(tree.top, {*tree.files, *violation})
    for path, text in before.items():
        if text is None:
            (tree.top / path).unlink()
        else:
            (tree.top / path).write_text(text, encoding="utf-8")


def complaints(tree):
    """Yields what is wrong with the rules themselves."""
    with tempfile.TemporaryDirectory() as top:
        for path in tree.files:
            (Path(top) / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(tree.top / path, Path(top) / path)
        copy = Tree(Path(top).resolve(), tree.files)
        before = broken(copy)
        if before:
            yield "rules are broken before a violation is planted"

        def find(violation):
            with planted(copy, violation) as changed:
                after = broken(changed).items()
            new = {text: [f for f in findings if f not in before.get(text, [])] for text, findings in after}
            return {text: findings for text, findings in new.items() if findings}

        for harmless in HARMLESS:
            for text, findings in find(harmless).items():
                yield f"harmless, but it breaks the rule: {text}: {findings}"
        for text, _, violations in RULES:
            for violation in violations:
                found = find(violation)
                if not any(path in violation for path, _, _ in found.get(text, [])):
                    yield f"this rule does not find {sorted(violation)}: {text}"
                for other in found.keys() - {text}:
                    yield f"{sorted(violation)} breaks not only: {text}, but also: {other}: {found[other]}"


def self_test(tree):
    count = 0
    for complaint in complaints(tree):
        count += 1
        print(f"rules: self-test: {complaint}", file=sys.stderr)
    violations = sum(len(violations) for _, _, violations in RULES)
    print(f"rules: self-test: {violations} violations of {len(RULES)} rules planted, {count} complaints")
    return count


def check(tree):
    found = broken(tree)
    for note in NOTES:
        print(f"note: {note}")
    for text, findings in found.items():
        print(f"rule broken: {text}", file=sys.stderr)
        for path, line, what in findings:
            print(f"  {path}:{line}: {what}", file=sys.stderr)
    print(f"rules: {len(RULES) - len(found)} kept, {len(found)} broken")
    return len(found)


def main(args):
    directory = next((arg for arg in args if not arg.startswith("-")), Path(__file__).parent.parent)
    tree = Tree.of_git(Path(directory).resolve())
    failures = self_test(tree) if "--self-test" in args else check(tree)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
