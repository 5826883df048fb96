"""Named recipes: every task that is fine-tuned can follow each of them."""

import pytest

from minibert.errors import InputError
from minibert.finetune import Settings
from minibert.tasks.classification import Classification
from minibert.tasks.masked_lm import MaskedLM
from minibert.tasks.model import TASKS
from minibert.tasks.tagging import Tagging
from minibert.training.recipes import RECIPES, recipe_for


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize(
    "kind", [kind for kind in TASKS.values() if kind.Options], ids=lambda kind: kind.name
)
def test_a_task_is_told_only_what_it_can_follow(kind, name):
    settings = Settings.of(recipe_for(kind, name))
    assert settings.task.keys() <= vars(kind.Options()).keys()
    assert kind.logits_of == "classes" or not settings.train.r_drop_alpha


def test_what_a_task_can_follow_it_is_told():
    assert recipe_for(Classification, "few_rows") == RECIPES["few_rows"]
    told = recipe_for(Tagging, "few_rows")
    assert RECIPES["few_rows"].keys() - told.keys() == {"task.pooling"}
    assert not any(key.startswith("task.") for key in recipe_for(MaskedLM, "few_rows"))
    assert recipe_for(Tagging, "plain") == {}


def test_an_unknown_recipe_is_named():
    with pytest.raises(InputError, match=r"'many_rows' .* plain, few_rows"):
        recipe_for(Tagging, "many_rows")
