"""Torch networks of the architectures, and their independent count. Importing this loads torch."""

from mvsearch.models.build import Network, build
from mvsearch.models.initial import initialise

__all__ = ["Network", "build", "initialise"]
