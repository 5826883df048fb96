"""`minibert index` and `minibert search`, and a retrieval model on the command line from end to end."""

import json

import pytest
import tiny_runs

from minibert.cli import main
from minibert.embedding.index import Index

DOCUMENTS = [{"id": f"d{number}", "text": tiny_runs.sentence(number)} for number in range(13)]


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def lines_of(text):
    return [json.loads(line) for line in text.strip().splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    tiny_runs.make_encoder(folder / "enc")
    (folder / "docs.jsonl").write_text("\n".join(map(json.dumps, DOCUMENTS)))
    assert run("index", "--model", folder / "enc", "--file", folder / "docs.jsonl", "--output-dir",
               folder / "idx") == 0  # fmt: skip
    return folder


def test_every_document_finds_itself(folder, capsys):
    texts = [row["text"] for row in DOCUMENTS]
    assert run("search", folder / "idx", *texts, "--model", folder / "enc", "--top-k", 2) == 0
    found = lines_of(capsys.readouterr().out)
    assert [row["query"] for row in found] == texts
    assert [row["hits"][0]["id"] for row in found] == [row["id"] for row in DOCUMENTS]
    assert all(len(row["hits"]) == 2 for row in found)


def test_queries_come_from_stdin(folder, monkeypatch, capsys):
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("The cat\n\nThe dog\n"))
    assert run("search", folder / "idx", "-", "--model", folder / "enc") == 0
    assert [row["query"] for row in lines_of(capsys.readouterr().out)] == ["The cat", "The dog"]


def test_words_are_searched_beside_vectors_and_prompts_stand_before_queries(folder, capsys):
    texts = [DOCUMENTS[4]["text"], "zzz"]
    line = ("search", folder / "idx", *texts, "--model", folder / "enc", "--top-k", 3)
    found = {}
    for name, told in {"plain": (), "hybrid": ("--hybrid",), "prompt": ("--prompt", "The dog sees ")}.items():
        assert run(*line, *told) == 0
        found[name] = [row["hits"] for row in lines_of(capsys.readouterr().out)]
    assert found["hybrid"][0][0] == {**found["plain"][0][0], "score": round(2 / 61, 6)}
    assert [hit["id"] for hit in found["hybrid"][1]] == [hit["id"] for hit in found["plain"][1]]
    assert found["prompt"][0] != found["plain"][0]
    assert run("embed", "--model", folder / "enc", texts[0], "--prompt", "The dog sees ") == 0
    assert run("embed", "--model", folder / "enc", "The dog sees " + texts[0]) == 0
    one, other = lines_of(capsys.readouterr().out)
    assert one["embedding"] == other["embedding"]
    assert run("embed", "--model", folder / "enc", "a", "--prompt-name", "query") == 2
    assert "prompt_name 'query' is unknown; the checkpoint has none" in capsys.readouterr().err


def test_an_index_is_overwritten_only_when_asked(folder, capsys):
    line = (
        "index",
        "--model",
        folder / "enc",
        "--file",
        folder / "docs.jsonl",
        "--output-dir",
        folder / "idx",
    )
    assert run(*line) == 2
    assert "is not empty" in capsys.readouterr().err
    assert run(*line, "--overwrite-output-dir", "--dtype", "float32") == 0
    assert Index(folder / "idx").settings.dtype == "float32"


def test_a_retrieval_model_is_trained_scored_indexed_and_asked(folder, capsys):
    rows = [{"query": f"Who {verb}?", "positive": f"The cat {verb} the tree."} for verb in tiny_runs.VERBS]
    train = folder / "train.jsonl"
    train.write_text("\n".join(map(json.dumps, rows)))
    assert run("finetune", "--task", "retrieval", "--model", folder / "enc", "--train-file", train,
               "--validation-file", train, "--output-dir", folder / "dpr", "--fp32", "--no-progress",
               "--max-steps", 25, "--eval-steps", 25, "--learning-rate", "1e-2",
               "--temperature", "0.1") == 0  # fmt: skip
    result = tiny_runs.last_line(capsys.readouterr().out)
    assert result["ndcg@10"] > 0.9
    assert run("evaluate", "--model", folder / "dpr", "--file", train) == 0
    assert tiny_runs.last_line(capsys.readouterr().out)["ndcg@10"] == pytest.approx(
        result["ndcg@10"], abs=1e-3
    )
    assert run("predict", "--model", folder / "dpr", "Who sees?") == 0
    assert len(lines_of(capsys.readouterr().out)[0]["vector"]) == 32
    (folder / "cats.txt").write_text("\n".join(row["positive"] for row in rows))
    assert run("index", "--model", folder / "dpr", "--file", folder / "cats.txt", "--output-dir",
               folder / "cats") == 0  # fmt: skip
    capsys.readouterr()
    assert run("search", folder / "cats", "Who sees?", "--model", folder / "dpr") == 0
    assert lines_of(capsys.readouterr().out)[0]["hits"][0]["text"] == "The cat sees the tree."


def test_a_cross_encoder_orders_the_hits_anew(folder, capsys):
    rows = [
        f"{text},{row['text']},{int(row['id'] == 'd3')}" for row in DOCUMENTS for text in ("what?", "who?")
    ]
    (folder / "pairs.csv").write_text("question,answer,label\n" + "\n".join(rows))
    assert run("finetune", "--task", "classification", "--model", folder / "enc", "--train-file",
               folder / "pairs.csv", "--output-dir", folder / "cross", "--fp32", "--no-progress",
               "--max-steps", 60, "--learning-rate", "1e-2", "--classifier-dropout", 0) == 0  # fmt: skip
    capsys.readouterr()
    assert run("search", folder / "idx", "what?", "--model", folder / "enc", "--rerank-model",
               folder / "cross", "--top-k", 3) == 0  # fmt: skip
    (row,) = lines_of(capsys.readouterr().out)
    assert row["hits"][0]["id"] == "d3" and len(row["hits"]) == 3
    assert 0 <= row["hits"][1]["score"] <= row["hits"][0]["score"] <= 1
    assert run("search", folder / "idx", "what?", "--model", folder / "enc", "--rerank-model",
               folder / "cross", "--relevant-label", "yes") == 2  # fmt: skip
    assert "'yes' is none of the model's: 0, 1" in capsys.readouterr().err


def test_a_summarizer_is_trained_scored_and_asked(folder, capsys):
    story = [tiny_runs.sentence(number) for number in range(3)]
    rows = [{"article": " ".join(story[at:] + story[:at]), "highlights": story[1]} for at in range(3)]
    (folder / "news.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert run("finetune", "--task", "extractive_summary", "--model", folder / "enc", "--train-file",
               folder / "news.jsonl", "--output-dir", folder / "summary", "--fp32", "--no-progress",
               "--max-steps", 60, "--learning-rate", "1e-2", "--num-sentences", 1) == 0  # fmt: skip
    assert run("evaluate", "--model", folder / "summary", "--file", folder / "news.jsonl") == 0
    assert tiny_runs.last_line(capsys.readouterr().out)["rouge1"] == pytest.approx(1, abs=1e-3)
    assert run("predict", "--model", folder / "summary", "--file", folder / "news.jsonl") == 0
    for row, shown in zip(rows, lines_of(capsys.readouterr().out), strict=True):
        assert shown["text"] == row["article"] and shown["summary"] == story[1]
        assert [each["chosen"] for each in shown["sentences"]].count(True) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("search", "{}/enc", "q", "--model", "{}/enc"), "it is no index"),
        (("search", "{}/idx", " ", "--model", "{}/enc"), "query 1 is empty"),
        (("search", "{}/idx", "q", "--model", "{}/enc", "--top-k", "0"), "--top-k 0: give a number"),
        (("search", "{}/idx", "q", "--model", "{}/enc", "--hybrid", "--top-k", "0"), "--top-k 0: give"),
        (("search", "{}/idx", "q", "--model", "{}/enc", "--rerank-depth", "-1"), "--rerank-depth -1: give"),
        (("index", "--model", "{}/enc", "--file", "{}/none.txt", "--output-dir", "{}/new"), "no such file"),
        (("index", "--model", "{}/enc", "--file", "{}/docs.jsonl", "--output-dir", "{}/new",
          "--text-column", "body"), "line 1: no value for 'body'"),
    ],
)  # fmt: skip
def test_mistakes_are_one_sentence_and_leave_nothing(folder, capsys, arguments, message):
    assert run(*(argument.format(folder) for argument in arguments)) == 2
    err = capsys.readouterr().err.strip().splitlines()[-1]
    assert err.startswith("minibert: error: ") and message in err
    assert not (folder / "new").exists()
