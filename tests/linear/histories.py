# SPDX-License-Identifier: MIT
"""Histories of processes that work on the same few keys at once and are killed at random: who called what when, and
what was answered. Each worker writes its own file, a line before and a line after each operation, so that what it was
at when it was killed is known. CLOCK_MONOTONIC is the same for all of them."""

import json
import os
import random
import signal
import time

import shoal

CLIENTS, OPERATIONS, KILLS = 4, 60, 2


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


def work(url, prefix, number, path, seed):
    """In a child process: until it has done its operations, or is killed."""
    r = random.Random(seed)
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with shoal.from_url(url, decode_responses=True) as client:
        client.ping()
        for _ in range(OPERATIONS):
            commands = operation(r)
            call = {"client": number, "call": time.monotonic_ns(), "commands": commands}
            os.write(file, (json.dumps(call) + "\n").encode())
            replies = run(client, prefix, commands)
            os.write(file, (json.dumps({"return": time.monotonic_ns(), "replies": replies}) + "\n").encode())


def start(*arguments):
    pid = os.fork()
    if pid == 0:
        try:
            work(*arguments)
            os._exit(0)
        finally:
            os._exit(1)
    return pid


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


def record(url, folder, name, seed):
    """Runs one history on keys of its own and returns its operations and how many workers were killed."""
    r = random.Random(seed)
    numbers = iter(range(1000))
    paths, pids = [], []

    def begin():
        number = next(numbers)
        paths.append(folder / f"{name}-{number}")
        pids.append(start(url, f"{name}:", number, paths[-1], r.randrange(2**32)))

    for _ in range(CLIENTS):
        begin()
    kills = 0
    while kills < KILLS:
        time.sleep(r.uniform(0, 0.006))  # how long they live, nothing more
        victim = pids.pop(r.randrange(len(pids)))
        os.kill(victim, signal.SIGKILL)
        kills += os.waitstatus_to_exitcode(os.waitpid(victim, 0)[1]) == -signal.SIGKILL
        begin()
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    assert codes == [0] * len(codes), f"a worker failed: {codes}"
    return [each for path in paths for each in read(path)], kills
