"""The readings of benchmarks.growth as pictures; runs in the peers' environment, where matplotlib is."""

import json
import sys
from pathlib import Path

from benchmarks.statistics import median

_PANELS = (("images_per_s", "images/s"), ("p99_ms", "p99, ms"), ("rss_mib", "memory at rest, MiB"))


def main(arguments: list[str]) -> None:
    """One picture for each sweep: medians, with a band from the least to the most."""
    import matplotlib as mpl  # noqa: PLC0415 -- only where it is installed

    mpl.use("Agg")
    from matplotlib import pyplot  # noqa: PLC0415

    data, out = json.loads(Path(arguments[0]).read_text("utf-8")), Path(arguments[1])
    for sweep in dict.fromkeys(one["sweep"] for one in data["readings"]):
        mine = [one for one in data["readings"] if one["sweep"] == sweep]
        values = sorted({one["value"] for one in mine})
        figure, axes = pyplot.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
        for axis, (key, name) in zip(axes, _PANELS, strict=True):
            at = [[one[key] for one in mine if one["value"] == value] for value in values]
            axis.fill_between(values, [min(found) for found in at], [max(found) for found in at], alpha=0.25)
            axis.plot(values, [median(found) for found in at], marker="o", markersize=4)
            axis.set(xscale="log", ylabel=name, ylim=(0, None))
            axis.set_xticks(values, [str(value) for value in values])
            axis.minorticks_off()
            axis.grid(alpha=0.3)
        figure.suptitle(data["titles"][sweep], fontsize=10)
        figure.savefig(out / f"growth-{sweep}.png", dpi=80)
        pyplot.close(figure)


if __name__ == "__main__":
    main(sys.argv[1:])
