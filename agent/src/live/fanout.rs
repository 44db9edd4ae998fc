//! Several rings on one interface, among which the kernel divides its packets (`PACKET_FANOUT`,
//! packet(7)).
//!
//! The only module with `unsafe` in it: neither rustix, nix nor socket2 offers this option.

#![allow(unsafe_code)]

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd};

/// A group of rings that share the packets of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Group(u16);

/// `PACKET_FANOUT_HASH`: a packet's ring follows from its addresses and ports, in either direction.
const HASH: libc::c_int = 0;

/// `PACKET_FANOUT_FLAG_UNIQUEID`, for the upper half of the option: the kernel chooses a group
/// that no other program is in, which would take a part of the packets.
const UNIQUE_ID: libc::c_int = 0x2000;

/// Makes a group with this packet socket in it.
pub(super) fn found(socket: BorrowedFd<'_>) -> io::Result<Group> {
    set(socket, (HASH | UNIQUE_ID) << 16)?;
    let option = get(socket)?;
    u16::try_from(option & 0xffff).map(Group).map_err(io::Error::other)
}

/// Adds a packet socket of the same interface to a group.
pub(super) fn join(socket: BorrowedFd<'_>, Group(id): Group) -> io::Result<()> {
    set(socket, libc::c_int::from(id) | HASH << 16)
}

fn set(socket: BorrowedFd<'_>, option: libc::c_int) -> io::Result<()> {
    // SAFETY: the socket is open as long as it is borrowed; the option is a readable `c_int` for the
    // duration of the call, and its length is given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_FANOUT,
            (&raw const option).cast(),
            OPTION_LENGTH,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn get(socket: BorrowedFd<'_>) -> io::Result<libc::c_int> {
    let mut option: libc::c_int = 0;
    let mut length = OPTION_LENGTH;
    // SAFETY: the socket is open as long as it is borrowed; the option is a writable `c_int` and `length`
    // says so, both for the duration of the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_FANOUT,
            (&raw mut option).cast(),
            &raw mut length,
        )
    };
    if result == 0 { Ok(option) } else { Err(io::Error::last_os_error()) }
}

#[expect(clippy::cast_possible_truncation, reason = "4 bytes")]
const OPTION_LENGTH: libc::socklen_t = mem::size_of::<libc::c_int>() as libc::socklen_t;
