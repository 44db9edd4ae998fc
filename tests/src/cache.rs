//! What tests fetch or build once, and keep in `~/.cache/weir` as the scripts do.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder of the cache, made by `make` in its first use. Other test processes that need it wait meanwhile.
///
/// # Panics
///
/// Where it can't be made.
pub fn folder(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"), PathBuf::from);
    let cache = cache.join("weir");
    let folder = cache.join(name);
    if folder.exists() {
        return folder;
    }
    std::fs::create_dir_all(&cache).unwrap();
    let lock = File::create(cache.join(format!("{name}.lock"))).unwrap();
    lock.lock().unwrap();
    if folder.exists() {
        return folder;
    }
    eprintln!("making {}", folder.display());
    let partial = cache.join(format!("{name}.partial"));
    let _ = std::fs::remove_dir_all(&partial);
    std::fs::create_dir(&partial).unwrap();
    make(&partial);
    std::fs::rename(&partial, &folder).unwrap();
    folder
}

/// Runs a command to its end.
///
/// # Panics
///
/// Where it can't be run or fails; with what it wrote.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| {
        panic!("can't run {}: {error}. `make test` installs what the tests need", command.get_program().display())
    });
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} failed:\n{text}");
    text
}
