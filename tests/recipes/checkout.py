"""A copy of the program that a recipe of CONTRIBUTING.md is followed in, file by file."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]


class Checkout:
    """A copy of the package, its configurations and its documents.

    Attributes:
      folder: where it lies.
      touched: files that were changed or added, relative to it.
    """

    def __init__(self, folder):
        self.folder, self.touched = folder, set()
        for name in ("moa_jax", "configs", "docs"):
            shutil.copytree(
                ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
            )

    def add(self, path, text):
        """Writes a new file."""
        assert not (self.folder / path).exists()
        (self.folder / path).write_text(text)
        self.touched.add(path)

    def insert(self, path, text, *, after="", before=""):
        """Puts text after or before a piece of a file that occurs in it once."""
        content, anchor = (self.folder / path).read_text(), after or before
        assert content.count(anchor) == 1, f"{path} has {anchor!r} {content.count(anchor)} times"
        new = after + text if after else text + before
        (self.folder / path).write_text(content.replace(anchor, new))
        self.touched.add(path)

    def run(self, script):
        """What a Python script prints, with the copy's package."""
        # The folder comes first, so that only the tests' own modules are from here.
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


def files_of_recipe(title, name):
    """The files that a recipe of CONTRIBUTING.md says are touched, with its name for NAME."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    (recipe,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    steps = recipe[recipe.index("1. **") :].partition("\n\n")[0]
    files = re.findall(r"\*\*`([^`]+)`\*\*", steps)
    return {path.replace("NAME", name) for path in files}
