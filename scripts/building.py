# SPDX-License-Identifier: MIT
"""./dev build: one preset by CMake and Ninja.

The release build also gives .venv the package shoal: the extension beside its sources, a path file, the metadata with
the entry points, links to the programs. After that a changed Python file needs nothing, a changed .cc ./dev build."""

import json
import os
import sys
from pathlib import Path

import machine
from shell import ROOT, jobs, output, run

PRESETS = [preset["name"] for preset in json.loads((ROOT / "CMakePresets.json").read_text())["buildPresets"]]
CCACHE = {"CCACHE_BASEDIR": str(ROOT), "CCACHE_NOHASHDIR": "1"}
PROGRAMS = ("shoald", "shoal")


def folder(preset: str) -> Path:
    return ROOT / "build" / preset


def path_environment() -> dict:
    return {"PATH": f"{machine.VENV / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}", "VIRTUAL_ENV": str(machine.VENV)}


def build(preset: str, target: "str | None" = None) -> None:
    options = []
    if preset in ("release", "asan") and (ROOT / "python/bindings").exists():
        options = ["-DSHOAL_PYTHON=ON", f"-DPython_EXECUTABLE={machine.python()}"]
        options += ["-DSHOAL_PYTHON_INPLACE=ON"] if preset == "release" else []
    configure(preset, options)
    command = ["cmake", "--build", "--preset", preset, "-j", str(jobs())]
    run(command + (["--target", target] if target else []), environment=CCACHE)
    if preset == "release":
        show_to_virtual_environment()


def configure(preset: str, options: list) -> None:
    """Only when the options or the presets changed; to everything else Ninja reacts by itself."""
    stamp = folder(preset) / "dev-configured"
    state = "\n".join([*options, str(ROOT), (ROOT / "CMakePresets.json").read_text()])
    if stamp.exists() and stamp.read_text() == state and (folder(preset) / "build.ninja").exists():
        return
    run(["cmake", "--preset", preset, "--log-level=WARNING", *options], environment=CCACHE)
    stamp.write_text(state)


def replace(path: Path, text: str) -> None:
    if not path.exists() or path.read_text() != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def show_to_virtual_environment() -> None:
    """What an editable install would do, without running a build back-end each time."""
    if not (ROOT / "python/shoal/__init__.py").exists():
        return
    site = Path(output([machine.python(), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).strip())
    project = json.loads(output([machine.python(), str(ROOT / "scripts/metadata.py"), str(ROOT / "pyproject.toml")]))
    info = site / f"{project['name']}-{project['version']}.dist-info"
    for old in site.glob(f"{project['name']}-*.dist-info"):
        if old != info:
            for file in old.iterdir():
                file.unlink()
            old.rmdir()
    replace(info / "METADATA", project["metadata"])
    replace(info / "entry_points.txt", project["entry_points"])
    replace(info / "INSTALLER", "dev\n")
    files = ("METADATA", "entry_points.txt", "INSTALLER", "RECORD")
    replace(info / "RECORD", "".join(f"{info.name}/{name},,\n" for name in files))
    replace(site / "shoal.pth", f"{ROOT / 'python'}\n")
    for name in PROGRAMS:
        program, link = folder("release") / "bin" / name, machine.VENV / "bin" / name
        if program.exists() and not (link.is_symlink() and link.resolve() == program):
            link.unlink(missing_ok=True)
            link.symlink_to(program)


if __name__ == "__main__":
    sys.exit("run ./dev build")
