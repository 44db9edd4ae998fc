//! Names of DNS numbers (IANA "Domain Name System (DNS) Parameters") and of NetBIOS ones (RFC 1002 §4.2).

use super::{Flavour, text::push_number};

pub(super) mod rr_type {
    pub const A: u16 = 1;
    pub const NS: u16 = 2;
    pub const CNAME: u16 = 5;
    pub const SOA: u16 = 6;
    pub const PTR: u16 = 12;
    pub const MX: u16 = 15;
    pub const TXT: u16 = 16;
    pub const AAAA: u16 = 28;
    pub const SRV: u16 = 33;
    pub const OPT: u16 = 41;
    pub const HTTPS: u16 = 65;
    pub const ANY: u16 = 255;
    pub const NB: u16 = 32;
    pub const NBSTAT: u16 = 33;
}

pub(super) mod class {
    pub const IN: u16 = 1;
    pub const CH: u16 = 3;
    pub const HS: u16 = 4;
    pub const NONE: u16 = 254;
    pub const ANY: u16 = 255;
}

/// Opcode of stateful operations.
pub(super) const DSO: u8 = 6;

/// Name of an opcode; empty where it has none.
pub(super) fn opcode_name(flavour: Flavour, opcode: u8) -> &'static str {
    match (flavour, opcode) {
        (_, 0) => "QUERY",
        (Flavour::Nbns, 5) => "REGISTRATION",
        (Flavour::Nbns, 6) => "RELEASE",
        (Flavour::Nbns, 7) => "WACK",
        // RFC 1002 says 8 in one place and 9 in another.
        (Flavour::Nbns, 8 | 9) => "REFRESH",
        (Flavour::Nbns, 15) => "MULTIHOMED-REGISTRATION",
        (Flavour::Nbns, _) => "",
        (_, 1) => "IQUERY",
        (_, 2) => "STATUS",
        (_, 4) => "NOTIFY",
        (_, 5) => "UPDATE",
        (_, 6) => "DSO",
        _ => "",
    }
}

/// Name of a response code; empty where it has none.
pub(super) fn rcode_name(flavour: Flavour, rcode: u16) -> &'static str {
    match (flavour, rcode) {
        (_, 0) => "NOERROR",
        (Flavour::Nbns, 1) => "FMT_ERR",
        (Flavour::Nbns, 2) => "SRV_ERR",
        (Flavour::Nbns, 3) => "NAM_ERR",
        (Flavour::Nbns, 4) => "IMP_ERR",
        (Flavour::Nbns, 5) => "RFS_ERR",
        (Flavour::Nbns, 6) => "ACT_ERR",
        (Flavour::Nbns, 7) => "CFT_ERR",
        (Flavour::Nbns, _) => "",
        (_, 1) => "FORMERR",
        (_, 2) => "SERVFAIL",
        (_, 3) => "NXDOMAIN",
        (_, 4) => "NOTIMP",
        (_, 5) => "REFUSED",
        (_, 6) => "YXDOMAIN",
        (_, 7) => "YXRRSET",
        (_, 8) => "NXRRSET",
        (_, 9) => "NOTAUTH",
        (_, 10) => "NOTZONE",
        (_, 11) => "DSOTYPENI",
        (_, 16) => "BADVERS",
        (_, 17) => "BADKEY",
        (_, 18) => "BADTIME",
        (_, 19) => "BADMODE",
        (_, 20) => "BADNAME",
        (_, 21) => "BADALG",
        (_, 22) => "BADTRUNC",
        (_, 23) => "BADCOOKIE",
        _ => "",
    }
}

/// Appends the error code of TSIG and TKEY: its name, else its number (RFC 8945 §3, RFC 2930 §2.6).
pub(super) fn push_signature_error(out: &mut String, code: u16) {
    match rcode_name(Flavour::Dns, code) {
        "BADVERS" => out.push_str("BADSIG"),
        "" => push_number(out, code),
        name => out.push_str(name),
    }
}

/// Appends the name of a class, `CLASS1234` where it has none (RFC 3597 §5).
pub(super) fn push_class(out: &mut String, class: u16) {
    match class {
        class::IN => out.push_str("IN"),
        class::CH => out.push_str("CH"),
        class::HS => out.push_str("HS"),
        class::NONE => out.push_str("NONE"),
        class::ANY => out.push_str("ANY"),
        _ => {
            out.push_str("CLASS");
            push_number(out, class);
        }
    }
}

/// Appends the name of a type, `TYPE1234` where it has none (RFC 3597 §5).
pub(super) fn push_type(out: &mut String, flavour: Flavour, number: u16) {
    match type_name(flavour, number) {
        "" => {
            out.push_str("TYPE");
            push_number(out, number);
        }
        name => out.push_str(name),
    }
}

fn type_name(flavour: Flavour, number: u16) -> &'static str {
    match number {
        rr_type::NB if flavour == Flavour::Nbns => "NB",
        rr_type::NBSTAT if flavour == Flavour::Nbns => "NBSTAT",
        1 => "A",
        2 => "NS",
        3 => "MD",
        4 => "MF",
        5 => "CNAME",
        6 => "SOA",
        7 => "MB",
        8 => "MG",
        9 => "MR",
        10 => "NULL",
        11 => "WKS",
        12 => "PTR",
        13 => "HINFO",
        14 => "MINFO",
        15 => "MX",
        16 => "TXT",
        17 => "RP",
        18 => "AFSDB",
        19 => "X25",
        20 => "ISDN",
        21 => "RT",
        22 => "NSAP",
        23 => "NSAP-PTR",
        24 => "SIG",
        25 => "KEY",
        26 => "PX",
        27 => "GPOS",
        28 => "AAAA",
        29 => "LOC",
        30 => "NXT",
        31 => "EID",
        32 => "NIMLOC",
        33 => "SRV",
        34 => "ATMA",
        35 => "NAPTR",
        36 => "KX",
        37 => "CERT",
        38 => "A6",
        39 => "DNAME",
        40 => "SINK",
        41 => "OPT",
        42 => "APL",
        43 => "DS",
        44 => "SSHFP",
        45 => "IPSECKEY",
        46 => "RRSIG",
        47 => "NSEC",
        48 => "DNSKEY",
        49 => "DHCID",
        50 => "NSEC3",
        51 => "NSEC3PARAM",
        52 => "TLSA",
        53 => "SMIMEA",
        55 => "HIP",
        56 => "NINFO",
        57 => "RKEY",
        58 => "TALINK",
        59 => "CDS",
        60 => "CDNSKEY",
        61 => "OPENPGPKEY",
        62 => "CSYNC",
        63 => "ZONEMD",
        64 => "SVCB",
        65 => "HTTPS",
        66 => "DSYNC",
        67 => "HHIT",
        68 => "BRID",
        99 => "SPF",
        100 => "UINFO",
        101 => "UID",
        102 => "GID",
        103 => "UNSPEC",
        104 => "NID",
        105 => "L32",
        106 => "L64",
        107 => "LP",
        108 => "EUI48",
        109 => "EUI64",
        128 => "NXNAME",
        249 => "TKEY",
        250 => "TSIG",
        251 => "IXFR",
        252 => "AXFR",
        253 => "MAILB",
        254 => "MAILA",
        255 => "ANY",
        256 => "URI",
        257 => "CAA",
        258 => "AVC",
        259 => "DOA",
        260 => "AMTRELAY",
        261 => "RESINFO",
        262 => "WALLET",
        263 => "CLA",
        264 => "IPN",
        32768 => "TA",
        32769 => "DLV",
        _ => "",
    }
}

/// Name of an option of EDNS; empty where it has none.
pub(super) fn option_name(code: u16) -> &'static str {
    match code {
        1 => "llq",
        2 => "update-lease",
        3 => "nsid",
        4 => "owner",
        5 => "dau",
        6 => "dhu",
        7 => "n3u",
        8 => "client-subnet",
        9 => "expire",
        10 => "cookie",
        11 => "tcp-keepalive",
        12 => "padding",
        13 => "chain",
        14 => "key-tag",
        15 => "extended-error",
        16 => "client-tag",
        17 => "server-tag",
        18 => "report-channel",
        19 => "zoneversion",
        20292 => "umbrella-ident",
        26946 => "device-id",
        _ => "",
    }
}

/// Name of an extended error (RFC 8914 §5.2); empty where it has none.
pub(super) fn extended_error_name(code: u16) -> &'static str {
    match code {
        0 => "Other Error",
        1 => "Unsupported DNSKEY Algorithm",
        2 => "Unsupported DS Digest Type",
        3 => "Stale Answer",
        4 => "Forged Answer",
        5 => "DNSSEC Indeterminate",
        6 => "DNSSEC Bogus",
        7 => "Signature Expired",
        8 => "Signature Not Yet Valid",
        9 => "DNSKEY Missing",
        10 => "RRSIGs Missing",
        11 => "No Zone Key Bit Set",
        12 => "NSEC Missing",
        13 => "Cached Error",
        14 => "Not Ready",
        15 => "Blocked",
        16 => "Censored",
        17 => "Filtered",
        18 => "Prohibited",
        19 => "Stale NXDOMAIN Answer",
        20 => "Not Authoritative",
        21 => "Not Supported",
        22 => "No Reachable Authority",
        23 => "Network Error",
        24 => "Invalid Data",
        25 => "Signature Expired before Valid",
        26 => "Too Early",
        27 => "Unsupported NSEC3 Iterations Value",
        28 => "Unable to conform to policy",
        29 => "Synthesized",
        30 => "Invalid Query Type",
        _ => "",
    }
}

/// Appends the name of a parameter of SVCB, `key1234` where it has none (RFC 9460 §2.1).
pub(super) fn push_service_key(out: &mut String, key: u16) {
    let name = match key {
        0 => "mandatory",
        1 => "alpn",
        2 => "no-default-alpn",
        3 => "port",
        4 => "ipv4hint",
        5 => "ech",
        6 => "ipv6hint",
        7 => "dohpath",
        8 => "ohttp",
        9 => "tls-supported-groups",
        10 => "docpath",
        _ => {
            out.push_str("key");
            return push_number(out, key);
        }
    };
    out.push_str(name);
}
