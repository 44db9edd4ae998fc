//! The services of the Compose file as processes of this machine: the same programs, arguments, variables and files, with
//! free ports for the services' names and folders of the test for their volumes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use weir_tests::kafka::Kafka;
use weir_tests::process::{Process, Scratch, binary, free_port, wait_until};
use weir_tests::{http, s3};

use crate::{plugin, strings};

const LIMIT: Duration = Duration::from_secs(120);

/// What the file calls an address, for which the test has a port of this machine.
const ADDRESSES: &[&[&str]] = &[
    &["kafka:9092", "://:9092"],
    &["127.0.0.1:19092", "://:19092"],
    &["kafka:9093", "://:9093"],
    &["s3:7070", "127.0.0.1:7070", ":7070"],
    &["replay:9477", "0.0.0.0:9477", "127.0.0.1:9477"],
    &["172.31.77.1:9477"],
    &["processor:9478", "0.0.0.0:9478", "127.0.0.1:9478"],
    &["sink:9479", "0.0.0.0:9479", "127.0.0.1:9479"],
    &["prometheus:9090", "0.0.0.0:9090", "127.0.0.1:9090"],
];

/// All services, and what runs of them.
pub struct Site {
    services: Value,
    ports: Vec<u16>,
    home: Scratch,
    kafka: Option<Kafka>,
    running: Vec<(String, Process)>,
}

impl Site {
    /// The services of the file; `interface` is that of the agent that captures.
    pub fn new(interface: &str) -> Self {
        let ports = ADDRESSES.iter().map(|_| free_port()).collect();
        let services = plugin::services(interface);
        Self { services, ports, home: Scratch::new("compose"), kafka: None, running: Vec::new() }
    }

    /// A text of the file, with this machine's addresses instead of the services'.
    pub fn here(&self, text: &str) -> String {
        let mut text = text.to_owned();
        // What is replaced is out of the way of shorter names: no port of the test's is one of the file's.
        for (names, port) in ADDRESSES.iter().zip(&self.ports) {
            for name in *names {
                let scheme = if name.starts_with("://") { "://" } else { "" };
                text = text.replace(name, &format!("{scheme}127.0.0.1:{port}"));
            }
        }
        text
    }

    /// The broker, with the settings that its image takes from the environment.
    pub fn start_kafka(&mut self) {
        let environment = self.services["kafka"]["environment"].as_object().unwrap();
        let mut settings = Vec::new();
        for (name, value) in environment {
            let Some(name) = name.strip_prefix("KAFKA_") else { continue };
            // Of the program that starts it, and of its volume: the test has its own.
            if name != "HEAP_OPTS" && name != "LOG_DIRS" {
                settings.push((name.to_lowercase().replace('_', "."), self.here(value.as_str().unwrap())));
            }
        }
        let settings: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.kafka = Some(Kafka::start_with(&settings));
    }

    /// Starts a service, and waits until it is healthy.
    pub fn start(&mut self, name: &str) {
        let arguments = strings(&self.services[name]["command"]);
        let command = self.command(name, &arguments);
        let process = Process::start(command, &self.home.path().join(format!("{name}.log")));
        self.running.push((name.to_owned(), process));
        let healthy = wait_until(LIMIT, || self.is_healthy(name) || self.status(name).is_some());
        assert!(healthy && self.status(name).is_none(), "{name} isn't healthy:\n{}", self.log(name));
    }

    /// Runs a service, with these arguments or else its own, until it ends; gives what it wrote to the standard output.
    pub fn run(&self, name: &str, arguments: &[&str]) -> String {
        let own = strings(&self.services[name]["command"]);
        let output = self.command(name, if arguments.is_empty() { &own } else { arguments }).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name} {arguments:?}: {}\n{said}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    /// Stops all, and says which service did not end well.
    pub fn stop(mut self) -> Vec<String> {
        let mut bad = Vec::new();
        for (name, mut process) in self.running.drain(..).rev() {
            let status = process.stop_within(LIMIT);
            if !status.success() && !matches!(name.as_str(), "s3" | "replay") {
                bad.push(format!("{name}: {status}\n{}", process.log()));
            }
        }
        bad
    }

    /// The folder of the lake, on the host.
    pub fn lake(&self) -> PathBuf {
        self.root("s3").join("buckets/weir/lake")
    }

    /// What a service wrote.
    pub fn log(&self, name: &str) -> String {
        self.process(name).log()
    }

    fn process(&self, name: &str) -> &Process {
        self.running.iter().find(|(running, _)| running == name).map(|(_, process)| process).unwrap()
    }

    fn status(&mut self, name: &str) -> Option<std::process::ExitStatus> {
        self.running.iter_mut().find(|(running, _)| running == name).and_then(|(_, process)| process.status())
    }

    fn is_healthy(&self, name: &str) -> bool {
        let test = strings(&self.services[name]["healthcheck"]["test"]);
        match *test {
            ["CMD", program, ref arguments @ ..] if program.starts_with("/weir") => {
                self.command(name, arguments).output().unwrap().status.success()
            }
            ["CMD", "wget", .., url] => {
                let url = self.here(url);
                let (address, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
                let port = address.rsplit_once(':').unwrap().1.parse().unwrap();
                http::get(port, &format!("/{path}")).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
            }
            _ => panic!("{name}: the test can't do {test:?}"),
        }
    }

    /// A service's program with its variables, and with these arguments.
    fn command(&self, name: &str, arguments: &[&str]) -> Command {
        let service = &self.services[name];
        let program = match (service["build"]["target"].as_str(), service["image"].as_str().unwrap()) {
            (Some("weir"), _) => binary("weir"),
            (Some("agent"), _) => binary("weir-agent"),
            (_, image) if image.starts_with("versity/versitygw:") => s3::program(),
            (_, image) if image.starts_with("prom/prometheus:") => PathBuf::from("prometheus"),
            (_, image) => panic!("the test has no program for {image}"),
        };
        let root = self.root(name);
        let mut command = Command::new(program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        for (variable, value) in service["environment"].as_object().into_iter().flatten() {
            command.env(variable, self.here(value.as_str().unwrap()));
        }
        let targets: Vec<_> = mounts(service).iter().map(|(_, target)| target.clone()).collect();
        for argument in arguments {
            let argument = self.here(argument);
            let (flag, value) = argument.split_once('=').map_or(("", argument.as_str()), |(flag, value)| (flag, value));
            let is_file = targets.iter().any(|target| {
                let (value, target) = (Path::new(value), Path::new(target));
                value.is_absolute() && (value.starts_with(target) || target.starts_with(value))
            });
            let value = if is_file { format!("{}{value}", root.display()) } else { value.to_owned() };
            command.arg(if flag.is_empty() { value } else { format!("{flag}={value}") });
        }
        command
    }

    /// A folder that has the files and folders that are mounted, where the service finds them.
    fn root(&self, name: &str) -> PathBuf {
        let root = self.home.path().join(name);
        for (source, target) in mounts(&self.services[name]) {
            let place = root.join(target.strip_prefix('/').unwrap());
            if place.exists() {
                continue;
            }
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            let source = Path::new(&source);
            if source.is_file() {
                std::fs::write(&place, self.here(&std::fs::read_to_string(source).unwrap())).unwrap();
            } else if source.is_dir() && source.file_name().is_some_and(|name| name != "lake") {
                std::os::unix::fs::symlink(source, &place).unwrap();
            } else {
                std::fs::create_dir(&place).unwrap();
            }
        }
        root
    }
}

/// What is mounted in a service: source and target.
fn mounts(service: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mounts = service["volumes"].as_array().into_iter().flatten();
    mounts.map(|mount| (text(&mount["source"]), text(&mount["target"]))).collect()
}
