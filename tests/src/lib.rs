//! Black-box tests of Weir: see `tests/`.
