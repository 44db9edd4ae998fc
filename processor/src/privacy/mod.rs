//! What readers of records get to see of addresses.
//!
//! Everything that leaves goes through a [`Rewriter`], behind the engine and before Kafka or a file: it takes a record's
//! bytes and knows by the `holds` option of the contract's fields what to do with each. So a new protocol needs no code
//! here, and an engine, its state and its tests know nothing of it.

mod address;
mod memo;
mod rewrite;
mod text;

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

pub use rewrite::Rewriter;

/// Bytes of a key.
const KEY_BYTES: usize = 32;

/// What readers get to see of addresses, wherever it is said.
#[derive(Debug, Default, Clone, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PrivacyConfig {
    /// What becomes of addresses before anything is written: keep, truncate (to /24 and /48), drop or pseudonymise
    /// [default: keep].
    #[arg(long, value_name = "WHAT", env = "WEIR_PRIVACY_ADDRESSES", hide_env = true, help_heading = "Privacy")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Addresses>,

    /// File with the key for addresses that are not kept: 64 hex digits.
    #[arg(long, value_name = "FILE", env = "WEIR_PRIVACY_ADDRESS_KEY_FILE", hide_env = true, help_heading = "Privacy")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address_key_file: Option<PathBuf>,
}

/// What becomes of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Addresses {
    /// They stay as they are.
    Keep,
    /// Of IPv4 24 bits stay, of IPv6 48, of link-layer addresses the manufacturer.
    Truncate,
    /// They are left out.
    Drop,
    /// Others stand in their place, always the same for one key: those that share their first bits go on to share as many.
    Pseudonymise,
}

/// What is to become of addresses that are not kept, and the key.
#[derive(Clone)]
pub struct Privacy {
    treatment: Treatment,
    key: [u8; KEY_BYTES],
}

/// [`Addresses`] but to keep them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Treatment {
    Truncate,
    Drop,
    Pseudonymise,
}

impl fmt::Debug for Privacy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Privacy").field("treatment", &self.treatment).finish_non_exhaustive()
    }
}

impl PrivacyConfig {
    /// What is to be done, `None` where addresses are kept. Reads the key.
    ///
    /// # Errors
    ///
    /// There is no key where one is needed, or one where none is, or it is no key: the setting is named.
    pub fn privacy(&self) -> anyhow::Result<Option<Privacy>> {
        let treatment = match self.addresses {
            None | Some(Addresses::Keep) => {
                if self.address_key_file.is_some() {
                    bail!("address-key-file is set, but addresses are kept: say what is to become of them");
                }
                return Ok(None);
            }
            Some(Addresses::Truncate) => Treatment::Truncate,
            Some(Addresses::Drop) => Treatment::Drop,
            Some(Addresses::Pseudonymise) => Treatment::Pseudonymise,
        };
        // Truncated and dropped addresses need it too: a uid is a hash of them.
        let Some(path) = &self.address_key_file else {
            bail!(
                "addresses are not kept, which takes a key: set address-key-file to a file that `openssl rand -hex 32` wrote"
            );
        };
        Ok(Some(Privacy { treatment, key: read_key(path)? }))
    }
}

fn read_key(path: &Path) -> anyhow::Result<[u8; KEY_BYTES]> {
    let text = fs::read(path).with_context(|| format!("address-key-file: {} can't be read", path.display()))?;
    let digits = text.trim_ascii();
    let mut key = [0; KEY_BYTES];
    let (pairs, rest) = digits.as_chunks();
    let is_key = rest.is_empty() && pairs.len() == KEY_BYTES && digits.iter().all(u8::is_ascii_hexdigit);
    if !is_key {
        // Nothing is said of what is in the file.
        bail!(
            "address-key-file: {} must hold 64 hex digits and nothing else: `openssl rand -hex 32` writes them",
            path.display()
        );
    }
    for (octet, &[high, low]) in key.iter_mut().zip(pairs) {
        let digit =
            |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).unwrap_or_default();
        *octet = digit(high) << 4 | digit(low);
    }
    let (first, second) = key.split_at(KEY_BYTES / 2);
    if first == second {
        bail!("address-key-file: the halves of the key in {} are the same, which makes it worthless", path.display());
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(addresses: Addresses, key: Option<&str>) -> (tempfile::TempDir, PrivacyConfig) {
        let folder = tempfile::tempdir().unwrap();
        let file = key.map(|key| {
            let file = folder.path().join("key");
            fs::write(&file, key).unwrap();
            file
        });
        (folder, PrivacyConfig { addresses: Some(addresses), address_key_file: file })
    }

    fn refusal(addresses: Addresses, key: Option<&str>) -> String {
        let (_folder, config) = config(addresses, key);
        config.privacy().unwrap_err().to_string()
    }

    #[test]
    fn addresses_are_kept_unless_something_else_is_said() {
        assert!(PrivacyConfig::default().privacy().unwrap().is_none());
        let (_folder, config) = config(Addresses::Keep, None);
        assert!(config.privacy().unwrap().is_none());
        assert!(refusal(Addresses::Keep, Some("00")).contains("address-key-file is set, but addresses are kept"));
    }

    #[test]
    fn a_key_is_refused_that_is_missing_short_long_or_no_key() {
        let fine = "00112233445566778899aabbccddeeffFFEEDDCCBBAA99887766554433221100";
        let (_folder, good) = config(Addresses::Pseudonymise, Some(&format!("{fine}\n")));
        assert_eq!(good.privacy().unwrap().unwrap().key[30..], [0x11, 0x00]);
        for addresses in [Addresses::Truncate, Addresses::Drop, Addresses::Pseudonymise] {
            assert!(refusal(addresses, None).contains("set address-key-file"));
            for wrong in
                ["", "0011", &fine[1..], &format!("{fine}0"), &fine.replace("00", "0x"), &fine.replace("00", "+0")]
            {
                let told = refusal(addresses, Some(wrong));
                assert!(told.contains("must hold 64 hex digits"), "{wrong}: {told}");
                assert!(wrong.len() < 8 || !told.contains(&wrong[..8]), "{told}");
            }
            assert!(refusal(addresses, Some(&"0123".repeat(16))).contains("halves"));
        }
        let missing = PrivacyConfig { addresses: Some(Addresses::Drop), address_key_file: Some("/nowhere/key".into()) };
        assert!(missing.privacy().unwrap_err().to_string().contains("/nowhere/key can't be read"));
    }

    #[test]
    fn a_key_is_not_shown() {
        let (_folder, config) = config(Addresses::Drop, Some(&format!("{}{}", "ab".repeat(16), "cd".repeat(16))));
        assert_eq!(format!("{:?}", config.privacy().unwrap().unwrap()), "Privacy { treatment: Drop, .. }");
    }
}
