//! How the store is reached, and whether it believes who asks.

use std::path::Path;
use std::process::Command;

use weir_tests::http;
use weir_tests::process::{free_port, wait_until};
use weir_tests::s3::S3;
use weir_tests::tls::Authority;

use crate::kit::{LIMIT, Lab, Writer, assert_exact};

/// A name that nobody resolves: through a proxy nobody has to.
const DOMAIN: &str = "lake.test";

#[test]
fn a_store_behind_a_proxy_with_an_authority_of_ones_own_has_the_bucket_in_the_host_name() {
    let authority = Authority::new();
    let mut lab = Lab::with_store(S3::start_tls(&authority, DOMAIN), 1);
    lab.environment = vec![
        ("WEIR_S3_ENDPOINT", format!("https://{DOMAIN}:{}", lab.s3.port())),
        ("WEIR_S3_PATH_STYLE", "false".into()),
        ("HTTPS_PROXY", lab.proxy.endpoint()),
    ];
    let mut writer = Writer::new(&lab, 1);
    writer.write(100);
    let mut stranger = lab.sink(&[]);
    stranger.write_within(LIMIT, "UnknownIssuer");
    assert!(stranger.log().contains("SSL_CERT_FILE"), "{}", stranger.log());
    stranger.stop_within(LIMIT);
    lab.environment.push(("SSL_CERT_FILE", authority.certificate().display().to_string()));
    let mut sink = lab.sink(&[]);
    lab.wait_for(100, &[&sink]);
    assert!(sink.stop_within(LIMIT).success(), "{}", sink.log());
    assert_exact(&lab, 100);
}

/// The server doesn't encrypt, and checks that what it is asked for is what was signed.
#[test]
fn encryption_by_the_store_is_asked_for_with_each_file() {
    let mut lab = Lab::start(1);
    Writer::new(&lab, 1).write(10);
    let mut sink = lab.sink(&["--s3-encryption", "kms", "--s3-kms-key", "arn:aws:kms:us-east-1:1:key/lake"]);
    lab.wait_for(10, &[&sink]);
    assert!(sink.stop_within(LIMIT).success(), "{}", sink.log());
    let puts = lab.proxy.log().iter().filter(|line| line.starts_with("PUT ")).count();
    assert!(puts >= 2, "{:?}", lab.proxy.log());
    assert_eq!(lab.proxy.values("x-amz-server-side-encryption"), vec!["aws:kms"; puts]);
    let keys = lab.proxy.values("x-amz-server-side-encryption-aws-kms-key-id");
    assert_eq!(keys, vec!["arn:aws:kms:us-east-1:1:key/lake"; puts]);
    assert_exact(&lab, 10);
}

/// Variables that make a program take the time from a file, as an offset to the right one. None where `faketime` isn't
/// installed.
fn clock(file: &Path) -> Option<Vec<(&'static str, String)>> {
    let library = Command::new("faketime").args(["-m", "-f", "+0", "printenv", "LD_PRELOAD"]).output().ok()?;
    Some(vec![
        ("LD_PRELOAD", String::from_utf8(library.stdout).unwrap().trim().to_owned()),
        ("FAKETIME_TIMESTAMP_FILE", file.display().to_string()),
        ("FAKETIME_NO_CACHE", "1".into()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
    ])
}

#[test]
fn a_clock_that_goes_wrong_stops_all_until_it_is_right_again() {
    let mut lab = Lab::start(1);
    let clock_file = lab.home.path().join("clock");
    let set = |offset: &str| std::fs::write(&clock_file, offset).unwrap();
    let Some(clock) = clock(&clock_file) else {
        println!("skipped: there is no program `faketime`");
        return;
    };
    lab.environment = clock;
    set("+2h");
    let mut late = lab.sink(&[]);
    assert_eq!(late.end_within(LIMIT).code(), Some(1), "{}", late.log());
    assert!(late.log().contains("RequestTimeTooSkewed") && late.log().contains("the clock of this host is wrong"));

    set("+0");
    let port = free_port();
    let mut writer = Writer::new(&lab, 1);
    writer.write(50);
    let mut sink = lab.sink(&["--listen", &format!("127.0.0.1:{port}")]);
    lab.wait_for(50, &[&sink]);
    set("-2h");
    writer.write(50);
    sink.write_within(LIMIT, "the clock of this host is wrong");
    assert!(wait_until(LIMIT, || http::metric(port, "weir_sink_store_refused", "") == Some(1.0)), "{}", sink.log());
    assert!(http::metric(port, "weir_sink_store_errors_total", "denied").is_some_and(|count| count > 0.0));
    assert!(wait_until(LIMIT, || http::get(port, "/readyz").unwrap().starts_with("HTTP/1.1 503")), "{}", sink.log());
    assert_eq!(lab.held().len(), 50);
    set("+0");
    lab.wait_for(100, &[&sink]);
    assert!(sink.stop_within(LIMIT).success(), "{}", sink.log());
    assert_exact(&lab, 100);
}
