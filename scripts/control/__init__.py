"""`scripts/millrace`: what an operator does to a running pipeline. Each group of commands is one module."""
