"""Check the arithmetic of a classification report."""

import argparse
import sys
from typing import Any

from minibert.commands.parser import add_command
from minibert.evaluation.arithmetic import check_report, differing_micro
from minibert.evaluation.printed_report import parse_report, read_report


def add(commands: Any) -> None:
    """Add the command's flags."""
    parser = add_command(
        commands,
        "check-report",
        run,
        usage="FILE [options]",
        about="check whether a classification report adds up; exit status 1 where it does not",
        example="minibert check-report report.txt",
    )
    files = "scikit-learn's classification_report as text or JSON, or a table (class, precision, recall, f1, "
    parser.add_argument("file", metavar="FILE", help=files + "support); - reads stdin")
    single = (
        "each text has exactly one label, and every label has a line (default: where there is an accuracy)"
    )
    parser.add_argument("--single-label", action=argparse.BooleanOptionalAction, default=None, help=single)
    parser.add_argument("--json", action="store_true", help="print nothing but one JSON object")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Print what cannot be right, and return it; "ok" is false where anything was found."""
    report = parse_report(sys.stdin.read(), where="stdin") if args.file == "-" else read_report(args.file)
    findings = check_report(report, single_label=args.single_label)
    note = None if args.single_label is not None else differing_micro(report)
    if not args.json:
        for finding in findings:
            print(f"  {finding}")
        if note:
            print(f"  note: {note}")
        count = f"{len(findings)} finding{'s' if len(findings) != 1 else ''}: it cannot be right"
        print(f"{args.file}: {len(report.classes)} classes; {count if findings else 'it adds up'}")
    told = [{"line": finding.line, "problem": finding.problem} for finding in findings]
    result = {"file": args.file, "classes": len(report.classes), "ok": not findings, "findings": told}
    return result | ({"note": note} if note else {})
