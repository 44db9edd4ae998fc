//! Parsers of protocols above TCP, and how a flow finds its parser.
//!
//! To add one: a message in `proto/`, a file in this folder that implements [`Stream`], and a line in the
//! list below.

mod attach;
mod content;
mod conversation;
#[cfg(test)]
mod cuts;
mod readers;
mod reassembly;
#[cfg(test)]
mod tests;

use std::{fmt::Debug, marker::PhantomData};

use weir_contract::record::Section;

pub(crate) use conversation::Conversation;
use conversation::Desk;
#[cfg(test)]
pub(crate) use conversation::layout as conversation_layout;
pub(crate) use readers::{Reader, Readers};
pub(crate) use reassembly::Segment;

use crate::{
    cursor::{Cursor, Malformed},
    datagram::{Probe, State},
    output::Output,
    section,
};

streams! {
    dns::DnsOverTcp,
    http::Http,
    ssh::Ssh,
    tls::Tls,
}

/// A protocol above TCP: the state of one connection's parser, which is pushed what each side says.
///
/// The bytes that a call does not consume are offered again, with more behind them. A parser writes a record
/// when it has all of it, never later for want of the next byte: so the same stream gives the same records
/// however it was cut into segments.
pub trait Stream: State + Debug {
    /// The protocol's name, as in `Connection.service`.
    const NAME: &'static str;

    /// Ports registered for it: on these its probe is asked first.
    const PORTS: &'static [u16];

    /// Number of its layout in snapshots, for the next one when it changes: a build leaves alone what has another
    /// number than its own. A test says when that is.
    const LAYOUT: u32 = 1;

    /// Whether a direction that begins with these bytes is this protocol's. Asked again with more of them, up
    /// to 2 KiB, as long as it is unsure. No from one direction rules the protocol out for both, Yes from one
    /// decides for it.
    fn probe(direction: Direction, bytes: &[u8]) -> Probe;

    /// Reads what one direction says, from where it consumed to last.
    ///
    /// # Errors
    ///
    /// Where the bytes contradict the protocol, so that nothing behind them can be read. The caller writes a
    /// Weird, and calls [`Self::finish`].
    fn push(&mut self, input: Cursor<'_>, moment: &Moment, out: &mut Output) -> Result<Progress, Malformed>;

    /// Bytes of a direction that were never captured, behind those consumed. Those offered before and not
    /// consumed are dropped.
    fn gap(&mut self, _length: u64, _moment: &Moment, _out: &mut Output) -> AfterGap {
        AfterGap::Stop
    }

    /// A direction ended by a FIN, and all of it was offered.
    fn end(&mut self, _moment: &Moment, _out: &mut Output) {}

    /// Nothing more will come. Writes what waits for an answer or an end.
    fn finish(&mut self, _out: &mut Output) {}

    /// Bytes that the state holds on the heap, about: they count for the cap on memory.
    fn held_bytes(&self) -> usize {
        0
    }
}

/// Who speaks. The originator is who began the connection, or was seen first where its beginning was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum Direction {
    /// From the originator.
    #[default]
    Originator,
    /// From the responder.
    Responder,
}

impl Direction {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Originator => Self::Responder,
            Self::Responder => Self::Originator,
        }
    }
}

/// Where in a conversation something happens.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// Who speaks.
    pub direction: Direction,
    /// Time of the packet that made the bytes known, ns since 1970-01-01 UTC.
    pub ts_ns: i64,
}

/// How far a parser came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Consumed so many bytes; `need` bytes have to be there before it is worth to call again (0 and 1: any).
    /// More than 66 KiB are never offered at once.
    More {
        /// Bytes that are done with.
        consumed: usize,
        /// Bytes that the next call needs.
        need: usize,
    },
    /// As `More`, but what follows is nothing to this parser until the other direction has said more.
    Wait {
        /// Bytes that are done with.
        consumed: usize,
    },
    /// Behind `consumed`, `length` bytes are not needed, and cost nothing. Gaps in them are not told.
    /// `u64::MAX` for all that this direction will ever say.
    Skip {
        /// Bytes that are done with.
        consumed: usize,
        /// Bytes behind them to pass over.
        length: u64,
    },
    /// Behind `consumed` begins another protocol in both directions (CONNECT, STARTTLS), which is to be found
    /// as at the beginning.
    Switch {
        /// Bytes that are done with.
        consumed: usize,
    },
    /// The rest of both directions is not needed.
    Stop,
}

/// What a parser makes of a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterGap {
    /// It goes on with the bytes behind it.
    Continue,
    /// It can't go on; [`Stream::finish`] is called.
    Stop,
}

/// A row of the table of parsers.
pub(crate) struct Parser {
    pub(crate) name: &'static str,
    pub(crate) ports: &'static [u16],
    probe: fn(Direction, &[u8]) -> Probe,
}

impl Parser {
    const fn of<S: Stream>(_: PhantomData<S>) -> Self {
        Self { name: S::NAME, ports: S::PORTS, probe: S::probe }
    }
}

/// What the first bytes of both directions are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detected {
    /// The protocol of the parser at that place in the list.
    Parser(u8),
    /// More bytes may tell.
    Undecided,
    /// No parser's.
    Nothing,
}

/// Decides by the first bytes of both directions, either of which may be missing. Ports decide only whom of
/// several to ask first.
pub(crate) fn detect(ports: (u16, u16), heads: [&[u8]; 2]) -> Detected {
    let owns_port = |parser: &Parser| parser.ports.iter().any(|port| [ports.0, ports.1].contains(port));
    let all = (0u8..).zip(PARSERS);
    let own = all.clone().filter(|(_, parser)| owns_port(parser));
    let others = all.filter(|(_, parser)| !owns_port(parser));
    let mut detected = Detected::Nothing;
    for (index, parser) in own.chain(others) {
        match probe_both(parser, heads) {
            Probe::Yes => return Detected::Parser(index),
            Probe::Unsure => detected = Detected::Undecided,
            Probe::No => {}
        }
    }
    detected
}

fn probe_both(parser: &Parser, heads: [&[u8]; 2]) -> Probe {
    let mut sure = Probe::Unsure;
    for (direction, head) in [Direction::Originator, Direction::Responder].into_iter().zip(heads) {
        if head.is_empty() {
            continue;
        }
        match (parser.probe)(direction, head) {
            Probe::No => return Probe::No,
            Probe::Yes => sure = Probe::Yes,
            Probe::Unsure => {}
        }
    }
    sure
}

/// Protocols found in one connection, one after another: at most four.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Services {
    /// Places in the list of parsers.
    indexes: [u8; 4],
    len: u8,
}

impl Services {
    pub(crate) fn push(&mut self, index: u8) {
        let known = self.indexes.get(..usize::from(self.len)).unwrap_or_default();
        if known.contains(&index) {
            return;
        }
        if let Some(slot) = self.indexes.get_mut(usize::from(self.len)) {
            *slot = index;
            self.len += 1;
        }
    }

    /// Their names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        let indexes = self.indexes.get(..usize::from(self.len)).unwrap_or_default();
        indexes.iter().filter_map(|&index| Some(PARSERS.get(usize::from(index))?.name))
    }

    /// Those of the names that still have a parser.
    pub(crate) fn from_names(names: &[String]) -> Self {
        let mut services = Self::default();
        for name in names {
            if let Some((index, _)) = (0u8..).zip(PARSERS).find(|(_, parser)| parser.name == name) {
                services.push(index);
            }
        }
        services
    }
}

/// Declares the parsers' modules, the table of them, and the enum that holds any one's state.
macro_rules! streams {
    ($($module:ident::$parser:ident,)+) => {
        $(pub(crate) mod $module;)+

        pub(crate) static PARSERS: &[Parser] = &[$(Parser::of(PhantomData::<$module::$parser>),)+];

        /// State of one connection's parser.
        #[derive(Debug)]
        pub(crate) enum ParserState {
            $($parser(Box<$module::$parser>),)+
        }

        impl ParserState {
            /// A fresh state of the parser at that place in the list.
            pub(crate) fn at(index: u8) -> Option<Self> {
                let name = PARSERS.get(usize::from(index))?.name;
                $(if name == $module::$parser::NAME {
                    return Some(Self::$parser(Box::default()));
                })+
                None
            }

            pub(crate) fn name(&self) -> &'static str {
                match self {
                    $(Self::$parser(_) => $module::$parser::NAME,)+
                }
            }

            pub(crate) fn push(
                &mut self,
                input: Cursor<'_>,
                moment: &Moment,
                out: &mut Output,
            ) -> Result<Progress, Malformed> {
                match self {
                    $(Self::$parser(state) => state.push(input, moment, out),)+
                }
            }

            pub(crate) fn gap(&mut self, length: u64, moment: &Moment, out: &mut Output) -> AfterGap {
                match self {
                    $(Self::$parser(state) => state.gap(length, moment, out),)+
                }
            }

            pub(crate) fn end(&mut self, moment: &Moment, out: &mut Output) {
                match self {
                    $(Self::$parser(state) => state.end(moment, out),)+
                }
            }

            pub(crate) fn finish(&mut self, out: &mut Output) {
                match self {
                    $(Self::$parser(state) => state.finish(out),)+
                }
            }

            pub(crate) fn held_bytes(&self) -> usize {
                match self {
                    $(Self::$parser(state) => size_of_val(&**state) + state.held_bytes(),)+
                }
            }

            /// Its state as bytes.
            pub(crate) fn save(&self) -> Option<Section> {
                match self {
                    $(Self::$parser(state) => section::save($module::$parser::NAME, $module::$parser::LAYOUT, state),)+
                }
            }

            /// The state that [`Self::save`] gave; `None` where the parser is gone or reads it no more.
            pub(crate) fn load(saved: &Section) -> Option<Self> {
                $(if saved.name == $module::$parser::NAME {
                    return section::load(saved, $module::$parser::LAYOUT).map(Self::$parser);
                })+
                None
            }
        }

        /// Layouts of all states in snapshots.
        #[cfg(test)]
        pub(crate) fn layouts() -> Vec<section::Layout> {
            vec![$(section::Layout::of::<$module::$parser>(
                concat!("stream/", stringify!($module)),
                $module::$parser::LAYOUT,
            ),)+]
        }
    };
}
use streams;
