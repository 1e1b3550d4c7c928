"""A load generator that keeps books: every request is accounted for, by the release that answered it."""

from hack.load.generator import Load
from hack.load.records import Outcome, Record
from hack.load.report import Report

__all__ = ["Load", "Outcome", "Record", "Report"]
