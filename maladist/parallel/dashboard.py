"""A page of Dask's dashboard: the tasks of each stage of a run by their state.

The progress bars that Dask has itself show the tasks that its scheduler knows of: not those that the client keeps back,
of which it puts in a few hundred at a time, nor those whose result the client has fetched. A run of a hundred thousand
blocks is "0 / 64" there from beginning to end. So `waves` tells the scheduler how many tasks a stage has, and a plugin
there counts them.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from distributed import Client, Scheduler, SchedulerPlugin

TOPIC: Final = "maladist-stages"
"""Topic of Dask's events under which stages are announced."""

STATES: Final = {"done": "#9ecae1", "running": "#45bf6f", "waiting": "#d9d9d9", "failed": "#c0392b"}
"""States that the page tells apart, and their colours."""

_STATE: Final = {"waiting": "waiting", "no-worker": "waiting", "queued": "waiting", "processing": "running"}
_ENDED: Final = {"memory": "done", "erred": "failed"}
_STAGES: Final = 12  # newest ones, which a page has room for
_PAGE: Final = "blocks"


def announce_stage(client: Client, stage: str, name: str, run: str, total: int | None) -> None:
    """Tell the scheduler that tasks of a stage will come, whose keys begin with ``stage``."""
    client.log_event(TOPIC, {"stage": stage, "name": name, "run": run, "total": total})


@dataclass
class Stage:
    """Tasks of a function in a run.

    Attributes
    ----------
    name, run
        What the function is called in the keys of its tasks, and the run's name there.
    total
        Number of its tasks; None where nobody knows it before they have all come.
    known
        Tasks by state, of those that have reached the scheduler.
    """

    name: str
    run: str
    total: int | None
    known: Counter[str] = field(default_factory=Counter)

    def states(self) -> dict[str, int]:
        """Number of tasks in each of `STATES`; those that are still with the client wait."""
        told = {state: self.known[state] for state in STATES}
        told["waiting"] += max(0, (self.total or 0) - sum(told.values()))
        return told


class DashboardPlugin(SchedulerPlugin):
    """Plugin of Dask's scheduler: the page "Blocks" of its dashboard, with a run's tasks by state.

    Clusters that `maladist.cluster` starts have it. The scheduler must be able to import maladist; one without a
    dashboard goes without the page.

    Examples
    --------
    >>> client.register_plugin(maladist.DashboardPlugin())  # doctest: +SKIP
    """

    name = "maladist-dashboard"
    idempotent = True

    def __init__(self) -> None:
        self.stages: dict[str, Stage] = {}

    async def start(self, scheduler: Scheduler) -> None:
        """Add the page."""
        try:
            _add_page(scheduler)
        # Of another version of Dask or Bokeh: no run should fail for want of a page.
        except (ImportError, AttributeError, TypeError) as error:
            logging.getLogger("maladist").warning("no page of maladist in the dashboard: %s", error)

    def log_event(self, topic: str, msg: Mapping[str, Any]) -> None:
        """Note that a stage begins; the oldest one gives way."""
        if topic == TOPIC:
            self.stages[msg["stage"]] = Stage(msg["name"], msg["run"], msg["total"])
            if len(self.stages) > _STAGES:
                del self.stages[next(iter(self.stages))]

    def transition(self, key: object, start: str, finish: str, *_: object, **__: object) -> None:
        """Count a task in its new state."""
        stage = self.stages.get(key[0]) if isinstance(key, tuple) else None
        if stage is None:
            return
        if (after := _STATE.get(finish) or _ENDED.get(finish)) is not None:
            stage.known[after] += 1
        # What has ended and is forgotten by the scheduler stays what it was.
        before = _STATE.get(start) or (_ENDED.get(start) if finish != "forgotten" else None)
        if before is not None:
            stage.known[before] -= 1


def _add_page(scheduler: Scheduler) -> None:
    """Put the page beside the scheduler's own, and its link into their bar."""
    from bokeh.server.tornado import BokehTornado  # here: the client and the workers need none of it
    from distributed.dashboard.core import BokehApplication
    from distributed.dashboard.scheduler import template_variables
    from tornado.ioloop import IOLoop

    theirs = [app for app in scheduler.http_application.applications if isinstance(app, BokehTornado)]
    if not theirs:
        return
    variables = template_variables(scheduler)  # one object for all of a scheduler's pages
    variables["pages"].append(_PAGE)
    ours = BokehApplication({f"/{_PAGE}": _document}, scheduler, theirs[0].prefix, variables)
    scheduler.http_application.add_application(ours)
    ours.initialize(IOLoop.current())
    ours.start()


def _document(scheduler: Scheduler, extra: Mapping[str, object], doc: Any) -> None:
    """Fill the page for a browser that opens it; Dask's own pages are made in this way."""
    from bokeh.models import ColumnDataSource, Range1d
    from bokeh.plotting import figure
    from distributed.dashboard.components.scheduler import BOKEH_THEME, env

    stages: dict[str, Stage] = scheduler.plugins[DashboardPlugin.name].stages
    source = ColumnDataSource(rows(stages))
    tips = [("run", "@run"), *((state, f"@{state}") for state in STATES)]
    plot = figure(
        title="Tasks of maladist by state, the newest stage on top",
        x_range=Range1d(start=0, end=1),
        y_range=Range1d(start=-_STAGES, end=0.6),
        tools="hover",
        tooltips=tips,
        toolbar_location=None,
        sizing_mode="stretch_both",
    )
    shares = [f"share_{state}" for state in STATES]
    plot.hbar_stack(
        shares, y="y", height=0.7, color=list(STATES.values()), legend_label=list(STATES), source=source, line_width=0
    )
    plot.text(x=0.005, y="y", text="label", source=source, text_baseline="middle", text_font_size="10pt")
    plot.axis.visible = plot.grid.visible = False
    plot.legend.orientation, plot.legend.location = "horizontal", "bottom_right"
    doc.add_root(plot)
    doc.add_periodic_callback(lambda: source.data.update(rows(stages)), 500)
    doc.title, doc.theme, doc.template = "Dask: blocks of maladist", BOKEH_THEME, env.get_template("simple.html")
    doc.template_variables.update(extra)


def rows(stages: Mapping[str, Stage]) -> dict[str, list[Any]]:
    """Columns of the page's bars, the newest stage first."""
    columns: dict[str, list[Any]] = {"y": [], "run": [], "label": []}
    columns |= {f"{share}{state}": [] for state in STATES for share in ("", "share_")}
    for i, stage in enumerate(list(stages.values())[::-1]):
        states = stage.states()
        total = sum(states.values())
        row = {"y": -i, "run": stage.run, "label": f"{stage.name}  {states['done']} / {total}", **states}
        row |= {f"share_{state}": n / max(1, total) for state, n in states.items()}
        for name, value in row.items():
            columns[name].append(value)
    return columns
