"""The pointer: a loop over places is its oracle, its shares are probabilities, its gradients are finite."""

import pytest
import torch

from minibert.model.cross_attention import Memory
from minibert.model.pointer import NO_TOKEN, Copies, Pointer
from minibert.packed import Layout

SIZE, VOCABULARY = 6, 9
SOURCES, TARGETS = Layout.of([4, 1, 3]), Layout.of([2, 3, 1])
IDS = torch.tensor([7, 5, 7, 2, 3, NO_TOKEN, 8, 2])


@pytest.fixture
def pointer() -> Pointer:
    torch.manual_seed(0)
    return Pointer(SIZE, spread=0.7).double()


@pytest.fixture
def memory() -> Memory:
    return Memory(torch.randn(8, SIZE, dtype=torch.float64), SOURCES)


def by_hand(pointer: Pointer, memory: Memory, hidden, said, source: int) -> torch.Tensor:
    """Return p (V) of the next token of one source, place by place."""
    start = int(SOURCES.starts[source])
    places = [start + at for at in range(SOURCES.lengths[source]) if IDS[start + at] != NO_TOKEN]
    query = pointer.query(hidden[None])[0]
    scores = torch.stack([query @ pointer.key(memory.rows_U[[u]])[0] / SIZE**0.5 for u in places])
    gate = torch.sigmoid(pointer.gate(hidden[None])[0, 0])
    p = gate * said
    for place, share in zip(places, scores.softmax(0), strict=True):
        p = p.index_add(0, IDS[[place]], ((1 - gate) * share)[None])
    return p


def test_both_ways_give_what_a_loop_gives(pointer, memory):
    copies = pointer.remember(memory, IDS)
    hidden_TD = torch.randn(TARGETS.tokens, SIZE, dtype=torch.float64)
    said_TV = torch.randn(TARGETS.tokens, VOCABULARY, dtype=torch.float64).softmax(-1)
    labels_T = torch.tensor([7, 1, 3, 0, 3, 8])
    wanted_TV = torch.stack(
        [
            by_hand(pointer, memory, hidden, said, source)
            for hidden, said, source in zip(hidden_TD, said_TV, TARGETS.sequence_T.tolist(), strict=True)
        ]
    )
    torch.testing.assert_close(wanted_TV.sum(1), torch.ones(len(labels_T), dtype=torch.float64))
    log_said_T = said_TV.log().gather(1, labels_T[:, None])[:, 0]
    log_p_T = pointer.log_p(log_said_T, hidden_TD, labels_T, TARGETS, copies)
    torch.testing.assert_close(log_p_T, wanted_TV.log().gather(1, labels_T[:, None])[:, 0])
    for source in range(3):
        rows = [source] * 2  # two sequences of one source
        found_RV = pointer.mix(said_TV[rows], hidden_TD[rows], copies.select([source]))
        wanted_V = by_hand(pointer, memory, hidden_TD[source], said_TV[source], source)
        torch.testing.assert_close(found_RV, wanted_V.expand(2, -1))


def test_a_label_that_nobody_can_say_has_a_loss_and_a_gradient_all_the_same(pointer):
    copies = Copies(torch.zeros(1, 2, SIZE, dtype=torch.float64), torch.tensor([[4, 5]]))
    log_said_T = torch.full((1,), -200.0, requires_grad=True)
    hidden_TD = torch.ones(1, SIZE, dtype=torch.float64, requires_grad=True)
    (log_p,) = pointer.log_p(log_said_T, hidden_TD, torch.tensor([1]), Layout.of([1]), copies)
    log_p.backward()
    assert log_p.item() == pytest.approx(-69.0776, abs=1e-3)  # ln 1e-30
    assert torch.isfinite(hidden_TD.grad).all()
    assert torch.isfinite(log_said_T.grad).all()
