//! Packet filters in the language of tcpdump (pcap-filter(7)), for capture files.

use crate::link_type;
use pcap::{BpfProgram, Capture};
use std::collections::BTreeMap;
use weir_contract::Packet;

/// Link types that expressions are tried on: Ethernet, raw IP, cooked, 802.11 without and with radio
/// information, PPP.
const USUAL_LINK_TYPES: [u16; 6] = [1, 101, 113, 105, 127, 9];

/// A filter expression, compiled for each link type as packets of it come.
///
/// It sees what was captured: `len`, `less` and `greater` mean captured bytes.
///
/// ```
/// use weir_agent::Filter;
/// use weir_contract::Packet;
///
/// let mut filter = Filter::new("udp");
/// let udp = [0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0, 53, 0, 53, 0, 8, 0, 0];
/// let packet = Packet { number: 1, ts_ns: 0, data: &udp, original_length: 28, link_type: 101, interface: 0 };
/// assert!(filter.keeps(&packet)?);
/// # Ok::<(), weir_agent::FilterError>(())
/// ```
pub struct Filter {
    expression: String,
    /// By link type; none for one that the expression means nothing for.
    programs: BTreeMap<u16, Option<BpfProgram>>,
}

/// An expression that can't be compiled for a link type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "filter `{expression}` does not compile for link type {link_type}: {reason}; pcap-filter(7) describes the language"
)]
pub struct FilterError {
    /// The expression.
    pub expression: String,
    /// LINKTYPE_ value of the packets it was to filter.
    pub link_type: u16,
    /// What libpcap says.
    pub reason: String,
}

impl Filter {
    /// A filter of this expression. Whether it compiles depends on the link type, so that the first
    /// packet of each tells; [`Filter::check`] tells before whether it does for any.
    pub fn new(expression: &str) -> Self {
        Self { expression: expression.to_owned(), programs: BTreeMap::new() }
    }

    /// Whether this is a filter expression at all: whether it compiles for one of the usual link types.
    ///
    /// # Errors
    /// What is wrong with it, as seen from Ethernet.
    pub fn check(expression: &str) -> Result<(), FilterError> {
        let filter = Self::new(expression);
        let [first, others @ ..] = USUAL_LINK_TYPES;
        filter.compile(first).map(drop).or_else(|error| {
            let compiles = others.iter().any(|&link_type| filter.compile(link_type).is_ok());
            if compiles { Ok(()) } else { Err(error) }
        })
    }

    /// Whether the filter lets a packet pass.
    ///
    /// # Errors
    /// The expression isn't one, or means nothing for the packet's link type. That is said once for each
    /// link type; further packets of it do not pass.
    #[inline]
    pub fn keeps(&mut self, packet: &Packet<'_>) -> Result<bool, FilterError> {
        if let Some(program) = self.programs.get(&packet.link_type) {
            return Ok(program.as_ref().is_some_and(|program| program.filter(packet.data)));
        }
        let compiled = self.compile(packet.link_type);
        let keeps = compiled.as_ref().map(|program| program.filter(packet.data)).map_err(Clone::clone);
        self.programs.insert(packet.link_type, compiled.ok());
        keeps
    }

    fn compile(&self, link_type: u16) -> Result<BpfProgram, FilterError> {
        let compiled =
            Capture::dead(link_type::to_libpcap(link_type)).and_then(|capture| capture.compile(&self.expression, true));
        compiled.map_err(|error| FilterError {
            expression: self.expression.clone(),
            link_type,
            reason: libpcap_reason(&error),
        })
    }
}

/// What libpcap says, without the prefix of the crate.
pub(crate) fn libpcap_reason(error: &pcap::Error) -> String {
    match error {
        pcap::Error::PcapError(reason) => reason.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    /// An IPv4 header and UDP ports 53.
    const UDP: [u8; 28] =
        [0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0, 53, 0, 53, 0, 8, 0, 0];

    fn packet(link_type: u16, data: &[u8]) -> Packet<'_> {
        Packet { number: 1, ts_ns: 0, data, original_length: 28, link_type, interface: 0 }
    }

    #[test]
    fn one_expression_serves_several_link_types() {
        let ethernet = [&[2; 12][..], &[8, 0], &UDP].concat();
        let cooked = [&[0; 14][..], &[8, 0], &UDP].concat();
        for (expression, expected) in
            [("udp port 53", true), ("tcp", false), ("host 10.0.0.2 and not tcp", true), ("", true)]
        {
            let mut filter = Filter::new(expression);
            for (link_type, data) in [(1, &ethernet[..]), (101, &UDP), (113, &cooked), (228, &UDP), (1, &ethernet)] {
                assert_eq!(filter.keeps(&packet(link_type, data)), Ok(expected), "{expression} on {link_type}");
            }
        }
    }

    #[test]
    fn error_has_the_expression_and_libpcaps_reason() {
        let error = Filter::new("udp prt 53").keeps(&packet(1, &UDP)).unwrap_err().to_string();
        assert!(error.contains("`udp prt 53`") && error.contains("syntax error"), "{error}");
        let error = Filter::new("wlan type mgt").keeps(&packet(1, &UDP)).unwrap_err().to_string();
        assert!(error.contains("link type 1") && error.contains("802.11"), "{error}");
        let error = Filter::new("udp\0").keeps(&packet(1, &UDP)).unwrap_err();
        assert!(error.to_string().contains("filter `udp"), "{error}");
    }

    #[test]
    fn expressions_are_checked_against_several_link_types() {
        for expression in ["udp", "wlan type mgt", "ether host 00:00:5e:00:53:01", ""] {
            assert_eq!(Filter::check(expression), Ok(()), "{expression}");
        }
        assert_eq!(Filter::check("udp prt 53").unwrap_err().link_type, 1);
    }

    #[test]
    fn a_link_type_that_the_expression_means_nothing_for_is_told_once() {
        let mut filter = Filter::new("wlan type mgt");
        assert!(filter.keeps(&packet(1, &UDP)).is_err());
        assert_eq!(filter.keeps(&packet(1, &UDP)), Ok(false));
        assert_eq!(filter.keeps(&packet(105, &UDP)), Ok(false));
    }

    #[test]
    fn link_types_that_nothing_is_known_of_are_an_error_or_pass_but_never_a_panic() {
        for link_type in [65_000, u16::MAX, 127, 276] {
            let _ = Filter::new("ip").keeps(&packet(link_type, &UDP));
        }
    }
}
