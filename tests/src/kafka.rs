//! A real Apache Kafka: one node that is broker and controller, started by a test and gone with it.
//!
//! The broker comes from Maven once, and is kept in the cache. It takes about three seconds of CPU time to start, so tests
//! of one binary better share one, with topics of their own.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use rdkafka::ClientConfig;

use crate::cache;
use crate::process::{Process, Scratch, Signal, free_port};
use crate::tls::Authority;
use crate::tokens::Issuer;

/// The release the tests run. 4.4.0 lacks `kafka-tools` in Maven.
const VERSION: &str = "4.3.1";
/// How long a start may take, on a machine that is busy with other tests.
const START_LIMIT: Duration = Duration::from_secs(120);
/// A small heap, and the compiler that is ready first: tests start many brokers and ask little of each.
const SMALL: &[&str] = &["-Xms384m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];
/// As Kafka's own script starts it, with all of Java's compilers.
const LARGE: &[&str] = &["-Xms1g", "-Xmx1g", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"];
/// The users of a secured broker, with SCRAM and PLAIN alike. Each one's password is its name and `-secret`.
/// `admin` may do everything, the others nothing until [`Kafka::allow`] says so.
pub const USERS: [&str; 4] = ["admin", "agent", "processor", "sink"];

/// A running broker. Stopped, and its data removed, when dropped.
#[derive(Debug)]
pub struct Kafka {
    process: Process,
    home: Scratch,
    port: u16,
    secured: Option<Secured>,
    jvm: &'static [&'static str],
}

/// The listeners of a broker that authenticates its clients and refuses what no ACL allows.
#[derive(Debug)]
pub struct Secured {
    sasl_port: u16,
    mtls_port: u16,
    authority: Authority,
    issuer: Issuer,
}

impl Secured {
    /// The listener with TLS that takes SCRAM-SHA-512, PLAIN and OAUTHBEARER. Whoever comes with a token must have a new
    /// one when it expires.
    pub fn sasl_bootstrap(&self) -> String {
        format!("localhost:{}", self.sasl_port)
    }

    /// The listener with TLS that asks clients for a certificate. The user is its common name.
    pub fn mtls_bootstrap(&self) -> String {
        format!("localhost:{}", self.mtls_port)
    }

    /// Settings of a client at that listener that is one of the [`USERS`].
    pub fn sasl_client(&self, mechanism: &str, user: &str, password: &str) -> ClientConfig {
        let mut config = self.tls_client(&self.sasl_bootstrap());
        config
            .set("security.protocol", "SASL_SSL")
            .set("sasl.mechanism", mechanism)
            .set("sasl.username", user)
            .set("sasl.password", password);
        config
    }

    /// Settings of a client at the listener for client certificates, with one for a user.
    pub fn mtls_client(&self, user: &str) -> ClientConfig {
        let identity = self.authority.identity(user).display().to_string();
        let mut config = self.tls_client(&self.mtls_bootstrap());
        config
            .set("security.protocol", "SSL")
            .set("ssl.certificate.location", &identity)
            .set("ssl.key.location", &identity);
        config
    }

    fn tls_client(&self, bootstrap: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", bootstrap)
            .set("ssl.ca.location", self.authority.certificate().display().to_string());
        config
    }

    /// Who signed the broker's certificate, and signs those of clients.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Whose tokens the broker believes.
    pub fn issuer(&self) -> &Issuer {
        &self.issuer
    }
}

impl Kafka {
    /// Starts a broker whom everybody may ask anything, without encryption.
    ///
    /// # Panics
    ///
    /// Where it doesn't start; with what it wrote.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts such a broker with settings of `server.properties` besides or instead of the usual ones.
    ///
    /// # Panics
    ///
    /// Where it doesn't start; with what it wrote.
    #[must_use]
    pub fn start_with(settings: &[(&str, &str)]) -> Self {
        Self::start_as(None, settings, SMALL)
    }

    /// Starts such a broker whose speed is that of brokers in use.
    ///
    /// # Panics
    ///
    /// Where it doesn't start; with what it wrote.
    #[must_use]
    pub fn start_to_measure() -> Self {
        Self::start_as(None, &[], LARGE)
    }

    /// Starts a broker that has, besides the open listener for the test itself, one with TLS and SASL and one
    /// with TLS and client certificates, whose users may do nothing that [`Kafka::allow`] doesn't allow.
    ///
    /// # Panics
    ///
    /// Where it doesn't start; with what it wrote.
    #[must_use]
    pub fn start_secured() -> Self {
        let (authority, issuer) = (Authority::new(), Issuer::new());
        let secured = Secured { sasl_port: free_port(), mtls_port: free_port(), authority, issuer };
        Self::start_as(Some(secured), &[], SMALL)
    }

    fn start_as(secured: Option<Secured>, settings: &[(&str, &str)], jvm: &'static [&'static str]) -> Self {
        let home = Scratch::new("kafka");
        let port = free_port();
        let properties = properties(home.path(), port, secured.as_ref(), settings);
        std::fs::write(home.path().join("server.properties"), properties).unwrap();
        format_storage(home.path(), secured.is_some());
        let process = launch(home.path(), secured.as_ref(), jvm);
        let mut kafka = Self { process, home, port, secured, jvm };
        kafka.wait_until_ready(1);
        kafka
    }

    /// Where clients find the listener that is open to everybody.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The listeners that aren't, of a broker that [`Kafka::start_secured`] started.
    ///
    /// # Panics
    ///
    /// Where it is an open one.
    pub fn secured(&self) -> &Secured {
        self.secured.as_ref().unwrap()
    }

    /// Stops the broker as an operator does, which lets it tell its clients. Its data stay.
    pub fn stop(&mut self) {
        self.process.stop_within(START_LIMIT);
    }

    /// Kills the broker. Its data stay, as far as it had written them.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same ports with the same data, after [`Kafka::stop`] or [`Kafka::kill`].
    ///
    /// # Panics
    ///
    /// Where it doesn't start; with what it wrote.
    pub fn start_again(&mut self) {
        let starts = self.starts();
        self.process = launch(self.home.path(), self.secured.as_ref(), self.jvm);
        self.wait_until_ready(starts + 1);
    }

    /// Stops it and starts it again.
    ///
    /// # Panics
    ///
    /// Where it doesn't start; with what it wrote.
    pub fn restart(&mut self) {
        self.stop();
        self.start_again();
    }

    /// Lets the broker fall silent (SIGSTOP): connections stay open, nothing is answered.
    pub fn pause(&mut self) {
        self.process.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&mut self) {
        self.process.signal(Signal::CONT);
    }

    /// The broker's process, for what it wrote and used.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Copies what tells of a run that went wrong: what the broker wrote, and the segments of its partitions, which
    /// `kafka.tools.DumpLogSegments` shows with their markers.
    ///
    /// # Panics
    ///
    /// Where that can't be written.
    pub fn keep(&self, folder: &Path) {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("broker.log"), self.process.log()).unwrap();
        for partition in std::fs::read_dir(self.home.path().join("data")).unwrap() {
            let partition = partition.unwrap();
            let files = std::fs::read_dir(partition.path()).into_iter().flatten().map(|file| file.unwrap().path());
            for segment in files.filter(|path| path.extension().is_some_and(|extension| extension == "log")) {
                let to = folder.join("segments").join(partition.file_name());
                std::fs::create_dir_all(&to).unwrap();
                // One that was deleted meanwhile isn't missed.
                let _ = std::fs::copy(&segment, to.join(segment.file_name().unwrap()));
            }
        }
    }

    /// Runs one of Kafka's own tools against the open listener: `--bootstrap-server` is added. It takes a second or two.
    /// `class` is, for example, `org.apache.kafka.tools.TopicCommand` or `kafka.admin.ConfigCommand`.
    ///
    /// # Panics
    ///
    /// Where there is no Java.
    pub fn tool(&self, class: &str, arguments: &[&str]) -> Output {
        let mut command =
            java(self.home.path(), "log4j2-tools.yaml", &["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
        command.arg(class).args(["--bootstrap-server", &self.bootstrap()]).args(arguments).output().unwrap()
    }

    /// Allows a user what the arguments of `AclCommand --add` say, such as
    /// `["--producer", "--topic", "weir-packets"]`.
    ///
    /// # Panics
    ///
    /// Where the broker refuses.
    pub fn allow(&self, user: &str, what: &[&str]) {
        let principal = format!("User:{user}");
        let mut arguments = vec!["--add", "--allow-principal", &principal];
        arguments.extend(what);
        let output = self.tool("org.apache.kafka.tools.AclCommand", &arguments);
        assert!(output.status.success(), "{output:?}");
    }

    fn starts(&self) -> usize {
        self.process.log().matches("Kafka Server started").count()
    }

    /// Waits until the broker has said for the nth time that it started.
    fn wait_until_ready(&mut self, nth: usize) {
        let deadline = std::time::Instant::now() + START_LIMIT;
        while self.starts() < nth {
            let ended = self.process.status();
            let late = std::time::Instant::now() > deadline;
            assert!(ended.is_none() && !late, "the broker doesn't start ({ended:?}):\n{}", self.process.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The broker's settings, as a file.
fn properties(home: &Path, port: u16, secured: Option<&Secured>, settings: &[(&str, &str)]) -> String {
    let controller = free_port();
    let mut listeners = format!("PLAINTEXT://127.0.0.1:{port}");
    let mut more = String::new();
    if let Some(secured) = secured {
        let Secured { sasl_port, mtls_port, .. } = secured;
        write!(listeners, ",SASL_SSL://localhost:{sasl_port},SSL://localhost:{mtls_port}").unwrap();
        more = security(secured);
    }
    let mut text = format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners={listeners},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={listeners}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL
log.dirs={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# A test's groups are small, and it waits for them.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
# Transactions past their time-out are looked for each 10 s otherwise.
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
auto.create.topics.enable=false
{more}",
        data = home.join("data").display(),
    );
    for (key, value) in settings {
        writeln!(text, "{key}={value}").unwrap();
    }
    text
}

/// The settings of the listeners that aren't open to everybody.
fn security(Secured { authority, issuer, .. }: &Secured) -> String {
    let (broker, ca) = (authority.identity("localhost"), authority.certificate());
    let users = USERS.map(|user| format!("user_{user}=\"{user}-secret\"")).join(" ");
    format!(
        "ssl.keystore.type=PEM
ssl.keystore.location={broker}
ssl.truststore.type=PEM
ssl.truststore.location={ca}
listener.name.ssl.ssl.client.auth=required
ssl.principal.mapping.rules=RULE:^CN=([^,]*).*$/$1/,DEFAULT
sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN,OAUTHBEARER
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required {users};
listener.name.sasl_ssl.oauthbearer.sasl.jaas.config={oauth}.OAuthBearerLoginModule required;
listener.name.sasl_ssl.oauthbearer.sasl.server.callback.handler.class={oauth}.OAuthBearerValidatorCallbackHandler
listener.name.sasl_ssl.oauthbearer.sasl.oauthbearer.jwks.endpoint.url={keys}
listener.name.sasl_ssl.oauthbearer.sasl.oauthbearer.clock.skew.seconds=0
listener.name.sasl_ssl.oauthbearer.connections.max.reauth.ms=3600000
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
# Whoever comes through the open listener: the test itself, and the broker.
super.users=User:admin;User:ANONYMOUS
",
        oauth = "org.apache.kafka.common.security.oauthbearer",
        keys = keys_url(issuer),
        broker = broker.display(),
        ca = ca.display(),
    )
}

fn keys_url(issuer: &Issuer) -> String {
    format!("file://{}", issuer.keys().display())
}

/// Makes the folder of data as a broker expects it. Done once and kept: it takes a Java program two seconds.
fn format_storage(home: &Path, secured: bool) {
    let kind = if secured { "secured" } else { "open" };
    let formatted = cache::folder(&format!("kafka-{VERSION}-{kind}"), |folder| {
        let mut command = java(home, "log4j2-tools.yaml", &[]);
        command.args(["kafka.tools.StorageTool", "format", "--cluster-id", "weir-tests-cluster-id-", "--config"]);
        command.arg(home.join("server.properties"));
        if secured {
            for user in USERS {
                command.arg("--add-scram").arg(format!("SCRAM-SHA-512=[name={user},password={user}-secret]"));
            }
        }
        cache::run(&mut command);
        copy_files(&home.join("data"), folder);
    });
    let data = home.join("data");
    let _ = std::fs::remove_dir_all(&data);
    std::fs::create_dir(&data).unwrap();
    copy_files(&formatted, &data);
}

fn copy_files(from: &Path, to: &Path) {
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

fn launch(home: &Path, secured: Option<&Secured>, jvm: &[&str]) -> Process {
    let issuer = secured.map(|Secured { issuer, .. }| keys_url(issuer));
    let allowed = issuer.map(|url| format!("-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={url}"));
    let options: Vec<_> = jvm.iter().copied().chain(allowed.as_deref()).collect();
    let mut command = java(home, "log4j2.yaml", &options);
    command.arg("kafka.Kafka").arg(home.join("server.properties"));
    Process::start(command, &home.join("broker.log"))
}

/// Java with Kafka's classes, which unpack libraries to a folder that goes with the broker: those of a broker that is
/// killed would stay.
fn java(home: &Path, logging: &str, options: &[&str]) -> Command {
    let harness = Path::new(env!("CARGO_MANIFEST_DIR")).join("harness");
    let mut command = Command::new("java");
    command
        .args(options)
        .arg(format!("-Djava.io.tmpdir={}", home.display()))
        .arg(format!("-Dlog4j2.configurationFile={}", harness.join(logging).display()))
        .arg("-cp")
        .arg(jars().join("*"));
    command
}

/// The folder with Kafka's jars and those it needs: 92 of them, 54 MB.
fn jars() -> PathBuf {
    cache::folder(&format!("kafka-{VERSION}"), |folder| {
        let mut maven = Command::new("mvn");
        maven
            .args(["--quiet", "--batch-mode", "dependency:copy-dependencies", "-DincludeScope=runtime", "--file"])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("harness/pom.xml"))
            .arg(format!("-DoutputDirectory={}", folder.display()));
        cache::run(&mut maven);
    })
}
