# SPDX-License-Identifier: MIT
"""Prints, as JSON, the metadata that an installed distribution of this pyproject.toml carries. Runs in .venv."""

import json
import sys

try:
    import tomllib
except ModuleNotFoundError:  # CPython 3.10: mypy and pytest bring it
    import tomli as tomllib  # type: ignore[no-redef]

with open(sys.argv[1], "rb") as file:
    project = tomllib.load(file)["project"]

lines = [
    "Metadata-Version: 2.1",
    f"Name: {project['name']}",
    f"Version: {project['version']}",
    f"Summary: {project['description']}",
    f"Requires-Python: {project['requires-python']}",
]
lines += [f"Requires-Dist: {requirement}" for requirement in project["dependencies"]]
for extra, requirements in project.get("optional-dependencies", {}).items():
    lines.append(f"Provides-Extra: {extra}")
    lines += [f"Requires-Dist: {requirement}; extra == '{extra}'" for requirement in requirements]
groups = project.get("entry-points", {})
entries = "\n".join(
    f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
    for group, points in groups.items()
)
print(
    json.dumps(
        {
            "name": project["name"],
            "version": project["version"],
            "metadata": "\n".join(lines) + "\n",
            "entry_points": entries,
        }
    )
)
