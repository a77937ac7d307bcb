"""The board: a scheduler's plugin that hears of sorts, and the page that shows them.

It keeps what it hears of. While nobody looks at the page that is a few messages a job, and one
comparison for each change of a task.
"""

from __future__ import annotations

import logging
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from distributed.diagnostics.plugin import SchedulerPlugin

from dlsort_cluster.dashboard.jobs import AT_WORK, Job, Phase
from dlsort_cluster.p2p.told import TOPIC

if TYPE_CHECKING:
    from distributed import Scheduler

__all__ = ["Board"]

logger = logging.getLogger(__name__)

# As the engine names the task between the halves of an exchange.
_BARRIER = "shuffle-barrier-"
#: Jobs that are kept once they have ended, and in all: of some nobody tells how they end.
MOST_ENDED, MOST_JOBS = 20, 100
_MOST_GONE = 1000  # whose names are remembered, as words of them may come late
_PATH = "/dlsort"


class Board(SchedulerPlugin):
    """What is known of the sorts on a cluster.

    Attributes
    ----------
    jobs : dict of str to Job
        By the job's id, or by the run's name where no client tells of it; the latest last.
    """

    idempotent = True
    name = "dlsort-dashboard"

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self._id_of_run: dict[str, str] = {}
        self._gone: deque[str] = deque(maxlen=_MOST_GONE)

    async def start(self, scheduler: Scheduler) -> None:
        """Hear what was told before, and put the page up where there is a dashboard."""
        self._scheduler: Any = scheduler
        for _, message in scheduler.get_events(TOPIC):
            self.log_event(TOPIC, message)
        try:
            _add_page(self, scheduler)
        except Exception:  # no bokeh, or a dashboard of another make
            logger.debug("the dashboard has no page of dlsort's", exc_info=True)

    # -- what happens

    def log_event(self, topic: Any, msg: Any) -> None:
        """Hear what clients and workers tell; others may tell anything under our topic."""
        if topic != TOPIC:
            return
        try:
            self._hear(msg)
        except Exception:
            logger.debug("an event that tells nothing: %r", msg, exc_info=True)

    def _hear(self, message: dict[str, Any]) -> None:
        for kind, told in message.items():
            if kind == "job":
                self._hear_of_job(told)
            elif told["run"] not in self._id_of_run:
                pass  # of a job that is no longer shown
            elif kind == "closed":
                self._of_run(told["run"]).take_share(told)
            elif kind == "counted":
                self._of_run(told["run"]).count(int(told["run_id"]), told["rows"])

    def _hear_of_job(self, told: dict[str, Any]) -> None:
        name, run = str(told["id"]), str(told.get("run", ""))
        if name in self._gone:
            return
        job = self.jobs.get(name) or self._add(name, Job())
        if run and self._id_of_run.get(run) != name:
            seen = self.jobs.pop(self._id_of_run.get(run, ""), None)
            self._id_of_run[run] = name
            if seen is not None:
                job.absorb(seen)
        job.take_word(told)

    def transition(self, key: Any, start: Any, finish: Any, *args: Any, **kwargs: Any) -> None:
        """See the exchanges begin and end that no client tells of."""
        if finish == "erred":
            self._see_error(key)
        elif isinstance(key, str) and key.startswith(_BARRIER):
            try:
                self._see_barrier(key, start, finish)
            except Exception:
                logger.debug("%s is another's", key, exc_info=True)

    def _see_barrier(self, key: str, start: str, finish: str) -> None:
        run = key.removeprefix(_BARRIER)
        if finish in ("waiting", "processing", "memory"):
            spec: Any = getattr(self._scheduler.tasks[key].run_spec, "spec", None)
            if not hasattr(spec, "title"):  # an exchange of Dask's own
                return
            job = self._of_run(run)
            if not job.client:
                job.title, job.n_parts = spec.title or job.title, len(spec.parts)
                job.state, job.ended = AT_WORK, None
                self._count_tasks(job, run)
        elif run in self._id_of_run and not (job := self._of_run(run)).client:
            # It is let go of once all outputs are made, or if the job is given up.
            if start == "memory":
                for phase in job.phases:
                    phase.done = phase.total
                job.sample()
            job.end("done" if start == "memory" else "cancelled")

    def _see_error(self, key: Any) -> None:
        task = self._scheduler.tasks.get(key)
        barriers = [task, *task.dependencies] if task is not None else []
        for each in barriers:
            run = str(each.key).removeprefix(_BARRIER)
            if run in self._id_of_run and not self._of_run(run).client:
                self._of_run(run).end("failed", task.exception_text)

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """See a client go whose job had not ended."""
        for job in self.jobs.values():
            if job.client == client:
                job.end("lost", "its client went away")

    def _of_run(self, run: str) -> Job:
        name = self._id_of_run.setdefault(run, run)
        return self.jobs.get(name) or self._add(name, Job())

    def _add(self, name: str, job: Job) -> Job:
        self.jobs[name] = job
        ended = [each for each, job in self.jobs.items() if job.state != AT_WORK]
        dropped = ended[: max(0, len(ended) - MOST_ENDED)]
        left = [each for each in self.jobs if each not in dropped]
        for each in (*dropped, *left[: max(0, len(left) - MOST_JOBS)]):
            del self.jobs[each]
            self._gone.append(each)
            self._id_of_run = {r: n for r, n in self._id_of_run.items() if n != each}
        return job

    # -- what the page asks for

    def look(self) -> None:
        """Take in heartbeats, and the tasks of jobs that no client tells of."""
        shuffles = self._scheduler.extensions.get("shuffle")
        for run, beats in dict(getattr(shuffles, "heartbeats", {})).items():
            for beat in beats.values():
                if "dlsort" in beat:
                    self._of_run(run).take_share(beat["dlsort"])
        for run, name in self._id_of_run.items():
            job = self.jobs.get(name)
            if job is not None and job.state == AT_WORK and not job.client:
                self._count_tasks(job, run)
                job.sample()

    def _count_tasks(self, job: Job, run: str) -> None:
        """Count inputs and outputs by the tasks before and after the barrier."""
        barrier = self._scheduler.tasks.get(_BARRIER + run)
        if barrier is None:
            return
        spec: Any = getattr(barrier.run_spec, "spec", None)
        if spec is None:
            return
        n_inputs, n_outputs, has_passed = spec.n_inputs, len(spec.parts), False
        split = sum(task.state == "memory" for task in barrier.dependencies)
        if barrier.state == "memory":
            split, has_passed = n_inputs, True
        job.phases = [Phase("partition", split, n_inputs, "inputs")]
        if has_passed:
            to_do = ("waiting", "queued", "processing", "no-worker", "released")
            left = sum(task.state in to_do for task in barrier.dependents)
            job.phases.append(Phase("sort", n_outputs - left, n_outputs, "partitions"))


def _add_page(board: Board, scheduler: Any) -> None:
    """Add the page to the scheduler's dashboard, and a link to it to all pages.

    Raises
    ------
    Exception
        If the dashboard can't be drawn, or is not made as Dask's is.
    """
    from bokeh.server.tornado import BokehTornado
    from distributed.dashboard.core import BokehApplication
    from distributed.dashboard.scheduler import template_variables
    from tornado.ioloop import IOLoop

    from dlsort_cluster.dashboard.page import show

    others = [a for a in scheduler.http_application.applications if isinstance(a, BokehTornado)]
    if not others:  # the scheduler was started without
        return
    variables: Any = template_variables(scheduler)  # one object for all pages
    app: Any = BokehApplication(
        {_PATH: partial(show, board.jobs, board.look)}, scheduler, others[0].prefix, variables
    )
    app.initialize(IOLoop.current())
    scheduler.http_application.add_application(app)
    app.start()
    variables["pages"].append(_PATH.strip("/"))
