"""The folder of an adapter: small, tied to its base by a hash, resumed exactly, and merged for others."""

import json
import shutil

import numpy as np
import pytest
import tiny_runs
import torch
from adapted_rows import ROWS as ROWS_OF

import minibert as mb
from minibert.adapt.build import adapt
from minibert.adapt.options import AdaptOptions
from minibert.checkpoint import load_tensors
from minibert.cli import main
from minibert.errors import InputError
from minibert.further.distill import distill
from minibert.tasks.masked_lm import MaskedLM

ROWS = "train.csv"
FAST = {"train.precision": "fp32", "train.max_steps": 6, "train.learning_rate": 1e-2, "data.progress": False}
LORA = {**FAST, "adapt.adapter": "lora", "adapt.lora_dropout": 0.3}
TEXTS = ["the cat sees", "the road"]


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    folder = tmp_path_factory.mktemp("given")
    tiny_runs.make_encoder(folder / "enc")
    tiny_runs.write_table(folder / ROWS)
    return folder


def run(given, output, *, base="enc", resume=False, **settings):
    usual = LORA if settings.get("adapt.adapter", "lora") == "lora" else FAST
    return mb.finetune(
        given / base, task="classification", train=given / ROWS, validation=given / ROWS,
        output_dir=output, settings={**usual, **settings}, resume=resume,
    )  # fmt: skip


def moved(folder, tmp_path):
    """Return a copy of an adapter whose base is not where it was."""
    copy = shutil.copytree(folder, tmp_path / f"{folder.name}-of-a-moved-base")
    told = json.loads((copy / "adapter.json").read_text("utf-8"))
    told["base"]["folder"] = str(tmp_path / "gone")
    (copy / "adapter.json").write_text(json.dumps(told), "utf-8")
    (copy / "manifest.json").unlink()
    return copy


def findings(folder, *, quick):
    return {found.name: found.seen for found in mb.doctor(folder, quick=quick).findings}


@pytest.fixture(scope="module")
def adapter(given):
    run(given, given / "lora")
    return given / "lora"


def test_a_folder_holds_what_the_base_does_not(given, adapter):
    names = {path.name for path in adapter.iterdir()}
    assert {"adapter.json", "config.json", "task.json", "model.safetensors"} <= names
    assert not {"spiece.model", "tokenizer_config.json"} & names
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (adapter, given / "enc")]
    assert sizes[0] < sizes[1] / 4


def test_another_base_is_refused_with_the_hash_that_was_wanted(given, adapter, tmp_path):
    other = tmp_path / "other"
    model = mb.load(given / "enc")
    model.encoder.blocks[0].attention.qkv.bias.data[7] += 1e-6
    model.save(other)
    wanted = json.loads((adapter / "adapter.json").read_text("utf-8"))["base"]["sha256"]
    for base in (other, mb.load(other)):
        with pytest.raises(InputError, match=wanted):
            mb.load(adapter, base=base)


def test_the_hash_is_that_of_the_weights_not_of_their_file(given, adapter, tmp_path):
    mb.load(given / "enc").save(tmp_path / "again")
    (tmp_path / "again/config.json").touch()
    assert mb.load(adapter, base=tmp_path / "again").predict(TEXTS) == mb.load(adapter).predict(TEXTS)


def test_the_same_weights_with_another_vocabulary_of_that_size_are_another_base(given, adapter, tmp_path):
    other = tmp_path / "other"
    model = mb.load(given / "enc")
    lines = [tiny_runs.sentence(number)[::-1] for number in range(200)]
    backwards = mb.train_sentencepiece(lines, model.task.tokenizer.vocab_size)
    mb.Model(model.encoder, MaskedLM(backwards, model.encoder.config)).save(other)
    for base in (other, mb.load(other)):
        with pytest.raises(InputError, match="made for a tokenizer whose pieces have the SHA-256"):
            mb.load(adapter, base=base)
    mb.save_pretrained(model, tmp_path / "hf")
    assert mb.load(adapter, base=tmp_path / "hf").predict(TEXTS) == mb.load(adapter).predict(TEXTS)


def test_a_folder_without_the_hash_of_the_vocabulary_opens_and_is_saved_with_it(adapter, tmp_path):
    older, path = shutil.copytree(adapter, tmp_path / "older"), tmp_path / "older/adapter.json"
    told = json.loads(path.read_text("utf-8"))
    wanted = told["base"].pop("vocabulary_sha256")
    path.write_text(json.dumps(told), "utf-8")
    (older / "manifest.json").unlink()
    mb.load(older).save(tmp_path / "again")
    again = json.loads((tmp_path / "again/adapter.json").read_text("utf-8"))
    assert again["base"]["vocabulary_sha256"] == wanted


def test_a_base_that_has_moved_is_asked_for_and_taken(given, adapter, tmp_path, capsys):
    base, lora = shutil.copytree(given / "enc", tmp_path / "moved"), moved(adapter, tmp_path)
    with pytest.raises(InputError, match=r"gone is not there.*--base"):
        mb.load(lora)
    wanted = mb.load(adapter).predict(TEXTS)
    assert mb.load(lora, base=base).predict(TEXTS) == wanted
    words = ["predict", "--model", str(lora), "--precision", "fp32", TEXTS[0]]
    assert main(words) == 2
    assert "--base DIR" in capsys.readouterr().err
    assert main([*words, "--base", str(base)]) == 0
    assert json.loads(capsys.readouterr().out)["label"] == wanted[0].label


def test_many_adapters_need_the_memory_of_one_base(given, adapter, tmp_path):
    run(given, tmp_path / "second", **{"adapt.lora_rank": 3})
    first = mb.load(adapter)
    second = mb.load(tmp_path / "second", base=first)
    for name, weight in first.encoder.named_parameters():
        if ".adapter." not in name:
            assert second.encoder.get_parameter(name) is weight
    assert first.predict(TEXTS) == mb.load(adapter).predict(TEXTS)
    assert second.predict(TEXTS) == mb.load(tmp_path / "second").predict(TEXTS)


@pytest.mark.parametrize("kind", ["lora", "prompt", "prefix"])
def test_a_resumed_run_ends_with_the_same_weights_bit_for_bit(given, tmp_path, kind):
    settings = {"train.save_steps": 4, "adapt.adapter": kind}
    whole = run(given, tmp_path / "whole", **settings)
    assert (tmp_path / "whole/checkpoint-4/adapter.json").is_file()
    (tmp_path / "whole/model.safetensors").unlink()
    resumed = run(given, tmp_path / "whole", resume=True, **settings)
    for name, weight in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], weight), name
    state = load_tensors(tmp_path / "whole/checkpoint-4/training_state.safetensors")
    assert not any("embeddings" in name for name in state)  # of the best weights too, the base's stay away


def test_nothing_is_trained_on_top_of_an_adapter_that_is_not_merged(given, adapter, tmp_path, capsys):
    with pytest.raises(InputError, match="--format minibert"):
        mb.finetune(adapter, task="classification", train=given / ROWS, output_dir=tmp_path / "x")
    plain = tmp_path / "plain"
    words = ["export", "--model", str(adapter), "--format", "minibert", "--output-dir", str(plain)]
    assert main(words) == 0
    capsys.readouterr()
    assert main(["export", "--model", str(plain), *words[3:6], str(tmp_path / "again")]) == 2
    assert "is one already" in capsys.readouterr().err
    assert mb.load_encoder(plain).embed(TEXTS).shape == (2, 32)
    pairs = zip(mb.load(plain).predict(TEXTS), mb.load(adapter).predict(TEXTS), strict=True)
    for merged, adapted in pairs:
        assert merged.probabilities == pytest.approx(adapted.probabilities, abs=1e-6)
    with pytest.raises(InputError, match="needs no base"):
        mb.load(plain, base=given / "enc")


def test_an_exported_adapter_is_merged_first(adapter, tmp_path):
    model = mb.load(adapter)
    assert mb.export(model, tmp_path / "graph", format="torch").difference < 1e-5
    assert not any("adapter" in name for name in load_tensors_of_hf(model, tmp_path / "hf"))


def test_a_prefix_is_exported_as_it_is_and_never_merged(given, tmp_path):
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    run(given, tmp_path / "prefix", **{"adapt.adapter": "prefix", "adapt.prompt_tokens": 3})
    model = mb.load(tmp_path / "prefix")
    assert mb.export(model, tmp_path / "graph", format="onnx").difference < 1e-5  # on texts of real length
    with pytest.raises(InputError, match=r"prefix is no change of matrices.*onnx or torch"):
        mb.save_pretrained(model, tmp_path / "hf")


def test_a_teacher_that_cannot_be_merged_says_which_students_it_has(given, tmp_path):
    run(given, tmp_path / "prompt", **{"adapt.adapter": "prompt", "train.max_steps": 1})
    student = {"train": given / ROWS, "output_dir": tmp_path / "student"}
    with pytest.raises(InputError, match=r"prompt is no change of matrices.*distill --model"):
        distill(tmp_path / "prompt", settings=FAST, **student)
    distill(tmp_path / "prompt", model=given / "enc", settings={**FAST, "train.max_steps": 1}, **student)


def load_tensors_of_hf(model, folder):
    mb.save_pretrained(model, folder)
    return load_tensors(folder / "model.safetensors")


@pytest.mark.parametrize(
    ("setting", "value", "base"),
    [("data.from_scratch", True, "enc"), ("data.reinit_layers", 1, "enc"), ("data.vocab_size", 300, "mini")],
)
def test_an_encoder_that_nobody_finds_again_gets_no_adapter(given, tmp_path, setting, value, base):
    with pytest.raises(InputError, match="adapter lora keeps the encoder of a folder"):
        mb.finetune(
            given / base if base == "enc" else base, task="seq2seq", train=[mb.ParallelExample("a", "b")],
            output_dir=tmp_path / "x", settings={**LORA, setting: value},
        )  # fmt: skip
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "text",
    ["[]", "{}", '{"base": {}, "options": {}}', '{"base": {"folder": "x", "sha256": 1}, "options": {}}'],
)
def test_a_damaged_description_is_named(adapter, tmp_path, text):
    shutil.copytree(adapter, tmp_path / "lora")
    (tmp_path / "lora/manifest.json").unlink()
    (tmp_path / "lora/adapter.json").write_text(text, "utf-8")
    with pytest.raises(InputError, match=r"adapter\.json"):
        mb.load(tmp_path / "lora")


def test_seeds_and_reruns_know_adapters(given, tmp_path, capsys, monkeypatch):
    words = ["--task", "classification", "--model", str(given / "enc"), "--train-file", str(given / ROWS)]
    words += [
        "--adapter",
        "lora",
        "--lora-r",
        "3",
        "--max-steps",
        "2",
        "--no-progress",
        "--precision",
        "fp32",
    ]
    one, many = str(tmp_path / "one"), str(tmp_path / "many")
    monkeypatch.setattr("sys.argv", ["minibert", "finetune", *words, "--output-dir", one])
    assert main() == 0
    assert main(["rerun", one, "--output-dir", str(tmp_path / "again")]) == 0
    assert tiny_runs.last_line(capsys.readouterr().out)["same_weights"]
    held = ["--validation-file", str(given / ROWS), "--seeds", "2"]
    assert main(["finetune", *words, *held, "--output-dir", many]) == 0
    assert mb.load(many).adaptation.options["lora_rank"] == 3


def test_a_base_that_is_changed_itself_is_no_base_for_others(given, adapter, tmp_path):
    run(given, tmp_path / "bitfit", **{"adapt.adapter": "bitfit"})
    with pytest.raises(InputError, match="has changed weights of its encoder"):
        mb.load(adapter, base=mb.load(tmp_path / "bitfit"))


@pytest.mark.parametrize(
    ("file", "key", "value", "told"),
    [
        ("adapter.json", "lora_rank", 10**12, "width 1,000,000,000,000"),
        ("adapter.json", "lora_rank", 3, "has shape"),
        ("adapter.json", "adapter", "prefix", "not wanted by the config|missing from"),
        ("adapter.json", "lora_target_modules", "key", "not wanted by the config|missing from"),
        ("adapter.json", "lora_alfa", 3, "did you mean 'lora_alpha'"),
        ("config.json", "num_hidden_layers", 3, "other weights than its base has|at least"),
        ("config.json", "num_hidden_layers", 10**12, "at least"),
        ("config.json", "hidden_size", 64, "other weights than its base has|at least"),
        ("task.json", "task", "guessing", "guessing"),
    ],
)
def test_what_was_tampered_with_is_an_error_and_takes_no_memory(adapter, tmp_path, file, key, value, told):
    shutil.copytree(adapter, tmp_path / "lora")
    (tmp_path / "lora/manifest.json").unlink()
    table = json.loads((adapter / file).read_text("utf-8"))
    inner = table["options"] if file == "adapter.json" else table
    inner[key] = value
    (tmp_path / "lora" / file).write_text(json.dumps(table), "utf-8")
    with pytest.raises(InputError, match=told):
        mb.load(tmp_path / "lora")


@pytest.mark.parametrize("quick", [True, False])
def test_the_doctor_finds_nothing_wrong_with_an_adapter_and_misses_a_base_that_has_moved(
    given, adapter, tmp_path, quick
):
    assert not {"model-folder", "damaged-weights", "base"} & set(findings(adapter, quick=quick))
    alone = shutil.copytree(adapter, tmp_path / "lora")
    told = json.loads((alone / "adapter.json").read_text("utf-8"))
    told["base"]["folder"] = str(tmp_path / "gone")
    (alone / "adapter.json").write_text(json.dumps(told), "utf-8")
    assert str(tmp_path / "gone") in findings(alone, quick=quick)["base"]


def test_the_doctor_opens_an_adapter_on_its_base(given, adapter, tmp_path):
    other = shutil.copytree(adapter, tmp_path / "lora")
    (other / "model.safetensors").write_bytes((given / "enc" / "model.safetensors").read_bytes())
    assert "damaged-weights" in findings(other, quick=False)


def test_pretraining_that_is_to_go_on_with_an_adapter_says_what_it_is(adapter, tmp_path, capsys):
    corpus = tiny_runs.write_corpus(tmp_path / "corpus.txt")
    words = ["pretrain", str(corpus), "--model", str(adapter), "--output-dir", str(tmp_path / "on")]
    assert main(words) == 2
    assert "holds an adapter, not an encoder; merge the two first" in capsys.readouterr().err


@pytest.mark.parametrize("base", ["enc", "search"])
def test_an_adapter_of_matrices_embeds_as_its_merged_model_does(given, tmp_path, base):
    """Whatever the base did with texts, the folder of a classifier says nothing of vectors."""
    habits = {"task.pooling": "first", "task.max_length": 5}
    if base == "search":
        mb.finetune(given / "enc", task="retrieval", train=ROWS_OF["retrieval"], output_dir=given / base,
                    settings={**FAST, **habits, "train.max_steps": 1}, resume=True)  # fmt: skip
        assert mb.load_encoder(given / base).pooling == "first"
    run(given, tmp_path / "lora", base=base)
    merge = ["export", "--model", str(tmp_path / "lora"), "--format", "minibert"]
    assert main([*merge, "--output-dir", str(tmp_path / "one")]) == 0
    one, own = mb.load_encoder(tmp_path / "one"), mb.load_encoder(tmp_path / "lora")
    assert (own.pooling, own.max_length) == (one.pooling, one.max_length) == ("mean", 64)
    texts = [*TEXTS, "the cat sees the dog and the dog sees the cat"]
    wanted, plain = one.embed(texts), mb.load_encoder(given / "enc").embed(texts)
    assert abs(own.embed(texts) - wanted).max() < 1e-5 < abs(own.embed(texts) - plain).max()


def test_every_command_that_takes_a_base_opens_the_adapter_on_it(given, adapter, tmp_path, capsys):
    lora, base = str(moved(adapter, tmp_path)), ["--base", str(given / "enc")]
    words = {"task.template": "{text} is [MASK].", "task.verbalizer": "animal=c,thing=r"}
    gaps = {**LORA, **words, "train.max_steps": 2}
    mb.finetune(given / "enc", task="cloze", train=given / ROWS, output_dir=tmp_path / "gaps", settings=gaps)
    gap = str(moved(tmp_path / "gaps", tmp_path))
    (tmp_path / "docs.txt").write_text("the cat sees the dog\nthe stone of the road\n", "utf-8")
    built = ["index", "--model", str(given / "enc"), "--file", str(tmp_path / "docs.txt")]
    assert main([*built, "--output-dir", str(tmp_path / "idx")]) == 0
    search = ["search", str(tmp_path / "idx"), "the cat", "--model", str(given / "enc")]
    graph = ["--format", "torch", "--outputs", "embeddings", "--output-dir", str(tmp_path / "graph")]
    asked = [
        (["predict", "--model", lora, "--labels", "the cat,the road", "the cat"], base),
        (["predict", "--model", gap, "--labels", "c,r", "--template", "{text} is [MASK].", "the cat"], base),
        (["export", "--model", lora, *graph], base),
        ([*search, "--rerank-model", lora, "--relevant-label", "animal"], ["--rerank-base", *base[1:]]),
    ]
    for command, where in asked:
        assert main(command) == 2, command
        assert "gone is not there" in capsys.readouterr().err
        assert main([*command, *where]) == 0, command


def test_a_trained_retrieval_adapter_is_indexed_and_searched_on_a_base_that_moved(given, tmp_path, capsys):
    mb.finetune(
        given / "enc", task="retrieval", train=ROWS_OF["retrieval"], output_dir=tmp_path / "lora",
        settings={**LORA, "task.pooling": "first"},
    )  # fmt: skip
    assert mb.load_encoder(tmp_path / "lora").pooling == "first"
    lora = moved(tmp_path / "lora", tmp_path)
    (tmp_path / "docs.txt").write_text("the cat sees the dog\nthe stone of the road\n", "utf-8")
    words = ["--model", str(lora)]
    build = ["index", *words, "--file", str(tmp_path / "docs.txt"), "--output-dir", str(tmp_path / "idx")]
    assert main(build) == 2
    assert "--base DIR" in capsys.readouterr().err
    words += ["--base", str(given / "enc"), "--precision", "fp32"]
    assert main([*build, *words, "--dtype", "float32"]) == 0
    capsys.readouterr()
    assert main(["search", str(tmp_path / "idx"), "the cat sees the dog", *words]) == 0
    assert json.loads(capsys.readouterr().out)["hits"][0]["text"] == "the cat sees the dog"
    assert main(["embed", "the cat", *words]) == 0
    size = mb.load_encoder(given / "enc").encoder.config.hidden_size
    assert len(json.loads(capsys.readouterr().out)["embedding"]) == size


@pytest.mark.parametrize("kind", ["bottleneck", "prompt", "prefix"])
def test_what_cannot_be_merged_embeds_as_it_is(given, tmp_path, kind, capsys):
    settings = {**FAST, "adapt.adapter": kind, "task.pooling": "mean", "train.learning_rate": 0.1}
    mb.finetune(
        given / "enc",
        task="retrieval",
        train=ROWS_OF["retrieval"],
        output_dir=tmp_path / "out",
        settings=settings,
    )
    encoder, model = mb.load_encoder(tmp_path / "out"), mb.load(tmp_path / "out")
    found, plain = encoder.embed(TEXTS), mb.load_encoder(given / "enc").embed(TEXTS, pooling="mean")
    wanted = np.stack([answer.query for answer in model.predict(TEXTS)])
    np.testing.assert_allclose(found, wanted / np.linalg.norm(wanted, axis=1, keepdims=True), atol=1e-5)
    assert np.abs(found - plain).max() > 1e-3
    with pytest.raises(InputError, match="that no family of transformers has; keep the folder"):
        encoder.save_pretrained(tmp_path / "theirs")
    assert not (tmp_path / "theirs").exists()
    (tmp_path / "docs.txt").write_text("the cat sees the dog\nthe stone of the road\n", "utf-8")
    words = ["--model", str(tmp_path / "out"), "--precision", "fp32"]
    assert (
        main(["index", *words, "--file", str(tmp_path / "docs.txt"), "--output-dir", str(tmp_path / "idx")])
        == 0
    )
    assert main(["search", str(tmp_path / "idx"), "the cat sees the dog", *words]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["hits"][0]["text"] == "the cat sees the dog"
    encoder.export(tmp_path / "graph", format="torch")


def test_a_whole_model_needs_no_base(given):
    with pytest.raises(InputError, match="needs no base"):
        mb.load_encoder(given / "enc", base=given / "enc")


@pytest.mark.parametrize("kind", ["bottleneck", "prompt", "prefix"])
def test_what_cannot_be_merged_is_no_encoder_and_its_base_is_named(given, tmp_path, kind, capsys):
    run(given, tmp_path / "adapter", **{"adapt.adapter": kind})
    words = ["finetune", "--task", "classification", "--model", str(tmp_path / "adapter"), "--train-file"]
    assert main([*words, str(given / "train.csv"), "--output-dir", str(tmp_path / "on")]) == 2
    told = capsys.readouterr().err
    assert f"of the kind {kind}, which cannot become one; give its base {given / 'enc'}" in told
    assert "export" not in told


def test_an_adapter_is_saved_only_where_it_will_open(given, adapter, tmp_path):
    with pytest.raises(InputError, match=r"has an adapter already \(lora\); open its base"):
        adapt(mb.load(adapter), AdaptOptions("bitfit"), base=given / "enc")
    run(given, tmp_path / "whole", **{"adapt.adapter": "none"})
    model = mb.load(tmp_path / "whole")
    names = set(model.state_dict())
    with pytest.raises(InputError, match="it was trained since; save the model"):
        adapt(model, AdaptOptions("lora"), base=given / "enc")
    assert set(model.state_dict()) == names
    adapt(model, AdaptOptions("lora"), base=tmp_path / "whole")
    model.save(tmp_path / "more")
    text = ["the cat"]
    assert mb.load(tmp_path / "more").predict(text) == mb.load(tmp_path / "whole").predict(text)


@pytest.mark.parametrize("kind", ["prompt", "prefix"])
def test_the_page_of_an_explanation_names_the_rows_of_prompts(given, tmp_path, kind, monkeypatch):
    run(given, tmp_path / "adapter", **{"adapt.adapter": kind, "adapt.prompt_tokens": 2})
    pages = []
    monkeypatch.setattr("minibert.commands.explain.write_page", lambda page, path: pages.append(page))
    words = ["explain", "--model", str(tmp_path / "adapter"), "--output", str(tmp_path / "why.html")]
    assert main([*words, "the cat sees"]) == 0
    drawn = pages[0]["attention"]
    assert drawn["tokens"][:3] == ["prompt 1", "prompt 2", "[CLS]"]
    weights = torch.tensor(drawn["weights"])
    assert weights.shape == (len(drawn["tokens"]),) * 2
    torch.testing.assert_close(weights.sum(1), torch.ones(len(weights)))
