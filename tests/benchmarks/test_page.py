"""The page of the benchmarks says what the files say, and that is what is committed."""

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
MACHINE = {"processor": "Abacus", "features": ["amx"], "cores": 3, "torch": "7.1", "commit": "0123456789+"}


def spread(median: float) -> dict[str, float]:
    return {"low": median, "median": median, "high": median}


@pytest.fixture
def page(benchmark) -> ModuleType:
    return benchmark("page")


def write(folder: Path, name: str, benchmark: str, **facts) -> None:
    record = {"benchmark": benchmark, "machine": MACHINE, **facts}
    (folder / name).write_text(json.dumps(record), "utf-8")


def pretraining_row(name: str, best: float) -> dict[str, object]:
    ratios = {key: spread(best) for key in ("over_torch", "over_shipped", "over_best")}
    return {"name": name, "precision": "bf16", "tokens_per_second": spread(1234.5), "ceiling": 0.47, **ratios}


def test_the_committed_page_is_what_the_committed_results_give(page):
    text, picture = page.build(page.RESULTS)
    hint = "run: python benchmarks/page.py"
    assert page.PAGE.read_text("utf-8") == text, hint
    assert page.PICTURE.read_text("utf-8") == picture, hint


def test_every_committed_result_has_a_place_on_the_page(page):
    known = {source.file for source in page.SOURCES}
    assert {path.name for path in page.RESULTS.glob("*.json")} <= known
    assert {aim.file for aim in page.AIMS} <= known


def test_a_store_of_cells_becomes_a_table(page, tmp_path):
    line = {"row": "sst2", "contestant": "minibert", "scores": {"accuracy": 0.9, "loss": 2.0}, "minutes": 1.0}
    lines = [{**line, "seed": seed, "note": "5,000 rows", "machine": MACHINE} for seed in (0, 1)]
    store = tmp_path / "tasks-texts.jsonl"
    store.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    text, _ = page.build(tmp_path)
    assert "| sst2 | minibert | accuracy | 90.0 ± 0.0 | loss 2.0 ± 0.0 | 2 | 1.0 | 5,000 rows |" in text
    assert "`python benchmarks/tasks.py texts`; Abacus; commits 0123456+;" in text


def test_a_commit_is_cut_but_not_what_says_that_files_had_changed(page):
    assert page.shortened("0123456789") == "0123456"
    assert page.shortened("0123456+") == page.shortened("0123456789+") == "0123456+"
    assert page.shortened(None) == "unknown"


def test_without_results_everything_is_not_measured(page, tmp_path):
    text, picture = page.build(tmp_path)
    assert text.count("| not measured |") == len(page.AIMS) + len(page.quality_aims.AIMS)
    assert text.count(": not measured.") == len(page.SOURCES)
    assert "met |" not in text and "missed |" not in text
    assert "<desc></desc>" in picture


def cell_line(row: str, contestant: str, seed: int, **scores: float) -> dict[str, object]:
    facts = {"minutes": 1.0, "note": "", "machine": MACHINE}
    return {"row": row, "contestant": contestant, "seed": seed, "scores": scores, **facts}


def test_an_aim_of_quality_is_a_number_or_what_another_contestant_reaches(benchmark):
    aims = benchmark("quality_aims")
    lines = [
        cell_line("sst2", "minibert", 0, accuracy=0.90, loss=0.2),
        cell_line("sst2", "minibert", 1, accuracy=0.92, loss=0.4),
        cell_line("sst2", "full", 0, accuracy=0.93, loss=0.9),
    ]
    stores = {"tasks-texts": lines}
    ours = aims.task("texts", "sst2")

    def told(aim):
        return aim.row(stores)[2:]

    shown = "91.0 ± 1.4 (2 seeds)"
    assert told(aims.fixed("a", 0.91, ours)) == ["at least 91.0", "set beforehand", shown, "met"]
    assert told(aims.fixed("a", 0.92, ours)) == ["at least 92.0", "set beforehand", shown, "missed"]
    assert told(aims.beside("a", ours, "full")) == ["at least 93.0", "full", shown, "missed"]
    assert told(aims.beside("a", ours, "full", -0.03)) == ["at least 90.0", "full - 3", shown, "met"]
    loss = aims.task("texts", "sst2", score="loss")
    half = aims.Aim("a", loss, against=aims.task("texts", "sst2", "full", "loss"), times=0.5, at_most=True)
    assert told(half) == ["at most 45.0", "0.5 x full", "30.0 ± 14.1 (2 seeds)", "met"]
    assert told(aims.beside("a", ours, "nobody")) == ["at least as much", "nobody", shown, ""]
    assert told(aims.fixed("a", 0.5, aims.task("texts", "mrpc"))) == [
        "at least 50.0",
        "set beforehand",
        "not measured",
        "",
    ]


def test_every_aim_of_quality_names_a_row_and_contestants_that_are_planned(benchmark):
    aims, shortfalls = benchmark("quality_aims"), benchmark("shortfalls")
    figures = [figure for aim in aims.AIMS for figure in (aim.ours, aim.against) if figure]
    for store in {figure.store for figure in figures}:
        known = {(cell.row, cell.contestant) for cell in shortfalls.planned(store)}
        assert {(one.row, one.contestant) for one in figures if one.store == store} <= known


def test_what_was_planned_and_not_run_has_a_reason(page, benchmark):
    shortfalls, cells = benchmark("shortfalls"), benchmark("cells")
    stores = {path.stem: cells.read_lines(path) for path in page.RESULTS.glob("*.jsonl")}
    known = {name: shortfalls.planned(name) for name in stores if shortfalls.planned(name)}
    assert set(known) == {name for name in stores if name.startswith(page.QUALITY)}
    for name, planned in known.items():
        nothing, _, fewer = shortfalls.lacking(planned, stores[name])
        assert not nothing or shortfalls.NO_LINE[name]
        assert not fewer or shortfalls.FEWER_SEEDS[name]


def test_cells_without_a_line_and_with_fewer_seeds_are_told_apart(benchmark):
    shortfalls, cells = benchmark("shortfalls"), benchmark("cells")
    names = ("minibert", "trainer", "theirs", "long")
    planned = [cells.Cell("mrpc", name, lambda seed: {}) for name in names]
    done = [cell_line("mrpc", "minibert", seed) for seed in (0, 1, 2)]
    done += [cell_line("mrpc", "trainer", 1), {**cell_line("mrpc", "long", 0), "minutes": 10.5}]
    told = ({"mrpc": ["theirs"]}, {"mrpc": ["long"]}, {"mrpc": ["trainer"]})
    assert shortfalls.lacking(planned, done) == told


def test_rows_that_ours_loses_are_named_with_both_figures(benchmark):
    lines = [
        cell_line("mrpc", "minibert", 0, accuracy=0.5),
        cell_line("mrpc", "minibert, longer", 0, accuracy=0.6),
        cell_line("mrpc", "bag of words", 0, accuracy=0.61),
        cell_line("mrpc", "most frequent", 0, accuracy=0.55),
        cell_line("sst2", "minibert", 0, accuracy=0.9),
        cell_line("sst2", "bag of words", 0, accuracy=0.8),
        cell_line("rte", "bag of words", 0, accuracy=0.8),
    ]
    assert benchmark("shortfalls").behind(lines) == {"mrpc 60.0": ["bag of words 61.0"]}


def test_a_method_of_ours_is_held_against_the_same_of_another_package_or_the_best_of_ours(benchmark):
    lines = [
        cell_line("sst2", "full", 0, accuracy=0.85),
        cell_line("sst2", "lora", 0, accuracy=0.83),
        cell_line("sst2", "peft lora", 0, accuracy=0.84),
        cell_line("rte", "lora", 0, accuracy=0.85),
        cell_line("rte", "peft lora", 0, accuracy=0.84),
        cell_line("sst2, 8 per class", "contrastive", 0, accuracy=0.6),
        cell_line("sst2, 8 per class", "finetune", 0, accuracy=0.5),
        cell_line("sst2, 8 per class", "setfit", 0, accuracy=0.61),
        cell_line("rte, 8 per class", "setfit", 0, accuracy=0.61),
    ]
    assert benchmark("shortfalls").behind(lines) == {
        "sst2: lora 83.0": ["peft lora 84.0"],
        "sst2, 8 per class: contrastive 60.0": ["setfit 61.0"],
    }


def test_the_committed_page_names_every_row_in_which_another_package_is_ahead(page):
    told = page.PAGE.read_text("utf-8")
    for ours, theirs in (
        ("sst2: lora 83.1", "peft lora 84.2"),
        ("banking77: lora 89.2", "peft lora 89.4"),
        ("ag_news_small, 8 per class: contrastive 82.9", "setfit 83.9"),
        ("sst2, 16 per class: contrastive 68.8", "setfit 70.0"),
        ("sst2, 8 per class: contrastive 65.1", "setfit 65.5"),
    ):
        assert re.search(rf"{ours} ± \S+ \({theirs} ± ", told)


def test_aims_are_held_against_texts_of_one_length_with_freed_memory_kept(page, tmp_path):
    shape = {"texts": 2, "tokens": 256, "padding": 0.0}
    results = [
        {"workload": "ragged", "allocator": "keep", "rows": [pretraining_row("minibert", 9.0)], **shape},
        {"workload": "even", "allocator": "system", "rows": [pretraining_row("minibert", 8.0)], **shape},
        {
            "workload": "even",
            "allocator": "keep",
            "rows": [pretraining_row("minibert", 1.25), pretraining_row("theirs", 7.0)],
            **shape,
        },
    ]
    write(tmp_path, "pretraining-12x768-cpu.json", "pretraining", results=results)
    text, picture = page.build(tmp_path)
    assert "| pretraining, 12x768 | transformers at its best | at least 1.50 x | 1.25 x | missed |" in text
    assert "| pretraining, 12x768 | matrix products | at least 45% | 47% | met |" in text
    assert "| minibert | bf16 | 1,234 | 9.00 | 9.00 | 9.00 | 47% |" in text
    assert "Abacus (amx), 3 cores, torch 7.1, commit 0123456+;" in text
    assert "pretraining, 12x768, transformers at its best: 1.25" in picture


def test_embedding_counts_against_the_best_that_is_as_good_and_against_int8(page, tmp_path):
    def row(name: str, speed: float, ratio: float, *, best: bool = False, equal: bool = True):
        return {
            "name": name,
            "way": "one",
            "ours": name == "a",
            "equal": equal,
            "best_of_the_others": best,
            "accuracy": 0.875,
            "cosine_min": 0.99,
            "cosine_mean": 0.999,
            "texts_per_second": spread(speed),
            "ours_over_this": spread(ratio),
            "over_shipped": spread(3.5),
            "over_best": spread(4.5),
        }

    rows = [
        row("a", 35, 1.0),
        row("b", 20, 1.75, best=True),
        row("ONNX Runtime int8", 40, 0.875, equal=False),
    ]
    result = {"workload": "sst2", "texts": 4, "characters": 100, "rows": rows, "not_timed": {"d": "broken"}}
    write(tmp_path, "inference-cpu.json", "inference", results=[result], not_measured={"e": "absent"})
    text, _ = page.build(tmp_path)
    assert "| embedding, sst2 | the best that is as good | at least 1.50 x | 1.75 x | met |" in text
    assert "| embedding, sst2 | ONNX Runtime int8 | at least 1.00 x | 0.88 x | missed |" in text
    assert "| embedding, imdb | the best that is as good | at least 1.50 x | not measured |  |" in text
    assert "| int8" not in text and "| 0.99000, 0.99900 | 87.5% (not as good) |" in text
    assert "| d | broken | not measured |" in text and "| e | absent | not measured |" in text


def test_memory_beyond_the_known_is_held_against_the_least_that_transformers_takes(page, tmp_path):
    known = dict.fromkeys(("before", "weights", "optimizer"), 2 * 2**20)
    rows = [
        {"name": name, "rest": rest * 2**20, "peak": (rest + 6) * 2**20, **known}
        for name, rest in (("minibert bf16", 3), ("transformers a", 10), ("transformers b", 5), ("torch", 2))
    ]
    result = {"work": "4x256", "rows": rows, "not_measured": {}}
    write(
        tmp_path, "memory-cpu.json", "memory", results=[result], not_measured={"embedding": "no package here"}
    )
    text, picture = page.build(tmp_path)
    aim = "memory beyond imports, weights and optimiser, 4x256"
    assert f"| {aim} | transformers | at most 50% | 60% (of the whole peak 82%) | missed |" in text
    assert "| rest | rest, ours / this | peak, ours / this |" in text
    assert "| transformers a | 16 | 2 | 2 | 2 | 10 | 0.30 | 0.56 |" in text
    assert "*embedding*: not measured, no package here." in text
    assert "memory" not in picture


def test_fine_tuning_and_attention_find_their_numbers(page, tmp_path):
    rows = [
        {
            "name": name,
            "precision": "bf16",
            "sentences_per_second": 100 / times,
            "ours_over_this": times,
            "first_quarter": 0.69,
            "last_quarter": 0.5,
        }
        for name, times in (
            ("minibert", 1.0),
            ("transformers Trainer bf16", 4.0),
            ("transformers Trainer bf16 grouped", 0.8),
        )
    ]
    write(tmp_path, "finetuning-cpu.json", "finetuning", rows=rows)

    def timing(seconds: float) -> dict[str, object]:
        return {**spread(seconds), "ours_is_faster": spread(seconds / 0.002)}

    shape = {"kind": "equal", "longest": 128, "heads": 4, "size": 64, "window": 3}
    names = ("minibert", "sdpa", "minibert reference", "torch module")
    results = [
        {
            "shape": shape,
            "dtype": "bfloat16",
            "rows": [{"name": n, "both": timing(t)} for n, t in zip(names, seconds, strict=True)],
        }
        for seconds in ((0.002, 0.003, 0.001, 0.001), (0.002, 0.0015, 0.009, 0.009))
    ]
    write(tmp_path, "attention-cpu.json", "attention", results=results, skipped=[shape])
    text, _ = page.build(tmp_path)
    assert "| fine-tuning | transformers Trainer bf16 | at least 3.00 x | 4.00 x | met |" in text
    assert "| fine-tuning | the same, grouped by length | at least 1.00 x | 0.80 x | missed |" in text
    assert "| attention on a CPU | shapes on which ours is fastest | at least 100% | 50% | missed |" in text
    assert "| equal 128, window 3, 4 x 64, bfloat16 | both | 2 (1.00) | 3 (1.50) |" in text
    assert "Not measured: 1 shapes, out of time." in text


def test_bars_are_as_long_as_their_numbers_and_those_below_one_stand_out(benchmark):
    module = benchmark("bars")
    drawn = module.bars("speed", [("a & b", 2.0), ("c", 0.5)], "note")
    root = ET.fromstring(drawn)
    rects = [r for r in root.iter("{http://www.w3.org/2000/svg}rect") if r.get("rx") == "3"]
    long, short = (float(r.get("width")) for r in rects)
    assert long == pytest.approx(4 * short, abs=0.3)
    assert [r.get("fill") for r in rects] == [module.AHEAD, module.BEHIND]
    [line] = root.iter("{http://www.w3.org/2000/svg}line")
    assert float(line.get("x1")) == pytest.approx(module.LEFT + long / 2, abs=0.1)


def test_long_runs_and_many_processes_are_told(page, tmp_path):
    stop = {"encoder": "small", "runs": [{"seconds": 1.5, "saved": ["a"]}, {"seconds": 4.0, "saved": []}]}
    steps = {"steps": 9000, "mebibytes_at_a_tenth": 258.1, "mebibytes_at_the_end": 261.2}
    steps |= {"bytes_per_thousand_steps": 2048, "open_files": [3, 6]}
    parts = {
        name: {**part, "minutes_in_all": 2.0, "machine": MACHINE}
        for name, part in (("steps", steps), ("stop", stop))
    }
    write(tmp_path, "long-runs.json", "long runs", **parts)
    rows = {"whole": {"held": 3 * 2**20, "peak": 5 * 2**20}, "in pieces": {"held": 2**20, "peak": 2**21}}
    speed = {"tokens_per_second": {"one": spread(10), "two": spread(15)}, "shape": "4x256"}
    speed |= {"efficiency": spread(0.75), "adding_up_share": spread(0.1)}
    memory = {"shape": "12x768", "rows": rows}
    write(tmp_path, "many-processes-cpu.json", "many processes", speed=speed, memory=memory)
    text, _ = page.build(tmp_path)
    assert "| 9,000 steps of a tiny encoder | 258 MiB after a tenth, 261 MiB at the end: 2 KiB for" in text
    assert "saved and ended after 1.5 to 4.0 s, 1 of 2 times | 2.0 | 0123456+ |" in text
    assert "| corpus | not measured |" in text
    assert (
        "*4x256*: two processes have 75% of twice the speed of one; adding their gradients up takes 10%"
        in text
    )
    assert "| in pieces | 1 MiB | 2 MiB |" in text


def test_every_line_was_made_as_its_cell_says_or_says_so_itself(page, benchmark):
    """A cap that is raised for ours must not leave a baseline of fewer rows beside it."""
    shortfalls, cells = benchmark("shortfalls"), benchmark("cells")
    for path in page.RESULTS.glob("*.jsonl"):
        planned = {(cell.row, cell.contestant): cell for cell in shortfalls.planned(path.stem)}
        for line in cells.read_lines(path) if planned else ():
            cell = planned[line["row"], line["contestant"]]
            assert cells.is_of(line, cell), (path.stem, cells.key(line))
