"""What is to be predicted may come without labels, also in a column that is there and empty."""

import pytest

from minibert.tasks.model import TASKS

FILES = {
    "classification": "text,label\na b,\n",
    "multi_label": "text,labels\na b,\n",
    "regression": "text,score\na b,\n",
    "relations": "text,relation\nThe <e1>a</e1> of <e2>b</e2>,\n",
    "multiple_choice": "text,A,B,label\nIt rains.,Stay.,Go.,\n",
    "extractive_summary": "text,summary\nIt rained. We left.,\n",
    "similarity": "sentence1,sentence2,score\na,b,\n",
}


@pytest.mark.parametrize("name", FILES)
def test_an_empty_column_of_labels_is_left_alone(tmp_path, name):
    (tmp_path / "new.csv").write_text(FILES[name], "utf-8")
    [example] = TASKS[name].read_unanswered(tmp_path / "new.csv")
    assert not TASKS[name].answered(example)
