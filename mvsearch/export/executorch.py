"""ExecuTorch: `model.pte`, a program for phones and boards; what XNNPACK has is lowered to it, portable kernels do the rest.

Other backends (Core ML, Vulkan, Qualcomm, ...) need partitioners, and mostly tools, of their own; none is offered here.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvsearch.errors import ConversionError, first_line
from mvsearch.export import runtime
from mvsearch.export.exporter import Check, Refusal, Subject
from mvsearch.export.outputs import sample_images
from mvsearch.targets.host.timing import without_collector

if TYPE_CHECKING:
    from torch import nn

FILE = "model.pte"


class ExecutorchExporter:
    """One image (1, C, H, W) -> logits (1, classes); batch norm folded."""

    name = "executorch"
    title = "ExecuTorch, XNNPACK"
    files = (FILE,)

    def missing(self) -> str | None:
        """Whether the package is not installed."""
        return (
            "executorch is not installed: `pip install 'mvsearch[executorch]'`"
            if runtime.version("executorch") is None
            else None
        )

    def refuse(self, subject: Subject) -> Refusal | None:
        """Nothing: what XNNPACK lacks is left to portable kernels."""
        return None

    def write(self, subject: Subject, model: nn.Module, folder: Path) -> Mapping[str, Any]:
        """See `Exporter.write`. The plain data says how many operations XNNPACK runs, and which it does not, by name."""
        from mvsearch.models.folding import folded

        images = sample_images(subject.spec.in_channels, subject.resolution, 1)
        with tempfile.TemporaryDirectory(prefix=".executorch-", dir=folder) as work, without_collector(), _quiet():
            temporary = Path(work) / FILE
            try:
                program, shares = _lowered(folded(model).cpu().requires_grad_(False), images)
                with temporary.open("wb") as file:
                    program.write_to_file(file)
            except OSError:
                raise
            except Exception as error:
                raise ConversionError(f"the network does not become an ExecuTorch program: {first_line(error)}") from error
            temporary.replace(folder / FILE)
        return {
            "bytes": (folder / FILE).stat().st_size,
            "precision": "float32",
            "resolution": subject.resolution,
            "batch": 1,
            "backend": "XNNPACK",
            **shares,
            "executorch": runtime.version("executorch"),
        }

    def check(self, subject: Subject, model: nn.Module, folder: Path) -> Check:
        """Compare its outputs at batch 1, by ExecuTorch's own runtime."""
        difference = runtime.largest_difference(subject, model, folder, FILE, "executorch_loader.py", batches=(1,))
        by = f"ExecuTorch {runtime.version('executorch')}, in a process of its own, at batch 1"
        return Check(difference, by, ("run on this machine, not on a phone",))

    def usage(self, subject: Subject) -> str:
        """See `Exporter.usage`."""
        size = f"{subject.spec.in_channels}, {subject.resolution}, {subject.resolution}"
        return f"""`{FILE}` takes one image at a time and wants a runtime built with XNNPACK and the portable kernels, as \
those for Android and iOS are. In Python (`pip install executorch`):

```python
import torch
from executorch.runtime import Runtime

program = Runtime.get().load_program("{FILE}")
logits = program.load_method("forward").execute([torch.rand(1, {size})])[0]  # values in [0, 1]; (1, {subject.spec.num_classes})
```"""


EXPORTER = ExecutorchExporter()


def _lowered(network: nn.Module, images: Any) -> tuple[Any, dict[str, Any]]:
    """The program, and what of it XNNPACK runs."""
    import torch
    from executorch.backends.transforms.replace_squeeze_unsqueeze_with_view import ReplaceSqueezeAndUnsqueezeWithViewPass
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.backends.xnnpack.utils.configs import get_transform_passes, get_xnnpack_edge_compile_config
    from executorch.exir import to_edge_transform_and_lower

    class _WholeOperators(XnnpackPartitioner):
        """Keeps every resize, hard swish and linear layer in one piece without asking of each whether XNNPACK takes it.

        It takes all that our networks have (else the compiler stops, with an error). Asking takes two more passes over
        the whole program, a fifth of the compiler's time.
        """

        def ops_to_not_decompose(self, ep: Any) -> tuple[list[Any], None]:
            return super().ops_to_not_decompose(ep)[0], None

    with torch.no_grad(), _only_needed_passes(network), _softmax_along_its_axis():
        edge = to_edge_transform_and_lower(
            torch.export.export(network, (images,), strict=False),
            # Expansions to the same shape and squeezes would each end a partition.
            transform_passes=get_transform_passes([ReplaceSqueezeAndUnsqueezeWithViewPass()]),
            partitioner=[_WholeOperators()],
            compile_config=get_xnnpack_edge_compile_config(),
        )
        shares = _shares(edge.exported_program().graph_module)
        return edge.to_executorch(), shares


def _shares(graph_module: Any) -> dict[str, Any]:
    """Operations that XNNPACK runs, in how many pieces, and the others by name."""
    partitions, left = [], Counter[str]()
    for node in graph_module.graph.nodes:
        if node.op != "call_function" or node.target.__name__ == "getitem":
            continue
        if node.target.__name__ == "executorch_call_delegate":
            partitions.append(getattr(graph_module, node.args[0].target).original_module.graph)
        else:
            left[node.target.__name__.removeprefix("aten.").split(".")[0]] += 1
    return {
        "delegated": sum(node.op == "call_function" for graph in partitions for node in graph.nodes),
        "partitions": len(partitions),
        "not_delegated": dict(left.most_common()),
    }


@contextmanager
def _only_needed_passes(network: nn.Module) -> Iterator[None]:
    """Leave out passes of XNNPACK's compiler that find nothing in our networks: each goes over every operation again.

    They are those for quantised networks, fused attention, 1-D convolutions, PReLU, resizes that were taken apart, and
    batch norms that are folded already. Together they are half of the compiler's time.
    """
    from executorch.backends.xnnpack import _passes, xnnpack_preprocess
    from torch import nn

    unneeded = {
        "ConvertToUpsampleBilinear2d",
        "ConvertToSDPAPass",
        "PropagateCustomMetaPass",
        "InsertPadQDQPass",
        "Conv1dUnsqueezePass",
        "PReLUReshapePass",
    }
    if not any(isinstance(module, nn.BatchNorm2d) for module in network.modules()):
        unneeded |= {"FuseBatchNormPass", "DecomposeBatchNorm"}
    manager = _passes.XNNPACKPassManager

    def needed(program: Any, passes: Any = None) -> Any:
        found = manager(program, passes)
        found.passes = [p for p in found.passes if p.__name__ not in unneeded]
        return found

    xnnpack_preprocess.XNNPACKPassManager = needed
    try:
        yield
    finally:
        xnnpack_preprocess.XNNPACKPassManager = manager


@contextmanager
def _softmax_along_its_axis() -> Iterator[None]:
    """Let a softmax after a convolution, as EfficientFormerV2's attention has it, go along the axis that it was given.

    XNNPACK computes it along the last axis in memory. ExecuTorch 1.5 leaves what follows a convolution with its channels last,
    unless it is told that an operation minds.
    """
    from executorch.backends.xnnpack._passes.channels_last_tagged_reshape_pass import ChannelsLastTaggedReshapePass
    from executorch.exir.dialects._ops import ops

    known = ChannelsLastTaggedReshapePass.memory_sensitive_ops_nchw
    ChannelsLastTaggedReshapePass.memory_sensitive_ops_nchw = {*known, ops.edge.aten._softmax.default}
    try:
        yield
    finally:
        ChannelsLastTaggedReshapePass.memory_sensitive_ops_nchw = known


@contextmanager
def _quiet() -> Iterator[None]:
    """Without remarks of the compiler and its imports, and without the handler that they give everybody's log."""
    root = logging.getLogger()
    before, level, disabled = list(root.handlers), root.level, root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
        root.handlers[:] = before
        root.setLevel(level)
