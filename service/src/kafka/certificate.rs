//! When certificates expire, told as a metric: once they have, no broker can be reached.

use std::{fs, path::Path};

use anyhow::Context as _;
use openssl::{asn1::Asn1Time, x509::X509};

/// The metric.
pub const EXPIRY: &str = "weir_certificate_expiry_timestamp_seconds";

const DAY_SECONDS: f64 = 86_400.0;

/// Tells when the first of the certificates in a file (PEM) expires. What can't be read is only logged: whether the
/// file will do is for the client to say.
pub fn tell_expiry(setting: &'static str, path: &Path) {
    match fs::read(path).context("it can't be read").and_then(|pem| first_expiry(&pem)) {
        Ok(seconds) => metrics::gauge!(EXPIRY, "setting" => setting).set(seconds),
        Err(error) => tracing::warn!("{setting}: when {} expires can't be told: {error:#}", path.display()),
    }
}

/// In seconds since 1970.
fn first_expiry(pem: &[u8]) -> anyhow::Result<f64> {
    let epoch = Asn1Time::from_unix(0)?;
    let mut first = f64::INFINITY;
    for certificate in X509::stack_from_pem(pem)? {
        let after_epoch = epoch.diff(certificate.not_after())?;
        first = first.min(f64::from(after_epoch.days) * DAY_SECONDS + f64::from(after_epoch.secs));
    }
    anyhow::ensure!(first.is_finite(), "it has no certificate");
    Ok(first)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use openssl::{hash::MessageDigest, pkey::PKey, rsa::Rsa, x509::X509Builder};

    fn certificate(expires: i64) -> Vec<u8> {
        let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        let mut builder = X509Builder::new().unwrap();
        builder.set_pubkey(&key).unwrap();
        builder.set_not_before(&Asn1Time::from_unix(0).unwrap()).unwrap();
        builder.set_not_after(&Asn1Time::from_unix(expires).unwrap()).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        builder.build().to_pem().unwrap()
    }

    #[test]
    fn the_first_certificate_to_expire_counts() {
        let bundle = [certificate(4_000_000_000), certificate(1_900_000_001), certificate(2_000_000_000)].concat();
        assert!((first_expiry(&bundle).unwrap() - 1_900_000_001.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_file_without_a_certificate_has_no_expiry() {
        assert!(first_expiry(b"").is_err());
        assert!(first_expiry(b"-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n").is_err());
    }
}
