#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads which file of a Rust package imports which: modules, `use` trees and paths in the code.

An import leads to the file that defines the item, also through re-exports. A path that names a module
counts as soon as something in that module is named through it; declaring `mod child;` is no import.
Comments, strings and everything under `#[cfg(test)]` are left out. What a macro generates is not seen."""

import bisect
import os.path
import re
from pathlib import Path

_LEXEME = re.compile(
    r"""//[^\n]*
      | (?P<block>/\*)
      | (?P<string>\b[bc]?r(?P<hash>\#*)".*?"(?P=hash) | (?:\b[bc])?"(?:\\.|[^"\\])*")
      | (?:\bb)?'(?:\\(?:u\{[^}]*\}|x..|.)|[^'\\\n])'
      | \br\#(?=[A-Za-z_])""",
    re.X | re.S,
)
_TEST = re.compile(r"#\s*\[\s*cfg\s*\(\s*(?:test\b|all\s*\(\s*test\b)[^\]]*\]")
_ATTRIBUTE = re.compile(r"\s*#\s*\[")
_ENDS_IN_SEMICOLON = re.compile(
    r"\s*(?:pub\s*(?:\([^)]*\))?\s*)?"
    r"(?:use|static|type|let|extern\s+crate|const(?!\s+(?:unsafe\s+|extern\b.*?)*fn\b))\b"
)
_PATH = re.compile(r"(?<![\w:.'])(?:\$\s*)?[A-Za-z_]\w*(?:\s*::\s*[A-Za-z_]\w*)+")
_USE = re.compile(r"\b(?:pub\s*(?:\([^)]*\))?\s*)?use\s+(?P<tree>[^;]+);")
_MOD = re.compile(r"\bmod\s+(?P<name>\w+)\s*(?P<end>[;{])")
_ITEM = re.compile(r"\b(?:fn|struct|enum|union|trait|type|const|static|macro_rules\s*!)\s+(?:mut\s+)?(?P<name>\w+)")
_PATH_ATTRIBUTE = re.compile(r'#\s*\[\s*path\s*=\s*"(?P<path>[^"]*)"\s*\]')
_VISIBILITY = re.compile(r"\bpub\s*\(\s*in\b[^)]*\)")
_CLOSERS = {"(": ")", "[": "]", "{": "}"}


def _spaces(text):
    return "".join(c if c == "\n" else " " for c in text)


def blank(text):
    """`text` with comments, and what is inside strings, as spaces: every offset and line stays."""
    out, at = [], 0
    while match := _LEXEME.search(text, at):
        out.append(text[at : match.start()])
        end, lexeme = match.end(), match.group()
        if match["block"]:
            depth = 1
            while depth and (edge := re.compile(r"/\*|\*/").search(text, end)):
                depth += 1 if edge.group() == "/*" else -1
                end = edge.end()
            lexeme = text[match.start() : end]
        if match["string"]:
            first = lexeme.index('"')
            last = lexeme.rindex('"')
            out += [_spaces(lexeme[:first]), '"', _spaces(lexeme[first + 1 : last]), '"', _spaces(lexeme[last + 1 :])]
        else:
            out.append(_spaces(lexeme))
        at = end
    return "".join(out) + text[at:]


def closing(text, at):
    """The offset behind the bracket that closes the one at `at`."""
    stack = []
    for i in range(at, len(text)):
        c = text[i]
        if c in _CLOSERS:
            stack.append(_CLOSERS[c])
        elif stack and c == stack[-1]:
            stack.pop()
            if not stack:
                return i + 1
    return len(text)


def _item_end(text, at):
    """The offset behind the item (or field, variant, arm) that begins at `at`, behind its attributes."""
    while match := _ATTRIBUTE.match(text, at):
        at = closing(text, match.end() - 1)
    semicolon_only = _ENDS_IN_SEMICOLON.match(text, at)
    while at < len(text):
        c = text[at]
        if c == ";" or c == "," and not semicolon_only:
            return at + 1
        if c in ")]}":
            return at
        if c in _CLOSERS:
            at = closing(text, at)
            if c == "{" and not semicolon_only:
                return at
        else:
            at += 1
    return at


def without_tests(code):
    """Blanked code with everything under `#[cfg(test)]` as spaces too."""
    at = 0
    while match := _TEST.search(code, at):
        end = _item_end(code, match.end())
        code = code[: match.start()] + _spaces(code[match.start() : end]) + code[end:]
        at = end
    return code


def use_paths(tree):
    """The paths of a `use` tree: (segments, name that it is bound to); the name is `*` for a glob."""
    tree = tree.strip()
    brace = tree.find("{")
    if brace < 0:
        path, _, alias = (part.strip() for part in re.sub(r"\s+as\s+", "\0", tree).partition("\0"))
        segments = [s.strip() for s in path.split("::")]
        if segments[-1] == "self" and len(segments) > 1:
            segments.pop()
        return [(segments, alias or segments[-1])]
    prefix = [s.strip() for s in tree[:brace].split("::") if s.strip()]
    inner, parts, depth, start = tree[brace + 1 : tree.rindex("}")], [], 0, 0
    for i, c in enumerate(inner + ","):
        depth += (c == "{") - (c == "}")
        if c == "," and depth == 0:
            parts.append((inner + ",")[start:i])
            start = i + 1
    paths = []
    for part in parts:
        for segments, name in use_paths(part) if part.strip() else []:
            if segments == ["self"]:
                segments, name = [], prefix[-1] if name == "self" else name
            paths.append((prefix + segments, name))
    return paths


class Block:
    """The items, imports and modules of a file, or of an inline `mod name { .. }` in it."""

    def __init__(self):
        self.items = set()
        self.uses, self.paths = [], []  # (line, segments, name bound), (line, segments)
        self.files, self.inline = {}, {}  # its modules: name to #[path] or None, name to Block


class Source:
    """One source file, read."""

    def __init__(self, raw):
        self.code = blank(raw)
        self.product = _VISIBILITY.sub(lambda m: _spaces(m.group()), without_tests(self.code))
        self.is_test = bool(re.search(r"#!\s*\[\s*cfg\s*\(\s*test\s*\)", self.code))
        self._lines = [m.start() for m in re.finditer("\n", raw)]
        self._edges = [m.start() for m in re.finditer("[{}]", self.product)]
        self._depths = []
        for at in self._edges:
            last = self._depths[-1] if self._depths else 0
            self._depths.append(last + (1 if self.product[at] == "{" else -1))
        if self._depths and self._depths[-1] != 0:
            raise ValueError("its braces do not match")
        self.block = Block() if self.is_test else self._block(raw, 0, len(raw))

    def line(self, offset):
        return bisect.bisect_left(self._lines, offset) + 1

    def depth(self, offset):
        """How many braces are open at the offset."""
        i = bisect.bisect_left(self._edges, offset)
        return self._depths[i - 1] if i else 0

    def _block(self, raw, start, end):
        block, level, code = Block(), self.depth(start), self.product[:end]
        at = start
        while match := _MOD.search(code, at):
            at = match.end()
            if self.depth(match.start()) != level:
                continue
            if match["end"] == ";":
                block.files[match["name"]] = path_attribute(raw[: match.start()])
            else:
                at = closing(code, match.end() - 1)
                block.inline[match["name"]] = self._block(raw, match.end(), at - 1)
                code = code[: match.end()] + _spaces(code[match.end() : at]) + code[at:]
        for match in _ITEM.finditer(code, start):
            if self.depth(match.start()) == level:
                block.items.add(match["name"])
        rest, at = [], start
        for match in _USE.finditer(code, start):
            line = self.line(match.start())
            block.uses += [(line, segments, name) for segments, name in use_paths(match["tree"])]
            rest += [code[at : match.start()], _spaces(match.group())]
            at = match.end()
        for match in _PATH.finditer("".join(rest) + code[at:]):
            segments = re.split(r"\s*::\s*", re.sub(r"^\$\s*", "", match.group()))
            block.paths.append((self.line(start + match.start()), segments))
        return block


def path_attribute(before):
    """The file of a `#[path = ".."]` among the attributes at the end of the text before a `mod`, or None."""
    last = None
    for last in _PATH_ATTRIBUTE.finditer(before):
        pass
    if last and re.fullmatch(r"(?:\s|pub\b|\([^)]*\)|#\[[^\]]*\])*", before[last.end() :]):
        return last["path"]
    return None


class Sources:
    """The source files below a directory. What was read once is not read again."""

    _read = {}

    def __init__(self, top):
        self.top = Path(top)

    def source(self, path):
        raw = (self.top / path).read_text(encoding="utf-8")
        if raw not in self._read:
            try:
                self._read[raw] = Source(raw)
            except ValueError as error:
                raise ValueError(f"{path}: {error}") from error
        return self._read[raw]

    def exists(self, path):
        return (self.top / path).is_file()


class Module:
    """A module where it is: a block of a file, with the modules around it."""

    def __init__(self, file, block, parent):
        self.file, self.parent, self.root = file, parent, parent.root if parent else self
        self.items, self.children = block.items, {}
        self.bindings, self.globs = {}, []  # name to the paths that `use` binds to it; paths of `use ..::*`
        for _, segments, name in block.uses:
            if name == "*":
                self.globs.append(segments[:-1])
            else:
                self.bindings.setdefault(name, []).append(segments)
        self.uses, self.paths = block.uses, block.paths


class Crates:
    """Crates that see one another by name. `roots` has a pair for each: its name, or None where no other crate
    can import it, and its first file."""

    def __init__(self, sources, roots):
        self.sources = sources
        self.files = {}  # file: its modules
        self.named = {}
        for name, file in roots:
            root = self._add(file, sources.source(file).block, None, str(Path(file).parent))
            if name:
                self.named[name] = root

    def _add(self, file, block, parent, folder):
        """A module whose children are files in `folder`."""
        module = Module(file, block, parent)
        self.files.setdefault(file, []).append(module)
        for name, below in block.inline.items():
            module.children[name] = self._add(file, below, module, f"{folder}/{name}")
        for name, path in block.files.items():
            if path:
                # Such a file looks for its children beside it, as mod.rs does.
                child = os.path.normpath(f"{Path(file).parent}/{path}")
                found = [(child, str(Path(child).parent))]
            else:
                found = [(f"{folder}/{name}{end}", f"{folder}/{name}") for end in (".rs", "/mod.rs")]
            for child, below in found:
                if self.sources.exists(child):
                    module.children[name] = self._add(child, self.sources.source(child).block, module, below)
        return module

    def _start(self, module, segments, seen):
        """Where a path begins: (module, segments left), or None when it does not begin in these crates."""
        first = segments[0]
        if first == "crate":
            return module.root, segments[1:]
        if first == "self":
            return module, segments[1:]
        if first == "super":
            while segments and segments[0] == "super":
                module, segments = module.parent or module, segments[1:]
            return module, segments
        is_bound = first in module.bindings and (id(module), first) not in seen
        if first in module.children or first in module.items or is_bound:
            return module, segments
        if first in self.named:
            return self.named[first], segments[1:]
        return None

    def _walk(self, module, segments, seen):
        """The modules in which a path ends, each with whether it names an item there (or the module itself)."""
        if not segments:
            return {(module, False)}
        name, rest = segments[0], segments[1:]
        if name == "*":
            return {(module, True)}
        if (id(module), name) in seen:
            return set()
        seen = seen | {(id(module), name)}
        found = set()
        if name in module.items:
            found.add((module, True))
        if name in module.children and (rest or not found):
            found |= self._walk(module.children[name], rest, seen)
        for target in module.bindings.get(name, []):
            if begin := self._start(module, target, seen):
                found |= self._walk(begin[0], begin[1] + rest, seen)
        if not found:
            for target in module.globs:
                if begin := self._start(module, target, seen):
                    found |= self._walk(begin[0], begin[1] + segments, seen)
        return found

    def imports(self):
        """All imports: (file, line, target file, path as it stands)."""
        out = []
        for file, modules in self.files.items():
            for module in modules:
                used = {segments[0] for _, segments in module.paths}
                for line, segments, name in module.uses + [(*path, None) for path in module.paths]:
                    begin = self._start(module, segments, {(id(module), name)} if name else set())
                    if begin is None:
                        continue
                    ends = self._walk(*begin, frozenset())
                    for end, is_item in ends or {(begin[0], True)}:
                        if end.file != file and (is_item or name not in used):
                            out.append((file, line, end.file, "::".join(segments)))
        return out


def circles(targets):
    """The sets of files that import one another in a circle, each sorted. `targets`: file to the files it imports."""
    rest = dict(targets)
    while leaves := [file for file, others in rest.items() if not others & rest.keys()]:
        for leaf in leaves:
            del rest[leaf]

    def reached_from(file):
        seen, todo = set(), [file]
        while todo:
            new = (rest[todo.pop()] & rest.keys()) - seen
            seen |= new
            todo += new
        return seen

    reached = {file: reached_from(file) for file in rest}
    found = {frozenset(other for other in reached[file] if file in reached[other]) for file in rest}
    return sorted(sorted(circle) for circle in found if circle)
