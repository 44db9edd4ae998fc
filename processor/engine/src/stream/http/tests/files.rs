//! Bodies as files.

use weir_contract::{Selection, record};

use super::{CLIENT, SERVER, cuts, talk};
use crate::testing::{self, ETHERNET, Records, tcp_connection};

const VERSE: &str = "cf0ea2efe608655745d8c520f3d77ad1f7878d643bb6f45f23723a8dad37ba94";
const LINE: &str = "b53a55383d2f1f040ab010606d7911907f1a17f979f1d475fb4ac226243135e5";

/// Files in both directions, one of them compressed and in chunks.
pub(in crate::stream) const TURNS: &[(bool, &[u8])] = &[
    (CLIENT, b"POST /1 HTTP/1.1\r\nContent-Type: text/html\r\nContent-Length: 7\r\n\r\n<html>\n"),
    (
        SERVER,
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Disposition: inline; filename=\"verse.txt\"\r\n\
        Transfer-Encoding: chunked\r\n\r\n\
        11\r\n\x1f\x8b\x08\0\0\0\0\0\x02\x03\x2b\xc9\x57\x48\x4a\xd5\x51\r\n\
        14\r\n\xc8\x2f\x52\xc8\xcb\x2f\x51\x28\x41\xe6\x01\0\xe3\x98\x90\xc5\x1b\0\0\0\r\n0\r\n\r\n",
    ),
    (CLIENT, b"HEAD /2 HTTP/1.1\r\n\r\n"),
    (SERVER, b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"),
    (CLIENT, b"GET /3 HTTP/1.1\r\n\r\n"),
    (SERVER, b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\n<html>\n"),
];

fn files(records: &Records) -> Vec<record::File> {
    let mut all: Vec<record::File> = records.of();
    all.sort_by_key(|file| (file.depth, file.meta.as_ref().unwrap().from_responder));
    all
}

#[test]
fn a_body_in_either_direction_is_a_file() {
    let files = files(&talk(TURNS));
    let [posted, verse, last] = &files[..] else { panic!("{files:?}") };
    let from_responder: Vec<_> = files.iter().map(|file| file.meta.as_ref().unwrap().from_responder).collect();
    assert_eq!(from_responder, [false, true, true]);
    assert_eq!((&*posted.protocol, posted.depth, posted.complete), ("http", 1, true));
    assert_eq!([&*posted.content_type, &*posted.media_type, &*posted.sha256], ["text/html", "text/html", LINE]);
    assert_eq!((posted.transferred_bytes, posted.bytes), (7, 7));
    assert_eq!([&*verse.name, &*verse.media_type, &*verse.encoding], ["verse.txt", "text/plain", ""]);
    assert_eq!((&*verse.sha256, verse.transferred_bytes, verse.bytes, verse.complete), (VERSE, 37, 27, true));
    assert_eq!((&*last.sha256, &*last.encoding, last.depth), (LINE, "br", 3));
}

#[test]
fn transactions_do_not_depend_on_whether_bodies_are_read() {
    let passed_over = Selection::parse("all,-file").unwrap();
    for turns in [TURNS, cuts::TURNS] {
        let frames = tcp_connection(80, turns, 3);
        let without = testing::decode_selected(ETHERNET, &frames, passed_over);
        let with = testing::decode(ETHERNET, &frames);
        assert_eq!(without.of::<record::Http>(), with.of::<record::Http>());
        assert_eq!((without.weirds(), without.of::<record::File>().len()), (with.weirds(), 0));
    }
}

#[test]
fn a_file_with_a_gap_has_no_hash() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab";
    let request = b"GET / HTTP/1.1\r\n\r\n";
    let mut frames =
        tcp_connection(80, &[(CLIENT, request), (SERVER, head), (SERVER, b"cdef"), (SERVER, b"ghi")], 1400);
    frames.remove(3 + 2 * 2);
    let files = files(&testing::decode(ETHERNET, &frames));
    let [file] = &files[..] else { panic!("{files:?}") };
    assert_eq!((file.complete, &*file.sha256, file.transferred_bytes, file.bytes), (false, "", 9, 2));
}

#[test]
fn a_file_that_is_cut_off_or_malformed_has_no_hash_and_the_rest_is_read_on() {
    let cut: [(bool, &[u8]); 2] =
        [(CLIENT, b"GET / HTTP/1.1\r\n\r\n"), (SERVER, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab")];
    let cut = files(&talk(&cut));
    assert_eq!((cut[0].complete, &*cut[0].sha256, cut[0].bytes), (false, "", 2));
    let malformed: [(bool, &[u8]); 4] = [
        (CLIENT, b"GET / HTTP/1.1\r\n\r\n"),
        (SERVER, b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 7\r\n\r\n<html>\n"),
        (CLIENT, b"GET / HTTP/1.1\r\n\r\n"),
        (SERVER, b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n<html>\n"),
    ];
    let records = talk(&malformed);
    let files = files(&records);
    assert_eq!((files[0].complete, &*files[0].sha256, files[0].transferred_bytes), (false, "", 7));
    assert_eq!((files[1].complete, &*files[1].sha256), (true, LINE));
    assert_eq!(records.weirds(), ["http BadEncoding: content that is not the gzip it is said to be"]);
    assert!(records.of::<record::Http>().iter().all(|http| http.response_body_bytes == Some(7)));
}
