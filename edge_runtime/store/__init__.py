"""The bundles installed on a device: the old one or the new one at every moment, proven before it is used.

    ROOT/                               see `home`
      lock                              flock; one writer
      staging/                          what is not finished; emptied by the next writer
      incoming/                         files that came over a line for a bundle to come; see `arrivals`
      bundles/NAME/VERSION-DIGEST12/    a bundle, never changed; 12 digits of the sha256 of its manifest.yaml
      bundles/NAME/current -> …         what `edge_runtime.open(NAME)` opens; changed by one rename
      bundles/NAME/previous -> …        what `rollback` goes back to
      bundles/NAME/previous.coming -> … what `previous` is about to lead to; see `switch`
      bundles/NAME/state.yaml           what was tried, when, with what result; see `state`

`layout` names these places, `install` fills them (`sources`, `admission`, `held`, `staging`, `switch` are its
parts), `switch` also goes back, `opening` opens by name, `prune` takes away, `status` tells. docs/store.md
says what survives what.
"""
