"""The records of the benchmarks as tables of the page: one function for each kind of record."""

from collections.abc import Callable, Sequence
from typing import Any

Record = dict[str, Any]
Table = Sequence[Sequence[str]]
NOT_MEASURED = "not measured"
MEGA = 2**20


def pretraining(record: Record) -> list[str]:
    """Return a table for each workload."""
    parts = []
    for result in record["results"]:
        rows = [
            ["contestant", "precision", "tokens/s", "x torch", "x shipped", "x best", "share of products"]
        ]
        for row in result["rows"]:
            ratios = [times(row.get(key)) for key in ("over_torch", "over_shipped", "over_best")]
            speed = f"{row['tokens_per_second']['median']:,.0f}"
            rows.append([row["name"], row["precision"], speed, *ratios, f"{row['ceiling']:.0%}"])
        kept = "freed memory kept" if result["allocator"] == "keep" else "allocator as the system has it"
        head = (
            f"*{result['workload']}*, {kept}: {result['texts']} texts, {result['tokens']:,} tokens a step, "
        )
        parts += [f"{head}{result['padding']:.0%} padding for those who pad.", markdown(rows)]
    return parts


def inference(record: Record) -> list[str]:
    """Return a table for each workload."""
    parts = []
    for result in record["results"]:
        rows = [["contestant", "way", "texts/s", "x shipped", "x best", "cosine (least, mean)", "accuracy"]]
        for row in result["rows"]:
            accuracy = "" if row["accuracy"] is None else f"{row['accuracy']:.1%}"
            rows.append(
                [
                    row["name"],
                    row["way"],
                    f"{row['texts_per_second']['median']:,.0f}",
                    *(times(row[key]) for key in ("over_shipped", "over_best")),
                    f"{row['cosine_min']:.5f}, {row['cosine_mean']:.5f}",
                    accuracy if row["equal"] else f"{accuracy} (not as good)",
                ]
            )
        absent = {**record["not_measured"], **result["not_timed"]}
        rows += [[name, reason, NOT_MEASURED, "", "", "", ""] for name, reason in absent.items()]
        length = result["characters"] / result["texts"]
        told = f"*{result['workload']}*: {result['texts']:,} texts of {length:.0f} characters."
        parts += [told, markdown(rows)]
    return parts


def finetuning(record: Record) -> list[str]:
    """Return one table."""
    rows = [["contestant", "precision", "sentences/s", "ours / this", "loss, first quarter", "last quarter"]]
    rows += [
        [
            row["name"],
            row["precision"],
            f"{row['sentences_per_second']:,.1f}",
            f"{row['ours_over_this']:.2f}",
            f"{row['first_quarter']:.3f}",
            f"{row['last_quarter']:.3f}",
        ]
        for row in record["rows"]
    ]
    return [markdown(rows)]


def memory(record: Record) -> list[str]:
    """Return a table for each kind of work."""
    parts = [
        "In MiB. *rest* is the peak without imports, weights and the optimiser's state: what the work itself "
        "adds, and what the aims compare."
    ]
    for result in record["results"]:
        head = ["contestant", "peak", "imports", "weights", "optimiser", "rest"]
        rows = [[*head, "rest, ours / this", "peak, ours / this"]]
        ours = result["rows"][0]
        for row in result["rows"]:
            sizes = (row[key] for key in ("peak", "before", "weights", "optimizer", "rest"))
            shown = [f"{round(size / MEGA):,}" for size in sizes]
            rows.append([row["name"], *shown, *(f"{ours[key] / row[key]:.2f}" for key in ("rest", "peak"))])
        absent = result["not_measured"]
        rows += [[name, NOT_MEASURED, reason, *[""] * 5] for name, reason in absent.items()]
        parts += [f"*{result['work']}*:", markdown(rows)]
    absent = record["not_measured"]
    return parts + [f"*{work}*: {NOT_MEASURED}, {reason}." for work, reason in absent.items()]


def attention(record: Record) -> list[str]:
    """Return one table; a cell has milliseconds, and how many times faster ours is."""
    names = list(dict.fromkeys(row["name"] for result in record["results"] for row in result["rows"]))
    rows = [["shape", "pass", *names]]
    for result in record["results"]:
        shape = result["shape"]
        within = "" if shape["window"] is None else f", window {shape['window']}"
        heads = f"{shape['heads']} x {shape['size']}, {result['dtype']}"
        label = f"{shape['kind']} {shape['longest']}{within}, {heads}"
        for part in ("forward", "both"):
            timed = {row["name"]: row[part] for row in result["rows"] if part in row}
            cells = [
                f"{1e3 * timed[name]['median']:.3g} ({timed[name]['ours_is_faster']['median']:.2f})"
                if name in timed
                else ""
                for name in names
            ]
            rows.append([label, part, *cells])
    told = "Milliseconds, in brackets the time of this over the time of ours; *both* is forward and backward."
    skipped = f" Not measured: {len(record['skipped'])} shapes, out of time." if record["skipped"] else ""
    return [told + skipped, markdown(rows)]


def race(record: Record) -> list[str]:
    """Return one table, in percent."""
    rows = [["test set", "measure", "pretrained", "not pretrained", "no encoder"]]
    for name, task in record["tasks"].items():
        for split in [split for split in task["baseline"] if split != "name"]:
            arms = [percent(task["arms"][arm][split]) for arm in ("pretrained", "scratch")]
            base = f"{100 * task['baseline'][split]:.1f} ({task['baseline']['name']})"
            rows.append([f"{name} {split}", task["metric"], *arms, base])
    return ["In percent, mean and sample standard deviation over seeds.", markdown(rows)]


def demo(record: Record) -> list[str]:
    """Return one table, in percent."""
    rows = [["task", "system", "accuracy", "macro-F1"]]
    for name, task in record["tasks"].items():
        for row in task["table"]:
            scores = [percent(row["scores"][key]) for key in ("accuracy", "macro_f1")]
            rows.append([name, row["system"], *scores])
    return ["In percent, mean and sample standard deviation over seeds.", markdown(rows)]


def profile(record: Record) -> list[str]:
    """Return a table of groups, and the heaviest operations in a line for each work."""
    parts = []
    for result in record["results"]:
        rows = [["where the time goes", "share"]]
        rows += [[group, f"{share:.1%}"] for group, share in result["groups"].items()]
        heaviest = ", ".join(f"{row['name']} {row['share']:.1%}" for row in result["operations"][:6])
        told = f"*{result['work']}*: {1e3 * result['seconds']:.0f} ms. Heaviest: {heaviest}."
        parts += [told, markdown(rows)]
    return parts


def shortened(commit: str | None) -> str:
    """Write a commit in short; a + behind it says that files had been changed."""
    return "unknown" if commit is None else commit[:7] + "+" * commit.endswith("+")


def percent(score: Record) -> str:
    """Write a mean and its spread, in percent; no spread where one number is all there is."""
    spread = f" ± {100 * score['spread']:.1f}" if score.get("spread") else ""
    return f"{100 * score['mean']:.1f}{spread}"


def times(ratio: Record | None) -> str:
    """Write the median of a ratio."""
    return NOT_MEASURED if ratio is None else f"{ratio['median']:.2f}"


def markdown(rows: Table) -> str:
    """Return rows as a Markdown table, the first as its head."""
    head, *body = ["| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows]
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])


def many_processes(record: Record) -> list[str]:
    """Return a table of speeds and one of memory."""
    speed, memory = record["speed"], record["memory"]
    rows = [["processes", "tokens/s"]]
    rows += [
        [name, f"{value['median']:,.0f} ({value['low']:,.0f} to {value['high']:,.0f})"]
        for name, value in speed["tokens_per_second"].items()
    ]
    efficiency, adding = (speed[key]["median"] for key in ("efficiency", "adding_up_share"))
    told = (
        f"*{speed['shape']}*: two processes have {efficiency:.0%} of twice the speed of one; adding their "
        f"gradients up takes {adding:.0%} of a step."
    )
    held = [["model", "weights, gradients, moments", "peak beyond the imports"]]
    held += [
        [name, *(f"{round(row[key] / MEGA):,} MiB" for key in ("held", "peak"))]
        for name, row in memory["rows"].items()
    ]
    return [told, markdown(rows), f"*{memory['shape']}* in two processes, each of them:", markdown(held)]


def long_runs(record: Record) -> list[str]:
    """Return one table: what was done, and what was seen."""
    rows = [["run", "what was seen", "minutes", "commit"]]
    tellers = {"steps": steps_told, "corpus": corpus_told, "stop": stop_told}
    for name, told in tellers.items():
        found = record.get(name)
        if found is None:
            rows.append([name, NOT_MEASURED, "", ""])
            continue
        minutes, commit = found["minutes_in_all"], shortened(found["machine"]["commit"])
        rows.append([*told(found), f"{minutes:.1f}", commit])
    return [markdown(rows)]


def steps_told(found: Record) -> tuple[str, str]:
    """Tell what grew in many steps."""
    low, high = found["open_files"]
    start, end = found["mebibytes_at_a_tenth"], found["mebibytes_at_the_end"]
    seen = f"{start:.0f} MiB after a tenth, {end:.0f} MiB at the end: "
    seen += f"{found['bytes_per_thousand_steps'] / 1024:.0f} KiB for 1,000 steps; {low} to {high} open files"
    return f"{found['steps']:,} steps of a tiny encoder", seen


def corpus_told(found: Record) -> tuple[str, str]:
    """Tell what a large corpus took."""
    what = f"{found['bytes'] / 1e9:.1f} GB of text, {found['tokens'] / 1e6:,.0f} M tokens"
    return f"{what}, then {found['steps']} steps", f"{found['most_mebibytes']:,} MiB at most"


def stop_told(found: Record) -> tuple[str, str]:
    """Tell how long it took to stop."""
    seconds = [run["seconds"] for run in found["runs"]]
    whole = sum(bool(run["saved"]) for run in found["runs"])
    what = f"SIGTERM, {len(seconds)} times; {found['encoder']}"
    return (
        what,
        f"saved and ended after {min(seconds):.1f} to {max(seconds):.1f} s, {whole} of {len(seconds)} times",
    )


TABLES: dict[str, Callable[[Record], list[str]]] = {
    "pretraining": pretraining,
    "inference": inference,
    "finetuning": finetuning,
    "memory": memory,
    "attention": attention,
    "profile": profile,
    "race": race,
    "many processes": many_processes,
    "long runs": long_runs,
    "demo": demo,
}
