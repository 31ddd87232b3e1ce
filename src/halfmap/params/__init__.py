"""What a person may set: one frozen pydantic model per job, each setting with unit, range, help and default.

A setting is declared once here; the command-line flag, the job record and docs/COMMANDS.md come from it. No logic.
"""
