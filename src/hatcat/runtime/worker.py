"""The child process that owns the model: engine, lenses and monitor, one thing at a time.

Requests wait in a queue; a cancelled one ends within a token. While nobody waits, missing lenses are trained or
calibrated in the background, one small piece at a time. Started as ``python -m hatcat.runtime.worker FD SETTINGS``.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from typing import Any

from hatcat.errors import EngineError, HatcatError
from hatcat.lenses import store
from hatcat.lenses.calibrate import Benign, calibrate
from hatcat.lenses.pack import LensPack
from hatcat.lenses.train import Training
from hatcat.monitor.job import Job, run
from hatcat.monitor.load import load, monitor_of
from hatcat.monitor.monitor import Options, given_ids, score
from hatcat.runtime.channel import WorkerChannel, error_message
from hatcat.settings import Settings

log = logging.getLogger("hatcat.worker")

# What the background trains for a model without lenses: enough for percentiles to 99, soon rather than best.
QUICK_EXAMPLES = 6
QUICK_ANSWERS = 96


class Worker:
    """The loop. ``serve`` returns when the server closes its end."""

    def __init__(self, channel: WorkerChannel, settings: Settings) -> None:
        self._channel, self._settings = channel, settings
        self._inbox: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._cancelled: set[int] = set()
        self._training: dict[str, Any] | None = None
        self._pack_reason: str | None = None

    def start(self) -> None:
        """Load the model and what lenses there are; say so to the server."""
        loaded = load(self._settings)
        self._engine, self._concepts, self._pack_reason = loaded.engine, loaded.concepts, loaded.problem
        self._lenses, self._monitor = loaded.lenses, loaded.monitor
        threading.Thread(target=self._listen, daemon=True).start()
        self._announce()

    def serve(self) -> None:
        background = self._background()
        idle = False  # nothing left to do in the background
        while True:
            try:
                message = self._inbox.get(block=idle)
            except queue.Empty:
                idle = next(background, None) is None
                continue
            if message is None:
                return
            self._answer(message)
            idle = False

    def _listen(self) -> None:
        """Reader thread: cancellations take effect at once, everything else waits its turn."""
        while (message := self._channel.receive()) is not None:
            if message["op"] == "cancel":
                self._cancelled.add(message["id"])
            else:
                self._inbox.put(message)
        os._exit(0)  # the server is gone; native code may be running in the other thread

    def _answer(self, message: dict[str, Any]) -> None:
        number = message["id"]
        try:
            if number in self._cancelled:
                return
            if message["op"] == "generate":
                self._generate(number, Job.model_validate(message["job"]))
            elif message["op"] == "score":
                self._channel.send({"id": number, "event": "scored", **self._score(message)})
        except HatcatError as error:
            self._channel.send({"id": number, **error_message(error)})
        except Exception as error:
            log.exception("request %s failed", number)
            self._channel.send({"id": number, **error_message(error)})
        finally:
            self._cancelled.discard(number)

    def _generate(self, number: int, job: Job) -> None:
        whole: dict[int, dict[str, Any]] = {}
        with closing(run(self._engine, self._monitor, job)) as events:
            for event in events:
                if number in self._cancelled:
                    return
                if event["event"] == "prefill":
                    continue
                if not job.stream and event["event"] == "step":
                    _merge(whole.setdefault(event["choice"], {}), event)
                    continue
                if not job.stream and event["event"] == "finish":
                    event = _merge(whole.pop(event["choice"], {}), event)
                self._channel.send({"id": number, **event})

    def _score(self, message: dict[str, Any]) -> dict[str, Any]:
        ids = given_ids(self._engine, message["text"], message["messages"])
        return score(self._engine, self._monitor, ids, Options(**message["watch"]))

    def _use(self, lenses: LensPack) -> None:
        self._lenses, self._monitor = lenses, monitor_of(self._engine, self._concepts, lenses)

    def _background(self) -> Iterator[bool]:
        """Train or calibrate what is missing, a piece at each step."""
        try:
            missing = self._lenses is None or self._engine.info.runtime not in self._lenses.calibrations
            if missing and self._pack_reason is None:
                self._progress({"stage": "starting", "done": 0, "total": 1, "eta_seconds": None})
                yield True
            if self._lenses is None and self._pack_reason is None:
                yield from self._train()
            elif self._lenses is not None and self._engine.info.runtime not in self._lenses.calibrations:
                yield from self._calibrate(self._lenses)
        except Exception as error:
            log.exception("background training failed")
            self._pack_reason = f"training failed: {error}"
        self._training = None
        self._announce()

    def _train(self) -> Iterator[bool]:
        training = Training(
            self._engine, self._concepts, self._settings.cache / "work", benign=Benign(QUICK_ANSWERS),
            limit=QUICK_EXAMPLES, busy=self._someone_waits,
        )  # fmt: skip
        for progress in training.run():
            self._progress(asdict(progress))
            yield True
        if training.result:
            self._keep(training.result)

    def _calibrate(self, lenses: LensPack) -> Iterator[bool]:
        work = self._settings.cache / "work"
        for done, total, eta in calibrate(self._engine, lenses, Benign(QUICK_ANSWERS), work, self._someone_waits):
            self._progress({"stage": "calibrating", "done": done, "total": total, "eta_seconds": eta})
            yield True
        self._keep(lenses)

    def _keep(self, lenses: LensPack) -> None:
        self._use(lenses)
        try:
            lenses.save(store.home(self._settings.cache, self._engine.info.source, lenses.header.pack))
        except OSError as error:
            self._pack_reason = f"the lenses are in use but could not be saved: {error}"

    def _someone_waits(self) -> bool:
        return not self._inbox.empty()

    def _progress(self, progress: dict[str, Any]) -> None:
        self._training = progress
        self._announce()

    def _announce(self) -> None:
        info, header = self._engine.info, self._lenses.header if self._lenses else None
        calibrated = bool(header and info.runtime in header.runtimes)
        state = "ready" if calibrated else "training" if self._training and not header else "none"
        if header and not calibrated:
            state = "uncalibrated"
        self._channel.send({
            "id": 0, "event": "state", "model": asdict(info),
            "pack": {
                "name": self._concepts.header.name, "version": self._concepts.header.version,
                "concepts": len(self._concepts), "state": state, "reason": self._pack_reason,
                "layers": header.layers if header else [], "training": self._training,
                "mean_auroc": round(sum(c.auroc for c in header.cards) / len(header.cards), 4) if header else None,
            },
            "cards": {c: card.auroc for c, card in zip(header.concepts, header.cards, strict=True)} if header else {},
        })  # fmt: skip


def _merge(whole: dict[str, Any], event: dict[str, Any]) -> dict[str, Any]:
    """Add an event to what an answer has so far: texts and lists grow, the rest is replaced."""
    for key, value in event.items():
        if key in {"text", "logprobs", "tokens"} and key in whole:
            whole[key] += value
        else:
            whole[key] = value
    return whole


def main(fd: int, settings: dict[str, Any]) -> int:
    """Entry point of the child: ``fd`` is its end of the socket pair."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the server ends its worker
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s", stream=sys.stderr)
    channel = WorkerChannel(socket.socket(fileno=fd))
    worker = Worker(channel, Settings.model_validate(settings))
    try:
        worker.start()
    except HatcatError as error:
        channel.send({**error_message(error), "id": 0, "event": "fatal"})
        return 3
    except MemoryError:
        channel.send({**error_message(EngineError("not enough memory")), "id": 0, "event": "fatal"})
        return 3
    worker.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), json.loads(sys.argv[2])))
