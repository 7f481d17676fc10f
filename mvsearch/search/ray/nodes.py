"""The nodes of a cluster must run the same software: numbers of another version are other numbers."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

from mvsearch.errors import InputError

Versions = dict[str, str]
ANSWER_S = 180.0
"""A node has so long to say what it has; one that has just come up starts a worker first."""
_HINT = "install the same versions on every node, e.g. `pip install mvsearch=={mvsearch} torch=={torch}`"


def _travelling() -> Callable[[], Versions]:
    # A function within a function is pickled whole: a node without mvsearch can say so, and could not import it from there.
    def versions() -> Versions:
        """Of what every node must have alike: Python (without its patch level), mvsearch, torch (without its build).

        CPU nodes and GPU nodes have other builds of one torch, such as `2.9.0+cpu` and `2.9.0+cu130`.
        """
        found = {"python": ".".join(platform.python_version_tuple()[:2])}
        for name in ("mvsearch", "torch"):
            try:
                found[name] = metadata.version(name).partition("+")[0]
            except metadata.PackageNotFoundError:
                found[name] = "none"
        return found

    return versions


versions = _travelling()


def check_nodes(ray: Any, expected: Versions | None = None, ask: Callable[[], Versions] | None = None) -> None:
    """Have every node of the cluster say what it has.

    Args:
        ray: the module, connected.
        expected: what each must have; what this process has by default.
        ask: runs on the nodes; `versions` by default.

    Raises:
        InputError: a node has something else, or does not answer.
    """
    expected = expected or versions()
    asked = {
        str(n["NodeManagerAddress"]) + f" ({n['NodeID'][:8]})": on_node(ray, ask or versions, str(n["NodeID"]))
        for n in ray.nodes()
        if n["Alive"]
    }
    ray.wait(list(asked.values()), num_returns=len(asked), timeout=ANSWER_S)
    faults = []
    for node, ref in asked.items():
        try:
            faults.append(difference(node, ray.get(ref, timeout=0), expected))
        except ray.exceptions.GetTimeoutError:
            faults.append(f"node {node}: no answer within {ANSWER_S:.0f} s")
        except ray.exceptions.RayError as error:
            faults.append(f"node {node}: {str(error).strip().splitlines()[-1]}")
    refuse(list(filter(None, faults)), expected)


def difference(node: str, has: Mapping[str, str], expected: Mapping[str, str]) -> str:
    """What is wrong with a node, in one line; empty if nothing is."""
    wrong = [f"{name} `{has.get(name, 'none')}`, `{v}` expected" for name, v in expected.items() if has.get(name) != v]
    return f"node {node}: {'; '.join(wrong)}" if wrong else ""


def refuse(faults: list[str], expected: Mapping[str, str]) -> None:
    """Raise what is wrong with the nodes, all of it at once.

    Raises:
        InputError: there are faults.
    """
    if faults:
        lines = "\n".join(f"  {fault}" for fault in faults)
        raise InputError(f"the cluster does not fit this process:\n{lines}", _HINT.format(**expected))


def on_node(ray: Any, task: Callable[..., Any], node: str, *arguments: Any) -> Any:
    """Run a task on one node, as soon as it may, beside whatever runs there.

    Returns:
        Ray's reference to the result.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    there = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
    return ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=there)(task).remote(*arguments)
