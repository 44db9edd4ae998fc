//! Packets of interfaces as packet batches, until stopped.

mod echo;
mod guard;
mod own_traffic;
mod privileges;

pub use privileges::give_up;

use crate::metrics;
use crate::outbox::Captured;
use crate::sender::Sender;
use anyhow::bail;
use echo::Echo;
use guard::{Guard, Verdict};
use own_traffic::OwnTraffic;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use weir_agent::{ANY, Batcher, InterfaceCounters, LiveControl, LiveHandles, Merge, Merged, random_epoch};
use weir_contract::{MAX_BATCH_BYTES, PacketBatch};

/// Packets between looks at the clock, where they come without a pause.
const PACKETS_BETWEEN_LOOKS: u64 = 1024;

/// How often batches are looked at for their age, the ledger gets to know how far each partition is, and own connections
/// are looked for.
const TICK: Duration = Duration::from_millis(100);

/// How often counters are told.
const UPKEEP: Duration = Duration::from_secs(1);

/// The longest sleep while the topic is waited for.
const SLEEP: Duration = Duration::from_millis(50);

/// What is captured.
pub struct Plan {
    /// Name of the sensor.
    pub sensor: String,
    /// Names of the interfaces.
    pub interfaces: Vec<String>,
    /// Whether they may be those that the agent reaches Kafka by.
    pub allow_egress: bool,
}

/// Captures until stopped, or until no interface is left; whether it was stopped, all is accounted for.
///
/// # Errors
/// The agent reaches Kafka by an interface that is captured, which isn't allowed; or capturing can't begin.
pub fn run(plan: &Plan, handles: LiveHandles, sender: &Sender, stop: &Arc<AtomicBool>) -> anyhow::Result<bool> {
    let Some(partition_count) = wait_for_topic(sender, stop) else { return Ok(true) };
    let begun = Instant::now();
    let mut own = OwnTraffic::default();
    // Kafka is connected to by now, unless the ledger has told the number of partitions.
    let excluded = own.look(Duration::ZERO).unwrap_or_default();
    check_egress(plan, own.connections().map(|connection| (connection.local, connection.peer)))?;
    let live = handles.start(&excluded, stop)?;
    tell_excluded(&excluded);
    let epoch = random_epoch();
    tracing::info!("capturing on {} as sensor {}, epoch {epoch}", plan.interfaces.join(", "), plan.sensor);
    let mut capture = Capture {
        plan,
        sender,
        control: live.control(),
        merge: Merge::one(&plan.interfaces.join(", "), live),
        batcher: Batcher::new(&plan.sensor, epoch, partition_count, MAX_BATCH_BYTES),
        epoch,
        begun,
        own,
        echo: Echo::default(),
        guards: BTreeMap::new(),
        closed: Vec::new(),
        refused: None,
        packets: 0,
    };
    capture.echo.expect(capture.own.connections());
    capture.batcher.counters().source = plan.interfaces.join(", ");
    capture.until_the_end(stop);
    let refused = capture.refused.take();
    let was_stopped = stop.load(Ordering::Relaxed);
    let accounted = capture.finish();
    refused.map_or(Ok(accounted && was_stopped), Err)
}

fn tell_excluded(excluded: &str) {
    if !excluded.is_empty() {
        tracing::info!("left out, as the agent's own: {excluded}");
    }
}

fn wait_for_topic(sender: &Sender, stop: &AtomicBool) -> Option<u32> {
    while !stop.load(Ordering::Relaxed) {
        if let Some(count) = sender.partition_count() {
            return Some(count);
        }
        thread::sleep(SLEEP);
    }
    None
}

/// Refuses to capture on the interface by which these brokers are reached, unless that is allowed. Names that can't be
/// resolved are left until there are connections.
///
/// # Errors
/// Which interface it is, and which broker.
pub fn check_brokers(plan: &Plan, brokers: &str) -> anyhow::Result<()> {
    let resolved = brokers.split(',').filter_map(|broker| broker.trim().to_socket_addrs().ok()).flatten();
    check_egress(plan, resolved.filter_map(|peer| Some((source_address(peer)?, peer))))
}

/// The address from which packets to a peer would leave. Nothing is sent.
fn source_address(peer: SocketAddr) -> Option<IpAddr> {
    let any = if peer.is_ipv4() { IpAddr::from(Ipv4Addr::UNSPECIFIED) } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(peer).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

fn check_egress(plan: &Plan, connections: impl Iterator<Item = (IpAddr, SocketAddr)>) -> anyhow::Result<()> {
    if plan.allow_egress {
        return Ok(());
    }
    let interfaces = weir_agent::interfaces().unwrap_or_default();
    for (local, peer) in connections {
        let has_it = |name: &&String| {
            let of_name = interfaces.iter().find(|interface| interface.name == **name);
            **name == ANY || of_name.is_some_and(|interface| interface.addresses.contains(&local))
        };
        if let Some(name) = plan.interfaces.iter().find(has_it) {
            bail!(
                "interface {name}: the agent reaches Kafka ({peer}) by it: what it sends would be captured again if it \
                 were not told apart; allow-egress says that it may be captured on, without the agent's own connections"
            );
        }
    }
    Ok(())
}

/// A capture that runs.
struct Capture<'a> {
    plan: &'a Plan,
    sender: &'a Sender,
    control: LiveControl,
    merge: Merge,
    batcher: Batcher,
    epoch: i64,
    begun: Instant,
    own: OwnTraffic,
    echo: Echo,
    guards: BTreeMap<String, Guard>,
    /// Interfaces that were told to have ended.
    closed: Vec<String>,
    /// Why it has to end, if it has to.
    refused: Option<anyhow::Error>,
    /// Packets captured.
    packets: u64,
}

impl Capture<'_> {
    fn until_the_end(&mut self, stop: &AtomicBool) {
        let (mut ticked, mut kept_up) = (Instant::now(), Instant::now());
        while let Some(merged) = self.merge.next_packet() {
            if let Merged::Packet(packet, interface) = merged {
                self.packets += 1;
                self.echo.look(&interface.name, packet.data, packet.original_length);
                if let Some(batch) = self.batcher.push(&packet, interface) {
                    self.sender.outbox().offer(batch);
                    self.take_spares();
                }
                if !self.packets.is_multiple_of(PACKETS_BETWEEN_LOOKS) {
                    continue;
                }
            }
            let now = Instant::now();
            if now.duration_since(ticked) < TICK {
                continue;
            }
            ticked = now;
            self.tick();
            self.exclude_own(stop);
            if now.duration_since(kept_up) >= UPKEEP {
                kept_up = now;
                self.keep_up(stop);
            }
        }
    }

    fn tick(&mut self) {
        if let Some(quiet_ns) = self.merge.quiet_until_ns() {
            self.batcher.quiet_until(quiet_ns);
        }
        for batch in self.batcher.due(self.begun.elapsed()) {
            self.sender.outbox().offer(batch);
        }
        self.take_spares();
        self.note();
    }

    /// Takes back memory of batches that were sent.
    fn take_spares(&mut self) {
        while let Some(spare) = self.sender.outbox().spare() {
            self.batcher.recycle(spare);
        }
    }

    /// Lets the thread that delivers know what was captured.
    fn note(&mut self) {
        let kernel = self.merge.kernel_counters();
        let outbox = self.sender.outbox();
        outbox.note(Captured {
            packets: self.packets,
            dropped_kernel: count(kernel.dropped),
            dropped_interface: count(kernel.interface_dropped),
            dropped_behind_rings: count(kernel.queue_dropped),
        });
        outbox.note_positions(self.epoch, self.batcher.partition_packets());
        let totals = self.sender.totals();
        let counters = self.batcher.counters();
        kernel.enter(counters);
        counters.dropped_queue_packets = signed(totals.dropped_queue).max(kernel.queue_dropped);
        counters.dropped_spool_packets = signed(totals.dropped_later);
    }

    /// Leaves out the agent's own connections as soon as they are there.
    fn exclude_own(&mut self, stop: &AtomicBool) {
        let Some(excluded) = self.own.look(self.begun.elapsed()) else { return };
        self.control.exclude(&excluded);
        self.echo.expect(self.own.connections());
        tell_excluded(&excluded);
        let connections = self.own.connections().map(|connection| (connection.local, connection.peer));
        if let Err(error) = check_egress(self.plan, connections) {
            self.refused = Some(error);
            stop.store(true, Ordering::Relaxed);
        }
    }

    /// What is due once a second.
    fn keep_up(&mut self, stop: &AtomicBool) {
        let published_bytes = self.sender.totals().published_bytes;
        for interface in self.control.counters() {
            metrics::record_interface(&interface);
            self.watch(&interface, published_bytes);
            if !interface.is_open && !stop.load(Ordering::Relaxed) && !self.closed.contains(&interface.name) {
                tracing::error!("interface {}: capturing on it has ended; it is not tried again", interface.name);
                self.closed.push(interface.name);
            }
        }
        metrics::record_late(self.batcher.counters().late_packets);
    }

    /// Pauses an interface on which the agent's own traffic comes in a way that the kernel can't leave out.
    fn watch(&mut self, interface: &InterfaceCounters, published_bytes: u64) {
        let InterfaceCounters { name, captured_bytes, .. } = interface;
        let guard = self.guards.entry(name.clone()).or_default();
        match guard.look(count(*captured_bytes), self.echo.bytes(name), published_bytes) {
            Verdict::Fine => {}
            Verdict::Pause => {
                tracing::error!(
                    "interface {name}: what is captured follows what is published: the agent captures its own \
                     traffic, in a tunnel or as a copy; capturing on it pauses: keep that traffic away by bpf, or \
                     reach Kafka another way"
                );
                self.control.pause(name);
            }
            Verdict::Resume => {
                tracing::info!("interface {name}: capturing goes on");
                self.control.resume(name);
            }
        }
    }

    /// Sends what is left; whether all is accounted for.
    fn finish(mut self) -> bool {
        self.note();
        self.control.counters().iter().for_each(metrics::record_interface);
        let kernel = self.merge.kernel_counters();
        let lost = kernel.dropped + kernel.queue_dropped + kernel.sampled_out;
        let accounted = count(kernel.received) == self.packets + count(lost);
        if !accounted {
            tracing::error!("{} packets captured, but {kernel:?}: this is a bug of Weir", self.packets);
        }
        let last: Vec<PacketBatch> = self.batcher.finish().collect();
        last.into_iter().for_each(|batch| self.sender.outbox().offer(batch));
        let outcomes = self.merge.into_outcomes();
        for problem in outcomes.iter().flat_map(|outcome| &outcome.damage.problems) {
            tracing::error!("{problem}");
        }
        accounted
    }
}

fn count(packets: i64) -> u64 {
    u64::try_from(packets).unwrap_or_default()
}

fn signed(packets: u64) -> i64 {
    i64::try_from(packets).unwrap_or(i64::MAX)
}
