//! The lists of a KEXINIT (RFC 4253 §7.1).

use weir_contract::{Spares, record::SshAlgorithms, text::push_escaped};

use super::string;
use crate::{
    cursor::{Cursor, Malformed},
    limits::{LIST_MAX, TEXT_MAX},
};

/// Random bytes before the lists.
const COOKIE_BYTES: usize = 16;

/// Lists before those of languages.
pub(super) const LISTS: usize = 8;

/// All lists, with two of languages.
const ALL_LISTS: usize = 10;

/// Lists of the algorithms by their place.
pub(super) mod list {
    pub(in crate::stream::ssh) const KEX: usize = 0;
    pub(in crate::stream::ssh) const CIPHERS: [usize; 2] = [2, 3];
    pub(in crate::stream::ssh) const MACS: [usize; 2] = [4, 5];
    pub(in crate::stream::ssh) const COMPRESSIONS: [usize; 2] = [6, 7];
}

/// The list at a place, as sent: names with commas between. Empty where the message ends before it.
fn list_at(kexinit: &[u8], place: usize) -> &[u8] {
    read(kexinit, place).unwrap_or_default()
}

/// The list at a place; an error where the message ends before it.
pub(super) fn read(kexinit: &[u8], place: usize) -> Result<&[u8], Malformed> {
    let mut input = Cursor::new(kexinit);
    input.skip(COOKIE_BYTES)?;
    for _ in 0..place {
        string(&mut input)?;
    }
    string(&mut input).map(|list| list.peek())
}

/// Names of a list.
fn names(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == b',').filter(|name| !name.is_empty())
}

/// What client and server agree on in a list: the client's first that the server knows.
pub(super) fn agreed<'a>(client: &'a [u8], server: &[u8], place: usize) -> Option<&'a [u8]> {
    /// Names that signal an extension, and are no algorithm (RFC 8308 §2.1, OpenSSH's PROTOCOL §1.9).
    const SIGNALS: [&[u8]; 4] =
        [b"ext-info-c", b"ext-info-s", b"kex-strict-c-v00@openssh.com", b"kex-strict-s-v00@openssh.com"];
    let known = list_at(server, place);
    let is_known = |name: &&[u8]| !SIGNALS.contains(name) && names(known).any(|known| known == *name);
    names(list_at(client, place)).find(is_known)
}

/// Whether all lists are there.
pub(super) fn is_whole(kexinit: &[u8]) -> bool {
    read(kexinit, ALL_LISTS - 1).is_ok()
}

/// Fills what a side offers; false where something had to be left out.
pub(super) fn fill(out: &mut SshAlgorithms, kexinit: &[u8], spares: &mut Spares) -> bool {
    let lists: [&mut Vec<String>; LISTS] = [
        &mut out.kex,
        &mut out.host_key,
        &mut out.ciphers_client_to_server,
        &mut out.ciphers_server_to_client,
        &mut out.macs_client_to_server,
        &mut out.macs_server_to_client,
        &mut out.compressions_client_to_server,
        &mut out.compressions_server_to_client,
    ];
    let mut is_complete = is_whole(kexinit);
    for (place, list) in lists.into_iter().enumerate() {
        for name in names(list_at(kexinit, place)) {
            if list.len() == LIST_MAX {
                is_complete = false;
                break;
            }
            is_complete &= name.len() <= TEXT_MAX;
            let mut text = spares.take_string();
            push_escaped(&mut text, name.get(..TEXT_MAX).unwrap_or(name));
            list.push(text);
        }
    }
    out.first_kex_packet_follows = follows(kexinit).unwrap_or_default();
    is_complete
}

fn follows(kexinit: &[u8]) -> Result<bool, Malformed> {
    let mut input = Cursor::new(kexinit);
    input.skip(COOKIE_BYTES)?;
    for _ in 0..ALL_LISTS {
        string(&mut input)?;
    }
    input.u8().map(|flag| flag != 0)
}
