use weir_contract::record;

use crate::testing;

const TARGET: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];

fn decode(message: &[u8]) -> testing::Records {
    testing::decode(testing::ETHERNET, &[testing::ipv6(58, message)])
}

#[test]
fn a_solicitation_and_its_advertisement_are_one_connection() {
    let request = [&[135, 0, 0, 0, 0, 0, 0, 0][..], &TARGET, &[1, 1, 2, 0, 0, 0, 0, 1]].concat();
    // Solicited, override.
    let reply = [&[136, 0, 0, 0, 0x60, 0, 0, 0][..], &TARGET, &[2, 1, 2, 0, 0, 0, 0, 9]].concat();
    let mut reply = testing::ipv6(58, &reply);
    (reply[37], reply[53]) = (2, 1);
    let records = testing::decode(testing::ETHERNET, &[testing::ipv6(58, &request), reply]);
    let solicitation = &records.of::<record::Icmpv6NeighborSolicitation>()[0];
    assert_eq!(
        (solicitation.target.as_str(), solicitation.link_layer_address.as_str()),
        ("fe80::9", "02:00:00:00:00:01")
    );
    assert_eq!(
        (solicitation.duplicate_detection, solicitation.options[0].name.as_str()),
        (false, "source-link-layer-address")
    );
    let advertisement = &records.of::<record::Icmpv6NeighborAdvertisement>()[0];
    assert_eq!((advertisement.router, advertisement.solicited, advertisement.r#override), (false, true, true));
    assert_eq!(advertisement.link_layer_address, "02:00:00:00:00:09");
    let [connection] = &records.of::<record::Connection>()[..] else { panic!("one connection") };
    assert_eq!((connection.orig_packets, connection.resp_packets), (1, 1));
    assert_eq!(solicitation.meta.as_ref().unwrap().uid, advertisement.meta.as_ref().unwrap().uid);
    assert_eq!(records.of::<record::Icmpv6>().len(), 2);
    assert_eq!(records.weirds(), Vec::<String>::new());
}

#[test]
fn an_advertisement_of_a_router_configures_hosts() {
    // Hop limit 64; managed, other, high preference; 1800 s; reachable 1 ms; retransmit 2 ms.
    let mut message = vec![134, 0, 0, 0, 64, 0xc8, 7, 8, 0, 0, 0, 1, 0, 0, 0, 2];
    message.extend([1, 1, 2, 0, 0, 0, 0, 1]); // source link-layer address
    message.extend([5, 1, 0, 0, 0, 0, 5, 0xdc]); // MTU 1500
    message.extend([3, 4, 64, 0xc0, 0, 0, 0, 60, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]); // a /64, on link, autonomous
    message.extend(TARGET);
    message.extend([24, 2, 48, 0x18, 0, 0, 0, 30, 0x20, 1, 0xd, 0xb8, 0, 7, 0, 0]); // 2001:db8:7::/48, low
    message.extend([25, 3, 0, 0, 0, 0, 0, 10]); // one DNS server
    message.extend(TARGET);
    message.extend([31, 3, 0, 0, 0, 0, 0, 20]); // one domain
    message.extend(b"\x03Lan\x07example\0\0\0\0");
    let records = decode(&message);
    let router = &records.of::<record::Icmpv6RouterAdvertisement>()[0];
    assert_eq!((router.hop_limit, router.managed, router.other_configuration), (64, true, true));
    assert_eq!((router.preference.as_str(), router.router_lifetime_ns), ("high", 1_800_000_000_000));
    assert_eq!((router.reachable_time_ns, router.retransmit_timer_ns), (1_000_000, 2_000_000));
    assert_eq!((router.link_layer_address.as_str(), router.mtu_bytes), ("02:00:00:00:00:01", Some(1500)));
    let prefix = &router.prefixes[0];
    assert_eq!(
        (prefix.prefix.as_str(), prefix.prefix_bits, prefix.on_link, prefix.autonomous),
        ("fe80::9", 64, true, true)
    );
    assert_eq!((prefix.valid_lifetime_ns, prefix.preferred_lifetime_ns), (Some(60_000_000_000), None));
    let route = &router.routes[0];
    assert_eq!((route.prefix.as_str(), route.prefix_bits, route.preference.as_str()), ("2001:db8:7::", 48, "low"));
    assert_eq!(router.dns_servers, ["fe80::9"]);
    assert_eq!(router.search_domains, ["lan.example"]);
    assert_eq!(router.search_domains_lifetime_ns, Some(20_000_000_000));
    assert_eq!(router.options.len(), 6);
    assert_eq!(records.weirds(), Vec::<String>::new());
}

#[test]
fn a_redirect_names_target_and_destination() {
    let message = [&[137, 0, 0, 0, 0, 0, 0, 0][..], &TARGET, &TARGET, &[2, 1, 2, 0, 0, 0, 0, 9]].concat();
    let records = decode(&message);
    let redirect = &records.of::<record::Icmpv6Redirect>()[0];
    assert_eq!((redirect.target.as_str(), redirect.destination.as_str()), ("fe80::9", "fe80::9"));
    assert_eq!(redirect.link_layer_address, "02:00:00:00:00:09");
}

#[test]
fn a_solicitation_from_nobody_detects_duplicates() {
    let message = [&[135, 0, 0, 0, 0, 0, 0, 0][..], &TARGET].concat();
    let mut frame = testing::ipv6(58, &message);
    frame[22..38].fill(0);
    let records = testing::decode(testing::ETHERNET, &[frame]);
    assert!(records.of::<record::Icmpv6NeighborSolicitation>()[0].duplicate_detection);
}

#[test]
fn an_option_of_length_0_ends_the_list() {
    let message = [&[133, 0, 0, 0, 0, 0, 0, 0][..], &[1, 1, 2, 0, 0, 0, 0, 1], &[3, 0, 0, 0, 0, 0, 0, 0]].concat();
    let records = decode(&message);
    assert_eq!(records.of::<record::Icmpv6RouterSolicitation>()[0].options.len(), 1);
    assert_eq!(records.weirds(), ["ndp BadLength: option length is 0"]);
}

#[test]
fn lists_end_at_100() {
    let mut message = vec![134, 0, 0, 0, 64, 0, 7, 8, 0, 0, 0, 1, 0, 0, 0, 2];
    // 201 servers in one option of 403 words is more than its length can say: two of 127 words each.
    for _ in 0..2 {
        message.extend([25, 255, 0, 0, 0, 0, 0, 10]);
        message.extend(TARGET.repeat(127));
    }
    message.extend([200, 1, 0, 0, 0, 0, 0, 0].repeat(120));
    let records = decode(&message);
    let router = &records.of::<record::Icmpv6RouterAdvertisement>()[0];
    assert_eq!((router.dns_servers.len(), router.options.len()), (100, 100));
    assert!(records.weirds().iter().all(|weird| weird.starts_with("ndp Limit")));
}

#[test]
fn every_cut_is_survived() {
    let mut message = vec![134, 0, 0, 0, 64, 0xc8, 7, 8, 0, 0, 0, 1, 0, 0, 0, 2];
    message.extend([3, 4, 64, 0xc0, 0, 0, 0, 60, 0, 0, 0, 60, 0, 0, 0, 0]);
    message.extend(TARGET);
    message.extend([31, 3, 0, 0, 0, 0, 0, 20]);
    message.extend(b"\x03lan\x07example\0\0\0\0");
    for length in 8..message.len() {
        let records = decode(&message[..length]);
        assert_eq!(records.of::<record::Icmpv6RouterAdvertisement>().len(), usize::from(length >= 16));
        let is_whole = matches!(length, 16 | 48);
        assert_eq!(records.weirds().is_empty(), is_whole, "{length}");
    }
}
