"""What the benchmarks are to show, and where in the records stands whether they do."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Record = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """A file of results: what it is about, and the command that makes it."""

    title: str
    file: str
    command: str


@dataclass(frozen=True)
class Aim:
    """One number that is wanted.

    unit    "times" faster, or "share" of something
    at_most the number is better when it is small
    find    takes the number from a record; None where it is not in there
    beside  takes another number, which is told beside the first and decides nothing
    what_is how that other number is introduced
    """

    what: str
    against: str
    wanted: float
    file: str
    find: Callable[[Record], float | None]
    unit: str = "times"
    at_most: bool = False
    beside: Callable[[Record], float | None] | None = None
    what_is: str = ""

    def met(self, value: float) -> bool:
        return value <= self.wanted if self.at_most else value >= self.wanted


SOURCES = (
    Source("Pretraining, 4x256", "pretraining-cpu.json", "python benchmarks/pretraining.py"),
    Source(
        "Pretraining, 6x384", "pretraining-6x384-cpu.json", "python benchmarks/pretraining.py --shape 6x384"
    ),
    Source(
        "Pretraining, 12x768",
        "pretraining-12x768-cpu.json",
        "python benchmarks/pretraining.py --shape 12x768",
    ),
    Source("Embedding", "inference-cpu.json", "python benchmarks/inference.py"),
    Source("Fine-tuning", "finetuning-cpu.json", "python benchmarks/finetuning.py"),
    Source("Memory", "memory-cpu.json", "python benchmarks/memory.py"),
    Source("Attention on a CPU", "attention-cpu.json", "python benchmarks/attention.py --device cpu"),
    Source("Attention on a GPU", "attention-gpu.json", "benchmarks/gpu_check.sh attention"),
    Source("Pretraining on a GPU", "pretraining-gpu.json", "benchmarks/gpu_check.sh training"),
    Source("Where the time goes", "profile-cpu.json", "python benchmarks/profile_step.py"),
    Source("Half an hour of pretraining, then real tasks", "race-en.json", "python benchmarks/race.py en"),
    Source("The same in Chinese", "race-zh.json", "python benchmarks/race.py zh"),
    Source("The demo", "demo.json", "make demo"),
    Source("Many processes", "many-processes-cpu.json", "python benchmarks/many_processes.py"),
    Source("Long runs", "long-runs.json", "python benchmarks/long_runs.py PART"),
)


def pretraining(key: str) -> Callable[[Record], float | None]:
    """Find one of our numbers on texts of one length, where freed memory is kept."""

    def find(record: Record) -> float | None:
        for result in record["results"]:
            if (result["workload"], result["allocator"]) == ("even", "keep"):
                value = result["rows"][0].get(key)
                return value["median"] if isinstance(value, dict) else value
        return None

    return find


def inference(workload: str, name: str | None = None) -> Callable[[Record], float | None]:
    """Find how many times faster ours is than a row, or than the best of the others that are as good."""

    def find(record: Record) -> float | None:
        for result in record["results"]:
            for row in result["rows"]:
                chosen = row["best_of_the_others"] if name is None else row["name"] == name
                if result["workload"] == workload and chosen:
                    value: float = row["ours_over_this"]["median"]
                    return value
        return None

    return find


def finetuning(name: str) -> Callable[[Record], float | None]:
    """Find how many times faster than a row ours is."""
    return lambda record: next((row["ours_over_this"] for row in record["rows"] if row["name"] == name), None)


def memory(work: str, start: str, key: str = "rest") -> Callable[[Record], float | None]:
    """Find ours as a share of the least that such rows take: of the rest, or of the whole peak."""

    def find(record: Record) -> float | None:
        rows = next((result["rows"] for result in record["results"] if result["work"] == work), [])
        found = [rows[0][key] / row[key] for row in rows if row["name"].startswith(start)]
        return max(found, default=None)

    return find


def fastest(record: Record) -> float | None:
    """Find the share of shapes on which nobody is faster than ours, forward and backward together."""
    found = []
    for result in record["results"]:
        both = {row["name"]: row["both"]["median"] for row in result["rows"] if "both" in row}
        ours_too = [name for name in both if name.startswith("minibert") or name.endswith("module")]
        others = [time for name, time in both.items() if name not in ours_too]
        if "minibert" in both and others:
            found.append(both["minibert"] <= min(others))
    return sum(found) / len(found) if found else None


BEST, LIKE_FOR_LIKE = "transformers at its best", "transformers Trainer bf16"
MINI, SMALL, BASE = (source.file for source in SOURCES[:3])
EMBEDDING, TUNING, MEMORY = (source.file for source in SOURCES[3:6])
ON_CPU, ON_GPU, GPU_TRAINING = (source.file for source in SOURCES[6:9])
AIMS = (
    Aim("pretraining, 4x256", BEST, 4, MINI, pretraining("over_best")),
    Aim("pretraining, 4x256", "transformers as shipped", 8, MINI, pretraining("over_shipped")),
    Aim("pretraining, 4x256", "torch.nn.TransformerEncoder", 1, MINI, pretraining("over_torch")),
    Aim("pretraining, 4x256", "matrix products", 0.3, MINI, pretraining("ceiling"), "share"),
    Aim("pretraining, 6x384", BEST, 3, SMALL, pretraining("over_best")),
    Aim("pretraining, 12x768", BEST, 1.5, BASE, pretraining("over_best")),
    Aim("pretraining, 12x768", "matrix products", 0.45, BASE, pretraining("ceiling"), "share"),
    Aim("embedding, sst2", "the best that is as good", 1.5, EMBEDDING, inference("sst2")),
    Aim("embedding, sst2", "ONNX Runtime int8", 1, EMBEDDING, inference("sst2", "ONNX Runtime int8")),
    Aim("embedding, imdb", "the best that is as good", 1.5, EMBEDDING, inference("imdb")),
    Aim("embedding, imdb", "ONNX Runtime int8", 1, EMBEDDING, inference("imdb", "ONNX Runtime int8")),
    Aim("fine-tuning", LIKE_FOR_LIKE, 3, TUNING, finetuning(LIKE_FOR_LIKE)),
    Aim("fine-tuning", "the same, grouped by length", 1, TUNING, finetuning(f"{LIKE_FOR_LIKE} grouped")),
    *(
        Aim(
            f"memory beyond {known}, {work}",
            "transformers",
            0.5,
            MEMORY,
            memory(work, "transformers"),
            "share",
            at_most=True,
            beside=memory(work, "transformers", "peak"),
            what_is="of the whole peak",
        )
        for work, known in (
            ("4x256", "imports, weights and optimiser"),
            ("12x768", "imports, weights and optimiser"),
            ("embedding", "imports and weights"),
        )
    ),
    Aim("attention on a CPU", "shapes on which ours is fastest", 1, ON_CPU, fastest, "share"),
    Aim("attention on a GPU", "shapes on which ours is fastest", 1, ON_GPU, fastest, "share"),
    Aim("pretraining on a GPU", BEST, 2, GPU_TRAINING, pretraining("over_best")),
)
