//! What a live capture shows and takes while it runs, from any thread.

use crate::source::KernelCounters;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Looks into a live capture, and changes what it leaves out.
#[derive(Clone)]
pub struct LiveControl {
    interfaces: Arc<[Arc<Shared>]>,
}

/// An interface of a live capture, and what was counted of it since the capture began. In the end
/// `received` = `captured` + `kernel_dropped` + `queue_dropped` + `sampled_out`; before, some are under way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterfaceCounters {
    /// Its name.
    pub name: String,
    /// Whether any of its rings still captures.
    pub is_open: bool,
    /// Whether nothing is captured on it at the moment, by [`LiveControl::pause`].
    pub is_paused: bool,
    /// Packets that the kernel received and that passed the filter.
    pub received: i64,
    /// Packets given to the merge.
    pub captured: i64,
    /// Bytes of them.
    pub captured_bytes: i64,
    /// Packets lost because a ring was full.
    pub kernel_dropped: i64,
    /// Packets lost by the interface or its driver before the kernel counted them.
    pub interface_dropped: i64,
    /// Packets dropped because the merge was behind.
    pub queue_dropped: i64,
    /// Packets left out by sampling.
    pub sampled_out: i64,
}

/// One interface, between its rings' threads and everyone else.
pub(super) struct Shared {
    name: String,
    /// Grows with each change of `excluded` or `paused`.
    version: AtomicU64,
    excluded: Mutex<String>,
    paused: AtomicBool,
    open_rings: AtomicUsize,
    received: AtomicI64,
    captured: AtomicI64,
    captured_bytes: AtomicI64,
    kernel_dropped: AtomicI64,
    interface_dropped: AtomicI64,
    queue_dropped: AtomicI64,
    sampled_out: AtomicI64,
}

impl LiveControl {
    pub(super) fn new(interfaces: Vec<Arc<Shared>>) -> Self {
        Self { interfaces: interfaces.into() }
    }

    /// Leaves out packets that match this expression (pcap-filter(7)), on all interfaces, from at most 100 ms
    /// later on. It replaces the one before; an empty one leaves out nothing. Where it doesn't
    /// compile, capturing ends.
    pub fn exclude(&self, expression: &str) {
        for interface in self.interfaces.iter() {
            expression.clone_into(&mut interface.excluded.lock().unwrap_or_else(PoisonError::into_inner));
            interface.version.fetch_add(1, Ordering::Release);
        }
    }

    /// Stops capturing on an interface, from at most 100 ms later on, until [`LiveControl::resume`]. What
    /// comes in the meantime isn't counted: the kernel doesn't hand it out.
    pub fn pause(&self, interface: &str) {
        self.set_paused(interface, true);
    }

    /// Goes on capturing on an interface.
    pub fn resume(&self, interface: &str) {
        self.set_paused(interface, false);
    }

    fn set_paused(&self, name: &str, paused: bool) {
        for interface in self.interfaces.iter().filter(|interface| interface.name == name) {
            interface.paused.store(paused, Ordering::Relaxed);
            interface.version.fetch_add(1, Ordering::Release);
        }
    }

    /// What was counted so far, by interface. The kernel is asked each second.
    pub fn counters(&self) -> Vec<InterfaceCounters> {
        self.interfaces.iter().map(|interface| interface.counters()).collect()
    }
}

impl Shared {
    pub(super) fn new(name: &str, rings: usize, excluded: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: AtomicU64::default(),
            excluded: Mutex::new(excluded.to_owned()),
            paused: AtomicBool::default(),
            open_rings: AtomicUsize::new(rings),
            received: AtomicI64::default(),
            captured: AtomicI64::default(),
            captured_bytes: AtomicI64::default(),
            kernel_dropped: AtomicI64::default(),
            interface_dropped: AtomicI64::default(),
            queue_dropped: AtomicI64::default(),
            sampled_out: AtomicI64::default(),
        }
    }

    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub(super) fn excluded(&self) -> String {
        self.excluded.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    /// Adds what the kernel has counted on one ring since it was last asked. What the interface itself
    /// lost is the same on each of its rings.
    pub(super) fn add_kernel(&self, before: KernelCounters, now: KernelCounters) {
        self.received.fetch_add(now.received - before.received, Ordering::Relaxed);
        self.kernel_dropped.fetch_add(now.dropped - before.dropped, Ordering::Relaxed);
        self.interface_dropped.fetch_max(now.interface_dropped, Ordering::Relaxed);
    }

    pub(super) fn add_captured(&self, packets: usize, bytes: usize) {
        add(&self.captured, packets);
        add(&self.captured_bytes, bytes);
    }

    pub(super) fn add_queue_dropped(&self, packets: usize) {
        add(&self.queue_dropped, packets);
    }

    pub(super) fn add_sampled_out(&self, packets: usize) {
        add(&self.sampled_out, packets);
    }

    pub(super) fn close_ring(&self) {
        self.open_rings.fetch_sub(1, Ordering::Relaxed);
    }

    fn counters(&self) -> InterfaceCounters {
        let load = |counter: &AtomicI64| counter.load(Ordering::Relaxed);
        InterfaceCounters {
            name: self.name.clone(),
            is_open: self.open_rings.load(Ordering::Relaxed) > 0,
            is_paused: self.is_paused(),
            received: load(&self.received),
            captured: load(&self.captured),
            captured_bytes: load(&self.captured_bytes),
            kernel_dropped: load(&self.kernel_dropped),
            interface_dropped: load(&self.interface_dropped),
            queue_dropped: load(&self.queue_dropped),
            sampled_out: load(&self.sampled_out),
        }
    }
}

fn add(counter: &AtomicI64, count: usize) {
    counter.fetch_add(i64::try_from(count).unwrap_or(i64::MAX), Ordering::Relaxed);
}
