"""Draws a dashboard of `gristmill dashboard` without Grafana: the same panels, the same queries, asked of a real Prometheus.

    python dashboard.py shop.json http://localhost:9090 dashboard.png --minutes 3

Needs matplotlib. Made the picture in README; where there is Grafana, import the dashboard there.
"""

import argparse
import json
import textwrap
import time
import urllib.parse
import urllib.request
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import FuncFormatter

# The look of Grafana's dark theme and the order of its palette.
PAGE, PANEL, LINE, TEXT, FAINT = "#111217", "#181b1f", "#2c3235", "#ccccdc", "#8e8e9a"
PALETTE = ["#73bf69", "#f2cc0c", "#5794f2", "#ff9830", "#f2495c", "#b877d9", "#8ab8ff", "#ffa6b0"]
NAMED = {"green": "#73bf69", "orange": "#ff9830", "red": "#f2495c"}
CELL_W, CELL_H = 0.58, 0.40  # of a cell of Grafana's grid, in inches
Series = list[tuple[dict[str, str], list[tuple[float, float]]]]


def ask(prometheus: str, expr: str, now: float, seconds: float) -> Series:
    """The series of a query over the last seconds."""
    for name, value in {"$__rate_interval": "10s", "$__range": f"{seconds:.0f}s", "$instance": ".*"}.items():
        expr = expr.replace(name, value)
    step = max(1.0, seconds / 240)
    query = urllib.parse.urlencode({"query": expr, "start": now - seconds, "end": now, "step": step})
    with urllib.request.urlopen(f"{prometheus}/api/v1/query_range?{query}") as answer:
        found = json.load(answer)["data"]["result"]
    return [(one["metric"], [(t - now, float(v)) for t, v in one["values"]]) for one in found]


def legend(form: str, labels: dict[str, str]) -> str:
    for key, value in labels.items():
        form = form.replace("{{" + key + "}}", value)
    return form


def figure(value: float, unit: str) -> str:
    if value != value:
        return "–"
    if unit == "percentunit":
        return f"{value * 100:.3g}%"
    if unit == "s":
        for scale, name in ((1, "s"), (1e3, "ms")):
            if value * scale >= 1:
                return f"{value * scale:.3g} {name}"
        return f"{value * 1e6:.3g} µs"
    scales = [(2**30, " GiB"), (2**20, " MiB"), (2**10, " KiB")] if unit == "bytes" else [(1e9, "G"), (1e6, "M"), (1e3, "K")]
    for scale, name in scales:
        if abs(value) >= scale:
            return f"{value / scale:.3g}{name}"
    return f"{value:.3g}" + (" B" if unit == "bytes" else "")


def stat(axes: Any, panel: dict[str, Any], all_series: list[tuple[str, Series]], unit: str) -> None:
    axes.axis("off")
    lasts = [(legend(form, labels), values[-1][1]) for form, found in all_series for labels, values in found if values[-1][0] > -15]
    name, value = max(lasts, key=lambda last: last[1], default=("", float("nan")))
    color = NAMED["green"]
    for step in panel["fieldConfig"]["defaults"]["thresholds"]["steps"]:
        if step["value"] is None or value >= step["value"]:
            color = NAMED[step["color"]]
    axes.text(0.5, 0.56 if name else 0.45, figure(value, unit), color=color, fontsize=22, ha="center", va="center", transform=axes.transAxes)
    axes.text(0.5, 0.14, name, color=color, fontsize=12, ha="center", va="center", transform=axes.transAxes)


def lines(axes: Any, panel: dict[str, Any], all_series: list[tuple[str, Series]], unit: str) -> None:
    custom = panel["fieldConfig"]["defaults"].get("custom", {})
    drawn = [(legend(form, labels), values) for form, found in all_series for labels, values in found]
    if not drawn:
        axes.text(0.5, 0.5, "No data", color=FAINT, ha="center", va="center", transform=axes.transAxes)
    if "stacking" in custom and drawn:
        times = sorted({t for _, values in drawn for t, _ in values})
        rows = [[dict(values).get(t, 0.0) for t in times] for _, values in drawn]
        axes.stackplot(times, rows, labels=[name for name, _ in drawn], colors=PALETTE, alpha=0.7)
    else:
        for color, (name, values) in zip(PALETTE * 4, drawn, strict=False):
            xs, ys = zip(*values, strict=True)
            axes.plot(xs, ys, color=color, lw=1.1, label=name)
            axes.fill_between(xs, ys, color=color, alpha=0.08)
    top = panel["fieldConfig"]["defaults"].get("max")
    axes.set_ylim(bottom=0, top=top)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: figure(value, unit)))
    if drawn:
        # Below the panel's own axis, as Grafana puts it.
        axes.legend(loc="upper left", bbox_to_anchor=(-0.04, -0.14), ncols=6, fontsize=7, frameon=False, labelcolor=TEXT, handlelength=1, columnspacing=1)


def heatmap(axes: Any, all_series: list[tuple[str, Series]], unit: str) -> None:
    buckets = sorted(((float(labels["le"].replace("+Inf", "inf")), dict(values)) for _, found in all_series for labels, values in found), key=lambda b: b[0])
    times = sorted({t for _, values in buckets for t in values})
    counts, below = [], dict.fromkeys(times, 0.0)
    for _, values in buckets:
        counts.append([max(0.0, values.get(t, 0.0) - below[t]) for t in times])
        below = values
    if not counts:
        axes.text(0.5, 0.5, "No data", color=FAINT, ha="center", va="center", transform=axes.transAxes)
        return
    shades = LinearSegmentedColormap.from_list("batches", [PANEL, "#5a3b1c", "#ff9830", "#fff2c4"])
    axes.pcolormesh(times, range(len(buckets)), counts, cmap=shades, shading="nearest")
    used = [n for n, row in enumerate(counts) if any(row)] or [0]
    axes.set_ylim(max(-0.5, min(used) - 1.5), max(used) + 1.5)
    ticks = [n for n in range(len(buckets)) if min(used) - 1 <= n <= max(used) + 1]
    axes.set_yticks(ticks, [figure(buckets[n][0], unit) if buckets[n][0] != float("inf") else "more" for n in ticks])


def draw(panel: dict[str, Any], place: Any, page: Any, prometheus: str, now: float, seconds: float) -> None:
    x, y, w, h = place
    if panel["type"] == "row":
        page.text(x, y + h / 2, "⌄ " + panel["title"], color=TEXT, fontsize=10, weight="bold", va="center")
        return
    page.add_artist(plt.Rectangle((x, y), w, h, fc=PANEL, ec=LINE, lw=0.8, transform=page.transFigure, zorder=-5))
    width, height = page.get_size_inches()
    inch_x, inch_y = 1 / width, 1 / height
    wide = int(w / inch_x * 13)
    page.text(x + 0.09 * inch_x, y + h - 0.17 * inch_y, textwrap.shorten(panel["title"], wide, placeholder="…"), color=TEXT, fontsize=8.5, weight="bold", va="center")
    is_lines = panel["type"] == "timeseries"
    left, bottom = (0.62, 0.62 if is_lines else 0.3) if panel["type"] != "stat" else (0.05, 0.05)
    axes = page.add_axes((x + left * inch_x, y + bottom * inch_y, w - (left + 0.12) * inch_x, h - (bottom + 0.36) * inch_y), facecolor=PANEL)
    axes.tick_params(colors=FAINT, labelsize=7, length=0)
    axes.grid(color=LINE, lw=0.5)
    for side in axes.spines.values():
        side.set_visible(False)
    unit = panel["fieldConfig"]["defaults"].get("unit", "short")
    all_series = [(target.get("legendFormat") or "", ask(prometheus, target["expr"], now, seconds)) for target in panel["targets"]]
    if panel["type"] == "stat":
        stat(axes, panel, all_series, unit)
        return
    if panel["type"] == "heatmap":
        heatmap(axes, all_series, unit)
    else:
        lines(axes, panel, all_series, unit)
    axes.set_xlim(-seconds, 0)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: "now" if value == 0 else f"{value:.0f} s"))
    axes.locator_params(axis="x", nbins=4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dashboard")
    parser.add_argument("prometheus")
    parser.add_argument("picture")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--only", help="the overview, and the row whose title begins so")
    args = parser.parse_args()
    with open(args.dashboard, encoding="utf-8") as file:
        panels = json.load(file)["panels"]
    shown, row, up = [], None, 0
    for panel in panels:
        row = panel["title"] if panel["type"] == "row" else row
        if args.only is None or row is None or row.startswith(args.only):
            place = panel["gridPos"]
            if panel["type"] == "row" and args.only is not None:
                up = place["y"] - max((p["gridPos"]["y"] - u + p["gridPos"]["h"] for p, u in shown), default=0)
            shown.append((panel, up))
    rows = max(panel["gridPos"]["y"] - up + panel["gridPos"]["h"] for panel, up in shown)
    page = plt.figure(figsize=(24 * CELL_W, rows * CELL_H), facecolor=PAGE, dpi=100)
    gap_x, gap_y = 0.08 / (24 * CELL_W), 0.08 / (rows * CELL_H)
    now = time.time()
    for panel, up in shown:
        at = panel["gridPos"]
        place = (at["x"] / 24 + gap_x, 1 - (at["y"] - up + at["h"]) / rows + gap_y, at["w"] / 24 - 2 * gap_x, at["h"] / rows - 2 * gap_y)
        draw(panel, place, page, args.prometheus.rstrip("/"), now, args.minutes * 60)
    page.savefig(args.picture, facecolor=PAGE)


if __name__ == "__main__":
    main()
