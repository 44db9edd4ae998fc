//! A real S3 server, started by a test and gone with it: versitygw, which enforces signatures and conditional
//! writes, over a folder.
//!
//! It is built from its Go module once, which takes minutes, and kept in the cache.

#![allow(clippy::unwrap_used)]

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::cache;
use crate::process::{Process, Scratch, free_port, wait_until};
use crate::tls::Authority;

/// The release the tests run (Apache License 2.0).
const VERSION: &str = "1.8.0";
const START_LIMIT: Duration = Duration::from_secs(30);

/// The one bucket there is.
pub const BUCKET: &str = "weir";
/// The access key of the one user.
pub const ACCESS_KEY: &str = "test-access-key";
/// Its secret.
pub const SECRET_KEY: &str = "test-secret-key";
/// The region the server says it is in.
pub const REGION: &str = "us-east-1";

/// Access key and secret of a user.
pub type User<'a> = (&'a str, &'a str);

/// Who owns the bucket.
pub const OWNER: User<'_> = (ACCESS_KEY, SECRET_KEY);

/// A running server. Stopped, and its objects removed, when dropped.
#[derive(Debug)]
pub struct S3 {
    process: Process,
    home: Scratch,
    port: u16,
    options: Vec<String>,
}

impl S3 {
    /// Starts a server with the empty bucket [`BUCKET`].
    ///
    /// # Panics
    ///
    /// Where it doesn't start; with what it wrote.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(Scratch::new("s3"), Vec::new())
    }

    /// Starts one that knows users beside its owner, each by access key and secret. What they may do is for a policy to
    /// say, see [`S3::ask`].
    ///
    /// # Panics
    ///
    /// Where it doesn't start; with what it wrote.
    #[must_use]
    pub fn start_with_users(users: &[User<'_>]) -> Self {
        let home = Scratch::new("s3");
        let folder = home.path().join("users");
        std::fs::create_dir(&folder).unwrap();
        let accounts: Vec<_> = users
            .iter()
            .map(|(key, secret)| format!(r#""{key}":{{"access":"{key}","secret":"{secret}","role":"user"}}"#))
            .collect();
        let accounts = format!(r#"{{"accessAccounts":{{{}}}}}"#, accounts.join(","));
        std::fs::write(folder.join("users.json"), accounts).unwrap();
        Self::start_with(home, vec!["--iam-dir".to_owned(), folder.display().to_string()])
    }

    /// Starts one that talks TLS, and takes the name before `domain` in the host's name for the bucket's. Its certificate
    /// is for that name of [`BUCKET`], and for 127.0.0.1.
    ///
    /// # Panics
    ///
    /// Where it doesn't start; with what it wrote.
    #[must_use]
    pub fn start_tls(authority: &Authority, domain: &str) -> Self {
        let identity = authority.identity(&format!("{BUCKET}.{domain}")).display().to_string();
        Self::start_with(
            Scratch::new("s3"),
            ["--cert", &identity, "--key", &identity, "--virtual-domain", domain].map(str::to_owned).into(),
        )
    }

    fn start_with(home: Scratch, options: Vec<String>) -> Self {
        std::fs::create_dir_all(home.path().join("buckets").join(BUCKET)).unwrap();
        let port = free_port();
        let mut s3 = Self { process: launch(home.path(), port, &options), home, port, options };
        s3.wait_until_ready();
        s3
    }

    /// The endpoint, to be used with the bucket in the path: `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port of the endpoint on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What the server answers to a user's request: the status, and the body behind it. The path has the bucket in it, and
    /// is escaped as in a URL; names in its query have values.
    ///
    /// # Panics
    ///
    /// Where there is no answer.
    pub fn ask(&self, (key, secret): User<'_>, method: &str, path: &str, body: &str) -> String {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--write-out", "%{stderr}%{http_code}", "--request", method]);
        curl.args(["--aws-sigv4", &format!("aws:amz:{REGION}:s3"), "--user", &format!("{key}:{secret}")]);
        curl.args(["--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "--data-binary", body]);
        let answer = curl.arg(format!("{}{path}", self.endpoint())).output().unwrap();
        let [status, body] = [answer.stderr, answer.stdout].map(|text| String::from_utf8_lossy(&text).into_owned());
        format!("{status} {body}")
    }

    /// The server's process, to stop, pause or kill it.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Starts it again on the same port with the same objects, after it was stopped or killed.
    ///
    /// # Panics
    ///
    /// Where it doesn't start; with what it wrote.
    pub fn start_again(&mut self) {
        self.process = launch(self.home.path(), self.port, &self.options);
        self.wait_until_ready();
    }

    /// The keys of all objects, sorted. They are read from the server's folder, past it: so these are what is
    /// stored, whatever state the server is in.
    pub fn keys(&self) -> Vec<String> {
        let mut keys = Vec::new();
        add_keys(&self.bucket(), "", &mut keys);
        keys.sort_unstable();
        keys
    }

    /// An object's bytes.
    ///
    /// # Panics
    ///
    /// Where there is no such object.
    pub fn read(&self, key: &str) -> Vec<u8> {
        std::fs::read(self.bucket().join(key)).unwrap()
    }

    /// The folder in which each object is a file, by its key.
    pub fn bucket(&self) -> PathBuf {
        self.home.path().join("buckets").join(BUCKET)
    }

    fn wait_until_ready(&mut self) {
        let port = self.port;
        let listens = || TcpStream::connect(("127.0.0.1", port)).is_ok();
        let ready = wait_until(START_LIMIT, || listens() || self.process.status().is_some());
        assert!(ready && self.process.status().is_none(), "the S3 server doesn't start:\n{}", self.process.log());
    }
}

/// Adds the keys below a folder, whose own key is `prefix` with its `/`.
fn add_keys(folder: &Path, prefix: &str, keys: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        // Where the server keeps what isn't whole yet.
        if prefix.is_empty() && name == ".sgwtmp" {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            add_keys(&entry.path(), &format!("{prefix}{name}/"), keys);
        } else {
            keys.push(format!("{prefix}{name}"));
        }
    }
}

fn launch(home: &Path, port: u16, options: &[String]) -> Process {
    let mut command = Command::new(program());
    command
        .env("ROOT_ACCESS_KEY", ACCESS_KEY)
        .env("ROOT_SECRET_KEY", SECRET_KEY)
        .args(["--port", &format!("127.0.0.1:{port}"), "--region", REGION, "--quiet"])
        .args(options)
        .arg("posix")
        .arg(home.join("buckets"));
    Process::start(command, &home.join("server.log"))
}

/// The server's binary.
///
/// # Panics
///
/// Where it can't be built.
pub fn program() -> PathBuf {
    let folder = cache::folder(&format!("versitygw-{VERSION}"), |folder| {
        // Without C, and at low priority: it takes minutes beside whatever else is being tested.
        let mut go = Command::new("nice");
        go.args(["-n", "10", "go", "install", "-ldflags=-s -w"])
            .arg(format!("github.com/versity/versitygw/cmd/versitygw@v{VERSION}"))
            .env("CGO_ENABLED", "0")
            .env("GOBIN", folder);
        cache::run(&mut go);
    });
    folder.join("versitygw")
}
