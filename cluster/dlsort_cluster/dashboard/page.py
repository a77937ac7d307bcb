"""The page: jobs and phases as text and bars, partitions, bytes and speed as plots.

Drawn anew each second for whoever looks, from what the board knows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from itertools import pairwise
from typing import Any

from bokeh.layouts import column, row
from bokeh.models import ColumnDataSource, Div, HoverTool, NumeralTickFormatter, Select
from bokeh.plotting import figure
from bokeh.transform import dodge
from dask.utils import format_bytes
from distributed.dashboard.components.scheduler import BOKEH_THEME, env

from dlsort_cluster.dashboard.jobs import AT_WORK, Job, Phase

__all__ = ["Page", "show"]

REFRESH_MS = 1000
LATEST = "the latest"
_COLORS = {
    "sample": "#e6a23c",
    "partition": "#4a7fb5",
    "sort": "#5a9e6f",
    "publish": "#8d6cab",
}
_MOVED = {"sent": "#4a7fb5", "received": "#5a9e6f", "spilled": "#c0504d"}
_MOST_ROWS = 7  # of the table of jobs
_MOST_BARS = 400
_MOST_WORKERS = 24
_HEADS = ("job", "by", "source", "rows", "state", "seconds")
_STYLE = """<style>
table { border-collapse: collapse; width: 100%; font: 13px sans-serif; }
th, td { text-align: left; padding: 3px 8px; border-bottom: 1px solid #8884;
  max-width: 240px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.number { text-align: right; } .bar { background: #8883; width: 110px; height: 12px; }
.bar div { height: 12px; }
</style>"""


def show(
    jobs: Mapping[str, Job],
    look: Callable[[], None],
    scheduler: Any,
    extra: dict[str, Any],
    doc: Any,
) -> None:
    """Put the page into a document, as Dask's dashboard asks for it."""
    page = Page(jobs, look)
    page.update()
    doc.title = "Dask: dlsort"
    doc.add_root(page.root)
    doc.add_periodic_callback(page.update, REFRESH_MS)
    doc.template = env.get_template("simple.html")
    doc.template_variables.update(extra)
    doc.theme = BOKEH_THEME


class Page:
    """One reader's page.

    Parameters
    ----------
    jobs : mapping of str to Job
        Those that are known, the latest last.
    look : callable
        Takes in what is to be seen of them now.
    """

    def __init__(self, jobs: Mapping[str, Job], look: Callable[[], None]) -> None:
        self._known, self._look = jobs, look
        self._jobs = Div(sizing_mode="stretch_width", min_width=780)
        self._phases = Div(width=430)
        self._choice = Select(title="Shown below", value="", options=[("", LATEST)], width=430)
        self._parts = ColumnDataSource({"part": [], "rows": []})
        self._planned = ColumnDataSource({"part": [], "rows": []})
        self._moved = ColumnDataSource({"worker": [], **{name: [] for name in _MOVED}})
        self._speed = ColumnDataSource({"second": [], "rate": []})
        self._part_plot = _figure(x_axis_label="partition", y_axis_label="rows")
        self._part_plot.vbar(
            "part",
            0.9,
            "rows",
            source=self._parts,
            color=_COLORS["sort"],
            legend_label="actual",
        )
        self._part_plot.line(
            "part", "rows", source=self._planned, color="#c0504d", legend_label="predicted"
        )
        self._part_plot.yaxis.formatter = NumeralTickFormatter(format="0.[0] a")
        self._moved_plot = _figure(y_range=[], x_axis_label="bytes")
        for place, (name, color) in enumerate(_MOVED.items()):
            self._moved_plot.hbar(
                dodge("worker", 0.25 * (1 - place), range=self._moved_plot.y_range),
                0.22,
                name,
                source=self._moved,
                color=color,
                legend_label=name,
            )
        self._moved_plot.title.offset = -130  # workers have long names, and it tells much
        self._moved_plot.xaxis.formatter = NumeralTickFormatter(format="0.[0] b")
        tips = [("worker", "@worker"), *((name, f"@{name}{{0.0 b}}") for name in _MOVED)]
        self._moved_plot.add_tools(HoverTool(tooltips=tips))
        self._speed_plot = _figure(x_axis_label="seconds", y_axis_label="rows/s")
        self._speed_plot.line(
            "second", "rate", source=self._speed, color=_COLORS["partition"], line_width=2
        )
        self._speed_plot.yaxis.formatter = NumeralTickFormatter(format="0.[0] a")
        for plot in (self._part_plot, self._moved_plot):
            plot.legend.orientation = "horizontal"
            plot.add_layout(plot.legend[0], "above")
        plots = row(
            self._part_plot, self._moved_plot, self._speed_plot, sizing_mode="stretch_width"
        )
        side = column(self._choice, self._phases, width=440)
        top = row(self._jobs, side, sizing_mode="stretch_width")
        self.root = column(top, plots, sizing_mode="stretch_width")

    def update(self) -> None:
        """Show what is so now."""
        self._look()
        jobs = dict(reversed(list(self._known.items())))
        at_work = [name for name, job in jobs.items() if job.state == AT_WORK]
        names = at_work + [name for name in jobs if name not in at_work]
        _set(self._jobs, "text", _STYLE + _table([jobs[name] for name in names[:_MOST_ROWS]]))
        options = [("", LATEST), *((name, _label(jobs[name])) for name in names)]
        _set(self._choice, "options", options)
        job = jobs.get(self._choice.value) or (jobs[names[0]] if names else Job(title=""))
        _set(self._phases, "text", _STYLE + _bars(job))
        self._show_parts(job)
        self._show_moved(job)
        self._show_speed(job)

    def _show_parts(self, job: Job) -> None:
        rows = [job.part_rows.get(part, 0) for part in range(job.n_parts)]
        every = max(1, -(-len(rows) // _MOST_BARS))
        bars = [max(rows[at : at + every]) for at in range(0, len(rows), every)]
        places = [at * every for at in range(len(bars))]
        _set(self._parts, "data", {"part": places, "rows": bars})
        line = [-0.5, max(len(rows) - 0.5, 0.5)] if job.planned_rows else []
        _set(self._planned, "data", {"part": line, "rows": [job.planned_rows] * len(line)})
        found = f": largest {job.imbalance:.3f} x the mean" if job.imbalance else ""
        _set(self._part_plot.title, "text", f"{job.n_parts:,} partitions{found}")

    def _show_moved(self, job: Job) -> None:
        shares = sorted(job.shares.items(), key=lambda share: -share[1].received)
        few = dict(sorted(shares[:_MOST_WORKERS], reverse=True))
        workers = list(few)
        if workers != list(self._moved_plot.y_range.factors):
            self._moved_plot.y_range.factors = workers
        moved = {name: [getattr(share, name) for share in few.values()] for name in _MOVED}
        _set(self._moved, "data", {"worker": workers, **moved})
        totals = {name: sum(getattr(share, name) for _, share in shares) for name in _MOVED}
        told = ", ".join(f"{name} {format_bytes(total)}" for name, total in totals.items())
        _set(self._moved_plot.title, "text", f"{len(shares):,} workers: {told}")

    def _show_speed(self, job: Job) -> None:
        seconds, rates = rates_of(list(job.samples))
        _set(self._speed, "data", {"second": seconds, "rate": rates})
        last = job.samples[-1][1] if job.samples else 0.0
        reached_s = next((seconds for seconds, done in job.samples if done == last), 0.0)
        mean = last / max(reached_s, 0.001)  # what follows is another phase
        _set(self._speed_plot.title, "text", f"Rows partitioned and sorted: {mean:,.0f} rows/s")


def rates_of(samples: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Return times and rows a second between samples that are half a second apart.

    Examples
    --------
    >>> rates_of([(0.0, 0), (0.1, 5), (1.0, 100), (3.0, 500)])
    ([1.0, 3.0], [100.0, 200.0])
    """
    kept: list[tuple[float, float]] = []
    for sample in samples:
        if not kept or sample[0] - kept[-1][0] >= 0.5:
            kept.append(sample)
    pairs = list(pairwise(kept))
    return [b[0] for _, b in pairs], [max(0.0, (b[1] - a[1]) / (b[0] - a[0])) for a, b in pairs]


def _figure(**how: Any) -> Any:
    made = figure(
        title="",
        height=400,
        sizing_mode="stretch_width",
        tools="",
        toolbar_location=None,
        **how,
    )
    made.title.text_font_size = "12px"
    made.title.offset = -60  # above the names of the axis too
    return made


def _set(model: Any, name: str, value: Any) -> None:
    """Set what has changed: all else would be sent again to each reader."""
    if getattr(model, name) != value:
        setattr(model, name, value)


def _label(job: Job) -> str:
    return " ".join(filter(None, (job.title, job.by and f"by {job.by}", f"({job.state})")))


def _table(jobs: Sequence[Job]) -> str:
    heads = "".join(f"<th>{head}</th>" for head in _HEADS)
    if not jobs:
        return f"<table><tr>{heads}</tr></table><p>No sort has begun yet.</p>"
    return f"<table><tr>{heads}</tr>{''.join(map(_line, jobs))}</table>"


def _line(job: Job) -> str:
    rows = f"{job.rows:,}" if job.rows else ""
    state = f"{job.state}: {job.error}" if job.error else job.state
    texts = (job.title, job.by, job.source, rows, state, f"{job.seconds:.1f}")
    cells = (f'<td title="{escape(text)}">{escape(text)}</td>' for text in texts)
    return f"<tr>{''.join(cells)}</tr>"


def _bars(job: Job) -> str:
    return f"<table>{''.join(map(_bar, job.phases))}</table>"


def _bar(phase: Phase) -> str:
    share = 100 * phase.done / phase.total if phase.total else 0
    color = _COLORS.get(phase.name, "#9e9e9e")
    return (
        f'<tr><td>{escape(phase.name)}</td><td><div class="bar" role="progressbar" '
        f'aria-valuenow="{share:.0f}"><div style="width: {min(share, 100):.1f}%; '
        f'background: {color}"></div></div></td>'
        f'<td class="number">{phase.done:,} of {phase.total:,} {escape(phase.unit)}</td></tr>'
    )
