"""The stages of a build, each kept under the hash of what it depends on (see `pipeline`)."""
