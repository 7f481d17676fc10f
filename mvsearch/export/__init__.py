"""A network with its weights -> library entry, ONNX, Core ML; each written whole or not at all, and checked."""
