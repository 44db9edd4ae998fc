//! Running the binary, and captures to run it on.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

/// A capture of the project's own.
pub fn capture(name: &str) -> PathBuf {
    captures().join(name)
}

/// The folder of the project's own captures.
pub fn captures() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/captures"))
}

/// The binary, with nothing in the environment that it would take for a setting.
pub fn weir() -> Command {
    Command::new(env!("CARGO_BIN_EXE_weir"))
}

/// What a run of it left.
pub struct Run {
    /// Exit status; none if a signal ended it.
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Run {
    pub fn of(command: &mut Command) -> Self {
        command.output().unwrap().into()
    }

    /// Lines of JSON.
    pub fn json(&self) -> Vec<Value> {
        self.stdout_text().lines().map(|line| serde_json::from_str(line).expect("a line is whole")).collect()
    }

    pub fn stdout_text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// The packets that the closing table counts; none where there is no table.
    pub fn packets(&self) -> Option<usize> {
        let line = self.stderr.lines().find(|line| line.contains(" packets/s, "))?;
        line.split(' ').next().unwrap().replace(',', "").parse().ok()
    }

    /// Checks the exit status, and that messages have these parts.
    #[track_caller]
    pub fn assert(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        for part in parts {
            assert!(self.stderr.contains(part), "lacks {part:?}: {}", self.stderr);
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Self { code: output.status.code(), stdout: output.stdout, stderr }
    }
}

/// `weir decode` with these arguments.
pub fn decode<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Run {
    Run::of(weir().arg("decode").args(arguments))
}

/// Files of a folder by name.
pub fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

/// A folder that every user may read, gone with the test.
pub fn open_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// Whether tests may make namespaces and mounts, and become other users.
pub fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.split_whitespace().eq(["Uid:", "0", "0", "0", "0"]))
}

/// Whether a program is there.
pub fn has(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(program).is_file())
}

/// Says plainly why a test did nothing.
pub fn skip(why: &str) {
    eprintln!("skipped: {why}");
}

/// A pcap file in parts: its header, and each packet with its own.
pub struct Pcap {
    pub header: Vec<u8>,
    pub packets: Vec<Vec<u8>>,
}

impl Pcap {
    /// Takes one of the project's captures apart; it is little endian.
    pub fn read(name: &str) -> Self {
        let bytes = fs::read(capture(name)).unwrap();
        let (header, mut rest) = bytes.split_at(24);
        let mut packets = Vec::new();
        while !rest.is_empty() {
            let length = u32::from_le_bytes(rest[8..12].try_into().unwrap());
            let (packet, after) = rest.split_at(16 + usize::try_from(length).unwrap());
            packets.push(packet.to_vec());
            rest = after;
        }
        Self { header: header.to_vec(), packets }
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.with(&self.packets)
    }

    /// A capture of these packets instead.
    pub fn with<'a>(&'a self, packets: impl IntoIterator<Item = &'a Vec<u8>>) -> Vec<u8> {
        std::iter::once(&self.header).chain(packets).flatten().copied().collect()
    }
}

/// Records as sorted lines of JSON, without what identifies the capture's file.
pub fn without_epoch(records: &[Value]) -> Vec<String> {
    let mut lines: Vec<_> = records
        .iter()
        .filter(|record| record["record"] != "capture_stats")
        .map(|record| {
            let mut record = record.clone();
            record.as_object_mut().unwrap().retain(|name, _| !matches!(name.as_str(), "epoch" | "uid"));
            record.to_string()
        })
        .collect();
    lines.sort();
    lines
}
