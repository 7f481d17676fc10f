"""Work on Ray actors: long-lived workers that import torch once. Ray is imported here only.

A device that only some nodes have, such as a phone attached to a Mac, is a custom resource of those nodes, under the
name that `Target.resource` gives: `ray start --address=HEAD:6379 --resources='{"iphone12": 1}'`. (On macOS Ray asks
for `RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=1` in the environment of every node of such a cluster.) A task that asks for the
resource runs on such a node, one per unit at a time.
"""

from mvsearch.search.ray.executor import RayExecutor

__all__ = ["RayExecutor"]
