//! Weir’s capture side.
