"""The faults by name: `FAULTS` maps each name to its behaviour, `describe()` to a line about it.

A fault is put on a vendor, an account and a path prefix for a number of requests or without limit, with
`Sandbox.put_fault`. Parameters are the behaviour's keyword arguments.
"""

import inspect
from collections.abc import Awaitable, Callable

from pipeline.sandbox.encoding import Tree

Behaviour = Callable[..., Awaitable[None]]
FAULTS: dict[str, Behaviour] = {}


def fault(behaviour: Behaviour) -> Behaviour:
    """Add a behaviour to FAULTS under its name."""
    FAULTS[behaviour.__name__] = behaviour
    return behaviour


def describe() -> dict[str, str]:
    """Return each fault's name with its parameters, and the first line of its docstring."""
    lines = {}
    for name, behaviour in FAULTS.items():
        given = [str(p.replace(annotation=p.empty)) for p in parameters(behaviour).values()]
        lines[f"{name}({', '.join(given)})"] = (inspect.getdoc(behaviour) or "").splitlines()[0]
    return lines


def parameters(behaviour: Behaviour) -> dict[str, inspect.Parameter]:
    """Return the parameters that a fault takes."""
    found = inspect.signature(behaviour).parameters
    return {name: p for name, p in found.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}


def on_objects(tree: Tree, change: Callable[[dict[str, Tree]], dict[str, Tree]]) -> Tree:
    """Change every object in a body, the innermost first."""
    if isinstance(tree, dict):
        return change({key: on_objects(value, change) for key, value in tree.items()})
    if isinstance(tree, list):
        return [on_objects(item, change) for item in tree]
    return tree
