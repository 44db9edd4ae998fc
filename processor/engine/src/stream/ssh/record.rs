//! The record of a connection.

use md5::{Digest as _, Md5};
use sha2::Sha256;
use weir_contract::{record, text::push_escaped};

use super::{
    Side, Ssh,
    algorithms::{self, agreed, list},
    string,
};
use crate::{
    cursor::{Cursor, Malformed},
    digits::{push_base64, push_hex},
    limits::TEXT_MAX,
    output::{Draft, Output},
};

impl Ssh {
    /// Writes the record, once, of a connection in which anything was understood.
    pub(super) fn write(&mut self, out: &mut Output) {
        let is_empty = self.originator.banner.is_none() && self.responder.banner.is_none();
        if self.written || is_empty {
            return;
        }
        self.written = true;
        let Some(mut ssh) = out.record::<record::Ssh>() else { return };
        let (client, server) = self.client_and_server();
        ssh.from_responder = false;
        ssh.ts_ns = self.since_ns.unwrap_or(ssh.ts_ns);
        ssh.truncated = self.truncated;
        ssh.established = client.new_keys && server.new_keys;
        fill_banners(&mut ssh, client, server);
        fill_agreed(&mut ssh, client, server);
        fill_offers(&mut ssh, client, server);
        fill_host_key(&mut ssh, &server.host_key);
    }
}

fn fill_banners(ssh: &mut record::Ssh, client: &Side, server: &Side) {
    let client = client.banner.as_deref().unwrap_or_default();
    let server = server.banner.as_deref().unwrap_or_default();
    push_escaped(&mut ssh.client_banner, client);
    push_escaped(&mut ssh.server_banner, server);
    let parts = |banner| split_banner(banner);
    for (text, part) in [&mut ssh.client_version, &mut ssh.client_software, &mut ssh.client_comments]
        .into_iter()
        .zip(parts(client))
        .chain(
            [&mut ssh.server_version, &mut ssh.server_software, &mut ssh.server_comments]
                .into_iter()
                .zip(parts(server)),
        )
    {
        push_escaped(text, part);
    }
}

/// Version, software and comments of `SSH-version-software comments`.
fn split_banner(banner: &[u8]) -> [&[u8]; 3] {
    let rest = banner.strip_prefix(b"SSH-").unwrap_or_default();
    let (version, rest) = split_at(rest, b'-');
    let (software, comments) = split_at(rest, b' ');
    [version, software, comments]
}

/// What is before and behind the first such byte.
fn split_at(text: &[u8], separator: u8) -> (&[u8], &[u8]) {
    let mut parts = text.splitn(2, |&byte| byte == separator);
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

fn fill_agreed(ssh: &mut record::Ssh, client: &Side, server: &Side) {
    let fields: [&mut String; algorithms::LISTS] = [
        &mut ssh.kex_algorithm,
        &mut ssh.host_key_algorithm,
        &mut ssh.cipher_client_to_server,
        &mut ssh.cipher_server_to_client,
        &mut ssh.mac_client_to_server,
        &mut ssh.mac_server_to_client,
        &mut ssh.compression_client_to_server,
        &mut ssh.compression_server_to_client,
    ];
    for (place, field) in fields.into_iter().enumerate() {
        let name = agreed(&client.kexinit, &server.kexinit, place).unwrap_or_default();
        push_escaped(field, name.get(..TEXT_MAX).unwrap_or(name));
    }
}

fn fill_offers(ssh: &mut Draft<'_, record::Ssh>, client: &Side, server: &Side) {
    let mut is_complete = true;
    if !client.kexinit.is_empty() {
        let mut offer: record::SshAlgorithms = ssh.spare();
        is_complete &= algorithms::fill(&mut offer, &client.kexinit, ssh.parts().1);
        ssh.client_algorithms = Some(offer);
        if let Ok(raw) = hassh_raw(&client.kexinit, 0) {
            push_hex(&mut ssh.hassh, &Md5::digest(&raw));
            push_escaped(&mut ssh.hassh_raw, raw.get(..TEXT_MAX).unwrap_or(&raw));
        }
    }
    if !server.kexinit.is_empty() {
        let mut offer: record::SshAlgorithms = ssh.spare();
        is_complete &= algorithms::fill(&mut offer, &server.kexinit, ssh.parts().1);
        ssh.server_algorithms = Some(offer);
        if let Ok(raw) = hassh_raw(&server.kexinit, 1) {
            push_hex(&mut ssh.hassh_server, &Md5::digest(&raw));
            push_escaped(&mut ssh.hassh_server_raw, raw.get(..TEXT_MAX).unwrap_or(&raw));
        }
    }
    ssh.truncated |= !is_complete;
}

/// Key exchange, encryption, MAC and compression that a side offers in one direction: 0 towards the server. The hash
/// of some of them would be another client's.
fn hassh_raw(kexinit: &[u8], towards: usize) -> Result<Vec<u8>, Malformed> {
    let places = [list::KEX, list::CIPHERS[towards], list::MACS[towards], list::COMPRESSIONS[towards]];
    let mut raw = Vec::new();
    for (nth, place) in places.into_iter().enumerate() {
        if nth > 0 {
            raw.push(b';');
        }
        raw.extend_from_slice(algorithms::read(kexinit, place)?);
    }
    Ok(raw)
}

fn fill_host_key(ssh: &mut record::Ssh, blob: &[u8]) {
    if blob.is_empty() {
        return;
    }
    let kind = string(&mut Cursor::new(blob)).map(|kind| kind.peek()).unwrap_or_default();
    push_escaped(&mut ssh.host_key_type, kind.get(..TEXT_MAX).unwrap_or(kind));
    ssh.host_key_fingerprint.push_str("SHA256:");
    push_base64(&mut ssh.host_key_fingerprint, &Sha256::digest(blob));
    // OpenSSH shows it without padding.
    let length = ssh.host_key_fingerprint.trim_end_matches('=').len();
    ssh.host_key_fingerprint.truncate(length);
}
