//! Certificates for tests, made by the program `openssl`.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cache::run;
use crate::process::Scratch;

/// An authority of the test's own that signs certificates. Its files go when it is dropped.
#[derive(Debug)]
pub struct Authority(Scratch);

impl Authority {
    /// Makes a key and a certificate that vouches for itself.
    ///
    /// # Panics
    ///
    /// Where `openssl` fails.
    #[must_use]
    pub fn new() -> Self {
        let authority = Self(Scratch::new("tls"));
        authority
            .openssl(&["req", "-x509", "-subj", "/CN=test authority", "-keyout", "ca.key", "-out", "ca.crt"], true);
        authority
    }

    /// The authority's certificate, which others must trust (PEM).
    pub fn certificate(&self) -> PathBuf {
        self.folder().join("ca.crt")
    }

    /// Makes a certificate for a name, which is its common name and a DNS name beside 127.0.0.1. The file has the private
    /// key, unencrypted, and the certificates of name and authority (PEM); librdkafka takes it for both of its settings.
    ///
    /// # Panics
    ///
    /// Where `openssl` fails.
    pub fn identity(&self, name: &str) -> PathBuf {
        let [key, request, certificate, extensions] =
            ["key", "csr", "crt", "extensions"].map(|kind| format!("{name}.{kind}"));
        self.openssl(&["req", "-subj", &format!("/CN={name}"), "-keyout", &key, "-out", &request], true);
        std::fs::write(self.folder().join(&extensions), format!("subjectAltName=DNS:{name},IP:127.0.0.1\n")).unwrap();
        self.openssl(
            &["x509", "-req", "-in", &request, "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-extfile"]
                .iter()
                .copied()
                .chain([extensions.as_str(), "-out", &certificate])
                .collect::<Vec<_>>(),
            false,
        );
        let path = self.folder().join(format!("{name}.pem"));
        let parts =
            [&key, &certificate, "ca.crt"].map(|part| std::fs::read_to_string(self.folder().join(part)).unwrap());
        std::fs::write(&path, parts.concat()).unwrap();
        path
    }

    fn folder(&self) -> &Path {
        self.0.path()
    }

    fn openssl(&self, arguments: &[&str], new_key: bool) {
        let mut command = Command::new("openssl");
        command.current_dir(self.folder()).args(arguments).args(["-days", "2"]);
        if new_key {
            command.args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
        }
        run(&mut command);
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}
