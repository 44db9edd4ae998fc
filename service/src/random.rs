//! Numbers that nobody outside can know.

use std::hash::{BuildHasher as _, RandomState};

/// A number that is another one each time, from the key that the standard library draws for hash tables.
pub fn random() -> u64 {
    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_number_comes_twice() {
        assert_ne!(super::random(), super::random());
    }
}
