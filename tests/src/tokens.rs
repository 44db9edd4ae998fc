//! Signed tokens (RFC 7519) for tests, and the key that whoever checks them needs; signed by the program `openssl`.

#![allow(clippy::unwrap_used)]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::cache::run;
use crate::process::Scratch;

/// Who issues tokens.
#[derive(Debug)]
pub struct Issuer(Scratch);

impl Issuer {
    /// Makes a key, and the file that tells its public part.
    ///
    /// # Panics
    ///
    /// Where `openssl` fails.
    #[must_use]
    pub fn new() -> Self {
        let home = Scratch::new("tokens");
        run(Command::new("openssl").current_dir(home.path()).args(["genrsa", "-out", "key.pem", "2048"]));
        let modulus =
            run(Command::new("openssl").current_dir(home.path()).args(["rsa", "-in", "key.pem", "-noout", "-modulus"]));
        let hexadecimal = modulus.lines().find_map(|line| line.strip_prefix("Modulus=")).unwrap();
        let digits = hexadecimal.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        let modulus: Vec<u8> = digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect();
        let modulus = URL_SAFE_NO_PAD.encode(modulus);
        // The exponent is 65537.
        let keys = format!(
            r#"{{"keys":[{{"kty":"RSA","kid":"test","use":"sig","alg":"RS256","n":"{modulus}","e":"AQAB"}}]}}"#
        );
        std::fs::write(home.path().join("keys.json"), keys).unwrap();
        Self(home)
    }

    /// The public key (RFC 7517).
    pub fn keys(&self) -> PathBuf {
        self.0.path().join("keys.json")
    }

    /// A token that says who its bearer is, and is good for so long.
    ///
    /// # Panics
    ///
    /// Where `openssl` fails.
    pub fn token(&self, subject: &str, life: Duration) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256","kid":"test"}"#);
        let claims = format!(r#"{{"sub":"{subject}","iat":{now},"exp":{}}}"#, now + life.as_secs());
        let signed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims));
        let mut openssl = Command::new("openssl");
        openssl.current_dir(self.0.path()).args(["dgst", "-sha256", "-sign", "key.pem"]);
        let mut openssl = openssl.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        openssl.stdin.take().unwrap().write_all(signed.as_bytes()).unwrap();
        let output = openssl.wait_with_output().unwrap();
        assert!(output.status.success(), "openssl can't sign");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(output.stdout))
    }

    /// Puts a token into a file, whole at once, as whoever renews tokens has to.
    ///
    /// # Panics
    ///
    /// Where `openssl` fails or the file can't be written.
    pub fn write(&self, file: &Path, subject: &str, life: Duration) {
        let new = file.with_extension("new");
        std::fs::write(&new, self.token(subject, life)).unwrap();
        std::fs::rename(&new, file).unwrap();
    }
}

impl Default for Issuer {
    fn default() -> Self {
        Self::new()
    }
}
