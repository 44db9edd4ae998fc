//! Bodies, and headers that do not say clearly where they end.

use weir_contract::{TransactionState, record};

use super::{CLIENT, SERVER, only, pairs, talk, transactions};
use crate::limits::LIST_MAX;

const GET: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

#[test]
fn chunks_are_counted_without_their_lengths() {
    let response = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\nTrailer: X-Sum\r\n\r\n\
        3;name=\"a\"\r\n{\"a\r\n0005\r\n\": 1}\r\n0\r\nX-Sum: 7\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n";
    let http = transactions(&[(CLIENT, GET), (CLIENT, GET), (SERVER, response)]);
    assert_eq!((http[0].response_body_bytes, &*http[0].response_media_type), (Some(8), "application/json"));
    assert_eq!(pairs(&http[0].response_trailers), [("X-Sum", "7")]);
    assert_eq!((http[0].state(), http[1].status_code), (TransactionState::Complete, Some(404)));
}

#[test]
fn long_bodies_are_passed_over() {
    let body = vec![b'a'; 100_000];
    let chunked =
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n186A0\r\n", &body[..], b"\r\n0\r\n\r\n"].concat();
    let counted = [b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", &body[..]].concat();
    let until_close = [b"HTTP/1.1 200 OK\r\n\r\n", &body[..]].concat();
    let turns =
        [(CLIENT, GET), (SERVER, &chunked), (CLIENT, GET), (SERVER, &counted), (CLIENT, GET), (SERVER, &until_close)];
    let http = transactions(&turns);
    for each in &http {
        assert_eq!((each.state(), each.response_body_bytes), (TransactionState::Complete, Some(100_000)));
        assert_eq!(each.response_media_type, "text/plain");
    }
    assert_eq!(http.len(), 3);
}

#[test]
fn chunks_that_lie_about_their_length_cut_the_response() {
    for body in ["2\r\nabc\r\n0\r\n\r\n", "x\r\n", "\r\n", "ffffffffffffffff\r\n"] {
        let response = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
        let records = talk(&[(CLIENT, GET), (SERVER, response.as_bytes())]);
        let [http] = &records.of::<record::Http>()[..] else { panic!("one record for {body:?}") };
        assert_eq!((http.state(), http.status_code), (TransactionState::Cut, Some(200)), "{body:?}");
        assert!(records.weirds()[0].starts_with("http BadLength: chunk"), "{:?}", records.weirds());
    }
}

#[test]
fn a_smuggled_request_is_told() {
    let request = b"POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n";
    let records = talk(&[(CLIENT, request), (SERVER, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")]);
    let [http] = &records.of::<record::Http>()[..] else { panic!("one record") };
    assert_eq!((http.request_content_length, http.request_body_bytes), (Some(4), Some(5)));
    assert_eq!(records.weirds(), ["http BadLength: Content-Length beside Transfer-Encoding"]);
}

#[test]
fn lengths_that_contradict_each_other_cut_the_request_which_still_gets_its_response() {
    let request =
        b"POST / HTTP/1.1\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcdGET /smuggled HTTP/1.1\r\n\r\n";
    let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let records = talk(&[
        (CLIENT, request),
        (SERVER, b"HTTP/1.1 501 No\r\nContent-Length: 0\r\n\r\n"),
        (CLIENT, GET),
        (SERVER, ok),
    ]);
    let http = records.of::<record::Http>();
    let told: Vec<_> = http.iter().map(|each| (&*each.method, each.state(), each.status_code, each.gap)).collect();
    assert_eq!(
        told,
        [("POST", TransactionState::Cut, Some(501), false), ("GET", TransactionState::Complete, Some(200), true)]
    );
    assert_eq!(records.weirds(), ["http BadLength: Content-Length of different values"]);
}

#[test]
fn odd_lines_are_read_and_told_once() {
    let request = b"\r\nGET /  HTTP/1.1\nHost : a\nX: b\n c\r\n\td \r\nnameless\r\nY: \0\0\r\nHost: b\r\n\r\n";
    let records = talk(&[(CLIENT, request)]);
    let [http] = &records.of::<record::Http>()[..] else { panic!("one record") };
    assert_eq!(
        pairs(&http.request_headers),
        [("Host", "a"), ("X", "b c d"), ("", "nameless"), ("Y", "\\x00\\x00"), ("Host", "b")]
    );
    assert_eq!((&*http.host, http.state()), ("a", TransactionState::NoResponse));
    let mut weirds = records.weirds();
    weirds.sort();
    assert_eq!(
        weirds,
        [
            "http BadEncoding: field that goes on in the next line",
            "http BadEncoding: line that ends with LF alone",
            "http BadEncoding: space before a colon",
            "http BadValue: NUL in a header",
            "http BadValue: line of a header without a name",
            "http BadValue: more than one Host",
        ]
    );
}

#[test]
fn a_response_to_head_and_those_without_content_have_no_body() {
    for (request, code) in [("HEAD", 200), ("GET", 204), ("GET", 304)] {
        let request = format!("{request} / HTTP/1.1\r\n\r\n");
        let response = format!("HTTP/1.1 {code} a\r\nContent-Length: 100\r\n\r\n");
        let http = only(&[(CLIENT, request.as_bytes()), (SERVER, response.as_bytes())]);
        assert_eq!((http.state(), http.response_body_bytes), (TransactionState::Complete, Some(0)), "{code}");
        assert_eq!(http.response_content_length, Some(100));
    }
}

#[test]
fn lists_are_bounded_and_what_is_left_out_is_counted() {
    let fields = "A: b\r\n".repeat(150);
    let records = talk(&[(CLIENT, format!("GET / HTTP/1.1\r\n{fields}\r\n").as_bytes())]);
    let http = &records.of::<record::Http>()[0];
    assert_eq!((http.request_headers.len(), http.request_header_count), (LIST_MAX, 150));
    assert!(http.truncated);
    assert_eq!(records.weirds(), ["http Limit: more than 100 fields, cookies or parameters"]);
}

#[test]
fn endless_headers_and_lines_end_the_reading() {
    let lines = [b"GET / HTTP/1.1\r\n", "A: b\r\n".repeat(50_000).as_bytes()].concat();
    let line = [b"GET / HTTP/1.1\r\nA: ", &[b'a'; 70_000][..]].concat();
    for (endless, weird) in [(lines, "header of more than 256 KiB"), (line, "line of more than 64 KiB")] {
        let records = talk(&[(CLIENT, &endless)]);
        let [http] = &records.of::<record::Http>()[..] else { panic!("one record") };
        assert_eq!((http.state(), &*http.uri), (TransactionState::Limit, "/"));
        assert!(records.weirds().contains(&format!("http Limit: {weird}")), "{:?}", records.weirds());
    }
}

#[test]
fn requests_without_responses_are_bounded() {
    let records = talk(&[(CLIENT, &GET.repeat(300))]);
    let http = records.of::<record::Http>();
    assert_eq!(http.len(), 256);
    assert!(http.iter().all(|each| each.state() == TransactionState::Limit));
    assert_eq!(records.weirds(), ["http Limit: more than 256 requests without a response"]);
}

#[test]
fn headers_of_many_open_requests_are_not_all_kept() {
    let field = [b"A: ", &[b'a'; 40_000][..], b"\r\n"].concat();
    let request = [b"GET / HTTP/1.1\r\nHost: b\r\n", &field[..], b"\r\n"].concat();
    let http = transactions(&[(CLIENT, &request.repeat(20))]);
    assert_eq!(http.len(), 20);
    assert!(http.iter().all(|each| each.host == "b" && each.request_header_count == 2 && each.truncated));
    assert_eq!((http[0].request_headers.len(), http[19].request_headers.len()), (2, 1));
}
