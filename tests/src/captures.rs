//! Captures to test with: the project's own, and those shared ones that are not part of it.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

/// The project's own captures, all of them, by name.
pub fn own() -> Vec<PathBuf> {
    within(&Path::new(env!("CARGO_MANIFEST_DIR")).join("captures"))
}

/// The folder that `SHARED_CAPTURES` names, by default `../shared/captures` beside the checkout. Says so if it isn't there.
pub fn shared_folder() -> Option<PathBuf> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures");
    let folder = std::env::var_os("SHARED_CAPTURES").map_or_else(default, PathBuf::from);
    let is_there = folder.is_dir();
    if !is_there {
        println!("skipped: no captures in {}; SHARED_CAPTURES names their folder", folder.display());
    }
    is_there.then_some(folder)
}

/// So many of the shared captures at most, from all over the set, which is sorted by where they come from.
pub fn some_shared(count: usize) -> Option<Vec<PathBuf>> {
    let all = within(&shared_folder()?);
    Some(all.iter().step_by(all.len().div_ceil(count).max(1)).cloned().collect())
}

/// The capture files below a folder, by name.
fn within(folder: &Path) -> Vec<PathBuf> {
    let mut captures = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if path.is_dir() {
                folders.push(path);
            } else if name.contains(".pcap") || name.ends_with(".cap") {
                captures.push(path);
            }
        }
    }
    captures.sort();
    captures
}
