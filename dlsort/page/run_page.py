"""The page of a sort that is done: what was predicted beside what was measured, and plots."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dlsort.errors import BadOptionError
from dlsort.page.tables import STYLE, heading, preformatted, table
from dlsort.sizes import format_bytes

__all__ = ["check_bokeh", "run_page"]

_COLORS = {
    "open": "#9e9e9e",
    "start": "#9e9e9e",
    "sample": "#e6a23c",
    "partition": "#4a7fb5",
    "sort": "#5a9e6f",
    "publish": "#8d6cab",
}
_MOST_BARS = 4000
_WIDTH = 900
_CLIENT = "the sort"
# bokeh's own template, with the tables before its plots.
_TEMPLATE = """
{% block postamble %}<style>{{ style }}</style>{% endblock %}
{% block contents %}<div class="dlsort">{{ tables }}</div>{{ super() }}{% endblock %}
"""


def check_bokeh() -> None:
    """Raise if the page can't be drawn.

    Raises
    ------
    BadOptionError
        If bokeh is not installed.
    """
    try:
        import bokeh.plotting  # noqa: F401
    except ImportError as error:
        msg = (
            "a report as HTML is drawn by bokeh, which is not installed; "
            "pip install 'dlsort[report]', or have the report as .json or .txt."
        )
        raise BadOptionError(msg) from error


def run_page(report: Mapping[str, Any], phases: Mapping[str, Any], text: str) -> str:
    """Return the page of a report.

    Parameters
    ----------
    report, phases : mapping
        The fields of a :class:`dlsort.SortReport`, and of its phases.
    text : str
        The same for people.

    Raises
    ------
    BadOptionError
        If bokeh is not installed.
    """
    check_bokeh()
    from bokeh.embed import file_html
    from bokeh.resources import INLINE
    from markupsafe import Markup

    tables = preformatted(text) + _comparison(report, phases)
    plots = [
        _timeline(report, phases),
        _parts(report),
        *([_curve(report["learned"])] if report["learned"] else []),
    ]
    if not report["learned"]:
        tables += "<p>No distribution was learned: " + (
            "the order of the source was used, without a model.</p>"
            if report["moved"]
            else "there was one part, or the model is gone.</p>"
        )
    page: str = file_html(
        plots,
        INLINE,
        f"dlsort: {report['dst']}",
        template=_TEMPLATE,
        template_variables={"style": STYLE, "tables": Markup(tables)},
    )
    return page


def _comparison(report: Mapping[str, Any], phases: Mapping[str, Any]) -> str:
    """Return tables of what was predicted and what was measured."""
    told = report["predicted"]
    if not told:
        return "<p>Nothing was predicted of this sort.</p>"
    measured_phases = {f"{name}_s": phases[f"{name}_s"] for name in _COLORS}
    steps = {**told["work"], **phases["work"]}
    seconds = [
        ["whole sort", *_pair(told["seconds"], report["seconds"], _seconds)],
        *(
            [name.removesuffix("_s"), *_pair(told["phases"].get(name), actual, _seconds)]
            for name, actual in measured_phases.items()
        ),
    ]
    threads = [
        [step, *_pair(told["work"].get(step), phases["work"].get(step), _seconds)]
        for step in steps
        if step not in ("start", "sample", "publish")  # of which only the clock's is measured
    ]
    sizes = [
        ["peak memory", *_pair(told["memory_bytes"], report["peak_memory_bytes"], _bytes)],
        ["spilled", *_pair(told["spilled_bytes"], report["spilled_bytes"], _bytes)],
        ["balance", *_pair(told["balance"], report["balance"], "{:.3f}".format)],
        ["parts", *_pair(told.get("parts"), report["output_parts"], "{:,}".format)],
        ["inputs", *_pair(told.get("inputs"), report["input_parts"], "{:,}".format)],
    ]
    head = ["predicted", "measured", "measured / predicted"]
    return "".join(
        (
            heading(f"Seconds of the clock, predicted from {told['told_by']}"),
            table(["phase", *head], seconds),
            heading("Seconds of all threads"),
            table(["step", *head], threads),
            heading("Memory, disk and balance"),
            table(["", *head], sizes),
        )
    )


def _pair(told: Any, actual: Any, shown: Callable[[Any], str]) -> list[str]:
    ratio = f"{actual / told:.2f}" if told and actual is not None else ""
    return ["–" if each is None else shown(each) for each in (told, actual)] + [ratio]


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f} s"


def _bytes(n_bytes: float) -> str:
    return format_bytes(int(n_bytes))


def _figure(title: str, height: int, **how: Any) -> Any:
    from bokeh.plotting import figure

    found = figure(title=title, width=_WIDTH, height=height, **how)
    found.toolbar.logo = None  # a link to bokeh's site
    return found


def _timeline(report: Mapping[str, Any], phases: Mapping[str, Any]) -> Any:
    """Return the plot of which thread did what when; the phases are a row of their own."""
    spans: list[Sequence[Any]] = []
    at = 0.0
    began = {}
    for name in _COLORS:
        began[name] = at
        spans.append((_CLIENT, name, at, at + phases[f"{name}_s"]))
        at += phases[f"{name}_s"]
    offset = began["sample"]
    lanes = list(dict.fromkeys(lane for lane, *_ in report["timeline"]))
    names = {lane: f"{i + 1}: {lane}" for i, lane in enumerate(lanes)} | {_CLIENT: _CLIENT}
    spans += [(lane, phase, a + offset, b + offset) for lane, phase, a, b in report["timeline"]]
    rows = [names[lane] for lane in (_CLIENT, *lanes)]
    plot = _figure(
        "Phases, and what each thread worked on",
        110 + 22 * min(len(rows), 40),
        y_range=rows[::-1],
        x_axis_label="seconds",
        tools="xpan,xwheel_zoom,reset,save,hover",
        tooltips=[("", "@phase"), ("from", "@left{0.000} s"), ("to", "@right{0.000} s")],
    )
    for phase, color in _COLORS.items():
        of_phase = [span for span in spans if span[1] == phase]
        plot.hbar(
            y="lane",
            left="left",
            right="right",
            height=0.7,
            color=color,
            legend_label=phase,
            source={
                "lane": [names[span[0]] for span in of_phase],
                "phase": [phase] * len(of_phase),
                "left": [span[2] for span in of_phase],
                "right": [span[3] for span in of_phase],
            },
        )
    plot.add_layout(plot.legend[0], "right")
    return plot


def _parts(report: Mapping[str, Any]) -> Any:
    """Return the plot of the parts' rows, and of what each was to have."""
    rows = report["part_rows"]
    every = -(-len(rows) // _MOST_BARS) or 1
    shown = [max(rows[i : i + every]) for i in range(0, len(rows), every)]
    plot = _figure(
        "Rows of each part" + (f", the most of every {every:,}" if every > 1 else ""),
        280,
        x_axis_label="part",
        y_axis_label="rows",
        tools="pan,wheel_zoom,reset,save,hover",
        tooltips=[("part", "@part"), ("rows", "@rows{0,0}")],
    )
    at = [float(i * every) for i in range(len(shown))]
    plot.vbar(
        x="part",
        top="rows",
        width=0.8 * every,
        color=_COLORS["sort"],
        legend_label="measured",
        source={"part": at, "rows": shown},
    )
    ends = [-0.5, max(len(rows), 1) - 0.5]
    told = report["predicted_rows"]
    plot.line(ends, [told, told], color="black", line_dash="dashed", legend_label="predicted")
    plot.y_range.start = 0
    plot.add_layout(plot.legend[0], "right")
    return plot


def _curve(curve: Mapping[str, Any]) -> Any:
    """Return the plot of the distribution that the sample has taught, and where it was cut."""
    unit, name = curve["unit"], curve["column"]
    what = f"{name} (rank among those shown)" if unit == "rank" else name
    plot = _figure(
        f"The distribution that was learned: {curve['n_splitters']:,} keys of the sample at "
        "equal depths",
        360,
        x_axis_label="share of the rows",
        y_axis_label=what,
        y_axis_type="datetime" if unit == "time" else "auto",
        tools="pan,wheel_zoom,reset,save",
    )
    cuts = curve["cuts"]
    plot.line(curve["quantiles"], curve["keys"], color=_COLORS["partition"])
    plot.scatter(
        curve["quantiles"],
        curve["keys"],
        size=4,
        color=_COLORS["partition"],
        legend_label="sampled keys",
    )
    plot.scatter(
        [q for q, _ in cuts],
        [key for _, key in cuts],
        marker="dash",
        size=14,
        color=_COLORS["sample"],
        line_width=2,
        legend_label="splitters between parts",
    )
    plot.add_layout(plot.legend[0], "right")
    return plot
