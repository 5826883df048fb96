"""The report of a run as one HTML page that loads nothing: no script, no remote font, image or style.

`render` turns a report, a plain dictionary as it is kept in report.json, into the page; `write_report` writes
both. Every text is escaped, and a policy inside the page forbids the browser to fetch anything at all.
A part that is missing from the report is missing from the page.
"""

import json
import os
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from minibert.errors import InputError
from minibert.report.charts import escape
from minibert.report.explanations import explanations
from minibert.report.sections import attention, filled, predictions, pretraining, setting
from minibert.report.task_section import task_section

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def render(report: Mapping[str, Any]) -> str:
    """Return the page for a report; raise InputError where it has no title.

    >>> page = render({"title": "A small encoder", "machine": {"device": "cpu", "cores": 2}})
    >>> "<h1>A small encoder</h1>" in page
    True
    """
    title = report.get("title")
    if not title:
        raise InputError(
            f'the report has no "title", only {sorted(report)}; give it a line to stand at the top.'
        )
    told = _sections(report)
    links = "".join(
        f'<li><a href="#part-{at}">{escape(name)}</a></li>' for at, (name, _) in enumerate(told, 1)
    )
    contents = f'<nav aria-label="Contents"><ol>{links}</ol></nav>' if len(told) > 1 else ""
    body = "".join(
        f'<section id="part-{at}"><h2>{escape(name)}</h2>{markup}</section>'
        for at, (name, markup) in enumerate(told, 1)
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_style()}</style>\n</head>\n<body>\n<main>\n"
        f"{_opening(report)}{contents}\n{body}\n</main>\n</body>\n</html>\n"
    )


def write_report(report: Mapping[str, Any], folder: str | Path) -> Path:
    """Write report.json and report.html into a folder, made where missing, and return the page's path.

    Numbers that are not finite become null in the JSON, which has no word for them.
    """
    page = render(report)
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    kept = json.dumps(_jsonable(report), ensure_ascii=False, indent=1, allow_nan=False)
    _write(place / "report.json", kept + "\n")
    _write(place / "report.html", page)
    return place / "report.html"


def write_page(report: Mapping[str, Any], path: str | Path) -> Path:
    """Write the page alone, into a file whose folder is made where missing, and return its path."""
    page, place = render(report), Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    _write(place, page)
    return place


def _sections(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    told = [
        ("Setting", setting(report)),
        ("Pretraining", pretraining(report.get("pretraining") or {})),
    ]
    for name, task in (report.get("tasks") or {}).items():
        told.append((task.get("title") or name, task_section(task)))
    told += [
        ("Explanations", explanations(report.get("explanations") or [])),
        ("Attention", attention(report.get("attention") or {})),
        ("Filled blanks", filled(report.get("filled") or [])),
        ("Predictions", predictions(report.get("predictions") or [])),
    ]
    return [(name, markup) for name, markup in told if markup]


def _opening(report: Mapping[str, Any]) -> str:
    summary, command = report.get("summary"), report.get("command")
    return (
        f"<header><h1>{escape(report['title'])}</h1>"
        + (f'<p class="summary">{escape(summary)}</p>' if summary else "")
        + (f'<pre class="command"><code>{escape(command)}</code></pre>' if command else "")
        + "</header>"
    )


def _style() -> str:
    return files("minibert.report").joinpath("style.css").read_text(encoding="utf-8")


def _jsonable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _jsonable(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(inner) for inner in value]
    if isinstance(value, float) and value - value != 0:
        return None
    return value


def _write(path: Path, text: str) -> None:
    # A reader sees the old file or the new one, never half of one.
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8", errors="replace", newline="\n")
    os.replace(partial, path)
