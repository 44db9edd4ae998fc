//! The terminal, or what stands in its place.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write as _},
    os::fd::AsFd,
};

/// Columns of a terminal that does not say how many it has.
const USUAL: usize = 80;

/// Columns of the terminal behind a stream; none if it is no terminal.
pub fn columns(stream: &(impl AsFd + IsTerminal)) -> Option<usize> {
    if !stream.is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(stream).ok();
    Some(size.map(|size| usize::from(size.ws_col)).filter(|&columns| columns > 0).unwrap_or(USUAL))
}

/// Writes a line to the standard error. If nobody takes it, there is nobody to tell: `eprintln` would panic.
pub fn tell(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
