//! The programs under the conditions of their images: nothing around them, a root that can't be written to, the image's
//! user, one capability or none, and no way to get more.
//!
//! `AGENT_ROOT` and `WEIR_ROOT` in the environment are the root folders of images to be tried (`make images`). Without, they
//! are empty folders with the program and the libraries that it is linked with.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use std::net::UdpSocket;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use weir_tests::http::{get, metric};
use weir_tests::kafka::Kafka;
use weir_tests::namespace::{in_namespace, ip};
use weir_tests::process::{Process, Scratch, binary, free_port, wait_until};

const LIMIT: Duration = Duration::from_secs(30);

/// Another one for each datagram that a test sends.
const DATAGRAMS: u16 = 500;

/// A root for a program, and what is done to it before the program is run there.
struct Root {
    folder: PathBuf,
    program: &'static str,
    /// Folders of this machine, where they are in there, and how they are mounted.
    mounts: Vec<(PathBuf, &'static str, &'static str)>,
    _scratch: Option<Scratch>,
}

impl Root {
    /// The root of a program's image, or one as empty.
    fn of(program: &'static str, image: &str) -> Self {
        let given = std::env::var_os(image).map(PathBuf::from);
        let scratch = given.is_none().then(|| Scratch::new("root"));
        let folder = given.unwrap_or_else(|| scratch.as_ref().unwrap().path().to_owned());
        if scratch.is_some() {
            let binary = binary(program);
            copy_into(&folder, &binary, Path::new("/").join(program).as_path());
            for library in libraries(&binary) {
                copy_into(&folder, &library, &library);
            }
        }
        Self { folder, program, mounts: Vec::new(), _scratch: scratch }
    }

    /// With a folder of this machine in it.
    fn with(mut self, from: &Path, to: &'static str, options: &'static str) -> Self {
        std::fs::create_dir_all(self.folder.join(to)).unwrap();
        self.mounts.push((from.to_owned(), to, options));
        self
    }

    /// The program as a container runs it: read-only root, own mounts, this user, these capabilities at most, none of
    /// them ambient or inheritable, no new privileges.
    fn command(&self, user: u32, capabilities: &[&str], arguments: &[&str]) -> Command {
        let root = self.folder.display().to_string();
        let mut script = format!("set -e; mount --bind {root} {root}; mount -o remount,bind,ro {root}");
        for (from, to, options) in &self.mounts {
            script += &format!("; mount --bind {} {root}/{to}", from.display());
            script += &format!("; mount -o remount,bind,{options} {root}/{to}");
        }
        script += "; exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh", "capsh"]);
        command.arg(format!("--chroot={root}"));
        command.arg(format!("--drop={}", all_but(capabilities)));
        command.args(["--inh=", "--noamb"]);
        if user != 0 {
            command.args([format!("--gid={user}"), format!("--uid={user}")]);
        }
        command.args(["--no-new-privs", &format!("--shell=/{}", self.program), "--"]).args(arguments);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command
    }
}

/// The names of all capabilities that this kernel has, but for some.
fn all_but(capabilities: &[&str]) -> String {
    let output = Command::new("capsh").arg("--print").output().expect("`make test` installs capsh");
    let text = String::from_utf8(output.stdout).unwrap();
    let all = text.lines().find_map(|line| line.strip_prefix("Bounding set =")).unwrap();
    all.split(',').filter(|name| !capabilities.contains(name)).collect::<Vec<_>>().join(",")
}

/// The libraries that a program is linked with.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(program).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

fn copy_into(root: &Path, from: &Path, to: &Path) {
    let to = root.join(to.strip_prefix("/").unwrap());
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::copy(from, to).unwrap();
}

/// A line of `/proc/PID/status`.
fn status(process: u32, name: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.split_whitespace().next().unwrap().to_owned()
}

/// Bytes of the files in a folder and those below it.
fn bytes_in(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| if entry.path().is_dir() { bytes_in(&entry.path()) } else { entry.metadata().unwrap().len() })
        .sum()
}

#[test]
fn the_agent_captures_spools_and_stops_with_one_capability_and_a_root_that_is_read_only() {
    in_namespace("the_agent_captures_spools_and_stops_with_one_capability_and_a_root_that_is_read_only", || {
        assert!(ip("link set lo up") && ip("address add 192.0.2.1/24 dev wa"));
        assert!(ip("neighbour add 192.0.2.2 lladdr 02:00:00:00:00:02 dev wa"));
        let spool = Scratch::new("spool");
        let logs = Scratch::new("logs");
        let root =
            Root::of("weir-agent", "AGENT_ROOT").with(spool.path(), "var/lib/weir-agent", "rw,nosuid,nodev,noexec");
        let root = root.with(Path::new("/proc"), "proc", "ro");
        let mut kafka = Kafka::start();
        let mut topics = Command::new(binary("weir"));
        topics.args(["topics", "create", "--replication", "1", "--partitions", "4", "--records", "dns", "--brokers"]);
        assert!(topics.arg(kafka.bootstrap()).status().unwrap().success());
        let port = free_port();
        let (brokers, listen) = (kafka.bootstrap(), format!("127.0.0.1:{port}"));
        let mut arguments = vec!["capture", "--interface", "wb", "--sensor", "edge", "--brokers", &brokers];
        arguments.extend(["--listen", &listen, "--spool-folder", "/var/lib/weir-agent"]);
        let mut agent = Process::start(root.command(0, &["cap_net_raw"], &arguments), &logs.path().join("agent.log"));
        let captured = || metric(port, "weir_agent_capture_packets_total", "wb").unwrap_or_default();
        let is_ready = || get(port, "/readyz").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"));
        let begun = wait_until(LIMIT, || is_ready() || agent.status().is_some());
        assert!(begun && agent.status().is_none(), "the agent doesn't begin:\n{}", agent.log());
        // From now on what is captured stays here.
        kafka.kill();

        let socket = UdpSocket::bind("192.0.2.1:0").unwrap();
        for number in 0..DATAGRAMS {
            socket.send_to(&[0; 1000], ("192.0.2.2", 1000 + number)).unwrap();
        }
        assert!(wait_until(LIMIT, || captured() >= f64::from(DATAGRAMS)), "{} captured:\n{}", captured(), agent.log());
        let id = agent.id();
        let mut privileges =
            ["Uid", "CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd", "NoNewPrivs"].map(|name| status(id, name));
        // All are given up once the interface is open; the bounding set can't be changed without CAP_SETPCAP.
        assert_eq!(u64::from_str_radix(&std::mem::take(&mut privileges[5]), 16).unwrap() & !(1 << 13), 0);
        let none = "0000000000000000";
        assert_eq!(privileges, ["0", none, none, none, none, "", "1"]);

        assert!(agent.stop_within(LIMIT).success(), "all packets are kept for the next run:\n{}", agent.log());
        assert!(bytes_in(spool.path()) > 1000 * u64::from(DATAGRAMS) / 2, "packets are in the spool");
        let entry = std::fs::read_dir(spool.path()).unwrap().next().unwrap().unwrap();
        assert_eq!(entry.metadata().unwrap().uid(), 0);
    });
}

#[test]
fn weir_decodes_as_a_user_without_any_capability() {
    in_namespace("weir_decodes_as_a_user_without_any_capability", || {
        let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
        let root = Root::of("weir", "WEIR_ROOT").with(&captures, "captures", "ro");
        let run = |arguments: &[&str]| -> Output { root.command(65532, &[], arguments).output().unwrap() };
        let decoded = run(&["decode", "/captures/office.pcapng", "--records", "dns", "--out", "-"]);
        assert!(decoded.status.success(), "{decoded:?}");
        assert_eq!(String::from_utf8(decoded.stdout).unwrap().lines().count(), 359);
        // The root is read-only, and says so in words.
        let refused = run(&["decode", "/captures/dns-odd.pcap", "--out", "/records"]);
        let words = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success() && words.contains("Read-only file system"), "{words}");
    });
}
