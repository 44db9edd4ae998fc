//! From the arguments a user gives to the capture files they mean.

use crate::files::{self, STDIN};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Folders in folders that are walked.
const MAX_DEPTH: usize = 64;

/// The captures that arguments stand for, and what became of the rest.
#[derive(Debug, Default)]
pub struct Inputs {
    /// Capture files in the order to read them: as given, those of a folder sorted by path.
    pub files: Vec<PathBuf>,
    /// Files in folders that were left out, and why.
    pub skipped: Vec<Skipped>,
    /// Arguments that stand for nothing. The others stand for what they do.
    pub errors: Vec<InputError>,
}

/// Something in a folder that was left out.
#[derive(Debug, thiserror::Error)]
#[error("{}: skipped, {reason}", .path.display())]
pub struct Skipped {
    /// What was left out.
    pub path: PathBuf,
    /// Why.
    pub reason: &'static str,
}

/// An argument, or a folder below it, that captures can't be taken from.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The standard input given twice, of which there is one.
    #[error("the standard input (-) is given more than once: it can be read only once")]
    StdinTwice,
    /// A folder in which no file is a capture.
    #[error("{}: no capture file in this folder or the folders in it", .0.display())]
    NoCapture(PathBuf),
    /// A folder that can't be listed.
    #[error("{}: listing this folder failed: {error}; run as a user who may read it, or name its files", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// Finds the capture files among `arguments`: files as they are, `-` for the standard input, and
/// of folders every capture in them and their folders, sorted.
///
/// A file that is named is taken for a capture, so that opening it says what is wrong with it. In
/// a folder, hidden entries are passed over in silence, and files that are no captures and links to
/// folders with a note.
pub fn expand(arguments: &[PathBuf]) -> Inputs {
    let mut inputs = Inputs::default();
    for argument in arguments {
        if argument == Path::new(STDIN) && inputs.files.contains(argument) {
            inputs.errors.push(InputError::StdinTwice);
        } else if argument != Path::new(STDIN) && argument.is_dir() {
            let (files, errors) = (inputs.files.len(), inputs.errors.len());
            inputs.add_folder(argument, MAX_DEPTH);
            if inputs.files.len() == files && inputs.errors.len() == errors {
                inputs.errors.push(InputError::NoCapture(argument.clone()));
            }
        } else {
            inputs.files.push(argument.clone());
        }
    }
    inputs
}

impl Inputs {
    /// Recursion ends at `depth` 0; folders nested deeper than [`MAX_DEPTH`] are skipped.
    fn add_folder(&mut self, folder: &Path, depth: usize) {
        let entries = match entries(folder) {
            Ok(entries) => entries,
            Err(error) => {
                self.errors.push(InputError::Folder { path: folder.to_owned(), error });
                return;
            }
        };
        for (path, kind) in entries {
            match kind {
                Entry::Folder if depth > 0 => self.add_folder(&path, depth - 1),
                Entry::Folder => self.skip(path, "folders are nested too deeply"),
                Entry::LinkToFolder => self.skip(path, "it is a link to a folder"),
                // A file that can't be read stays, so that opening it says why.
                Entry::File if files::is_capture(&path).unwrap_or(true) => self.files.push(path),
                Entry::File => self.skip(path, "it is no capture file"),
                Entry::Other => self.skip(path, "it is no regular file"),
            }
        }
    }

    fn skip(&mut self, path: PathBuf, reason: &'static str) {
        self.skipped.push(Skipped { path, reason });
    }
}

enum Entry {
    File,
    Folder,
    LinkToFolder,
    Other,
}

/// What is in a folder and not hidden, by path.
fn entries(folder: &Path) -> io::Result<BTreeMap<PathBuf, Entry>> {
    let mut entries = BTreeMap::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let path = entry.path();
        let is_link = entry.file_type()?.is_symlink();
        let kind = match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() => Entry::File,
            Ok(metadata) if metadata.is_dir() && is_link => Entry::LinkToFolder,
            Ok(metadata) if metadata.is_dir() => Entry::Folder,
            Ok(_) => Entry::Other,
            Err(_) => Entry::File, // a link that leads nowhere: opening it says so
        };
        entries.insert(path, kind);
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;
    use std::os::unix::fs::symlink;

    const PCAP: &[u8] = &[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0];

    /// A folder that is gone with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("weir-inputs-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
            let path = self.0.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, bytes).unwrap();
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn folder_gives_its_captures_sorted_and_notes_the_rest() {
        let folder = Folder::new("sorted");
        let b = folder.file("b.pcap", PCAP);
        let inner = folder.file("a/z.pcap", PCAP);
        let note = folder.file("notes.txt", b"no capture");
        let empty = folder.file("empty.pcap", b"");
        folder.file(".hidden.pcap", PCAP);
        folder.file(".git/x.pcap", PCAP);
        symlink(folder.0.join("a"), folder.0.join("link")).unwrap();
        let inputs = expand(std::slice::from_ref(&folder.0));
        assert_eq!(inputs.files, [inner, b]);
        let skipped: Vec<_> = inputs.skipped.iter().map(|skipped| &skipped.path).collect();
        assert_eq!(skipped, [&empty, &folder.0.join("link"), &note]);
        assert!(inputs.errors.is_empty());
        let text = inputs.skipped[0].to_string();
        assert!(text.ends_with("empty.pcap: skipped, it is no capture file"), "{text}");
    }

    #[test]
    fn compressed_captures_in_a_folder_are_found() {
        let folder = Folder::new("compressed");
        let path = folder.file("a.zst", &zstd::encode_all(PCAP, 1).unwrap());
        folder.file("b.zst", &zstd::encode_all(&b"text"[..], 1).unwrap());
        assert_eq!(expand(std::slice::from_ref(&folder.0)).files, [path]);
    }

    #[test]
    fn folder_without_captures_is_an_error_that_names_it_and_the_others_go_on() {
        let folder = Folder::new("none");
        folder.file("readme", b"");
        let file = PathBuf::from("given.pcap");
        let inputs = expand(&[folder.0.clone(), file.clone()]);
        assert_eq!(inputs.files, [file]);
        let error = inputs.errors[0].to_string();
        assert!(error.contains(folder.0.to_str().unwrap()) && error.contains("no capture file"), "{error}");
    }

    #[test]
    fn named_files_are_taken_as_they_are() {
        let given = [PathBuf::from("missing"), PathBuf::from(STDIN), PathBuf::from("missing")];
        assert_eq!(expand(&given).files, given);
        let twice = expand(&[PathBuf::from(STDIN), PathBuf::from(STDIN)]);
        assert!(matches!(twice.errors[..], [InputError::StdinTwice]));
    }
}
