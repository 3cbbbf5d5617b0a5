#!/usr/bin/env python3
"""Every message the library can fail with stands, in full, in some test.

Collects the format strings of FAIL(...), status_fail(...) and of the local helpers that forward to
them in src/, and of the exceptions of the Python module in python/, and looks for a string in tests/
(C and Python literals, golden files, expected outputs) that the format can print.  ANF_E_INTERNAL
(our own mistakes) and ANF_E_NOMEM (reached by the allocation sweep) are left out, and UNREACHABLE
lists what no test can provoke.  Prints what is missing and exits 1.
"""
import ast
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LITERAL = r'"(?:\\.|[^"\\\n])*"'
# A run of adjacent literals, with PRI macros between them.
TEXT = rf'(?:{LITERAL}|PRI[diuxX]\d+|\s|\\\n)+'
# Literals of a C file; characters and comments are matched so that quotes in them do not count.
TOKEN = re.compile(rf"({LITERAL}(?:\s*{LITERAL})*)|'(?:\\.|[^'\\\n])+'|/\*.*?\*/|//[^\n]*", re.S)
CALL = re.compile(rf'\b(FAIL|status_fail|fail_instr|parse_fail|fail_at|bad|PyErr_Format|PyErr_SetString)\s*\(((?:[^"();]|\([^()"]*\))*?),?\s*({TEXT})')
SPEC = re.compile(r"%[-+ #0]*(?:\*|\d+)?(?:\.(?:\*|\d+))?(?:hh|h|ll|l|z|t|j)?[diuoxXeEfgGcspRS%]")
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}

# Helpers put these in front of a message; tests of the helper's callers leave them out.
PREFIXES = ("program: instruction %td (%s): ", "%s: ")

# Messages no test can reach, with the reason.
UNREACHABLE = {
    "more than %d arrays in one file": "2^31 entries",
    "graph: more than %u nodes": "2^32 nodes",
    "%s: changed while it was read: it had %zu bytes": "a race with another process",
    "%s: cannot map: %s": "the system refuses to map a file that it opened",
    "threads: the system started %zu of %zu worker threads": "the system is out of threads",
    "header is not JSON at byte %d: %s": "ends in the JSON library's own words; its beginning is tested",
}


def decode(run):
    """The text of adjacent C literals; PRI macros become the d of a %d."""

    def escape(m):
        e = m.group(1)
        if e[0] == "x":
            return chr(int(e[1:], 16))
        return ESCAPES.get(e, e)

    out = ""
    for part in re.findall(rf"{LITERAL}|PRI[diuxX]\d+", run):
        if part.startswith("PRI"):
            out += "d"
        else:
            out += re.sub(r"\\(x[0-9a-fA-F]{1,2}|.)", escape, part[1:-1])
    return out


def to_pattern(fmt):
    """What the format can print, and the longest piece of it that stands there word for word."""
    for prefix in PREFIXES:
        if fmt.startswith(prefix) and len(fmt) > len(prefix) + 2:
            fmt = fmt[len(prefix) :]
            break
    pattern, at, fixed = "", 0, [""]
    for m in SPEC.finditer(fmt):
        pattern += re.escape(fmt[at : m.start()])
        fixed[-1] += fmt[at : m.start()]
        if m.group() == "%%":
            pattern += "%"
            fixed[-1] += "%"
        else:
            pattern += ".*?"
            fixed.append("")
        at = m.end()
    fixed[-1] += fmt[at:]
    return re.compile(pattern + re.escape(fmt[at:]), re.S), max(fixed, key=len)


def is_pinned(fmt, pieces):
    pattern, fixed = to_pattern(fmt)
    return any(fixed in piece and pattern.search(piece) for piece in pieces)


def messages():
    for path in sorted([*(ROOT / "src").rglob("*.c"), *(ROOT / "python").glob("*.c")]):
        text = path.read_text()
        text = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m.group()), text, flags=re.S)
        for m in CALL.finditer(text):
            name, before, run = m.groups()
            if "NOMEM" in before or "INTERNAL" in before:
                continue
            fmt = decode(run)
            line = text.count("\n", 0, m.start()) + 1
            yield path.relative_to(ROOT), line, fmt


def python_texts(source):
    """String literals, with a question mark for what an f-string fills in."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "?" for part in node.values)


def test_texts():
    """All texts of the tests; C literals that stand next to each other are one.  A comment may quote the
    whole of a message of which a test can compare only the beginning."""
    pieces = []
    for path in sorted((ROOT / "tests").rglob("*")):
        if path.suffix in (".c", ".h"):
            for m in TOKEN.finditer(path.read_text()):
                if m.group().startswith("/"):
                    pieces += [decode(text) for text in re.findall(LITERAL, m.group())]
                elif m.group(1):
                    pieces.append(decode(m.group(1)))
        elif path.suffix == ".py" and path.parent.name == "python":
            pieces += python_texts(path.read_text())
        elif path.suffix in (".graph", ".out", ".txt", ".golden"):
            pieces += path.read_text(errors="replace").splitlines()
    return sorted(set(pieces))


def main():
    pieces = test_texts()
    missing, unused = [], set(UNREACHABLE)
    total = 0
    for path, line, fmt in messages():
        total += 1
        if fmt in UNREACHABLE:
            unused.discard(fmt)
        elif not is_pinned(fmt, pieces):
            missing.append(f"{path}:{line}: no test expects: {fmt}")
    missing += [f"tools/check_messages.py: no such message: {fmt}" for fmt in sorted(unused)]
    print("".join(line + "\n" for line in missing), end="")
    print(f"messages: {total} in src/ and python/, {len(UNREACHABLE)} cannot be reached, {len(missing)} problems")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
