//! The folder that segments are kept in, behind the interface that tests simulate.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// What the spool asks of a disk. A segment is a file, named by a number.
pub trait Disk {
    /// The segments there are, with their sizes, in any order.
    fn segments(&mut self) -> io::Result<Vec<(u64, u64)>>;
    /// Makes an empty segment, which is the one appended to from now on.
    fn create(&mut self, segment: u64) -> io::Result<()>;
    /// Writes at the end of a segment. After an error any part of the bytes may be there.
    fn append(&mut self, segment: u64, bytes: &[u8]) -> io::Result<()>;
    /// Fills `bytes` from a place in a segment; an error if there are fewer.
    fn read(&mut self, segment: u64, offset: u64, bytes: &mut [u8]) -> io::Result<()>;
    /// Cuts a segment to a size.
    fn truncate(&mut self, segment: u64, size_bytes: u64) -> io::Result<()>;
    /// Returns once what was appended to the segment would survive a power failure.
    fn sync(&mut self, segment: u64) -> io::Result<()>;
    /// Removes a segment.
    fn remove(&mut self, segment: u64) -> io::Result<()>;
}

/// Segments as files of a real folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// The segment read from, and the one appended to: opening a file for each record would cost more
    /// than reading it.
    reading: Option<(u64, File)>,
    writing: Option<(u64, File)>,
}

const EXTENSION: &str = "spool";

/// Segments hold packets: nobody but the agent reads them.
const OWNER_ONLY: u32 = 0o600;

impl Folder {
    /// A folder that exists.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), reading: None, writing: None }
    }

    fn segment(&self, number: u64) -> PathBuf {
        self.path.join(format!("{number:020}.{EXTENSION}"))
    }

    /// Makes names that came or went survive a power failure.
    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    fn writing(&mut self, segment: u64) -> io::Result<&mut File> {
        let open = match self.writing.take() {
            Some((number, file)) if number == segment => (number, file),
            _ => (segment, OpenOptions::new().append(true).open(self.segment(segment))?),
        };
        Ok(&mut self.writing.insert(open).1)
    }
}

impl Disk for Folder {
    fn segments(&mut self) -> io::Result<Vec<(u64, u64)>> {
        let mut segments = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let path = entry.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str()).filter(|stem| stem.len() == 20);
            let number = stem.and_then(|stem| stem.parse().ok());
            if let Some(number) = number.filter(|_| path.extension().is_some_and(|of| of == EXTENSION)) {
                segments.push((number, entry.metadata()?.len()));
            }
        }
        Ok(segments)
    }

    fn create(&mut self, segment: u64) -> io::Result<()> {
        let file = OpenOptions::new().append(true).create(true).mode(OWNER_ONLY).open(self.segment(segment))?;
        file.set_len(0)?; // left by an attempt that failed half-way
        self.writing = Some((segment, file));
        self.sync_names()
    }

    fn append(&mut self, segment: u64, bytes: &[u8]) -> io::Result<()> {
        self.writing(segment)?.write_all(bytes)
    }

    fn read(&mut self, segment: u64, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let open = match self.reading.take() {
            Some((number, file)) if number == segment => (number, file),
            _ => (segment, File::open(self.segment(segment))?),
        };
        self.reading.insert(open).1.read_exact_at(bytes, offset)
    }

    fn truncate(&mut self, segment: u64, size_bytes: u64) -> io::Result<()> {
        self.writing(segment)?.set_len(size_bytes)
    }

    fn sync(&mut self, segment: u64) -> io::Result<()> {
        self.writing(segment)?.sync_data()
    }

    fn remove(&mut self, segment: u64) -> io::Result<()> {
        self.reading.take_if(|(number, _)| *number == segment);
        self.writing.take_if(|(number, _)| *number == segment);
        fs::remove_file(self.segment(segment))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn segments_are_their_owners_alone() {
        let path = std::env::temp_dir().join(format!("weir-spool-mode-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        let mut folder = Folder::new(&path);
        folder.create(1).unwrap();
        let mode = fs::metadata(folder.segment(1)).unwrap().permissions().mode();
        fs::remove_dir_all(&path).unwrap();
        assert_eq!(mode & 0o777, OWNER_ONLY);
    }
}
