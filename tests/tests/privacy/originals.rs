//! The addresses of captures, in all forms in which a record could tell them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use weir_contract::Holds;

use crate::Records;
use crate::fields::{Value, visit};

/// Addresses, and what was computed from them.
pub struct Originals {
    /// As text, with what may not stand before or behind it: another text would be meant.
    texts: HashMap<String, fn(char) -> bool>,
    /// Beginnings of `texts`, and the lengths of those that begin so.
    beginnings: HashMap<[u8; 3], BTreeSet<usize>>,
    /// As they were on the wire.
    octets: HashSet<Vec<u8>>,
}

impl fmt::Display for Originals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} texts and {} addresses on the wire", self.texts.len(), self.octets.len())
    }
}

fn is_decimal(letter: char) -> bool {
    letter.is_ascii_digit()
}

fn is_hex(letter: char) -> bool {
    letter.is_ascii_hexdigit() || letter == ':'
}

fn is_letter(letter: char) -> bool {
    letter.is_ascii_alphanumeric()
}

impl Originals {
    /// Those in fields that hold nothing else; where addresses are truncated only those of which nothing stays.
    pub fn of(records: &Records, truncated: bool) -> Self {
        let mut texts = BTreeSet::new();
        let mut octets = HashSet::new();
        for (&record_type, records) in records {
            for record in records {
                visit(record_type, record, &mut |_, field, value| {
                    let Value::Text(text) = value else { return };
                    let text = std::str::from_utf8(text).unwrap();
                    match field.holds {
                        Holds::Ip => {
                            let Ok(address) = text.parse::<IpAddr>() else { return };
                            add_ip(address, truncated, &mut texts, &mut octets);
                        }
                        Holds::Mac => add_mac(text, truncated, &mut texts, &mut octets),
                        Holds::Uid | Holds::CommunityId if !text.is_empty() => {
                            texts.insert((text.to_owned(), 2));
                        }
                        _ => {}
                    }
                });
            }
        }
        let boundaries: [fn(char) -> bool; 3] = [is_decimal, is_hex, is_letter];
        let texts: HashMap<_, _> = texts.into_iter().map(|(text, boundary)| (text, boundaries[boundary])).collect();
        let mut beginnings: HashMap<_, BTreeSet<usize>> = HashMap::new();
        for text in texts.keys() {
            beginnings.entry(*text.as_bytes().first_chunk().unwrap()).or_default().insert(text.len());
        }
        assert!(texts.len() > 100, "captures have addresses");
        Self { texts, beginnings, octets }
    }

    /// An original that is in a text.
    pub fn in_text<'a>(&self, text: &'a str) -> Option<&'a str> {
        text.as_bytes().array_windows().enumerate().find_map(|(at, beginning)| {
            self.beginnings.get(beginning)?.iter().find_map(|length| {
                let found = text.get(at..at + length)?;
                let goes_on = self.texts.get(found)?;
                let before = text[..at].chars().next_back();
                let behind = text[at + length..].chars().next();
                let is_other = before.is_some_and(goes_on) || behind.is_some_and(goes_on);
                (!is_other).then_some(found)
            })
        })
    }

    /// An original that is in bytes as they were on the wire.
    pub fn in_bytes(&self, bytes: &[u8]) -> Option<String> {
        let found =
            [4, 6, 16].into_iter().flat_map(|length| bytes.windows(length)).find(|part| self.octets.contains(*part));
        found.map(|octets| format!("{octets:02x?}"))
    }
}

fn add_ip(address: IpAddr, truncated: bool, texts: &mut BTreeSet<(String, usize)>, octets: &mut HashSet<Vec<u8>>) {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            if truncated && d == 0 {
                return;
            }
            texts.insert((address.to_string(), 0));
            texts.insert((format!("{d}.{c}.{b}.{a}.in-addr.arpa"), 0));
            octets.insert(address.octets().to_vec());
        }
        IpAddr::V6(address) => {
            // Short ones are also what IPv4 addresses are mapped by, and a part of many others.
            if is_well_known(address) || truncated && address.octets()[6..].iter().all(|&octet| octet == 0) {
                return;
            }
            texts.insert((address.to_string(), 1));
            let nibbles = address.octets().into_iter().rev().flat_map(|octet| [octet & 15, octet >> 4]);
            let labels: String = nibbles.map(|nibble| format!("{nibble:x}.")).collect();
            texts.insert((format!("{labels}ip6.arpa"), 1));
            octets.insert(address.octets().to_vec());
        }
    }
}

/// One that tells nobody.
fn is_well_known(address: Ipv6Addr) -> bool {
    address.is_unspecified() || address.is_loopback() || address.to_ipv4_mapped().is_some()
}

fn add_mac(text: &str, truncated: bool, texts: &mut BTreeSet<(String, usize)>, octets: &mut HashSet<Vec<u8>>) {
    let parsed: Vec<u8> = text.split(':').filter_map(|octet| u8::from_str_radix(octet, 16).ok()).collect();
    if parsed.len() < 6
        || parsed.iter().all(|&octet| octet == 0)
        || truncated && parsed[3..].iter().all(|&octet| octet == 0)
    {
        return;
    }
    texts.insert((text.to_owned(), 1));
    texts.insert((text.replace(':', "-"), 2));
    octets.insert(parsed);
}
