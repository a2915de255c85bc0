# SPDX-License-Identifier: MIT
"""Histories of processes that work on the same few keys at once and are killed at random: who called what when, and
what was answered. Each worker writes its own file, a line before and a line after each operation, so that what it was
at when it was killed is known. CLOCK_MONOTONIC is the same for all of them. Task queues: leases.py."""

import contextlib
import ctypes
import functools
import json
import os
import random
import signal
import time
import traceback
from pathlib import Path
from typing import NamedTuple

import shoal

PR_SET_PDEATHSIG = 1
WORKERS, KILLS = 6, 3
OPERATIONS = 40
LAST_NS = 25_000  # in which a doomed one dies; its operation may take a tenth of it or all


def operation(r):
    """Commands that take effect as one: most alone, some in a MULTI over several keys and types."""
    value = str(r.randrange(10**9))
    single = [
        ["SET", "s", value],
        ["SET", "t", value],
        ["GET", "s"],
        ["GET", "t"],
        ["GET", "n"],
        ["DEL", "s"],
        ["INCR", "n"],
        ["RPUSH", "l", value],
        ["LPOP", "l"],
        ["HSET", "h", "f", value],
        ["HGET", "h", "f"],
    ]
    together = [
        [["SET", "s", value], ["INCR", "n"], ["RPUSH", "l", value], ["HSET", "h", "f", value]],
        [["GET", "s"], ["GET", "n"], ["LRANGE", "l"], ["HGET", "h", "f"]],
        [["LPOP", "l"], ["SET", "t", value]],
    ]
    return r.choice(together) if r.random() < 0.3 else [r.choice(single)]


def run(client, prefix, commands):
    def words(command):
        name, key, *rest = command
        return [name, prefix + key, *rest, *(["0", "-1"] if name == "LRANGE" else [])]

    if len(commands) == 1:
        return [client.execute_command(*words(commands[0]))]
    pipe = client.pipeline(transaction=True)
    for command in commands:
        pipe.execute_command(*words(command))
    return pipe.execute()


class Event(ctypes.Structure):
    """struct sigevent"""

    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signal", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("rest", ctypes.c_byte * 48),
    )


class Death:
    """SIGKILL from a timer of the kernel: it meets this process at whatever instruction it is then."""

    def __init__(self):
        self.libc, self.timer = ctypes.CDLL(None), ctypes.c_void_p()
        event = Event(signal=signal.SIGKILL, notify=0)
        assert self.libc.timer_create(time.CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(self.timer)) == 0
        self.come_in(0)  # never; the first call of a function is slow

    def come_in(self, nanoseconds):
        moment = (ctypes.c_long * 4)(0, 0, 0, nanoseconds)  # struct itimerspec: no interval
        assert self.libc.timer_settime(self.timer, 0, moment, None) == 0


class Journal:
    """The file of one worker, and its fate."""

    def __init__(self, path, number, crew, doomed):
        self.number, self.crew, self.doomed, self.die = number, crew, doomed, lambda: None
        self.file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def turns(self, r, count):
        """Yields so often. Who is doomed is killed on the way, in an operation or soon after it began."""
        death = Death()
        self.crew.meet()
        end = r.randrange(count)
        for i in range(count):
            if self.doomed and i == end:
                self.die = functools.partial(death.come_in, r.randrange(1, LAST_NS))
            if r.random() < 0.5:
                os.sched_yield()  # else there is time for all that one does before the next one comes
            yield
        while self.doomed:
            death.come_in(1)
            signal.pause()

    def write(self, line):
        os.write(self.file, (json.dumps(line) + "\n").encode())

    def operation(self, commands, run):
        self.write({"client": self.number, "call": time.monotonic_ns(), "commands": commands})
        self.die()
        replies = run()
        self.write({"return": time.monotonic_ns(), "replies": replies})
        return replies


def work(url, prefix, journal, seed):
    """In a child process: until it has done its operations, or is killed."""
    r = random.Random(seed)
    with shoal.from_url(url, decode_responses=True) as client:
        client.ping()
        for _ in journal.turns(r, OPERATIONS):
            commands = operation(r)
            journal.operation(commands, functools.partial(run, client, prefix, commands))


def read(path):
    """The operations of one worker; the last one has no "return" if it was killed in it."""
    text = path.read_text() if path.exists() else ""
    lines = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
    found = []
    for line in lines:
        if "call" in line:
            found.append(line)
        else:
            found[-1].update(line)
    return found


class Worker(NamedTuple):
    number: int
    path: Path
    pid: int
    doomed: bool


class Crew:
    """The workers of one history, on keys of its own."""

    def __init__(self, url, folder, name, seed, body):
        self.url, self.folder, self.name, self.body = url, folder, name, body
        self.random = random.Random(seed)
        self.workers, self.living = [], []
        (self.ready, self.say_ready), (self.gate, self.open_gate) = os.pipe(), os.pipe()
        self.descriptors = {self.ready, self.say_ready, self.gate, self.open_gate}

    def begin(self, body, doomed=False):
        number, seed = len(self.workers), self.random.randrange(2**32)
        path = self.folder / f"{self.name}-{number}"
        pid = os.fork()
        if pid == 0:
            self.be(body, Journal(path, number, self, doomed), seed)
        self.workers.append(Worker(number, path, pid, doomed))
        self.living.append(self.workers[-1])

    def be(self, body, journal, seed):
        """In a child process."""
        try:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # nobody stays when the tests are killed
            self.forget(self.open_gate, self.ready)
            body(self.url, f"{self.name}:", journal, seed)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)

    def meet(self):
        """Goes on when all are ready."""
        os.write(self.say_ready, b".")
        self.forget(self.say_ready)
        os.read(self.gate, 1)  # nothing; it ends

    def run(self):
        doomed = self.random.sample(range(WORKERS), KILLS)
        for number in range(WORKERS):
            self.begin(self.body, number in doomed)
        self.forget(self.say_ready)
        said = 0
        while said < WORKERS and (more := os.read(self.ready, WORKERS)):  # nothing: one has failed
            said += len(more)
        self.forget(self.open_gate)
        self.wait()

    def wait(self):
        while self.living:
            worker = self.living.pop()
            code = os.waitstatus_to_exitcode(os.waitpid(worker.pid, 0)[1])
            expected = -signal.SIGKILL if worker.doomed else 0
            assert code == expected, f"worker {worker.number} ended with {code}, not {expected}"

    def forget(self, *descriptors):
        for each in self.descriptors.intersection(descriptors):
            os.close(each)
        self.descriptors.difference_update(descriptors)

    def close(self):
        for worker in self.living:
            os.kill(worker.pid, signal.SIGKILL)
            os.waitpid(worker.pid, 0)
        self.forget(*self.descriptors)


def record(url, folder, name, seed):
    """Runs one history and returns its operations."""
    with contextlib.closing(Crew(url, folder, name, seed, work)) as crew:
        crew.run()
    return [each for worker in crew.workers for each in read(worker.path)]
