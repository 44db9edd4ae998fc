//! Names of the object identifiers that certificates hold.

use crate::{ber::Element, cursor::Malformed};

/// Appends the name that a table has for an object identifier, else the identifier, dotted.
pub(super) fn push_object(
    out: &mut String,
    element: &Element<'_>,
    name: fn(&[u8]) -> Option<&'static str>,
) -> Result<(), Malformed> {
    match name(element.bytes()?) {
        Some(name) => out.push_str(name),
        None => element.push_object_identifier(out)?,
    }
    Ok(())
}

/// Of an attribute in a name (RFC 4514 §3, RFC 5280 appendix A, RFC 4519).
pub(super) fn attribute_name(object: &[u8]) -> Option<&'static str> {
    Some(match object {
        [0x55, 4, attribute] => match attribute {
            3 => "CN",
            4 => "SN",
            5 => "serialNumber",
            6 => "C",
            7 => "L",
            8 => "ST",
            9 => "STREET",
            10 => "O",
            11 => "OU",
            12 => "title",
            13 => "description",
            15 => "businessCategory",
            17 => "postalCode",
            41 => "name",
            42 => "GN",
            43 => "initials",
            44 => "generationQualifier",
            46 => "dnQualifier",
            65 => "pseudonym",
            97 => "organizationIdentifier",
            _ => return None,
        },
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1] => "emailAddress",
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 2] => "unstructuredName",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1] => "UID",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25] => "DC",
        [0x2b, 6, 1, 4, 1, 0x82, 0x37, 60, 2, 1, 1] => "jurisdictionL",
        [0x2b, 6, 1, 4, 1, 0x82, 0x37, 60, 2, 1, 2] => "jurisdictionST",
        [0x2b, 6, 1, 4, 1, 0x82, 0x37, 60, 2, 1, 3] => "jurisdictionC",
        _ => return None,
    })
}

/// Of a key (RFC 3279 §2.3, RFC 8410, RFC 9500 family).
pub(super) fn key_algorithm_name(object: &[u8]) -> Option<&'static str> {
    Some(match object {
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1] => "rsa",
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10] => "rsa_pss",
        [0x2a, 0x86, 0x48, 0xce, 0x38, 4, 1] => "dsa",
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1] => "ec",
        [0x2a, 0x86, 0x48, 0xce, 0x3e, 2, 1] => "dh",
        [0x2a, 0x85, 3, 2, 2, 19] => "gost2001",
        [0x2a, 0x85, 3, 7, 1, 1, 1, 1] => "gost2012_256",
        [0x2a, 0x85, 3, 7, 1, 1, 1, 2] => "gost2012_512",
        [0x2b, 0x65, 110] => "x25519",
        [0x2b, 0x65, 111] => "x448",
        [0x2b, 0x65, 112] => "ed25519",
        [0x2b, 0x65, 113] => "ed448",
        [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 17] => "mldsa44",
        [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 18] => "mldsa65",
        [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 19] => "mldsa87",
        _ => return None,
    })
}

/// Of a signature (RFC 3279 §2.2, RFC 4055, RFC 5758, RFC 8410).
pub(super) fn signature_algorithm_name(object: &[u8]) -> Option<&'static str> {
    Some(match object {
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, number] => match number {
            2 => "md2_rsa",
            3 => "md4_rsa",
            4 => "md5_rsa",
            5 => "sha1_rsa",
            10 => "rsa_pss",
            11 => "sha256_rsa",
            12 => "sha384_rsa",
            13 => "sha512_rsa",
            14 => "sha224_rsa",
            _ => return None,
        },
        [0x2a, 0x86, 0x48, 0xce, 0x38, 4, 3] => "sha1_dsa",
        [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 1] => "sha224_dsa",
        [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 2] => "sha256_dsa",
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1] => "sha1_ecdsa",
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 1] => "sha224_ecdsa",
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2] => "sha256_ecdsa",
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3] => "sha384_ecdsa",
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4] => "sha512_ecdsa",
        [0x2a, 0x81, 0x1c, 0xcf, 0x55, 1, 0x83, 0x75] => "sm3_sm2",
        [0x2b, 14, 3, 2, 29] => "sha1_rsa",
        [0x2a, 0x85, 3, 2, 2, 3] => "gost94_gost2001",
        _ => return key_algorithm_name(object),
    })
}

/// Of a curve (RFC 5480 §2.1.1.1, SEC 2, RFC 5639): its name, and the bits of its field.
pub(super) fn curve(object: &[u8]) -> Option<(&'static str, u32)> {
    Some(match object {
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 1] => ("secp192r1", 192),
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7] => ("secp256r1", 256),
        [0x2b, 0x81, 4, 0, number] => match number {
            8 => ("secp160r1", 160),
            10 => ("secp256k1", 256),
            31 => ("secp192k1", 192),
            32 => ("secp224k1", 224),
            33 => ("secp224r1", 224),
            34 => ("secp384r1", 384),
            35 => ("secp521r1", 521),
            1 => ("sect163k1", 163),
            15 => ("sect163r2", 163),
            16 => ("sect283k1", 283),
            17 => ("sect283r1", 283),
            26 => ("sect233k1", 233),
            27 => ("sect233r1", 233),
            36 => ("sect409k1", 409),
            37 => ("sect409r1", 409),
            38 => ("sect571k1", 571),
            39 => ("sect571r1", 571),
            _ => return None,
        },
        [0x2b, 0x24, 3, 3, 2, 8, 1, 1, 7] => ("brainpoolP256r1", 256),
        [0x2b, 0x24, 3, 3, 2, 8, 1, 1, 11] => ("brainpoolP384r1", 384),
        [0x2b, 0x24, 3, 3, 2, 8, 1, 1, 13] => ("brainpoolP512r1", 512),
        [0x2a, 0x81, 0x1c, 0xcf, 0x55, 1, 0x82, 0x2d] => ("curveSM2", 256),
        _ => return None,
    })
}

/// Of what a certificate is for (RFC 5280 §4.2.1.12, and those of browsers).
pub(super) fn purpose_name(object: &[u8]) -> Option<&'static str> {
    Some(match object {
        [0x2b, 6, 1, 5, 5, 7, 3, purpose] => match purpose {
            1 => "server_auth",
            2 => "client_auth",
            3 => "code_signing",
            4 => "email_protection",
            5 => "ipsec_end_system",
            6 => "ipsec_tunnel",
            7 => "ipsec_user",
            8 => "time_stamping",
            9 => "ocsp_signing",
            17 => "ipsec_ike",
            _ => return None,
        },
        [0x55, 0x1d, 0x25, 0] => "any",
        [0x2b, 6, 1, 4, 1, 0x82, 0x37, 10, 3, 3] => "microsoft_server_gated_crypto",
        [0x2b, 6, 1, 4, 1, 0x82, 0x37, 20, 2, 2] => "microsoft_smartcard_logon",
        [0x60, 0x86, 0x48, 1, 0x86, 0xf8, 0x42, 4, 1] => "netscape_server_gated_crypto",
        _ => return None,
    })
}

/// Bits of the key usage, the first one first (RFC 5280 §4.2.1.3).
pub(super) const KEY_USAGES: [&str; 9] = [
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
];
