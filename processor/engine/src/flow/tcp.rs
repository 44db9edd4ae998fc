//! TCP as Zeek sees it: the state of each side, the history of both, and the connection's state.
//!
//! The letters and what they mean are Zeek's (`conn.log`, BSD-3-Clause): see `NOTICE`.

use super::packet::{FlowPacket, flag};
use crate::limits::IdleClass;

/// What one side has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// Nothing yet.
    #[default]
    Inactive,
    SynSent,
    SynAckSent,
    /// Sent without a handshake that was captured.
    Partial,
    Established,
    Closed,
    Reset,
}

impl Endpoint {
    /// The state of that place in the list above.
    pub(crate) fn from_number(number: u32) -> Self {
        use Endpoint::{Closed, Established, Inactive, Partial, Reset, SynAckSent, SynSent};
        let all = [Inactive, SynSent, SynAckSent, Partial, Established, Closed, Reset];
        all.into_iter().find(|&state| state as u32 == number).unwrap_or_default()
    }
}

/// Events in the order they happened, as letters: upper case for the originator.
#[derive(Debug, Clone)]
pub(crate) struct History {
    /// At most 8 letters that stand once a side, and 3 that stand once a power of ten.
    letters: [u8; HISTORY_MAX],
    length: u8,
}

/// The longest history: more powers of ten than 64 bits hold are no history any more.
const HISTORY_MAX: usize = 64;

impl Default for History {
    fn default() -> Self {
        Self { letters: [0; HISTORY_MAX], length: 0 }
    }
}

impl History {
    /// Adds a letter that stands once a side.
    pub(crate) fn once(&mut self, letter: u8, from_originator: bool) {
        let letter = side_letter(letter, from_originator);
        if !self.as_bytes().contains(&letter) {
            self.push(letter);
        }
    }

    /// Adds a letter at the 1st, 10th, 100th, … event.
    pub(crate) fn at_powers_of_ten(&mut self, letter: u8, from_originator: bool, events: u64) {
        if events > 0 && 10u64.pow(events.ilog10()) == events {
            self.push(side_letter(letter, from_originator));
        }
    }

    pub(crate) fn reversed(&mut self) {
        self.push(b'^');
    }

    /// What [`Self::as_str`] gave.
    pub(crate) fn from_letters(letters: &str) -> Self {
        let mut history = Self::default();
        letters.bytes().for_each(|letter| history.push(letter));
        history
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    fn as_bytes(&self) -> &[u8] {
        self.letters.get(..usize::from(self.length)).unwrap_or_default()
    }

    fn push(&mut self, letter: u8) {
        if let Some(slot) = self.letters.get_mut(usize::from(self.length)) {
            *slot = letter;
            self.length += 1;
        }
    }
}

fn side_letter(letter: u8, from_originator: bool) -> u8 {
    if from_originator { letter.to_ascii_uppercase() } else { letter }
}

/// Writes a segment into the history.
pub(crate) fn remember(history: &mut History, packet: &FlowPacket, from_originator: bool) {
    let has = |flag: u16| packet.has(flag);
    if has(flag::SYN) {
        history.once(if has(flag::ACK) { b'h' } else { b's' }, from_originator);
    }
    if has(flag::SYN) && has(flag::FIN) {
        history.once(b'q', from_originator);
    }
    if has(flag::RST) && (has(flag::SYN) || has(flag::FIN)) {
        history.once(b'i', from_originator);
    }
    if packet.rest.payload_bytes > 0 {
        history.once(b'd', from_originator);
    } else if packet.rest.flags & (flag::ACK | flag::SYN | flag::FIN | flag::RST) == flag::ACK {
        history.once(b'a', from_originator);
    }
    if has(flag::FIN) {
        history.once(b'f', from_originator);
    }
    if has(flag::RST) {
        history.once(b'r', from_originator);
    }
}

/// Moves both sides on by a segment of one of them.
pub(crate) fn advance(sender: &mut Endpoint, receiver: &mut Endpoint, packet: &FlowPacket) {
    use Endpoint::{Closed, Established, Inactive, Partial, Reset, SynAckSent, SynSent};
    let has = |flag: u16| packet.has(flag);
    if has(flag::RST) {
        *sender = Reset;
        return;
    }
    *sender = match *sender {
        Inactive if has(flag::SYN) && has(flag::ACK) => SynAckSent,
        Inactive if has(flag::SYN) => SynSent,
        Inactive => Partial,
        SynSent if has(flag::SYN) && has(flag::ACK) => SynAckSent,
        SynSent | SynAckSent if !has(flag::SYN) && has(flag::ACK) && *receiver != Inactive => Established,
        state => state,
    };
    // The handshake is over for both once the originator has answered the SYN-ACK.
    if *sender == Established && *receiver == SynAckSent {
        *receiver = Established;
    }
    if has(flag::FIN) && !matches!(*sender, Reset) {
        *sender = Closed;
    }
}

/// Which idle timeout holds for a flow with these sides.
pub(crate) fn idle_class(orig: Endpoint, resp: Endpoint) -> IdleClass {
    use Endpoint::{Closed, Established, Inactive, Partial, Reset};
    match (orig, resp) {
        (Inactive, Inactive) => IdleClass::Other,
        (Reset, _) | (_, Reset) | (Closed, Closed) => IdleClass::TcpClosed,
        (Established | Partial | Closed, _) | (_, Established | Partial | Closed) => IdleClass::TcpEstablished,
        _ => IdleClass::TcpHandshake,
    }
}

/// Zeek's `conn_state` of a TCP connection.
pub(crate) fn conn_state(orig: Endpoint, resp: Endpoint, payload_bytes: u64, history: &str) -> &'static str {
    use Endpoint::{Closed, Established, Inactive, Partial, Reset, SynAckSent, SynSent};
    let inactive = |side: Endpoint| matches!(side, Inactive | Partial);
    match (orig, resp) {
        (SynSent | SynAckSent, Reset) => "REJ",
        (Reset, Reset) if payload_bytes == 0 => "REJ",
        (orig, Reset) if inactive(orig) => "RSTRH",
        (_, Reset) => "RSTR",
        (Reset, resp) if inactive(resp) && is_reset_of_silence(history) => "RSTOS0",
        (Reset, resp) if inactive(resp) => "OTH",
        (Reset, _) => "RSTO",
        (Closed, Closed) => "SF",
        (Closed, resp) if inactive(resp) => "SH",
        (Closed, _) => "S2",
        (orig, Closed) if inactive(orig) => "SHR",
        (_, Closed) => "S3",
        (SynSent, Inactive) => "S0",
        (Established, Established) => "S1",
        _ => "OTH",
    }
}

/// The originator sent a SYN and then a reset, and no SYN-ACK, data, FIN or the like in between.
fn is_reset_of_silence(history: &str) -> bool {
    let history = history.strip_prefix('^').unwrap_or(history);
    let Some(after_syn) = history.strip_prefix('S') else { return false };
    let before_reset = after_syn.split('R').next().unwrap_or_default();
    after_syn.contains('R') && !before_reset.contains(['H', 'A', 'F', 'G', 'I', 'Q'])
}

/// Zeek's `conn_state` of anything but TCP: who was heard.
pub(crate) fn conn_state_of_datagrams(orig_sent: bool, resp_sent: bool) -> &'static str {
    match (orig_sent, resp_sent) {
        (true, true) => "SF",
        (true, false) => "S0",
        (false, true) => "SHR",
        (false, false) => "OTH",
    }
}
