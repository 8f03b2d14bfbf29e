#!/usr/bin/env python3
"""Checks of the tree that need no build: `make lint` runs all, CTest each as a test of its own (label lint).

    tests/lint/lint.py                      every check
    tests/lint/lint.py includes format      those alone
    tests/lint/lint.py --fix                formats the tree first
    tests/lint/lint.py --root DIR includes  on another tree (lint_test.py does so)

Prints `path:line: what is wrong and how to mend it`, and exits with 1, if anything is. Python's standard library only.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True  # nothing is left in the tree
import rules  # noqa: E402

CXX = (".cc", ".h", ".hpp", ".c")
HEADERS = (".h", ".hpp")
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')


class Tree:
    """The files of a checkout that git tracks, and new ones in its folders; without git, all but what is built."""

    def __init__(self, root):
        self.root = pathlib.Path(root).resolve()
        self.files = sorted(path for path in self._list() if (self.root / path).is_file())
        self._lines = {}

    def _list(self):
        tracked = self._git("--cached")
        if tracked is not None:
            return tracked + self._new(set(tracked))
        return [
            str(path.relative_to(self.root))
            for path in self.root.rglob("*")
            if not {"build", "target", ".git"} & set(path.relative_to(self.root).parts)
        ]

    def _git(self, *options):
        """What `git ls-files` lists; None if this is no checkout."""
        git = subprocess.run(["git", "-C", self.root, "ls-files", "-z", *options], capture_output=True, check=False)
        return [name for name in git.stdout.decode().split("\0") if name] if git.returncode == 0 else None

    def _new(self, tracked):
        """Files that nobody has added yet, in our folders; not what somebody keeps in the clone: `mayfly new` makes projects."""
        ours = {name.split("/")[0] for name in tracked if "/" in name}
        new = self._git("--others", "--exclude-standard") or []
        projects = [os.path.dirname(name) for name in new if os.path.basename(name) == "function.yaml"]
        return [name for name in new if name.split("/")[0] in ours and "/" in name and not within(os.path.dirname(name), projects)]

    def lines(self, path):
        """The file's lines; none for a file that is not text."""
        if path not in self._lines:
            data = (self.root / path).read_bytes()
            self._lines[path] = [] if b"\0" in data else data.decode("utf-8", "replace").splitlines()
        return self._lines[path]

    def of(self, *suffixes):
        return [path for path in self.files if path.endswith(suffixes)]


def is_test(path):
    return path.startswith("tests/") or re.search(r"(_test|_benchmark|_fuzzer|/fake_\w+|/testing/\w+)\.\w+$", path) is not None


def rows(path):
    """The rows of a table of folders that hold for `path`, the closest first."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[:depth]) for depth in range(len(parts), 0, -1)]


def within(folder, folders):
    return any(folder == allowed or folder.startswith(allowed + "/") for allowed in folders)


def folder_of_include(tree, target):
    """Which folder of ours an include names; None for a library of others."""
    if re.match(r"mayfly/v\d+/.*\.pb\.h$", target):
        return "proto"
    if re.match(r"mayfly/[\w./]+\.(h|hpp)$", target):
        return "sdk"
    folder = os.path.dirname(target)
    if folder.split("/")[0] in rules.INCLUDES and "/" in target:
        return folder
    return None


def check_includes(tree):
    """Who includes whom: rules.INCLUDES, LIBRARY_OWNERS and SLOW_HEADERS."""
    for path in tree.of(*CXX):
        own = [row for row in rows(path) if row in rules.INCLUDES]
        if not own:
            yield path, 1, "no row in tests/lint/rules.py says what this folder may include"
            continue
        allowed = {own[0]}
        for row in own:
            allowed.update(rules.INCLUDES[row])
        if is_test(path):
            allowed.update(rules.TEST_INCLUDES)
        for number, line in enumerate(tree.lines(path), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            target = match.group(2)
            if target.startswith(".") or "/../" in target:
                yield path, number, f'include "{target}" by its path from the top of the tree'
                continue
            folder = folder_of_include(tree, target)
            if folder is not None and not within(folder, allowed):
                yield path, number, f"{own[0]}/ must not include {target} (it may: {', '.join(sorted(allowed)) or 'nothing'})"
            beside = "/" not in target and match.group(1) == '"'
            if folder is None and beside and not within(os.path.dirname(path), rules.STANDALONE):
                yield path, number, f'include "{target}" by its path from the top of the tree'
            if is_test(path):
                continue
            for pattern, owners in rules.LIBRARY_OWNERS.items():
                if re.match(pattern, target) and not within(os.path.dirname(path), owners):
                    yield path, number, f"{target} is wrapped by {', '.join(owners)}: use that"
            if path.endswith(HEADERS):
                for pattern, owners in rules.SLOW_HEADERS.items():
                    if re.match(pattern, target) and not within(os.path.dirname(path), owners):
                        yield path, number, f"{target} is slow to compile: include it in .cc files only"


def check_headers(tree):
    """A header opens with what it is for, guards itself, and is what its .cc includes first (so it compiles alone)."""
    for path in tree.of(*HEADERS):
        lines = tree.lines(path)
        if not lines or not re.match(r"(//|/\*) ?\S", lines[0]):
            yield path, 1, "a header opens with a comment that says what it is for, and its threads"
        if not any(line.startswith("#pragma once") or re.match(r"#ifndef \w+_H(PP)?_$", line) for line in lines):
            yield path, 1, "no #pragma once"
        source = path.removesuffix(".h") + ".cc"
        if path.endswith(".h") and source in tree.files:
            includes = [(number, INCLUDE.match(line)) for number, line in enumerate(tree.lines(source), 1)]
            number, first = next(((number, match) for number, match in includes if match), (1, None))
            if first is None or first.group(2) not in (path, os.path.basename(path)):
                yield source, number, f"include {path} first: that shows that it compiles alone"


def check_length(tree):
    """No source file is longer than anyone reads."""
    for path in tree.of(*CXX, ".rs", ".py", ".cmake", ".proto", "CMakeLists.txt"):
        count = len(tree.lines(path))
        if count > rules.MAX_LINES:
            yield path, rules.MAX_LINES, f"{count} lines, more than {rules.MAX_LINES}: it does more than one thing; split it"


def check_todo(tree):
    """Work that is left has a number and a reason: TODO(#12): why."""
    for path in tree.files:
        if path.startswith("tests/lint/") or not path.endswith((*CXX, ".rs", ".py", ".cmake", ".txt", ".proto", ".sh")):
            continue
        for number, line in enumerate(tree.lines(path), 1):
            if re.search(r"\b(FIXME|XXX|HACK)\b", line) or re.search(r"\bTODO\b(?!\(#\d+\): \S+)", line):
                yield path, number, "do it, or write TODO(#ISSUE): why it waits"


def check_words(tree):
    """Nothing that only makes sense on one machine: rules.FORBIDDEN."""
    for path in tree.files:
        for number, line in enumerate(tree.lines(path), 1):
            for pattern, remedy in rules.FORBIDDEN.items():
                found = re.search(pattern, line)
                if found:
                    yield path, number, f"{found.group(0)!r} is {remedy}"


def check_whitespace(tree):
    """No tabs, trailing blanks or CRs in sources; a last line that ends."""
    for path in tree.files:
        data = (tree.root / path).read_bytes()
        if not data or b"\0" in data or path.startswith("tests/fuzz/corpus/"):
            continue
        if not data.endswith(b"\n"):
            yield path, data.count(b"\n") + 1, "the last line does not end with a line break"
        for number, line in enumerate(data.split(b"\n"), 1):
            if line.endswith(b"\r"):
                yield path, number, "CRLF line break"
            elif line.endswith((b" ", b"\t")):
                yield path, number, "blanks at the end of the line"
            elif line.startswith(b"\t") and path.endswith((*CXX, ".py", ".rs", ".cmake", ".txt")):
                yield path, number, "a tab; this tree is indented with blanks"


def sorted_runs(tree):
    """Lists that people would otherwise sort by hand: (path, first line's number, entries)."""
    for path in tree.files:
        if path.startswith("tests/lint/"):
            continue
        lines = tree.lines(path)
        begin = None
        for number, line in enumerate(lines, 1):
            if "keep-sorted start" in line:
                begin = number
            elif "keep-sorted end" in line and begin is not None:
                yield path, begin + 1, [entry.strip() for entry in lines[begin : number - 1]]
                begin = None
        if path == "scripts/apt-packages.txt":
            run, start = [], 1
            for number, line in enumerate([*lines, "["], 1):
                if line.startswith(("[", "#")):
                    yield path, start, run
                    run, start = [], number + 1
                elif line.strip():
                    run.append(line.split()[0])
        if path.endswith("CMakeLists.txt"):
            text = "\n".join(lines)
            for match in re.finditer(r"\bSOURCES\s+([^)]*?)(?=\s+[A-Z_]{4,}\b|\s*\))", text):
                yield path, text.count("\n", 0, match.start()) + 1, match.group(1).split()


def check_sorted(tree):
    """SOURCES of CMake targets, package lists, and what stands between `keep-sorted start` and `end`."""
    for path, number, entries in sorted_runs(tree):
        for before, after in zip(entries, entries[1:]):
            if before > after:
                yield path, number, f"{after!r} belongs before {before!r}: this list is sorted"
                break


def check_links(tree):
    """A relative link in a document leads somewhere."""
    for path in tree.of(".md"):
        for number, line in enumerate(tree.lines(path), 1):
            for target in re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", line):
                if re.match(r"[a-z]+:", target):
                    continue
                if not (tree.root / path).parent.joinpath(target).exists():
                    yield path, number, f"the link to {target} leads nowhere"


def check_promises(tree):
    """A test that docs/reliability.md names exists."""
    page = "docs/reliability.md"
    if page not in tree.files:
        return
    tests = set()
    for path in tree.of("_test.cc"):
        text = "\n".join(tree.lines(path))
        for suite, case in re.findall(r"\b(?:TYPED_)?(?:RC_GTEST_(?:FIXTURE_)?PROP|TEST(?:_F|_P)?)\(\s*(\w+),\s*(\w+)", text):
            tests.add(f"{suite}.{case}")
    for number, line in enumerate(tree.lines(page), 1):
        for name in re.findall(r"`([A-Z]\w+\.[A-Z]\w+)`", line):
            if name not in tests:
                yield page, number, f"there is no test {name}"


def check_format(tree, fix=False):
    """clang-format 19 leaves the tree as it is."""
    tool = shutil.which("clang-format-19")
    if tool is None:
        yield "scripts/apt-packages.txt", 1, "clang-format-19 is not installed: scripts/install-packages test"
        return
    sources = tree.of(*CXX)
    if not sources:
        return
    arguments = ["-i"] if fix else ["--dry-run", "--Werror"]
    run = subprocess.run([tool, "--style=file", *arguments, *sources], cwd=tree.root, capture_output=True, text=True, check=False)
    seen = set()
    for match in re.finditer(r"^(.*?):(\d+):\d+: error: code should be clang-formatted", run.stderr, re.M):
        if match.group(1) not in seen:
            seen.add(match.group(1))
            yield match.group(1), int(match.group(2)), "not formatted: make format"
    if run.returncode and not seen:
        yield "(clang-format)", 1, run.stderr.strip()[:500]


CHECKS = {
    "format": check_format,
    "headers": check_headers,
    "includes": check_includes,
    "length": check_length,
    "links": check_links,
    "promises": check_promises,
    "sorted": check_sorted,
    "todo": check_todo,
    "whitespace": check_whitespace,
    "words": check_words,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=", ".join(CHECKS))
    parser.add_argument("--root", default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("--fix", action="store_true", help="format first")
    options = parser.parse_args()
    unknown = sorted(set(options.checks) - set(CHECKS))
    if unknown:
        parser.error(f"no such check: {', '.join(unknown)}; there are {', '.join(CHECKS)}")

    tree = Tree(options.root)
    if options.fix:
        for path, number, problem in check_format(tree, fix=True):
            print(f"{path}:{number}: {problem}")
    found = 0
    for name in options.checks or CHECKS:
        for path, number, problem in CHECKS[name](tree):
            print(f"{path}:{number}: {problem} [{name}]")
            found += 1
    if found:
        print(f"lint: {found} to mend in {len(tree.files)} files")
    else:
        print(f"lint: {len(tree.files)} files, nothing to mend")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
