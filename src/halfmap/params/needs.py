"""Which settings do nothing because of the value of another: declared beside each as ``needs``, told at the start."""

from __future__ import annotations

from typing import Any

from halfmap.params.common import FILE, NUMBER, Job

WORDS = ("none", "dynamic")
ANY = {FILE: "a file", NUMBER: "a number"}


def idle(params: Job) -> list[str]:
    """A sentence for every setting that was given and does nothing, because another setting does not ask for it.

    A default is silent: nobody set it. Settings that the job does not have are not needed.
    """
    fields = type(params).model_fields
    given = [name for name in fields if name in params.model_fields_set]
    return [f"{name} has no effect: it needs {lacking}" for name in given if (lacking := _lacking(params, name))]


def _lacking(params: Job, name: str) -> str:
    """What the setting needs and does not have, in words; empty where it has all."""
    fields = type(params).model_fields
    needs = (fields[name].json_schema_extra or {}).get("needs") or {}
    wanted = {other: values if isinstance(values, list) else [values] for other, values in needs.items()}
    missing = [other for other in wanted if other in fields and not _is_any(getattr(params, other), wanted[other])]
    return " and ".join(f"{other} {_words(wanted[other])}, not {_word(getattr(params, other))}" for other in missing)


def _is_any(value: Any, wanted: list) -> bool:
    any_is = FILE in wanted or NUMBER in wanted
    return (any_is and value is not None and str(value) not in WORDS) or value in wanted


def _words(values: list) -> str:
    return " or ".join(dict.fromkeys(ANY.get(value) or _word(value) for value in values))


def _word(value: Any) -> str:
    if value is None:
        return "none"
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)
