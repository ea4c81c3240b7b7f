"""`gantrain doctor`: a run's records, and what its networks make, laid before the judgement of its health."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from bundle import sample_latents
from training.checkpoint import Quality, quality_of_best
from training.config import CONFIG_FILE, TrainingConfig
from training.data import Split
from training.errors import CheckpointError, DataError
from training.fit import STOPPED_FILE
from training.metrics.diversity import Diversity, measure_diversity
from training.metrics.features import AnyExtractor
from training.metrics.health import Diagnosis, Figures, Lines, diagnose
from training.metrics.remedies import Remedy, remedy
from training.players import Players
from training.quality import QUALITY_FILE
from training.report import METRICS_FILE

IMAGES = 1000
"""Generated ones that are measured, of the seeds 0, 1, ..., with the classes in turn."""


@dataclass(frozen=True)
class RunRecord:
    """What a run wrote about itself."""

    config: TrainingConfig
    history: Lines
    quality: Lines
    stopped: Mapping[str, object] | None
    best: Quality | None = None

    @property
    def finished(self) -> bool:
        """Whether it reached its length."""
        return bool(self.history) and self.history[-1]["images_seen"] >= self.config.kimg * 1000


@dataclass(frozen=True)
class Consultation:
    """The diagnosis of a run, what to do, and the measurement behind it, if there was one."""

    diagnosis: Diagnosis
    remedy: Remedy
    diversity: Diversity | None
    best: Quality | None = None
    """That of the run's best state, where the run has since become worse."""

    def document(self) -> dict[str, Any]:
        """For programs: plain values."""
        return {
            "verdict": self.diagnosis.verdict,
            "evidence": [vars(evidence) for evidence in self.diagnosis.evidence],
            "remedy": {"advice": self.remedy.advice, "flags": list(self.remedy.flags)},
            "diversity": None if self.diversity is None else vars(self.diversity),
            "best": None if self.best is None else vars(self.best),
        }


def read_record(run: Path) -> RunRecord:
    """What lies in a run's folder; raises CheckpointError when that is no run's folder, or of another version."""
    try:
        config = TrainingConfig.model_validate_json((run / CONFIG_FILE).read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise CheckpointError(f"{run}: no such run; {CONFIG_FILE} is not there") from None
    except ValidationError:
        raise CheckpointError(f"{run / CONFIG_FILE}: settings of another version of the trainer") from None
    stopped = None
    if (run / STOPPED_FILE).is_file():
        stopped = _parse((run / STOPPED_FILE).read_text(encoding="utf-8"))
    quality = _lines(run / QUALITY_FILE)
    return RunRecord(config, _lines(run / METRICS_FILE), quality, stopped, quality_of_best(run))


def measure_players(players: Players, split: Split, extractor: AnyExtractor | None) -> Diversity:
    """Measure a thousand images; raises DataError when the data set is of another size than they are."""
    if players.shape != split.held_out.shape:
        raise DataError(f"the networks make {players.shape} images, the data set has {split.held_out.shape}")
    class_ids = np.arange(IMAGES, dtype=np.int64) % len(players.classes) if players.classes else None
    return measure_diversity(players.images(sample_latents(players.latent, range(IMAGES)), class_ids), split, extractor)


def consult(record: RunRecord, diversity: Diversity | None, *, training_images: int | None) -> Consultation:
    """Judge a run by its record and, if there is one, the measurement of its images."""
    figures = Figures(
        history=record.history,
        loss=record.config.loss,
        planned_images=round(record.config.kimg * 1000),
        stopped=record.stopped,
        diversity=diversity,
        quality=record.quality,
    )
    diagnosis = diagnose(figures)
    advice = remedy(diagnosis.verdict, record.config, training_images=training_images, finished=record.finished)
    latest = record.quality[-1].get("fid") if record.quality else None
    past = record.best is not None and latest is not None and latest > record.best.fid
    return Consultation(diagnosis, advice, diversity, record.best if past else None)


def _lines(path: Path) -> Lines:
    """The figures of the lines that are whole; a run that goes on may be writing the last one."""
    if not path.is_file():
        return []
    found = []
    for text in path.read_text(encoding="utf-8").splitlines():
        line = _parse(text) or {}
        figures = {name: float(value) for name, value in line.items() if isinstance(value, int | float)}
        if "images_seen" in figures:
            found.append(figures)
    return found


def _parse(text: str) -> dict[str, Any] | None:
    try:
        document = json.loads(text)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None
