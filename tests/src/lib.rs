//! Black-box tests of Weir: see `tests/`. And what tests of several packages share.

pub mod namespace;
