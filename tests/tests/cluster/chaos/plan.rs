//! What goes wrong in a run, and when: drawn from a seed.

use std::fmt;
use std::time::Duration;

use weir_tests::random::Random;

/// How long packets keep coming, and things going wrong.
pub const VIOLENCE: Duration = Duration::from_secs(8);

/// How many processors there are at most.
pub const PROCESSORS_MAX: usize = 3;
/// How many sinks there are at most.
pub const SINKS_MAX: usize = 2;

/// A program, by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    Processor(usize),
    Sink(usize),
}

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// SIGKILL, and a start after a while.
    Kill(Victim, Duration),
    /// SIGKILL, a start, and SIGKILL again while it restores its state and replays; then a start.
    KillTwice(Victim, Duration),
    /// SIGSTOP, and SIGCONT after a while.
    Freeze(Victim, Duration),
    /// SIGSTOP; another process takes its place and name; SIGCONT after a while.
    Replace(Victim, Duration),
    /// A transaction of a processor is aborted behind its back, and one of its next life again.
    AbortTwice(usize, Duration),
    /// So many processors from now on, in place of one, by SIGTERM and starts.
    Scale(usize),
    /// So many sinks.
    ScaleSinks(usize),
    /// The broker stops as asked, and starts again.
    RestartBroker,
    /// The broker is killed, and starts again after a while.
    KillBroker(Duration),
    /// The broker says nothing for a while.
    FreezeBroker(Duration),
    /// The store is gone for a while.
    StoreOutage(Duration),
}

impl Act {
    /// Whether it is the broker that suffers it.
    pub fn is_of_broker(&self) -> bool {
        matches!(self, Self::RestartBroker | Self::KillBroker(_) | Self::FreezeBroker(_))
    }
}

/// A whole run.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    pub seed: u64,
    /// Session time-out of processors.
    pub session: Duration,
    /// Transaction time-out: longer or shorter.
    pub transaction: Duration,
    /// Processors at the beginning.
    pub processors: usize,
    /// When the agent begins its replay.
    pub replay_at: Duration,
    /// So long after its start the agent is killed, and started again; each time.
    pub replay_kills: Vec<Duration>,
    /// So many per cent of the requests to the store suffer some fault.
    pub store_faults_percent: u64,
    /// What happens when, since the beginning.
    pub acts: Vec<(Duration, Act)>,
}

impl Plan {
    /// The plan of a seed.
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let (short, long) = (Duration::from_secs(3), Duration::from_secs(6));
        // Both orders, for each other draw.
        let (session, transaction) = if seed.is_multiple_of(2) { (short, long) } else { (long, short) };
        let mut acts: Vec<(Duration, Act)> =
            (0..random.below(5) + 4).map(|_| (moment(&mut random), act(&mut random))).collect();
        // Where it hurts most: the broker dies, and again while programs recover from that.
        if random.happens(15) {
            for (from, until) in [(500, 3000), (4500, 7000)] {
                acts.push((milliseconds(&mut random, from, until), kill_broker(&mut random)));
            }
        }
        acts.sort_by_key(|(when, _)| *when);
        Self {
            seed,
            session,
            transaction,
            processors: 1 + place(&mut random, PROCESSORS_MAX),
            replay_at: milliseconds(&mut random, 0, 5000),
            replay_kills: (0..random.below(4)).map(|_| milliseconds(&mut random, 5, 800)).collect(),
            store_faults_percent: random.one_of(&[0, 5, 20, 40]),
            acts,
        }
    }
}

fn moment(random: &mut Random) -> Duration {
    milliseconds(random, 500, 7000)
}

fn milliseconds(random: &mut Random, least: u64, most: u64) -> Duration {
    Duration::from_millis(least + random.below(most - least))
}

fn place(random: &mut Random, count: usize) -> usize {
    usize::try_from(random.below(u64::try_from(count).unwrap())).unwrap()
}

fn act(random: &mut Random) -> Act {
    let victim = if random.happens(70) {
        Victim::Processor(place(random, PROCESSORS_MAX))
    } else {
        Victim::Sink(place(random, SINKS_MAX))
    };
    match random.below(21) {
        0..4 => Act::Kill(victim, milliseconds(random, 0, 2000)),
        4..6 => Act::KillTwice(victim, milliseconds(random, 50, 2500)),
        6..9 => Act::Freeze(victim, frozen(random, victim)),
        9..11 => Act::Replace(victim, milliseconds(random, 500, 5000)),
        11..13 => Act::Scale(1 + place(random, PROCESSORS_MAX)),
        13 => Act::ScaleSinks(1 + place(random, SINKS_MAX)),
        14 => Act::RestartBroker,
        15 => kill_broker(random),
        16 => Act::FreezeBroker(milliseconds(random, 500, 5000)),
        17..19 => Act::AbortTwice(place(random, PROCESSORS_MAX), milliseconds(random, 300, 3000)),
        _ => Act::StoreOutage(milliseconds(random, 500, 5000)),
    }
}

fn kill_broker(random: &mut Random) -> Act {
    // Most often it is back before its session has ended, as under a supervisor.
    Act::KillBroker(milliseconds(random, 0, 3000))
}

/// How long: less than all time-outs, between them, and more than all.
fn frozen(random: &mut Random, victim: Victim) -> Duration {
    random.one_of(&match victim {
        Victim::Processor(_) => [1000, 4200, 7200].map(Duration::from_millis),
        // Its session lasts 10 s.
        Victim::Sink(_) => [1000, 4200, 11_500].map(Duration::from_millis),
    })
}

impl fmt::Display for Plan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "seed {}: session {:?}, transaction {:?}, {} processors, {} % of requests to the store fail",
            self.seed, self.session, self.transaction, self.processors, self.store_faults_percent
        )?;
        write!(out, "\n  {:>6} ms replay, killed after {:?}", self.replay_at.as_millis(), self.replay_kills)?;
        self.acts.iter().try_for_each(|(when, act)| write!(out, "\n  {:>6} ms {act:?}", when.as_millis()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_has_one_plan() {
        assert_eq!(Plan::new(7), Plan::new(7));
        assert_ne!(Plan::new(7).acts, Plan::new(9).acts);
    }

    #[test]
    fn few_seeds_have_every_kind_of_violence() {
        let acts: Vec<Act> = (1..60).flat_map(|seed| Plan::new(seed).acts).map(|(_, act)| act).collect();
        let kinds: [fn(&Act) -> bool; 12] = [
            |act| matches!(act, Act::Kill(..)),
            |act| matches!(act, Act::KillTwice(..)),
            |act| matches!(act, Act::Freeze(Victim::Processor(_), time) if time.as_secs() > 6),
            |act| matches!(act, Act::Freeze(Victim::Processor(_), time) if (3..6).contains(&time.as_secs())),
            |act| matches!(act, Act::Freeze(Victim::Sink(_), time) if time.as_secs() > 10),
            |act| matches!(act, Act::AbortTwice(..)),
            |act| matches!(act, Act::Replace(..)),
            |act| matches!(act, Act::Scale(_)),
            |act| matches!(act, Act::RestartBroker),
            |act| matches!(act, Act::KillBroker(_)),
            |act| matches!(act, Act::FreezeBroker(_)),
            |act| matches!(act, Act::StoreOutage(_)),
        ];
        assert!(kinds.iter().all(|kind| acts.iter().any(kind)));
    }
}
