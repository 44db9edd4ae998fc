//! Several sources as one stream, in the order of time, numbered from 1.

use crate::epoch::{self, Fingerprint};
use crate::error::{SourceError, SourceProblem};
use crate::files::{self, CaptureFile, STDIN};
use crate::source::{Damage, KernelCounters, Source, Step};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use weir_contract::{Interface, Packet};

/// Interfaces of all sources together that are told apart.
const MAX_INTERFACES: usize = 65_536;

/// Merges sources by the times of their packets; packets of equal time in the order of the
/// sources. A source's own packets keep their order, also where its clock runs backwards.
///
/// Memory is one buffer for each file that overlaps others in time: a file is opened anew when its
/// first packet is due, and closed at its end.
pub struct Merge {
    inputs: Vec<Input>,
    /// Time of the next packet of each input that has one, and the input's index.
    next: BinaryHeap<Reverse<(i64, usize)>>,
    /// The input whose packet was handed out last. It stands first in `next`.
    current: Option<usize>,
    number: i64,
    interfaces: Interfaces,
    stop: Arc<AtomicBool>,
}

/// What merging gives next.
#[derive(Debug)]
pub enum Merged<'a> {
    /// A packet, with its index and entry in the table of all interfaces.
    Packet(Packet<'a>, &'a Interface),
    /// Nothing yet: an interface is quiet. Time to look at the clock.
    Idle,
}

/// One source and what became of it.
struct Input {
    state: State,
    /// For each of the source's interfaces its index among all.
    interfaces: Vec<u32>,
    outcome: Outcome,
}

enum State {
    /// Has its next packet, or is about to be asked for it.
    Open(Box<dyn Source>),
    /// A file that was looked at and is opened again when its first packet is due.
    Waiting(PathBuf),
    Ended,
}

/// What was read of one source.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Name of the source: the file's as given, or the interface's.
    pub name: String,
    /// Packets read.
    pub packets: i64,
    /// Bytes read of the file, as it is on disk.
    bytes_read: u64,
    /// What was counted before its packets were handed out; nothing for files.
    pub kernel: KernelCounters,
    /// What was wrong with it. A file that could not be opened is here with no packets.
    pub damage: Damage,
    fingerprint: Option<Fingerprint>,
}

impl Merge {
    /// Merges capture files; [`STDIN`] is the standard input. Files that can't be opened are told in
    /// [`Merge::outcomes`], the others go on.
    pub fn files(paths: &[PathBuf]) -> Self {
        Self::files_until(paths, &Arc::default())
    }

    /// Merges capture files. Once `stop` is set, those that are streams end, even while there is nothing
    /// to read.
    pub fn files_until(paths: &[PathBuf], stop: &Arc<AtomicBool>) -> Self {
        let mut merge = Self { stop: Arc::clone(stop), ..Self::empty() };
        for path in paths {
            merge.add_file(path, paths.len() == 1);
        }
        merge
    }

    /// The packets of one source that isn't a file.
    pub fn one(name: &str, source: impl Source + 'static) -> Self {
        let mut merge = Self::empty();
        let outcome = Outcome { name: name.to_owned(), ..Outcome::default() };
        let state = State::Open(Box::new(source));
        merge.inputs.push(Input { state, interfaces: Vec::new(), outcome });
        merge.next.push(Reverse((i64::MIN, 0)));
        merge.current = Some(0);
        merge
    }

    fn empty() -> Self {
        Self {
            inputs: Vec::new(),
            next: BinaryHeap::new(),
            current: None,
            number: 0,
            interfaces: Interfaces::default(),
            stop: Arc::default(),
        }
    }

    /// Looks for a file's first packet. The only file stays open, and so does a stream.
    fn add_file(&mut self, path: &Path, only: bool) {
        let name = files::display_name(path);
        let mut outcome = Outcome { name, ..Outcome::default() };
        let state = match CaptureFile::open_until(path, &self.stop) {
            Ok(file) => {
                outcome.fingerprint = Some(file.fingerprint());
                State::Open(Box::new(file))
            }
            Err(error) => {
                outcome.damage.add(error);
                State::Ended
            }
        };
        let index = self.inputs.len();
        self.inputs.push(Input { state, interfaces: Vec::new(), outcome });
        self.step(index);
        if only || path == Path::new(STDIN) || !path.is_file() {
            return;
        }
        if let Some(input) = self.inputs.get_mut(index).filter(|input| matches!(input.state, State::Open(_))) {
            input.state = State::Waiting(path.to_owned());
        }
    }

    /// The next packet; `None` at the end of all sources.
    #[inline]
    pub fn next_packet(&mut self) -> Option<Merged<'_>> {
        if let Some(index) = self.current.take() {
            self.next.pop();
            if self.step(index) == Step::Idle {
                self.next.push(Reverse((i64::MIN, index)));
                self.current = Some(index);
                return Some(Merged::Idle);
            }
        }
        let index = self.open_next()?;
        self.current = Some(index);
        self.number += 1;
        let input = self.inputs.get_mut(index)?;
        input.outcome.packets += 1;
        let State::Open(source) = &input.state else { return None };
        let info = source.info();
        let interface = *input.interfaces.get(usize::try_from(info.interface).ok()?)?;
        let of_all = self.interfaces.table.get(usize::try_from(interface).ok()?)?;
        let packet = Packet {
            number: self.number,
            ts_ns: info.ts_ns,
            data: source.data(),
            original_length: info.original_length,
            link_type: u16::try_from(of_all.link_type).unwrap_or(u16::MAX),
            interface,
        };
        Some(Merged::Packet(packet, of_all))
    }

    /// A time that no packet to come is older than, where all sources that are left are quiet interfaces. To be asked for
    /// after [`Merged::Idle`].
    pub fn quiet_until_ns(&self) -> Option<i64> {
        let quiet = |input: &Input| match &input.state {
            State::Open(source) => Some(source.quiet_until_ns()),
            State::Waiting(_) => Some(None),
            State::Ended => None,
        };
        // Least of all is `None`: a source that does not know.
        self.inputs.iter().filter_map(quiet).min().flatten()
    }

    /// Whether any source could be opened.
    pub fn has_sources(&self) -> bool {
        self.inputs.iter().any(|input| input.outcome.fingerprint.is_some() || matches!(input.state, State::Open(_)))
    }

    /// What has become of each source so far, in their order.
    pub fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        self.inputs.iter().map(|input| &input.outcome)
    }

    /// Bytes read of all files so far, as they are on disk: of their sizes together, how far reading
    /// has come.
    pub fn file_bytes_read(&self) -> u64 {
        let read = |input: &Input| match &input.state {
            State::Open(source) => source.file_bytes_read(),
            State::Waiting(_) | State::Ended => input.outcome.bytes_read,
        };
        self.inputs.iter().map(read).sum()
    }

    /// What was counted so far before packets were handed out, of all sources.
    pub fn kernel_counters(&mut self) -> KernelCounters {
        let mut sum = KernelCounters::default();
        for input in &mut self.inputs {
            if let State::Open(source) = &mut input.state {
                input.outcome.kernel = source.kernel_counters();
            }
            let KernelCounters { received, dropped, interface_dropped, queue_dropped, sampled_out } =
                input.outcome.kernel;
            sum.received += received;
            sum.dropped += dropped;
            sum.interface_dropped += interface_dropped;
            sum.queue_dropped += queue_dropped;
            sum.sampled_out += sampled_out;
        }
        sum
    }

    /// What became of each source, at the end.
    pub fn into_outcomes(mut self) -> Vec<Outcome> {
        // Those that were not read to their end have something to tell as well.
        self.inputs.iter_mut().for_each(Input::end);
        self.inputs.into_iter().map(|input| input.outcome).collect()
    }

    /// The epoch of replaying these files with these options, which are those that change what
    /// becomes of the packets; see [`epoch::epoch`].
    pub fn epoch(&self, options: &str) -> i64 {
        let captures: Vec<_> = self.outcomes().filter_map(|outcome| outcome.fingerprint).collect();
        epoch::epoch(&captures, options)
    }

    /// Index of the input whose packet is next, which is open.
    fn open_next(&mut self) -> Option<usize> {
        loop {
            let &Reverse((_, index)) = self.next.peek()?;
            let input = self.inputs.get_mut(index)?;
            let State::Waiting(path) = &mut input.state else { return Some(index) };
            let path = mem::take(path);
            input.interfaces.clear(); // the file may be another one by now
            input.state = match CaptureFile::open_until(&path, &self.stop) {
                Ok(file) => State::Open(Box::new(file)),
                Err(error) => {
                    input.outcome.damage.add(error);
                    State::Ended
                }
            };
            self.next.pop();
            self.step(index);
        }
    }

    /// Moves an input that isn't in `next` to its next packet and back into `next`, or ends it.
    fn step(&mut self, index: usize) -> Step {
        let Some(input) = self.inputs.get_mut(index) else { return Step::End };
        let State::Open(source) = &mut input.state else { return Step::End };
        let step = source.advance();
        let ts_ns = source.info().ts_ns;
        let interfaces = source.interfaces();
        if input.interfaces.len() < interfaces.len() {
            let new = interfaces.iter().skip(input.interfaces.len());
            input.interfaces.extend(new.map_while(|interface| self.interfaces.index(interface)));
            if input.interfaces.len() < interfaces.len() {
                let problem = SourceProblem::TooManyInterfaces { limit: MAX_INTERFACES };
                input.outcome.damage.add(SourceError { name: input.outcome.name.clone(), offset: None, problem });
                input.end();
                return Step::End;
            }
        }
        match step {
            Step::Packet => self.next.push(Reverse((ts_ns, index))),
            Step::Idle => {}
            Step::End => input.end(),
        }
        step
    }
}

impl Input {
    fn end(&mut self) {
        if let State::Open(mut source) = mem::replace(&mut self.state, State::Ended) {
            self.outcome.damage.extend(source.take_damage());
            self.outcome.kernel = source.kernel_counters();
            self.outcome.bytes_read = source.file_bytes_read();
        }
    }
}

/// All interfaces, each once: those of the same name and link type are one.
#[derive(Default)]
struct Interfaces {
    table: Vec<Interface>,
    index: HashMap<Interface, u32>,
}

impl Interfaces {
    /// The index of an interface, which is new or known; `None` if there are too many.
    fn index(&mut self, interface: &Interface) -> Option<u32> {
        if let Some(&index) = self.index.get(interface) {
            return Some(index);
        }
        if self.table.len() >= MAX_INTERFACES {
            return None;
        }
        let index = u32::try_from(self.table.len()).ok()?;
        self.table.push(interface.clone());
        self.index.insert(interface.clone(), index);
        Some(index)
    }
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
