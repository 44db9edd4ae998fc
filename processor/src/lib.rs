//! What the `weir` binary is made of.

pub mod output;
