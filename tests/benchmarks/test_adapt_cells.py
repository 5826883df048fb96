"""The cells of adaptation: who takes part, what they are told, and that peft trains what ours does."""

import os
from pathlib import Path

import pytest

from minibert.adapt.build import add_adapter
from minibert.adapt.hooks import is_adapters
from minibert.finetune import Settings
from minibert.model.config import EncoderConfig
from minibert.model.encoder import Encoder


@pytest.fixture
def cells_adapt(benchmark):
    return benchmark("cells_adapt")


def test_every_way_runs_on_every_data_set_by_settings_that_exist(cells_adapt, benchmark):
    places = benchmark("cells").Places(Path("data"), Path("minilm"), None, Path("scratch"))
    cells = cells_adapt.cells(places)
    ways = {"full", "head only", "lowest half frozen", "gradual unfreezing"}
    ways |= {"lora", "bottleneck", "bitfit", "prompt", "prefix"}
    longer = {f"{way}, twice as long" for way in ("lora", "peft lora", "full")}
    assert {cell.contestant for cell in cells} == {*ways, "peft lora", *longer}
    assert {cell.row for cell in cells} == set(cells_adapt.DATA)
    assert len(cells) == 3 * 10 + 3
    for cell in cells:
        Settings.of(cell.recipe)
        assert f"{cells_adapt.CAPS[cell.row]:,} training rows" in cell.note
        short = cells_adapt.EPOCHS[cell.row]
        if cell.contestant in longer:
            assert cell.recipe["train.num_train_epochs"] == 2 * short and "float32" in cell.note
    names = [cell.contestant for cell in cells]
    assert (names[0], names[29]) == ("full", "peft lora")


def test_the_chinese_row_has_every_way_of_ours_for_four_layers(cells_adapt, benchmark):
    places = benchmark("cells").Places(Path("data"), Path("minilm"), Path("zh"), Path("scratch"))
    cells = {cell.contestant: cell for cell in cells_adapt.cells(places) if cell.row == "thucnews_titles"}
    assert set(cells) == set(cells_adapt.ways(1.0)) - {"bitfit"}
    assert cells["full"].recipe["train.learning_rate"] == cells_adapt.SMALL_RATE
    assert cells["lowest half frozen"].recipe["train.freeze"] == 2
    way = cells["gradual unfreezing"].recipe  # four layers and the embeddings, in the first half of the run
    assert 5 * way["train.gradual_unfreezing"] == pytest.approx(way["train.num_train_epochs"] / 2)


def test_both_loras_have_the_same_numbers(cells_adapt):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    pytest.importorskip("peft", reason="peft is not installed")
    config = transformers.BertConfig(
        vocab_size=30, hidden_size=12, num_hidden_layers=2, num_attention_heads=2, intermediate_size=20
    )
    counts: list[int] = []
    model = transformers.BertForSequenceClassification(config)
    cells_adapt.with_lora("classification", counts)(model)
    # two layers: query, key, value and what follows them, and the two of the feed-forward network
    updates = 2 * cells_adapt.RANK * (4 * (12 + 12) + 2 * (12 + 20))
    ours = Encoder(EncoderConfig(30, 12, num_hidden_layers=2, num_attention_heads=2, intermediate_size=20))
    add_adapter(ours, Settings.of(cells_adapt.LORA).adapt)
    assert sum(w.numel() for name, w in ours.named_parameters() if is_adapters(name)) == updates
    assert counts == [updates + 2 * 12 + 2 + 12 * 12 + 12]  # and the head with BERT's pooler


def test_the_last_layer_thaws_before_the_run_is_half_over(cells_adapt):
    for epochs in (3.0, 5.0):
        way = cells_adapt.ways(epochs)["gradual unfreezing"]
        assert 7 * way["train.gradual_unfreezing"] == pytest.approx(epochs / 2)


def test_a_run_has_a_process_of_its_own_and_its_end_is_noticed(benchmark):
    resident = benchmark("resident")
    process, seed = resident.in_own_process(lambda seed: (os.getpid(), seed))(3)
    assert process != os.getpid() and seed == 3
    with pytest.raises(SystemExit, match="ended without a result"):
        resident.in_own_process(lambda seed: seed // 0)(3)
