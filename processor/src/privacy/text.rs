//! Finds addresses in text from the wire, in the forms that people and programs write:
//!
//! - IPv4, `192.0.2.1`, also where a port follows as a fifth number; six numbers and more are an object identifier;
//! - IPv6 as in RFC 4291 §2.2, with or without brackets, zone, prefix length or port around it;
//! - link-layer addresses of six octets, `00:00:5e:00:53:01` or with `-`;
//! - names of reverse lookups, also of networks: `2.0.192.in-addr.arpa` (RFC 1035 §3.5), `….ip6.arpa` (RFC 3596 §2.5).
//!
//! Four numbers below 256 with dots between them are taken for an address whatever they were meant for.

#[cfg(test)]
mod tests;

use std::{
    io::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// What stands in an address's place; `None` for nothing.
pub trait Veil {
    /// For an IP address.
    fn ip(&mut self, address: IpAddr) -> Option<IpAddr>;
    /// For a link-layer address.
    fn mac(&mut self, octets: [u8; 6]) -> Option<[u8; 6]>;
}

/// Bytes of a link-layer address as text.
const MAC_BYTES: usize = 17;

/// Appends text with all addresses replaced that can be found in it. What isn't found stays as it is.
pub fn push_veiled(text: &[u8], out: &mut Vec<u8>, veil: &mut impl Veil) {
    if !text.iter().any(|byte| matches!(byte, b'.' | b':' | b'-')) {
        return out.extend_from_slice(text);
    }
    let mut scan = Scan { text, out, veil };
    let mut copied = 0;
    let mut at = 0;
    let mut behind_escape = 0;
    while let Some(&byte) = text.get(at) {
        if byte == b'\\' {
            // An escaped byte, `\x0a`: its digits are no part of an address behind it, nor of a word.
            at += if text.get(at + 1) == Some(&b'x') { 4 } else { 1 };
            behind_escape = at;
            continue;
        }
        if !is_part(byte) {
            at += 1;
            continue;
        }
        let rest = text.get(at..).unwrap_or_default();
        let length = rest.iter().position(|&byte| !is_part(byte)).unwrap_or(rest.len());
        let (run, after) = rest.split_at(length);
        let before = at.checked_sub(1).filter(|_| at > behind_escape).and_then(|before| text.get(before)).copied();
        if let Some(octets) = dashed_mac(before, run, after, rest) {
            scan.copy(copied, at);
            scan.push_mac(octets, b'-');
            at += MAC_BYTES;
            copied = at;
        } else if run.iter().any(|byte| matches!(byte, b'.' | b':')) {
            scan.copy(copied, at);
            scan.push_run(before, run, after);
            at += length;
            copied = at;
        } else {
            at += length;
        }
    }
    scan.copy(copied, text.len());
}

/// Whether the byte can be part of an address.
fn is_part(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')
}

/// A link-layer address with `-`, at the begin of `rest`.
fn dashed_mac(before: Option<u8>, run: &[u8], after: &[u8], rest: &[u8]) -> Option<[u8; 6]> {
    let goes_on = |byte: Option<&u8>| byte.is_some_and(|&byte| byte == b'-' || byte.is_ascii_hexdigit());
    if run.len() != 2 || after.first() != Some(&b'-') || before == Some(b'-') || goes_on(rest.get(MAC_BYTES)) {
        return None;
    }
    parse_mac(rest.get(..MAC_BYTES)?, b'-')
}

fn parse_mac(text: &[u8], separator: u8) -> Option<[u8; 6]> {
    let mut octets = [0; 6];
    if parse_octets(text, separator, &mut octets)? == octets.len() { Some(octets) } else { None }
}

/// Reads octets of two hex digits with a separator between, and says how many. `None` where the text is anything else,
/// or has more of them than there is place for.
pub fn parse_octets(text: &[u8], separator: u8, octets: &mut [u8]) -> Option<usize> {
    let mut count = 0;
    for group in text.split(|&byte| byte == separator) {
        let &[high, low] = group else { return None };
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *octets.get_mut(count)? = digit(high)? << 4 | digit(low)?;
        count += 1;
    }
    Some(count)
}

/// Appends octets as two hex digits each.
pub fn push_octets(out: &mut Vec<u8>, octets: &[u8], separator: u8) {
    for (at, octet) in octets.iter().enumerate() {
        if at > 0 {
            out.push(separator);
        }
        out.extend([octet >> 4, octet & 15].map(hex_digit));
    }
}

fn hex_digit(nibble: u8) -> u8 {
    b"0123456789abcdef".get(usize::from(nibble)).copied().unwrap_or(b'0')
}

struct Scan<'a, V> {
    text: &'a [u8],
    out: &'a mut Vec<u8>,
    veil: &'a mut V,
}

impl<V: Veil> Scan<'_, V> {
    fn copy(&mut self, from: usize, to: usize) {
        self.out.extend_from_slice(self.text.get(from..to).unwrap_or_default());
    }

    fn push_mac(&mut self, octets: [u8; 6], separator: u8) {
        if let Some(octets) = self.veil.mac(octets) {
            push_octets(self.out, &octets, separator);
        }
    }

    fn push_ip(&mut self, address: IpAddr) {
        if let Some(address) = self.veil.ip(address) {
            // Writing to a `Vec` does not fail.
            let _ = write!(self.out, "{address}");
        }
    }

    /// Appends hex digits, colons and dots. `before` and `after` are what stands around them.
    fn push_run(&mut self, before: Option<u8>, run: &[u8], after: &[u8]) {
        let mut run = run;
        if count(run, b':') >= 2 {
            // The end of a word, such as of `ipv6:`, is no group of an address.
            if before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                && let Some(colon) = run.iter().position(|&byte| byte == b':')
            {
                let (word, rest) = run.split_at(colon + 1);
                self.out.extend_from_slice(word);
                run = rest;
            }
            if let Some(found) = find_colons(run) {
                self.push_dotted_parts(found.before, &[]);
                match found.address {
                    Colons::Ip(address) => self.push_ip(address.into()),
                    Colons::Mac(octets) => self.push_mac(octets, b':'),
                }
                return self.push_dotted_parts(found.after, after);
            }
        }
        self.push_dotted_parts(run, after);
    }

    /// Appends text in which colons only separate.
    fn push_dotted_parts(&mut self, run: &[u8], after: &[u8]) {
        let mut parts = run.split_inclusive(|&byte| byte == b':').peekable();
        while let Some(part) = parts.next() {
            let after = if parts.peek().is_some() { &[] } else { after };
            self.push_dotted(part, after);
        }
    }

    /// Appends text in which only dots can be part of an address.
    fn push_dotted(&mut self, part: &[u8], after: &[u8]) {
        if starts_with(after, b"ip6.arpa")
            && let Some(nibbles) = reversed_nibbles(part)
        {
            return self.push_reversed_v6(&nibbles);
        }
        let is_digit = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
        let mut rest = part;
        while !rest.is_empty() {
            let begin = rest.iter().position(is_digit).unwrap_or(rest.len());
            let (other, numbers) = rest.split_at(begin);
            let end = numbers.iter().position(|byte| !is_digit(byte)).unwrap_or(numbers.len());
            let (numbers, behind) = numbers.split_at(end);
            self.out.extend_from_slice(other);
            self.push_numbers(numbers, if behind.is_empty() { after } else { &[] });
            rest = behind;
        }
    }

    /// Appends numbers with dots between and around them.
    fn push_numbers(&mut self, numbers: &[u8], after: &[u8]) {
        let leading = numbers.iter().take_while(|&&byte| byte == b'.').count();
        let (dots, rest) = numbers.split_at(leading);
        let length = rest.iter().rposition(|&byte| byte != b'.').map_or(0, |last| last + 1);
        let (body, trailing) = rest.split_at(length);
        self.out.extend_from_slice(dots);
        if trailing == b"." && starts_with(after, b"in-addr.arpa") {
            return self.push_reversed_v4(body);
        }
        let dots = count(body, b'.');
        let from = match dots {
            3 => parse_v4(body).map(|address| (address, 0..0, body.len())),
            // A port behind an address as some programs write it, or a number before one.
            4 => {
                let last = body.iter().rposition(|&byte| byte == b'.').unwrap_or(0);
                let first = body.iter().position(|&byte| byte == b'.').map_or(0, |dot| dot + 1);
                let (front, back) = (body.get(..last).unwrap_or_default(), body.get(first..).unwrap_or_default());
                let at_front = parse_v4(front).map(|address| (address, 0..0, last));
                at_front.or_else(|| parse_v4(back).map(|address| (address, 0..first, body.len())))
            }
            _ => None,
        };
        match from {
            Some((address, front, end)) => {
                self.out.extend_from_slice(body.get(front).unwrap_or_default());
                self.push_ip(address.into());
                self.out.extend_from_slice(body.get(end..).unwrap_or_default());
            }
            None => self.out.extend_from_slice(body),
        }
        self.out.extend_from_slice(trailing);
    }

    /// Appends the labels before `in-addr.arpa`, and the dot: an address's last octet first, or those of a network.
    fn push_reversed_v4(&mut self, labels: &[u8]) {
        let mut octets = [0; 4];
        let total = count(labels, b'.') + 1;
        let known = total.min(4);
        // What stands before an address delegates parts of a network (RFC 2317).
        let mut skipped = 0;
        let mut all_numbers = true;
        for (at, label) in labels.split(|&byte| byte == b'.').enumerate() {
            match (total - at).checked_sub(1).and_then(|place| octets.get_mut(place)) {
                None => skipped += label.len() + 1,
                Some(octet) => match parse_octet(label) {
                    Some(value) => *octet = value,
                    None => all_numbers = false,
                },
            }
        }
        if !all_numbers {
            self.out.extend_from_slice(labels);
            return self.out.push(b'.');
        }
        self.out.extend_from_slice(labels.get(..skipped).unwrap_or_default());
        if let Some(IpAddr::V4(address)) = self.veil.ip(Ipv4Addr::from(octets).into()) {
            for octet in address.octets().iter().take(known).rev() {
                let _ = write!(self.out, "{octet}.");
            }
        }
    }

    /// Appends the labels before `ip6.arpa`, and the dot.
    fn push_reversed_v6(&mut self, nibbles: &[u8]) {
        let mut octets = [0u8; 16];
        for (at, nibble) in nibbles.iter().rev().enumerate() {
            if let Some(octet) = octets.get_mut(at / 2) {
                *octet |= if at % 2 == 0 { nibble << 4 } else { *nibble };
            }
        }
        if let Some(IpAddr::V6(address)) = self.veil.ip(Ipv6Addr::from(octets).into()) {
            let veiled = address.octets();
            for at in (0..nibbles.len()).rev() {
                let octet = veiled.get(at / 2).copied().unwrap_or_default();
                let nibble = if at % 2 == 0 { octet >> 4 } else { octet & 15 };
                self.out.extend([hex_digit(nibble), b'.']);
            }
        }
    }
}

fn count(text: &[u8], byte: u8) -> usize {
    text.iter().filter(|&&other| other == byte).count()
}

fn starts_with(text: &[u8], word: &[u8]) -> bool {
    text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
}

fn parse_octet(text: &[u8]) -> Option<u8> {
    if text.is_empty() || text.len() > 3 {
        return None;
    }
    let value = text.iter().try_fold(0, |value, byte| {
        let digit = byte.is_ascii_digit().then(|| u16::from(byte - b'0'))?;
        Some(10 * value + digit)
    })?;
    u8::try_from(value).ok()
}

/// Four numbers; zeros may stand before them.
fn parse_v4(text: &[u8]) -> Option<Ipv4Addr> {
    let mut octets = [0; 4];
    let mut labels = text.split(|&byte| byte == b'.');
    for octet in &mut octets {
        *octet = parse_octet(labels.next()?)?;
    }
    labels.next().is_none().then(|| octets.into())
}

/// Single hex digits, each with a dot behind it: at most 32.
fn reversed_nibbles(part: &[u8]) -> Option<Vec<u8>> {
    let (pairs, []) = part.as_chunks::<2>() else { return None };
    if pairs.is_empty() || pairs.len() > 32 {
        return None;
    }
    let nibble = |&[digit, dot]: &[u8; 2]| {
        let digit = char::from(digit).to_digit(16).filter(|_| dot == b'.')?;
        u8::try_from(digit).ok()
    };
    pairs.iter().map(nibble).collect()
}

enum Colons {
    Ip(Ipv6Addr),
    Mac([u8; 6]),
}

/// An address with colons, and what stands around it in its run.
struct Found<'a> {
    before: &'a [u8],
    address: Colons,
    after: &'a [u8],
}

/// Looks for an address: all of the run but what punctuates it, or all but the last group, which may be a port, or all
/// but the first.
fn find_colons(run: &[u8]) -> Option<Found<'_>> {
    let dots = run.iter().rev().take_while(|&&byte| byte == b'.').count();
    let mut end = run.len() - dots;
    let body = run.get(..end)?;
    if body.ends_with(b":") && !body.ends_with(b"::") {
        end -= 1;
    }
    let begin = usize::from(body.starts_with(b":") && !body.starts_with(b"::"));
    let body = run.get(begin..end)?;
    let last = body.iter().rposition(|&byte| byte == b':').unwrap_or(0);
    let first = body.iter().position(|&byte| byte == b':').map_or(0, |colon| colon + 1);
    [(begin, end), (begin, begin + last), (begin + first, end)].into_iter().find_map(|(begin, end)| {
        let address = parse_colons(run.get(begin..end)?)?;
        Some(Found { before: run.get(..begin)?, address, after: run.get(end..)? })
    })
}

fn parse_colons(text: &[u8]) -> Option<Colons> {
    if let Some(octets) = parse_mac(text, b':') {
        return Some(Colons::Mac(octets));
    }
    std::str::from_utf8(text).ok()?.parse().ok().map(Colons::Ip)
}
