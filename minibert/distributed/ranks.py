"""Processes that train one model together: what one of them knows of the others, and what they do as one.

Every process holds the whole model. The micro-batches of a step are dealt out like cards: of W processes,
number r gets those at r, r + W, r + 2 W ... Their losses are sums, divided by the counts of the whole step,
so the gradient of the step is the plain sum of the processes' gradients:

    g = sum over r of g_r        g_r = sum over the micro-batches of r of d (loss / count of the step)

All of them then take the same optimiser step. Which micro-batches a step has depends on (seed, step) alone,
and not on W: so a run can be taken up again by another number of processes.

Instead of `DistributedDataParallel`: its means would have to be undone, it expects as many passes of every
process and one before each backward pass (R-Drop and FGM have two). The price: no sum is under way before the
last backward pass has ended. Numbers travel as JSON, for torch's way to send objects is a pickle.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from minibert.distributed.pieces import is_piece
from minibert.errors import InputError, ProcessLost

BUCKET = 25 * 2**20  # bytes of gradients that are summed at once


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together; alone, every method returns what it was given.

    >>> Ranks().mine("abc"), Ranks(rank=1, size=2).mine("abcd")
    ([(0, 'a'), (1, 'b'), (2, 'c')], [(1, 'b'), (3, 'd')])
    """

    rank: int = 0
    size: int = 1

    @staticmethod
    def here() -> "Ranks":
        """Return this process's place in torch's default group; without one it is alone."""
        if not (dist.is_available() and dist.is_initialized()):
            return Ranks()
        return Ranks(dist.get_rank(), dist.get_world_size())

    @property
    def first(self) -> bool:
        """Whether this is the process that decides and writes."""
        return self.rank == 0

    def mine(self, items: Sequence[Any]) -> list[tuple[int, Any]]:
        """Return the items that fall to this process, each with its place among all."""
        return [(place, items[place]) for place in range(self.rank, len(items), self.size)]

    def gather(self, value: Any) -> list[Any]:
        """Return every process's value, in their order; values are what JSON can hold."""
        if self.size == 1:
            return [value]
        told = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
        with connected():
            sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(self.size)]
            dist.all_gather(sizes, torch.tensor([len(told)]))
            rows = [torch.zeros(int(max(sizes)), dtype=torch.uint8) for _ in range(self.size)]
            padded = torch.zeros_like(rows[0])
            padded[: len(told)] = told
            dist.all_gather(rows, padded)
        return [json.loads(bytes(row[: int(size)].tolist())) for row, size in zip(rows, sizes, strict=True)]

    def agree(self, value: Any) -> Any:
        """Return the first process's value."""
        return value if self.size == 1 else self.gather(value if self.first else None)[0]

    def agree_dtype(self, dtype: torch.dtype) -> torch.dtype:
        """Return the first process's dtype: machines that measure may come to different ones."""
        name: torch.dtype = getattr(torch, self.agree(str(dtype).removeprefix("torch.")))
        return name

    def need(self, parts: int, *, even: bool = False) -> None:
        """Raise InputError where a step has too few micro-batches for the processes.

        even  every process needs as many as the others
        """
        if even and parts % self.size:
            raise InputError(
                f"a step has {parts} micro-batches, which {self.size} processes cannot share evenly, as fsdp "
                f"needs it; set gradient_accumulation_steps to a multiple of {self.size}"
            )
        if parts < self.size:
            raise InputError(
                f"a step has {parts} micro-batches, too few for {self.size} processes; set "
                f"gradient_accumulation_steps to {self.size} or a multiple of it, or start fewer processes"
            )

    def add(self, numbers: Mapping[str, float]) -> dict[str, Any]:
        """Return the sums of what the processes have under each name.

        >>> Ranks().add({"loss": 2.5, "tokens": 7})
        {'loss': 2.5, 'tokens': 7}
        """
        total: dict[str, Any] = {}
        for part in self.gather(dict(numbers)):
            for name, number in part.items():
                total[name] = total.get(name, 0) + number
        return total

    @contextmanager
    def first_goes_ahead(self) -> Iterator[None]:
        """Let the first process through the block before the others enter it."""
        if not self.first:
            self.gather(None)
        yield
        if self.first:
            self.gather(None)

    def spread(self, model: nn.Module) -> None:
        """Give the model of every process the first one's weights.

        Raises InputError where the models are not of one shape.
        """
        if self.size == 1:
            return
        state = model.state_dict()
        shapes = [f"{name} {tuple(tensor.shape)}" for name, tensor in state.items()]
        for rank, theirs in enumerate(self.gather(shapes)):
            for one, other in zip(theirs, shapes, strict=False):
                if one != other:
                    raise InputError(
                        f"process {rank} has the weight {one} where process {self.rank} has {other}; "
                        "start all of them with the same command and files"
                    )
        with connected():
            for tensor in state.values():
                dist.broadcast(tensor, 0)

    def sum_gradients(self, weights: Sequence[Tensor]) -> None:
        """Replace each gradient by the sum of all processes' gradients.

        A weight that has none anywhere is left without. Those of sharded weights have been summed already.
        """
        whole = [weight for weight in weights if not is_piece(weight)]
        if self.size == 1 or not whole:
            return
        with connected():
            has = torch.tensor([weight.grad is not None for weight in whole], dtype=torch.uint8)
            dist.all_reduce(has, dist.ReduceOp.MAX)
            used = [weight for weight, one in zip(whole, has.tolist(), strict=True) if one]
            grads = [torch.zeros_like(w) if w.grad is None else w.grad for w in used]
            for bucket in buckets(grads):
                flat = torch.cat([grad.reshape(-1) for grad in bucket])
                dist.all_reduce(flat)
                for grad, total in zip(bucket, flat.split([grad.numel() for grad in bucket]), strict=True):
                    grad.copy_(total.view_as(grad))
        for weight, grad in zip(used, grads, strict=True):
            weight.grad = grad


def buckets(tensors: Sequence[Tensor], size: int = BUCKET) -> Iterator[list[Tensor]]:
    """Yield neighbours of one dtype and of about `size` bytes together: few large messages, little memory.

    >>> [[len(one) for one in many] for many in buckets([torch.zeros(n) for n in (3, 4, 5, 1)], size=28)]
    [[3, 4], [5, 1]]
    """
    bucket: list[Tensor] = []
    for tensor in tensors:
        held = sum(one.nbytes for one in bucket)
        if bucket and (held + tensor.nbytes > size or tensor.dtype != bucket[0].dtype):
            yield bucket
            bucket = []
        bucket.append(tensor)
    if bucket:
        yield bucket


@contextmanager
def connected() -> Iterator[None]:
    """Name what torch says of a broken connection for what it is: another process has ended."""
    try:
        yield
    except RuntimeError as error:
        raise ProcessLost(f"the connection to another process broke: {error!s:.200}") from error
