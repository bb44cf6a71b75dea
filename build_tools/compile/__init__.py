"""PyTorch students to the files that a device runs."""

TFLITE_PACKAGES = {
    "litert_torch": "litert-torch",
    "ai_edge_quantizer": "ai-edge-quantizer",
    "ai_edge_litert": "ai-edge-litert",
}
"""Modules that compiling to TFLite takes, and what pip calls them: the extra `build-tflite`."""
