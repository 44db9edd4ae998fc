//! Capture files: pcap and pcapng, plain or compressed, from a path or the standard input.

mod compression;
mod input;
mod pcap;
mod pcapng;
mod reading;
mod stream;
mod time;

use crate::epoch::{self, Fingerprint};
use crate::error::{SourceError, SourceProblem};
use crate::source::{Damage, PacketInfo, Source, Step};
use compression::Compression;
use input::Input;
use reading::Reading;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::mem;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use stream::Stream;
pub(crate) use stream::was_stopped;
use weir_contract::Interface;

/// The longest packet there is: libpcap's and Wireshark's limit.
const MAX_PACKET_BYTES: usize = 262_144;

/// The longest pcapng block that is read: libpcap's limit.
const MAX_BLOCK_BYTES: usize = 16 << 20;

/// Interfaces of one file that are read.
const MAX_INTERFACES: usize = 65_536;

/// The path that means the standard input.
pub const STDIN: &str = "-";

/// An open capture file, at its first packet's doorstep.
pub struct CaptureFile {
    reader: Reader,
    fingerprint: Fingerprint,
    bytes_read: Arc<AtomicU64>,
}

enum Reader {
    Pcap(Box<pcap::PcapReader>),
    Pcapng(Box<pcapng::PcapngReader>),
}

impl CaptureFile {
    /// Opens a capture; [`STDIN`] reads the standard input.
    ///
    /// # Errors
    /// It can't be read, or isn't a capture. What is wrong beyond its header ends up in
    /// [`Source::take_damage`].
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        Self::open_until(path, &Arc::default())
    }

    /// Opens a capture; if it is a stream, such as the standard input, it ends once `stop` is set, even
    /// while there is nothing to read.
    ///
    /// # Errors
    /// As for [`CaptureFile::open`].
    pub fn open_until(path: &Path, stop: &Arc<AtomicBool>) -> Result<Self, SourceError> {
        let name = display_name(path);
        let failed = |error| SourceError { name: name.clone(), offset: None, problem: opening_problem(error) };
        if path == Path::new(STDIN) {
            let stdin = io::stdin().as_fd().try_clone_to_owned().map_err(failed)?;
            return Self::from_stream(&name, Stream::new(stdin.into(), stop));
        }
        let mut file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(SourceError { name, offset: None, problem: SourceProblem::Folder });
        }
        if !metadata.is_file() {
            return Self::from_stream(&name, Stream::new(file, stop));
        }
        let head = epoch::read_head(&mut file).map_err(failed)?;
        let fingerprint = Fingerprint::of_file(&file, metadata.len(), &head).map_err(failed)?;
        Self::new(name, head, file, fingerprint)
    }

    /// Reads a capture from any stream, under a name for its messages. Waits for its first 64 KiB,
    /// which identify it.
    ///
    /// # Errors
    /// As for [`CaptureFile::open`].
    pub fn from_stream(name: &str, mut stream: impl Read + Send + 'static) -> Result<Self, SourceError> {
        let name = name.to_owned();
        let failed = |error| SourceError { name: name.clone(), offset: None, problem: opening_problem(error) };
        let head = epoch::read_head(&mut stream).map_err(failed)?;
        let fingerprint = Fingerprint::of_stream(&head);
        Self::new(name, head, stream, fingerprint)
    }

    fn new(
        name: String,
        head: Vec<u8>,
        rest: impl Read + Send + 'static,
        fingerprint: Fingerprint,
    ) -> Result<Self, SourceError> {
        let compression = Compression::of(&head);
        let bytes_read = Arc::new(AtomicU64::new(0));
        let file = Counted { reader: Cursor::new(head).chain(rest), bytes: Arc::clone(&bytes_read) };
        let decoder = match compression.decoder(file) {
            Ok(decoder) => decoder,
            Err(error) => return Err(SourceError { name, offset: None, problem: SourceProblem::Io(error) }),
        };
        let reading =
            Reading { input: Input::new(decoder), name: name.clone(), compression, damage: Damage::default() };
        let reader = Reader::new(reading).map_err(|problem| SourceError { name, offset: None, problem })?;
        Ok(Self { reader, fingerprint, bytes_read })
    }

    /// What tells this capture from others.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

impl Reader {
    fn new(mut reading: Reading) -> Result<Self, SourceProblem> {
        let head = reading.input.peek(4);
        let Ok(magic) = <[u8; 4]>::try_from(head) else {
            let problem = if head.is_empty() { SourceProblem::Empty } else { not_a_capture(head) };
            return Err(reading.stream_problem().unwrap_or(problem));
        };
        if pcap::is_magic(magic) {
            return Ok(Self::Pcap(Box::new(pcap::PcapReader::new(reading)?)));
        }
        if pcapng::is_magic(magic) {
            return Ok(Self::Pcapng(Box::new(pcapng::PcapngReader::new(reading)?)));
        }
        if reading.compression != Compression::None && Compression::of(&magic) != Compression::None {
            return Err(SourceProblem::NestedCompression);
        }
        Err(not_a_capture(&magic))
    }
}

impl Source for CaptureFile {
    #[inline]
    fn advance(&mut self) -> Step {
        let packet = match &mut self.reader {
            Reader::Pcap(reader) => reader.advance(),
            Reader::Pcapng(reader) => reader.advance(),
        };
        if packet { Step::Packet } else { Step::End }
    }

    #[inline]
    fn info(&self) -> PacketInfo {
        match &self.reader {
            Reader::Pcap(reader) => reader.current.info(),
            Reader::Pcapng(reader) => reader.current.info(),
        }
    }

    #[inline]
    fn data(&self) -> &[u8] {
        match &self.reader {
            Reader::Pcap(reader) => reader.reading.input.bytes(reader.current.data.clone()),
            Reader::Pcapng(reader) => reader.reading.input.bytes(reader.current.data.clone()),
        }
    }

    fn interfaces(&self) -> &[Interface] {
        match &self.reader {
            Reader::Pcap(reader) => &reader.interfaces,
            Reader::Pcapng(reader) => &reader.interfaces,
        }
    }

    fn take_damage(&mut self) -> Damage {
        let reading = match &mut self.reader {
            Reader::Pcap(reader) => &mut reader.reading,
            Reader::Pcapng(reader) => &mut reader.reading,
        };
        mem::take(&mut reading.damage)
    }

    fn file_bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }
}

/// A file that counts what is read of it, below the decompressor that owns it.
struct Counted<R> {
    reader: R,
    bytes: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.bytes.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
        Ok(count)
    }
}

/// What a path is called in messages.
pub(crate) fn display_name(path: &Path) -> String {
    if path == Path::new(STDIN) { "standard input".to_owned() } else { path.display().to_string() }
}

/// Whether a file starts like a capture, compressed or not.
pub(crate) fn is_capture(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let mut head = Vec::new();
    (&mut file).take(4).read_to_end(&mut head)?;
    let compression = Compression::of(&head);
    let mut magic = [0; 4];
    let mut decoder = compression.decoder(Cursor::new(head).chain(file))?;
    match decoder.read_exact(&mut magic) {
        Ok(()) => Ok(pcap::is_magic(magic) || pcapng::is_magic(magic)),
        Err(error) if error.raw_os_error().is_some() => Err(error),
        Err(_) => Ok(false), // shorter, or no compressed file after all
    }
}

fn not_a_capture(head: &[u8]) -> SourceProblem {
    let bytes: Vec<_> = head.iter().map(|byte| format!("{byte:02x}")).collect();
    SourceProblem::NotACapture(bytes.join(" "))
}

fn opening_problem(error: io::Error) -> SourceProblem {
    match error.kind() {
        io::ErrorKind::NotFound => SourceProblem::Missing,
        io::ErrorKind::PermissionDenied => SourceProblem::Forbidden,
        io::ErrorKind::IsADirectory => SourceProblem::Folder,
        _ => SourceProblem::Io(error),
    }
}
