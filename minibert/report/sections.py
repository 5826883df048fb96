"""The parts of the report that every run has: its setting, its pretraining, and what the encoder shows.

Each function takes one part of the report and returns markup, or "" where there is nothing to tell.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from minibert.report.charts import Curve, Level, bar, escape, line_chart
from minibert.report.heat_map import Cell, heat_map
from minibert.report.numbers import duration, is_number, percent, spelled

NOISY = "A strong line over a faint one is its running mean."

_MASK = "[MASK]"


def facts(pairs: Iterable[tuple[str, object]]) -> str:
    """List names and values; numbers are spelled, values that are missing or not finite are left out."""
    entries = []
    for name, value in pairs:
        if value is None or value == "" or (isinstance(value, float) and not is_number(value)):
            continue
        shown = spelled(value) if is_number(value) else value
        entries.append(f"<div><dt>{escape(name)}</dt><dd>{escape(shown)}</dd></div>")
    return f'<dl class="facts">{"".join(entries)}</dl>' if entries else ""


def figure(caption: str, *charts: str) -> str:
    """Put charts under one caption; return "" where none was drawn."""
    drawn = "".join(charts)
    return f"<figure><figcaption>{escape(caption)}</figcaption>{drawn}</figure>" if drawn else ""


def part(heading: str, body: str) -> str:
    """Put a smaller heading over a body; return "" where there is no body."""
    return f"<h3>{escape(heading)}</h3>{body}" if body else ""


def words(name: str) -> str:
    """Turn a key into words: macro_f1 into macro F1."""
    return " ".join("F1" if word == "f1" else word for word in name.split("_"))


def setting(report: Mapping[str, Any]) -> str:
    """Tell the machine, the corpus, the packages and where the time went."""
    corpus = report.get("corpus") or {}
    counted = facts(
        [
            ("megabytes", corpus.get("megabytes")),
            ("documents", corpus.get("documents")),
            ("tokens", corpus.get("tokens")),
        ]
    )
    if corpus.get("sha256"):
        counted += f'<p class="digest">SHA-256 <code>{escape(corpus["sha256"])}</code></p>'
    machine = facts((words(name), value) for name, value in (report.get("machine") or {}).items())
    packages = corpus.get("packages") or {}
    listed = "".join(
        f"<li>{escape(name)} <span>{escape(version)}</span></li>" for name, version in packages.items()
    )
    return (
        part("Machine", machine)
        + part("Corpus", counted)
        + part("Packages in the corpus", f'<ul class="packages">{listed}</ul>' if listed else "")
        + part("Where the time went", _stages(report.get("stages") or []))
    )


def _stages(stages: Sequence[Mapping[str, Any]]) -> str:
    timed = [stage for stage in stages if is_number(stage.get("seconds"))]
    total = sum(stage["seconds"] for stage in timed)
    rows = "".join(
        bar_row(stage["name"], stage["seconds"] / total if total else 0.0, value=duration(stage["seconds"]))
        for stage in timed
    )
    foot = f'<tfoot><tr><th scope="row">all stages</th><td></td><td>{duration(total)}</td></tr></tfoot>'
    return f'<table class="bars"><tbody>{rows}</tbody>{foot}</table>' if rows else ""


def bar_row(name: str, fraction: float, *, value: str) -> str:
    """Return a table row: a name, a bar of a fraction, and the value in words."""
    return f'<tr><th scope="row">{escape(name)}</th><td>{bar(fraction)}</td><td>{escape(value)}</td></tr>'


def pretraining(told: Mapping[str, Any]) -> str:
    """Draw loss and learning rate over the steps, beside the two losses that need no learning."""
    known = [("ln V", told.get("ln_vocab")), ("unigram entropy", told.get("unigram_entropy"))]
    levels = [Level(label, value) for label, value in known if is_number(value)]
    steps = told.get("steps") or []
    losses = line_chart(
        "Masked-language-model loss over the steps of pretraining",
        [
            Curve("training", steps, told.get("loss") or [], noisy=True),
            Curve(
                "validation",
                told.get("validation_steps") or [],
                told.get("validation_loss") or [],
                dots=True,
            ),
        ],
        x_label="optimizer step",
        y_label="loss (nats per masked token)",
        levels=levels,
    )
    rates = line_chart(
        "Learning rate over the steps of pretraining",
        [Curve("learning rate", steps, told.get("learning_rate") or [])],
        x_label="optimizer step",
        y_label="learning rate",
        height=80,
    )
    caption = f"Loss and learning rate while pretraining. {NOISY}"
    if levels:
        caption += " Dashed: what guessing reaches, uniformly (ln V) or by the frequency of each token alone."
    return _pretraining_facts(told) + figure(caption, losses, rates)


def _pretraining_facts(told: Mapping[str, Any]) -> str:
    finished = [value for value in told.get("validation_loss") or [] if is_number(value)]
    return facts(
        [
            ("first loss (nats)", told.get("first_loss")),
            ("ln V (nats)", told.get("ln_vocab")),
            ("unigram entropy (nats)", told.get("unigram_entropy")),
            ("last validation loss (nats)", finished[-1] if finished else None),
            ("tokens seen", told.get("tokens")),
            ("tokens per second", told.get("tokens_per_second")),
        ]
    )


def attention(told: Mapping[str, Any]) -> str:
    """Draw one head's attention: a row for each token that looks, a column for each that is looked at."""
    tokens = [str(token) for token in told.get("tokens") or []]
    weights = told.get("weights") or []
    largest = max((weight for row in weights for weight in row if is_number(weight)), default=0.0) or 1.0
    cells = [
        [
            Cell(weight / largest, told=f"{looking} → {seen}: {weight:.3f}")
            if is_number(weight)
            else Cell(0.0)
            for seen, weight in zip(tokens, row, strict=False)
        ]
        for looking, row in zip(tokens, weights, strict=False)
    ]
    place = ", ".join(f"{name} {told[name]}" for name in ("layer", "head") if told.get(name) is not None)
    drawn = heat_map(
        f"Attention weights, {place}" if place else "Attention weights",
        cells,
        rows=tokens,
        columns=tokens,
        row_name="from ↓",
        column_name="attends to →",
        size=26,
    )
    start = f"{place[0].upper()}{place[1:]}. " if place else ""
    return figure(
        f"{start}The stronger the shade, the larger the weight, up to {largest:.2f}. Each row sums to one.",
        drawn,
    )


def filled(sentences: Sequence[Mapping[str, Any]]) -> str:
    """List masked sentences with the likeliest fillings."""
    listed = []
    for sentence in sentences:
        text = escape(sentence["text"]).replace(_MASK, f'<span class="blank">{_MASK}</span>')
        rows = "".join(
            bar_row(answer, probability, value=percent(probability))
            for answer, probability in sentence.get("answers") or []
            if is_number(probability)
        )
        table = f'<table class="bars">{rows}</table>' if rows else ""
        listed.append(f'<div class="sentence"><p class="quoted">{text}</p>{table}</div>')
    return "".join(listed)


def predictions(told: Sequence[Mapping[str, Any]]) -> str:
    """List texts with the label that was predicted and its probability."""
    entries = "".join(
        f'<li><p class="quoted">{escape(entry["text"])}</p><p class="verdict">'
        f"<b>{escape(entry['label'])}</b>{probability(entry.get('probability'))}</p></li>"
        for entry in told
    )
    return f'<ol class="texts">{entries}</ol>' if entries else ""


def probability(value: object) -> str:
    """Spell a probability beside what it belongs to; return "" where it is missing."""
    return f' <span class="probability">{percent(value)}</span>' if is_number(value) else ""
