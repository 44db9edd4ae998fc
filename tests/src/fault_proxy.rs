//! An HTTP proxy that stands before the S3 server and does to requests what networks, load balancers and
//! busy servers do to them. What it does depends on a seed, or is said request by request.
//!
//! ```no_run
//! use weir_tests::fault_proxy::{Fault, FaultProxy};
//!
//! let s3 = weir_tests::s3::S3::start();
//! let proxy = FaultProxy::start(s3.port());
//! proxy.fail_next("PUT", Fault::LostAnswer);
//! println!("a sink that writes to {} puts one object twice", proxy.endpoint());
//! ```

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;

use crate::random::Random;

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// 503 `SlowDown`; nothing is done.
    SlowDown,
    /// 429 `TooManyRequests`; nothing is done.
    TooManyRequests,
    /// 500 `InternalError`; nothing is done.
    InternalError,
    /// 401 `InvalidToken`; nothing is done.
    Unauthorized,
    /// 403 `AccessDenied`; nothing is done.
    Forbidden,
    /// 404 `NoSuchBucket`; nothing is done.
    NotFound,
    /// 409 `ConditionalRequestConflict`; nothing is done.
    Conflict,
    /// 412 `PreconditionFailed` although it is done: what comes back when something on the way repeats a
    /// conditional request. Only to be done to requests with `If-None-Match`; others go through.
    PreconditionFailed,
    /// 200 with an error for a body; nothing is done.
    ErrorInside200,
    /// The connection is reset when half of the request's body is read; nothing is done.
    ResetInRequest,
    /// The connection is reset when half of the answer is sent; it is done.
    ResetInAnswer,
    /// It is done, and the connection closed without an answer.
    LostAnswer,
    /// Nothing is done and nothing answered, on a connection that stays open.
    Hang,
}

impl Fault {
    /// All there are.
    pub const ALL: [Fault; 13] = [
        Fault::SlowDown,
        Fault::TooManyRequests,
        Fault::InternalError,
        Fault::Unauthorized,
        Fault::Forbidden,
        Fault::NotFound,
        Fault::Conflict,
        Fault::PreconditionFailed,
        Fault::ErrorInside200,
        Fault::ResetInRequest,
        Fault::ResetInAnswer,
        Fault::LostAnswer,
        Fault::Hang,
    ];

    /// The status line and S3's code of a fault that is an answer instead of the server's.
    fn answer(self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Fault::SlowDown => ("503 Service Unavailable", "SlowDown"),
            Fault::TooManyRequests => ("429 Too Many Requests", "TooManyRequests"),
            Fault::InternalError => ("500 Internal Server Error", "InternalError"),
            Fault::Unauthorized => ("401 Unauthorized", "InvalidToken"),
            Fault::Forbidden => ("403 Forbidden", "AccessDenied"),
            Fault::NotFound => ("404 Not Found", "NoSuchBucket"),
            Fault::Conflict => ("409 Conflict", "ConditionalRequestConflict"),
            Fault::ErrorInside200 => ("200 OK", "InternalError"),
            Fault::PreconditionFailed
            | Fault::ResetInRequest
            | Fault::ResetInAnswer
            | Fault::LostAnswer
            | Fault::Hang => return None,
        })
    }
}

/// A running proxy. It ends when dropped.
#[derive(Debug)]
pub struct FaultProxy {
    port: u16,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    upstream: u16,
    stopped: bool,
    /// Until then each connection is reset at once.
    outage_until: Option<Instant>,
    /// Faults of coming requests, by their methods; before all others.
    next: VecDeque<(String, Fault)>,
    random: Random,
    percent: u64,
    choices: Vec<Fault>,
    /// Changed when faults end: whoever hangs then goes.
    quiets: u64,
    counts: BTreeMap<Fault, u64>,
    log: Vec<String>,
    heads: Vec<String>,
}

impl FaultProxy {
    /// Starts a proxy before the server on a port of this machine. At first it lets all through.
    ///
    /// # Panics
    ///
    /// Where it can't listen.
    #[must_use]
    pub fn start(upstream: u16) -> Self {
        let port = crate::process::free_port();
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let shared = Arc::new(Mutex::new(Shared {
            upstream,
            stopped: false,
            outage_until: None,
            next: VecDeque::new(),
            random: Random::new(0),
            percent: 0,
            choices: Vec::new(),
            quiets: 0,
            counts: BTreeMap::new(),
            log: Vec::new(),
            heads: Vec::new(),
        }));
        let of_listener = Arc::clone(&shared);
        std::thread::spawn(move || listen(&listener, &of_listener));
        Self { port, shared }
    }

    /// What clients take for the server's endpoint.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// From now on does one of some faults to so many per cent of the requests, as a seed has it.
    ///
    /// # Panics
    ///
    /// Never but after another thread's panic, as all here.
    pub fn disturb(&self, seed: u64, percent: u64, choices: &[Fault]) {
        let mut shared = self.shared.lock().unwrap();
        shared.random = Random::new(seed);
        shared.percent = percent;
        shared.choices = choices.to_vec();
    }

    /// Does a fault to the next request of a method (`PUT`, `GET`, `HEAD`) that has none yet.
    ///
    /// # Panics
    ///
    /// Never but after another thread's panic.
    pub fn fail_next(&self, method: &str, fault: Fault) {
        self.shared.lock().unwrap().next.push_back((method.to_owned(), fault));
    }

    /// For a time resets each connection as it comes.
    ///
    /// # Panics
    ///
    /// Never but after another thread's panic.
    pub fn fail_all_for(&self, time: Duration) {
        self.shared.lock().unwrap().outage_until = Some(Instant::now() + time);
    }

    /// Lets all through from now on, and cuts off what hangs.
    ///
    /// # Panics
    ///
    /// Never but after another thread's panic.
    pub fn heal(&self) {
        let mut shared = self.shared.lock().unwrap();
        shared.percent = 0;
        shared.next.clear();
        shared.outage_until = None;
        shared.quiets += 1;
    }

    /// How often each fault was done.
    ///
    /// # Panics
    ///
    /// Never but after another thread's panic.
    pub fn counts(&self) -> BTreeMap<Fault, u64> {
        self.shared.lock().unwrap().counts.clone()
    }

    /// Each request so far: its first line, and what was done to it.
    ///
    /// # Panics
    ///
    /// Never but after another thread's panic.
    pub fn log(&self) -> Vec<String> {
        self.shared.lock().unwrap().log.clone()
    }

    /// What the requests so far had in a header; those without it are left out.
    ///
    /// # Panics
    ///
    /// Never but after another thread's panic.
    pub fn values(&self, header: &str) -> Vec<String> {
        self.shared.lock().unwrap().heads.iter().filter_map(|head| Head::value(head, header)).collect()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        if let Ok(mut shared) = self.shared.lock() {
            shared.stopped = true;
        }
        // Whoever waits for a connection gets one, and sees.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn listen(listener: &TcpListener, shared: &Arc<Mutex<Shared>>) {
    for client in listener.incoming() {
        let Ok(client) = client else { continue };
        if shared.lock().unwrap().stopped {
            return;
        }
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            // A client or server that goes away is what this is all about.
            let _ = serve(client, &shared);
        });
    }
}

/// Serves the one request of a connection: every answer says that it closes.
fn serve(mut client: TcpStream, shared: &Mutex<Shared>) -> io::Result<()> {
    if shared.lock().unwrap().outage_until.is_some_and(|end| Instant::now() < end) {
        return reset(&client);
    }
    let Some(head) = read_head(&mut client)? else { return Ok(()) };
    if head.method() == "CONNECT" {
        return tunnel(client, shared);
    }
    let fault = choose(&head, &mut shared.lock().unwrap());
    if fault == Some(Fault::Hang) {
        return hang(shared);
    }
    if fault == Some(Fault::ResetInRequest) {
        read_exactly(&mut client, head.body_bytes / 2)?;
        return reset(&client);
    }
    let body = read_exactly(&mut client, head.body_bytes)?;
    if let Some((status, code)) = fault.and_then(Fault::answer) {
        return answer(&mut client, &head, status, code);
    }
    let done = ask(shared, &head, &body)?;
    match fault {
        Some(Fault::PreconditionFailed) => answer(&mut client, &head, "412 Precondition Failed", "PreconditionFailed"),
        Some(Fault::ResetInAnswer) => {
            client.write_all(done.get(..done.len() / 2).unwrap_or_default())?;
            client.flush()?;
            reset(&client)
        }
        Some(Fault::LostAnswer) => client.shutdown(Shutdown::Both),
        _ => client.write_all(&done),
    }
}

/// What precedes a request's body.
struct Head {
    text: String,
    body_bytes: u64,
}

impl Head {
    fn method(&self) -> &str {
        self.text.split(' ').next().unwrap_or_default()
    }

    fn value(text: &str, name: &str) -> Option<String> {
        let lines = text.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned()).next()
    }
}

/// Reads up to the empty line, byte by byte: nothing of the body is taken. `None` where nothing comes.
fn read_head(client: &mut TcpStream) -> io::Result<Option<Head>> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if client.read(&mut byte)? == 0 {
            return Ok(None);
        }
        bytes.extend(byte);
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let body_bytes = Head::value(&text, "content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
    if Head::value(&text, "expect").is_some() {
        client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    Ok(Some(Head { text, body_bytes }))
}

fn read_exactly(client: &mut TcpStream, count: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    client.take(count).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What happens to a request; counted and logged.
fn choose(head: &Head, shared: &mut Shared) -> Option<Fault> {
    let planned = shared.next.iter().position(|(method, _)| method == head.method());
    let fault = if let Some(index) = planned {
        shared.next.remove(index).map(|(_, fault)| fault)
    } else {
        let percent = shared.percent;
        shared.random.happens(percent).then(|| {
            let choices = shared.choices.clone();
            shared.random.one_of(&choices)
        })
    };
    let conditional = Head::value(&head.text, "if-none-match").is_some();
    let fault = fault.filter(|fault| *fault != Fault::PreconditionFailed || conditional);
    let line = head.text.lines().next().unwrap_or_default();
    shared.heads.push(head.text.clone());
    shared.log.push(fault.map_or_else(|| line.to_owned(), |fault| format!("{line} {fault:?}")));
    if let Some(fault) = fault {
        *shared.counts.entry(fault).or_default() += 1;
    }
    fault
}

/// Holds on to a connection until faults end.
fn hang(shared: &Mutex<Shared>) -> io::Result<()> {
    let begun = shared.lock().unwrap().quiets;
    while {
        let shared = shared.lock().unwrap();
        shared.quiets == begun && !shared.stopped
    } {
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Lets a client talk with the server as if there were no proxy: all that one can do where they talk TLS.
fn tunnel(mut client: TcpStream, shared: &Mutex<Shared>) -> io::Result<()> {
    let upstream = shared.lock().unwrap().upstream;
    let mut server = TcpStream::connect(("127.0.0.1", upstream))?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (mut from_server, mut to_client) = (server.try_clone()?, client.try_clone()?);
    let answers = std::thread::spawn(move || io::copy(&mut from_server, &mut to_client));
    io::copy(&mut client, &mut server)?;
    server.shutdown(Shutdown::Write)?;
    let _ = answers.join();
    Ok(())
}

/// Sends a request on, and reads the whole answer.
fn ask(shared: &Mutex<Shared>, head: &Head, body: &[u8]) -> io::Result<Vec<u8>> {
    let upstream = shared.lock().unwrap().upstream;
    let mut server = TcpStream::connect(("127.0.0.1", upstream))?;
    // Not among the signed headers, as any proxy may change it.
    let lines = head.text.trim_end().lines().filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    let head: String = lines.map(|line| format!("{line}\r\n")).collect();
    server.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes())?;
    server.write_all(body)?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    Ok(answer)
}

/// Answers in the server's stead.
fn answer(client: &mut TcpStream, head: &Head, status: &str, code: &str) -> io::Result<()> {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>A fault of the test.</Message></Error>"
    );
    write!(
        client,
        "HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len(),
    )?;
    if head.method() != "HEAD" {
        client.write_all(body.as_bytes())?;
    }
    Ok(())
}

/// Makes the connection end with a reset instead of a close.
fn reset(client: &TcpStream) -> io::Result<()> {
    Ok(set_socket_linger(client, Some(Duration::ZERO))?)
}
