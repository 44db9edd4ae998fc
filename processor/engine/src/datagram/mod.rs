//! Decoders of protocols whose messages are single datagrams, and how a flow finds its decoder.
//!
//! To add one: a message in `proto/`, a file in this folder that implements [`Datagram`], and a line
//! in the list below.

mod dhcp;
mod expectation;
mod requests;

use std::marker::PhantomData;

use serde::{Serialize, de::DeserializeOwned};
use weir_contract::record::Section;

pub(crate) use expectation::{Expectations, Expected, Place};
pub use requests::Requests;

use crate::{
    cursor::{Cursor, Malformed},
    flow::Identity,
    output::Output,
    section,
};

datagrams! {
    dhcpv4::Dhcpv4,
    dhcpv6::Dhcpv6,
    dns::Dns,
    dtls::Dtls,
    llmnr::Llmnr,
    mdns::Mdns,
    nbns::Nbns,
    ntp::Ntp,
    quic::Quic,
    snmp::Snmp,
    syslog::Syslog,
    tftp::Tftp,
}

/// A protocol whose messages are single datagrams.
pub trait Datagram {
    /// The protocol's name, as in `Connection.service`.
    const NAME: &'static str;

    /// Ports registered for it: on these its probe is asked first, and may be unsure.
    const PORTS: &'static [u16];

    /// Its probe is never more than unsure, and so not asked on other ports.
    const NEEDS_PORT: bool = false;

    /// [`Self::finish`] is called.
    const WRITES_AT_END: bool = false;

    /// What a flow's decoder remembers from one message to the next; `()` for nothing.
    type State: State;

    /// Number of the state's layout in snapshots, for the next one when it changes: a build leaves alone what has
    /// another number than its own. A test says when that is.
    const LAYOUT: u32 = 1;

    /// Whether the first bytes of a flow are this protocol's.
    fn probe(bytes: &[u8]) -> Probe;

    /// Bytes that the state holds on the heap, about: they count for the cap on memory.
    fn held_bytes(_state: &Self::State) -> usize {
        0
    }

    /// Decodes one message into records. What was read before an error stays in the record.
    ///
    /// # Errors
    ///
    /// Where the bytes contradict the protocol. The caller writes a Weird.
    fn parse(
        input: Cursor<'_>,
        context: &mut Context,
        state: &mut Self::State,
        out: &mut Output,
    ) -> Result<(), Malformed>;

    /// The flow is over. Writes what is known of it in all.
    fn finish(_state: &mut Self::State, _out: &mut Output) {}
}

/// State of a decoder: plain, owned data that survives a crash.
pub trait State: Serialize + DeserializeOwned + Default + Send + 'static {}

impl<T: Serialize + DeserializeOwned + Default + Send + 'static> State for T {}

/// What a decoder's probe thinks of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// They are of another protocol.
    No,
    /// They may be this protocol's: taken for it on its own ports only.
    Unsure,
    /// They are this protocol's beyond doubt, on whatever port.
    Yes,
}

/// What a decoder may know of the datagram around its message.
#[derive(Debug)]
pub struct Context {
    /// Time of the packet, ns since 1970-01-01 UTC.
    pub ts_ns: i64,
    /// The datagram is from the flow's responder.
    pub from_responder: bool,
    /// Time of the message that announced this one by [`Self::expect_answer_from_another_port`], ns.
    /// Only the first message of a flow is announced.
    pub expected_since_ns: Option<i64>,
    pub(crate) expects_answer_elsewhere: bool,
}

impl Context {
    /// Announces that the sender's address and port will be answered from another port, in the same
    /// protocol.
    pub fn expect_answer_from_another_port(&mut self) {
        self.expects_answer_elsewhere = true;
    }
}

/// Which decoder a flow has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dispatch {
    /// So many of its messages were no decoder's.
    Undecided(u8),
    /// None.
    Never,
    /// The decoder of that index in the list above.
    Parser(u8),
}

impl Default for Dispatch {
    fn default() -> Self {
        Self::Undecided(0)
    }
}

/// Messages of a flow that are probed before it is given up.
const PROBES_MAX: u8 = 4;

impl Dispatch {
    /// Name of the decoder; empty where the flow has none.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Parser(index) => PARSERS.get(usize::from(index)).map_or("", |parser| parser.name),
            Self::Undecided(_) | Self::Never => "",
        }
    }

    /// The decoder of that name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        let index = PARSERS.iter().position(|parser| parser.name == name)?;
        u8::try_from(index).ok().map(Self::Parser)
    }

    /// Whether bytes may be of the decoder's protocol.
    fn may_be(self, bytes: &[u8]) -> bool {
        let Self::Parser(index) = self else { return false };
        PARSERS.get(usize::from(index)).is_some_and(|parser| (parser.probe)(bytes) != Probe::No)
    }

    /// Decides by a message between two ports.
    pub(crate) fn probe(tries: u8, ports: (u16, u16), bytes: &[u8]) -> Self {
        let owns_port = |parser: &Parser| parser.ports.iter().any(|port| [ports.0, ports.1].contains(port));
        let mut all = (0u8..).zip(PARSERS);
        let mut others = all.clone().filter(|(_, parser)| !parser.needs_port && !owns_port(parser));
        let own = all.find(|(_, parser)| owns_port(parser) && (parser.probe)(bytes) != Probe::No);
        match own.or_else(|| others.find(|(_, parser)| (parser.probe)(bytes) == Probe::Yes)) {
            Some((index, _)) => Self::Parser(index),
            None if is_stun(bytes) => Self::Undecided(tries),
            None if tries + 1 >= PROBES_MAX => Self::Never,
            None => Self::Undecided(tries + 1),
        }
    }
}

/// Whether a message is one of STUN (RFC 8489 §5), which opens the way for another protocol on the same ports and
/// so says nothing of that.
fn is_stun(bytes: &[u8]) -> bool {
    const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
    matches!(bytes, [0..=0x3f, _, _, _, cookie @ ..] if cookie.starts_with(&MAGIC_COOKIE))
}

/// A flow's decoder at work.
pub(crate) struct Running {
    pub(crate) state: ParserState,
    /// Identity of the flow, which the Connection needs as well: to hash it takes as long as to write it, and a
    /// flow of one packet has no other place to keep it in.
    pub(crate) identity: Option<Identity>,
    /// Bytes that the state holds, as they were last counted for the cap.
    pub(crate) counted_bytes: usize,
}

impl Running {
    pub(crate) fn new(state: ParserState) -> Self {
        Self { state, identity: None, counted_bytes: 0 }
    }

    /// Counts what it holds anew in the sum of all.
    pub(crate) fn recount(&mut self, sum: &mut usize) {
        let held = self.state.held_bytes();
        *sum = *sum - self.counted_bytes + held;
        self.counted_bytes = held;
    }
}

/// A row of the table of decoders.
pub(crate) struct Parser {
    pub(crate) name: &'static str,
    pub(crate) ports: &'static [u16],
    needs_port: bool,
    probe: fn(&[u8]) -> Probe,
}

impl Parser {
    const fn of<D: Datagram>(_: PhantomData<D>) -> Self {
        Self { name: D::NAME, ports: D::PORTS, needs_port: D::NEEDS_PORT, probe: D::probe }
    }
}

/// Declares the decoders' modules, the table of them, and the enum that holds any one's state.
macro_rules! datagrams {
    ($($module:ident::$decoder:ident,)+) => {
        $(pub(crate) mod $module;)+

        pub(crate) static PARSERS: &[Parser] = &[$(Parser::of(PhantomData::<$module::$decoder>),)+];

        /// State of one flow's decoder.
        #[derive(Debug)]
        pub(crate) enum ParserState {
            $($decoder(<$module::$decoder as Datagram>::State),)+
        }

        impl ParserState {
            /// A fresh state of the decoder of that name.
            pub(crate) fn new(name: &str) -> Option<Self> {
                $(if name == $module::$decoder::NAME {
                    return Some(Self::$decoder(Default::default()));
                })+
                None
            }

            pub(crate) fn parse(
                &mut self,
                input: Cursor<'_>,
                context: &mut Context,
                out: &mut Output,
            ) -> Result<(), Malformed> {
                match self {
                    $(Self::$decoder(state) => $module::$decoder::parse(input, context, state, out),)+
                }
            }

            pub(crate) fn held_bytes(&self) -> usize {
                match self {
                    $(Self::$decoder(state) => $module::$decoder::held_bytes(state),)+
                }
            }

            /// Whether the end of its flow is to be told to it.
            pub(crate) fn writes_at_end(&self) -> bool {
                match self {
                    $(Self::$decoder(_) => $module::$decoder::WRITES_AT_END,)+
                }
            }

            pub(crate) fn finish(&mut self, out: &mut Output) {
                match self {
                    $(Self::$decoder(state) => $module::$decoder::finish(state, out),)+
                }
            }

            /// Its state as bytes.
            pub(crate) fn save(&self) -> Option<Section> {
                match self {
                    $(Self::$decoder(state) => section::save($module::$decoder::NAME, $module::$decoder::LAYOUT, state),)+
                }
            }

            /// The state that [`Self::save`] gave; `None` where the decoder is gone or reads it no more.
            pub(crate) fn load(saved: &Section) -> Option<Self> {
                $(if saved.name == $module::$decoder::NAME {
                    return section::load(saved, $module::$decoder::LAYOUT).map(Self::$decoder);
                })+
                None
            }
        }

        /// Layouts of all states in snapshots.
        #[cfg(test)]
        pub(crate) fn layouts() -> Vec<section::Layout> {
            vec![$(section::Layout::of::<<$module::$decoder as Datagram>::State>(
                concat!("datagram/", stringify!($module)),
                $module::$decoder::LAYOUT,
            ),)+]
        }
    };
}
use datagrams;
