//! JA3 and JA3S (<https://github.com/salesforce/ja3>), and the client's JA4
//! (<https://github.com/FoxIO-LLC/ja4>, technical_details/JA4.md). The other methods of the JA4+ family have a
//! licence that forbids them here.

use md5::{Digest as _, Md5};
use sha2::Sha256;

use crate::digits::{push_hex, push_number};

use super::{
    ClientHello, ServerHello, Transport,
    extension::{self, vector_8},
    names::is_grease,
};

/// Fingerprints of a ClientHello.
#[derive(Debug, Default)]
pub(super) struct Fingerprints {
    pub(super) ja3_raw: String,
    pub(super) ja3: String,
    pub(super) ja4_raw: String,
    pub(super) ja4: String,
}

impl Fingerprints {
    pub(super) fn of(hello: &ClientHello<'_>, transport: Transport) -> Self {
        let mut all = Self { ja3_raw: ja3_raw(hello), ..Self::default() };
        push_hex(&mut all.ja3, &Md5::digest(&all.ja3_raw));
        push_ja4(&mut all, hello, transport);
        all
    }
}

/// Room for what browsers send.
const RAW_BYTES: usize = 256;

/// Version, cipher suites, extensions, groups and point formats, as decimal numbers.
fn ja3_raw(hello: &ClientHello<'_>) -> String {
    let mut raw = String::with_capacity(RAW_BYTES);
    push_number(&mut raw, hello.version);
    raw.push(',');
    push_decimal(&mut raw, hello.cipher_suites().filter(|&number| !is_grease(number)));
    raw.push(',');
    push_decimal(&mut raw, hello.extension_numbers().filter(|&number| !is_grease(number)));
    raw.push(',');
    push_decimal(&mut raw, hello.numbers_of(extension::SUPPORTED_GROUPS).filter(|&number| !is_grease(number)));
    raw.push(',');
    let formats = hello.extension(extension::EC_POINT_FORMATS).and_then(|mut body| vector_8(&mut body).ok());
    push_decimal(&mut raw, formats.iter().flat_map(|formats| formats.peek().iter().map(|&format| format.into())));
    raw
}

/// JA3S as text and as hash: version, cipher suite and extensions, as decimal numbers.
pub(super) fn ja3s(hello: &ServerHello<'_>) -> (String, String) {
    let mut raw = String::new();
    push_number(&mut raw, hello.version);
    raw.push(',');
    push_number(&mut raw, hello.cipher_suite);
    raw.push(',');
    push_decimal(&mut raw, hello.extension_numbers());
    let mut hash = String::new();
    push_hex(&mut hash, &Md5::digest(&raw));
    (raw, hash)
}

/// All of JA4.
const JA4_BYTES: usize = 36;

fn push_ja4(out: &mut Fingerprints, hello: &ClientHello<'_>, transport: Transport) {
    let mut cipher_suites: Vec<u16> = hello.cipher_suites().filter(|&number| !is_grease(number)).collect();
    let mut extensions: Vec<u16> = hello.extension_numbers().filter(|&number| !is_grease(number)).collect();
    let carrier = match transport {
        Transport::Tls => 't',
        Transport::Dtls => 'd',
        Transport::Quic => 'q',
    };
    let destination = if hello.extension(extension::SERVER_NAME).is_some() { 'd' } else { 'i' };
    let version = ja4_version(hello.newest_version());
    let [suite_count, extension_count] =
        [&cipher_suites, &extensions].map(|list| u8::try_from(list.len().min(99)).unwrap_or(99));
    let mut head = String::with_capacity(JA4_BYTES);
    head.push(carrier);
    head.push_str(version);
    head.push(destination);
    for count in [suite_count, extension_count] {
        if count < 10 {
            head.push('0');
        }
        push_number(&mut head, count);
    }
    push_ja4_alpn(&mut head, hello);

    cipher_suites.sort_unstable();
    // These two are told by the first part.
    extensions.retain(|&number| number != extension::SERVER_NAME && number != extension::ALPN);
    extensions.sort_unstable();
    let mut suites = String::with_capacity(RAW_BYTES);
    let mut rest = String::with_capacity(RAW_BYTES);
    push_hex_numbers(&mut suites, cipher_suites.into_iter());
    push_hex_numbers(&mut rest, extensions.into_iter());
    let algorithms = hello.numbers_of(extension::SIGNATURE_ALGORITHMS).filter(|&number| !is_grease(number));
    if algorithms.clone().next().is_some() {
        rest.push('_');
        push_hex_numbers(&mut rest, algorithms);
    }
    out.ja4_raw = [&*head, "_", &*suites, "_", &*rest].concat();
    out.ja4 = head;
    for list in [&suites, &rest] {
        out.ja4.push('_');
        push_ja4_hash(&mut out.ja4, list);
    }
}

fn ja4_version(version: u16) -> &'static str {
    match version {
        0x0002 => "s2",
        0x0300 => "s3",
        0x0301 => "10",
        0x0302 => "11",
        0x0303 => "12",
        0x0304 => "13",
        0xfeff => "d1",
        0xfefd => "d2",
        0xfefc => "d3",
        _ => "00",
    }
}

/// First and last character of the first protocol; of its hex digits where one of them is no letter or digit.
fn push_ja4_alpn(out: &mut String, hello: &ClientHello<'_>) {
    let protocol = hello.alpn_protocols().next();
    let protocol = protocol.map(|protocol| protocol.peek()).unwrap_or_default();
    let (Some(&first), Some(&last)) = (protocol.first(), protocol.last()) else {
        out.push_str("00");
        return;
    };
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        out.extend([char::from(first), char::from(last)]);
    } else {
        push_hex(out, &[first & 0xf0 | last & 0x0f]);
    }
}

/// The first 12 hex digits of the hash of a list.
fn push_ja4_hash(out: &mut String, list: &str) {
    if list.is_empty() {
        out.push_str("000000000000");
        return;
    }
    push_hex(out, Sha256::digest(list).get(..6).unwrap_or_default());
}

fn push_decimal(out: &mut String, numbers: impl Iterator<Item = u16>) {
    for (at, number) in numbers.enumerate() {
        if at > 0 {
            out.push('-');
        }
        push_number(out, number);
    }
}

fn push_hex_numbers(out: &mut String, numbers: impl Iterator<Item = u16>) {
    for (at, number) in numbers.enumerate() {
        if at > 0 {
            out.push(',');
        }
        push_hex(out, &number.to_be_bytes());
    }
}
