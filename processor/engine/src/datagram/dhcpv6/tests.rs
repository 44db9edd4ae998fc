use super::*;
use crate::{
    limits::LIST_MAX,
    testing::{self, udp, udp_back},
};

const CLIENT_ID: &[u8] = &[0, 1, 0, 10, 0, 3, 0, 1, 2, 0, 0, 0, 0, 1];
const ADDRESS: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5];

fn option(code: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = code.to_be_bytes().to_vec();
    bytes.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
    bytes.extend(data);
    bytes
}

fn message(message_type: u8, options: &[Vec<u8>]) -> Vec<u8> {
    [&[message_type, 0x12, 0x34, 0x56][..], &options.concat()].concat()
}

fn relay(message_type: u8, hop_count: u8, options: &[Vec<u8>]) -> Vec<u8> {
    [&[message_type, hop_count][..], &ADDRESS, &[0xfe; 16], &options.concat()].concat()
}

fn decode_one(message: &[u8]) -> (record::Dhcpv6, Vec<String>) {
    let records = testing::decode(testing::ETHERNET, &[udp(546, 547, message)]);
    let mut messages = records.of::<record::Dhcpv6>();
    assert_eq!(messages.len(), 1);
    (messages.remove(0), records.weirds())
}

fn solicit() -> Vec<u8> {
    let association = option(3, &[0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0]);
    let name = option(39, b"\x01\x04Host\x03net");
    let class = option(16, b"\0\0\x01\x37\0\x08MSFT 5.0");
    message(1, &[CLIENT_ID.to_vec(), option(8, &[0, 100]), association, name, class, option(6, &[0, 23, 0, 24, 0, 17])])
}

#[test]
fn a_solicit_tells_who_asks_for_what() {
    let (dhcp, weirds) = decode_one(&solicit());
    assert_eq!((dhcp.message_type_name.as_str(), dhcp.transaction_id), ("solicit", Some(0x12_3456)));
    assert_eq!(dhcp.client_duid.unwrap().mac, "02:00:00:00:00:01");
    assert_eq!(dhcp.elapsed_ns, Some(1_000_000_000));
    assert_eq!((dhcp.associations[0].type_name.as_str(), dhcp.associations[0].iaid), ("ia_na", 7));
    assert_eq!((dhcp.fqdn.as_str(), dhcp.fqdn_flags), ("host.net", Some(1)));
    assert_eq!(
        (dhcp.vendor_classes[0].enterprise_number, &dhcp.vendor_classes[0].classes[..]),
        (311, &["MSFT 5.0".to_owned()][..])
    );
    assert_eq!((&dhcp.option_request_list[..], dhcp.fingerprint.as_str()), (&[23, 24, 17][..], "23,24,17"));
    let options: Vec<_> = dhcp.options.iter().map(|option| (option.code, option.name.as_str())).collect();
    assert_eq!(
        options,
        [
            (1, "client_id"),
            (8, "elapsed_time"),
            (3, "ia_na"),
            (39, "client_fqdn"),
            (16, "vendor_class"),
            (6, "option_request"),
        ]
    );
    assert_eq!((dhcp.response, dhcp.truncated, weirds), (false, false, vec![]));
}

#[test]
fn a_reply_gives_addresses_prefixes_and_status() {
    let status = option(13, b"\0\0ok");
    let address = [&ADDRESS[..], &60u32.to_be_bytes(), &120u32.to_be_bytes(), &status].concat();
    let addresses = [&[0, 0, 0, 7, 0, 0, 0, 30, 0, 0, 0, 40][..], &option(5, &address)].concat();
    let prefix = [&[0, 0, 0, 60, 0xff, 0xff, 0xff, 0xff, 56][..], &ADDRESS].concat();
    let prefixes =
        [&[0, 0, 0, 8, 0, 0, 0, 30, 0, 0, 0, 40][..], &option(26, &prefix), &option(13, b"\0\x06none")].concat();
    let search = option(24, b"\x07example\0\x03LAN\0");
    let reply = message(
        7,
        &[
            CLIENT_ID.to_vec(),
            option(2, &[0, 2, 0, 0, 0, 9, 1]),
            option(3, &addresses),
            option(25, &prefixes),
            option(23, &ADDRESS),
            search,
            option(7, &[255]),
            option(13, b"\0\x05use multicast"),
            option(56, &[&option(1, &ADDRESS)[..], &option(3, b"\x03ntp\x03net\0")].concat()),
        ],
    );
    let frames = [udp(546, 547, &solicit()), udp_back(547, 546, &reply)];
    let records = testing::decode(testing::ETHERNET, &frames);
    let dhcp = records.of::<record::Dhcpv6>().remove(1);
    assert_eq!((dhcp.response, dhcp.request_seen, dhcp.response_time_ns), (true, true, Some(1_000_000)));
    assert_eq!(dhcp.server_duid.unwrap().enterprise_number, Some(9));
    let [addresses, prefixes] = &dhcp.associations[..] else { panic!("two associations") };
    assert_eq!((addresses.renewal_time_ns, addresses.rebinding_time_ns), (Some(30_000_000_000), Some(40_000_000_000)));
    let [lease] = &addresses.leases[..] else { panic!("one address") };
    assert_eq!((lease.ip.as_str(), lease.prefix_bits), ("2001:db8::5", None));
    assert_eq!((lease.preferred_lifetime_ns, lease.valid_lifetime_ns), (60_000_000_000, 120_000_000_000));
    assert_eq!((lease.status_name.as_str(), lease.status_message.as_str()), ("success", "ok"));
    assert_eq!((prefixes.type_name.as_str(), prefixes.status_name.as_str()), ("ia_pd", "no_prefix_avail"));
    assert_eq!(
        (prefixes.leases[0].prefix_bits, prefixes.leases[0].valid_lifetime_ns),
        (Some(56), 4_294_967_295_000_000_000)
    );
    assert_eq!(
        (&dhcp.dns_servers[..], &dhcp.domain_search[..]),
        (&["2001:db8::5".to_owned()][..], &["example".to_owned(), "lan".to_owned()][..])
    );
    assert_eq!(dhcp.ntp_servers, ["2001:db8::5", "ntp.net"]);
    assert_eq!(
        (dhcp.preference, dhcp.status_name.as_str(), dhcp.status_message.as_str()),
        (Some(255), "use_multicast", "use multicast")
    );
    assert_eq!(records.weirds(), Vec::<String>::new());
}

#[test]
fn of_a_relayed_message_the_innermost_is_shown() {
    let inner = relay(12, 0, &[option(18, b"eth0"), option(9, &solicit())]);
    let outer = relay(12, 1, &[option(9, &inner), option(37, b"\0\0\0\x09port 7")]);
    let (dhcp, weirds) = decode_one(&outer);
    assert_eq!((dhcp.message_type_name.as_str(), dhcp.transaction_id), ("solicit", Some(0x12_3456)));
    let [outer, inner] = &dhcp.relays[..] else { panic!("two relay messages") };
    assert_eq!((outer.message_type_name.as_str(), outer.hop_count, inner.hop_count), ("relay_forward", 1, 0));
    assert_eq!(
        (outer.link_ip.as_str(), outer.peer_ip.as_str()),
        ("2001:db8::5", "fefe:fefe:fefe:fefe:fefe:fefe:fefe:fefe")
    );
    assert_eq!((outer.remote_id_enterprise_number, outer.remote_id.as_str()), (Some(9), "port 7"));
    assert_eq!((inner.interface_id.as_str(), inner.options.len(), dhcp.options.len()), ("eth0", 1, 6));
    assert_eq!(weirds, Vec::<String>::new());
}

#[test]
fn relay_messages_are_bounded() {
    let mut bytes = solicit();
    for hop in 0..20 {
        bytes = relay(12, hop, &[option(9, &bytes)]);
    }
    let (dhcp, weirds) = decode_one(&bytes);
    assert_eq!((dhcp.relays.len(), dhcp.truncated, dhcp.transaction_id), (RELAYS_MAX, true, None));
    assert_eq!(weirds, ["dhcpv6 Limit: more than 16 relay messages in one another"]);
}

#[test]
fn a_wrong_option_costs_its_own_field_only() {
    let (dhcp, weirds) = decode_one(&message(1, &[option(8, &[1]), option(7, &[9])]));
    assert_eq!((dhcp.elapsed_ns, dhcp.preference, dhcp.options.len(), dhcp.truncated), (None, Some(9), 2, false));
    assert_eq!(weirds, ["dhcpv6 Truncated: ends before its fields do"]);
}

#[test]
fn a_message_cut_anywhere_keeps_what_was_read() {
    let plain = solicit();
    let relayed = relay(12, 0, &[option(18, b"eth0"), option(9, &plain)]);
    for length in HEADER_BYTES..plain.len() {
        let (dhcp, weirds) = decode_one(&plain[..length]);
        assert_eq!(dhcp.truncated, weirds.len() == 1, "{length} bytes");
    }
    for length in RELAY_HEADER_BYTES..relayed.len() {
        let (dhcp, _) = decode_one(&relayed[..length]);
        let transaction_bytes = RELAY_HEADER_BYTES + 8 + 4 + HEADER_BYTES;
        assert_eq!(dhcp.transaction_id.is_some(), length >= transaction_bytes, "{length} bytes");
    }
}

#[test]
fn options_are_bounded() {
    let (dhcp, weirds) = decode_one(&message(1, &vec![option(14, &[]); LIST_MAX + 1]));
    assert_eq!((dhcp.options.len(), dhcp.rapid_commit), (LIST_MAX, true));
    assert_eq!(weirds, ["dhcpv6 Limit: more than 100 options"]);
    let requests: Vec<u8> = (0..=100u16).flat_map(u16::to_be_bytes).collect();
    let (dhcp, weirds) = decode_one(&message(1, &[option(6, &requests)]));
    assert_eq!(dhcp.option_request_list.len(), LIST_MAX);
    assert_eq!(weirds, ["dhcpv6 Limit: more than 100 requested options"]);
}
