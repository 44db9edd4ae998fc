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
