"""Write docs/benchmarks.md and its picture from the files in benchmarks/results.

    python benchmarks/page.py

The page says nothing that no file says: what was not measured is called that. A test compares the page with
what this makes of the committed results.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import quality_aims
from bars import bars
from cells import Line, read_lines, table_of
from page_aims import AIMS, SOURCES, Aim, Record, Source
from page_tables import NOT_MEASURED, TABLES, Table, markdown, shortened
from shortfalls import shortfalls

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "benchmarks.md"
PICTURE = ROOT / "docs" / "images" / "benchmarks.svg"
QUALITY = ("tasks-", "quality")  # the stores of benchmarks/cells.py
INTRODUCTION = """# Benchmarks

Made by `benchmarks/page.py` from [benchmarks/results](../benchmarks/results); do not edit it by hand. How
each number is measured is in [benchmarks/README.md](../benchmarks/README.md). Everybody's result is
checked before anybody is timed, all take turns on one machine, and a ratio is taken within a round. Ours
is compared with the others at their best, and where it falls short of an aim, the table says *missed*.
What no file holds is *not measured*, and a commit that ends in + had changed files. "x best" is speed over
that of the best of the others; "share of products" that of the machine's rate of matrix products which goes
into operations that the work cannot do without."""

QUALITY_INTRODUCTION = (
    "In percent; mean and sample standard deviation over the seeds. An aim is a figure that was set "
    "beforehand, or the mean of another contestant on the same rows, sometimes with something added. Where "
    "ours is behind, and what was not run, and why, stands below the table of each area."
)


def build(results: Path) -> tuple[str, str]:
    """Return the page and the picture that a folder of results gives."""
    records = {
        source.file: json.loads((results / source.file).read_text("utf-8"))
        for source in SOURCES
        if (results / source.file).is_file()
    }
    stores = {
        path.stem: read_lines(path)
        for path in sorted(results.glob("*.jsonl"))
        if path.name.startswith(QUALITY)
    }
    parts = [INTRODUCTION, "## How fast, and in how much memory", markdown(summary(records))]
    parts.append(f"![How many times faster ours is](images/{PICTURE.name})")
    parts += ["## How good", QUALITY_INTRODUCTION, markdown(quality_aims.table(stores))]
    for source in SOURCES:
        parts += section(source, records.get(source.file))
    for store, lines in stores.items():
        parts += quality(store, lines)
    return "\n\n".join(parts) + "\n", picture(records)


def summary(records: Mapping[str, Record]) -> Table:
    """Return one row for each aim."""
    rows = [["what", "against", "aim", "measured", ""]]
    for aim in AIMS:
        value = measured(aim, records)
        verdict = "" if value is None else "met" if aim.met(value) else "missed"
        wanted = f"{'at most' if aim.at_most else 'at least'} {spelled(aim, aim.wanted)}"
        shown = NOT_MEASURED if value is None else spelled(aim, value) + aside(aim, records)
        rows.append([aim.what, aim.against, wanted, shown, verdict])
    return rows


def measured(aim: Aim, records: Mapping[str, Record]) -> float | None:
    """Return the number of an aim, or None where no file holds it."""
    return aim.find(records[aim.file]) if aim.file in records else None


def spelled(aim: Aim, value: float) -> str:
    """Write a number in the unit of its aim."""
    return f"{value:.0%}" if aim.unit == "share" else f"{value:.2f} x"


def aside(aim: Aim, records: Mapping[str, Record]) -> str:
    """Write the other number of an aim that has one, in brackets."""
    value = aim.beside(records[aim.file]) if aim.beside else None
    return "" if value is None else f" ({aim.what_is} {spelled(aim, value)})"


def picture(records: Mapping[str, Record]) -> str:
    """Draw the aims that compare speeds, those that were measured."""
    found = [(aim, measured(aim, records)) for aim in AIMS if aim.unit == "times"]
    rows = [(f"{aim.what}, {aim.against}", value) for aim, value in found if value is not None]
    note = "speed of minibert over that of the others, within one run; longer is better"
    return bars("How many times faster ours is", rows, note)


def section(source: Source, record: Record | None) -> list[str]:
    """Return the paragraphs of one file."""
    heading, command = f"## {source.title}", f"`{source.command}`"
    if record is None:
        return [heading, f"{command}: {NOT_MEASURED}."]
    facts = record["machine"]
    named = [f"{name} {facts[name]}" for name in ("torch", "transformers") if facts.get(name)]
    device = facts.get("gpu") or facts.get("device") or facts.get("processor")
    features = facts.get("features") or []
    parts = [
        f"{device}" + (f" ({', '.join(features)})" if features else ""),
        *([f"{facts['cores']} cores"] if facts.get("cores") else []),
        *named,
        f"commit {shortened(facts.get('commit') or record.get('commit'))}",
    ]
    where = f"[{source.file}](../benchmarks/results/{source.file})"
    return [heading, f"{command}; {', '.join(parts)}; {where}.", *TABLES[record["benchmark"]](record)]


def quality(store: str, lines: list[Line]) -> list[str]:
    """Return the paragraphs of one store of cells: the tasks of an area, a line for each contestant."""
    area = store.removeprefix("tasks-")
    script = "quality.py" if area == "quality" else f"tasks.py {area}"
    commits = sorted({shortened(line["machine"]["commit"]) for line in lines})
    processors = sorted({line["machine"]["processor"] for line in lines})
    where = f"[{store}.jsonl](../benchmarks/results/{store}.jsonl)"
    return [
        f"## Quality: {area}",
        f"`python benchmarks/{script}`; {', '.join(processors)}; commits {', '.join(commits)}; {where}. "
        "Mean and sample standard deviation over seeds; what lies between 0 and 1 in percent. The minutes "
        "of a run were taken beside other work and compare nothing.",
        markdown(table_of(lines)),
        *shortfalls(store, lines),
    ]


def main() -> None:
    """Write the page and its picture."""
    page, drawn = build(RESULTS)
    PAGE.write_text(page, encoding="utf-8")
    PICTURE.write_text(drawn, encoding="utf-8")


if __name__ == "__main__":
    main()
