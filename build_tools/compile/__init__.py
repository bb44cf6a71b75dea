"""PyTorch students to the files that a device runs."""

TFLITE_PACKAGES = {
    "litert_torch": "litert-torch",
    "ai_edge_quantizer": "ai-edge-quantizer",
    "ai_edge_litert": "ai-edge-litert",
}
"""Modules that compiling to TFLite takes, and what pip calls them: the extra `build-tflite`."""

WRITERS = {
    "onnx": ("torch", "onnx", "onnxruntime"),
    "tflite": ("torch", *TFLITE_PACKAGES.values()),
    "static": ("torch", "numpy"),
}
"""Packages whose versions shape a compiled encoder, by its kind."""
