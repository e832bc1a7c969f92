//! End-to-end tests; they stand in `tests/`.
