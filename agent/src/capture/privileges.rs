//! What the agent gives up once its interfaces are open: every capability, ever getting one again, and the files
//! that are none of its business.
//!
//! Linux keeps all this by thread: it must be done before there are others.

use anyhow::Context as _;
use landlock::{
    ABI, Access as _, AccessFs, BitFlags, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError,
    RulesetStatus, path_beneath_rules,
};
use rustix::thread::{self, CapabilitySet, CapabilitySets};
use std::path::{Path, PathBuf};
use weir_service::kafka::KafkaConfig;

/// What is read besides what the settings name: by the C library to resolve names, by OpenSSL, and to tell own
/// connections and what interfaces count.
const READ: &[&str] = &["/dev", "/etc", "/lib", "/lib64", "/proc", "/run/systemd/resolve", "/sys", "/usr"];

/// Gives up what is not needed to read interfaces that are open, to write to `folder` and to reach Kafka.
///
/// # Errors
/// Capabilities that can't be given up. That a kernel can't restrict files is only logged.
pub fn give_up(kafka: &KafkaConfig, folder: Option<&Path>) -> anyhow::Result<()> {
    give_up_capabilities().context("giving up the capabilities failed")?;
    match restrict_files(kafka, folder) {
        Ok(RulesetStatus::FullyEnforced) => tracing::info!("no privilege is left, and few files can be opened"),
        Ok(RulesetStatus::PartiallyEnforced) => {
            tracing::info!("no privilege is left, and few files can be opened, as far as this kernel restricts it");
        }
        Ok(RulesetStatus::NotEnforced) => {
            tracing::warn!("no privilege is left, but any file can be opened: this kernel is without Landlock");
        }
        Err(error) => tracing::warn!("no privilege is left, but any file can be opened: Landlock failed: {error}"),
    }
    Ok(())
}

fn give_up_capabilities() -> rustix::io::Result<()> {
    for capability in CapabilitySet::all().iter() {
        // Fails without CAP_SETPCAP; it is of no use then, as no program can be started that has more.
        let _ = thread::remove_capability_from_bounding_set(capability);
    }
    // Old kernels have no such set.
    let _ = thread::clear_ambient_capability_set();
    thread::set_no_new_privs(true)?;
    let none = CapabilitySet::empty();
    thread::set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
}

fn restrict_files(kafka: &KafkaConfig, folder: Option<&Path>) -> Result<RulesetStatus, RulesetError> {
    let all = AccessFs::from_all(ABI::V5);
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let secrets = secret_folders(kafka);
    let readable = READ.iter().map(Path::new).chain(secrets.iter().map(PathBuf::as_path));
    let created = Ruleset::default().handle_access(all)?.create()?;
    let created = created.add_rules(path_beneath_rules(readable, read))?;
    let writable: BitFlags<AccessFs> = all & !BitFlags::from(AccessFs::Execute);
    let created = created.add_rules(path_beneath_rules(folder, writable))?;
    Ok(created.restrict_self()?.ruleset)
}

/// The folders of certificates and secrets: they are read again when they change, and then they are other files.
fn secret_folders(kafka: &KafkaConfig) -> Vec<PathBuf> {
    let KafkaConfig { tls_ca, tls_certificate, tls_key, tls_key_password_file, .. } = kafka;
    let KafkaConfig { sasl_password_file, sasl_token_file, .. } = kafka;
    let files = [tls_ca, tls_certificate, tls_key, tls_key_password_file, sasl_password_file, sasl_token_file];
    let absolute = |file: &PathBuf| std::path::absolute(file).ok();
    let folders = files.into_iter().flatten().filter_map(absolute);
    folders.filter_map(|file| file.parent().map(Path::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::fs;

    #[test]
    fn nothing_is_left_but_what_capturing_needs() {
        let folder = std::env::temp_dir().join(format!("weir-privileges-{}", std::process::id()));
        let elsewhere = folder.with_extension("other");
        fs::create_dir_all(&folder).unwrap();
        fs::write(&elsewhere, "secret").unwrap();
        let (of_thread, other) = (folder.clone(), elsewhere.clone());
        // It is the thread that gives up: the other tests go on as they are.
        let given_up = std::thread::spawn(move || {
            let folder = of_thread;
            give_up_capabilities().unwrap();
            let status = restrict_files(&KafkaConfig::default(), Some(&folder)).unwrap();
            let left = thread::capabilities(None).unwrap();
            assert_eq!((left.effective, left.permitted), (CapabilitySet::empty(), CapabilitySet::empty()));
            assert!(thread::no_new_privs().unwrap());
            fs::write(folder.join("segment"), "kept").unwrap();
            fs::rename(folder.join("segment"), folder.join("renamed")).unwrap();
            assert_eq!(fs::read_to_string(folder.join("renamed")).unwrap(), "kept");
            fs::remove_file(folder.join("renamed")).unwrap();
            fs::read_to_string("/proc/self/net/tcp").unwrap();
            fs::read_dir("/proc/self/fd").unwrap();
            let others = (fs::read_to_string(&other), fs::write(folder.with_extension("another"), ""));
            let is_without_landlock = status == RulesetStatus::NotEnforced;
            assert!(is_without_landlock || others.0.is_err() && others.1.is_err(), "{others:?}");
        });
        given_up.join().unwrap();
        let _ = fs::remove_file(folder.with_extension("another"));
        let _ = fs::remove_file(folder.with_extension("another"));
        fs::remove_dir_all(&folder).unwrap();
        fs::remove_file(&elsewhere).unwrap();
    }
}
