"""Plays a scenario, whatever its machines are made of."""

from __future__ import annotations

from typing import Protocol

from .bucket import Bucket
from .timeline import Scenario, timeline


class Fleet(Protocol):
    """The machines of a scenario, and the writer of their listing and pack."""

    def write(self, which: int) -> None:
        """Have the writer put the listing, and the first time the pack before it."""

    def start(self, machine: int) -> None:
        """Start a machine cold: warm it, if there is a pack, and have it do a job."""

    def use(self, machine: int) -> None:
        """Have a machine do a job: use all objects."""

    def settle(self) -> None:
        """Wait for what is under way."""


def play(scenario: Scenario, bucket: Bucket, fleet: Fleet) -> None:
    """Have everything happen that the scenario has; the bucket counts."""
    before = None
    for event in timeline(scenario):
        if (event.kind, event.phase) != before:
            fleet.settle()
        before = event.kind, event.phase
        bucket.begin(event)
        if event.kind == "overwrite":
            bucket.overwrite(event.which)
        elif event.kind == "write":
            fleet.write(event.which)
        elif event.kind == "start":
            fleet.start(event.which)
        else:
            fleet.use(event.which)
    fleet.settle()
