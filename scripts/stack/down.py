"""`scripts/down`: ends exactly the processes that `scripts/up` started, also after half a start."""

from __future__ import annotations

from scripts.stack.stack import Stack
from scripts.stack.up import WORKDIR


def main() -> None:
    stack = Stack.load(WORKDIR)
    if stack is None or not stack.processes:
        print("Nothing of this project is running.")
        return
    names = ", ".join(each.name for each in stack.processes)
    stack.down()
    print(f"Ended {names}.")


if __name__ == "__main__":
    main()
