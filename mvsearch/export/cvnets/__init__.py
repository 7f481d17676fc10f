"""Apple's CVNets: configuration and checkpoint for what its options can say; a refusal with the dimension for the rest."""

from mvsearch.export.cvnets.exporter import EXPORTER

__all__ = ["EXPORTER"]
