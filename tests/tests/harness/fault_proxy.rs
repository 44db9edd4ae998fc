//! The proxy does to requests what it is asked for.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use weir_tests::fault_proxy::{Fault, FaultProxy};

/// A server that answers each request with 200, and how many it had.
fn server() -> (u16, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let requests = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&requests);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\nbody") {
                let mut byte = [0];
                if client.read(&mut byte).unwrap() == 0 {
                    return;
                }
                request.extend(byte);
            }
            counted.fetch_add(1, Ordering::SeqCst);
            client.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nanswer").unwrap();
        }
    });
    (port, requests)
}

/// What a conditional PUT is answered.
fn put(proxy: &FaultProxy) -> Result<String, ErrorKind> {
    let mut stream = TcpStream::connect(proxy.endpoint().strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    stream.write_all(b"PUT /a HTTP/1.1\r\nIf-None-Match: *\r\nContent-Length: 4\r\n\r\nbody").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|error| error.kind())?;
    Ok(answer)
}

#[test]
fn each_fault_is_what_its_name_says() {
    let (port, requests) = server();
    let proxy = FaultProxy::start(port);
    for fault in Fault::ALL {
        let before = requests.load(Ordering::SeqCst);
        proxy.fail_next("PUT", fault);
        let answer = put(&proxy);
        let done = requests.load(Ordering::SeqCst) - before;
        let status = |code: &str| answer.as_ref().is_ok_and(|text| text.starts_with(&format!("HTTP/1.1 {code} ")));
        let (as_named, should_be_done) = match fault {
            Fault::SlowDown => (status("503"), 0),
            Fault::TooManyRequests => (status("429"), 0),
            Fault::InternalError => (status("500"), 0),
            Fault::Unauthorized => (status("401"), 0),
            Fault::Forbidden => (status("403"), 0),
            Fault::NotFound => (status("404"), 0),
            Fault::Conflict => (status("409"), 0),
            Fault::PreconditionFailed => (status("412"), 1),
            Fault::ErrorInside200 => (status("200") && answer.as_ref().is_ok_and(|text| text.contains("<Error>")), 0),
            Fault::ResetInRequest => (answer == Err(ErrorKind::ConnectionReset), 0),
            Fault::ResetInAnswer => (answer == Err(ErrorKind::ConnectionReset), 1),
            Fault::LostAnswer => (answer == Ok(String::new()), 1),
            Fault::Hang => (answer == Err(ErrorKind::WouldBlock), 0),
        };
        assert!(as_named && done == should_be_done, "{fault:?}: {answer:?}, {done} done");
        assert_eq!(proxy.counts().get(&fault), Some(&1));
        assert!(put(&proxy).unwrap().ends_with("answer"), "the next one suffers nothing");
    }
}

#[test]
fn the_same_seed_disturbs_the_same_requests() {
    let disturbed = |seed| {
        let proxy = FaultProxy::start(server().0);
        proxy.disturb(seed, 50, &[Fault::SlowDown, Fault::LostAnswer]);
        for _ in 0..20 {
            put(&proxy).unwrap();
        }
        proxy.log()
    };
    assert_eq!(disturbed(1), disturbed(1));
    assert_ne!(disturbed(1), disturbed(2));
}

#[test]
fn outage_ends_by_itself_or_when_healed() {
    let proxy = FaultProxy::start(server().0);
    proxy.fail_all_for(Duration::from_millis(200));
    let mut stream = TcpStream::connect(proxy.endpoint().strip_prefix("http://").unwrap()).unwrap();
    assert_eq!(stream.read(&mut [0]).map_err(|error| error.kind()), Err(ErrorKind::ConnectionReset));
    std::thread::sleep(Duration::from_millis(250));
    put(&proxy).unwrap();
    proxy.fail_all_for(Duration::from_secs(1000));
    proxy.heal();
    put(&proxy).unwrap();
}
