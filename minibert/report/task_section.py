"""The report's part for one task: systems compared, curves, confusion matrix, and the surest mistakes.

Scores are means over several runs with their spread. The best of each column is bold; where a metric's name
has the word loss, perplexity or error in it, the best is the lowest.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from minibert.report.charts import Curve, escape, line_chart, strip
from minibert.report.heat_map import Cell, heat_map
from minibert.report.numbers import is_number, percent, spelled
from minibert.report.sections import NOISY, facts, figure, part, probability, words

_LOWER_IS_BETTER = frozenset({"loss", "perplexity", "error", "errors"})


def task_section(task: Mapping[str, Any]) -> str:
    """Tell one task; parts that are missing leave no heading."""
    description = task.get("description")
    rows = (task.get("rows") or {}).items()
    return (
        (f"<p>{escape(description)}</p>" if description else "")
        + facts((f"{name} rows", count) for name, count in rows)
        + part("Scores on the test rows", _scores(task))
        + part("Classes", _classes(task.get("classes") or {}))
        + part("Groups", _groups(task.get("groups") or []))
        + part("Fine-tuning", _curves(task.get("curves") or {}))
        + part("Confusion matrix", _confusion(task.get("confusion") or {}))
        + part("Surest mistakes", _errors(task.get("errors") or []))
    )


def _scores(task: Mapping[str, Any]) -> str:
    table = task.get("table") or []
    if not table:
        return ""
    metrics = task.get("metrics") or list(
        dict.fromkeys(name for row in table for name in row.get("scores") or {})
    )
    columns = [_column(metric, table) for metric in metrics]
    head = "".join(f'<th scope="col">{escape(words(metric))}</th>' for metric in metrics)
    body = "".join(
        f'<tr><th scope="row">{escape(row["system"])}</th>{"".join(column[at] for column in columns)}</tr>'
        for at, row in enumerate(table)
    )
    runs = max((len(_values(row, metric)) for row in table for metric in metrics), default=0)
    note = f"Mean ± spread over {runs} runs; a dot is one run. " if runs > 1 else ""
    note += "Bold: the best of its column."
    for name, (low, high) in (task.get("intervals") or {}).items():
        note += f" 95 % interval of {escape(name)}: {spelled_score(low)} to {spelled_score(high)}."
    return (
        f'<div class="wide"><table class="scores"><thead><tr><th scope="col">system</th>{head}</tr></thead>'
        f'<tbody>{body}</tbody></table></div><p class="note">{note}</p>'
    )


def _classes(report: Mapping[str, Any]) -> str:
    """Show a report by class in scikit-learn's form; an accuracy alone stands under F1."""
    columns = ("precision", "recall", "f1-score", "support")
    rows = []
    for name, row in report.items():
        scores = row if isinstance(row, Mapping) else {"f1-score": row}
        cells = [spelled_score(scores[column]) if column in scores else "" for column in columns[:3]]
        rows.append([name, *cells, spelled(scores["support"]) if "support" in scores else ""])
    return _plain_table(("class", *columns), rows)


def _groups(groups: Sequence[Mapping[str, Any]]) -> str:
    rows = []
    for group in groups:
        cells = [
            f"{spelled_score(group['scores'][name])} "
            f"({' to '.join(map(spelled_score, group['intervals'][name]))})"
            for name in ("accuracy", "macro_f1")
        ]
        rows.append([group["name"], spelled(group["examples"]), *cells])
    return _plain_table(("group", "examples", "accuracy (95 %)", "macro F1 (95 %)"), rows)


def _plain_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    names = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="wide"><table class="scores"><thead><tr>{names}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _score(row: Mapping[str, Any], metric: str) -> Mapping[str, Any]:
    return (row.get("scores") or {}).get(metric) or {}


def _values(row: Mapping[str, Any], metric: str) -> list[float]:
    return [value for value in _score(row, metric).get("values") or [] if is_number(value)]


def _column(metric: str, table: Sequence[Mapping[str, Any]]) -> list[str]:
    means = [_score(row, metric).get("mean") for row in table]
    known: list[int | float] = [mean for mean in means if is_number(mean)]
    lowest = not _LOWER_IS_BETTER.isdisjoint(metric.lower().replace("-", "_").split("_"))
    best = spelled_score((min if lowest else max)(known)) if known else None
    everything = [value for row in table for value in _values(row, metric)]
    cells = []
    for row, mean in zip(table, means, strict=True):
        if not is_number(mean):
            cells.append('<td class="absent">–</td>')
            continue
        shown = spelled_score(mean)
        number = f"<b>{shown}</b>" if shown == best else shown
        margin = _score(row, metric).get("spread")
        values = _values(row, metric)
        # One run has no spread to tell, whatever was written beside it.
        beside = ""
        if is_number(margin) and len(values) != 1:
            beside = f' <span class="spread">± {spelled_score(margin)}</span>'
        dots = strip(values, low=min(everything), high=max(everything)) if len(values) > 1 else ""
        cells.append(f"<td>{number}{beside}{dots}</td>")
    return cells


def spelled_score(value: float) -> str:
    """Spell a score with three decimals, a large one with four digits."""
    return f"{value:.3f}".replace("-", "−") if abs(value) < 10 else spelled(float(value))


def _curves(curves: Mapping[str, Mapping[str, Any]]) -> str:
    drawn = line_chart(
        "Training loss while fine-tuning",
        [
            Curve(words(name), curve.get("steps") or [], curve.get("loss") or [], noisy=True)
            for name, curve in curves.items()
        ],
        x_label="optimizer step",
        y_label="training loss (nats)",
        height=210,
    )
    return figure(f"Training loss, from each starting point. {NOISY}", drawn)


def _confusion(told: Mapping[str, Any]) -> str:
    labels = [str(label) for label in told.get("labels") or []]
    cells = []
    for gold, row in zip(labels, told.get("counts") or [], strict=False):
        total = sum(count for count in row if is_number(count)) or 1
        cells.append(
            [_cell(gold, guess, count=count, total=total) for guess, count in zip(labels, row, strict=False)]
        )
    drawn = heat_map(
        "Confusion matrix: gold labels in rows, predicted labels in columns",
        cells,
        rows=labels,
        columns=labels,
        row_name="gold ↓",
        column_name="predicted →",
        size=52 if len(labels) <= 8 else 36,
    )
    return figure("Number of test rows. The shade is the share of its row.", drawn)


def _cell(gold: str, guess: str, *, count: object, total: float) -> Cell:
    if not is_number(count):
        return Cell(0.0)
    told = f"gold {gold}, predicted {guess}: {spelled(count)} ({percent(count / total)} of the row)"
    return Cell(count / total, text=spelled(count) if count else "·", told=told)


def _errors(errors: Sequence[Mapping[str, Any]]) -> str:
    entries = "".join(
        f'<li><p class="quoted">{escape(error["text"])}</p><p class="verdict">'
        f"<span>predicted <b>{escape(error['predicted'])}</b>{probability(error.get('probability'))}</span> "
        f"<span>gold <b>{escape(error['gold'])}</b></span></p></li>"
        for error in errors
    )
    return f'<ol class="texts">{entries}</ol>' if entries else ""
