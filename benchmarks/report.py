"""Results as Markdown, for people."""

from collections.abc import Iterable

from benchmarks.plan import Cell
from benchmarks.results import Results
from benchmarks.statistics import Spread, median
from benchmarks.systems import OURS


def markdown(results: Results) -> str:
    """The whole report."""
    parts = ["# Service benchmark", _setting(results)]
    if results.proof:
        parts.append("## The load generator against a static route\n\n" + _proof(results))
    for model in dict.fromkeys(cell.model for cell in results.cells()):
        parts.append(f"## {model}\n\n" + _configurations(results, model))
        parts += [_cell(results, cell) for cell in results.cells() if cell.model == model]
        parts.append(_limits(results, model))
        parts.append(_memory(results, model))
    if results.failures:
        rows = [f"- alternation {f['alternation']}, {f['system']}, {f['what']}: {f['why']}" for f in results.failures]
        parts.append("## What failed\n\n" + "\n".join(rows))
    return "\n\n".join(part for part in parts if part) + "\n"


def _setting(results: Results) -> str:
    machine = results.machine
    lines = [
        f"- command: `{results.command}`",
        f"- machine: {machine['cpu']}, {machine['cores']} cores for servers and client together, "
        f"{machine['memory_gib']} GiB, kernel {machine['kernel']}, Python {machine['python']}",
        f"- commit {machine['commit']}{' with uncommitted changes' if machine['uncommitted_changes'] else ''}, "
        f"load average before the run {machine['load_before']}",
        f"- ours: {_versions(machine['versions'])}",
        f"- peers: {_versions(machine['peer_versions'])}",
        "- each figure: median (least..most) over the alternations; ratios are paired within an alternation, "
        "above 1 means that ganserve is faster",
    ]
    return "\n".join(lines)


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items()) or "not installed"


def _configurations(results: Results, model: str) -> str:
    rows = []
    for system, variant in results.variants.get(model, {}).items():
        apart = results.parity.get(model, {}).get(system)
        same = "not checked" if apart is None else "the same" if apart == 0 else f"up to {apart} grey level(s) apart"
        rows.append([results.titles[system], variant, same])
    return _table(["system", "configuration", "images against ours"], rows, numbers=False)


def _cell(results: Results, cell: Cell) -> str:
    rows = []
    for system, title in results.titles.items():
        found, rate = list(results.of(cell, system).values()), results.throughput(cell, system)
        if rate is None:
            continue
        requests = Spread.of([one.requests_per_s for one in found])
        rows.append(
            [
                title,
                _spread(requests, 0),
                _spread(rate, 0),
                f"{median([one.p50_ms for one in found]):.1f}",
                f"{median([one.p99_ms for one in found]):.1f}",
                str(sum(one.errors for one in found)),
                "" if system == OURS else _spread(results.ratio(cell, system), 2),
                f"{max(one.client_cpu_share for one in found):.0%}",
            ]
        )
    alone, encoded = (results.ratio_to_limit(cell, kind) for kind in ("none", cell.image_format))
    limit = f"\n\nganserve / bare session: {_spread(alone, 2)}; / bare session with encoding: {_spread(encoded, 2)}."
    head = ["system", "requests/s", "images/s", "p50 ms", "p99 ms", "errors", "ganserve / it", "client CPU"]
    return f"### {cell.label}\n\n" + _table(head, rows) + (limit if alone else "")


def _limits(results: Results, model: str) -> str:
    rates: dict[tuple[int, int, str], list[float]] = {}
    for one in results.limits:
        if one["model"] == model:
            rates.setdefault((one["threads"], one["batch"], one["image_format"]), []).append(one["images_per_s"])
    rows = [
        [str(threads), str(batch), {"none": "session alone"}.get(kind, f"with {kind}"), _spread(Spread.of(values), 0)]
        for (threads, batch, kind), values in rates.items()
    ]
    table = _table(["session threads", "batch", "work", "images/s"], rows)
    return f"### The bare session, {model}\n\n{table}" if rows else ""


def _memory(results: Results, model: str) -> str:
    rows = []
    for system, title in results.titles.items():
        found = [one for one in results.memory if (one["model"], one["system"]) == (model, system)]
        if found:
            rss, pss = (Spread.of([one[kind] / 2**20 for one in found]) for kind in ("rss_bytes", "pss_bytes"))
            rows.append([title, _spread(rss, 0), _spread(pss, 0)])
    table = _table(["system", "peak RSS of the process tree, MiB", "shared pages counted once, MiB"], rows)
    return f"### Memory, {model}\n\n{table}" if rows else ""


def _proof(results: Results) -> str:
    rows = []
    for one in results.proof:
        wrk = one["wrk_requests_per_s"]
        rate, share = f"{one['requests_per_s']:.0f}", f"{one['client_cpu_share']:.0%}"
        rows.append([str(one["connections"]), rate, share, "not installed" if wrk is None else f"{wrk:.0f}"])
    return _table(["connections", "requests/s", "client CPU", "wrk, requests/s"], rows)


def _spread(spread: Spread | None, digits: int) -> str:
    if spread is None:
        return "-"
    if spread.count == 1:
        return f"{spread.median:.{digits}f}"
    return f"{spread.median:.{digits}f} ({spread.least:.{digits}f}..{spread.most:.{digits}f})"


def _table(head: list[str], rows: Iterable[list[str]], *, numbers: bool = True) -> str:
    rule = ["---", *(["---:" if numbers else "---"] * (len(head) - 1))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, rule, *rows])
