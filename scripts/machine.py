# SPDX-License-Identifier: MIT
"""./dev setup: what the machine needs. Nothing missing: two look-ups and out. Without root it names the command."""

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

from shell import ROOT, Failed, Missing, output, run, say

VENV = ROOT / ".venv"
STAMP = VENV / "setup-stamp"
REQUIREMENTS = ROOT / "requirements-dev.txt"
POLICY = Path("/usr/sbin/policy-rc.d")
PROBE = """
import sys, json, sysconfig, os
import venv, ensurepip
ok = sys.implementation.name == 'cpython' and os.path.exists(os.path.join(sysconfig.get_paths()['include'], 'Python.h'))
print(json.dumps([ok, list(sys.version_info[:3]), getattr(sys, '_base_executable', sys.executable)]))
"""


def prepare() -> None:
    install_debian_packages()
    make_virtual_environment()


def python() -> str:
    return str(VENV / "bin/python")


def wanted(path: Path) -> list:
    lines = (line.split("#")[0].strip() for line in path.read_text().splitlines())
    return [line for line in lines if line]


def missing_debian_packages() -> list:
    packages = wanted(ROOT / "scripts/debian-packages.txt")
    rows = output(["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *packages]).splitlines()
    installed = {row.split()[0] for row in rows if row.endswith(" installed")}
    return [package for package in packages if package not in installed]


def install_debian_packages() -> None:
    if not shutil.which("dpkg-query"):
        say("not a Debian system: scripts/debian-packages.txt names what you need")
        return
    missing = missing_debian_packages()
    if missing:
        install(missing)


def install(missing: list) -> None:
    command = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    if os.geteuid() != 0:
        raise Missing("Debian packages are missing. As root: apt-get update && " + " ".join(command))
    say("installing Debian packages: " + " ".join(missing))
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update", "-qq"], environment=quiet, check=False)
    own_policy = not POLICY.exists()
    if own_policy:  # our tests start their own redis-server; none is to be started as a service
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    try:
        run(command, environment=quiet)
    finally:
        if own_policy:
            POLICY.unlink()


def interpreters() -> list:
    """Every CPython >= 3.10 here that has venv and its headers, newest first: (version, path)."""
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    folders += [*sorted(Path.home().glob(".pyenv/versions/*/bin")), Path("/usr/bin"), Path("/usr/local/bin")]
    names = ["python3", *(f"python3.{minor}" for minor in range(10, 20))]
    found = {}
    for path in dict.fromkeys(folder / name for folder in folders for name in names):
        if os.access(path, os.X_OK) and "shims" not in path.parts and VENV not in path.parents:
            answer = output([str(path), "-c", PROBE])
            if answer:
                suitable, version, executable = json.loads(answer)
                if suitable and tuple(version) >= (3, 10):
                    found.setdefault(tuple(version), executable)
    one_a_minor = {}
    for version in sorted(found):
        one_a_minor[version[:2]] = (version, found[version])
    return [one_a_minor[minor] for minor in sorted(one_a_minor, reverse=True)]


def chosen_interpreter() -> str:
    given = os.environ.get("SHOAL_DEV_PYTHON")
    if given:
        return given
    found = interpreters()
    if not found:
        raise Missing("no CPython >= 3.10 with venv and headers (Debian: python3 python3-venv python3-dev)")
    return found[0][1]


def make_virtual_environment() -> None:
    digest = hashlib.sha256("\n".join([*wanted(REQUIREMENTS), str(ROOT)]).encode()).hexdigest()
    if STAMP.exists() and STAMP.read_text() == digest and os.access(python(), os.X_OK):
        return
    if not os.access(python(), os.X_OK):
        interpreter = chosen_interpreter()
        say(f"making .venv from {interpreter}")
        shutil.rmtree(VENV, ignore_errors=True)
        run([interpreter, "-m", "venv", str(VENV)])
    say("installing Python packages into .venv: " + ", ".join(wanted(REQUIREMENTS)))
    install = [python(), "-m", "pip", "install", "-q", "--disable-pip-version-check", "-U", "-r", str(REQUIREMENTS)]
    if run(install, check=False) and run(install, check=False):  # a second try: an index may have a bad moment
        raise Failed("pip could not install requirements-dev.txt")
    STAMP.write_text(digest)


if __name__ == "__main__":
    for found_version, found_path in interpreters():
        print(".".join(map(str, found_version)), found_path)
    sys.exit(0)
