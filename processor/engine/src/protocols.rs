//! Which protocols the engine decodes, and what names them on the wire.

use crate::{datagram, layers::LAYERS, stream};

/// A protocol the engine decodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protocol {
    /// Its name, as in `Weird.layer`, `Packet.layers` and `Connection.service`.
    pub name: &'static str,
    /// Kind and value of each number that stands for it, as in `Unknown.key` and `Unknown.value`.
    pub keys: Vec<(&'static str, u32)>,
}

/// All protocols that the engine decodes: first layers, then those of datagrams and of streams. One that comes in
/// both has the keys of both.
///
/// ```
/// let dns = weir_engine::protocols().find(|protocol| protocol.name == "dns");
/// assert_eq!(dns.unwrap().keys, [("udp_port", 53), ("tcp_port", 53)]);
/// ```
pub fn protocols() -> impl Iterator<Item = Protocol> {
    let layers = LAYERS
        .iter()
        .map(|layer| Protocol { name: layer.name, keys: layer.keys.iter().map(|key| key.kind_and_value()).collect() });
    let datagrams = datagram::PARSERS.iter().map(|parser| Protocol {
        name: parser.name,
        keys: parser.ports.iter().map(|&port| ("udp_port", port.into())).collect(),
    });
    let streams = stream::PARSERS.iter().map(|parser| Protocol {
        name: parser.name,
        keys: parser.ports.iter().map(|&port| ("tcp_port", port.into())).collect(),
    });
    let mut all: Vec<Protocol> = Vec::new();
    for protocol in layers.chain(datagrams).chain(streams) {
        match all.iter_mut().find(|known| known.name == protocol.name) {
            Some(known) => known.keys.extend(protocol.keys),
            None => all.push(protocol),
        }
    }
    all.into_iter()
}
