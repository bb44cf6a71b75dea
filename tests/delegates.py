"""A TFLite delegate that is compiled here."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

# tensorflow/lite/delegates/external/external_delegate_interface.h, and the head of TfLiteDelegate.
SOURCE = """
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
typedef struct Delegate {
  void *data;
  int (*prepare)(void *, struct Delegate *);
  void *from, *to, *release;
  int64_t flags;
  void *opaque;
} Delegate;
static int accept(void *context, Delegate *delegate) { return 0; }
static int refuse(void *context, Delegate *delegate) { return 1; }
Delegate *tflite_plugin_create_delegate(char **keys, char **values, size_t n, void (*report)(const char *)) {
  const char *mode = n && !strcmp(keys[0], "mode") ? values[0] : "accept";
  if (!strcmp(mode, "absent")) { report("no such device"); return NULL; }
  Delegate *made = calloc(1, sizeof(Delegate));
  made->prepare = strcmp(mode, "refuse") ? accept : refuse;
  return made;
}
void tflite_plugin_destroy_delegate(Delegate *delegate) { free(delegate); }
"""


def compiled(folder: Path) -> str:
    """The library of a delegate that takes no operator; its option ``mode`` makes it fail."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    (folder / "delegate.c").write_text(SOURCE, "utf-8")
    target = folder / "libdelegate.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", target, folder / "delegate.c"], check=True)
    return str(target)
