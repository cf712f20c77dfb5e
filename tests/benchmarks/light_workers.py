"""Workers that speak Dask's protocol and compute nothing: a thousand of them in one process.

    python -m tests.benchmarks.light_workers SCHEDULER NUMBER SECONDS

To scheduler and client each is a worker of one thread with an address of its own, over TCP: it registers, sends
heartbeats as often as the scheduler asks for, takes tasks by their priority, holds each for so many seconds, tells that
it is finished, and gives the result to whoever asks. Pretended are the task itself, whose result is made beforehand,
and the way of what tasks share, which goes from worker to worker: the scheduler is only told that it has come.
"""

from __future__ import annotations

import asyncio
import heapq
import pickle
import sys
import time
from typing import Any

from distributed import Worker
from distributed.batched import BatchedSend
from distributed.comm import Comm, connect, listen
from distributed.protocol import to_serialize
from distributed.versions import get_versions

from maladist.prediction.block import Report
from maladist.prediction.tally import STAGES

REPORT = Report(1, "tcp://127.0.0.1:40000", 1.0, 2.0, 700 * 2**20, dict.fromkeys(STAGES, 0.1))
"""Result of each task: as large as what a block tells."""

_TYPE = f"{Report.__module__}.{Report.__name__}"


class LightWorker:
    """A worker of one thread, whose tasks take so many seconds each."""

    def __init__(self, scheduler: str, seconds: float, metrics: dict[str, Any], versions: dict[str, Any]) -> None:
        self.scheduler, self.seconds, self.metrics, self.versions = scheduler, seconds, metrics, versions
        self.ready: list[tuple[Any, Any, int]] = []  # priority, key, number of the run
        self.holds: set[Any] = set()
        self.some = asyncio.Event()
        self.stream = BatchedSend(interval="2ms")  # as Worker's own

    async def start(self, number: int) -> asyncio.Task[None]:
        """Register; the task returned ends when the scheduler closes the worker."""
        # What comes is not unpickled: of a task only the key matters.
        self.listener = await listen("tcp://127.0.0.1:0", self.serve, deserialize=False)
        self.address = self.listener.contact_address
        comm = await connect(self.scheduler, deserialize=False)
        await comm.write(
            {
                "op": "register-worker",
                "reply": False,
                "address": self.address,
                "status": "running",
                "nthreads": 1,
                "name": f"light{number}",
                "now": time.time(),
                "resources": {},
                "memory_limit": 2**30,
                "local_directory": "/nowhere",
                "services": {},
                "nanny": None,
                "pid": number,
                "versions": self.versions,
                "metrics": self.metrics,
                "extra": {},
                "stimulus_id": f"worker-connect-{time.time()}",
                "server_id": f"Worker-light{number}",
            }
        )
        answer = await comm.read()
        if answer["status"] != "OK":
            raise RuntimeError(answer)
        self.stream.start(comm)
        self.others = [asyncio.create_task(self.compute()), asyncio.create_task(self.heartbeats())]
        return asyncio.create_task(self.listen_to(comm))

    async def listen_to(self, comm: Comm) -> None:
        """What the scheduler sends."""
        try:
            while True:
                for message in await comm.read():
                    match message["op"]:
                        case "compute-task":
                            self.take(message)
                        case "free-keys":
                            self.holds.difference_update(message["keys"])
                        case "steal-request":
                            self.give_up(message)
                        case "close" | "close-stream":
                            return
        except OSError:  # it is gone
            return

    def take(self, message: dict[str, Any]) -> None:
        """A task: it waits for its turn, with all that it shares with others there."""
        if new := [key for key in message["who_has"] if key not in self.holds]:
            self.holds.update(new)
            self.stream.send({"op": "add-keys", "keys": new, "stimulus_id": f"got-{time.time()}"})
        heapq.heappush(self.ready, (message["priority"], message["key"], message["run_id"]))
        self.some.set()

    def give_up(self, message: dict[str, Any]) -> None:
        """A task that another worker is to have, unless it has begun."""
        mine = [task for task in self.ready if task[1] == message["key"]]
        self.ready = [task for task in self.ready if task[1] != message["key"]]
        heapq.heapify(self.ready)
        if not self.ready:
            self.some.clear()
        state = "ready" if mine else "executing"
        answer = {"op": "steal-response", "key": message["key"], "state": state, "stimulus_id": message["stimulus_id"]}
        self.stream.send(answer)

    async def compute(self) -> None:
        """One task after the other."""
        while True:
            await self.some.wait()
            _, key, run = heapq.heappop(self.ready)
            if not self.ready:
                self.some.clear()
            begin = time.time()
            # What tasks share is one too, which only gives it on.
            await asyncio.sleep(0 if str(key).startswith("shared") else self.seconds)
            self.holds.add(key)
            end = time.time()
            self.stream.send(
                {
                    "op": "task-finished",
                    "status": "OK",
                    "key": key,
                    "run_id": run,
                    "nbytes": 800,
                    "type": pickle.dumps(_TYPE),
                    "typename": _TYPE,
                    "metadata": {},
                    "thread": 1,
                    "startstops": ({"action": "compute", "start": begin, "stop": end},),
                    "stimulus_id": f"task-finished-{end}",
                }
            )

    async def heartbeats(self) -> None:
        """Heartbeats, as often as the scheduler asks for."""
        comm = await connect(self.scheduler)
        while True:
            now = time.time()
            await comm.write(
                {
                    "op": "heartbeat_worker",
                    "reply": True,
                    "address": self.address,
                    "now": now,
                    "metrics": {**self.metrics, "time": now},
                    "executing": {},
                    "extensions": {},
                }
            )
            await asyncio.sleep((await comm.read())["heartbeat-interval"])

    async def serve(self, comm: Comm) -> None:
        """Give results to whoever asks, as Worker.get_data does."""
        try:
            while True:
                asked = await comm.read()
                if asked["op"] != "get_data":
                    raise NotImplementedError(asked["op"])
                await comm.write({"status": "OK", "data": {key: to_serialize(REPORT) for key in asked["keys"]}})
                await comm.read()
        except OSError:
            return


async def main(scheduler: str, number: int, seconds: float) -> None:
    """So many workers, until the scheduler closes them."""
    metrics, versions = await Worker(scheduler, nthreads=1).get_metrics(), get_versions()
    ends = [await LightWorker(scheduler, seconds, metrics, versions).start(i) for i in range(number)]
    await asyncio.gather(*ends)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
