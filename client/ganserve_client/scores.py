"""How images look to a discriminator, as POST /discriminate answers."""

from dataclasses import dataclass
from typing import Self

from ganserve_client.answer import Json, ModelRef, floats


@dataclass(frozen=True)
class Score:
    """One image's score: `realness` is the probability that it is real, `changes` what was done to make it fit."""

    index: int
    logit: float
    realness: float
    changes: tuple[str, ...]
    features: tuple[float, ...] | None = None

    @classmethod
    def read(cls, body: Json) -> Self:
        """Read one of the answer's `results`."""
        return cls(
            index=body["index"],
            logit=body["logit"],
            realness=body["realness"],
            changes=tuple(body["changes"]),
            features=floats(body.get("features")),
        )


@dataclass(frozen=True)
class Scores:
    """A score per image, in order; `calibrated` says that `realness` was fitted on held-out images."""

    id: str
    model: ModelRef
    calibrated: bool
    results: tuple[Score, ...]

    @classmethod
    def read(cls, body: Json) -> Self:
        """Read the answer."""
        return cls(
            id=body["id"],
            model=ModelRef.read(body["model"]),
            calibrated=body["calibrated"],
            results=tuple(Score.read(item) for item in body["results"]),
        )
