"""Results as pictures; matplotlib lives in the peers' environment, so that the project itself does not need it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.statistics import median
from benchmarks.systems import PEER_BIN, ROOT


def draw(results: Path, out: Path, *, module: str = "benchmarks.plots") -> bool:
    """Draw `results` into `out` by a module that runs in the peers' environment; False when there is none."""
    python = PEER_BIN / "python"
    if not python.exists():
        return False
    command = [str(python), "-m", module, str(results), str(out)]
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def _by_connections(data: dict[str, Any], model: str, images: int, image_format: str, figure: str) -> dict[str, Any]:
    """Per system: connections -> the median of `figure` over the alternations."""
    values: dict[str, dict[int, list[float]]] = {}
    for one in data["measurements"]:
        cell = one["cell"]
        if (cell["model"], cell["images"], cell["image_format"]) == (model, images, image_format):
            per = values.setdefault(one["system"], {})
            per.setdefault(cell["connections"], []).append(one["summary"][figure])
    return {system: {n: median(found) for n, found in sorted(per.items())} for system, per in values.items()}


def main(arguments: list[str]) -> None:
    """One picture for each model and number of images that has two or more numbers of connections."""
    import matplotlib as mpl  # noqa: PLC0415 -- only where it is installed

    mpl.use("Agg")
    from matplotlib import pyplot  # noqa: PLC0415

    data, out = json.loads(Path(arguments[0]).read_text("utf-8")), Path(arguments[1])
    kinds = sorted({(c["model"], c["images"], c["image_format"]) for c in (m["cell"] for m in data["measurements"])})
    for model, images, image_format in kinds:
        figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
        widest = 0
        for axis, key, name in zip(axes, ("images_per_s", "p99_ms"), ("images/s", "p99, ms"), strict=True):
            for system, points in _by_connections(data, model, images, image_format, key).items():
                widest = max(widest, len(points))
                bold = {"linewidth": 2.5, "zorder": 3} if system == "ganserve" else {"linewidth": 1.2}
                axis.plot(list(points), list(points.values()), marker="o", markersize=3, label=system, **bold)
            axis.set(xscale="log", xlabel="connections", ylabel=name)
            ticks = sorted({m["cell"]["connections"] for m in data["measurements"]})
            axis.set_xticks(ticks, [str(tick) for tick in ticks])
            axis.minorticks_off()
            axis.grid(alpha=0.3)
        axes[0].set(ylim=(0, None))
        axes[1].set(yscale="log")
        axes[0].legend(fontsize=7)
        figure.suptitle(f"{model}, {images} x {image_format} a request")
        if widest > 1:
            figure.savefig(out / f"{model}-{images}-{image_format}.png", dpi=80)
        pyplot.close(figure)


if __name__ == "__main__":
    main(sys.argv[1:])
