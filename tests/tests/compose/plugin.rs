//! Docker's Compose, to read the file with: only the plugin, which needs no engine to do so. It is built from its Go module
//! once, which takes minutes, and kept in the cache.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use weir_tests::cache;

/// The release (Apache License 2.0). Later ones take a later Go.
const VERSION: &str = "2.40.3";

/// The key of the object store, in these tests.
pub const SECRET_KEY: &str = "a-key-of-the-tests";

/// The folder of the Compose file.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("compose")
}

/// Reads the file with all its profiles; `variables` are those of the environment.
pub fn config(variables: &[(&str, &str)]) -> Output {
    let mut compose = Command::new(program());
    compose.env_clear().env("HOME", std::env::temp_dir()).envs(variables.iter().copied());
    compose.args(["--file", folder().join("compose.yaml").to_str().unwrap()]);
    compose.args(["--profile", "*", "config", "--format", "json"]).output().unwrap()
}

/// The services, with that key and an interface for the agent that captures.
///
/// # Panics
///
/// Where the file isn't clean.
pub fn services(interface: &str) -> Value {
    let output = config(&[("WEIR_S3_SECRET_KEY", SECRET_KEY), ("WEIR_INTERFACE", interface)]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.is_empty(), "{said}");
    let mut file: Value = serde_json::from_slice(&output.stdout).unwrap();
    file["services"].take()
}

fn program() -> PathBuf {
    let folder = cache::folder(&format!("docker-compose-{VERSION}"), |folder| {
        let module = format!("github.com/docker/compose/v2@v{VERSION}");
        let found = cache::run(Command::new("go").args(["mod", "download", "-json", &module]));
        let found: Value = serde_json::from_str(&found).unwrap();
        let read = |path: String| std::fs::read_to_string(path).unwrap();
        // As a dependency of another module, since `go install` takes none that replaces modules.
        let text = read(found["GoMod"].as_str().unwrap().to_owned());
        let text = text.replace("module github.com/docker/compose/v2\n", "module weir\n");
        assert!(text.contains("module weir\n"), "{text}");
        let work = folder.join("module");
        std::fs::create_dir(&work).unwrap();
        std::fs::write(work.join("go.mod"), text).unwrap();
        std::fs::write(work.join("go.sum"), read(format!("{}/go.sum", found["Dir"].as_str().unwrap()))).unwrap();
        let import = "package weir\n\nimport _ \"github.com/docker/compose/v2/cmd/compose\"\n";
        std::fs::write(work.join("weir.go"), import).unwrap();
        cache::run(Command::new("go").args(["mod", "edit", &format!("-require={module}")]).current_dir(&work));
        let mut go = Command::new("nice");
        go.args(["-n", "10", "go", "build", "-o", "../docker-compose"])
            .arg(format!("-ldflags=-s -w -X github.com/docker/compose/v2/internal.Version=v{VERSION}"))
            .arg("github.com/docker/compose/v2/cmd")
            .env("CGO_ENABLED", "0")
            .env("GOFLAGS", "-mod=mod")
            .current_dir(&work);
        cache::run(&mut go);
        std::fs::remove_dir_all(work).unwrap();
    });
    folder.join("docker-compose")
}
