# SPDX-License-Identifier: MIT
"""Running programs: without stdin, in their own process group, ended as a group when time is up."""

import importlib.util
import os
import shlex
import signal
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class Failed(Exception):
    """A command or a check failed; the text says which."""


class Missing(Failed):
    """The machine lacks something that we may not install; the text says what to do."""


def say(text: str) -> None:
    print(f"-- {text}", flush=True)


def jobs() -> int:
    return int(os.environ.get("DEV_JOBS") or len(os.sched_getaffinity(0)))


def end_group(process: subprocess.Popen) -> None:
    for number, patience in ((signal.SIGTERM, 5), (signal.SIGKILL, None)):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            continue


def run(command, *, check=True, environment=None, directory=ROOT, timeout=None, show=None) -> int:
    """The exit code; with `check` a failure or a time-out raises Failed. A time-out gives 124, as timeout(1) does."""
    print("$ " + (show or shlex.join(map(str, command))), flush=True)
    process = subprocess.Popen(
        command,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, **(environment or {})},
    )
    try:
        code = process.wait(timeout)
    except subprocess.TimeoutExpired:
        print(f"dev: not finished after {timeout} s, ended: {command[0]}", flush=True)
        end_group(process)
        code = 124
    except BaseException:
        end_group(process)
        raise
    if check and code:
        raise Failed(f"{command[0]} ended with {code}")
    return code


def output(command) -> str:
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False).stdout


def load(path: Path):
    """A module of the tests, a table for one of our programs, by its path."""
    spec = importlib.util.spec_from_file_location(f"{path.stem}_table", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
