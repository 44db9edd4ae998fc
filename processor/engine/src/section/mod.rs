//! Sections of a snapshot: state as bytes that only the part of the engine reads that wrote them, and only while the state
//! is laid out as it was.
//!
//! The bytes say nothing of their layout: read as another one they may well be a state, though a wrong one. So each part
//! has a number for its layout, which `layouts.txt` has beside the layout itself; a test compares both with the code.

#[cfg(test)]
mod layout;

use serde::{Serialize, de::DeserializeOwned};
use weir_contract::record::Section;

#[cfg(test)]
pub(crate) use layout::Layout;

/// Writing plain data to memory does not fail; were it to, the section would be missing.
pub(crate) fn save(name: &str, layout: u32, state: &impl Serialize) -> Option<Section> {
    let data = postcard::to_stdvec(state).ok()?;
    Some(Section { name: name.to_owned(), version: layout, data })
}

/// What [`save`] was given; `None` where it was laid out otherwise, or is damaged.
pub(crate) fn load<T: DeserializeOwned>(saved: &Section, layout: u32) -> Option<T> {
    if saved.version != layout {
        return None;
    }
    postcard::from_bytes(&saved.data).ok()
}
