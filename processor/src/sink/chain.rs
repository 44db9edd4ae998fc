//! What the sink decides about one partition. No clock, no Kafka and no store: the worker tells what happened
//! and does what it is told, and so does the model in `model.rs`, with crashes, zombies and lost answers.
//!
//! The files of a partition form one chain, since a file's key is given by its first message alone and is put
//! only where there is none. Whoever finds a key taken goes on behind what stands there. So neither
//! a crash nor a second writer can double or lose a record, and a file may end wherever its writer likes.
//! That rests on the next file never beginning inside another one, which is what resuming is about:
//!
//! 1. *Locate*: the position is the group's offset, or the log's start if that is greater; both are read once.
//! 2. *Probe*: the first message there tells the hour from which files may hold what comes next.
//! 3. *List* the chain's files from two hours before, and go on one behind the greatest last offset, if that is
//!    beyond the position.
//!
//! A position out of the log's range begins this anew. Going on at the log's start instead, or at the
//! greater of it and the result, begins a file inside another one: the tests show that the model notices.

use std::collections::VecDeque;
use std::fmt;

use super::link::{Hour, Link, Log};

/// Hours before that of the position from which the chain's files are listed. A broker's clock that is set
/// back, or differs from that of the leader before it, may let a later message land in an earlier hour.
const HOURS_BACK: i64 = 2;

/// The decisions about one partition, and its files that are not in the lake yet.
pub struct Chain<F> {
    log: Log,
    state: State,
    open: Option<Open<F>>,
    /// Ended, in the order of their offsets. They are put one after the other.
    ended: VecDeque<Open<F>>,
    /// What is being put.
    putting: Option<Putting>,
    stopped: Option<Trouble>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Waits for the group's offset and the log's bounds.
    Locating,
    /// Waits for the first message at this position or behind it.
    Probing(i64),
    /// Waits for the last file of the chain.
    Listing(i64),
    /// Reads messages from this offset.
    Reading(i64),
    /// Locates anew once all that was read is put.
    Draining,
    /// Reads no more.
    Stopped,
}

/// A file, and the messages in it.
pub struct Open<F> {
    pub hour: Hour,
    pub from: i64,
    pub first: i64,
    pub last: i64,
    pub crc: u32,
    pub file: F,
}

struct Putting {
    first: i64,
    last: i64,
    crc: u32,
}

/// What to do with a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Offer {
    /// Nothing.
    Ignore,
    /// Keep it back; read the last file of the chain that lies in this hour or later, and say so by [`Chain::listed`].
    List(Hour),
    /// End the open file, then offer the message again.
    End,
    /// Add it to the open file by [`Chain::take`].
    Take,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing but to go on.
    GoOn,
    /// Read the group's offset and the log's bounds, and say so by [`Chain::located`].
    Locate,
    /// Read messages from this offset.
    Read(i64),
    /// Read no more.
    Stop,
}

/// What became of a put.
#[derive(Debug)]
pub enum Put {
    /// The file is in the lake.
    Stored,
    /// Another one of that key was, and this is what it says of itself: nothing if no sink wrote it.
    Taken(Option<Link>),
}

/// Why a partition is read no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The lake has a file in the chain's place that is not of this log.
    Foreign { first: i64 },
    /// The lake or the group is ahead of the log.
    AheadOfLog { position: i64, log_end: i64 },
    /// A record has a field that this release doesn't know.
    UnknownField { offset: i64, what: String },
    /// The topic's times are those of its producers.
    TimestampType { offset: i64 },
}

impl Trouble {
    /// Its name in metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Foreign { .. } => "chain_foreign",
            Self::AheadOfLog { .. } => "ahead_of_log",
            Self::UnknownField { .. } => "unknown_field",
            Self::TimestampType { .. } => "timestamp_type",
        }
    }

    /// All names.
    pub const NAMES: [&'static str; 4] = ["chain_foreign", "ahead_of_log", "unknown_field", "timestamp_type"];
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign { first } => write!(
                f,
                "chain_foreign: the lake's file with first offset {first} is of another cluster or another topic of this \
                 name: give each a lake of its own (--lake), or move the older files away"
            ),
            Self::AheadOfLog { position, log_end } => write!(
                f,
                "ahead_of_log: the next offset is {position}, but the log ends at {log_end}: the topic was created anew or \
                 cut; give the new one a lake (--lake) and a consumer group (--group) of its own"
            ),
            Self::UnknownField { offset, what } => write!(
                f,
                "unknown_field: the record at offset {offset} is newer than this sink ({what}): upgrade the sink, or give \
                 up what it doesn't know by --drop-unknown-fields"
            ),
            Self::TimestampType { offset } => write!(
                f,
                "timestamp_type: the message at offset {offset} has no time of its broker: set the topic's \
                 message.timestamp.type to LogAppendTime (`weir topics verify` tells which topics lack it)"
            ),
        }
    }
}

impl<F> Chain<F> {
    /// A partition just assigned: [`Step::Locate`] comes first.
    pub fn new(log: Log) -> Self {
        Self { log, state: State::Locating, open: None, ended: VecDeque::new(), putting: None, stopped: None }
    }

    /// Begins at the group's offset, if there is one, or at the log's start. The log ends before `log_end`.
    pub fn located(&mut self, group: Option<i64>, log_start: i64, log_end: i64) -> Step {
        if self.state != State::Locating {
            return Step::GoOn;
        }
        let position = group.unwrap_or(0).max(log_start);
        if position > log_end {
            return self.stop(Trouble::AheadOfLog { position, log_end });
        }
        self.state = State::Probing(position);
        Step::Read(position)
    }

    /// Goes on behind the last file of the chain. It is the one with the greatest first offset, from the hour
    /// that [`Offer::List`] gave on.
    pub fn listed(&mut self, tail: Option<Tail>, log_end: i64) -> Step {
        let State::Listing(position) = self.state else { return Step::GoOn };
        let next = match tail {
            None => position,
            Some(Tail { first, link: None }) => return self.stop(Trouble::Foreign { first }),
            Some(Tail { first, link: Some(link) }) => {
                if link.first != first || !link.log.may_be(&self.log) {
                    return self.stop(Trouble::Foreign { first });
                }
                position.max(link.last.saturating_add(1))
            }
        };
        if next > log_end {
            return self.stop(Trouble::AheadOfLog { position: next, log_end });
        }
        self.state = State::Reading(next);
        Step::Read(next)
    }

    /// What to do with a message, given its offset and when the broker appended it. Offsets may jump, since
    /// transactions leave holes, but never go back.
    pub fn offer(&mut self, offset: i64, append_ms: i64) -> Offer {
        match self.state {
            State::Probing(position) if offset >= position => {
                self.state = State::Listing(position);
                Offer::List(Hour::of(append_ms).before(HOURS_BACK))
            }
            State::Reading(next) if offset >= next => match &self.open {
                Some(open) if open.hour != Hour::of(append_ms) => Offer::End,
                _ => Offer::Take,
            },
            _ => Offer::Ignore,
        }
    }

    /// Adds a message that [`Offer::Take`] was answered to, by `push`, to the open file; `begin` makes one if there is
    /// none, and `crc` is that of the message. A message that `push` refuses is not taken.
    ///
    /// # Errors
    ///
    /// Those of `push`.
    pub fn take<E>(
        &mut self,
        offset: i64,
        append_ms: i64,
        crc: impl FnOnce() -> u32,
        begin: impl FnOnce() -> F,
        push: impl FnOnce(&mut F) -> Result<(), E>,
    ) -> Result<(), E> {
        let State::Reading(from) = self.state else { return Ok(()) };
        let hour = Hour::of(append_ms);
        let new = || Open { hour, from, first: offset, last: offset, crc: crc(), file: begin() };
        let mut open = self.open.take().unwrap_or_else(new);
        let pushed = push(&mut open.file);
        if pushed.is_ok() {
            open.last = offset;
            self.state = State::Reading(offset.saturating_add(1));
        }
        // One that was begun for a message that it did not take is none.
        if pushed.is_ok() || open.first != offset {
            self.open = Some(open);
        }
        pushed
    }

    /// The open file.
    pub fn open(&self) -> Option<&Open<F>> {
        self.open.as_ref()
    }

    /// Ends the open file.
    pub fn end(&mut self) {
        self.ended.extend(self.open.take());
    }

    /// Files that are ended and not given out to be put.
    pub fn ended(&self) -> impl Iterator<Item = &Open<F>> {
        self.ended.iter()
    }

    /// The next file to put, unless one is being put. Say what became of it by [`put`](Self::put).
    pub fn next_put(&mut self) -> Option<Open<F>> {
        if self.putting.is_some() {
            return None;
        }
        let open = self.ended.pop_front()?;
        self.putting = Some(Putting { first: open.first, last: open.last, crc: open.crc });
        Some(open)
    }

    /// What became of the file that [`next_put`](Self::next_put) gave out. The first value, if any, may be committed
    /// as the group's offset.
    pub fn put(&mut self, put: Put) -> (Option<i64>, Step) {
        let Some(Putting { first, last, crc }) = self.putting.take() else { return (None, Step::GoOn) };
        let winner = match put {
            Put::Stored => return (Some(last.saturating_add(1)), self.drained()),
            Put::Taken(link) => {
                link.filter(|link| link.first == first && link.crc == crc && link.log.may_be(&self.log))
            }
        };
        let Some(winner) = winner else { return (None, self.stop(Trouble::Foreign { first })) };
        let next = winner.last.saturating_add(1);
        if winner.last == last {
            // Ours, put before an answer that was lost; or another's of the same cut.
            return (Some(next), self.drained());
        }
        self.drop_files();
        let step = match self.state {
            State::Reading(_) => {
                self.state = State::Reading(next);
                Step::Read(next)
            }
            _ => self.drained(),
        };
        (Some(next), step)
    }

    /// The position is out of the log's range. What was read is put, then resuming begins anew.
    pub fn out_of_range(&mut self) -> Step {
        match self.state {
            State::Reading(_) | State::Probing(_) => {
                self.end();
                self.state = State::Draining;
                self.drained()
            }
            _ => Step::GoOn,
        }
    }

    /// Reads no more; what was read before is still put, unless it belongs to another's chain.
    pub fn stop(&mut self, trouble: Trouble) -> Step {
        if matches!(trouble, Trouble::Foreign { .. } | Trouble::AheadOfLog { .. }) {
            self.drop_files();
        }
        self.end();
        self.state = State::Stopped;
        self.stopped.get_or_insert(trouble);
        Step::Stop
    }

    /// Why it is read no more.
    pub fn trouble(&self) -> Option<&Trouble> {
        self.stopped.as_ref()
    }

    /// The offset that is read next.
    pub fn position(&self) -> Option<i64> {
        match self.state {
            State::Probing(next) | State::Reading(next) => Some(next),
            _ => None,
        }
    }

    /// Whether messages are wanted.
    pub fn is_reading(&self) -> bool {
        matches!(self.state, State::Probing(_) | State::Reading(_))
    }

    /// Whether all that was read is put.
    pub fn is_idle(&self) -> bool {
        self.open.is_none() && self.ended.is_empty() && self.putting.is_none()
    }

    fn drained(&mut self) -> Step {
        if self.state == State::Draining && self.is_idle() {
            self.state = State::Locating;
            return Step::Locate;
        }
        Step::GoOn
    }

    fn drop_files(&mut self) {
        self.open = None;
        self.ended.clear();
    }

    /// Goes on here, whatever files there are: the mistake that the model must notice.
    #[cfg(test)]
    pub fn go_on_at(&mut self, offset: i64) {
        self.state = State::Reading(offset);
    }
}

/// The last file of a chain: the first offset that its key says, and what the file itself says.
#[derive(Debug)]
pub struct Tail {
    pub first: i64,
    pub link: Option<Link>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> Log {
        Log { cluster: "here".into(), incarnation: "one".into() }
    }

    fn link(first: i64, last: i64) -> Link {
        Link { log: log(), from: first, first, last, rows: 1, fingerprint: String::new(), crc: 7 }
    }

    /// A chain that reads from this offset.
    fn reading(from: i64) -> Chain<Vec<i64>> {
        let mut chain = Chain::new(log());
        assert_eq!(chain.located(Some(from), 0, 1000), Step::Read(from));
        assert_eq!(chain.offer(from, 0), Offer::List(Hour::of(0)));
        assert_eq!(chain.listed(None, 1000), Step::Read(from));
        chain
    }

    fn take(chain: &mut Chain<Vec<i64>>, offset: i64) {
        assert_eq!(chain.offer(offset, 0), Offer::Take);
        let push = |file: &mut Vec<i64>| {
            file.push(offset);
            Ok::<_, ()>(())
        };
        chain.take(offset, 0, || 7, Vec::new, push).unwrap();
    }

    #[test]
    fn a_file_tells_where_reading_began_and_ends_with_its_hour() {
        let mut chain = reading(5);
        take(&mut chain, 7);
        take(&mut chain, 8);
        assert_eq!(chain.offer(8, 0), Offer::Ignore);
        assert_eq!(chain.offer(9, Hour::MS), Offer::End);
        chain.end();
        assert_eq!(chain.offer(9, Hour::MS), Offer::Take);
        let open = chain.next_put().unwrap();
        assert_eq!((open.from, open.first, open.last, open.file), (5, 7, 8, vec![7, 8]));
        assert!(chain.next_put().is_none());
        assert_eq!(chain.put(Put::Stored), (Some(9), Step::GoOn));
    }

    #[test]
    fn a_message_that_is_refused_is_not_in_the_file_before_it() {
        let mut chain = reading(5);
        take(&mut chain, 5);
        assert_eq!(chain.take(6, 0, || 7, Vec::new, |_| Err("newer")), Err("newer"));
        chain.stop(Trouble::UnknownField { offset: 6, what: String::new() });
        assert_eq!(chain.next_put().unwrap().last, 5);
        assert_eq!(chain.offer(6, 0), Offer::Ignore);

        let mut empty = reading(5);
        assert_eq!(empty.take(5, 0, || 7, Vec::new, |_| Err("newer")), Err("newer"));
        assert!(empty.open().is_none());
    }

    #[test]
    fn behind_another_writers_file_all_that_was_read_is_dropped() {
        let mut chain = reading(5);
        take(&mut chain, 5);
        chain.end();
        take(&mut chain, 6);
        chain.next_put().unwrap();
        assert_eq!(chain.put(Put::Taken(Some(link(5, 20)))), (Some(21), Step::Read(21)));
        assert!(chain.is_idle() && chain.position() == Some(21));
    }

    #[test]
    fn a_file_of_the_same_cut_counts_as_ours() {
        let mut chain = reading(5);
        take(&mut chain, 5);
        chain.end();
        take(&mut chain, 6);
        chain.next_put().unwrap();
        assert_eq!(chain.put(Put::Taken(Some(link(5, 5)))), (Some(6), Step::GoOn));
        assert_eq!(chain.open().unwrap().file, [6]);
    }

    #[test]
    fn a_file_of_another_log_stops_the_chain() {
        let other_log = Link { log: Log { incarnation: "two".into(), ..log() }, ..link(5, 9) };
        for winner in [None, Some(other_log.clone()), Some(Link { crc: 8, ..link(5, 9) }), Some(link(4, 9))] {
            let mut chain = reading(5);
            take(&mut chain, 5);
            chain.end();
            chain.next_put().unwrap();
            assert_eq!(chain.put(Put::Taken(winner)), (None, Step::Stop));
            assert_eq!(chain.trouble(), Some(&Trouble::Foreign { first: 5 }));
        }
        let mut chain = Chain::<Vec<i64>>::new(log());
        chain.located(None, 0, 10);
        chain.offer(0, 0);
        assert_eq!(chain.listed(Some(Tail { first: 5, link: Some(other_log) }), 10), Step::Stop);
    }

    #[test]
    fn an_incarnation_that_is_not_known_is_no_other_one() {
        let mut chain = reading(5);
        take(&mut chain, 5);
        chain.end();
        chain.next_put().unwrap();
        let winner = Link { log: Log { incarnation: String::new(), ..log() }, ..link(5, 9) };
        assert_eq!(chain.put(Put::Taken(Some(winner))), (Some(10), Step::Read(10)));
    }

    #[test]
    fn whoever_is_ahead_of_the_log_stops() {
        let mut chain = Chain::<Vec<i64>>::new(log());
        assert_eq!(chain.located(Some(11), 0, 10), Step::Stop);
        let mut chain = Chain::<Vec<i64>>::new(log());
        chain.located(Some(3), 0, 10);
        chain.offer(3, 0);
        assert_eq!(chain.listed(Some(Tail { first: 4, link: Some(link(4, 30)) }), 10), Step::Stop);
        assert_eq!(chain.trouble(), Some(&Trouble::AheadOfLog { position: 31, log_end: 10 }));
    }

    #[test]
    fn out_of_range_what_was_read_is_put_before_resuming() {
        let mut chain = reading(5);
        take(&mut chain, 5);
        assert_eq!(chain.out_of_range(), Step::GoOn);
        assert_eq!(chain.offer(6, 0), Offer::Ignore);
        chain.next_put().unwrap();
        assert_eq!(chain.put(Put::Stored), (Some(6), Step::Locate));
        assert_eq!(chain.located(Some(6), 50, 100), Step::Read(50));
    }
}
