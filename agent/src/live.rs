//! Packets from an interface, by libpcap.

use crate::error::{SourceError, SourceProblem};
use crate::filter::libpcap_reason;
use crate::link_type;
use crate::source::{Damage, KernelCounters, PacketInfo, Source, Step};
use pcap::{Active, Capture, Device, Precision};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use weir_contract::Interface;

/// Bytes of the kernel's ring: 0.3 s of 1.6 Gbit/s. With the default of 2 MiB, 1.6 % were lost at
/// 165,000 packets a second; with this, nothing at 366,000.
const RING_BYTES: i32 = 64 << 20;

/// The longest packet that is captured, libpcap's limit.
const MAX_PACKET_BYTES: i32 = 262_144;

/// How long a block of the ring may wait to be full, and how often an idle interface says so.
const TIMEOUT_MS: i32 = 100;

/// Polls without a packet after which a stopped capture is taken to be drained.
const DRAINED_POLLS: u32 = 3;

/// What to capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveOptions {
    /// Bytes of each packet that are captured, at most 262,144.
    pub snap_length: u32,
    /// Whether packets to other hosts are captured too.
    pub promiscuous: bool,
    /// Only packets that this expression lets pass (pcap-filter(7)).
    pub filter: Option<String>,
}

impl Default for LiveOptions {
    fn default() -> Self {
        Self { snap_length: 262_144, promiscuous: true, filter: None }
    }
}

/// Why capturing on an interface can't begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LiveError {
    /// No such interface.
    #[error("interface {interface}: there is none of that name; there are {known}")]
    Absent {
        /// The name asked for.
        interface: String,
        /// The names there are.
        known: String,
    },
    /// It is down.
    #[error("interface {interface}: it is down; `ip link set {interface} up` brings it up")]
    Down {
        /// Its name.
        interface: String,
    },
    /// The user may not capture.
    #[error(
        "interface {interface}: capturing needs CAP_NET_RAW: run as root or `setcap cap_net_raw+ep {program}` ({reason})"
    )]
    Forbidden {
        /// Its name.
        interface: String,
        /// The running program.
        program: String,
        /// What libpcap says.
        reason: String,
    },
    /// The filter isn't one.
    #[error(
        "interface {interface}: filter `{expression}` does not compile: {reason}; pcap-filter(7) describes the language"
    )]
    Filter {
        /// Its name.
        interface: String,
        /// The expression.
        expression: String,
        /// What libpcap says.
        reason: String,
    },
    /// Anything else.
    #[error("interface {interface}: capturing failed: {reason}")]
    Other {
        /// Its name.
        interface: String,
        /// What libpcap says.
        reason: String,
    },
}

/// An interface being captured on.
pub struct Live {
    capture: Capture<Active>,
    stop: Arc<AtomicBool>,
    /// Once stopping: what the kernel had received by then, which is still handed out.
    received_at_stop: Option<i64>,
    polls_since_packet: u32,
    ended: bool,
    interfaces: [Interface; 1],
    info: PacketInfo,
    data: Vec<u8>,
    delivered: i64,
    kernel: KernelCounters,
    damage: Damage,
}

impl Live {
    /// Opens an interface and begins to capture. Once `stop` is set, the source hands out what the
    /// kernel has received by then, and ends.
    ///
    /// # Errors
    /// The interface is absent, down or not for this user, or the filter is none.
    pub fn open(interface: &str, options: &LiveOptions, stop: Arc<AtomicBool>) -> Result<Self, LiveError> {
        check_interface(interface)?;
        let failed = |error: pcap::Error| opening_error(interface, &error);
        let snap_length = i32::try_from(options.snap_length).unwrap_or(MAX_PACKET_BYTES).min(MAX_PACKET_BYTES);
        // Never immediate mode: it replaces TPACKET_V3 by V2, and cost 10 times the CPU and 11.7 %
        // of the packets. Never blocking: a blocking read of an idle interface did not return.
        let capture = Capture::from_device(interface)
            .map_err(failed)?
            .promisc(options.promiscuous && interface != "any")
            .snaplen(snap_length)
            .buffer_size(RING_BYTES)
            .immediate_mode(false)
            .timeout(TIMEOUT_MS)
            .precision(Precision::Nano)
            .open()
            .map_err(failed)?;
        let mut capture = capture.setnonblock().map_err(failed)?;
        if let Some(expression) = &options.filter {
            capture.filter(expression, true).map_err(|error| LiveError::Filter {
                interface: interface.to_owned(),
                expression: expression.clone(),
                reason: libpcap_reason(&error),
            })?;
        }
        let link_type = link_type::from_libpcap(capture.get_datalink()).into();
        Ok(Self {
            capture,
            stop,
            received_at_stop: None,
            polls_since_packet: 0,
            ended: false,
            interfaces: [Interface { name: interface.to_owned(), link_type }],
            info: PacketInfo::default(),
            data: Vec::new(),
            delivered: 0,
            kernel: KernelCounters::default(),
            damage: Damage::default(),
        })
    }

    /// Whether a stopped capture has handed out all that came before it was stopped.
    fn is_drained(&mut self) -> bool {
        if !self.stop.load(Ordering::Relaxed) {
            return false;
        }
        let until = match self.received_at_stop {
            Some(until) => until,
            None => {
                let received = self.kernel_counters().received;
                self.received_at_stop = Some(received);
                received
            }
        };
        self.delivered + self.kernel.dropped >= until || self.polls_since_packet >= DRAINED_POLLS
    }

    fn end(&mut self) -> Step {
        self.kernel_counters();
        self.ended = true;
        self.info = PacketInfo::default();
        self.data.clear();
        Step::End
    }

    fn fail(&mut self, error: &pcap::Error) -> Step {
        let [Interface { name, .. }] = &self.interfaces;
        let problem = SourceProblem::Capture(libpcap_reason(error));
        self.damage.add(SourceError { name: name.clone(), offset: None, problem });
        self.end()
    }

    /// The next packet out of the ring, if there is one.
    fn read(&mut self) -> Result<bool, pcap::Error> {
        match self.capture.next_packet() {
            Ok(packet) => {
                let ts = packet.header.ts; // nanoseconds, in spite of the field's name
                self.info.ts_ns = ts.tv_sec.saturating_mul(1_000_000_000).saturating_add(ts.tv_usec);
                self.info.original_length = packet.header.len;
                self.data.clear();
                self.data.extend_from_slice(packet.data);
                Ok(true)
            }
            Err(pcap::Error::TimeoutExpired) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Source for Live {
    fn advance(&mut self) -> Step {
        if self.ended || self.is_drained() {
            return self.end();
        }
        let mut read = self.read();
        if matches!(read, Ok(false)) {
            self.polls_since_packet += 1;
            let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(TIMEOUT_MS) * 1_000_000 };
            // A failed poll (a signal, most likely) is as good as one that timed out.
            let _ = poll(&mut [PollFd::new(&self.capture, PollFlags::IN)], Some(&timeout));
            read = self.read();
        }
        match read {
            Ok(true) => {
                self.polls_since_packet = 0;
                self.delivered += 1;
                Step::Packet
            }
            Ok(false) => {
                self.info = PacketInfo::default();
                self.data.clear();
                Step::Idle
            }
            Err(error) => self.fail(&error),
        }
    }

    fn info(&self) -> PacketInfo {
        self.info
    }

    fn data(&self) -> &[u8] {
        &self.data
    }

    fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    fn take_damage(&mut self) -> Damage {
        mem::take(&mut self.damage)
    }

    fn kernel_counters(&mut self) -> KernelCounters {
        if let Ok(now) = self.capture.stats() {
            // libpcap's counters have 32 bits and wrap.
            self.kernel.received += wrapped(self.kernel.received, now.received);
            self.kernel.dropped += wrapped(self.kernel.dropped, now.dropped);
            self.kernel.interface_dropped += wrapped(self.kernel.interface_dropped, now.if_dropped);
        }
        self.kernel
    }
}

/// How far a counter of 32 bits has come since it was counted to `before`.
fn wrapped(before: i64, now: u32) -> i64 {
    (i64::from(now) - before).rem_euclid(1 << 32)
}

/// libpcap's own words for an absent interface don't say which there are, and it opens some that
/// are down without a word.
fn check_interface(interface: &str) -> Result<(), LiveError> {
    let Ok(devices) = Device::list() else { return Ok(()) }; // opening it will tell
    let Some(device) = devices.iter().find(|device| device.name == interface) else {
        let names: Vec<_> = devices.into_iter().map(|device| device.name).collect();
        return Err(LiveError::Absent { interface: interface.to_owned(), known: names.join(", ") });
    };
    if interface != "any" && !device.flags.is_up() {
        return Err(LiveError::Down { interface: interface.to_owned() });
    }
    Ok(())
}

fn opening_error(interface: &str, error: &pcap::Error) -> LiveError {
    let interface = interface.to_owned();
    let reason = libpcap_reason(error);
    let lower = reason.to_lowercase();
    if lower.contains("not permitted") || lower.contains("permission") {
        let program = std::env::current_exe().map_or_else(|_| "weir".to_owned(), |path| path.display().to_string());
        return LiveError::Forbidden { interface, program, reason };
    }
    if lower.contains("not up") || lower.contains("network is down") {
        return LiveError::Down { interface };
    }
    LiveError::Other { interface, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_32_bits_go_on_beyond_them() {
        let mut count = 0;
        for now in [10, u32::MAX, 5, 5, 4] {
            count += wrapped(count, now);
        }
        assert_eq!(count, (2 << 32) + 4);
    }
}
