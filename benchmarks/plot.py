"""Plot how the time grows with the archive, from the JSON of one or more runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from benchmarks import growth
from benchmarks.large import growth as large_growth

COLOURS = ("tab:blue", "tab:orange", "tab:green")  # one per run
SIDES = {"gateway": ("-", "gateway before"), "Orthanc": ("--", "fewest calls of")}


def draw(runs: Sequence[Mapping[str, Any]], target: Path) -> None:
    """Write a PNG with median, minimum and maximum of the runs that measured growth."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for run, colour in zip(runs, COLOURS, strict=False):
        for side, (style, text) in SIDES.items():
            sizes, times = _points(run, side)
            if not sizes:
                continue
            medians = [time["median"] for time in times]
            errors = [[t["median"] - t["min"] for t in times], [t["max"] - t["median"] for t in times]]
            axes.errorbar(
                sizes,
                medians,
                yerr=errors,
                color=colour,
                linestyle=style,
                marker="o",
                markersize=4,
                capsize=3,
                label=f"{text} Orthanc {run['environment']['orthanc']}",
            )
    axes.set(xscale="log", yscale="log", xlabel="instances", ylabel="seconds (median, least and greatest)")
    sizes = [archive.instances for archive in growth.ARCHIVES]
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.minorticks_off()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_title("The whole archive, 15 fields an instance")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(target, dpi=96, metadata={"Software": None})


def draw_large(run: Mapping[str, Any], target: Path) -> None:
    """Write a PNG with the medians of a page and of a study in archives of up to 1,000,000 instances."""
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    rows = {row["name"]: row for row in run["rows"]}
    sizes = [archive.instances for archive in large_growth.ARCHIVES]
    for axes, what in zip(figure.subplots(1, 2, sharey=True), (large_growth.PAGE, large_growth.STUDY), strict=True):
        parts = [rows[large_growth.name_of(what, archive)]["parts"] for archive in large_growth.ARCHIVES]
        for of_side, colour in zip(zip(*parts, strict=True), COLOURS, strict=True):
            medians = [1000 * _seconds(part)["median"] for part in of_side]
            axes.plot(sizes, medians, color=colour, marker="o", markersize=4, label=of_side[0]["name"])
        axes.set(xscale="log", yscale="log", xlabel="instances", title=what)
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.minorticks_off()
        axes.yaxis.set_major_formatter("{x:g}")
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("milliseconds (median)")
    figure.axes[0].legend()
    figure.savefig(target, dpi=96, metadata={"Software": None})


def _points(run: Mapping[str, Any], side: str) -> tuple[list[int], list[dict[str, float]]]:
    """Return the measured sizes, and the seconds of one side for each."""
    rows = {row["name"]: row for row in run["rows"]}
    sizes, times = [], []
    for archive in growth.ARCHIVES:
        if row := rows.get(growth.name_of(archive)):
            [part] = [part for part in row["parts"] if part["name"] == side]
            sizes.append(archive.instances)
            times.append(_seconds(part))
    return sizes, times


def _seconds(part: Mapping[str, Any]) -> dict[str, float]:
    factor = {"s": 1.0, "ms": 0.001}[part["unit"]]
    return {key: factor * part[key] for key in ("median", "min", "max")}
