"""Put what was measured into docs/performance.md.

    python3 bench/update_docs.py build/bench-results build/bench-results-avx2

A folder holds results.json of compare.py, scaling.json of scaling.py, or both.  Each goes between
the two comments that carry its name, `<!-- begin compare -->` and `<!-- end compare -->`: `compare`
for the best kernel set, `compare-avx2` and its like for others, `scaling`.  Plots are copied into
docs/images.
The text around is written by hand, and is to be read again after a run.
"""
import json
import shutil
import sys
import textwrap
from pathlib import Path

import scaling
from report import summary_markdown

DOCS = Path(__file__).resolve().parent.parent / "docs"
WIDTH = 110


def wrapped(markdown):
    """Paragraphs filled; tables as they are."""
    return "\n".join(line if line.startswith("|") else textwrap.fill(line.replace("  ", " "), WIDTH)
                     for line in markdown.strip().splitlines())


def replace(page, name, text):
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    if page.count(begin) != 1 or page.count(end) != 1:
        sys.exit(f"docs/performance.md needs one '{begin}' and one '{end}'")
    head, tail = page.split(begin)[0], page.split(end)[1]
    return f"{head}{begin}\n{text}\n{end}{tail}"


def image(source, name):
    (DOCS / "images").mkdir(exist_ok=True)
    shutil.copyfile(source, DOCS / "images" / name)
    return f"images/{name}"


def comparison(folder):
    results = json.loads(Path(folder, "results.json").read_text())
    name = "compare" if results["isa"] == "-" else f"compare-{results['isa']}"
    text = wrapped(summary_markdown(results))
    drawn = Path(folder, "compare.png")
    if drawn.exists():
        text += f"\n\n![time over that of the fastest peer]({image(drawn, name + '.png')})"
    return name, text


def growth(folder):
    kept = {r["name"]: r for r in json.loads(Path(folder, "scaling.json").read_text())}
    text = wrapped(scaling.table([kept[name] for name in scaling.SERIES if name in kept]))
    for group in scaling.GROUPS:
        drawn = Path(folder, f"scaling_{group}.png")
        if drawn.exists():
            text += f"\n\n![growth of {group}]({image(drawn, drawn.name)})"
    return "scaling", text


def main(argv):
    page = (DOCS / "performance.md").read_text()
    done = []
    for folder in argv[1:]:
        for file, make in (("results.json", comparison), ("scaling.json", growth)):
            if Path(folder, file).exists():
                name, text = make(folder)
                page = replace(page, name, text)
                done.append(name)
    if not done:
        sys.exit("usage: update_docs.py FOLDER...   folders of results.json or scaling.json")
    (DOCS / "performance.md").write_text(page)
    print(f"docs/performance.md: {', '.join(done)}")


if __name__ == "__main__":
    main(sys.argv)
