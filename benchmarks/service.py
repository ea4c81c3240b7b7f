"""The service against its peers and against the bare session, in alternation: `python -m benchmarks.service --help`."""

import argparse
import contextlib
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks import bare, load, machine, models, prove, report, servers, tuning
from benchmarks.images import most_apart, pixels_of
from benchmarks.orders import generate, write_templates
from benchmarks.peers.work import Work
from benchmarks.plan import MODELS, Cell, cells, plan
from benchmarks.plots import draw
from benchmarks.results import Measurement, Results
from benchmarks.servers import Server, ServerError
from benchmarks.systems import OURS, ROOT, System, Variant, one_model_folder, systems

SCRATCH = ROOT / "build" / "bench"
_WARM_UP_S = 0.5
_TUNING_S = 2.0
_PARITY_SEEDS = 4


class Run:
    """One whole comparison."""

    def __init__(self, chosen: argparse.Namespace, out: Path) -> None:
        known = systems(machine.cores())
        self.systems = [known[name] for name in chosen.systems]
        self.chosen, self.path = chosen, out / f"{_stem(chosen)}.json"
        self.cells = _cells(chosen)
        titles = {system.name: system.title for system in self.systems}
        self.results = Results(machine.describe(), machine.command_line(), titles)
        self.bundles: dict[str, Path] = {}
        self._serial = 0

    def whole(self) -> Results:
        """Tune, alternate, and keep the results after every figure."""
        quick = self.chosen.plan == "quick"
        proofs = prove.measure(seconds=0.5, connections=(16,)) if quick else prove.measure(seconds=3.0)
        self.results.proof = [asdict(one) for one in proofs]
        for model in dict.fromkeys(cell.model for cell in self.cells):
            self.bundles[model] = one_model_folder(_bundle(model, self.chosen), SCRATCH)
            variants = {system.name: self._variant(model, system) for system in self.systems}
            self.results.variants[model] = {name: variant.label for name, variant in variants.items()}
            self.results.variants[model] |= {OURS: "as it comes"} if OURS in variants else {}
            for alternation in range(self.chosen.alternations):
                say(f"{model}: alternation {alternation + 1} of {self.chosen.alternations}")
                self._alternate(model, alternation, variants)
                self._limits(model, alternation)
                self.results.save(self.path)
        return self.results

    def _variant(self, model: str, system: System) -> Variant:
        if not self.chosen.tune:
            return system.variants[0]
        seconds = min(self.chosen.seconds, _TUNING_S)
        best, trials = tuning.tune(system, self.bundles[model], seconds=seconds, scratch=SCRATCH, say=say)
        self.results.tuning += [{"model": model, **trial.as_json()} for trial in trials]
        self.results.save(self.path)
        return best

    def _alternate(self, model: str, alternation: int, variants: dict[str, Variant]) -> None:
        """Every cell on every system, the systems in turn for each cell and another one first each time.

        All but the exclusive ones are up together and paused while it is not their turn.
        """
        mine = [cell for cell in self.cells if cell.model == model]
        together = [system for system in self.systems if not system.exclusive]
        with contextlib.ExitStack() as stack:
            up = [
                server
                for system in together
                if (server := self._start(stack, model, alternation, system, variants[system.name])) is not None
            ]
            for turn, cell in enumerate(mine):
                first = (alternation + turn) % max(1, len(up))
                for server in up[first:] + up[:first]:
                    self._measure(alternation, server, cell)
            self._keep_memory(model, alternation, up)
        for system in self.systems:
            if system.exclusive:
                with contextlib.ExitStack() as stack:
                    server = self._start(stack, model, alternation, system, variants[system.name])
                    if server is not None:
                        for cell in mine:
                            self._measure(alternation, server, cell)
                        self._keep_memory(model, alternation, [server])

    def _start(
        self, stack: contextlib.ExitStack, model: str, alternation: int, system: System, variant: Variant
    ) -> Server | None:
        probe = generate(1, "png")
        try:
            server = stack.enter_context(
                servers.running(system, variant, self.bundles[model], probe=probe, logs=SCRATCH / "logs")
            )
        except ServerError as error:
            self._fail(alternation, system.name, f"start with {model}", error)
            return None
        if alternation == 0:
            self._check_images(model, server)
        server.pause()
        return server

    def _check_images(self, model: str, server: Server) -> None:
        """Hold a system's PNGs and arrays to the images that the bundle makes of the same seeds."""
        work = Work(self.bundles[model], threads=1)
        seen = 0
        for image_format in ("png", "npy"):
            template = generate(_PARITY_SEEDS, image_format)
            first = int(template.render(0).split(b'"seeds":[')[1].split(b",")[0])
            expected = work.run(work.inputs(range(first, first + _PARITY_SEEDS)))
            try:
                _, body = servers.ask(server.port, template, serial=0, timeout_s=60)
                seen = max(seen, most_apart(pixels_of(body, image_format, _PARITY_SEEDS), expected))
            except (OSError, ValueError, KeyError) as error:
                self._fail(0, server.system.name, f"images as {image_format} of {model}", error)
                return
        self.results.parity.setdefault(model, {})[server.system.name] = seen

    def _measure(self, alternation: int, server: Server, cell: Cell) -> None:
        templates = SCRATCH / "templates.json"
        write_templates(templates, [generate(cell.images, cell.image_format)])
        seconds = self.chosen.seconds
        server.resume()
        try:
            with server.memory_sampled():
                process = load.spawn(
                    server.port,
                    templates,
                    seconds=seconds,
                    warm_up_s=_WARM_UP_S,
                    connections=cell.connections,
                    first_serial=alternation * 10_000_000,
                )
                summary = load.collect(process, timeout_s=seconds * 10 + 120)
        except RuntimeError as error:
            self._fail(alternation, server.system.name, cell.label, error)
            return
        finally:
            server.pause()
        self.results.measurements.append(Measurement(alternation, server.system.name, cell, summary))
        say(
            f"  {cell.label}: {server.system.name}: {summary.images_per_s:.0f} images/s, p50 {summary.p50_ms:.1f} ms, "
            f"p99 {summary.p99_ms:.1f} ms, {summary.errors} errors"
        )

    def _keep_memory(self, model: str, alternation: int, up: Sequence[Server]) -> None:
        for server in up:
            tree = server.tree
            self.results.memory.append(
                {
                    "alternation": alternation,
                    "model": model,
                    "system": server.system.name,
                    "rss_bytes": tree.peak_rss_bytes,
                    "pss_bytes": tree.peak_pss_bytes,
                }
            )

    def _limits(self, model: str, alternation: int) -> None:
        cores = machine.cores()
        batches = bare.BATCHES if self.chosen.plan == "full" else (1, 16)
        for threads in sorted({1, cores}):
            limits = bare.spawn(
                self.bundles[model],
                threads=threads,
                encoders=cores,
                seconds=self.chosen.seconds / 2,
                batches=batches,
            )
            self.results.add_limits(alternation, model, limits)

    def _fail(self, alternation: int, system: str, what: str, error: Exception) -> None:
        say(f"  FAILED: {system}, {what}: {error}")
        self.results.failures.append(
            {"alternation": alternation, "system": system, "what": what, "why": f"{type(error).__name__}: {error}"}
        )


def _stem(chosen: argparse.Namespace) -> str:
    """The results' file name, so that models that were measured one by one lie beside each other."""
    return "service" if len(chosen.models) > 1 else f"service-{chosen.models[0]}"


def _cells(chosen: argparse.Namespace) -> list[Cell]:
    if chosen.connections or chosen.images or chosen.formats:
        return cells(
            chosen.models, chosen.images or [1], chosen.formats or ["png"], chosen.connections or [1, 16, 64, 256]
        )
    return plan(chosen.plan, chosen.models)


def _bundle(model: str, chosen: argparse.Namespace) -> Path:
    return models.write_bundle(models.FOLDER) if model == models.NAME else Path(chosen.mnist)


def say(line: str) -> None:
    """Progress, for whoever watches."""
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    chosen = _parser().parse_args(arguments)
    if chosen.quick:
        chosen.plan, chosen.alternations, chosen.seconds, chosen.tune = "quick", 1, 0.5, False
    elif (reason := machine.busy()) is not None:
        say(f"warning: {reason}")
    out = chosen.out or (SCRATCH / "quick" if chosen.quick else ROOT / "benchmarks" / "results" / machine.folder_name())
    began = time.monotonic()
    results = Run(chosen, out).whole()
    text = report.markdown(results)
    (out / f"{_stem(chosen)}.md").write_text(text, encoding="utf-8")
    draw(out / f"{_stem(chosen)}.json", out)
    print(text)
    say(f"done in {(time.monotonic() - began) / 60:.1f} minutes")
    sys.exit(1 if results.failures else 0)


def _parser() -> argparse.ArgumentParser:
    names = list(systems(1))
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.service",
        description="Measure the service, its peers and the bare ONNX session in alternation on the same ONNX file.",
    )
    parser.add_argument("--quick", action="store_true", help="show that everything works, in a minute or two")
    parser.add_argument("--plan", choices=["quick", "headline", "full"], default="full", help="default: %(default)s")
    parser.add_argument("--systems", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--mnist", default=ROOT / "models" / "mnist" / "1", help="folder of the small bundle")
    parser.add_argument("--connections", nargs="+", type=int, help="instead of the plan's")
    parser.add_argument("--images", nargs="+", type=int, help="images a request, instead of the plan's")
    parser.add_argument("--formats", nargs="+", choices=["png", "jpeg", "npy"], help="instead of the plan's")
    parser.add_argument("--alternations", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each figure; default: %(default)g")
    parser.add_argument("--no-tune", dest="tune", action="store_false", help="take each peer's first configuration")
    parser.add_argument("--out", type=Path, help="folder of the results; default: benchmarks/results/<date>-<machine>")
    return parser


if __name__ == "__main__":
    main()
