# SPDX-License-Identifier: MIT
"""./dev demo: starts the chat on this machine and prints one URL; with --once plays it headless and ends."""

import argparse
import contextlib
import os
import signal
import sys
import time
from pathlib import Path

import play
from cluster import Cluster, Trouble


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="play it with WebSocket clients, kill workers, count, end")
    parser.add_argument("--port", type=int, default=8000, help="if it is free (8000), else another one")
    parser.add_argument("--name", help="the segment's name (demo)")
    parser.add_argument("--keep", action="store_true", help="leave the segment when ending")
    parser.add_argument("--web", type=int, default=4, metavar="N", help="uvicorn workers (4)")
    parser.add_argument("--celery", type=int, default=2, metavar="N", help="Celery workers (2)")
    parser.add_argument("--messages", type=int, default=4000, help="with --once: how many to send (4000)")
    return parser.parse_args()


def free_name(wanted: str) -> str:
    taken = Path(f"/dev/shm/shoal.{wanted}").exists()
    return f"{wanted}-{os.getpid()}" if taken else wanted


def serve(cluster: Cluster) -> int:
    cluster.wait_until_ready()
    print(f"""
  Shoal chat: {cluster.web} uvicorn workers, {cluster.celery} Celery workers, one segment /dev/shm/shoal.{cluster.name}

      {cluster.url}

  Open it in two tabs, write, start a job, kill workers. Meanwhile, elsewhere: shoal inspect {cluster.name}
  Logs: {cluster.logs}. Ctrl-C ends everything.
""")
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            time.sleep(0.2)
            for title in cluster.watch():
                print(f"  {title} was killed and runs again", flush=True)
    return 0


def main() -> int:
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell in the background ignores it
    name = options.name or (f"demo-once-{os.getpid()}" if options.once else free_name("demo"))
    port = 0 if options.once else options.port
    try:
        with Cluster(name, port=port, web=options.web, celery=options.celery, keep=options.keep) as cluster:
            return play.once(cluster, options.messages) if options.once else serve(cluster)
    except Trouble as trouble:
        print(f"demo: {trouble}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
