"""From a machine to settings: the steps that make sense there, how long they take, and what came of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from app import __version__
from app.bench.candidates import DEFAULTS, Candidate, Space
from app.bench.load import Cell, Target, measure
from app.bench.search import Search, Stage, Step, trials
from app.bench.server import serve
from app.bench.tables import compared
from app.bench.verdict import Round
from app.settings import Settings, variable

_CPU = "CPUExecutionProvider"


@dataclass(frozen=True)
class Plan:
    """What to tune for: the loads of `cells`, each `seconds` after `warm_up_s`, over `rounds` rounds, on `cpus` CPUs.

    `environ` holds the settings that stay; those that are tuned are taken out of it.
    """

    environ: Mapping[str, str]
    target: Target
    cells: Sequence[Cell]
    warm_up_s: float
    seconds: float
    rounds: int
    cpus: int
    p99_limit_ms: float | None = None


@dataclass(frozen=True)
class Tuned:
    """What a search found; `best` is DEFAULTS where nothing beat them."""

    plan: Plan
    best: Candidate
    stages: Sequence[Stage]

    def env_file(self) -> str:
        """The settings that differ from the defaults, a NAME=value a line below comments that say what they rest on."""
        lines = [f"# ganserve {__version__} bench --tune, {self.plan.cpus} CPUs, {self._loads()}", f"# {self.reason()}"]
        return "\n".join([*lines, *(f"{name}={value}" for name, value in self.best.environment().items()), ""])

    def reason(self) -> str:
        """Why these settings, in one line."""
        over = "1 round" if self.plan.rounds == 1 else f"{self.plan.rounds} rounds"
        last = self.stages[-1].tried
        if self.best != DEFAULTS:
            ratios = next(one.comparison.ratios for one in last if one.won and one.comparison)
            out = "" if last[0].fault is None else f", which are out: {last[0].fault}"
            return f"images/s against the defaults: {compared(ratios)} over {over}{out}"
        if last[0].fault is not None:
            return f"the defaults stand, for want of another: {last[0].fault}"
        if self.plan.rounds == 1:
            return "the defaults stand: one round cannot tell candidates apart"
        return f"the defaults stand: nothing beat them by more than {over} differ"

    def as_json(self) -> dict[str, object]:
        """Plain data."""
        return {
            "version": __version__,
            "cpus": self.plan.cpus,
            "settings": self.best.environment(),
            "reason": self.reason(),
            "stages": [
                {
                    "name": stage.name,
                    "tried": [
                        {
                            "settings": one.candidate.environment(),
                            "rounds": [[outcome.as_json() for outcome in outcomes] for outcomes in one.rounds],
                            "ratios": [] if one.comparison is None else list(one.comparison.ratios),
                            "fault": one.fault,
                            "won": one.won,
                        }
                        for one in stage.tried
                    ],
                }
                for stage in self.stages
            ],
        }

    def _loads(self) -> str:
        shown = ", ".join(f"{cell.connections}x{cell.images}" for cell in self.plan.cells)
        model = "" if self.plan.target.model is None else f" of {self.plan.target.model}"
        return f"connections x images a request {shown}, {self.plan.target.format}{model}"


def tune(plan: Plan, say: Callable[[str], None]) -> Tuned:
    """Search for settings, telling `say` how it goes.

    Raises StartupError when the service does not start under the defaults, or answers nothing well.
    """
    space = Space.of(Settings)
    names = {variable(name) for name in space.defaults}
    for name in sorted(names & plan.environ.keys()):
        say(f"{name}={plan.environ[name]} is left out: the search begins with the defaults")
    environ = {name: value for name, value in plan.environ.items() if name not in names}
    # One start ahead of all: it says whether the settings are good, where the models run, and what a start costs.
    with serve(environ) as served:
        steps = list(_steps(plan, space, on_cpu=served.providers == {_CPU}))
    count = trials(steps, plan.rounds)
    seconds = count * (served.start_s + len(plan.cells) * (plan.warm_up_s + plan.seconds))
    say(f"{count} measurements on {plan.cpus} CPUs, about {_duration(seconds)}; Ctrl-C ends it and changes nothing")

    def run(candidate: Candidate) -> Round:
        with serve({**environ, **candidate.environment()}) as served:
            target = replace(plan.target, port=served.port)
            return [measure(target, cell, warm_up_s=plan.warm_up_s, seconds=plan.seconds) for cell in plan.cells]

    search = Search(run, plan.rounds, plan.p99_limit_ms, say)
    best = search.run(steps)
    return Tuned(plan, best, search.stages)


def _steps(plan: Plan, space: Space, *, on_cpu: bool) -> Iterator[Step]:
    most_images = max(cell.connections * cell.images for cell in plan.cells)
    if on_cpu:
        yield "layout", partial(space.layouts, cpus=plan.cpus)
    yield "batch size", partial(space.batch_sizes, most_images=most_images)
    yield "queue delay", space.queue_delays


def _duration(seconds: float) -> str:
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{seconds / 60:.0f} minutes"
