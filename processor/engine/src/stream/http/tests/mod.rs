//! What becomes of conversations in HTTP.

pub(in crate::stream) mod cuts;
pub(in crate::stream) mod files;
mod framing;

use weir_contract::{TransactionState, record};

use crate::testing::{self, ETHERNET, Records, tcp_connection};

const CLIENT: bool = true;
const SERVER: bool = false;

/// What becomes of a whole connection, in which each side speaks in turn.
fn talk(turns: &[(bool, &[u8])]) -> Records {
    testing::decode(ETHERNET, &tcp_connection(80, turns, 1400))
}

fn transactions(turns: &[(bool, &[u8])]) -> Vec<record::Http> {
    talk(turns).of()
}

fn only(turns: &[(bool, &[u8])]) -> record::Http {
    let mut all = transactions(turns);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn pairs(headers: &[record::HttpHeader]) -> Vec<(&str, &str)> {
    headers.iter().map(|header| (header.name.as_str(), header.value.as_str())).collect()
}

fn services(records: &Records) -> Vec<String> {
    records.of::<record::Connection>().into_iter().map(|connection| connection.service).collect()
}

#[test]
fn a_request_and_its_response_are_one_record() {
    let request = b"GET /a%20b?x=1&y=%C3%A9+z HTTP/1.1\r\nHost: www.example.com:8080\r\nUser-Agent: curl/8\r\n\
        Referer: http://a.example/\r\nCookie: id=7; theme=\"dark\"\r\nX-Forwarded-For: 192.0.2.1\r\n\
        X-Forwarded-For: 192.0.2.2\r\nVia: 1.1 a\r\nRange: bytes=0-4\r\n\r\n";
    let response = b"HTTP/1.0 206 Partial Content\r\nServer: nginx\r\nContent-Type: text/html; charset=utf-8\r\n\
        Content-Encoding: gzip\r\nContent-Length: 5\r\nContent-Range: bytes 0-4/10\r\nVia: 1.0 b\r\n\
        Set-Cookie: id=8; Path=/; Domain=example.com; Expires=Sun, 06 Nov 1994 08:49:37 GMT; Max-Age=60; Secure; HttpOnly; SameSite=Lax\r\n\
        X-Powered-By: PHP\r\nX-Frame-Options: DENY\r\n\r\n\x1f\x8b\x08\0\0";
    let http = only(&[(CLIENT, request), (SERVER, response)]);
    assert_eq!((http.state(), http.depth, http.request_seen), (TransactionState::Complete, 1, true));
    assert_eq!([&*http.method, &*http.uri, &*http.version], ["GET", "/a%20b?x=1&y=%C3%A9+z", "1.1"]);
    assert_eq!(
        [&*http.host, &*http.user_agent, &*http.referer],
        ["www.example.com:8080", "curl/8", "http://a.example/"]
    );
    let parameters: Vec<_> = http.parameters.iter().map(|each| (each.name.as_str(), each.value.as_str())).collect();
    assert_eq!(parameters, [("x", "1"), ("y", "\u{e9} z")]);
    let cookies: Vec<_> = http.request_cookies.iter().map(|each| (each.name.as_str(), each.value.as_str())).collect();
    assert_eq!(cookies, [("id", "7"), ("theme", "\"dark\"")]);
    assert_eq!(
        [&*http.x_forwarded_for, &*http.request_via, &*http.range],
        ["192.0.2.1, 192.0.2.2", "1.1 a", "bytes=0-4"]
    );
    assert_eq!((http.request_headers.len(), http.request_header_count), (8, 8));
    assert_eq!(pairs(&http.request_headers)[1], ("User-Agent", "curl/8"));
    assert_eq!((http.request_head_bytes, http.request_body_bytes), (i64::try_from(request.len()).unwrap(), Some(0)));

    assert_eq!((http.status_code, &*http.reason, &*http.response_version), (Some(206), "Partial Content", "1.0"));
    assert_eq!(
        [&*http.server, &*http.response_content_type, &*http.response_content_encoding],
        ["nginx", "text/html; charset=utf-8", "gzip"]
    );
    assert_eq!((http.response_content_length, http.response_body_bytes), (Some(5), Some(5)));
    assert_eq!(
        [&*http.response_media_type, &*http.content_range, &*http.response_via],
        ["application/gzip", "bytes 0-4/10", "1.0 b"]
    );
    let expected = record::HttpSetCookie {
        name: "id".to_owned(),
        value: "8".to_owned(),
        path: "/".to_owned(),
        domain: "example.com".to_owned(),
        expires_ts_ns: Some(784_111_777_000_000_000),
        max_age_ns: Some(60_000_000_000),
        secure: true,
        http_only: true,
        same_site: "lax".to_owned(),
    };
    assert_eq!(http.response_cookies, [expected]);
    assert_eq!([&*http.x_powered_by, &*http.x_frame_options], ["PHP", "DENY"]);
    assert!(!http.gap && !http.truncated && !http.switched);
}

#[test]
fn times_count_from_the_request() {
    // Frames are a millisecond apart, each data frame is acknowledged; the request is frame 4.
    let records = testing::decode(
        ETHERNET,
        &tcp_connection(
            80,
            &[
                (CLIENT, b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n"),
                (CLIENT, b"ab"),
                (SERVER, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"),
                (SERVER, b"ab"),
            ],
            1400,
        ),
    );
    let http = &records.of::<record::Http>()[0];
    let meta = http.meta.as_ref().unwrap();
    assert_eq!((meta.ts_ns, meta.packet_number, meta.from_responder), (1_003_000_000, 10, false));
    assert_eq!((http.response_time_ns, http.response_duration_ns), (Some(2_000_000), Some(2_000_000)));
    assert_eq!(http.duration_ns, 6_000_000);
    assert_eq!(services(&records), ["http"]);
}

#[test]
fn passwords_and_tokens_are_not_kept() {
    let request = b"GET / HTTP/1.1\r\nAuthorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\
        Proxy-Authorization: Bearer sesame\r\n\r\n";
    let http = only(&[
        (CLIENT, request),
        (SERVER, b"HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"a\"\r\nContent-Length: 0\r\n\r\n"),
    ]);
    assert_eq!([&*http.authorization_scheme, &*http.authorization_user], ["basic", "Aladdin"]);
    assert_eq!([&*http.proxy_authorization_scheme, &*http.challenge_scheme], ["bearer", "basic"]);
    assert_eq!(pairs(&http.request_headers), [("Authorization", "Basic"), ("Proxy-Authorization", "Bearer")]);
    assert!(!format!("{http:?}").contains("sesame"));
}

#[test]
fn the_host_is_in_the_target_where_no_field_tells_it() {
    let host_of = |line: &str| only(&[(CLIENT, format!("{line} HTTP/1.0\r\n\r\n").as_bytes())]).host;
    assert_eq!(host_of("GET http://user@a.example:8080/b?c"), "a.example:8080");
    assert_eq!(host_of("CONNECT a.example:443"), "a.example:443");
    assert_eq!(host_of("GET /http://a.example/"), "");
}

#[test]
fn pipelined_requests_get_their_responses_in_order() {
    let http = transactions(&[
        (CLIENT, b"GET /1 HTTP/1.1\r\n\r\nHEAD /2 HTTP/1.1\r\n\r\nGET /3 HTTP/1.1\r\n\r\n"),
        (SERVER, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 404 No\r\nContent-Length: 9\r\n\r\n"),
        (SERVER, b"HTTP/1.1 304 Same\r\nContent-Length: 9\r\n\r\n"),
    ]);
    let told: Vec<_> = http.iter().map(|each| (each.depth, &*each.uri, each.status_code.unwrap())).collect();
    assert_eq!(told, [(1, "/1", 200), (2, "/2", 404), (3, "/3", 304)]);
    assert!(http.iter().all(|each| each.state() == TransactionState::Complete));
}

#[test]
fn informational_responses_are_counted_and_followed_by_the_response() {
    let http = only(&[
        (CLIENT, b"PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"),
        (SERVER, b"HTTP/1.1 100 Continue\r\n\r\n"),
        (CLIENT, b"a"),
        (SERVER, b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"),
    ]);
    assert_eq!((http.informational_count, http.informational_status_code), (2, Some(103)));
    assert_eq!((http.state(), http.status_code), (TransactionState::Complete, Some(201)));
    assert_eq!(http.response_headers.len(), 1);
}

#[test]
fn a_response_whose_request_was_not_seen_is_a_record() {
    let frames = tcp_connection(80, &[(SERVER, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")], 1400);
    let records = testing::decode(ETHERNET, &frames[3..]);
    let [http] = &records.of::<record::Http>()[..] else { panic!("one record") };
    assert_eq!((http.state(), http.request_seen, http.status_code), (TransactionState::Complete, false, Some(200)));
    assert_eq!((http.response_time_ns, http.request_body_bytes), (None, None));
    // The server spoke first, so that it is the originator.
    assert!(http.meta.as_ref().unwrap().from_responder);
}

#[test]
fn states_say_how_transactions_ended() {
    let state = |turns: &[(bool, &[u8])]| only(turns).state();
    assert_eq!(state(&[(CLIENT, b"GET / HTTP/1.1\r\n\r\n")]), TransactionState::NoResponse);
    assert_eq!(state(&[(CLIENT, b"GET / HTTP/1.1\r\nHost: a")]), TransactionState::Cut);
    let cut = only(&[(CLIENT, b"GET / HTTP/1.1\r\n\r\n"), (SERVER, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")]);
    assert_eq!((cut.state(), cut.response_body_bytes), (TransactionState::Cut, None));
    let header = only(&[(CLIENT, b"GET / HTTP/1.1\r\n\r\n"), (SERVER, b"HTTP/1.1 200 OK\r\nServer: a\r\nX")]);
    assert_eq!((header.state(), header.status_code, &*header.server), (TransactionState::Cut, Some(200), "a"));
    let interim = only(&[(CLIENT, b"GET / HTTP/1.1\r\n\r\n"), (SERVER, b"HTTP/1.1 100 Continue\r\nX")]);
    assert_eq!((interim.state(), interim.status_code), (TransactionState::NoResponse, None));
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n";
    assert_eq!(state(&[(CLIENT, b"GET / HTTP/1.1\r\n\r\n"), (SERVER, chunked)]), TransactionState::Cut);
}

#[test]
fn a_tunnel_holds_another_protocol() {
    let query = b"\0\x1d\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07example\x03com\0\0\x01\0\x01";
    let records = talk(&[
        (CLIENT, b"CONNECT a.example:53 HTTP/1.1\r\nHost: a.example:53\r\n\r\n"),
        (SERVER, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"),
        (CLIENT, query),
    ]);
    let [http] = &records.of::<record::Http>()[..] else { panic!("one record") };
    assert_eq!((http.switched, http.state()), (true, TransactionState::Complete));
    assert_eq!(records.of::<record::Dns>().len(), 1);
    assert_eq!(records.weirds(), [""; 0]);
}

#[test]
fn what_is_sent_before_the_answer_to_connect_waits_for_it() {
    let connect =
        b"CONNECT a.example:53 HTTP/1.1\r\n\r\n\0\x1d\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07example\x03com\0\0\x01\0\x01";
    let records = talk(&[(CLIENT, connect), (SERVER, b"HTTP/1.1 200 OK\r\n\r\n")]);
    assert_eq!((records.of::<record::Http>().len(), records.of::<record::Dns>().len()), (1, 1));
    let denied = b"CONNECT a.example:53 HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n";
    let http = transactions(&[(CLIENT, denied), (SERVER, b"HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n")]);
    let told: Vec<_> = http.iter().map(|each| (&*each.method, each.status_code, each.switched)).collect();
    assert_eq!(told, [("CONNECT", Some(405), false), ("GET", None, false)]);
}

#[test]
fn an_upgrade_is_one_where_the_response_grants_it() {
    let upgrade = b"GET /chat HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket, h2c\r\n\r\n";
    let granted = b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n\x81\x01a";
    let http = only(&[(CLIENT, upgrade), (SERVER, granted), (CLIENT, b"\x81\x81abcde")]);
    assert_eq!((http.switched, &*http.upgrade, http.status_code), (true, "websocket", Some(101)));
    let ignored = transactions(&[
        (CLIENT, upgrade),
        (SERVER, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        (CLIENT, b"GET /2 HTTP/1.1\r\n\r\n"),
    ]);
    assert_eq!((ignored.len(), ignored[0].switched, &*ignored[0].upgrade), (2, false, "websocket, h2c"));
}

#[test]
fn what_is_no_message_is_told_and_passed_over() {
    let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let get = b"GET / HTTP/1.1\r\n\r\n";
    let records = talk(&[(CLIENT, get), (SERVER, b"\x16\x03\x01 not HTTP"), (CLIENT, get), (SERVER, ok)]);
    let told: Vec<_> = records.of::<record::Http>().iter().map(|each| (each.state(), each.status_code)).collect();
    assert_eq!(told, [(TransactionState::Cut, None), (TransactionState::Complete, Some(200))]);
    assert_eq!(records.weirds(), ["http BadValue: no response begins where one should"]);

    let bad = b"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n";
    let records =
        talk(&[(CLIENT, get), (SERVER, ok), (CLIENT, b"GET /\r\n\r\n"), (SERVER, bad), (CLIENT, get), (SERVER, ok)]);
    let told: Vec<_> = records.of::<record::Http>().iter().map(|each| (each.request_seen, each.status_code)).collect();
    assert_eq!(told, [(true, Some(200)), (false, Some(400)), (true, Some(200))]);
    assert_eq!(records.weirds(), ["http BadValue: no request begins where one should"]);
}

#[test]
fn odd_versions_are_kept_and_told() {
    let records = talk(&[(CLIENT, b"GET / HTTP/1.0.8\r\n\r\n")]);
    assert_eq!(records.of::<record::Http>()[0].version, "1.0.8");
    assert_eq!(records.weirds(), ["http BadVersion: neither HTTP/1.0 nor HTTP/1.1"]);
}
