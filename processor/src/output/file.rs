//! Files that have a hidden name until they are whole.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Seek, SeekFrom, Stdout, Write},
    path::PathBuf,
};

/// A file under construction. Dropped, it is removed.
pub struct TempFile {
    file: File,
    /// `.dns.parquet.tmp`, which no reader's pattern matches.
    hidden: PathBuf,
    path: PathBuf,
    kept: bool,
}

impl TempFile {
    /// Makes a file that will have the name `path`, in place of an older one.
    pub fn create(path: PathBuf) -> io::Result<Self> {
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(".tmp");
        let hidden = path.with_file_name(name);
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&hidden)?;
        Ok(Self { file, hidden, path, kept: false })
    }

    /// A handle that writes at the file's position.
    pub fn handle(&self) -> io::Result<Handle> {
        self.file.try_clone().map(Handle::File)
    }

    /// Where the next byte goes.
    pub fn position(&self) -> u64 {
        (&self.file).stream_position().unwrap_or_default()
    }

    /// Drops everything behind `position`, and goes on there.
    pub fn cut(&mut self, position: u64) -> io::Result<&mut File> {
        self.file.set_len(position)?;
        self.file.seek(SeekFrom::Start(position))?;
        Ok(&mut self.file)
    }

    /// Bytes in the file.
    pub fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Gives the file its name; says which, and how large the file is.
    pub fn keep(mut self) -> io::Result<(PathBuf, u64)> {
        let bytes = self.length()?;
        fs::rename(&self.hidden, &self.path)?;
        self.kept = true;
        Ok((self.path.clone(), bytes))
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if !self.kept {
            // Nothing is lost if it stays: its name is hidden, and the next run overwrites it.
            let _ = fs::remove_file(&self.hidden);
        }
    }
}

/// Where encoded bytes go.
pub enum Handle {
    File(File),
    Stdout(Stdout),
    /// A disk that is full after so many bytes.
    #[cfg(test)]
    Small(File, usize),
}

impl Handle {
    /// Standard output.
    pub fn stdout() -> Self {
        Self::Stdout(io::stdout())
    }

    /// Whether this is standard output, which other types may write to as well.
    pub fn is_stdout(&self) -> bool {
        matches!(self, Self::Stdout(_))
    }
}

impl Write for Handle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Stdout(stdout) => stdout.write(bytes),
            #[cfg(test)]
            Self::Small(_, 0) => Err(io::ErrorKind::StorageFull.into()),
            #[cfg(test)]
            Self::Small(file, left) => {
                let written = file.write(bytes.get(..*left).unwrap_or(bytes))?;
                *left -= written;
                Ok(written)
            }
        }
    }

    /// Types that share standard output write whole lines at once, which its lock keeps together.
    fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        if let Self::Stdout(stdout) = self {
            return stdout.write_all(bytes);
        }
        while !bytes.is_empty() {
            match self.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::Stdout(stdout) => stdout.flush(),
            #[cfg(test)]
            Self::Small(file, _) => file.flush(),
        }
    }
}
