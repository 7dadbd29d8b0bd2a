"""A real Kafka and a real Flink cluster on this machine, started and stopped from Python."""

from scripts.stack.errors import StackError
from scripts.stack.flink import SHORT_LIVED
from scripts.stack.stack import Stack

__all__ = ["SHORT_LIVED", "Stack", "StackError"]
