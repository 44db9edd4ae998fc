//! Packets from interfaces, by libpcap: a thread for each ring, merged by time into one source.

mod chunk;
mod control;
mod error;
mod fanout;
mod handle;
mod kernel_filter;
mod list;
mod order;
mod ring;

pub use control::{InterfaceCounters, LiveControl};
pub use error::LiveError;
pub use list::{InterfaceInfo, interfaces};

use crate::error::{SourceError, SourceProblem};
use crate::source::{Damage, KernelCounters, PacketInfo, Source, Step};
use chunk::{CHUNK_BYTES, Chunk};
use control::Shared;
use handle::{Handle, check_interface};
use order::{Choice, Head, choose};
use ring::{Moment, Progress, Ring, Sampling};
use std::mem;
use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use weir_contract::Interface;

/// Linux's name for all interfaces at once.
pub const ANY: &str = "any";

/// Bytes of chunks between all rings and the merge: a tenth of a second at 300 MB/s. What the merge takes
/// longer is dropped and counted.
const QUEUE_BYTES: usize = 32 << 20;

/// How long a block of the ring may wait to be full, where there is one ring.
const BLOCK_TIMEOUT: Duration = Duration::from_millis(100);

/// How long before a ring is found empty a packet may have come that is not seen in it: many times a block's time-out.
const UNSEEN: Duration = Duration::from_secs(1);

/// How often a source says [`Step::Idle`] at least, unless packets come without a pause.
const IDLE_EVERY: Duration = Duration::from_millis(100);

/// What to capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveOptions {
    /// Bytes of each packet that are captured, 1 to 262,144.
    pub snap_length: u32,
    /// Whether packets to other hosts are captured too.
    pub promiscuous: bool,
    /// Only packets that this expression lets pass (pcap-filter(7)).
    pub filter: Option<String>,
    /// Bytes of each ring, up to 2 GiB. 64 MiB are 0.3 s of 1.6 Gbit/s: with libpcap's own 2 MiB, 1.6 % were lost
    /// at 165,000 packets a second; with 64 MiB, nothing at 366,000.
    pub ring_bytes: u32,
    /// Rings, and threads, among which the kernel divides the packets of each interface.
    pub rings: NonZeroU32,
    /// Captures the packets of one in so many address pairs: conversations whole or not at all.
    pub one_in: NonZeroU32,
}

impl Default for LiveOptions {
    fn default() -> Self {
        Self {
            snap_length: handle::MAX_PACKET_BYTES,
            promiscuous: true,
            filter: None,
            ring_bytes: 64 << 20,
            rings: NonZeroU32::MIN,
            one_in: NonZeroU32::MIN,
        }
    }
}

/// Interfaces opened to be captured on. After that no privilege is needed any more.
pub struct LiveHandles {
    /// By interface its rings.
    interfaces: Vec<(Interface, Vec<Handle>)>,
    sampling: Option<Sampling>,
}

impl LiveHandles {
    /// Opens interfaces. Nothing is captured yet, and no thread begun.
    ///
    /// # Errors
    /// An interface is absent, down, named twice or not for this user, the filter is none, or the kernel
    /// doesn't do what is asked.
    pub fn open(names: &[String], options: &LiveOptions) -> Result<Self, LiveError> {
        let several = names.len() > 1;
        let block_timeout =
            if several || options.rings > NonZeroU32::MIN { order::BLOCK_TIMEOUT } else { BLOCK_TIMEOUT };
        let mut interfaces: Vec<(Interface, Vec<Handle>)> = Vec::new();
        for name in names {
            let is_known = interfaces.iter().any(|(known, _)| known.name == *name);
            if is_known || several && name == ANY {
                return Err(LiveError::Twice { interface: name.clone() });
            }
            check_interface(name)?;
            let first = Handle::open(name, options, block_timeout)?;
            let interface = Interface { name: name.clone(), link_type: first.link_type().into() };
            let mut handles = vec![first];
            if options.rings > NonZeroU32::MIN {
                let group = handles.iter().map(Handle::found_group).next().transpose()?;
                for (_, group) in (1..options.rings.get()).zip(group.into_iter().cycle()) {
                    let handle = Handle::open(name, options, block_timeout)?;
                    handle.join(group)?;
                    handles.push(handle);
                }
            }
            interfaces.push((interface, handles));
        }
        Ok(Self { interfaces, sampling: Sampling::new(options.one_in) })
    }

    /// Begins to capture what `excluded` doesn't match; see [`LiveControl::exclude`]. Once `stop` is set,
    /// the source hands out what the kernel has received by then, and ends.
    ///
    /// # Errors
    /// `excluded` is no filter expression, or a thread can't be started.
    pub fn start(self, excluded: &str, stop: &Arc<AtomicBool>) -> Result<Live, LiveError> {
        let ring_count: usize = self.interfaces.iter().map(|(_, handles)| handles.len()).sum();
        let queued = (QUEUE_BYTES / CHUNK_BYTES / ring_count.max(1)).max(4);
        let abandoned = Arc::new(AtomicBool::new(false));
        let (ring_bell, bell) = sync_channel(1);
        let mut live = Live {
            lanes: Vec::new(),
            interfaces: Vec::new(),
            control: LiveControl::new(Vec::new()),
            bell,
            abandoned,
            now: Instant::now(),
            idle_at: Instant::now(),
            current: None,
            damage: Damage::default(),
        };
        let mut all_shared = Vec::new();
        for (index, (interface, handles)) in (0..).zip(self.interfaces) {
            let shared = Arc::new(Shared::new(&interface.name, handles.len(), excluded));
            all_shared.push(Arc::clone(&shared));
            for (number, mut handle) in handles.into_iter().enumerate() {
                handle.begin(excluded)?;
                let (chunks, take_chunks) = sync_channel(queued);
                let (spares, take_spares) = sync_channel(queued);
                let found_empty = Arc::new(Moment::now());
                let ring = Ring {
                    handle,
                    shared: Arc::clone(&shared),
                    sampling: self.sampling.clone(),
                    stop: Arc::clone(stop),
                    abandoned: Arc::clone(&live.abandoned),
                    chunks,
                    found_empty: Arc::clone(&found_empty),
                    bell: ring_bell.clone(),
                    spares: take_spares,
                    progress: Progress::default(),
                };
                let thread = thread::Builder::new()
                    .name(format!("{} {number}", interface.name))
                    .spawn(move || ring.run())
                    .map_err(|error| LiveError::Other {
                        interface: interface.name.clone(),
                        reason: error.to_string(),
                    })?;
                live.lanes.push(Lane {
                    interface: index,
                    chunks: take_chunks,
                    spares,
                    chunk: None,
                    quiet_at: found_empty.get(),
                    found_empty,
                    thread: Some(thread),
                });
            }
            live.interfaces.push(interface);
        }
        live.control = LiveControl::new(all_shared);
        Ok(live)
    }
}

/// Interfaces being captured on.
pub struct Live {
    lanes: Vec<Lane>,
    interfaces: Vec<Interface>,
    control: LiveControl,
    bell: Receiver<()>,
    abandoned: Arc<AtomicBool>,
    /// The time when the rings were last looked at.
    now: Instant,
    idle_at: Instant,
    current: Option<Current>,
    damage: Damage,
}

/// The packet last advanced to.
struct Current {
    lane: usize,
    info: PacketInfo,
    bytes: Range<usize>,
}

/// What comes from one ring.
struct Lane {
    interface: u32,
    chunks: Receiver<Chunk>,
    spares: SyncSender<Chunk>,
    chunk: Option<Chunk>,
    /// When the ring was found empty, as its thread says.
    found_empty: Arc<Moment>,
    /// The same, as of the last time when there was no chunk here: whatever was in the ring by then has come.
    quiet_at: Instant,
    /// None once it has ended, and so has the lane.
    thread: Option<JoinHandle<Result<(), String>>>,
}

impl Live {
    /// What the capture shows and takes while it runs.
    pub fn control(&self) -> LiveControl {
        self.control.clone()
    }

    /// Looks for chunks of the rings that have none here.
    fn refill(&mut self) {
        let Self { lanes, damage, interfaces, .. } = self;
        for lane in lanes.iter_mut().filter(|lane| lane.chunk.is_none() && lane.thread.is_some()) {
            // To be read before it is seen whether there is a chunk.
            let found_empty = lane.found_empty.get();
            match lane.chunks.try_recv() {
                Ok(chunk) => lane.chunk = Some(chunk),
                Err(TryRecvError::Empty) => lane.quiet_at = found_empty,
                Err(TryRecvError::Disconnected) => {
                    let result = lane.thread.take().map(JoinHandle::join);
                    let reason = match result {
                        None | Some(Ok(Ok(()))) => continue,
                        Some(Ok(Err(reason))) => reason,
                        Some(Err(_)) => "its thread broke down".to_owned(),
                    };
                    let interface = usize::try_from(lane.interface).ok().and_then(|index| interfaces.get(index));
                    let name = interface.map(|interface| interface.name.clone()).unwrap_or_default();
                    damage.add(SourceError { name, offset: None, problem: SourceProblem::Capture(reason) });
                }
            }
        }
        self.now = Instant::now();
    }

    /// Leaves the packet last advanced to, and its chunk if that was the last of it.
    fn leave_current(&mut self) {
        let Some(Current { lane, .. }) = self.current.take() else { return };
        let Some(lane) = self.lanes.get_mut(lane) else { return };
        if let Some(mut read) = lane.chunk.take_if(|chunk| chunk.next_ts_ns().is_none()) {
            read.clear();
            // Its thread makes a new one where this fails.
            let _ = lane.spares.try_send(read);
            self.refill();
        }
    }

    fn choose(&self) -> Choice {
        choose(self.lanes.iter().map(Lane::head), self.now)
    }

    fn take(&mut self, index: usize) -> Step {
        let Some(lane) = self.lanes.get_mut(index) else { return Step::End };
        let taken = lane.chunk.as_mut().and_then(|chunk| chunk.take(lane.interface));
        self.current = taken.map(|(info, bytes)| Current { lane: index, info, bytes });
        Step::Packet
    }

    /// Waits for the rings; gives `Idle` instead where that was last said long ago.
    fn wait(&mut self, until: Option<Instant>) -> Option<Step> {
        let idle_at = self.idle_at + IDLE_EVERY;
        if self.now >= idle_at {
            self.idle_at = self.now;
            return Some(Step::Idle);
        }
        let until = until.map_or(idle_at, |until| until.min(idle_at));
        if self.bell.recv_timeout(until.saturating_duration_since(self.now)) == Err(RecvTimeoutError::Disconnected) {
            // All threads have ended, but one may have left a chunk: there is no bell to wait for.
            thread::yield_now();
        }
        None
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }
}

impl Lane {
    fn head(&self) -> Head {
        let next = self.chunk.as_ref().and_then(|chunk| Some((chunk.next_ts_ns()?, chunk.arrived)));
        match next {
            Some((ts_ns, arrived)) => Head::Packet { ts_ns, arrived },
            None if self.thread.is_some() => Head::Quiet(self.quiet_at),
            None => Head::Ended,
        }
    }
}

impl Source for Live {
    fn advance(&mut self) -> Step {
        self.leave_current();
        match self.choose() {
            Choice::Take(lane) => return self.take(lane),
            Choice::Wait(_) | Choice::End => self.refill(),
        }
        loop {
            match self.choose() {
                Choice::Take(lane) => return self.take(lane),
                Choice::End => return Step::End,
                Choice::Wait(until) => {
                    if let Some(idle) = self.wait(until) {
                        return idle;
                    }
                    self.refill();
                }
            }
        }
    }

    fn info(&self) -> PacketInfo {
        self.current.as_ref().map(|current| current.info).unwrap_or_default()
    }

    fn data(&self) -> &[u8] {
        let Some(Current { lane, bytes, .. }) = &self.current else { return &[] };
        let chunk = self.lanes.get(*lane).and_then(|lane| lane.chunk.as_ref());
        chunk.map(|chunk| chunk.bytes(bytes.clone())).unwrap_or_default()
    }

    fn interfaces(&self) -> &[Interface] {
        &self.interfaces
    }

    fn take_damage(&mut self) -> Damage {
        mem::take(&mut self.damage)
    }

    fn quiet_until_ns(&self) -> Option<i64> {
        let is_quiet = self.lanes.iter().all(|lane| lane.chunk.is_none());
        let quiet_at = self.lanes.iter().filter(|lane| lane.thread.is_some()).map(|lane| lane.quiet_at).min();
        let quiet_at = quiet_at.filter(|_| is_quiet)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let until = now.checked_sub(quiet_at.elapsed() + UNSEEN)?;
        i64::try_from(until.as_nanos()).ok()
    }

    fn kernel_counters(&mut self) -> KernelCounters {
        let mut sum = KernelCounters::default();
        for interface in self.control.counters() {
            sum.received += interface.received;
            sum.dropped += interface.kernel_dropped;
            sum.interface_dropped += interface.interface_dropped;
            sum.queue_dropped += interface.queue_dropped;
            sum.sampled_out += interface.sampled_out;
        }
        sum
    }
}
