"""The registry of cases and the checks they are made of.

A case is a function that takes a `Scene` and returns when all is well. It fails by raising
`CaseFailed` with one sentence that says what was seen and what was expected.
"""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

VERSIONS = ("31", "311", "5")


class CaseFailed(Exception):
    """The behaviour a case asks for was not seen."""


@dataclass(frozen=True)
class Case:
    """One named behaviour."""

    name: str
    body: Callable


CASES: dict[str, Case] = {}


def register(new: Case) -> None:
    """Adds a case; two of the same name would hide one another."""
    if new.name in CASES:
        raise ValueError(f"two cases are called {new.name}")
    CASES[new.name] = new


def case(name: str):
    """Registers the function below as the case `name`."""

    def decorate(body):
        register(Case(name, body))
        return body

    return decorate


def case_for(name: str, **parameters: Iterable):
    """Registers one case per combination; `name` holds a `{key}` for each parameter."""

    def decorate(body):
        for values in itertools.product(*parameters.values()):
            chosen = dict(zip(parameters, values, strict=True))
            register(Case(name.format(**chosen), _with(body, chosen)))
        return body

    return decorate


def _with(body, chosen: dict):
    return lambda scene: body(scene, **chosen)


def check(condition: object, why: str) -> None:
    """Fails the case with the sentence `why` unless the condition holds."""
    if not condition:
        raise CaseFailed(why)


def check_equal(found, expected, what: str) -> None:
    """Fails the case unless `found` is `expected`; `what` names the value."""
    check(found == expected, f"{what}: found {_short(found)}, expected {_short(expected)}")


def _short(value) -> str:
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}… ({len(text)} characters)"
