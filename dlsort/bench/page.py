"""The page: everything of the JSON file, for people, in one file without scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from dlsort.bench.bounds import RULE
from dlsort.bench.figures import losses, wrong
from dlsort.bench.published import NOT_COMPARABLE
from dlsort.page.drawing import bars, curves, timeline
from dlsort.page.tables import STYLE, heading, table
from dlsort.sizes import format_bytes
from dlsort.wording import count, scaled

__all__ = ["by_title", "page", "verdict_lines"]

_STYLE = """
body { max-width: 76em; }
.dlsort h1 { font-size: 1.5em; } .dlsort h3 { font-size: 1em; margin: 1.2em 0 .3em; }
.dlsort svg { max-width: 100%; height: auto; display: block; margin: .6em 0; }
.dlsort .first { border-left: 4px solid #b5483f; padding: .1em 1em; background: #fbf3f2; }
.dlsort .note { color: #555; max-width: 60em; } .dlsort .wide { overflow-x: auto; }
"""
_WHERE = "no TB was priced: give --price, dollars an hour for a machine."


def page(document: Mapping[str, Any]) -> str:
    """Return the page of a result of :func:`dlsort.bench.door.run_bench`."""
    parts = [
        "<h1>dlsort bench</h1>",
        f"<p>{escape(_headline(document))}</p>",
        _lost(document),
        *(_race(race, document) for race in document["races"]),
        heading("How it was measured"),
        _list(document["notes"]),
        f'<p class="note">{escape(RULE)}</p>',
        heading("Hardware"),
        _hosts(document),
        heading("Versions"),
        table(["package", "version"], list(document["versions"].items())),
        heading("Published figures"),
        _published(document["published"]),
        _list(NOT_COMPARABLE),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        "<title>dlsort bench</title>"
        f'<style>{STYLE}{_STYLE}</style></head><body><div class="dlsort">'
        f"{''.join(parts)}</div></body></html>\n"
    )


def by_title(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return each race's figures, by its title."""
    return {race["title"]: race["engines"] for race in document["races"]}


def verdict_lines(document: Mapping[str, Any]) -> list[str]:
    """Return what dlsort loses, warm and cold, which results are wrong, and what is missing."""
    results = by_title(document)
    lines = []
    compared = [
        1
        for engines in results.values()
        for name, figures in engines.items()
        if not name.startswith(("dlsort", "copy"))
        and figures["verdict"] == "ok"
        and figures["over_dlsort"] is not None
    ]
    for what, which in (
        ("dlsort loses", "over_dlsort"),
        ("In the cold round dlsort loses", "cold_over_dlsort"),
    ):
        lost = losses(results, which)
        none = "to none of these" if compared else "to none: nothing was there to compare with"
        lines.append(f"{what} {'; '.join(lost) or none}.")
    lines += [f"Wrong or failed: {each}." for each in wrong(results)]
    if document["left_out"]:
        names = " and ".join(document["left_out"])
        lines.append(f"Left out, as not installed: {names}.")
    if document["stopped"]:
        lines.append(f"Not all was measured: {document['stopped']}.")
    return lines


def _headline(document: Mapping[str, Any]) -> str:
    asked = document["settings"]
    where = (
        f"on the cluster at {asked['scheduler']}" if asked["scheduler"] else "on this machine"
    )
    return (
        f"{document['date']}; suite {asked['suite']}, {where}; "
        f"{count(asked['threads'], 'thread')} and {format_bytes(asked['memory_bytes'])} for "
        f"each engine of one host; a cold round and {asked['rounds']} more, in turn."
    )


def _lost(document: Mapping[str, Any]) -> str:
    lines = "".join(f"<p>{escape(line)}</p>" for line in verdict_lines(document))
    return f'<div class="first">{lines}</div>'


def _list(notes: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(note)}</li>' for note in notes)}</ul>"


# ---------------------------------------------------------------- a race

_HEAD = (
    "engine",
    "seconds",
    "least–most",
    "cold",
    "× dlsort's time",
    "rows/s",
    "MB/s a core",
    "stored",
    "$ a TB",
    "peak memory",
    "largest part",
    "cores",
    "result",
)


def _race(race: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    size = race["size"]
    told = (
        f"{race['about']} {count(size['rows'], 'row')}, {format_bytes(size['stored_bytes'])} "
        f"stored, {format_bytes(size['memory_bytes'])} in memory."
    )
    rows = [_row(figures) for figures in race["engines"].values()]
    good = {
        figures["title"]: (figures["seconds"], figures["least"], figures["most"])
        for figures in race["engines"].values()
        if figures["verdict"] == "ok"
    }
    unpriced = document["settings"]["price"] is None
    return "".join(
        (
            heading(f"{race['suite']}: {race['title']}"),
            f"<p>{escape(told)}</p>",
            f'<div class="wide">{table(_HEAD, rows)}</div>',
            f'<p class="note">In dollars {_WHERE}</p>' if unpriced else "",
            bars(good, "s") if good else "",
            *(_detail(figures) for figures in race["engines"].values()),
        )
    )


def _row(figures: Mapping[str, Any]) -> list[str]:
    is_good = figures["verdict"] == "ok"
    name = figures["title"] + (" (cluster)" if figures["where"] == "cluster" else "")
    if not is_good:
        dashes = ["–"] * (len(_HEAD) - 5)
        memory = format_bytes(figures["peak_bytes"])
        return [name, *dashes, memory, "–", str(figures["cores"]), figures["verdict"]]
    return [
        name,
        f"{figures['seconds']:.3f}",
        f"{figures['least']:.3f}–{figures['most']:.3f}",
        f"{figures['cold']:.3f}",
        _number(figures["over_dlsort"], "{:.2f}"),
        "–" if figures["rows_s"] is None else scaled(figures["rows_s"]),
        _number(figures["mb_s_core"], "{:.1f}"),
        _number(figures["stored_mb_s_core"], "{:.1f}"),
        _number(figures["dollars_tb"], "{:.3f}"),
        format_bytes(figures["peak_bytes"]) if figures["peak_bytes"] else "–",
        _number(figures["balance"], "{:.3f} × mean"),
        str(figures["cores"]),
        "checked",
    ]


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value)


def _detail(figures: Mapping[str, Any]) -> str:
    """Return where an engine's median round went: threads over time, resources, bounds."""
    detail = figures["detail"]
    if detail is None or not any(each["processor"] is not None for each in detail["bounds"]):
        return ""  # a wrong result, or one of too short a time
    seconds, samples = detail["seconds"], detail["samples"]
    spans = [("the sort", phase, began, ended) for phase, began, ended in detail["phases"]]
    shown = [*spans, *map(tuple, detail["timeline"])] if detail["timeline"] else spans
    cores = [(each["at_s"], each["cores"]) for each in samples]
    disk = [(each["at_s"], each["disk_read"] + each["disk_write"]) for each in samples]
    memory = [(each["at_s"], each["memory_bytes"]) for each in samples]
    most_disk, most_memory = (max((y for _, y in line), default=0) for line in (disk, memory))
    lines: dict[str, Any] = {
        "cores busy": (cores, figures["cores"], f"{figures['cores']} cores", "#4a7fb5"),
        "disk": (disk, most_disk, f"{format_bytes(most_disk)}/s", "#e6a23c"),
        "memory": (memory, most_memory, format_bytes(most_memory), "#8d6cab"),
    }
    rows = [
        [
            each["phase"],
            f"{each['seconds']:.3f} s",
            *(_share(each[name]) for name in ("processor", "disk", "network", "memory")),
            each["bound"],
        ]
        for each in detail["bounds"]
    ]
    head = ["phase", "time", "processor", "disk", "network", "memory", "bound by"]
    work = "".join(
        f" {name} {value:.2f} s," for name, value in detail["work"].items() if value
    ).rstrip(",")
    return "".join(
        (
            f"<h3>{escape(figures['title'])}: where the median round went</h3>",
            timeline(shown, seconds) if detail["timeline"] else "",
            curves(lines, seconds) if samples else "",
            table(head, rows),
            f"<p>Seconds of all threads, by step:{escape(work)}.</p>" if work else "",
        )
    )


def _share(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"


# ---------------------------------------------------------------- hardware, and others


def _hosts(document: Mapping[str, Any]) -> str:
    rows = []
    for name, host in document["hosts"].items():
        if "error" in host:
            rows.append([name, host["error"], "", "", "", "", "", ""])
            continue
        workers = host.get("workers")
        rows.append(
            [
                name,
                host["processor"],
                f"{host['cores']}",
                format_bytes(host["memory_bytes"]),
                _rate(host["disk_read"]),
                _rate(host["disk_write"]),
                _rate(host["network"]),
                f"{count(workers, 'worker')}, {count(host['worker_threads'], 'thread')}"
                if workers
                else "",
            ]
        )
    head = ["host", "processor", "cores", "memory", "disk read", "write", "network", "workers"]
    return table(head, rows)


def _rate(bytes_s: float | None) -> str:
    return "not known" if bytes_s is None else f"{format_bytes(bytes_s)}/s"


def _published(published: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            each["name"],
            str(each["year"]),
            each["hardware"],
            _number(each["mb_s_core"], "{:.1f}"),
            _number(each["dollars_tb"], "{:.2f}"),
            each["arithmetic"],
            each["note"],
        ]
        for each in published
    ]
    head = ["sort", "year", "hardware", "MB/s a core", "$ a TB", "arithmetic", "note"]
    links = "".join(
        f'<li>{escape(each["name"])}: <a href="{escape(each["source"])}">'
        f"{escape(each['source'])}</a></li>"
        for each in published
    )
    return f'<div class="wide">{table(head, rows)}</div><ul>{links}</ul>'
