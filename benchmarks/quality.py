"""How well real weights are fine-tuned: minibert beside transformers' Trainer, cell by cell.

    python benchmarks/quality.py                                       every cell that is not done yet
    python benchmarks/quality.py --row sst2 --contestant recommended --seeds 1
    python benchmarks/quality.py --show                                run nothing, print the table

The cells are those of `quality_cells`. Their lines are added to results/quality.jsonl as they come, and a
cell that is there is not run again; `page.py` makes the table of docs/benchmarks.md from them.
"""

import argparse
import json
import tempfile
from pathlib import Path

from cells import Places, read_lines, run_cells, table_of
from page_tables import markdown
from quality_cells import cells
from sentences import SHARED, minilm

from minibert.allocator import keep_freed_memory

STORE = Path(__file__).resolve().parent / "results" / "quality.jsonl"


def main() -> None:
    """Read the command line, run what is asked for, print the table and one line of JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--row", action="append", help="only this data set; may be given again")
    parser.add_argument("--contestant", action="append", help="only this contestant; may be given again")
    parser.add_argument("--seeds", type=int, help="only so many seeds of each cell")
    parser.add_argument("--data", type=Path, default=SHARED, help="folder of the data sets")
    parser.add_argument("--output", type=Path, default=STORE, help="the store")
    parser.add_argument("--show", action="store_true", help="run nothing")
    args = parser.parse_args()
    if not args.show:
        keep_freed_memory()
        with tempfile.TemporaryDirectory() as scratch:
            chosen = [
                cell
                for cell in cells(Places(args.data, minilm(), None, Path(scratch)))
                if (not args.row or cell.row in args.row)
                and (not args.contestant or cell.contestant in args.contestant)
            ]
            run_cells(chosen, args.output, seeds=args.seeds)
    lines = read_lines(args.output)
    print(markdown(table_of(lines)))
    print(json.dumps({"store": str(args.output), "lines": len(lines)}))


if __name__ == "__main__":
    main()
