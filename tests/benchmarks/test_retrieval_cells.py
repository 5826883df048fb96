"""What the retrieval rows ask is what they say: gains, candidates, budgets, and nothing seen in training."""

import json
import lzma

import numpy as np
import pytest


@pytest.fixture
def problems(benchmark):
    return benchmark("retrieval_problems")


@pytest.fixture
def contestants(benchmark):
    return benchmark("retrieval_contestants")


@pytest.fixture
def summaries(benchmark):
    return benchmark("summary_contestants")


def write_lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode("utf-8")
    path.write_bytes(lzma.compress(content) if path.suffix == ".xz" else content)


def test_the_grades_of_cranfield_become_gains(problems, tmp_path):
    folder = tmp_path / "cranfield"
    write_lines(
        folder / "docs.jsonl.xz",
        [{"doc_id": str(n), "title": "t", "text": f"t {'x' * 50}"} for n in (1, 2, 3, 4)],
    )
    write_lines(folder / "queries.jsonl", [{"query_id": 7, "text": "q"}])
    (folder / "qrels.tsv").write_text("query_id\tdoc_id\trelevance\n7\t1\t1\n7\t2\t4\n7\t3\t-1\n")
    problem = problems.cranfield(tmp_path)
    assert problem.judged == {"7": {"1": 4.0, "2": 1.0, "3": 1.0}}
    assert problem.rankings(np.array([[0.1, 0.9, 0.5, 0.9]])) == {"7": ["4", "2", "3", "1"]}
    assert [(row.text, row.positive) for row in problems.titles(problem, tmp_path)] == [("t", "x" * 50)] * 4


def test_trecqa_ranks_the_judged_sentences_of_each_question(problems, tmp_path):
    (tmp_path / "trecqa").mkdir()
    (tmp_path / "trecqa" / "dev.csv").write_text("qtext,label,atext\nwho,0,a\nwhy,1,b\nwho,1,b\n")
    problem, pairs = problems.trecqa(tmp_path, "dev")
    assert problem.candidates == {"q000": ["d00000", "d00002"], "q001": ["d00001"]}
    assert problem.judged["q000"] == {"d00000": 0.0, "d00002": 1.0}
    assert len(pairs) == 3


def test_a_next_turn_stands_among_nine_of_other_dialogues(problems):
    dialogues = [[f"{n}-{at}" for at in range(4)] for n in range(30)]
    problem = problems.next_turns(dialogues, cases=20, context=2)
    assert len(problem.queries) == 20
    for query, text in problem.queries.items():
        names = problem.candidates[query]
        offered = [problem.documents[name] for name in names]
        (right,) = [problem.documents[name] for name in names if problem.judged[query][name]]
        number, at = map(int, right.split("-"))
        assert text.split("\n")[-1] == f"{number}-{at - 1}" and len(text.split("\n")) == min(at, 2)
        assert len(set(offered)) == 10
        assert [each for each in offered if each.startswith(f"{number}-")] == [right]
    assert problems.next_turns(dialogues, cases=20, context=2) == problem


def test_lines_of_labels_are_no_turns(problems, tmp_path):
    write_lines(
        tmp_path / "xdailydialog" / "test.jsonl.xz", [{"en": ["Hi .", "Hello .", "1\t3 4\t0 0"], "zh": []}]
    )
    assert problems.english_dialogues(tmp_path, "test") == [["Hi .", "Hello ."]]


def test_fusion_by_hand(contestants):
    """1/61 + 1/62 for a and b alike: the id decides; c stands in one ranking only."""
    assert contestants.fused({"q": ["a", "b"]}, {"q": ["b", "a", "c"]}) == {"q": ["a", "b", "c"]}


def test_bm25_and_vectors_rank_the_same_problem(problems, contestants):
    problem = problems.Problem({"q": "cat"}, {"d1": "a dog", "d2": "a cat"}, {"q": {"d2": 1.0}})

    def embed(texts):
        return np.array([[text.count("cat"), text.count("dog")] for text in texts], float)

    for rankings in (contestants.by_words(problem), contestants.by_vectors(problem, embed)):
        assert rankings == {"q": ["d2", "d1"]}
        assert contestants.measured(problem, rankings, "map", "mrr@10") == {"map": 1.0, "mrr@10": 1.0}


def test_training_turns_come_with_their_context(contestants):
    rows = contestants.pairs_of_turns([["a", "b", "c"]], count=9, context=1)
    assert sorted((row.text, row.positive) for row in rows) == [("a", "b"), ("b", "c")]
    labelled = contestants.labelled_turns(rows, wrong=3)
    assert [row.label for row in labelled] == ["1", "0", "0", "0"] * 2


def test_budgets_of_extracts(summaries):
    text = "One two. Three four five. Six. Seven eight nine ten."
    lead = summaries.extract(text, summaries.lead, ratio=0.0)
    assert lead.splitlines() == ["One two.", "Three four five.", "Six."]
    assert summaries.extract(text, summaries.lead, ratio=0.2).splitlines() == ["One two.", "Three four five."]
    last = summaries.extract(text, lambda sentences: range(len(sentences)), ratio=0.1)
    assert last == "Seven eight nine ten."
    assert summaries.extract(text, summaries.drawn(3), ratio=0.5) == summaries.extract(
        text, summaries.drawn(3), ratio=0.5
    )


def test_every_cell_of_the_area_has_a_row_a_name_and_honest_caps(benchmark, tmp_path):
    module, cells = benchmark("cells_retrieval"), benchmark("cells")
    places = cells.Places(tmp_path, tmp_path, tmp_path, tmp_path)
    found = module.cells(places)
    assert len({(cell.row, cell.contestant) for cell in found}) == len(found)
    assert {cell.row.split(",")[0] for cell in found} == {
        "trecqa", "xdailydialog", "crosswoz", "bbc_news_summary", "cranfield"
    }  # fmt: skip
    assert all(cell.note for cell in found if cell.contestant.startswith("minibert"))
    without = module.cells(cells.Places(tmp_path, tmp_path, None, tmp_path))
    assert "crosswoz" not in {cell.row for cell in without}
