use super::*;
use crate::{
    limits::{LIST_MAX, TEXT_MAX},
    testing::{self, Records, udp},
};

fn decode(message: &[u8]) -> Records {
    testing::decode(testing::ETHERNET, &[udp(40000, 514, message)])
}

/// The one record that a well-formed message gives.
fn read(message: &[u8]) -> record::Syslog {
    let records = decode(message);
    assert_eq!(records.weirds(), Vec::<String>::new());
    records.of().remove(0)
}

/// Host, program, process, type and text of a message.
fn parts(message: &str) -> [String; 5] {
    let record::Syslog { host_name, app_name, process_id, message_id, message, .. } = read(message.as_bytes());
    [host_name, app_name, process_id, message_id, message]
}

/// RFC 5424 §6.5.
#[test]
fn rfc_5424_example_1() {
    let text = "<34>1 2003-10-11T22:14:15.003Z mymachine.example.com su - ID47 - \u{feff}'su root' failed for lonvick on /dev/pts/8";
    let syslog = read(text.as_bytes());
    assert_eq!((syslog.priority, syslog.version), (Some(34), Some(1)));
    assert_eq!((syslog.facility, syslog.facility_name.as_str()), (Some(4), "auth"));
    assert_eq!((syslog.severity, syslog.severity_name.as_str()), (Some(2), "crit"));
    assert!(syslog.security_facility);
    assert_eq!(syslog.timestamp, "2003-10-11T22:14:15.003Z");
    assert_eq!(syslog.event_ts_ns, Some(1_065_910_455_003_000_000));
    assert_eq!(
        [&syslog.host_name, &syslog.app_name, &syslog.process_id, &syslog.message_id, &syslog.message],
        ["mymachine.example.com", "su", "", "ID47", "'su root' failed for lonvick on /dev/pts/8"]
    );
    assert!(syslog.structured_data.is_empty() && !syslog.truncated);
}

#[test]
fn rfc_5424_example_2() {
    let text = "<165>1 2003-08-24T05:14:15.000003-07:00 192.0.2.1 myproc 8710 - - %% It's time to make the do-nuts.";
    let syslog = read(text.as_bytes());
    assert_eq!((syslog.facility_name.as_str(), syslog.severity_name.as_str()), ("local4", "notice"));
    assert_eq!(syslog.event_ts_ns, Some(1_061_727_255_000_003_000));
    assert_eq!(parts(text), ["192.0.2.1", "myproc", "8710", "", "%% It's time to make the do-nuts."]);
}

#[test]
fn rfc_5424_example_3_and_4() {
    let element = r#"[exampleSDID@32473 iut="3" eventSource="Application" eventID="1011"]"#;
    let priority = r#"[examplePriority@32473 class="high"]"#;
    let header = "<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 ";
    let syslog = read(format!("{header}{element} \u{feff}An application event log entry...").as_bytes());
    assert_eq!(syslog.message, "An application event log entry...");
    let [element_read] = &syslog.structured_data[..] else { panic!("one element") };
    let parameters: Vec<_> =
        element_read.parameters.iter().map(|each| (each.name.as_str(), each.value.as_str())).collect();
    assert_eq!(element_read.id, "exampleSDID@32473");
    assert_eq!(parameters, [("iut", "3"), ("eventSource", "Application"), ("eventID", "1011")]);

    let syslog = read(format!("{header}{element}{priority}").as_bytes());
    let ids: Vec<_> = syslog.structured_data.iter().map(|each| each.id.as_str()).collect();
    assert_eq!((ids, syslog.message.as_str()), (vec!["exampleSDID@32473", "examplePriority@32473"], ""));
}

#[test]
fn escapes_in_values_are_resolved() {
    let syslog = read(br#"<165>1 - - - - - [a b="x\"y\]z\n\\"] text"#);
    // A backslash of the value is itself written as \x5c.
    assert_eq!(syslog.structured_data[0].parameters[0].value, r#"x"y]z\x5cn\x5c"#);
    assert_eq!(syslog.message, "text");
}

#[test]
fn what_is_no_structured_data_is_left_to_the_message() {
    let records = decode(br#"<165>1 - host app - - [a b="c"][broken d=e] text"#);
    let [syslog] = &records.of::<record::Syslog>()[..] else { panic!("one message") };
    assert_eq!((syslog.structured_data.len(), syslog.message.as_str()), (1, "[broken d=e] text"));
    assert_eq!(records.weirds(), ["syslog BadValue: parameter without a value in quotes"]);
    let records = decode(b"<165>1 - host app - - text without structured data");
    assert_eq!(records.of::<record::Syslog>()[0].message, "text without structured data");
}

/// RFC 3164 §5.4.
#[test]
fn rfc_3164_examples() {
    let syslog = read(b"<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick on /dev/pts/8");
    assert_eq!((syslog.timestamp.as_str(), syslog.event_ts_ns, syslog.version), ("Oct 11 22:14:15", None, None));
    assert_eq!(
        parts("<34>Oct 11 22:14:15 mymachine su: 'su root' failed for lonvick on /dev/pts/8"),
        ["mymachine", "su", "", "", "'su root' failed for lonvick on /dev/pts/8"]
    );
    assert_eq!(parts("Use the BFG!"), ["", "", "", "", "Use the BFG!"]);
    assert_eq!(parts("<13>Feb  5 17:32:18 10.0.0.99 Use the BFG!"), ["10.0.0.99", "", "", "", "Use the BFG!"]);
    assert_eq!(
        parts("<165>Aug 24 05:34:00 CST 1987 mymachine myproc[10]: %% It's time to make the do-nuts.  %%"),
        ["mymachine", "myproc", "10", "", "%% It's time to make the do-nuts.  %%"]
    );
    assert_eq!(read(b"<0>1990 Oct 22 10:52:01 TZ-6 scapegoat").timestamp, "1990 Oct 22 10:52:01");
}

#[test]
fn habits_of_devices() {
    let cisco = "<189>29: gw-1: *Mar  1 2021 18:48:50.483 UTC: %SYS-5-CONFIG_I: Configured from console";
    assert_eq!(parts(cisco), ["gw-1", "", "", "SYS-5-CONFIG_I", "Configured from console"]);
    let syslog = read(cisco.as_bytes());
    assert_eq!((syslog.sequence, syslog.timestamp.as_str()), (Some(29), "*Mar  1 2021 18:48:50.483 UTC"));
    assert_eq!(syslog.event_ts_ns, Some(1_614_624_530_483_000_000));
    let claims = [
        (
            "<191>17888: Mar 26 16:38:02.801: %DOT11-7-AUTH_FAILED: Station",
            ["", "", "", "DOT11-7-AUTH_FAILED", "Station"],
        ),
        ("<166>%PIX-6-305011: Built translation ", ["", "", "", "PIX-6-305011", "Built translation "]),
        ("<189>7: %SYS-5-RESTART: System restarted --\n", ["", "", "", "SYS-5-RESTART", "System restarted --"]),
        ("<166>Mar 01 2021 10:11:12 fw01 : %ASA-6-302013: Built", ["fw01", "", "", "ASA-6-302013", "Built"]),
        ("<166>Mar 01 2021 10:11:12: %ASA-6-302013: Built", ["", "", "", "ASA-6-302013", "Built"]),
        ("<86>Oct 21 06:55:08 rtr01 sudo:    admin : TTY", ["rtr01", "sudo", "", "", "   admin : TTY"]),
        ("<30>Oct  9 22:33:20 auditd[1787]: exiting.", ["", "auditd", "1787", "", "exiting."]),
        ("<30>dnsmasq-dhcp[12]: DHCPACK(br0)", ["", "dnsmasq-dhcp", "12", "", "DHCPACK(br0)"]),
        ("<13>2013-09-12T19:16:34.457849+04:00 ::1 rsyslog: x", ["::1", "rsyslog", "", "", "x"]),
        ("<134>Feb 14 19:04:54 host CEF:0|A|B", ["host", "", "", "", "CEF:0|A|B"]),
        ("<134>date=2019-05-10 devname=\"a\"", ["", "", "", "", "date=2019-05-10 devname=\"a\""]),
        ("<189>85: R1: <ios-log-msg>", ["R1", "", "", "", "<ios-log-msg>"]),
        ("<189>7: Cisco IOS Software", ["", "", "", "", "Cisco IOS Software"]),
        ("<13>Oct 11 22:14:15 http://example.com", ["", "", "", "", "http://example.com"]),
        ("<134>854 08/20/2013-19:05:23 CONFIG\0", ["", "", "", "", "854 08/20/2013-19:05:23 CONFIG"]),
    ];
    for (message, claim) in claims {
        assert_eq!(parts(message), claim, "{message}");
    }
}

#[test]
fn a_priority_above_191_is_weird() {
    let records = decode(b"<999>text");
    assert_eq!(records.of::<record::Syslog>()[0].priority, Some(999));
    assert_eq!(records.weirds(), ["syslog BadValue: priority is above 191"]);
}

#[test]
fn elsewhere_than_on_port_514_a_date_is_needed() {
    assert_eq!(Syslog::probe(b"<34>1 2003-10-11T22:14:15.003Z a b - - -"), Probe::Yes);
    assert_eq!(Syslog::probe(b"<34>1 - a b - - -"), Probe::Yes);
    assert_eq!(Syslog::probe(b"<34>Oct 11 22:14:15 mymachine su: x"), Probe::Yes);
    assert_eq!(Syslog::probe(b"<34>text"), Probe::Unsure);
    assert_eq!(Syslog::probe(b"text"), Probe::Unsure);
    assert_eq!(Syslog::probe(b"\0\x01text"), Probe::No);
    assert_eq!(Syslog::probe(b"<1234>text\x01"), Probe::No);
}

#[test]
fn a_message_cut_anywhere_is_read_without_fear() {
    let text = br#"<165>1 2003-10-11T22:14:15.003Z my.example.com evntslog 7 ID47 [a@1 b="c"] An entry"#;
    for length in 5..text.len() {
        let [syslog] = &decode(&text[..length]).of::<record::Syslog>()[..] else { panic!("{length} bytes") };
        assert_eq!(syslog.priority, Some(165));
    }
    let cut = decode(&text[..62]);
    assert!(cut.of::<record::Syslog>()[0].truncated);
    assert_eq!(cut.weirds(), ["syslog Truncated: header without structured data"]);
}

#[test]
fn lists_and_texts_are_bounded() {
    let mut message = b"<165>1 - - - - - ".to_vec();
    message.extend(b"[a]".repeat(LIST_MAX + 1));
    let records = decode(&message);
    assert_eq!(records.of::<record::Syslog>()[0].structured_data.len(), LIST_MAX);
    assert_eq!(records.weirds(), ["syslog Limit: more than 100 elements of structured data"]);
    let mut message = b"<165>".to_vec();
    message.resize(message.len() + TEXT_MAX + 1, b'x');
    let records = decode(&message);
    let [syslog] = &records.of::<record::Syslog>()[..] else { panic!("one message") };
    assert_eq!((syslog.message.len(), syslog.truncated), (TEXT_MAX, true));
}
