# SPDX-License-Identifier: MIT
"""Where Python's processes live: gunicorn with a preloaded application, daemons that start themselves by forking twice
and closing every descriptor, programs that go on as another (exec), a container's /dev/shm of 64 MB.

Elsewhere: Celery's prefork pool (celery/test_deaths.py), uvicorn's workers (test_fastapi.py), forks while threads work
(test_forks.py), stopped holders (test_stopped_holder.py); equal thread ids in two PID namespaces and core dumps, in
C++ (tests/multiprocess)."""

import asyncio
import contextlib
import http.client
import json
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import shoal
import shoal.asyncio
from conftest import SMALL
from test_forks import use_everything
from test_processes import SOON, fork, wait

HERE = Path(__file__).parent
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join([str(Path(shoal.__file__).parent.parent), os.environ.get("PYTHONPATH", "")]),
}


def eventually(look, what):
    """What `look` gives as soon as that is true; a watchdog ends it."""
    deadline = time.monotonic() + SOON
    while True:
        if found := look():
            return found
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def expect_sound(name):
    program = shutil.which("shoal")
    assert program, "shoal is not on PATH: ./dev test puts the build's there"
    check = subprocess.run([program, "check", name], capture_output=True, text=True, timeout=SOON)
    assert check.returncode == 0, check.stdout + check.stderr


def next_message(pubsub):
    return eventually(lambda: pubsub.get_message(timeout=1), "no message came")["data"]


def listeners(r, channel):
    """How many listen once the dead are reaped."""
    r.connection_pool.segment.sweep()
    return r.pubsub_numsub(channel)[0][1]


# ---- gunicorn --preload ----

WORKERS = 2


class Gunicorn:
    def __init__(self, name, folder):
        self.socket, settings = str(folder / "socket"), folder / "settings.py"
        settings.write_text("def post_fork(server, worker):\n    import gunicorn_app\n    gunicorn_app.begin()\n")
        command = [sys.executable, "-m", "gunicorn", "--preload", "--workers", str(WORKERS)]
        command += ["--bind", f"unix:{self.socket}", "--config", str(settings), "--log-level", "warning"]
        url = f"shoal://{name}?max_size={32 << 20}&daemon=0"
        self.master = subprocess.Popen(
            [*command, "--no-control-socket", "--worker-tmp-dir", str(folder), "gunicorn_app:application"],
            cwd=HERE,
            env={**ENVIRONMENT, "SHOAL_TEST_URL": url},
            start_new_session=True,
        )

    def ask(self, path):
        """The pid of the worker that answered, and its answer's words."""
        connection = http.client.HTTPConnection("gunicorn", timeout=SOON)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(SOON)
        try:
            connection.sock.connect(self.socket)
            connection.request("GET", path)
            pid, *words = connection.getresponse().read().decode().split()
            return int(pid), words
        finally:
            connection.close()

    def answer(self, path):
        """The same, once there is somebody: workers that are killed take the requests that they had with them."""

        def ask():
            try:
                return self.ask(path)
            except (OSError, http.client.HTTPException):
                assert self.master.poll() is None, "gunicorn has ended"
                return None

        return eventually(ask, "gunicorn does not answer")

    def workers(self):
        pid = self.master.pid
        return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}

    def end(self):
        if self.master.poll() is None:
            os.killpg(self.master.pid, signal.SIGKILL)
        self.master.wait()


@pytest.fixture
def gunicorn(name, tmp_path):
    served = Gunicorn(name, tmp_path)
    yield served
    served.end()


def heard_by(r, message, count):
    """The workers that heard a message."""
    heard = [r.blpop(f"heard {message}", SOON) for _ in range(count)]
    assert None not in heard
    return {int(pid) for _, pid in heard}


def test_workers_of_a_preloaded_application_share_what_their_master_began(name, r, gunicorn):
    counts, loops, seen = [], [], set()
    while len(seen) < WORKERS or len(counts) < 20:
        pid, (number, in_loop) = gunicorn.answer("/count")
        counts.append(int(number))
        loops.append(int(in_loop))
        seen.add(pid)
    assert seen == gunicorn.workers()
    assert counts == list(range(1, len(counts) + 1))
    assert loops == list(range(2, len(loops) + 2))  # the first was the master's
    assert r.get("loads") == b"1"
    r.publish("news", "from-outside")
    assert heard_by(r, "from-outside", WORKERS) == seen
    speaker, (receivers,) = gunicorn.answer("/publish?from-a-worker")
    assert speaker in seen
    assert int(receivers) == 1 + WORKERS  # the master's own subscription is still its own
    assert heard_by(r, "from-a-worker", WORKERS) == seen
    gunicorn.master.terminate()
    assert gunicorn.master.wait(SOON) == 0
    assert listeners(r, "news") == 0
    expect_sound(name)


def test_a_killed_worker_of_a_preloaded_application_is_followed_by_one_that_goes_on(name, r, gunicorn):
    gunicorn.answer("/count")
    for number in range(12):
        r.publish("news", f"before-{number}")
        before = heard_by(r, f"before-{number}", WORKERS)
        left = int(r.get("left"))
        victim = sorted(before)[number % WORKERS]
        eventually(lambda before=left: int(r.get("left")) > before + 50, "the workers do not write")
        time.sleep(random.random() / 500)  # anywhere in what it does, not only behind the commit that was just seen
        os.kill(victim, signal.SIGKILL)
        assert gunicorn.answer("/count")
        r.publish("news", f"after-{number}")
        after = heard_by(r, f"after-{number}", WORKERS)
        assert victim not in after
        assert len(after - before) == 1
        left, right = r.pipeline().get("left").get("right").execute()
        assert left == right
    eventually(lambda: listeners(r, "news") == 1 + WORKERS, "the dead still listen")
    expect_sound(name)
    gunicorn.master.terminate()
    assert gunicorn.master.wait(SOON) == 0
    expect_sound(name)


# ---- Daemonizers, exec ----


def daemonize(body):
    """`body` runs in a grandchild without any descriptor, the classic way; gives a descriptor of that process."""
    told, tell = os.pipe()

    def starter():
        os.setsid()
        pid = os.fork()
        if pid:
            os.write(tell, b"%d" % pid)
            return
        try:
            signal.alarm(SOON)  # nobody waits for it
            os.chdir("/")
            os.closerange(0, os.sysconf("SC_OPEN_MAX"))
            for _ in range(3):
                os.open(os.devnull, os.O_RDWR)
            body()
        finally:
            os._exit(0)

    assert wait(fork(starter)) == 0
    os.close(tell)
    with open(told) as told:
        return os.pidfd_open(int(told.read()))


def descriptors_of(*places):
    """This process's descriptors of files below these places: number, link."""
    links = ((int(fd), os.readlink(f"/proc/self/fd/{fd}")) for fd in os.listdir("/proc/self/fd") if fd_is_open(fd))
    return [(fd, link) for fd, link in links if any(place in link for place in places)]


def fd_is_open(fd):
    return os.path.lexists(f"/proc/self/fd/{fd}")


def take_numbers(path):
    """Opens a file so often that every number that was closed before is now this file's."""
    return [os.open(path, os.O_RDWR) for _ in range(64)]


async def hear_until_last(name):
    """Answers every message, asleep in between; ends with the message `last`."""
    r = shoal.asyncio.Redis(name, **SMALL)
    async with r.pubsub(ignore_subscribe_messages=True) as pubsub:
        await pubsub.subscribe("talk")
        await r.rpush("answers", "ready")
        async for message in pubsub.listen():
            await r.rpush("answers", message["data"])
            if message["data"] == b"last":
                return


@pytest.mark.parametrize("with_daemon", [False, True])
def test_a_daemonizer_goes_on_as_a_process_of_its_own_and_touches_nobodys_file(
    name, r, start_shoald, tmp_path, runtime_folder, with_daemon
):
    r.set("k", "of the parent")
    if with_daemon:
        start_shoald()
        assert r.connection_pool.segment.sweep()  # the parent is connected to it
    use_everything(name)
    loop = asyncio.new_event_loop()  # one that is over, but not forgotten
    assert loop.run_until_complete(shoal.asyncio.Redis(name, **SMALL).blpop("empty", 0.001)) is None
    loop.close()
    news = r.pubsub(ignore_subscribe_messages=True)
    news.subscribe("news")
    r.publish("news", "before")
    sleeper = fork(lambda: asyncio.run(hear_until_last(name)))
    try:
        assert r.blpop("answers", SOON)[1] == b"ready"
        while not descriptors_of(runtime_folder):  # until the sleeper's FIFO is open here, and its number inherited
            assert r.publish("talk", "to a loop") == 1
            assert r.blpop("answers", SOON)[1] == b"to a loop"
        file = tmp_path / "somebodys-file"
        file.write_bytes(b"")

        def work():
            numbers = take_numbers(file)
            use_everything(name)
            assert r.get("k") == b"of the parent"
            assert r.set("k", "of the daemon")
            assert r.publish("talk", "last") == 1
            assert next_message(news) == b"before"
            assert r.blpop("to-daemon", SOON)[1] == b"work"
            r.connection_pool.segment.sweep()
            use_everything(name)
            for number in numbers:
                assert os.path.samestat(os.fstat(number), os.stat(file)), number
            assert file.read_bytes() == b""
            r.rpush("report", "well")

        def reported():
            try:
                work()
            except BaseException as error:
                r.rpush("report", f"{type(error).__name__}: {error}")

        daemon = daemonize(reported)
        try:
            r.rpush("to-daemon", "work")
            assert r.blpop("report", SOON) == (b"report", b"well")
            ended = select.poll()
            ended.register(daemon, select.POLLIN)
            assert ended.poll(SOON * 1000)
        finally:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(daemon, signal.SIGKILL)
            os.close(daemon)
        assert wait(sleeper) == 0
        sleeper = None
    finally:
        if sleeper:
            os.kill(sleeper, signal.SIGKILL)
            wait(sleeper)
    assert r.get("k") == b"of the daemon"
    assert next_message(news) == b"before"  # the daemon read a copy
    assert listeners(r, "news") == 1
    news.close()
    use_everything(name)
    expect_sound(name)


# What goes on as another program: says what it has of the segment, and stays.
ANOTHER_PROGRAM = """
import os, sys, json
fds = []
for fd in os.listdir("/proc/self/fd"):
    try:
        fds.append(os.readlink(f"/proc/self/fd/{fd}"))
    except OSError:
        pass
maps = open("/proc/self/maps").read().splitlines()
print(json.dumps([line for line in fds + maps if any(place in line for place in sys.argv[1:])]), flush=True)
sys.stdin.read()
"""


def test_exec_leaves_nothing_of_a_segment_to_the_other_program_and_its_place_is_free(
    name, r, start_shoald, runtime_folder
):
    r.ping()
    start_shoald()
    told, tell = os.pipe()
    stay, go = os.pipe()

    async def go_on_as_another():
        client = shoal.asyncio.Redis(name, **SMALL)
        await client.pubsub().subscribe("room")
        popping = asyncio.create_task(client.blpop("jobs"))
        threading.Thread(target=shoal.Redis(name, **SMALL).blpop, args=("jobs",), daemon=True).start()
        while not descriptors_of(runtime_folder):
            await asyncio.sleep(0)
        assert not popping.done()
        os.dup2(stay, 0)
        os.dup2(tell, 1)
        places = [runtime_folder, f"shoal.{name}"]
        os.execv(sys.executable, [sys.executable, "-c", ANOTHER_PROGRAM, *places])

    program = fork(lambda: asyncio.run(go_on_as_another()))
    os.close(tell)
    try:
        with open(told) as told:
            assert json.loads(told.readline()) == []
        assert listeners(r, "room") == 0
        r.rpush("jobs", "x")
        assert r.lpop("jobs") == b"x"  # promised to nobody
        expect_sound(name)
        assert os.waitpid(program, os.WNOHANG) == (0, 0), "it was to live on"
    finally:
        os.close(go)
        code = wait(program)
    assert code == 0


# ---- A small /dev/shm ----


def test_in_a_dev_shm_of_64_mb_a_full_segment_is_a_clear_error_and_loses_nothing(name):
    mount = 'mount -t tmpfs -o size=64m tmpfs /dev/shm && exec "$@"'
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh"]
    command += [sys.executable, str(HERE / "small_dev_shm.py"), name]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=SOON)
    assert done.returncode == 0, done.stdout + done.stderr


# ---- No daemon ----


def test_an_installation_without_shoald_says_that_this_process_sweeps_and_how_to_name_one(name, tmp_path):
    folder = tmp_path / "lib/python/site-packages"  # a copy, for beside the real one lies a shoald
    shutil.copytree(Path(shoal.__file__).parent, folder / "shoal", ignore=shutil.ignore_patterns("__pycache__"))
    environment = {**os.environ, "PYTHONPATH": str(folder), "PATH": str(tmp_path)}
    environment.pop("SHOAL_DAEMON", None)
    code = f"import shoal; print(shoal.Redis({name!r}, max_size=32 << 20{{}}).ping())"

    def said(options):
        command = [sys.executable, "-c", code.format(options)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SOON)
        assert done.stdout == "True\n", done.stderr
        return done.stderr

    assert "found no shoald" in said("") and "SHOAL_DAEMON" in said("")
    assert said(", daemon=False") == ""
