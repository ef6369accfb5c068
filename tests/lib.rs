//! Tests of what crosses crates stand in `tests/`; there is nothing here to use.
