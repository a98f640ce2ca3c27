"""Which settings a program really reads while it runs."""

from __future__ import annotations

import contextlib
import pathlib
import sys

import ml_collections
import pytest
from ml_collections.config_dict import config_dict

ROOT = pathlib.Path(__file__).parents[1]
PROGRAMS = tuple(str(ROOT / folder) for folder in ("moa_jax", "experiments"))
# What ConfigDict's own code does on behalf of whoever called it. Its other functions copy,
# compare and print all that there is, which is no reading.
ONE, ALL = ("__getattr__", "__getitem__", "get"), ("items", "values", "iteritems", "itervalues")


def groups(config, prefix=""):
    """(dotted path, group) of a configuration and of every group in it."""
    yield prefix, config
    for key in config:
        if isinstance(config[key], ml_collections.ConfigDict):
            yield from groups(config[key], f"{prefix}{key}.")


class Reads:
    """Settings that the package read.

    A group of settings is known by its keys, so that copies of it count too, however they were
    made.

    Attributes:
      single: (keys of the group, key) that was asked for by its name.
      whole: groups that were handed over as they are.
      fields: names that the receivers of whole groups may take.
      attributes: those of them that were read of a receiver.
    """

    def __init__(self, receivers) -> None:
        self.single, self.whole = set(), set()
        # Flax gives each module a name and a parent, which are no settings.
        self.fields = {name for receiver in receivers for name in receiver.__dataclass_fields__} - {
            "name",
            "parent",
        }
        self.attributes = set()

    def unread(self, config):
        """Dotted paths of the settings of `config` that nobody read."""
        return [
            f"{prefix}{key}"
            for prefix, group in groups(config)
            for key in group
            if not isinstance(group[key], ml_collections.ConfigDict)
            and not self.is_read(frozenset(group), key)
        ]

    def is_read(self, group, key):
        handed_over = group in self.whole and key not in self.fields - self.attributes
        return (group, key) in self.single or handed_over


def reader(frame):
    """How the package reads in `frame`: "one" setting, "all" of a group, or not at all."""
    kind = "one"
    while frame.f_code.co_filename == config_dict.__file__:
        name = frame.f_code.co_name
        if name in ALL:
            kind = "all"
        # Up to Python 3.11 a comprehension has a frame of its own.
        elif name not in (*ONE, "<listcomp>"):
            return None
        frame = frame.f_back
    return kind if frame.f_code.co_filename.startswith(PROGRAMS) else None


@contextlib.contextmanager
def recorded_reads(*receivers):
    """Records what the package reads of every ConfigDict.

    Args:
      receivers: dataclasses that take whole groups of settings as attributes of the same names.
        Such a setting counts as read only where the package reads the attribute.

    Yields:
      The `Reads`, which grow.
    """
    reads = Reads(receivers)
    getitem, to_dict = ml_collections.ConfigDict.__getitem__, ml_collections.ConfigDict.to_dict

    def recording_getitem(self, key):
        kind = reader(sys._getframe(1))
        if kind == "one":
            reads.single.add((frozenset(self._fields), key))
        elif kind == "all":
            reads.whole.add(frozenset(self._fields))
        return getitem(self, key)

    def recording_to_dict(self, *args, **kwargs):
        # What has groups below is copied as a whole configuration is.
        is_flat = not any(isinstance(v, ml_collections.ConfigDict) for v in self._fields.values())
        if is_flat and reader(sys._getframe(1)):
            reads.whole.add(frozenset(self._fields))
        return to_dict(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ml_collections.ConfigDict, "__getitem__", recording_getitem)
        patch.setattr(ml_collections.ConfigDict, "to_dict", recording_to_dict)
        for receiver in receivers:
            patch.setattr(receiver, "__getattribute__", recording_getattribute(receiver, reads))
        yield reads


def recording_getattribute(receiver, reads):
    getattribute = receiver.__getattribute__

    def recording(self, name):
        if name in reads.fields and sys._getframe(1).f_code.co_filename.startswith(PROGRAMS):
            reads.attributes.add(name)
        return getattribute(self, name)

    return recording
