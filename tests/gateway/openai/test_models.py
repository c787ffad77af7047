"""The served model, as OpenAI's own client asks for it."""

from __future__ import annotations

import openai
import pytest


def test_the_served_model_is_listed(theirs: openai.OpenAI) -> None:
    (model,) = theirs.models.list()
    assert (model.id, model.object, model.owned_by) == ("demo", "model", "rowmill")
    assert theirs.models.retrieve("demo") == model


@pytest.mark.parametrize("name", ["other", "a/b"])
def test_no_other_model_is_found(theirs: openai.OpenAI, name: str) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        theirs.models.retrieve(name)
    assert caught.value.code == "model_not_found"
