"""The jobs on maps and masks."""
