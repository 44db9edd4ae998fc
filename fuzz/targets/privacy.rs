//! Any bytes as a record of any type, any text in any field, and packets through the engine: whatever becomes of
//! addresses, a record stays a record and of bounded length, and no address is left where the rules find it.
#![no_main]

use std::{cell::RefCell, fs, net::IpAddr, process, sync::LazyLock};

use libfuzzer_sys::fuzz_target;
use prost_reflect::{
    DescriptorPool, DynamicMessage, Value,
    prost::encoding::{WireType, encode_key, encode_varint},
};
use weir::privacy::{Addresses, PrivacyConfig, Rewriter};
use weir_contract::{DESCRIPTORS, FieldInfo, FieldKind, Holds, RecordType};
use weir_engine::Limits;
use weir_fuzz::{Bytes, OwnedPacket, Run};

const LIMITS: Limits = Limits { flows: 16, fragment_bytes: 1 << 12, stream_bytes: 1 << 14 };

/// How much longer a record may get: `:: ` becomes an address of 39 bytes and a blank.
const GROWTH_MAX: usize = 16;

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| DescriptorPool::decode(DESCRIPTORS).unwrap());

/// All fields for text: a record type, and their numbers from the outermost message.
static TEXTS: LazyLock<Vec<(RecordType, Vec<u32>)>> = LazyLock::new(|| {
    let mut texts = Vec::new();
    for info in RecordType::all() {
        let (meta, own) = info.meta_and_own();
        add_texts(info.record_type, &[1], meta, &mut texts);
        add_texts(info.record_type, &[], own, &mut texts);
    }
    texts
});

thread_local! {
    static REWRITERS: RefCell<[(Addresses, Rewriter); 3]> = RefCell::new(rewriters());
}

fuzz_target!(|input: &[u8]| {
    let mut input = Bytes::new(input);
    match input.u8() % 3 {
        0 => {
            let id = u32::from(input.u16());
            if let Some(info) = RecordType::all().iter().find(|info| info.id == id) {
                check(info.record_type, input.rest());
            }
        }
        1 => {
            let (record_type, path) = &TEXTS[usize::from(input.u16()) % TEXTS.len()];
            let mut record = String::from_utf8_lossy(input.rest()).into_owned().into_bytes();
            for &number in path.iter().rev() {
                record = delimited(number, &record);
            }
            check(*record_type, &record);
        }
        _ => {
            let packets = OwnedPacket::read_all(input, |input, _| (input.u16(), input.message().to_vec()));
            for (record_type, record) in Run::whole(&packets, LIMITS).records {
                check(record_type, &record);
            }
        }
    }
});

fn rewriters() -> [(Addresses, Rewriter); 3] {
    let key = std::env::temp_dir().join(format!("weir-fuzz-key-{}", process::id()));
    fs::write(&key, "00112233445566778899aabbccddeeffffeeddccbbaa99887766554433221100").unwrap();
    let rewriters = [Addresses::Truncate, Addresses::Drop, Addresses::Pseudonymise].map(|addresses| {
        let config = PrivacyConfig { addresses: Some(addresses), address_key_file: Some(key.clone()) };
        (addresses, Rewriter::new(&config.privacy().unwrap().unwrap()))
    });
    fs::remove_file(&key).unwrap();
    rewriters
}

fn add_texts(of: RecordType, parents: &[u32], fields: &[FieldInfo], texts: &mut Vec<(RecordType, Vec<u32>)>) {
    for field in fields {
        let path = [parents, &[field.number]].concat();
        match field.kind {
            FieldKind::String => texts.push((of, path)),
            FieldKind::Message(_) => add_texts(of, &path, field.fields, texts),
            _ => {}
        }
    }
}

fn delimited(number: u32, value: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    encode_key(number, WireType::LengthDelimited, &mut field);
    encode_varint(value.len() as u64, &mut field);
    field.extend_from_slice(value);
    field
}

fn check(record_type: RecordType, record: &[u8]) {
    let info = record_type.info();
    let descriptor = POOL.get_message_by_name(&format!("weir.v1.{}", info.message)).unwrap();
    let is_record = DynamicMessage::decode(descriptor.clone(), record).is_ok();
    REWRITERS.with_borrow_mut(|rewriters| {
        for (addresses, rewriter) in rewriters {
            let mut out = Vec::new();
            rewriter.push(record_type, record, &mut out);
            assert!(out.len() <= GROWTH_MAX * record.len(), "{} bytes became {}", record.len(), out.len());
            let length = out.len();
            rewriter.push(record_type, record, &mut out);
            assert_eq!(out[..length], out[length..], "what is remembered is what was computed");
            if is_record {
                let veiled = DynamicMessage::decode(descriptor.clone(), &out[..length]).unwrap();
                let (meta, own) = info.meta_and_own();
                if let Value::Message(of_all) = &*veiled.get_field_by_number(1).unwrap() {
                    check_message(of_all, meta, *addresses);
                }
                check_message(&veiled, own, *addresses);
            }
        }
    });
}

fn check_message(message: &DynamicMessage, fields: &[FieldInfo], addresses: Addresses) {
    for field in fields {
        match &*message.get_field_by_number(field.number).unwrap() {
            Value::List(items) => items.iter().for_each(|item| check_value(item, field, addresses)),
            value => check_value(value, field, addresses),
        }
    }
}

fn check_value(value: &Value, field: &FieldInfo, addresses: Addresses) {
    match value {
        Value::Message(message) => check_message(message, field.fields, addresses),
        Value::Bytes(bytes) => assert!(field.holds == Holds::NoAddress || bytes.is_empty(), "{}", field.name),
        Value::String(text) => {
            assert!(
                is_veiled(text, field.holds, addresses),
                "{}: {text} where addresses are {addresses:?}",
                field.name
            );
        }
        _ => {}
    }
}

fn is_veiled(text: &str, holds: Holds, addresses: Addresses) -> bool {
    match (holds, addresses) {
        (Holds::NoAddress, _) => true,
        (Holds::Opaque, _) => text.is_empty(),
        (Holds::Uid, _) => text.is_empty() || text.len() == 17 && text.bytes().all(|byte| byte.is_ascii_alphanumeric()),
        (Holds::CommunityId, Addresses::Pseudonymise) => text.is_empty() || text.len() == 30 && text.starts_with("k:"),
        (Holds::CommunityId, _) => text.is_empty(),
        (Holds::Ip | Holds::Mac, Addresses::Drop) => text.is_empty(),
        (Holds::Ip, Addresses::Truncate) => {
            text.is_empty() || is_network(text).or_else(|| is_manufacturer(text, ':')) == Some(true)
        }
        (Holds::Mac, Addresses::Truncate) => text.is_empty() || is_manufacturer(text, ':') == Some(true),
        // What stands between dropped addresses may look like one, and a pseudonym is one.
        (Holds::Anything, Addresses::Truncate) => words(text).all(|word| {
            let link = |separator| is_manufacturer(&word, separator).filter(|_| word.len() == 17);
            link(':').or_else(|| link('-')).or_else(|| is_network(&word)) != Some(false)
        }),
        _ => true,
    }
}

/// What addresses are searched in: text between blanks and what else is no part of an address or a name.
fn words(text: &str) -> impl Iterator<Item = String> {
    let mut plain = text.to_owned();
    while let Some(at) = plain.find("\\x") {
        // An escaped byte.
        let end = plain.char_indices().map(|(at, _)| at).find(|&end| end >= at + 4).unwrap_or(plain.len());
        plain.replace_range(at..end, " ");
    }
    let is_between = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '.' | '-'));
    plain.split(is_between).map(str::to_owned).collect::<Vec<_>>().into_iter()
}

/// Whether an IP address, or the name of its reverse lookup, tells a network only. `None` for what is none as a whole.
fn is_network(word: &str) -> Option<bool> {
    let word = word.to_ascii_lowercase();
    if let Some(labels) = word.strip_suffix(".in-addr.arpa") {
        let turned: Vec<_> = labels.rsplit('.').collect();
        return is_network(&turned.join("."));
    }
    if let Some(labels) = word.strip_suffix(".ip6.arpa") {
        let nibbles: Vec<_> = labels.split('.').collect();
        let is_nibble = |nibble: &&str| nibble.len() == 1 && nibble.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_address = nibbles.len() == 32 && nibbles.iter().all(is_nibble);
        return is_address.then(|| nibbles.iter().take(20).all(|&nibble| nibble == "0"));
    }
    let address = word.split_once('/').map_or(&*word, |(address, _)| address);
    let address = address.parse().ok().or_else(|| address.rsplit_once(':')?.0.parse().ok())?;
    Some(match address {
        IpAddr::V4(address) => address.octets()[3] == 0,
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => address.octets()[3] == 0,
            None => address.octets()[6..].iter().all(|&octet| octet == 0),
        },
    })
}

/// Whether a link-layer address tells a manufacturer only. `None` for what is none as a whole.
fn is_manufacturer(word: &str, separator: char) -> Option<bool> {
    let octets: Vec<_> = word.split(separator).collect();
    let is_octet = |octet: &&str| octet.len() == 2 && octet.bytes().all(|byte| byte.is_ascii_hexdigit());
    octets.iter().all(is_octet).then(|| octets.iter().skip(3).all(|&octet| octet == "00"))
}
