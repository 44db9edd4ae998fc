//! A network namespace for tests that capture: a pair of interfaces of their own.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr)]

use std::process::Command;

/// Set in the environment of a test that runs in the namespace.
const INSIDE: &str = "TEST_INSIDE_NAMESPACE";

/// Runs the program `ip` with arguments that have blanks between; says whether it did as told.
pub fn ip(arguments: &str) -> bool {
    Command::new("ip").args(arguments.split(' ')).output().is_ok_and(|output| output.status.success())
}

/// A network namespace with the pair wa, wb and the downed interface wdown.
struct Namespace(String);

impl Namespace {
    fn new(test: &str) -> Option<Self> {
        let namespace = Self(format!("weir-{}-{}", std::process::id(), test.replace("::", "-")));
        let name = &namespace.0;
        let made = ip(&format!("netns add {name}"))
            && ip(&format!("-n {name} link add wa type veth peer name wb"))
            && ip(&format!("-n {name} link add wdown type veth peer name wdown2"))
            && ip(&format!("-n {name} link set wa up"))
            && ip(&format!("-n {name} link set wb up"));
        made.then_some(namespace)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        ip(&format!("netns del {}", self.0));
    }
}

/// Runs `inside` in a namespace with the pair of interfaces wa, wb and the downed interface wdown, by
/// running the test of that name there again. Skips where there can be no namespace.
///
/// # Panics
///
/// Where the test fails in there.
pub fn in_namespace(test: &str, inside: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    let Some(namespace) = Namespace::new(test) else {
        eprintln!("skipped: making a network namespace takes root and the program `ip`");
        return;
    };
    let output = Command::new("ip")
        .args(["netns", "exec", &namespace.0])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--include-ignored"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    eprint!("{text}");
}
