"""The search for the latent whose image is nearest to a given one, by looking at images alone."""

import hashlib

import numpy as np
from numpy.typing import NDArray

_PROBE = 0.075
"""Length of a probe, as a part of the latent's limit: small beside the curvature of a generator, large beside the
rounding to grey levels."""
_SHORTEST_PROBE = 0.02
_DAMPINGS = (1e-3, 10.0)
"""The least and the greatest damping that is tried, as parts of the mean curvature."""
_STEPS = 8
_PATIENCE = 3
"""Rounds in a row without success, each with shorter probes in other directions, after which nothing is left."""
_MOST_VALUES = 2**24
"""Values of all images of one round of probes, 64 MiB."""


class Refinement:
    """A damped Gauss-Newton search (Levenberg, 1944) whose derivatives are differences between images.

    A round probes short steps in random orthogonal directions from the best latent so far, as many as there are
    dimensions or as the budget has left, and learns what each does to the image; it then tries the steps that would
    bring the image nearest to the target, under several dampings. Whatever comes nearest is kept, so the search never
    makes anything worse. The target alone determines all of its random numbers.

    `ask` and `tell` take turns until `ask` has no more rows; the first row is the latent that it begins with, which
    does not count towards the budget.
    """

    def __init__(self, target: NDArray[np.uint8], z: NDArray[np.float32], *, limit: float, budget: int) -> None:
        """`target` is uint8 [h, w, c], `z` float32 [dim]; no value gets further from zero than `limit`."""
        digest = hashlib.sha256(np.ascontiguousarray(target).tobytes()).digest()
        self._chance = np.random.default_rng(int.from_bytes(digest[:8], "little"))
        self._target = target.reshape(-1).astype(np.float32)
        self._limit = limit
        self._budget = budget
        self._most_probes = max(_STEPS, min(len(z), _MOST_VALUES // target.size))
        self._probe = _PROBE
        self._failures = 0
        self._asked: NDArray[np.float32] = np.clip(z, -limit, limit)[None].astype(np.float32)
        self._moves: NDArray[np.float64] | None = None
        self._begun = False
        self._done = False
        self._centre_error = np.inf
        self.evaluations = 0
        self.latent = self._asked[0]
        self.pixels = target
        self.error = self.error_before = float("inf")

    @property
    def most_rows(self) -> int:
        """The most rows that `ask` gives at once."""
        return max(1, min(self._budget, max(self._most_probes, _STEPS)))

    def ask(self) -> NDArray[np.float32]:
        """Latents to make images of, float32 [n, dim]; none when the search is over."""
        return self._asked[:0] if self._done else self._asked

    def tell(self, images: NDArray[np.uint8]) -> None:
        """The images of the latents that were asked for, uint8 [n, h, w, c]."""
        flat = images.reshape(len(images), -1).astype(np.float32)
        errors = (((flat - self._target) / 255.0) ** 2).mean(axis=1, dtype=np.float64)
        nearest = int(errors.argmin())
        if errors[nearest] < self.error:
            self.error, self.latent, self.pixels = float(errors[nearest]), self._asked[nearest], images[nearest]
        if not self._begun:
            self._begun, self.error_before = True, self.error
            self._begin_round()
            return
        self.evaluations += len(images)
        if self._moves is not None:
            self._try_steps(flat)
        else:
            self._end_round()

    def _begin_round(self) -> None:
        """Ask for probes around the best latent, and leave some of the budget for the steps that they lead to."""
        left = self._budget - self.evaluations
        probes = min(self._most_probes, len(self.latent), left - min(_STEPS, left // 2))
        if probes < 1 or self.error == 0:
            self._done = True
            return
        self._centre, self._centre_error = self.latent.astype(np.float64), self.error
        self._centre_pixels = self.pixels.reshape(-1).astype(np.float32)
        directions, _ = np.linalg.qr(self._chance.standard_normal((len(self.latent), probes)))
        self._ask_for(self._centre + self._probe * self._limit * directions.T)
        # What a probe that was clipped has really moved.
        self._moves = self._asked - self._centre

    def _try_steps(self, flat: NDArray[np.float32]) -> None:
        """Ask for the sums of moves that would leave least of the difference, were images linear in the latent."""
        moves, self._moves = self._moves, None
        steps = min(_STEPS, self._budget - self.evaluations)
        if moves is None or steps < 1:
            self._end_round()
            return
        changes = flat - self._centre_pixels
        curvature = (changes @ changes.T).astype(np.float64)
        slope = (changes @ (self._centre_pixels - self._target)).astype(np.float64)
        scale = float(np.trace(curvature)) / len(curvature)
        if not scale > 0:  # the generator does not react: nothing can be learnt from it
            self._end_round()
            return
        dampings = np.geomspace(*_DAMPINGS, steps) if steps > 1 else [0.1]
        identity = scale * np.eye(len(curvature))
        self._ask_for(
            np.stack([self._centre - np.linalg.solve(curvature + d * identity, slope) @ moves for d in dampings])
        )

    def _end_round(self) -> None:
        if self.error < self._centre_error:
            self._failures = 0
        else:
            self._failures += 1
            self._probe = max(self._probe / 2, _SHORTEST_PROBE)
        if self._failures >= _PATIENCE:
            self._done = True
        else:
            self._begin_round()

    def _ask_for(self, latents: NDArray[np.float64]) -> None:
        self._asked = np.clip(latents, -self._limit, self._limit).astype(np.float32)
