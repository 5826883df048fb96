"""Where the tables of quality fall short: rows that ours loses, what was planned and not run, and why.

`page.py` writes it below the table of each store, so that nobody has to find it out alone.
"""

import importlib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from cells import Cell, Line, Places, key, spelled

Names = dict[str, list[str]]
OURS = ("minibert", "recommended")
OTHERS = ("peft ", "setfit")  # where ours go by the names of methods
NOWHERE = Places(*[Path("nowhere")] * 4)  # the cells are listed, not run
NO_LINE = {
    "tasks-classify": "minutes on one thread each, which went to the rows with an aim and to ours first",
    "tasks-few": "SetFit takes 8 to 20 minutes for a draw of 64 texts and twice that for 128",
    "tasks-qa": "half an hour and more on one thread",
    "tasks-retrieval": "one encoder is trained for the row alone",
    "tasks-seq2seq": "half an hour on one thread",
}
LONG_RUN = 10  # minutes; whatever takes longer has one seed
FEWER_SEEDS = {
    "tasks-adapt": "ten minutes each in float32, and LoRA of ours came first",
    "quality": "4 to 10 minutes a run; the race of few rows has every seed",
    "tasks-classify": "the first seed of every row came before the second of any, and time ended there",
    "tasks-few": "SetFit takes 8 to 20 minutes for a draw of 64 texts",
    "tasks-qa": "5 to 9 minutes a run; the first seed of every row came first",
    "tasks-retrieval": "the first seed of every row came before the second of any, and time ended there",
    "tasks-seq2seq": "eight minutes a run; the first seed of every row came first",
    "tasks-structure": "the first seed of every row came before the second of any, and time ended there",
}
NO_TIME = "the encoder is ours; it opens there after save_pretrained, and was not run for want of time"
NOT_PLANNED = {
    "tasks-adapt": f"peft's LoRA in the Chinese row ({NO_TIME}); bitfit there (the encoder has no biases); "
    "peft's prompts and prefixes (they put vectors at other places than ours, so a figure would compare two "
    "methods); weights frozen by name (any choice of names is another method); layer-wise rates (the table "
    "of small data has them); a head on features that are not kept (the same weights in more time)",
    "tasks-classify": "other files of fin_sentiment than the headlines (the same task once more); a Trainer "
    "for rows beside the four named with it (one for each kind of row: many classes, two texts with labels "
    f"and with numbers; for lcqmc {NO_TIME}); scores by groups and pictures of attention, which tests check "
    "and nobody measured",
    "tasks-few": "back-translation (one direction alone was trained, multi30k's); SetFit on Chinese "
    f"({NO_TIME}); other sets of FewCLUE (five draws of each way for a row); English gaps by an encoder with "
    "a gap-filling head of its own (MiniLM has none and got one by ten minutes of masked language modelling; "
    "our own encoder stands in the Chinese rows only)",
    "tasks-inside": "other sets than sst2 and waimai_10k (each needs models of its own)",
    "tasks-learn": "a smaller Chinese model (the Chinese encoder has four layers as it is); the same classes "
    "in new texts part after part, and with it forward transfer, which is 0 where later classes have no row "
    "in the head before they come (each part would need a test of its own in one language); the matrices of "
    "the English lines, of which three means were kept",
    "tasks-qa": f"a Trainer with the same weights for cmrc2018 and drcd ({NO_TIME}); questions without an "
    "answer (SQuAD 1.1, CMRC and DRCD have none; tests check the threshold)",
    "tasks-retrieval": "mined hard negatives (a first model has to be trained to mine with, which doubles a "
    "run); sentence-transformers' CrossEncoder (for want of time); sentence-transformers with the same "
    f"weights for crosswoz ({NO_TIME})",
    "tasks-seq2seq": "replies in Chinese (crosswoz's are those of a database's clerk, and copy its names); "
    "greedy beside beam search (40 minutes of training for one more line); transformers' "
    "EncoderDecoderModel above the same encoder (half an hour a run); lead-3 for headlines, which are "
    "shorter than the first sentence",
    "tasks-stable": "Chinese rows (nine ways by five seeds for a row; the two sets are English); Adam "
    "without bias correction (it cannot be switched off here); how many degenerate runs the detector finds "
    "(tests provoke each kind)",
    "tasks-structure": "tagging with and without the random field side by side (it doubles the minutes of a "
    "row); a Trainer for rows beside conll2000 (conll2003 has one in the quality table; for msra_ner and "
    f"resume_ner {NO_TIME}); a baseline for scierc (most frequent tags find no relation)",
    "tasks-tune": "Chinese rows (a search of many trials for a row; the two sets are English); dropout among "
    "what is searched (twelve trials are few for the settings that are)",
    "tasks-vectors": "a student of sentence-transformers by its MSELoss (the loss is one of the two terms of "
    "ours); a Chinese row (the Chinese encoder was never told which texts are alike, so it has nothing to "
    "teach)",
}


def planned(store: str) -> list[Cell]:
    """Return the cells of a store; none where there is no module for it."""
    module = store.replace("tasks-", "cells_") if store.startswith("tasks-") else f"{store}_cells"
    return list(importlib.import_module(module).cells(NOWHERE)) if find_spec(module) else []


def shortfalls(store: str, lines: Sequence[Line]) -> list[str]:
    """Return the paragraphs that say what a store lacks."""
    nothing, long, fewer = lacking(planned(store), lines)
    told = [
        ("Ours is behind", behind(lines), ""),
        ("Not run", nothing, NO_LINE.get(store, "")),
        ("One seed, or two, for a run takes over ten minutes", long, ""),
        ("Fewer seeds than planned", fewer, FEWER_SEEDS.get(store, "")),
    ]
    parts = [
        f"*{what}*: {listed(found)}.{f' {why[0].upper()}{why[1:]}.' if why else ''}"
        for what, found, why in told
        if found
    ]
    return parts + ([f"*Not planned*: {NOT_PLANNED[store]}."] if store in NOT_PLANNED else [])


def lacking(cells: Sequence[Cell], lines: Sequence[Line]) -> tuple[Names, Names, Names]:
    """Return the contestants of each row without a line, and those with fewer seeds: long runs, others."""
    nothing: Names = {}
    long: Names = {}
    fewer: Names = {}
    done = {key(line): line["minutes"] for line in lines}
    for cell in cells:
        minutes = [done.get((cell.row, cell.contestant, seed)) for seed in cell.seeds]
        took = [each for each in minutes if each is not None]
        if len(took) < len(minutes):
            names = nothing if not took else long if min(took) > LONG_RUN else fewer
            names.setdefault(cell.row, []).append(cell.contestant)
    return nothing, long, fewer


def behind(lines: Sequence[Line]) -> Names:
    """Return the rows in which the best of ours is below somebody else, with both figures.

    Where ours go by the names of methods, "peft lora" is held against our "lora".
    """
    methods = not any(line["contestant"].startswith(OURS) for line in lines)
    rows: dict[str, dict[str, list[Line]]] = {}
    for line in lines:
        rows.setdefault(line["row"], {}).setdefault(line["contestant"], []).append(line)
    found: Names = {}
    for row, contestants in rows.items():
        ours = [
            name
            for name in contestants
            if (not name.startswith(OTHERS) if methods else name.startswith(OURS))
        ]
        best = max(ours, key=lambda name: mean(contestants[name]), default="")
        for name in contestants if ours else ():
            same = name.removeprefix("peft ")
            mine = same if same in ours else best
            if name not in ours and mean(contestants[name]) > mean(contestants[mine]):
                told = f"{row}{f': {mine}' if methods else ''} {figure(contestants[mine])}"
                found.setdefault(told, []).append(f"{name} {figure(contestants[name])}")
    return found


def mean(lines: Sequence[Line]) -> float:
    """Return the mean of the measure."""
    return sum(next(iter(line["scores"].values())) for line in lines) / len(lines)


def figure(lines: Sequence[Line]) -> str:
    """Write the measure."""
    return spelled(lines, next(iter(lines[0]["scores"])))


def listed(names: Names) -> str:
    """Write rows and what belongs to each.

    >>> listed({"mrpc": ["a", "b"], "sst2": ["a"]})
    'mrpc (a; b), sst2 (a)'
    """
    return ", ".join(f"{row} ({'; '.join(those)})" for row, those in names.items())
