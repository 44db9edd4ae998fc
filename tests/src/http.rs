//! What a program tells of itself by HTTP.

#![allow(clippy::unwrap_used)]

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;

/// The answer to a question such as `/metrics`, head and body, of the program that listens on a port of this machine.
///
/// # Errors
///
/// Nobody listens there, or the connection broke.
pub fn get(port: u16, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// The sum of a metric over all labels that have this text in them; none before there is an answer.
///
/// # Panics
///
/// Where the metric's values are no numbers.
pub fn metric(port: u16, name: &str, labels: &str) -> Option<f64> {
    let answer = get(port, "/metrics").ok()?;
    let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
    let lines = answer.lines().filter(of_name).filter(|line| line.contains(labels));
    Some(lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum())
}
