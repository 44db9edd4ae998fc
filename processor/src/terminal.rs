//! How wide the terminal is.

use std::{io::IsTerminal, os::fd::AsFd};

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
