"""ModelCard: what a worker tells producers of what it can run."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

from jobs.errors import WireError


class ModelCard(BaseModel):
    """What a worker serves, and its limits; None where there is none, or the model does not tell.

    `model`: the fingerprint, as in a row's provenance. `name`: as the worker was told, without the
    folders before it. `context_length`: most tokens of prompt and row together. `vocab_size`: one
    more than the highest token. `max_rows`: rows that run at once; a job may ask for more.
    `max_num_samples` and `max_new_tokens`: most that a job may ask for. `reproducible`: whether
    rows were found not to depend on what shares the batch.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")  # a newer worker may tell more

    model: str | None = None
    name: str | None = None
    context_length: int | None = None
    vocab_size: int | None = None
    max_rows: int | None = None
    max_num_samples: int | None = None
    max_new_tokens: int | None = None
    reproducible: bool = False

    def to_json(self) -> str:
        return self.model_dump_json(exclude_defaults=True)

    @classmethod
    def from_json(cls, text: bytes) -> ModelCard:
        """Raises WireError."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise WireError("a worker's model card is broken") from error
