//! The lake in a local folder.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::{Failure, Head, Kind, Link, Put, Store};
use crate::output::footer;

/// Keys of a page.
const PAGE: usize = 5000;

/// A folder. A file is written under a hidden name that no reader's pattern matches, and gets its own by a
/// hard link, which fails if there is one: the file system's conditional write.
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    /// The lake in this folder, which is made when the first file is put.
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    fn path(&self, key: &str) -> PathBuf {
        self.root.join(key)
    }

    /// Makes a folder and those above it, and lets each survive a loss of power.
    fn make(&self, folder: &Path) -> io::Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            self.make(parent)?;
            if let Err(error) = fs::create_dir(folder)
                && error.kind() != ErrorKind::AlreadyExists
            {
                return Err(error);
            }
            return File::open(parent)?.sync_all();
        }
        fs::create_dir_all(folder)
    }

    fn write(&self, path: &Path, body: &[u8]) -> io::Result<Put> {
        let folder = path.parent().unwrap_or(&self.root);
        self.make(folder)?;
        let hidden = Hidden::create(path)?;
        let mut file = &hidden.file;
        file.write_all(body)?;
        file.sync_all()?;
        match fs::hard_link(&hidden.path, path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(Put::Taken),
            Err(error) => return Err(error),
        }
        File::open(folder)?.sync_all()?;
        Ok(Put::Stored)
    }

    /// Adds the first keys of a folder that come after `after`; one more than a page says that there are more.
    fn collect(&self, folder: &str, after: &str, keys: &mut BTreeSet<String>) -> io::Result<()> {
        let entries = match fs::read_dir(self.path(folder)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        let mut names = BTreeSet::new();
        for entry in entries {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if !name.starts_with('.') {
                let slash = if entry.file_type()?.is_dir() { "/" } else { "" };
                names.insert(format!("{folder}{name}{slash}"));
            }
        }
        for name in names {
            if keys.len() > PAGE {
                break;
            }
            // A folder may hold later keys although its own name is not later.
            if name.ends_with('/') && (name.as_str() > after || after.starts_with(&name)) {
                self.collect(&name, after, keys)?;
            } else if !name.ends_with('/') && name.as_str() > after {
                keys.insert(name);
            }
        }
        Ok(())
    }

    fn failure(&self, key: &str, error: &io::Error) -> Failure {
        let refused = matches!(
            error.kind(),
            ErrorKind::PermissionDenied
                | ErrorKind::ReadOnlyFilesystem
                | ErrorKind::NotADirectory
                | ErrorKind::Unsupported
        );
        let kind = if refused { Kind::Refused } else { Kind::Disk };
        Failure { kind, what: format!("{}: {error}", self.path(key).display()) }
    }
}

impl Store for Folder {
    fn put(&self, key: &str, body: &[u8], _: &Link) -> Result<Put, Failure> {
        self.write(&self.path(key), body).map_err(|error| self.failure(key, &error))
    }

    fn head(&self, key: &str) -> Result<Head, Failure> {
        let file = match File::open(self.path(key)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Head::Absent),
            file => file.map_err(|error| self.failure(key, &error))?,
        };
        let bytes = file.metadata().map_err(|error| self.failure(key, &error))?.len();
        // A file without a footer is none of ours: ours are whole before they have their names.
        let link = footer(&file).ok().and_then(|pairs| Link::read_footer(&pairs));
        Ok(Head::File { link, bytes })
    }

    fn list(&self, prefix: &str, after: &str) -> Result<(Vec<String>, bool), Failure> {
        let mut keys = BTreeSet::new();
        self.collect(prefix, after, &mut keys).map_err(|error| self.failure(prefix, &error))?;
        let more = keys.len() > PAGE;
        Ok((keys.into_iter().take(PAGE).collect(), more))
    }
}

/// A file without its name. Dropped, the hidden name goes; after a crash it stays, and can be deleted.
struct Hidden {
    path: PathBuf,
    file: File,
}

impl Hidden {
    fn create(target: &Path) -> io::Result<Self> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        // Another process may be writing the same file.
        for number in 0_u32.. {
            let path = target.with_file_name(format!(".{name}.{number}.tmp"));
            match File::options().write(true).create_new(true).open(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                file => return Ok(Self { path, file: file? }),
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // It is hidden, so that leaving it costs space and no more.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::encode::tests::{file_of, log};

    fn keys(folder: &Folder, after: &str) -> Vec<String> {
        folder.list("ntp/", after).unwrap().0
    }

    #[test]
    fn the_first_put_of_a_key_wins_and_tells_of_itself() {
        let home = tempfile::tempdir().unwrap();
        let folder = Folder::new(home.path().join("a/b"));
        let (body, link) = file_of(&log(), 5..8);
        let (other, other_link) = file_of(&log(), 5..20);
        let key = "ntp/landed_date=2026-11-23/landed_hour=14/weir-ntp+0+00000000000000000005.parquet";
        assert_eq!(folder.head(key).unwrap(), Head::Absent);
        assert_eq!(folder.put(key, &body, &link).unwrap(), Put::Stored);
        assert_eq!(folder.put(key, &other, &other_link).unwrap(), Put::Taken);
        assert_eq!(folder.head(key).unwrap(), Head::File { link: Some(link), bytes: body.len() as u64 });
        let beside: Vec<_> = fs::read_dir(folder.path(key).parent().unwrap()).unwrap().collect();
        assert_eq!(beside.len(), 1, "no hidden file is left");
    }

    #[test]
    fn a_file_of_another_program_is_seen_and_has_no_link() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("ntp")).unwrap();
        fs::write(home.path().join("ntp/x.parquet"), b"PAR1 no").unwrap();
        let folder = Folder::new(home.path().to_owned());
        assert_eq!(folder.head("ntp/x.parquet").unwrap(), Head::File { link: None, bytes: 7 });
    }

    #[test]
    fn keys_are_listed_in_order_behind_a_key_without_hidden_files() {
        let home = tempfile::tempdir().unwrap();
        for key in ["ntp/h=02/b", "ntp/h=02/a", "ntp/h=03/c", "ntp/h=01/d", "ntp/h=03/.c.0.tmp", "other/h=09/e"] {
            fs::create_dir_all(home.path().join(key).parent().unwrap()).unwrap();
            fs::write(home.path().join(key), b"").unwrap();
        }
        let folder = Folder::new(home.path().to_owned());
        assert_eq!(keys(&folder, ""), ["ntp/h=01/d", "ntp/h=02/a", "ntp/h=02/b", "ntp/h=03/c"]);
        assert_eq!(keys(&folder, "ntp/h=02/"), ["ntp/h=02/a", "ntp/h=02/b", "ntp/h=03/c"]);
        assert_eq!(keys(&folder, "ntp/h=02/a"), ["ntp/h=02/b", "ntp/h=03/c"]);
        assert_eq!(folder.list("dns/", "").unwrap(), (Vec::new(), false));
    }

    #[test]
    fn a_folder_that_may_not_be_written_to_is_a_refusal() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("lake"), b"a file").unwrap();
        let folder = Folder::new(home.path().join("lake"));
        let (body, link) = file_of(&log(), 0..1);
        assert_eq!(folder.put("ntp/x", &body, &link).unwrap_err().kind, Kind::Refused);
    }
}
