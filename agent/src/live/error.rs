//! Why capturing can't begin, in words that say what to do.

use crate::filter::libpcap_reason;
use std::io;

/// Why capturing on an interface can't begin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LiveError {
    /// No such interface.
    #[error("interface {interface}: there is none of that name; there are {known}")]
    Absent {
        /// The name asked for.
        interface: String,
        /// The names there are.
        known: String,
    },
    /// It is down.
    #[error("interface {interface}: it is down; `ip link set {interface} up` brings it up")]
    Down {
        /// Its name.
        interface: String,
    },
    /// It was named twice, or `any` and another.
    #[error("interface {interface}: it is captured already; name each once, and `any` alone")]
    Twice {
        /// Its name.
        interface: String,
    },
    /// The user may not capture.
    #[error(
        "interface {interface}: capturing needs CAP_NET_RAW: run as root or `setcap cap_net_raw+ep {program}` ({reason})"
    )]
    Forbidden {
        /// Its name.
        interface: String,
        /// The running program.
        program: String,
        /// What libpcap says.
        reason: String,
    },
    /// The filter isn't one.
    #[error(
        "interface {interface}: filter `{expression}` does not compile: {reason}; pcap-filter(7) describes the language"
    )]
    Filter {
        /// Its name.
        interface: String,
        /// The expression.
        expression: String,
        /// What libpcap or the kernel says.
        reason: String,
    },
    /// The kernel doesn't divide its packets among several rings.
    #[error("interface {interface}: several rings need PACKET_FANOUT of the kernel ({reason}); capture with one")]
    Fanout {
        /// Its name.
        interface: String,
        /// What the kernel says.
        reason: String,
    },
    /// Anything else.
    #[error("interface {interface}: capturing failed: {reason}")]
    Other {
        /// Its name.
        interface: String,
        /// What libpcap or the kernel says.
        reason: String,
    },
}

impl LiveError {
    /// What libpcap says on opening.
    pub(super) fn on_opening(interface: &str, error: &pcap::Error) -> Self {
        let interface = interface.to_owned();
        let reason = libpcap_reason(error);
        let lower = reason.to_lowercase();
        if lower.contains("not permitted") || lower.contains("permission") {
            let program = std::env::current_exe().map_or_else(|_| "weir".to_owned(), |path| path.display().to_string());
            return Self::Forbidden { interface, program, reason };
        }
        if lower.contains("not up") || lower.contains("network is down") {
            return Self::Down { interface };
        }
        Self::Other { interface, reason }
    }

    pub(super) fn on_fanout(interface: &str, error: &io::Error) -> Self {
        Self::Fanout { interface: interface.to_owned(), reason: error.to_string() }
    }
}
