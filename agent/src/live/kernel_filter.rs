//! Filters in the kernel, in front of a ring.
//!
//! They are compiled by libpcap but attached without it. libpcap swaps the filter of a running capture
//! in two steps, between which packets are lost uncounted, and then filters again what is in the ring,
//! uncounted as well. The kernel swaps it in one, so that each packet it counted is handed out or
//! counted as lost.

use super::LiveError;
use crate::filter::libpcap_reason;
use pcap::{Active, BpfInstruction, Capture};
use socket2::{SockFilter, SockRef};
use std::fs;

/// Instructions that the kernel takes at most (`BPF_MAXINSNS`).
const MAX_INSTRUCTIONS: usize = 4096;

/// Linux's name of the loopback interface.
const LOOPBACK: &str = "lo";

/// `SKF_AD_OFF`: from here on, what the kernel knows about a packet.
const ANCILLARY: u32 = 0xffff_f000;
/// `SKF_AD_PROTOCOL`, `SKF_AD_PKTTYPE` and `SKF_AD_IFINDEX` of it.
const PROTOCOL: u32 = ANCILLARY;
const PACKET_TYPE: u32 = ANCILLARY + 4;
const INTERFACE_INDEX: u32 = ANCILLARY + 8;

/// `PACKET_OUTGOING`, a packet type.
const OUTGOING: u32 = 4;

/// `BPF_RET | BPF_K`: how many bytes of the packet are kept.
const RETURN: u16 = 0x06;

/// Keeps every packet out of the ring.
pub(super) fn reject_all(capture: &Capture<Active>) -> std::io::Result<()> {
    SockRef::from(capture).attach_filter(&[SockFilter::new(RETURN, 0, 0, 0)])
}

/// Lets only those packets into the ring that pass `wanted`, if there is one, and don't match `excluded`,
/// if that isn't empty; cut to the capture's snap length.
pub(super) fn attach(
    capture: &Capture<Active>,
    interface: &str,
    wanted: Option<&str>,
    excluded: &str,
) -> Result<(), LiveError> {
    let expression = both(wanted, excluded);
    let failed =
        |reason: String| LiveError::Filter { interface: interface.to_owned(), expression: expression.clone(), reason };
    let program = capture.compile(&expression, true).map_err(|error| failed(libpcap_reason(&error)))?;
    let is_cooked = capture.get_datalink() == pcap::Linktype::LINUX_SLL;
    let instructions: Option<Vec<_>> = program
        .get_instructions()
        .iter()
        .map(|instruction| Instruction::of_libpcap(instruction)?.for_kernel(is_cooked))
        .collect();
    let Some(instructions) = instructions else {
        return Err(failed("it asks for bytes that the kernel doesn't show for this kind of interface".to_owned()));
    };
    if instructions.len() > MAX_INSTRUCTIONS - without_loopbacks_copies().len() {
        let count = instructions.len();
        return Err(failed(format!("it has {count} instructions, and the kernel takes {MAX_INSTRUCTIONS}")));
    }
    let twice = if interface == LOOPBACK || interface == super::ANY { without_loopbacks_copies() } else { Vec::new() };
    let program: Vec<_> = twice.iter().chain(&instructions).map(Instruction::of_kernel).collect();
    SockRef::from(capture).attach_filter(&program).map_err(|error| failed(error.to_string()))
}

/// What comes over loopback both leaves and arrives by it. libpcap hands out what arrives, and throws away the other
/// uncounted, unless it never gets that far.
fn without_loopbacks_copies() -> Vec<Instruction> {
    let index = fs::read_to_string("/sys/class/net/lo/ifindex").ok().and_then(|text| text.trim().parse().ok());
    let load = |value| Instruction { code: 0x20, jump_true: 0, jump_false: 0, value };
    let unless_equal = |value, jump_false| Instruction { code: 0x15, jump_true: 0, jump_false, value };
    vec![
        load(INTERFACE_INDEX),
        unless_equal(index.unwrap_or(1), 3),
        load(PACKET_TYPE),
        unless_equal(OUTGOING, 1),
        Instruction { code: RETURN, jump_true: 0, jump_false: 0, value: 0 },
    ]
}

/// One expression of both. What is wanted stands last: `vlan`, `mpls` and `pppoes` in it move
/// where everything behind them looks.
fn both(wanted: Option<&str>, excluded: &str) -> String {
    match (wanted.filter(|wanted| !wanted.trim().is_empty()), excluded) {
        (None, "") => String::new(),
        (Some(wanted), "") => wanted.to_owned(),
        (None, excluded) => format!("not ({excluded})"),
        (Some(wanted), excluded) => format!("not ({excluded}) and ({wanted})"),
    }
}

/// An instruction of a classic BPF program (bpf(4)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Instruction {
    code: u16,
    jump_true: u8,
    jump_false: u8,
    value: u32,
}

impl Instruction {
    /// The `pcap` crate shows an instruction only as text: four numbers, as `tcpdump -ddd` does.
    fn of_libpcap(instruction: &BpfInstruction) -> Option<Self> {
        Self::parse(&instruction.to_string())
    }

    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(' ');
        Some(Self {
            code: numbers.next()?.parse().ok()?,
            jump_true: numbers.next()?.parse().ok()?,
            jump_false: numbers.next()?.parse().ok()?,
            value: numbers.next()?.parse().ok()?,
        })
    }

    /// On a cooked interface libpcap makes up a header (LINKTYPE_LINUX_SLL) that the kernel doesn't have:
    /// its packets begin behind it, and two fields of it are there by other means. `None` where an
    /// instruction asks for another.
    fn for_kernel(self, is_cooked: bool) -> Option<Self> {
        const HEADER_BYTES: u32 = 16;
        if !is_cooked || !self.reads_packet() {
            return Some(self);
        }
        let value = match self.value {
            ANCILLARY.. => self.value,
            HEADER_BYTES.. => self.value - HEADER_BYTES,
            14 => PROTOCOL,
            0 => PACKET_TYPE,
            _ => return None,
        };
        Some(Self { value, ..self })
    }

    fn reads_packet(self) -> bool {
        const LOAD: u16 = 0x00;
        const LOAD_INDEX: u16 = 0x01;
        let (class, mode) = (self.code & 0x07, self.code & 0xe0);
        let is_load = class == LOAD || class == LOAD_INDEX;
        is_load && matches!(mode, 0x20 | 0x40 | 0xa0) // BPF_ABS, BPF_IND, BPF_MSH
    }

    fn of_kernel(&self) -> SockFilter {
        SockFilter::new(self.code, self.jump_true, self.jump_false, self.value)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_excluded_stands_before_what_moves_the_offsets() {
        assert_eq!(both(None, ""), "");
        assert_eq!(both(Some(" "), ""), "");
        assert_eq!(both(Some("vlan 5"), "host 10.0.0.1"), "not (host 10.0.0.1) and (vlan 5)");
        assert_eq!(both(Some("udp or tcp"), ""), "udp or tcp");
        assert_eq!(both(None, "host 10.0.0.1"), "not (host 10.0.0.1)");
    }

    #[test]
    fn instructions_are_read_from_libpcaps_text() {
        let ldh = Instruction { code: 40, jump_true: 0, jump_false: 0, value: 12 };
        assert_eq!(Instruction::parse("40 0 0 12"), Some(ldh));
        let largest = Instruction { code: 6, jump_true: 255, jump_false: 255, value: u32::MAX };
        assert_eq!(Instruction::parse("6 255 255 4294967295"), Some(largest));
        for wrong in ["", "40 0 0", "40 0 0 -1", "65536 0 0 0", "40 256 0 0"] {
            assert_eq!(Instruction::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn offsets_of_a_cooked_interface_are_the_kernels() {
        let read = |value| Instruction { code: 0x28, jump_true: 0, jump_false: 0, value };
        for (of_libpcap, of_kernel) in
            [(14, 0xffff_f000), (0, 0xffff_f004), (16, 0), (25, 9), (0xffff_f030, 0xffff_f030)]
        {
            assert_eq!(read(of_libpcap).for_kernel(true), Some(read(of_kernel)));
            assert_eq!(read(of_libpcap).for_kernel(false), Some(read(of_libpcap)));
        }
        assert_eq!(read(6).for_kernel(true), None, "the sender's address");
        let compare = Instruction { code: 0x15, jump_true: 1, jump_false: 0, value: 2048 };
        assert_eq!(compare.for_kernel(true), Some(compare));
        let length_of_header = Instruction { code: 0xb1, jump_true: 0, jump_false: 0, value: 16 };
        assert_eq!(length_of_header.for_kernel(true).unwrap().value, 0);
    }
}
