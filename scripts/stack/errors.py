"""What goes wrong with the local stack, as one line for the user."""


class StackError(Exception):
    """Says in one line what is wrong and what to do about it."""
