# SPDX-License-Identifier: MIT
"""The verbs of ./dev. Standard library only: it runs before anything is installed.

Exit codes: 0 done, 1 something failed, 2 wrong usage, 3 the machine lacks something that setup may not install."""

import argparse
import os
import signal
import sys
from pathlib import Path

import building
import crash
import fuzzing
import linting
import machine
import testing
from shell import Failed, Missing, run

ROOT = Path(__file__).resolve().parent.parent


def setup(_: argparse.Namespace) -> int:
    machine.prepare()
    return 0


def build(options: argparse.Namespace) -> int:
    machine.prepare()
    building.build(options.preset, options.target)
    return 0


def test(options: argparse.Namespace) -> int:
    if options.list:
        testing.show_parts()
        return 0
    parts = testing.choose(options.part, options.all)
    machine.prepare()
    return testing.run_parts(parts)


def program(path: Path, arguments: list) -> int:
    """Runs one of the repository's own programs on the release build."""
    if not path.exists():
        raise Failed(f"{path.relative_to(ROOT)} does not exist")
    machine.prepare()
    building.build("release")
    return run([machine.python(), str(path), *arguments], check=False, environment=building.path_environment())


def demo(options: argparse.Namespace) -> int:
    return program(ROOT / "examples/chat/demo.py", options.rest)


def bench(options: argparse.Namespace) -> int:
    return program(ROOT / f"bench/compare/{options.name}.py", options.rest)


def crash_tests(options: argparse.Namespace) -> int:
    machine.prepare()
    return crash.run(options.quick, options.minutes)


def fuzz(options: argparse.Namespace) -> int:
    machine.prepare()
    names = (options.name,) if options.name else fuzzing.FUZZERS
    return 1 if fuzzing.fuzz(options.seconds, names, options.rest).failed else 0


def lint(options: argparse.Namespace) -> int:
    machine.prepare()
    return linting.lint(options.fix)


def parse(arguments: list) -> argparse.Namespace:
    epilog = __doc__.split("\n\n")[1]
    parser = argparse.ArgumentParser(prog="./dev", description="Shoal's development commands.", epilog=epilog)
    verbs = parser.add_subparsers(metavar="VERB", required=True)

    def verb(name: str, action, summary: str, **more) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".", **more)
        added.set_defaults(action=action, rest=[])
        return added

    verb("setup", setup, "install what is missing: Debian packages (as root) and the virtual environment .venv")
    b = verb("build", build, "build, and make the result visible in .venv (preset release)")
    b.add_argument("preset", nargs="?", default="release", choices=building.PRESETS, help="of CMakePresets.json")
    b.add_argument("--target", help="only this CMake target")
    t = verb("test", test, "set up, build and run the tests, each part timed")
    t.add_argument("--all", action="store_true", help="also what takes long: clang, thread sanitizer, -O0, -O3")
    t.add_argument("--part", metavar="NAME", action="append", default=[], help="only this part (may be given again)")
    t.add_argument("--list", action="store_true", help="name the parts and end")
    verb("demo", demo, "run the chat demo; everything after the verb goes to examples/chat/demo.py")
    c = verb("bench", bench, "compare with Redis; everything after NAME goes to bench/compare/NAME.py")
    c.add_argument("name", nargs="?", default="core", help="which comparison (core)")
    k = verb("crash", crash_tests, "run everything that kills, and print one table: kill points, kills, violations")
    k.add_argument("--quick", action="store_true", help="what a plain ./dev test runs of it")
    k.add_argument("--minutes", type=float, default=crash.MINUTES, help="of torture and of chaos (%(default)g)")
    z = verb("fuzz", fuzz, "fuzz damaged segments and commands; a file after NAME: run this input again")
    z.add_argument("name", nargs="?", choices=fuzzing.FUZZERS, help="only this fuzzer")
    z.add_argument("--seconds", type=int, default=30, help="of each fuzzer (30)")
    f = verb("lint", lint, "check format, Python style and the rules of tests/tidy.py")
    f.add_argument("--fix", action="store_true", help="rewrite what can be rewritten")
    options, rest = parser.parse_known_args(arguments)
    if rest and options.action not in (demo, bench, fuzz):
        parser.error("unknown arguments: " + " ".join(rest))
    options.rest = rest
    return options


def main() -> int:
    sys.stdout.reconfigure(line_buffering=True)
    os.chdir(ROOT)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what we started is ended too
    options = parse(sys.argv[1:])
    try:
        return options.action(options)
    except Missing as problem:
        print(f"dev: {problem}", file=sys.stderr)
        return 3
    except Failed as problem:
        print(f"dev: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
