"""`gantrain evaluate --out`: a bundle -> its next version, with a new measurement in its manifest and card."""

from pathlib import Path

from bundle import read_bundle
from training.card import recognise_truncated, with_measurement
from training.evaluate import Evaluation
from training.metrics.features import AnyExtractor
from training.players import OnnxPlayers
from training.publication import copy_files, next_manifest, publish_next, write_manifest


def publish_measured(
    source: Path, players: OnnxPlayers, models: Path, evaluation: Evaluation, *, extractor: AnyExtractor | None
) -> Path:
    """Publish the bundle in `source`, whose `players` were measured at psi 1, as the next version in `models`.

    The figures of `evaluation` go into its manifest and card. Those that were not measured now stay as they were, and
    the networks are the same, byte for byte. `extractor` is what recognises images at a lower psi, for the card.
    Returns the new version's folder.
    """
    bundle = read_bundle(source)
    truncated = recognise_truncated(players, extractor)

    def write(folder: Path, version: int) -> None:
        copy_files(bundle, folder, without=())
        metrics = {**bundle.manifest.metrics, **evaluation.metrics}
        manifest = next_manifest(bundle.manifest, version, metrics=metrics)
        write_manifest(folder, manifest)
        card = folder / "README.md"
        if card.is_file():
            card.write_text(with_measurement(card.read_text("utf-8"), manifest, evaluation, truncated), "utf-8")

    return publish_next(bundle, models, write)
