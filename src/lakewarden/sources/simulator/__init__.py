"""A simulator of a bank's events: seeded, labelled, with the faults that upstream systems really make."""

from lakewarden.sources.simulator.days import DayOfEvents, generate
from lakewarden.sources.simulator.faults import FAULTS
from lakewarden.sources.simulator.plan import Plan
from lakewarden.sources.simulator.simulation import SimulationReport, simulate
from lakewarden.sources.simulator.typologies import TYPOLOGIES

__all__ = ["FAULTS", "TYPOLOGIES", "DayOfEvents", "Plan", "SimulationReport", "generate", "simulate"]
