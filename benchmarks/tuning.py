"""Fairness to the peers: each is measured with the best of its configurations on this machine and model."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import load, servers
from benchmarks.orders import Template, generate, write_templates
from benchmarks.systems import System, Variant

CONNECTIONS = (1, 16, 64)


@dataclass(frozen=True)
class Trial:
    """Images a second of a configuration at each number of CONNECTIONS; empty when it did not come up."""

    system: str
    variant: Variant
    images_per_s: tuple[float, ...]

    @property
    def worth(self) -> float:
        """The mean of its rates relative to one another: their geometric mean."""
        product = 1.0
        for rate in self.images_per_s:
            product *= max(rate, 1e-9)
        return product ** (1 / len(self.images_per_s)) if self.images_per_s else 0.0

    def as_json(self) -> dict[str, object]:
        """Plain data."""
        return asdict(self) | {"label": self.variant.label}


def tune(
    system: System, bundle: Path, *, seconds: float, scratch: Path, say: Callable[[str], None]
) -> tuple[Variant, list[Trial]]:
    """The best configuration for one PNG a request, and what all of them did. One that does not come up loses."""
    if len(system.variants) == 1:
        return system.variants[0], []
    probe = generate(1, "png")
    trials = []
    for variant in system.variants:
        try:
            with servers.running(system, variant, bundle, probe=probe, logs=scratch / "logs") as server:
                rates = tuple(_rate(server.port, probe, count, seconds, scratch) for count in CONNECTIONS)
        except servers.ServerError as error:
            say(f"  {system.name}: {error}")
            rates = ()
        trials.append(Trial(system.name, variant, rates))
        shown = "/".join(f"{rate:.0f}" for rate in rates) or "did not start"
        say(f"  {system.name}: {variant.label}: {shown} images/s at {'/'.join(map(str, CONNECTIONS))} connections")
    return max(trials, key=lambda trial: trial.worth).variant, trials


def _rate(port: int, probe: Template, connections: int, seconds: float, scratch: Path) -> float:
    templates = scratch / "tuning.json"
    write_templates(templates, [probe])
    process = load.spawn(port, templates, seconds=seconds, warm_up_s=0.5, connections=connections)
    return load.collect(process, timeout_s=10 * seconds + 60).images_per_s
