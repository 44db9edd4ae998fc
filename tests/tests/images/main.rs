//! The programs under the conditions of their images: nothing around them, a root that can't be written to, the image's
//! user, one capability or none, and no way to get more.
//!
//! `ROOT_OF_AGENT` and `ROOT_OF_WEIR` in the environment are the root folders of images to be tried (`make images`). Without, they
//! are empty folders with the program and the libraries that it is linked with.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use std::net::UdpSocket;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use weir_tests::cache::run;
use weir_tests::http::{get, metric};
use weir_tests::kafka::Kafka;
use weir_tests::namespace::{in_namespace, ip};
use weir_tests::process::{Process, Scratch, binary, free_port, wait_until};

const LIMIT: Duration = Duration::from_secs(30);

/// Another one for each datagram that a test sends.
const DATAGRAMS: u16 = 500;

/// Its bit in `/proc/PID/status` (capability.h).
const CAP_NET_RAW: u64 = 1 << 13;

/// What a container lets its program be.
struct Conditions {
    user: u32,
    /// The capabilities that it may have at most; none is ambient or inheritable.
    capabilities: &'static [&'static str],
    /// Whether the program's file can give it one.
    may_rise: bool,
}

/// The agent, by default.
const ROOT: Conditions = Conditions { user: 0, capabilities: &["cap_net_raw"], may_rise: false };
/// The agent, where it must not be root.
const NOBODY: Conditions = Conditions { user: 65534, capabilities: &["cap_net_raw"], may_rise: true };
/// All else.
const USER: Conditions = Conditions { user: 65532, capabilities: &[], may_rise: false };

/// A root for a program, and what is done to it before the program is run there.
struct Root {
    folder: PathBuf,
    program: &'static str,
    /// Folders of this machine, where they are in there, and how they are mounted.
    mounts: Vec<(PathBuf, &'static str, &'static str)>,
    _scratch: Scratch,
}

impl Root {
    /// A copy of the root of a program's image, or one as empty.
    fn of(program: &'static str, image: &str) -> Self {
        let scratch = Scratch::new("root");
        let folder = scratch.path().to_owned();
        if let Some(image) = std::env::var_os(image).map(PathBuf::from) {
            run(Command::new("cp").arg("-a").arg(image.join(".")).arg(&folder));
        } else {
            let binary = binary(program);
            copy_into(&folder, &binary, Path::new("/").join(program).as_path());
            for library in libraries(&binary) {
                copy_into(&folder, &library, &library);
            }
        }
        Self { folder, program, mounts: Vec::new(), _scratch: scratch }
    }

    /// With a capability that the program's file has.
    fn with_capability(self, capability: &str) -> Self {
        run(Command::new("setcap").arg(capability).arg(self.folder.join(self.program)));
        self
    }

    /// With a file in it.
    fn with_file(self, path: &str, text: &str) -> Self {
        let path = self.folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    /// With a folder of this machine in it.
    fn with(mut self, from: &Path, to: &'static str, options: &'static str) -> Self {
        std::fs::create_dir_all(self.folder.join(to)).unwrap();
        self.mounts.push((from.to_owned(), to, options));
        self
    }

    /// The program as a container runs it, with a root that is read-only but for the mounts.
    fn command(&self, conditions: &Conditions, arguments: &[&str]) -> Command {
        let Conditions { user, capabilities, may_rise } = conditions;
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
        if *user != 0 {
            command.args([format!("--gid={user}"), format!("--uid={user}")]);
        }
        if !may_rise {
            command.arg("--no-new-privs");
        }
        command.args([&format!("--shell=/{}", self.program), "--"]).args(arguments);
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

/// An agent that captures on `wb`.
struct Agent {
    process: Process,
    port: u16,
    spool: Scratch,
    _root: Root,
}

impl Agent {
    fn start(root: Root, conditions: &Conditions, brokers: &str, logs: &Path) -> Self {
        let spool = Scratch::new("spool");
        std::os::unix::fs::chown(spool.path(), Some(conditions.user), None).unwrap();
        let root = root.with(spool.path(), "var/lib/weir-agent", "rw,nosuid,nodev,noexec");
        let root = root.with(Path::new("/proc"), "proc", "ro");
        let port = free_port();
        let (sensor, listen) = (conditions.user.to_string(), format!("127.0.0.1:{port}"));
        let mut arguments = vec!["capture", "--interface", "wb", "--sensor", &sensor, "--brokers", brokers];
        arguments.extend(["--listen", &listen, "--spool-folder", "/var/lib/weir-agent"]);
        let log = logs.join(format!("{sensor}.log"));
        let mut process = Process::start(root.command(conditions, &arguments), &log);
        let is_ready = || get(port, "/readyz").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"));
        let begun = wait_until(LIMIT, || is_ready() || process.status().is_some());
        assert!(begun && process.status().is_none(), "the agent doesn't begin:\n{}", process.log());
        Self { process, port, spool, _root: root }
    }

    fn captured(&self) -> f64 {
        metric(self.port, "weir_agent_capture_packets_total", "wb").unwrap_or_default()
    }
}

#[test]
fn the_agent_captures_spools_and_stops_with_one_capability_and_a_root_that_is_read_only() {
    in_namespace("the_agent_captures_spools_and_stops_with_one_capability_and_a_root_that_is_read_only", || {
        assert!(ip("link set lo up") && ip("address add 192.0.2.1/24 dev wa"));
        assert!(ip("neighbour add 192.0.2.2 lladdr 02:00:00:00:00:02 dev wa"));
        let mut kafka = Kafka::start();
        let mut topics = Command::new(binary("weir"));
        topics.args(["topics", "create", "--replication", "1", "--partitions", "4", "--records", "dns", "--brokers"]);
        run(topics.arg(kafka.bootstrap()));
        let logs = Scratch::new("logs");
        let root = || Root::of("weir-agent", "ROOT_OF_AGENT");
        let agents = [(ROOT, root()), (NOBODY, root().with_capability("cap_net_raw+ep"))].map(|(conditions, root)| {
            let agent = Agent::start(root, &conditions, &kafka.bootstrap(), logs.path());
            (conditions, agent)
        });
        // From now on what is captured stays here.
        kafka.kill();

        let socket = UdpSocket::bind("192.0.2.1:0").unwrap();
        for number in 0..DATAGRAMS {
            socket.send_to(&[0; 1000], ("192.0.2.2", 1000 + number)).unwrap();
        }
        for (conditions, mut agent) in agents {
            let all = wait_until(LIMIT, || agent.captured() >= f64::from(DATAGRAMS));
            assert!(all, "{} captured:\n{}", agent.captured(), agent.process.log());
            // All privileges are given up once the interface is open.
            let told = ["Uid", "CapEff", "CapPrm", "CapInh", "CapAmb", "NoNewPrivs"];
            let privileges = told.map(|name| status(agent.process.id(), name));
            let none = "0000000000000000";
            assert_eq!(privileges, [&conditions.user.to_string(), none, none, none, none, "1"]);
            // That takes CAP_SETPCAP of the bounding set, of which nothing can come any more.
            let bounding = u64::from_str_radix(&status(agent.process.id(), "CapBnd"), 16).unwrap();
            assert_eq!(bounding & !CAP_NET_RAW, 0);

            let ended = agent.process.stop_within(LIMIT);
            assert!(ended.success(), "all packets are kept for the next run:\n{}", agent.process.log());
            assert!(bytes_in(agent.spool.path()) > 1000 * u64::from(DATAGRAMS) / 2, "packets are in the spool");
            let file = std::fs::read_dir(agent.spool.path()).unwrap().next().unwrap().unwrap();
            assert_eq!(file.metadata().unwrap().uid(), conditions.user);
        }
    });
}

#[test]
fn weir_decodes_as_a_user_without_any_capability() {
    in_namespace("weir_decodes_as_a_user_without_any_capability", || {
        let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
        let root = Root::of("weir", "ROOT_OF_WEIR").with(&captures, "captures", "ro");
        let weir = |arguments: &[&str]| root.command(&USER, arguments).output().unwrap();
        let decoded = weir(&["decode", "/captures/office.pcapng", "--records", "dns", "--out", "-"]);
        assert!(decoded.status.success(), "{decoded:?}");
        assert_eq!(String::from_utf8(decoded.stdout).unwrap().lines().count(), 359);
        // The root is read-only, and says so in words.
        let refused = weir(&["decode", "/captures/dns-odd.pcap", "--out", "/records"]);
        let words = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success() && words.contains("Read-only file system"), "{words}");
    });
}

/// Answers questions for addresses: 127.0.0.1 is that of one name, and others are not known.
fn serve_names(socket: &UdpSocket, known: &[u8]) {
    let mut buffer = [0; 512];
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        // A header, labels, and four bytes of type and class (RFC 1035 §4.1); resolvers add options behind.
        let end = 12 + buffer[12..length].iter().position(|&byte| byte == 0).unwrap() + 5;
        let is_known = buffer[12..end - 4] == *known;
        let is_ipv4 = buffer[end - 4..end - 2] == [0, 1];
        let [answers, code] = if is_known { [u8::from(is_ipv4), 0] } else { [0, 3] };
        let mut answer = [&buffer[..2], &[0x81, 0x80 | code, 0, 1, 0, answers, 0, 0, 0, 0], &buffer[12..end]].concat();
        if answers > 0 {
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
        }
        socket.send_to(&answer, from).unwrap();
    }
}

/// Adds a plugin for names that crashes the program which loads it, as that of a system with another C library may.
fn add_plugin(root: &Path) {
    let folder = root.join(format!("lib/{}-linux-gnu", std::env::consts::ARCH));
    std::fs::create_dir_all(&folder).unwrap();
    let source = folder.join("plugin.c");
    std::fs::write(&source, "__attribute__((constructor)) void crash(void) { __builtin_trap(); }").unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-nostdlib", "-o"]).arg(folder.join("libnss_resolve.so.2"));
    run(compiler.arg(&source));
}

#[test]
fn brokers_are_found_by_name_as_in_a_pod() {
    in_namespace("brokers_are_found_by_name_as_in_a_pod", || {
        // Who has no address but the loopback's gets none of others.
        assert!(ip("link set lo up") && ip("address add 192.0.2.1/24 dev wa"));
        let socket = UdpSocket::bind("127.0.0.1:53").unwrap();
        std::thread::spawn(move || serve_names(&socket, b"\x05kafka\x04data\x03svc\x04test\x00"));
        let kafka = Kafka::start();
        // Plugins for names are asked for, and none is needed.
        let root = Root::of("weir", "ROOT_OF_WEIR")
            .with_file("etc/resolv.conf", "nameserver 127.0.0.1\nsearch data.svc.test svc.test\noptions ndots:5\n")
            .with_file("etc/hosts", "127.0.0.1 broker\n")
            .with_file(
                "etc/nsswitch.conf",
                "hosts: resolve [!UNAVAIL=return] files mdns4_minimal [NOTFOUND=return] dns\n",
            );
        if std::env::var_os("ROOT_OF_WEIR").is_some() {
            add_plugin(&root.folder);
        }
        let port = kafka.bootstrap().rsplit_once(':').unwrap().1.to_owned();
        for name in ["kafka", "kafka.data", "kafka.data.svc.test", "broker"] {
            let brokers = format!("{name}:{port}");
            let arguments = ["topics", "create", "--replication", "1", "--partitions", "2", "--records", "dns"];
            let made = root.command(&USER, &[&arguments[..], &["--brokers", &brokers]].concat()).output().unwrap();
            assert!(made.status.success(), "{name}: {made:?}");
        }
        let arguments = ["topics", "create", "--brokers", &format!("nowhere:{port}")];
        let failed = root.command(&USER, &arguments).output().unwrap();
        let words = String::from_utf8(failed.stderr).unwrap();
        assert!(!failed.status.success() && words.contains("resolve"), "{words}");
    });
}
