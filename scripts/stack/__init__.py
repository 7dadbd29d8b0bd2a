"""A real Kafka and a real Flink cluster on this machine, started and stopped from Python."""

from scripts.stack.errors import StackError
from scripts.stack.stack import Stack

__all__ = ["Stack", "StackError"]
