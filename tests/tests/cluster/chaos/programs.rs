//! The programs of a run, and who looks after them.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use weir_tests::captures;
use weir_tests::process::{Process, Signal, wait_until, wait_while_it_moves};

use super::plan::{Act, PROCESSORS_MAX, Plan, SINKS_MAX, Victim};
use super::{AGENT, SPEED};
use crate::deployment::Deployment;

/// How long a process that was replaced lives once it goes on, when all else is over: it finds out that it was.
const AFTERLIFE: Duration = Duration::from_secs(2);

/// A place for a program: there is none, or one by this name, which is started whenever it has ended.
struct Place {
    process: Option<Process>,
    /// Whether there should be one.
    wanted: bool,
    /// It was asked to stop: a second time would be an order to do so at once.
    stopping: bool,
    /// When it is to be started, at the earliest.
    start_at: Instant,
    /// When it is to be killed once more.
    kill_at: Option<Instant>,
    /// When it is to go on.
    resume_at: Option<Instant>,
}

impl Place {
    fn new(wanted: bool) -> Self {
        Self { process: None, wanted, stopping: false, start_at: Instant::now(), kill_at: None, resume_at: None }
    }

    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
        self.resume_at = None;
    }
}

/// All programs of a run.
pub struct Programs<'a> {
    deployment: &'a Deployment,
    processors: Vec<Place>,
    sinks: Vec<Place>,
    agent: Place,
    /// The agent has sent all.
    sent: bool,
    /// After how long it is killed, each time that it starts.
    replay_kills: Vec<Duration>,
    captures: Vec<PathBuf>,
    /// Those whose places others took, and when they go on.
    replaced: Vec<(Process, Instant)>,
    /// Processors whose transaction is to be aborted once more, and when.
    abort_at: Vec<(usize, Instant)>,
    /// Nothing new goes wrong.
    is_calm: bool,
    starts: usize,
    /// How programs ended that were not killed.
    ends: Vec<String>,
}

impl<'a> Programs<'a> {
    pub fn start(deployment: &'a Deployment, plan: &Plan) -> Self {
        let mut programs = Self {
            deployment,
            processors: (0..PROCESSORS_MAX).map(|place| Place::new(place < plan.processors)).collect(),
            sinks: (0..SINKS_MAX).map(|place| Place::new(place == 0)).collect(),
            agent: Place { start_at: Instant::now() + plan.replay_at, ..Place::new(true) },
            sent: false,
            replay_kills: plan.replay_kills.clone(),
            captures: captures::own(),
            replaced: Vec::new(),
            abort_at: Vec::new(),
            is_calm: false,
            starts: 0,
            ends: Vec::new(),
        };
        programs.look_after();
        programs
    }

    /// How many programs were started.
    pub fn starts(&self) -> usize {
        self.starts
    }

    /// What happens to programs.
    pub fn suffer(&mut self, act: Act) {
        let now = Instant::now();
        match act {
            Act::Kill(victim, time) => {
                let place = self.place(victim);
                place.kill();
                place.start_at = now + time;
            }
            Act::KillTwice(victim, time) => {
                let place = self.place(victim);
                place.kill();
                place.kill_at = Some(now + time);
            }
            Act::Freeze(victim, time) => {
                let place = self.place(victim);
                if let Some(process) = &mut place.process {
                    process.pause();
                    place.resume_at = Some(now + time);
                }
            }
            Act::Replace(victim, time) => {
                let place = self.place(victim);
                place.resume_at = None;
                if let Some(mut process) = place.process.take() {
                    process.pause();
                    self.replaced.push((process, now + time));
                }
            }
            Act::AbortTwice(processor, time) => {
                self.deployment.abort_transaction(&processor_name(processor));
                self.abort_at.push((processor, now + time));
            }
            Act::Scale(count) => scale(&mut self.processors, count),
            Act::ScaleSinks(count) => scale(&mut self.sinks, count),
            Act::RestartBroker | Act::KillBroker(_) | Act::FreezeBroker(_) | Act::StoreOutage(_) => {}
        }
    }

    fn place(&mut self, victim: Victim) -> &mut Place {
        match victim {
            Victim::Processor(place) => &mut self.processors[place],
            Victim::Sink(place) => &mut self.sinks[place],
        }
    }

    /// Starts, kills and resumes what is due.
    pub fn look_after(&mut self) {
        let (deployment, captures) = (self.deployment, &self.captures);
        let mut started = 0;
        let ends = &mut self.ends;
        for (number, place) in self.processors.iter_mut().enumerate() {
            let name = processor_name(number);
            started += usize::from(tend(place, &name, ends, || deployment.start_processor(&name)));
        }
        for (number, place) in self.sinks.iter_mut().enumerate() {
            let name = format!("s{number}");
            started += usize::from(tend(place, &name, ends, || deployment.start_sink(&name)));
        }
        let done = |place: &mut Place| {
            place.process.as_mut().and_then(Process::status).is_some_and(|status| matches!(status.code(), Some(0 | 1)))
        };
        if !self.sent && done(&mut self.agent) {
            self.sent = true;
            self.agent.wanted = false;
            self.agent.process = None;
        }
        if tend(&mut self.agent, AGENT, ends, || deployment.start_replay(AGENT, captures, SPEED)) {
            started += 1;
            self.agent.kill_at = self.replay_kills.pop().map(|time| Instant::now() + time);
        }
        self.starts += started;
        let now = Instant::now();
        for (process, resume_at) in &mut self.replaced {
            if *resume_at <= now {
                process.resume();
            }
        }
        // Two of one name would drive each other out for ever.
        let is_calm = self.is_calm;
        self.replaced.retain(|(_, resume_at)| !is_calm || now < *resume_at + AFTERLIFE);
        for (processor, _) in self.abort_at.extract_if(.., |(_, time)| *time <= now) {
            deployment.abort_transaction(&processor_name(processor));
        }
    }

    /// Nothing new goes wrong from now on. What is frozen stays so for its time.
    pub fn calm_down(&mut self) {
        self.is_calm = true;
        for place in self.processors.iter_mut().chain(&mut self.sinks).chain([&mut self.agent]) {
            place.kill_at = None;
            place.start_at = Instant::now();
        }
        self.replay_kills.clear();
    }

    /// All have gone on that were frozen, and nothing else is to come.
    pub fn are_calm(&self) -> bool {
        let mut places = self.processors.iter().chain(&self.sinks);
        self.replaced.is_empty() && self.abort_at.is_empty() && places.all(|place| place.resume_at.is_none())
    }

    /// The agent has sent all packets.
    pub fn has_sent(&self) -> bool {
        self.sent
    }

    /// Looks after all until something is so, for a time; says whether it came to be so.
    pub fn wait_until(&mut self, limit: Duration, mut is_so: impl FnMut(&Self) -> bool) -> bool {
        wait_until(limit, || {
            self.look_after();
            is_so(self)
        })
    }

    /// The same while ever less is left of something.
    pub fn wait_while_it_moves(&mut self, limit: Duration, mut left: impl FnMut() -> usize) -> bool {
        wait_while_it_moves(limit, || {
            self.look_after();
            left()
        })
    }

    /// Stops all, and says how they ended.
    pub fn stop(&mut self, limit: Duration) -> String {
        let mut text = self.ends.join(", ");
        for place in self.processors.iter_mut().chain(&mut self.sinks) {
            if let Some(mut process) = place.process.take() {
                let status = process.stop_within(limit);
                if !status.success() {
                    let _ = write!(text, ", at the end {status}");
                }
            }
        }
        text
    }
}

fn processor_name(place: usize) -> String {
    format!("p{place}")
}

fn scale(places: &mut [Place], count: usize) {
    for (number, place) in places.iter_mut().enumerate() {
        place.wanted = number < count;
    }
}

/// Looks after a place; says whether the program was started.
fn tend(place: &mut Place, name: &str, ends: &mut Vec<String>, start: impl FnOnce() -> Process) -> bool {
    let now = Instant::now();
    if place.resume_at.is_some_and(|time| time <= now) {
        place.resume_at = None;
        place.process.iter_mut().for_each(Process::resume);
    }
    if place.kill_at.is_some_and(|time| time <= now) {
        place.kill_at = None;
        place.kill();
    }
    if let Some(process) = &mut place.process {
        if let Some(status) = process.status() {
            // What was asked for can't be done: an error of the test.
            assert!(status.code() != Some(2), "{name}: {}", process.log());
            if !status.success() {
                ends.push(format!("{name} {status}"));
            }
            place.process = None;
            // Whoever looks after a program waits a little, lest it ends again and again.
            place.start_at = now + Duration::from_millis(500);
        } else if !place.wanted && !place.stopping {
            process.signal(Signal::TERM);
            place.stopping = true;
        }
    }
    let start_now = place.wanted && place.process.is_none() && place.start_at <= now;
    if start_now {
        place.process = Some(start());
        place.stopping = false;
    }
    start_now
}
