//! Programs that log in to the secured broker that all tests here share.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::Duration;

use weir_tests::kafka::{Kafka, Secured};
use weir_tests::process::{Process, Scratch, binary};

/// For what takes as long as the machine is busy.
pub const LIMIT: Duration = Duration::from_secs(120);

/// Types that the tests let through.
pub const RECORDS: &str = "connection,dns,capture_stats,capture_loss";

/// The broker of all tests here, which ends with the process.
pub fn kafka() -> &'static Kafka {
    static KAFKA: OnceLock<Kafka> = OnceLock::new();
    KAFKA.get_or_init(Kafka::start_secured)
}

pub fn secured() -> &'static Secured {
    kafka().secured()
}

/// How a program proves who runs it.
#[derive(Clone, Copy)]
pub enum Login<'a> {
    /// By the certificate of this name.
    Certificate(&'a str),
    /// By this name's password.
    Password(&'a str),
    /// By this name and a password that isn't its.
    WrongPassword(&'a str),
    /// By the token in this file.
    Token(&'a Path),
}

/// Topics with a prefix, and a folder for what programs write.
pub struct Site {
    pub prefix: &'static str,
    pub home: Scratch,
}

impl Site {
    pub fn new(prefix: &'static str) -> Self {
        Self { prefix, home: Scratch::new(prefix) }
    }

    /// A command of one of the programs, such as `weir tail`.
    pub fn command(&self, command: &str, login: Login<'_>) -> Command {
        let mut words = command.split(' ');
        let mut command = Command::new(binary(words.next().unwrap()));
        command.args(words).args(["--topic-prefix", self.prefix, "--tls", "--tls-ca"]);
        command.arg(secured().authority().certificate());
        match login {
            Login::Certificate(name) => {
                let identity = secured().authority().identity(name);
                command.args(["--brokers", &secured().mtls_bootstrap(), "--tls-certificate"]).arg(&identity);
                command.arg("--tls-key").arg(&identity);
            }
            Login::Password(name) | Login::WrongPassword(name) => {
                let is_right = matches!(login, Login::Password(_));
                let password = if is_right { format!("{name}-secret\n") } else { "not-the-secret\n".to_owned() };
                let file = self.home.path().join(format!("{name}.password"));
                std::fs::write(&file, password).unwrap();
                command.args(["--brokers", &secured().sasl_bootstrap(), "--sasl-mechanism", "scram-sha-512"]);
                command.args(["--sasl-username", name, "--sasl-password-file"]).arg(file);
            }
            Login::Token(file) => {
                command.args(["--brokers", &secured().sasl_bootstrap(), "--sasl-mechanism", "oauthbearer"]);
                command.arg("--sasl-token-file").arg(file);
            }
        }
        command
    }

    pub fn start(&self, command: Command, log: &str) -> Process {
        Process::start(command, &self.home.path().join(format!("{log}.log")))
    }

    /// A processor that commits often, and tells its metrics on a port.
    pub fn processor(&self, login: Login<'_>, port: u16) -> Command {
        let mut command = self.command("weir processor --instance p0 --commit-interval-ms 200", login);
        command.args(["--commit-interval-max-ms", "1000", "--records", RECORDS]);
        command.args(["--listen", &format!("127.0.0.1:{port}")]);
        command
    }

    /// A sink that ends files after a second, into a lake that is told by the environment.
    pub fn sink(&self, login: Login<'_>, port: u16) -> Command {
        let mut command = self.command("weir sink --small-file-seconds 1", login);
        command.args(["--records", RECORDS, "--listen", &format!("127.0.0.1:{port}")]);
        command.env("WEIR_LAKE", self.home.path().join("lake"));
        command
    }

    /// An agent that replays a capture.
    pub fn agent(&self, login: Login<'_>, port: u16) -> Command {
        let mut command = self.command("weir-agent replay --sensor lab", login);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/office.pcapng"));
        command.args(["--listen", &format!("127.0.0.1:{port}")]);
        command
    }
}

pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
