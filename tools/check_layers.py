#!/usr/bin/env python3
"""Check the layering of src/ on its #include graph, and a few rules of the tree.

Each folder may include only the folders named here (and itself); `program/` knows no graph, `kernels/`
knows nothing but itself, the command, the examples and the Python module see the public header alone.
A page that lists tests lists them all.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

MAY_INCLUDE = {
    "base": set(),
    "kernels": set(),
    "runtime": {"base"},
    "io": {"base"},
    "ir": {"base", "ops"},  # graph.c asks the operator table; op.h is data that sits with the graph
    "ops": {"base", "ir", "kernels", "lower"},  # blocks name their lowering
    "passes": {"base", "ir", "ops"},
    "targets": {"base"},
    "compress": {"base", "ir", "ops", "runtime", "targets"},
    "program": {"base", "kernels", "runtime"},
    "lower": {"base", "compress", "ir", "ops", "program"},
}
# Files of src/ itself stand above every folder: api, build, compile, ctx, info, model, run.
ONLY_PUBLIC = ["cli", "examples", "python"]
# Pages with a table of tests, and the folder whose test files it holds.
LISTS = {"docs/testing.md": "tests", "docs/adding-a-kernel.md": "tests/kernels"}
ALLOC = re.compile(r"(?<![\w.>])(malloc|calloc|realloc|free|strdup|posix_memalign|aligned_alloc|qsort)\s*\(")
LOUD = re.compile(r"(?<!\w)(printf|puts|putchar|perror|abort|exit|_exit|getenv|fprintf)\s*\(")

problems = []


def includes(path):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        m = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if m:
            yield number, m.group(1)


def code_without_comments(path):
    text = path.read_text()
    text = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m.group()), text, flags=re.S)
    return re.sub(r'"(\\.|[^"\\\n])*"', '""', text)


def sources(folder):
    return sorted(p for p in (ROOT / folder).rglob("*") if p.suffix in (".c", ".h", ".def"))


for path in sources("src"):
    relative = path.relative_to(ROOT / "src")
    layer = relative.parts[0] if len(relative.parts) > 1 else None
    for number, target in includes(path):
        if target in ("aneforge.h", "aneforge_ops.h") or layer is None:
            if layer == "kernels":
                problems.append(f"{path}:{number}: kernels/ may not include {target}")
            continue
        if "/" not in target:
            problems.append(f"{path}:{number}: include {target} by its path from src/")
            continue
        to = target.split("/")[0]
        if to != layer and to not in MAY_INCLUDE[layer]:
            problems.append(f"{path}:{number}: {layer}/ may not include {target}")
    code = code_without_comments(path)
    for number, line in enumerate(code.splitlines(), 1):
        if ALLOC.search(line) and str(relative) != "base/alloc.c":
            problems.append(f"{path}:{number}: memory comes from base/alloc.h only")
        if LOUD.search(line):
            problems.append(f"{path}:{number}: the library never prints, exits or reads the environment")

for folder in ONLY_PUBLIC:
    for path in sources(folder):
        for number, target in includes(path):
            if target.startswith("../src") or (ROOT / "src" / target).exists():
                problems.append(f"{path}:{number}: {folder}/ sees the public header only")

seen = {}
for folder in ("src", "cli", "tests", "bench", "tools", "fuzz", "examples", "python"):
    for path in sources(folder):
        if path.name in seen:
            problems.append(f"{path}: another file is called {path.name}: {seen[path.name]}")
        seen[path.name] = path
        lines = path.read_text().splitlines()
        if len(lines) > 800:
            problems.append(f"{path}: {len(lines)} lines; past 800 something wants to move")
        for number, line in enumerate(lines, 1):
            if len(line) > 100:
                problems.append(f"{path}:{number}: {len(line)} columns; 100 are what a line may have")

for page, folder in LISTS.items():
    text = (ROOT / page).read_text()
    for path in sorted((ROOT / folder).rglob("test_*")):
        if path.suffix in (".c", ".py") and not re.search(rf"(?<!\w){re.escape(path.name)}", text):
            problems.append(f"{ROOT / page}: {path.relative_to(ROOT)} is missing")

for problem in problems:
    print(problem.replace(str(ROOT) + "/", ""))
if problems:
    sys.exit(1)
print(f"layers: {len(seen)} files, no violation")
