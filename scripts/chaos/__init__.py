"""Faults on the real stack under load, and the proof that nothing is lost and nothing comes twice.

A cell is a data file (faults/*.yaml): workload, fault, checks. `schedule` makes of a cell and a seed what happens when; `actors` does
it; `run` puts a cell together; `report` and `picture` show what came of it.
"""
