"""The jobs that make and change particles."""
