"""LoRA adapters of `peft`: theirs read here, ours read there, the same hidden states and logits."""

import json

import pytest
import torch

transformers = pytest.importorskip("transformers", reason="transformers is not installed")
peft = pytest.importorskip("peft", reason="peft is not installed")
import foreign_tokenizers  # noqa: E402
import tiny_runs  # noqa: E402
from foreign_models import CLASSES, make_model, odd_config, save_model  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

import minibert as mb  # noqa: E402
from minibert.adapt.build import adapt  # noqa: E402
from minibert.adapt.lora import updates_of  # noqa: E402
from minibert.adapt.options import AdaptOptions  # noqa: E402
from minibert.cli import main  # noqa: E402
from minibert.errors import InputError  # noqa: E402
from minibert.interop.checkpoints import read_encoder  # noqa: E402
from minibert.interop.peft_export import save_peft  # noqa: E402
from minibert.interop.peft_folders import read_peft  # noqa: E402
from minibert.packed import Packed  # noqa: E402
from minibert.tasks.retrieval import Retrieval  # noqa: E402

TARGETS = {
    "bert": ["query", "value", "attention.output.dense", "intermediate.dense"],
    "roberta": ["key", "layer.0.output.dense"],
    "distilbert": ["q_lin", "v_lin", "lin2"],
    "electra": ["query", "value"],
    "modernbert": ["Wqkv", "Wo"],
}
IDS = torch.tensor([[7, 4, 9, 30, 8], [8, 6, 11, 2, 5]])


def theirs(folder, family, **options):
    """Save a base and an adapter on it whose B says something; return their model."""
    base = save_model(make_model(config_of(family), "Model"), folder / "base")
    model = getattr(transformers, CLASSES[family] + "Model").from_pretrained(base)
    given = {"r": 3, "lora_alpha": 5, "target_modules": TARGETS[family], **options}
    adapted = peft.get_peft_model(model, peft.LoraConfig(**given)).eval()
    torch.manual_seed(3)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.3)
    adapted.save_pretrained(folder / "adapter")
    return adapted


def config_of(family):
    """Return an odd config with room for an adapter to be heard."""
    drawn = (odd_config(family, seed) for seed in range(20))
    return next(config for config in drawn if config.hidden_size > 8)


def hidden_of(encoder):
    with torch.no_grad():
        return encoder.eval()(Packed.of(IDS.tolist())).unflatten(0, IDS.shape)


@pytest.mark.parametrize("rslora", [False, True])
@pytest.mark.parametrize("family", TARGETS)
def test_their_adapter_gives_their_hidden_states_here(tmp_path, family, rslora):
    model = theirs(tmp_path, family, use_rslora=rslora)
    encoder = read_encoder(tmp_path / "base")
    plain = hidden_of(encoder)
    read_peft(tmp_path / "adapter", encoder, family)
    with torch.no_grad():
        wanted = model(input_ids=IDS).last_hidden_state
    assert (hidden_of(encoder) - plain).abs().max() > 1e-2
    torch.testing.assert_close(hidden_of(encoder), wanted, atol=1e-5, rtol=0)


def test_an_update_of_the_pooler_stays_outside_with_the_head(tmp_path):
    model = theirs(tmp_path, "bert", target_modules="all-linear")
    assert any("pooler.dense.lora_A" in name for name, _ in model.named_parameters())
    encoder = read_encoder(tmp_path / "base")
    read_peft(tmp_path / "adapter", encoder, "bert")
    with torch.no_grad():
        wanted = model(input_ids=IDS).last_hidden_state
    torch.testing.assert_close(hidden_of(encoder), wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("family", "wanted"),
    [
        ("bert", "query,value"), ("bert", "all-linear"), ("roberta", "key,feed_forward"),
        ("distilbert", "blocks.0"), ("electra", "qkv"), ("modernbert", "qkv,attention.output"),
    ],
)  # fmt: skip
def test_our_adapter_gives_our_hidden_states_there(tmp_path, family, wanted, capsys):
    base = save_model(make_model(config_of(family), "Model"), tmp_path / "base")
    encoder = read_encoder(base)
    model = mb.Model(encoder, pair_task(encoder))
    adapt(model, AdaptOptions("lora", 3, 5.0, 0.0, wanted), base=base)
    torch.manual_seed(3)
    for update in updates_of(encoder).values():
        for part in update.parts.values():
            torch.nn.init.normal_(part.up.weight, std=0.3)
    save_peft(model, tmp_path / "peft")
    assert "pooling and longest text of retrieval are left out" in capsys.readouterr().err
    original = getattr(transformers, CLASSES[family] + "Model").from_pretrained(base)
    adapted = peft.PeftModel.from_pretrained(original, tmp_path / "peft").eval()
    with torch.no_grad():
        found = adapted(input_ids=IDS).last_hidden_state
    torch.testing.assert_close(found, hidden_of(encoder), atol=1e-5, rtol=0)
    again = read_encoder(base)
    read_peft(tmp_path / "peft", again, family)
    torch.testing.assert_close(hidden_of(again), hidden_of(encoder), atol=1e-6, rtol=0)


def pair_task(encoder):
    """Return a task whose head no family has: only the adapter is written."""
    lines = [tiny_runs.sentence(number) for number in range(200)]
    tokenizer = mb.train_sentencepiece(lines, tiny_runs.VOCABULARY)
    return Retrieval.build(tokenizer, encoder.config, [], {})


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_a_classifier_gives_the_same_logits_there(tmp_path, family, capsys):
    kind = {"bert": "wordpiece", "roberta": "byte_bpe"}[family]
    base = foreign_tokenizers.KINDS[kind](tmp_path / "base")
    tokenizer = mb.load_tokenizer(base)
    sizes = {"vocab_size": tokenizer.vocab_size + 7, "max_position_embeddings": 40}
    ids = {"pad_token_id": tokenizer.pad_id} if family == "roberta" else {}
    save_model(make_model(odd_config(family, 2, **sizes, **ids), "Model"), base)
    rows = tiny_runs.write_table(tmp_path / "train.csv")
    settings = {"train.max_steps": 3, "train.precision": "fp32", "data.progress": False}
    settings |= {"adapt.adapter": "lora", "train.learning_rate": 1e-2}
    run = tmp_path / "lora"
    mb.finetune(base, task="classification", train=rows, output_dir=run, settings=settings)
    ours, out = mb.load(run), tmp_path / "peft"
    assert main(["export", "--model", str(run), "--format", "peft", "--output-dir", str(out)]) == 0
    assert "left out" not in capsys.readouterr().err
    original = transformers.AutoModelForSequenceClassification.from_pretrained(base, num_labels=2)
    adapted = peft.PeftModel.from_pretrained(original, out).eval()
    batch = Packed.of([window.tokens.ids for window in ours.task.encode("the cat sees")])
    with torch.no_grad():
        logits = adapted(input_ids=batch.ids[None]).logits
        torch.testing.assert_close(logits, ours.task.logits(ours.encoder, batch), atol=1e-5, rtol=0)
    texts = ["the cat sees", "the road"]
    merged = mb.load_encoder(out).embed(texts)
    wanted = mb.load_encoder(base)
    assert abs(merged - wanted.embed(texts)).max() > 1e-4
    wanted.encoder = ours.encoder
    assert abs(merged - wanted.embed(texts)).max() < 1e-5
    moved = base.rename(tmp_path / "moved")
    assert (mb.load_encoder(out, base=moved).embed(texts) == merged).all()


@pytest.mark.parametrize(
    ("key", "value"),
    [("use_dora", True), ("bias", "all"), ("rank_pattern", {"query": 2}), ("peft_type", "IA3"),
     ("init_lora_weights", "pissa"), ("something_new", 1)],
)  # fmt: skip
def test_settings_that_are_not_here_are_refused_by_name(tmp_path, key, value):
    theirs(tmp_path, "bert")
    path = tmp_path / "adapter/adapter_config.json"
    table = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**table, key: value}), "utf-8")
    encoder = read_encoder(tmp_path / "base")
    names = set(encoder.state_dict())
    with pytest.raises(InputError, match=rf"adapter_config\.json: {key} is"):
        read_peft(tmp_path / "adapter", encoder, "bert")
    assert set(encoder.state_dict()) == names


def test_a_rank_that_is_no_number_is_refused(tmp_path):
    theirs(tmp_path, "bert")
    path = tmp_path / "adapter/adapter_config.json"
    path.write_text(path.read_text("utf-8").replace('"r": 3', '"r": "many"'), "utf-8")
    with pytest.raises(InputError, match=r"adapter_config\.json: r is 'many'"):
        read_peft(tmp_path / "adapter", read_encoder(tmp_path / "base"), "bert")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda name, tensor: (name.replace("query", "kwery"), tensor), "kwery"),
        (lambda name, tensor: (name, tensor[:2].clone()), "has shape"),
        (lambda name, tensor: (name.replace("lora_A", "lora_embedding_A"), tensor), "lora_embedding_A"),
    ],
)
def test_tensors_that_do_not_fit_are_named(tmp_path, change, told):
    theirs(tmp_path, "bert")
    path = tmp_path / "adapter/adapter_model.safetensors"
    save_file(dict(change(name, tensor) for name, tensor in load_file(path).items()), path)
    with pytest.raises(InputError, match=told):
        read_peft(tmp_path / "adapter", read_encoder(tmp_path / "base"), "bert")


@pytest.mark.parametrize(("lost", "kept"), ["AB", "BA"])
def test_half_of_an_update_is_named_and_the_encoder_stays_as_it_is(tmp_path, lost, kept):
    theirs(tmp_path, "bert")
    path = tmp_path / "adapter/adapter_model.safetensors"
    name = "layer.0.attention.self.query"
    whole = load_file(path)
    save_file({key: whole[key] for key in whole if f"{name}.lora_{lost}." not in key}, path)
    encoder = read_encoder(tmp_path / "base")
    names = set(encoder.state_dict())
    with pytest.raises(InputError, match=f"{name} has lora_{kept} and no lora_{lost}; an update has both"):
        read_peft(tmp_path / "adapter", encoder, "bert")
    assert set(encoder.state_dict()) == names


def test_parts_of_one_layer_of_theirs_are_refused(tmp_path):
    base = save_model(make_model(config_of("modernbert"), "Model"), tmp_path / "base")
    encoder = read_encoder(base)
    model = mb.Model(encoder, pair_task(encoder))
    adapt(model, AdaptOptions("lora"), base=base)
    with pytest.raises(InputError, match="lora_target_modules qkv"):
        save_peft(model, tmp_path / "peft")
    assert not (tmp_path / "peft").exists()


def test_a_folder_of_peft_says_what_opens_it(tmp_path):
    theirs(tmp_path, "bert")
    with pytest.raises(InputError, match="merge it into its base first"):
        mb.finetune(tmp_path / "adapter", task="tagging", train=[], output_dir=tmp_path / "x")
