//! Programs that a test runs, stops, pauses and kills, and the folders and ports it gives them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, kill_process_group};

pub use rustix::process::Signal;

use crate::watchdog;

/// A program that a test runs, with all that it writes in a file. Killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
    /// CPU time it had used when its end was looked for last.
    used: Duration,
}

impl Process {
    /// Runs a command; what it writes is added to the file `log`.
    ///
    /// # Panics
    ///
    /// Where it can't be run.
    #[must_use]
    pub fn start(mut command: Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).unwrap();
        let name = Path::new(command.get_program()).file_name().unwrap().to_string_lossy().into_owned();
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            // A group of its own, for signals to reach what it starts too.
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("can't run {}: {error}", command.get_program().display()));
        watchdog::tell("kill", &child.id().to_string());
        Self { name, child, log: log.to_owned(), ended: None, used: Duration::ZERO }
    }

    /// The process's number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, unless the process is gone.
    pub fn signal(&mut self, signal: Signal) {
        if self.status().is_none() {
            let group = Pid::from_child(&self.child);
            kill_process_group(group, signal).unwrap();
        }
    }

    /// Kills it without giving it a chance to do anything (SIGKILL), and waits until it is gone.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.end_within(Duration::from_secs(30));
    }

    /// Stops it in its tracks (SIGSTOP).
    pub fn pause(&mut self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&mut self) {
        self.signal(Signal::CONT);
    }

    /// Asks it to stop (SIGTERM), and waits for that.
    ///
    /// # Panics
    ///
    /// Where it is still there after that time; with what it wrote.
    pub fn stop_within(&mut self, limit: Duration) -> ExitStatus {
        self.signal(Signal::TERM);
        self.end_within(limit)
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    ///
    /// Where it is still there after that time; with what it wrote.
    pub fn end_within(&mut self, limit: Duration) -> ExitStatus {
        if !wait_until(limit, || self.status().is_some()) {
            panic!("{} is still there after {limit:?}. It wrote:\n{}", self.name, self.last_words());
        }
        self.ended.unwrap()
    }

    /// How it ended, if it did.
    pub fn status(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            // It is there until it was waited for.
            self.used = cpu_time(&self.child.id().to_string()).unwrap_or(self.used);
            self.ended = self.child.try_wait().unwrap();
            if self.ended.is_some() {
                // Before its number may be another's.
                watchdog::tell("spare", &self.child.id().to_string());
            }
        }
        self.ended
    }

    /// All it wrote so far, and what others wrote before it to the same file.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap()).into_owned()
    }

    /// Waits until it has written some text.
    ///
    /// # Panics
    ///
    /// Where it ends without, or doesn't write that in time; with what it wrote.
    pub fn write_within(&mut self, limit: Duration, text: &str) {
        let written = wait_until(limit, || self.log().contains(text) || self.status().is_some());
        if !written || !self.log().contains(text) {
            let ended = self.ended.map_or("it still runs".to_owned(), |status| status.to_string());
            panic!("{} doesn't write `{text}` ({ended}). It wrote:\n{}", self.name, self.last_words());
        }
    }

    /// CPU time used so far by all its threads, in user and system mode; in all its life, once it has ended.
    ///
    /// # Panics
    ///
    /// Where the system doesn't tell.
    pub fn cpu_time(&self) -> Duration {
        if self.ended.is_some() { self.used } else { cpu_time(&self.id().to_string()).unwrap() }
    }

    /// The most memory that it has had, in bytes (resident set size).
    ///
    /// # Panics
    ///
    /// Where it has ended.
    pub fn memory_peak_bytes(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// Memory that it has at present, in bytes (resident set size).
    ///
    /// # Panics
    ///
    /// Where it has ended.
    pub fn memory_bytes(&self) -> u64 {
        self.memory("VmRSS:")
    }

    fn memory(&self, what: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
        1024 * line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap()
    }

    /// The last lines of what it wrote.
    fn last_words(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines.get(lines.len().saturating_sub(50)..).unwrap_or_default().join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.status().is_none() {
            // A panic here, while another is on its way, would hide that one.
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
            let _ = self.child.wait();
            self.status();
        }
    }
}

/// CPU time that this process itself has used, all its threads together.
///
/// # Panics
///
/// Where the system doesn't tell.
pub fn own_cpu_time() -> Duration {
    cpu_time("self").unwrap()
}

/// None of a process that is gone.
fn cpu_time(process: &str) -> Option<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // Behind the name, which may have blanks: proc_pid_stat(5), fields 14 and 15, in ticks of 10 ms.
    let fields = stat.rsplit_once(')')?.1.split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
    Some(Duration::from_millis(10 * ticks))
}

/// Asks again and again until something is so, for a time; says whether it came to be so.
pub fn wait_until(limit: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while !is_so() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

/// Asks again and again how much is left of something, as long as that changes: nothing is too late on a machine that
/// is busy, and what stands still is found. Says whether nothing is left.
pub fn wait_while_it_moves(limit: Duration, mut left: impl FnMut() -> usize) -> bool {
    let mut before = left();
    let mut deadline = Instant::now() + limit;
    while before > 0 {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
        let now = left();
        if now != before {
            deadline = Instant::now() + limit;
        }
        before = now;
    }
    true
}

/// A folder that is removed when dropped.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes a folder, empty, with a name that tells what for.
    ///
    /// # Panics
    ///
    /// Where it can't be made.
    #[must_use]
    pub fn new(name: &str) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("weir-test-{}-{number}-{name}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        watchdog::tell("remove", path.to_str().unwrap());
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A TCP port on which nobody listens, below those that the system gives to outgoing connections: none of them
/// takes it before a server does, nor while that server restarts.
///
/// # Panics
///
/// Where all are taken.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Test processes run side by side: each begins elsewhere.
    let start = std::process::id().wrapping_mul(97);
    for _ in 0..20_000 {
        let offset = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        let port = 12_000 + u16::try_from(offset).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("all ports from 12000 to 31999 are taken");
}

/// The path of a binary of this workspace, as old as the test itself or newer than all it is made of: built
/// otherwise.
///
/// # Panics
///
/// Where it can't be built.
pub fn binary(name: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    // target/debug/deps/TEST, or target/debug/examples/EXAMPLE.
    let profile = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned();
    let path = profile.join(name);
    if !is_fresh(&path) {
        BUILT.get_or_init(|| {
            let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
            cargo.args(["build", "--workspace", "--bins", "--locked"]).current_dir(env!("CARGO_MANIFEST_DIR"));
            if profile.file_name().is_some_and(|name| name == "release") {
                cargo.arg("--release");
            }
            assert!(cargo.status().unwrap().success(), "building {name} failed");
        });
    }
    assert!(path.is_file(), "there is no {}", path.display());
    path
}

/// Whether a binary is newer than the sources it was made of, which cargo lists beside it.
fn is_fresh(binary: &Path) -> bool {
    let modified = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    let (Some(built), Ok(sources)) = (modified(binary), std::fs::read_to_string(binary.with_extension("d"))) else {
        return false;
    };
    let sources = sources.split_once(':').map_or("", |(_, sources)| sources);
    sources.split_whitespace().all(|source| modified(Path::new(source)).is_some_and(|time| time <= built))
}
