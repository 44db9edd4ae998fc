use proptest::prelude::*;

use super::*;

/// Turns each address into another one that shows what it was.
struct Plus;

impl Veil for Plus {
    fn ip(&mut self, address: IpAddr) -> Option<IpAddr> {
        Some(match address {
            IpAddr::V4(address) => Ipv4Addr::from(address.octets().map(|octet| octet.wrapping_add(100))).into(),
            IpAddr::V6(address) => Ipv6Addr::from(address.octets().map(|octet| octet.wrapping_add(0x11))).into(),
        })
    }

    fn mac(&mut self, octets: [u8; 6]) -> Option<[u8; 6]> {
        Some(octets.map(|octet| octet.wrapping_add(0x11)))
    }
}

struct Nothing;

impl Veil for Nothing {
    fn ip(&mut self, _: IpAddr) -> Option<IpAddr> {
        None
    }

    fn mac(&mut self, _: [u8; 6]) -> Option<[u8; 6]> {
        None
    }
}

fn veiled(text: &str, veil: &mut impl Veil) -> String {
    let mut out = Vec::new();
    push_veiled(text.as_bytes(), &mut out, veil);
    String::from_utf8(out).unwrap()
}

#[test]
fn ipv4_is_found_wherever_it_stands() {
    for (text, expected) in [
        ("1.2.3.4", "101.102.103.104"),
        ("http://1.2.3.4:8080/a?b=1.2.3.4", "http://101.102.103.104:8080/a?b=101.102.103.104"),
        ("1.2.3.4, 10.0.0.1,5.6.7.8", "101.102.103.104, 110.100.100.101,105.106.107.108"),
        ("IP 1.2.3.4.443 > 5.6.7.8.53: tcp", "IP 101.102.103.104.443 > 105.106.107.108.53: tcp"),
        ("It is 1.2.3.4.", "It is 101.102.103.104."),
        ("host1.2.3.4x", "host101.102.103.104x"),
        ("face1.2.3.4beef", "face101.102.103.104beef"),
        ("001.002.003.004", "101.102.103.104"),
        ("a:b:1.2.3.4:c", "a:b:101.102.103.104:c"),
        (r"\x001.2.3.4\x0a", r"\x00101.102.103.104\x0a"),
        ("v=spf1 ip4:1.2.3.0/24 -all", "v=spf1 ip4:101.102.103.100/24 -all"),
        ("300.1.2.3.4", "300.101.102.103.104"),
    ] {
        assert_eq!(veiled(text, &mut Plus), expected, "{text}");
    }
}

#[test]
fn ipv6_is_found_wherever_it_stands() {
    for (text, expected) in [
        ("::1", "1111:1111:1111:1111:1111:1111:1111:1112"),
        ("[::1]:443", "[1111:1111:1111:1111:1111:1111:1111:1112]:443"),
        ("ipv6:::1.", "ipv6:1111:1111:1111:1111:1111:1111:1111:1112."),
        ("for=\"[::1]\"", "for=\"[1111:1111:1111:1111:1111:1111:1111:1112]\""),
        ("::1%eth0", "1111:1111:1111:1111:1111:1111:1111:1112%eth0"),
        (r"\x0a::1", r"\x0a1111:1111:1111:1111:1111:1111:1111:1112"),
        ("from ::1: refused", "from 1111:1111:1111:1111:1111:1111:1111:1112: refused"),
        ("1:2:3:4:5:6:7:8:443", "1112:1113:1114:1115:1116:1117:1118:1119:443"),
        ("9999:1:2:3:4:5:6:7:8", "aaaa:1112:1113:1114:1115:1116:1117:1118:8"),
    ] {
        let expected = if text.starts_with("1:2") || text.starts_with("9999") {
            // Each octet is moved, the upper ones of groups too.
            let groups = if text.starts_with("1:2") { [1, 2, 3, 4, 5, 6, 7, 8] } else { [0x9999, 1, 2, 3, 4, 5, 6, 7] };
            let moved = Plus.ip(Ipv6Addr::from(groups).into()).unwrap();
            format!("{moved}:{}", text.rsplit(':').next().unwrap())
        } else {
            expected.to_owned()
        };
        assert_eq!(veiled(text, &mut Plus), expected, "{text}");
    }
}

#[test]
fn link_layer_addresses_are_found_with_colons_and_dashes() {
    for (text, expected) in [
        ("00:00:5e:00:53:01", "11:11:6f:11:64:12"),
        ("MAC=00:00:5E:00:53:01;", "MAC=11:11:6f:11:64:12;"),
        ("00-00-5e-00-53-01", "11-11-6f-11-64-12"),
        ("at 00-00-5e-00-53-01.", "at 11-11-6f-11-64-12."),
    ] {
        assert_eq!(veiled(text, &mut Plus), expected, "{text}");
    }
}

#[test]
fn names_of_reverse_lookups_are_turned_round() {
    assert_eq!(veiled("4.3.2.1.in-addr.arpa", &mut Plus), "104.103.102.101.in-addr.arpa");
    assert_eq!(veiled("3.2.1.IN-ADDR.ARPA", &mut Plus), "103.102.101.IN-ADDR.ARPA");
    assert_eq!(veiled("9.4.3.2.1.in-addr.arpa", &mut Plus), "9.104.103.102.101.in-addr.arpa");
    assert_eq!(veiled("0/25.3.2.1.in-addr.arpa", &mut Plus), "0/125.103.102.101.in-addr.arpa");
    assert_eq!(
        veiled("lb._dns-sd._udp.0.3.2.1.in-addr.arpa", &mut Plus),
        "lb._dns-sd._udp.100.103.102.101.in-addr.arpa"
    );
    assert_eq!(veiled("8.b.d.0.1.0.0.2.ip6.arpa", &mut Plus), "9.c.e.1.2.1.1.3.ip6.arpa");
    assert_eq!(veiled("4.3.2.1.in-addr.arpa", &mut Nothing), "in-addr.arpa");
    assert_eq!(veiled("999.3.2.1.in-addr.arpa", &mut Plus), "999.3.2.1.in-addr.arpa");
}

#[test]
fn what_is_no_address_stays() {
    for text in [
        "",
        "example.org",
        "1.3.6.1.2.1.1.1.0",
        "1.2.3",
        "256.1.2.3",
        "2024-01-02T10:20:30.123456Z",
        "12:34:56",
        "std::vector<Foo::Bar>",
        "SHA256:abcdef:0123",
        "01-02-03-04-05-06-07",
        "00:00:5e:00:53",
        r"\x2e\x2e.:-",
        "....",
        "::::",
        ".ip6.arpa",
    ] {
        assert_eq!(veiled(text, &mut Plus), text);
    }
}

#[test]
fn addresses_can_be_left_out() {
    assert_eq!(veiled("a 1.2.3.4 b ::1 c 00:00:5e:00:53:01 d", &mut Nothing), "a  b  c  d");
}

proptest! {
    #[test]
    fn an_address_in_any_text_is_found(before in "[ a-z=(/\\[,\"]{0,9}", address: std::net::Ipv4Addr, after in "[ a-z)/\\],\"]{0,9}") {
        let text = format!("{before}{address}{after}");
        prop_assert_eq!(veiled(&text, &mut Nothing), format!("{before}{after}"));
    }

    #[test]
    fn an_ipv6_address_is_found(before in "([ a-z]{0,9}[ =(/\\[,\"])?", address: std::net::Ipv6Addr, after in "([ )/\\],\"%].{0,5})?") {
        let text = format!("{before}{address}{after}");
        let found = veiled(&text, &mut Nothing);
        prop_assert!(!found.contains(&address.to_string()), "{found}");
    }

    #[test]
    fn all_text_is_taken(text in "[0-9a-fA-F:.\\\\x -]{0,60}|.{0,60}") {
        veiled(&text, &mut Plus);
        veiled(&text, &mut Nothing);
    }
}
