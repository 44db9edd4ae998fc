//! The agent's own connections, so that it does not capture what it sends of what it captured.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// A peer is left out for so long after its last connection: clients come back to it.
const REMEMBERED: Duration = Duration::from_secs(600);

/// Peers that are left out. A cluster has fewer brokers, and the kernel takes a filter of so many.
const MAX_PEERS: usize = 128;

/// A connection of the agent's, without its own port, which is another one each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Connection {
    /// The agent's address.
    pub local: IpAddr,
    /// Where it connected to.
    pub peer: SocketAddr,
}

/// Follows the connections that this process has opened.
#[derive(Debug, Default)]
pub struct OwnTraffic {
    sockets: BTreeSet<u64>,
    peers: Peers,
}

impl OwnTraffic {
    /// Looks for new connections. The filter expression of what is to be left out, if it is another one than before.
    pub fn look(&mut self, now: Duration) -> Option<String> {
        let sockets = own_sockets();
        // The tables are those of the whole host. They are read when sockets have come or gone, and once in a while:
        // a socket that was there may have connected since.
        let connections = if sockets == self.sockets && !self.peers.is_stale(now) {
            return None;
        } else {
            ["/proc/self/net/tcp", "/proc/self/net/tcp6"].into_iter().flat_map(|path| {
                let table = fs::read_to_string(path).unwrap_or_default();
                opened(&table, &sockets)
            })
        };
        let changed = self.peers.see(now, connections);
        self.sockets = sockets;
        changed.then(|| self.peers.expression())
    }

    /// The connections that there are, and those that there were lately.
    pub fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.peers.seen.keys()
    }
}

/// Connections, and when each was seen last.
#[derive(Debug, Default)]
struct Peers {
    seen: BTreeMap<Connection, Duration>,
    looked: Option<Duration>,
}

impl Peers {
    fn is_stale(&self, now: Duration) -> bool {
        const LOOK_EVERY: Duration = Duration::from_secs(5);
        self.looked.is_none_or(|looked| now.saturating_sub(looked) >= LOOK_EVERY)
    }

    /// Takes note of all connections there are; whether there are others now than before.
    fn see(&mut self, now: Duration, connections: impl Iterator<Item = Connection>) -> bool {
        let before: Vec<_> = self.seen.keys().copied().collect();
        self.looked = Some(now);
        for connection in connections {
            self.seen.insert(connection, now);
        }
        self.seen.retain(|_, seen| now.saturating_sub(*seen) < REMEMBERED);
        while self.seen.len() > MAX_PEERS {
            let oldest = self.seen.iter().min_by_key(|(_, seen)| **seen).map(|(connection, _)| *connection);
            let Some(oldest) = oldest else { break };
            self.seen.remove(&oldest);
        }
        !self.seen.keys().eq(&before)
    }

    /// What matches all packets of the connections, in pcap-filter(7)'s language; empty if there are none. Addresses
    /// and ports stand only once each, as the kernel takes 4,096 instructions.
    fn expression(&self) -> String {
        let mut groups: BTreeMap<(IpAddr, u16), Vec<IpAddr>> = BTreeMap::new();
        for Connection { local, peer } in self.seen.keys() {
            groups.entry((*local, peer.port())).or_default().push(peer.ip());
        }
        let mut expression = String::new();
        for ((local, port), peers) in groups {
            let or = if expression.is_empty() { "" } else { " or " };
            let peers: Vec<_> = peers.into_iter().map(host).collect();
            let local = host(local);
            let _ = write!(expression, "{or}(tcp port {port} and {local} and ({}))", peers.join(" or "));
        }
        expression
    }
}

/// Without its protocol, `host` would look into ARP too.
fn host(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("ip host {address}"),
        IpAddr::V6(address) => format!("ip6 host {address}"),
    }
}

/// Inodes of the sockets that this process has.
fn own_sockets() -> BTreeSet<u64> {
    let Ok(files) = fs::read_dir("/proc/self/fd") else { return BTreeSet::new() };
    let target = |file: fs::DirEntry| fs::read_link(file.path()).ok();
    let inode = |target: std::path::PathBuf| target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok();
    files.filter_map(|file| target(file.ok()?)).filter_map(inode).collect()
}

/// The connections that were opened by sockets of these inodes, out of a table of the kernel's (proc_pid_net(5)).
/// Those that were accepted have the local address of one that listens.
fn opened(table: &str, sockets: &BTreeSet<u64>) -> Vec<Connection> {
    const LISTENS: &str = "0A";
    let row = |line: &str| {
        let mut columns = line.split_whitespace();
        let local = address(columns.nth(1)?)?;
        let peer = address(columns.next()?)?;
        let state = columns.next()?.to_owned();
        let inode = columns.nth(5)?.parse::<u64>().ok()?;
        sockets.contains(&inode).then_some((local, peer, state))
    };
    let rows: Vec<_> = table.lines().filter_map(row).collect();
    let listening: BTreeSet<_> =
        rows.iter().filter(|(.., state)| state == LISTENS).map(|(local, ..)| local.port()).collect();
    let is_opened = |local: &SocketAddr, peer: &SocketAddr| peer.port() != 0 && !listening.contains(&local.port());
    let opened = rows.iter().filter(|(local, peer, _)| is_opened(local, peer));
    opened.map(|(local, peer, _)| Connection { local: local.ip(), peer: *peer }).collect()
}

/// An address and port as the kernel shows them: words of 32 bits in its own byte order, in hexadecimal.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| Some(u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16).ok()?.to_ne_bytes());
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            Ipv6Addr::from(bytes).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2402 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1 0 100 0 0 10 0
   1: 0100007F:2402 0100007F:B6F2 01 00000000:00000000 00:00000000 00000000     0        0 12 1 0 20 4 30 10 -1
   2: 0A01A8C0:B6F2 1401A8C0:2384 01 00000000:00000000 02:000004D2 00000000     0        0 13 2 0 20 4 30 10 -1
   3: 0A01A8C0:B6F4 1501A8C0:2384 02 00000001:00000000 01:00000064 00000000     0        0 14 2 0 100 0 0 10 -1
   4: 0A01A8C0:B6F6 1601A8C0:2384 01 00000000:00000000 02:000004D2 00000000     0        0 99 2 0 20 4 30 10 -1
";

    fn connection(local: &str, peer: &str) -> Connection {
        Connection { local: local.parse().unwrap(), peer: peer.parse().unwrap() }
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn connections_opened_by_this_process_are_told_from_accepted_and_others() {
        let sockets = BTreeSet::from([11, 12, 13, 14]);
        let expected =
            [connection("192.168.1.10", "192.168.1.20:9092"), connection("192.168.1.10", "192.168.1.21:9092")];
        assert_eq!(opened(TABLE, &sockets), expected);
        assert_eq!(opened("", &sockets), []);
        assert_eq!(opened("nonsense\n1: 2 3 4 5\n 0: 0:0 : : : : : : 11", &sockets), []);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn addresses_of_both_versions_are_read() {
        let read = |text| address(text).unwrap().to_string();
        assert_eq!(read("0100007F:1F90"), "127.0.0.1:8080");
        assert_eq!(read("B80D0120000000000000000001000000:2384"), "[2001:db8::1]:9092");
        assert_eq!(read("0000000000000000FFFF00000100000A:2384"), "10.0.0.1:9092");
        for wrong in ["", ":", "0100007F", "0100007G:1F90", "0100007F:1F90F", "01:02"] {
            assert_eq!(address(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn expression_has_each_port_and_own_address_once() {
        let mut peers = Peers::default();
        assert_eq!(peers.expression(), "");
        let all = [
            connection("10.0.0.1", "10.0.0.2:9092"),
            connection("10.0.0.1", "10.0.0.3:9092"),
            connection("2001:db8::1", "[2001:db8::2]:9093"),
        ];
        assert!(peers.see(Duration::ZERO, all.into_iter()));
        let expected = "(tcp port 9092 and ip host 10.0.0.1 and (ip host 10.0.0.2 or ip host 10.0.0.3)) \
                        or (tcp port 9093 and ip6 host 2001:db8::1 and (ip6 host 2001:db8::2))";
        assert_eq!(peers.expression(), expected);
        assert_eq!(weir_agent::Filter::check(expected), Ok(()));
    }

    #[test]
    fn peers_are_remembered_for_ten_minutes_and_bounded() {
        let at = Duration::from_secs;
        let one = connection("10.0.0.1", "10.0.0.2:9092");
        let mut peers = Peers::default();
        assert!(peers.see(at(0), [one].into_iter()));
        assert!(!peers.see(at(1), [one].into_iter()));
        assert!(!peers.see(at(600), [].into_iter()));
        assert!(peers.see(at(601), [].into_iter()));
        assert_eq!(peers.expression(), "");
        let many = (0..1000).map(|port| connection("10.0.0.1", &format!("10.0.0.2:{}", 1000 + port)));
        assert!(peers.see(at(700), many));
        assert_eq!(peers.seen.len(), MAX_PEERS);
    }

    #[test]
    fn own_connections_are_found_in_the_running_process() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = listener.local_addr().unwrap();
        let mut own = OwnTraffic::default();
        own.look(Duration::ZERO);
        let client = std::net::TcpStream::connect(peer).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let expression = own.look(Duration::from_secs(1)).unwrap();
        assert!(expression.contains(&format!("tcp port {} and ip host 127.0.0.1", peer.port())), "{expression}");
        let back = format!("tcp port {} ", client.local_addr().unwrap().port());
        assert!(!expression.contains(&back), "{expression} has what was accepted");
        drop(accepted);
    }
}
