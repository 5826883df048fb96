"""Check the arithmetic of a classification report."""

import argparse
import sys
from typing import Any

from minibert.commands.parser import add_command
from minibert.evaluation.arithmetic import check_report, differing_micro
from minibert.evaluation.printed_report import PrintedReport, parse_reports, read_reports


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
    reports = parse_reports(sys.stdin.read(), where="stdin") if args.file == "-" else read_reports(args.file)
    several = len(reports) > 1
    told = []
    for report in reports:
        start = {"report": report.start} if several else {}
        where = f"{args.file}, report of line {report.start}" if several else args.file
        told.append({**start, **check_one(report, where, single_label=args.single_label, quiet=args.json)})
    if not several:
        return {"file": args.file, **told[0]}
    findings = [{"report": one["report"], **finding} for one in told for finding in one.pop("findings")]
    return {"file": args.file, "ok": not findings, "findings": findings, "reports": told}


def check_one(
    report: PrintedReport, where: str, *, single_label: bool | None = None, quiet: bool = False
) -> dict[str, Any]:
    """Print what cannot be right in one report, unless `quiet`, and return it."""
    findings = check_report(report, single_label=single_label)
    note = None if single_label is not None else differing_micro(report)
    if not quiet:
        for finding in findings:
            print(f"  {finding}")
        if note:
            print(f"  note: {note}")
        count = f"{len(findings)} finding{'s' if len(findings) != 1 else ''}: it cannot be right"
        print(f"{where}: {len(report.classes)} classes; {count if findings else 'it adds up'}")
    told = [{"line": finding.line, "problem": finding.problem} for finding in findings]
    result = {"classes": len(report.classes), "ok": not findings, "findings": told}
    return result | ({"note": note} if note else {})
