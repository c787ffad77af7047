"""The promise under attack: rows of an engine in company are those of each request alone.

`--soak-steps` says for how many steps of the engine, and `--soak-seed` where the search begins.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test
from torch import Tensor

from engine.models.nanochat import GPT
from tests.engine.company import Alone, Company
from tests.engine.draws import Weights
from tests.engine.models import SeedModel, scrambled

# Few examples per search, as the last search is to end soon after the steps asked for.
BOUNDS = settings(max_examples=5, stateful_step_count=30, database=None, report_multiple_bugs=False)


def search(alone: Alone, number: int, bounds: settings = BOUNDS) -> None:
    """One search of hypothesis for a run whose rows differ."""

    @seed(number)
    def company() -> Company:
        return Company(alone)

    run_state_machine_as_test(company, settings=bounds)


@pytest.mark.timeout(0)  # as long as asked for, and shrinking a failure takes its time
@pytest.mark.parametrize(
    ("make_model", "share"),
    [
        pytest.param(Weights.model, 1.0, id="packed"),
        pytest.param(Weights.model_2026, 0.2, id="nanochat of 2026"),
        pytest.param(lambda weights: SeedModel(weights.model()), 0.1, id="nanochat's interface"),
    ],
)
def test_every_row_is_the_one_of_its_request_alone(
    make_model: Callable[[Weights], Any], share: float, pytestconfig: pytest.Config
) -> None:
    alone = Alone(make_model)
    number = pytestconfig.getoption("--soak-seed")
    while alone.counts["steps"] < share * pytestconfig.getoption("--soak-steps"):
        print(f"--soak-seed {number}: {dict(alone.counts)}")
        search(alone, number)
        number += 1
    print(f"done: {dict(alone.counts)}")


class SociableGPT(GPT):
    """Its logits tell, in their last bits, how many tokens share the batch."""

    def forward(self, tokens_T: Tensor, *others: Any) -> Tensor:
        return scrambled(super().forward(tokens_T, *others) + 1e-7 * len(tokens_T))

    @classmethod
    def of(cls, weights: Weights) -> SociableGPT:
        ordinary = weights.model()
        model = cls(ordinary.config).requires_grad_(False).eval()
        model.load_state_dict(ordinary.state_dict())
        return model


def test_a_model_that_looks_at_its_batch_is_caught() -> None:
    """Else the test above would show little."""
    alone = Alone(SociableGPT.of)
    bounds = settings(BOUNDS, phases=[Phase.generate])  # finding it is enough
    with pytest.raises(AssertionError):
        search(alone, 0, bounds)
    assert alone.counts["steps"] < 1000
