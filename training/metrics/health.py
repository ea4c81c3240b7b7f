"""The doctor's judgement: what a game's figures say of its health. Figures in, one verdict out; nothing is read."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Literal

from training.metrics.diversity import Diversity

Verdict = Literal[
    "healthy",
    "D overpowers G",
    "G exploits D",
    "mode collapse",
    "memorising",
    "diverging",
    "not converged yet",
]
Lines = Sequence[Mapping[str, float]]
"""Lines of metrics.jsonl or quality.jsonl, oldest first; a figure that a line lacks is not used."""

BALANCED: dict[str, float] = {
    "minimax": math.log(4),
    "non-saturating": math.log(4),
    "least-squares": 1.0,
    "hinge": 2.0,
    "relativistic": math.log(2),
}
"""D's loss when it cannot tell, all logits being zero. A critic's says nothing of balance: it is to win by far."""
PROBABILITIES = frozenset({"minimax", "non-saturating"})
"""Losses under which the sigmoid of a logit is a probability."""

RECENT = 4
"""The last one in this many lines is what is judged, and at least LINES of them."""
LINES = 5
BEATEN = 0.03
"""D's loss, as a part of the balanced one, below which it wins nearly every time: 0.98 against 0.02 and beyond."""
FOOLED = 1.1
"""The same, above which D does worse than guessing, as it cannot for long while it learns."""
BLIND = 0.97
"""The same, above which D sees next to nothing, which is no matter while images are like real ones."""
EXPLODED = 1e3
"""Of a loss; those of games that go on are below 100, a critic's below 10,000."""
EXPLODED_CRITIC = 1e5
VANISHED = 0.01
"""Of G's gradient, as a part of its largest."""
ALIKE = 0.6
"""Mean distance of two generated images, as a part of that of two real ones."""
REACHED = 0.5
"""Share of modes reached, as a part of what real images reach; also of the best coverage that a run once had."""
COPIED = 0.3
"""Share of images that are closer to one training image than 99 in 100 real ones; 0.01 is chance."""
PLAUSIBLE = 0.5
"""Share of images with the contrast and roughness of real ones."""
STILL_IMPROVING = 0.9
"""FID now, as a part of that a quarter of the run ago."""


_BALANCE = "D's loss, as a part of what it is when D cannot tell"
_SPREAD = "mean distance of two images, as a part of that of two real ones"
_PLAUSIBLE = "share of images with contrast and roughness of real ones"
_COPIES = "share of images that copy a training image"


@dataclass(frozen=True)
class Evidence:
    """A figure and the threshold that it crossed, or, for a healthy game, kept away from."""

    what: str
    value: float | None
    relation: Literal["below", "above"] | None = None
    threshold: float | None = None

    def __str__(self) -> str:
        said = self.what if self.value is None else f"{self.what}: {self.value:.3g}"
        return said if self.threshold is None else f"{said}, {self.relation} {self.threshold:.3g}"


@dataclass(frozen=True)
class Diagnosis:
    """Exactly one verdict, and what it rests on."""

    verdict: Verdict
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True)
class Figures:
    """All that a judgement may rest on.

    `planned_images` is the length that the run was to have, `stopped` what its stopped.json says; each may be unknown.
    """

    history: Lines
    loss: str
    planned_images: int | None = None
    stopped: Mapping[str, object] | None = None
    diversity: Diversity | None = None
    quality: Lines = ()


def diagnose(figures: Figures) -> Diagnosis:
    """The first verdict that has evidence, in the order in which one trouble explains another; else healthy."""
    for verdict, rule in _RULES:
        if evidence := rule(figures):
            return Diagnosis(verdict, tuple(evidence))
    return Diagnosis("healthy", tuple(_signs_of_health(figures)))


def glance(history: Lines, *, loss: str = "non-saturating") -> str:
    """Two or three words for a progress line, from the loop's figures alone: a symptom's name or `in balance`.

    Before there are five lines it says `too early`; under a critic's loss, which shows no balance, `playing`.
    """
    figures = Figures(history[-RECENT * LINES :], loss)
    if _diverging(figures):
        return "diverging"
    if len(history) < LINES:
        return "too early"
    if _overpowering(figures):
        return "D overpowers G"
    if _exploiting(figures):
        return "G exploits D"
    return "in balance" if loss in BALANCED else "playing"


def _diverging(figures: Figures) -> list[Evidence]:
    if figures.stopped and figures.stopped.get("reason") == "diverged":
        return [Evidence(f"the run stopped: {figures.stopped.get('what', 'it diverged')}", None)]
    latest = figures.history[-1] if figures.history else {}
    lost = [name for name, value in latest.items() if not math.isfinite(value)]
    if lost:
        return [Evidence(f"{' and '.join(lost)} is not finite in the last report", None)]
    limit = EXPLODED if figures.loss in BALANCED else EXPLODED_CRITIC
    found = []
    for name, words in (("d_loss", "size of D's loss"), ("g_loss", "size of G's loss")):
        values = _recent(figures.history, name)
        size = median([abs(value) for value in values]) if values else 0.0
        if size > limit:
            found.append(Evidence(words, size, "above", limit))
    return found


def _memorising(figures: Figures) -> list[Evidence]:
    found = figures.diversity
    if found is None or found.copied <= COPIED:
        return []
    return [Evidence(_COPIES, found.copied, "above", COPIED)]


def _overpowering(figures: Figures) -> list[Evidence]:
    balance = _balance(figures)
    if balance is None or balance >= BEATEN:
        return []
    found = [Evidence(_BALANCE, balance, "below", BEATEN), *_told(figures)]
    largest = max(_finite(figures.history, "g_grad_norm"), default=0.0)
    if largest > 0:
        left = median(_recent(figures.history, "g_grad_norm")) / largest
        if left < VANISHED:
            found.append(Evidence("G's gradient, as a part of its largest", left, "below", VANISHED))
    return found


def _exploiting(figures: Figures) -> list[Evidence]:
    balance = _balance(figures)
    if balance is None:
        return []
    if balance > FOOLED:
        return [Evidence(_BALANCE, balance, "above", FOOLED), *_told(figures)]
    images = figures.diversity
    if balance > BLIND and images is not None and images.plausible < PLAUSIBLE:
        return [
            Evidence(_BALANCE, balance, "above", BLIND),
            Evidence(_PLAUSIBLE, images.plausible, "below", PLAUSIBLE),
            *_told(figures),
        ]
    return []


def _collapsed(figures: Figures) -> list[Evidence]:
    found = []
    if (images := figures.diversity) is not None and images.plausible >= PLAUSIBLE:
        if (reached := _reached(images)) < REACHED:
            found.append(Evidence(_modes(images), reached, "below", REACHED))
        if images.spread < ALIKE:
            found.append(Evidence(_SPREAD, images.spread, "below", ALIKE))
    for name in ("coverage", "recall"):
        values = _finite(figures.quality, name)
        if len(values) > 1 and values[-1] < REACHED * max(values):
            words = f"{name}, as a part of the best that the run had"
            found.append(Evidence(words, values[-1] / max(values), "below", REACHED))
    return found


def _unfinished(figures: Figures) -> list[Evidence]:
    found = []
    seen = figures.history[-1]["images_seen"] if figures.history else 0
    if figures.planned_images and seen < figures.planned_images:
        words = "thousand images seen of a planned run"
        found.append(Evidence(words, seen / 1000, "below", figures.planned_images / 1000))
    if len(figures.history) < LINES:
        found.append(Evidence("reports", len(figures.history), "below", LINES))
    if figures.diversity is not None and figures.diversity.plausible < PLAUSIBLE:
        found.append(Evidence(_PLAUSIBLE, figures.diversity.plausible, "below", PLAUSIBLE))
    fid = _finite(figures.quality, "fid")
    if len(fid) >= RECENT and fid[-1] < STILL_IMPROVING * fid[-1 - len(fid) // RECENT]:
        words = "FID, as a part of that a quarter of the run ago"
        found.append(Evidence(words, fid[-1] / fid[-1 - len(fid) // RECENT], "below", STILL_IMPROVING))
    return found


_RULES: tuple[tuple[Verdict, Callable[[Figures], list[Evidence]]], ...] = (
    ("diverging", _diverging),
    ("memorising", _memorising),
    ("D overpowers G", _overpowering),
    ("G exploits D", _exploiting),
    ("mode collapse", _collapsed),
    ("not converged yet", _unfinished),
)


def _signs_of_health(figures: Figures) -> list[Evidence]:
    found = []
    balance = _balance(figures)
    if balance is not None:
        found += [Evidence(_BALANCE, balance, "above", BEATEN), *_told(figures)]
    if (images := figures.diversity) is not None:
        found += [
            Evidence(_modes(images), _reached(images), "above", REACHED),
            Evidence(_SPREAD, images.spread, "above", ALIKE),
            Evidence(_PLAUSIBLE, images.plausible, "above", PLAUSIBLE),
            Evidence(_COPIES, images.copied, "below", COPIED),
        ]
    return found


def _modes(images: Diversity) -> str:
    return f"share of {images.modes} modes reached, as a part of what real images reach"


def _reached(images: Diversity) -> float:
    return images.coverage / max(images.coverage_of_real, 1e-12)


def _told(figures: Figures) -> list[Evidence]:
    """D(x) and D(G(z)), where they are probabilities."""
    if figures.loss not in PROBABILITIES:
        return []
    both = (("mean D(x)", _recent(figures.history, "d_real")), ("mean D(G(z))", _recent(figures.history, "d_fake")))
    return [Evidence(words, fmean(values)) for words, values in both if values]


def _balance(figures: Figures) -> float | None:
    """D's recent loss as a part of what it is when D cannot tell; None before there are enough lines to say."""
    values = _recent(figures.history, "d_loss")
    if len(values) < LINES or figures.loss not in BALANCED:
        return None
    return median(values) / BALANCED[figures.loss]


def _recent(lines: Lines, name: str) -> list[float]:
    values = _finite(lines, name)
    return values[-max(LINES, len(values) // RECENT) :]


def _finite(lines: Lines, name: str) -> list[float]:
    return [line[name] for line in lines if name in line and math.isfinite(line[name])]
