"""Quick measurements while a game is played, kept in quality.jsonl."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bundle.manifest import LatentSpec
from training.checkpoint import Quality, quality_of_best
from training.data import Split
from training.evaluate import Yardstick, evaluate
from training.game import Game
from training.metrics.features import AnyExtractor
from training.report import generate

QUALITY_FILE = "quality.jsonl"
IMAGES = 2000
"""Generated images of a quick measurement: its FID is higher than that of 10,000, and compares with its like alone."""


class LivePlayers:
    """The smoothed generator of a game that goes on, as a measurer sees it (see `training.players.Players`)."""

    has_discriminator = False

    def __init__(self, game: Game) -> None:
        self._game = game

    @property
    def latent(self) -> LatentSpec:
        """See Players."""
        return self._game.latent

    @property
    def shape(self) -> tuple[int, int, int]:
        """See Players."""
        return self._game.shape

    @property
    def classes(self) -> tuple[str, ...] | None:
        """See Players."""
        return self._game.classes

    def images(
        self, z: NDArray[np.float32], class_ids: NDArray[np.int64] | None, *, truncation: float = 1.0
    ) -> NDArray[np.uint8]:
        """See Players."""
        return generate(self._game.ema.network, self._game.device, z * np.float32(truncation), class_ids)

    def logits(self, images: NDArray[np.uint8], class_ids: NDArray[np.int64]) -> NDArray[np.float64]:
        """Not asked while `has_discriminator` says no."""
        raise NotImplementedError

    def features(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """As above."""
        raise NotImplementedError


class QualityLog:
    """Measures a game and appends a line of figures to the run's quality.jsonl."""

    def __init__(self, run: Path, split: Split, extractor: AnyExtractor) -> None:
        self._run, self._yardstick = run, Yardstick(split, extractor)

    def measure(self, game: Game) -> dict[str, float]:
        """The figures of `evaluate` by name, on 2,000 images of the smoothed generator."""
        real = self._yardstick
        metrics = evaluate(LivePlayers(game), real.split, real.extractor, images=IMAGES, yardstick=real).metrics
        figures = {name: metric.value for name, metric in metrics.items()}
        with (self._run / QUALITY_FILE).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"images_seen": game.images_seen, **figures}) + "\n")
        return figures

    def best(self, game: Game, figures: Mapping[str, float]) -> Quality | None:
        """What the game, with these figures, is to be kept as: its FID, if the run has none that is as low."""
        found = Quality(figures["fid"], game.images_seen, self._yardstick.extractor.sha256)
        before = quality_of_best(self._run)
        comparable = before is not None and before.extractor == found.extractor
        return None if before and comparable and before.fid <= found.fid else found
