//! One ring: an interface opened by libpcap, its filter, and what the kernel counts of it.

use super::fanout::{self, Group};
use super::{LiveError, LiveOptions, kernel_filter};
use crate::link_type;
use crate::source::{KernelCounters, PacketInfo};
use pcap::{Active, Capture, Device, Precision};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::os::fd::AsFd;
use std::time::Duration;

/// The longest packet that is captured, libpcap's limit.
pub(super) const MAX_PACKET_BYTES: u32 = 262_144;

/// An opened interface. No packet enters its ring before [`Handle::begin`].
pub(super) struct Handle {
    capture: Capture<Active>,
    interface: String,
    filter: Option<String>,
    block_timeout: Duration,
    /// What entered the ring between opening it and closing it again: it is unfiltered, and there twice
    /// where there are several rings.
    to_skip: i64,
    received: Counter,
    dropped: Counter,
    interface_dropped: Counter,
}

impl Handle {
    /// Opens an interface. `block_timeout` is how long the kernel waits for a block of the ring to be full
    /// before it hands it out.
    pub(super) fn open(interface: &str, options: &LiveOptions, block_timeout: Duration) -> Result<Self, LiveError> {
        let failed = |error: pcap::Error| LiveError::on_opening(interface, &error);
        let within_i32 = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        // Never immediate mode: it replaces TPACKET_V3 by V2, and cost 10 times the CPU and 11.7 %
        // of the packets. Never blocking: a blocking read of an idle interface did not return.
        let capture = Capture::from_device(interface)
            .map_err(failed)?
            .promisc(options.promiscuous && interface != super::ANY)
            .snaplen(within_i32(options.snap_length.clamp(1, MAX_PACKET_BYTES)))
            .buffer_size(within_i32(options.ring_bytes))
            .immediate_mode(false)
            .timeout(i32::try_from(block_timeout.as_millis()).unwrap_or(i32::MAX))
            .precision(Precision::Nano)
            .open()
            .and_then(Capture::setnonblock)
            .map_err(failed)?;
        // Compiled now, so that a wrong filter is told before anything else is done.
        kernel_filter::attach(&capture, interface, options.filter.as_deref(), "")?;
        let handle = Self {
            capture,
            interface: interface.to_owned(),
            filter: options.filter.clone(),
            block_timeout,
            to_skip: 0,
            received: Counter::default(),
            dropped: Counter::default(),
            interface_dropped: Counter::default(),
        };
        handle.pause()?;
        Ok(handle)
    }

    /// Makes a group of rings that divide the interface's packets, with this one in it.
    pub(super) fn found_group(&self) -> Result<Group, LiveError> {
        fanout::found(self.capture.as_fd()).map_err(|error| LiveError::on_fanout(&self.interface, &error))
    }

    /// Adds this ring to a group.
    pub(super) fn join(&self, group: Group) -> Result<(), LiveError> {
        fanout::join(self.capture.as_fd(), group).map_err(|error| LiveError::on_fanout(&self.interface, &error))
    }

    /// Begins to capture: what came before is neither handed out nor counted.
    pub(super) fn begin(&mut self, excluded: &str) -> Result<(), LiveError> {
        let before = self.kernel_counters();
        self.to_skip = before.received - before.dropped;
        for counter in [&mut self.received, &mut self.dropped, &mut self.interface_dropped] {
            counter.total = 0;
        }
        self.resume(excluded)
    }

    /// Keeps further packets out of the ring.
    pub(super) fn pause(&self) -> Result<(), LiveError> {
        kernel_filter::reject_all(&self.capture)
            .map_err(|error| LiveError::Other { interface: self.interface.clone(), reason: error.to_string() })
    }

    /// Lets packets into the ring but those that match `excluded`, an expression that may be empty.
    pub(super) fn resume(&self, excluded: &str) -> Result<(), LiveError> {
        kernel_filter::attach(&self.capture, &self.interface, self.filter.as_deref(), excluded)
    }

    /// The next packet out of the ring, if there is one.
    pub(super) fn next_packet(&mut self) -> Result<Option<(PacketInfo, &[u8])>, pcap::Error> {
        while self.to_skip > 0 {
            match self.capture.next_packet() {
                Ok(_) => self.to_skip -= 1,
                Err(pcap::Error::TimeoutExpired) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        match self.capture.next_packet() {
            Ok(packet) => {
                let ts = packet.header.ts; // nanoseconds, in spite of the field's name
                let ts_ns = ts.tv_sec.saturating_mul(1_000_000_000).saturating_add(ts.tv_usec);
                let info = PacketInfo { ts_ns, original_length: packet.header.len, interface: 0 };
                Ok(Some((info, packet.data)))
            }
            Err(pcap::Error::TimeoutExpired) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits until there may be a packet, no longer than the kernel waits for a block to be full.
    pub(super) fn wait(&self) {
        let Ok(timeout) = Timespec::try_from(self.block_timeout) else { return };
        // A failed poll (a signal, most likely) is as good as one that timed out.
        let _ = poll(&mut [PollFd::new(&self.capture, PollFlags::IN)], Some(&timeout));
    }

    /// What the kernel has counted since [`Handle::begin`].
    pub(super) fn kernel_counters(&mut self) -> KernelCounters {
        if let Ok(now) = self.capture.stats() {
            self.received.set(now.received);
            self.dropped.set(now.dropped);
            self.interface_dropped.set(now.if_dropped);
        }
        KernelCounters {
            received: self.received.total,
            dropped: self.dropped.total,
            interface_dropped: self.interface_dropped.total,
            ..KernelCounters::default()
        }
    }

    /// LINKTYPE_ value of its packets.
    pub(super) fn link_type(&self) -> u16 {
        link_type::from_libpcap(self.capture.get_datalink())
    }
}

/// A counter of libpcap's, which has 32 bits and wraps.
#[derive(Clone, Copy, Debug, Default)]
struct Counter {
    last: u32,
    total: i64,
}

impl Counter {
    fn set(&mut self, now: u32) {
        self.total += i64::from(now.wrapping_sub(self.last));
        self.last = now;
    }
}

/// libpcap's own words for an absent interface don't say which there are, and it opens some that
/// are down without a word.
pub(super) fn check_interface(interface: &str) -> Result<(), LiveError> {
    let Ok(devices) = Device::list() else { return Ok(()) }; // opening it will tell
    let Some(device) = devices.iter().find(|device| device.name == interface) else {
        let names: Vec<_> = devices.into_iter().map(|device| device.name).collect();
        return Err(LiveError::Absent { interface: interface.to_owned(), known: names.join(", ") });
    };
    if interface != super::ANY && !device.flags.is_up() {
        return Err(LiveError::Down { interface: interface.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_32_bits_go_on_beyond_them() {
        let mut counter = Counter::default();
        for now in [10, u32::MAX, 5, 5, 4] {
            counter.set(now);
        }
        assert_eq!(counter.total, (2 << 32) + 4);
    }
}
