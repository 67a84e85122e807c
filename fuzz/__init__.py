"""Fuzzing: damaged and hostile input for every reader of the package; see docs/fuzzing.md."""
