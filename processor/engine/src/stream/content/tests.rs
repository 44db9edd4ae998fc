use miniz_oxide::deflate::{compress_to_vec, compress_to_vec_zlib};
use sha2::{Digest as _, Sha256};

use super::*;

const TEXT: &[u8] = b"<html>what is said, and what is said again: what is said, and what is said again</html>";

/// A member with all parts of a header.
fn gzip(content: &[u8]) -> Vec<u8> {
    let header = b"\x1f\x8b\x08\x1e\0\0\0\0\0\x03\x02\0ex\x6e\x61\x6d\x65\0remark\0\xaa\xbb";
    [header, &compress_to_vec(content, 6)[..], &[0; 8]].concat()
}

/// Takes it in pieces, and saves and restores between them.
fn read(encoding: &str, transferred: &[u8], piece_bytes: usize) -> (Result<(), Fault>, Content) {
    let mut content = Content::new(encoding.as_bytes());
    let mut result = Ok(());
    for piece in transferred.chunks(piece_bytes) {
        result = result.and(content.push(piece));
        let saved = postcard::to_stdvec(&content).unwrap();
        content = postcard::from_bytes(&saved).unwrap();
    }
    (result, content)
}

fn sha256(bytes: &[u8]) -> Option<[u8; 32]> {
    Some(Sha256::digest(bytes).into())
}

#[test]
fn encodings_are_undone_however_they_are_cut() {
    let transferred = [
        ("gzip", gzip(TEXT)),
        ("X-GZIP", gzip(TEXT)),
        ("deflate", compress_to_vec_zlib(TEXT, 6)),
        ("br", TEXT.to_vec()),
    ];
    for (encoding, bytes) in transferred.iter().chain(&[("deflate", compress_to_vec(TEXT, 6)), ("", TEXT.to_vec())]) {
        for piece_bytes in [1, 2, 3, 7, 20, 1000] {
            let (result, content) = read(encoding, bytes, piece_bytes);
            assert_eq!((result, content.sha256()), (Ok(()), sha256(TEXT)), "{encoding} in {piece_bytes} bytes");
            assert_eq!((content.bytes(), content.media_type()), (TEXT.len() as u64, "text/html"));
        }
        for end in 0..bytes.len() {
            let (result, content) = read(encoding, &bytes[..end], 1000);
            assert_eq!(result, Ok(()));
            let is_plain = matches!(*encoding, "" | "br");
            assert_eq!(content.sha256().is_some(), is_plain, "{encoding} up to byte {end}");
        }
    }
}

#[test]
fn output_longer_than_the_window_is_hashed_in_order() {
    let long: Vec<u8> = (0..300_000u32).flat_map(|number| number.wrapping_mul(number).to_le_bytes()).collect();
    let (result, content) = read("gzip", &gzip(&long), 60_000);
    assert_eq!((result, content.sha256()), (Ok(()), sha256(&long)));
}

#[test]
fn a_bomb_is_let_go_before_it_bursts() {
    let bomb = gzip(&vec![0; 64 << 20]);
    let (result, content) = read("gzip", &bomb, 1400);
    assert_eq!(result.unwrap_err().reason, WeirdReason::Limit);
    assert!(content.bytes() < 4 << 20 && content.sha256().is_none() && !content.is_read_on());
    let (result, content) = read("gzip", &gzip(&vec![0; 1 << 20]), 1400);
    assert!(result.is_ok() && content.sha256().is_some(), "what is small anyway may be what it wants");
}

#[test]
fn what_is_not_what_it_is_said_to_be_is_malformed() {
    let tail = [&gzip(TEXT)[..], b"tail"].concat();
    let mut spoilt = compress_to_vec_zlib(TEXT, 6);
    *spoilt.last_mut().unwrap() ^= 1;
    let long_name = [&b"\x1f\x8b\x08\x08\0\0\0\0\0\x03"[..], &[b'a'; 9000]].concat();
    let cases: [(&str, &[u8]); 6] = [
        ("gzip", TEXT),
        ("gzip", &tail),
        ("gzip", b"\x1f\x8b\x08\xe0"),
        ("gzip", &long_name),
        ("deflate", b"\xff\xff\xff"),
        ("deflate", &spoilt),
    ];
    for (encoding, bytes) in cases {
        let (result, content) = read(encoding, bytes, 5);
        assert_eq!(result.unwrap_err().reason, WeirdReason::BadEncoding, "{}", bytes.escape_ascii());
        assert!(content.sha256().is_none() && !content.is_read_on());
    }
}

#[test]
fn a_hash_of_less_than_all_is_none() {
    let mut content = Content::new(b"");
    content.push(TEXT).unwrap();
    content.lose();
    assert_eq!((content.sha256(), content.push(TEXT), content.bytes()), (None, Ok(()), TEXT.len() as u64));
}
