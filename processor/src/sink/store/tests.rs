//! Bad days of a real S3 server, one by one.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use weir_tests::fault_proxy::{Fault, FaultProxy};
use weir_tests::s3::{ACCESS_KEY, BUCKET, REGION, S3 as Server, SECRET_KEY};

use super::credentials::Origin;
use super::*;
use crate::sink::chain;
use crate::sink::encode::tests::{file_of, log};

const KEY: &str = "ntp/landed_date=2026-11-23/landed_hour=14/weir-ntp+0+00000000000000000005.parquet";

fn settings(endpoint: &str, prefix: &str) -> S3Settings {
    S3Settings {
        bucket: BUCKET.into(),
        prefix: prefix.into(),
        region: REGION.into(),
        endpoint: Some(endpoint.into()),
        path_style: true,
        encryption: None,
        timeout: Duration::from_secs(2),
        conditional: true,
    }
}

fn keys(secret_key: &str) -> Origin {
    Origin::Environment { access_key: ACCESS_KEY.into(), secret_key: secret_key.into(), token: None }
}

/// The test server's bucket, below a prefix.
pub fn bucket(endpoint: &str, prefix: &str) -> Box<dyn Store> {
    Box::new(S3::new(settings(endpoint, prefix), keys(SECRET_KEY)).unwrap())
}

fn patient(store: Box<dyn Store>, patience: Patience) -> Patient {
    Patient::new(Arc::from(store), patience, Arc::default()).hasty()
}

/// What the server refuses with these settings.
fn refusal(settings: S3Settings, origin: Origin) -> String {
    let store = S3::new(settings, origin).unwrap();
    match Patient::new(Arc::new(store), Patience::UntilRefused, Arc::default()).hasty().honours_conditions() {
        Err(Stopped::Failed(what)) => what,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn the_first_put_of_a_key_wins_and_tells_of_itself() {
    let server = Server::start();
    let store = bucket(&server.endpoint(), "a/b/");
    let ((body, link), (other, other_link)) = (file_of(&log(), 5..8), file_of(&log(), 5..20));
    assert_eq!(store.head(KEY).unwrap(), Head::Absent);
    assert_eq!(store.put(KEY, &body, &link).unwrap(), Put::Stored);
    assert_eq!(store.put(KEY, &other, &other_link).unwrap(), Put::Taken);
    assert_eq!(store.head(KEY).unwrap(), Head::File { link: Some(link), bytes: body.len() as u64 });
    assert_eq!(server.keys(), [format!("a/b/{KEY}")]);
    assert_eq!(server.read(&format!("a/b/{KEY}")), body);
    assert_eq!(store.list("ntp/", "").unwrap(), (vec![KEY.to_owned()], false));
    assert_eq!(store.list("ntp/", KEY).unwrap(), (Vec::new(), false));
    assert_eq!(store.list("dns/", "").unwrap(), (Vec::new(), false));
    assert!(patient(store, Patience::Minute).honours_conditions().unwrap());
}

#[test]
fn pages_of_a_long_list_are_turned() {
    let server = Server::start();
    let store = bucket(&server.endpoint(), "");
    let source = Source { record_type: weir_contract::RecordType::Ntp, topic: "weir-ntp".into(), partition: 0 };
    let (body, link) = file_of(&log(), 0..1);
    // Past the server, which takes its time for each.
    let folder = server.bucket().join("ntp/landed_date=1970-01-01/landed_hour=00");
    std::fs::create_dir_all(&folder).unwrap();
    for first in 0..1500 {
        std::fs::write(folder.join(format!("weir-ntp+1+{first:020}.parquet")), b"").unwrap();
    }
    store.put(&super::super::link::key(&source, Hour::of(0), 0), &body, &link).unwrap();
    let last = "ntp/landed_date=1970-01-01/landed_hour=00/weir-ntp+1+00000000000000001499.parquet";
    let (page, more) = store.list("ntp/", "").unwrap();
    assert_eq!((page.len(), more), (1000, true));
    let (rest, more) = store.list("ntp/", &page[999]).unwrap();
    assert_eq!((rest.len(), more, rest[500].as_str()), (501, false, last));
    let tail = tail(&patient(store, Patience::Minute), &source, Hour::of(0)).unwrap().unwrap();
    assert_eq!((tail.first, tail.link), (0, Some(link)));
}

#[test]
fn every_fault_of_a_put_ends_with_the_file_stored_once() {
    let server = Server::start();
    let proxy = FaultProxy::start(server.port());
    let (body, link) = file_of(&log(), 5..2000);
    for fault in Fault::ALL {
        let prefix = format!("{fault:?}/");
        let store = patient(bucket(&proxy.endpoint(), &prefix), Patience::Endless);
        proxy.fail_next("PUT", fault);
        let put = store.put(KEY, &body, &link).unwrap();
        let ours = match &put {
            chain::Put::Stored => true,
            chain::Put::Taken(found) => *found == Some(link.clone()),
        };
        assert!(ours, "{fault:?}: {put:?}");
        assert_eq!(server.read(&format!("{prefix}{KEY}")), body, "{fault:?}");
        assert_eq!(proxy.counts().get(&fault), Some(&1), "{fault:?}");
    }
}

#[test]
fn every_fault_of_a_look_or_a_list_is_asked_again() {
    let server = Server::start();
    let proxy = FaultProxy::start(server.port());
    let (body, link) = file_of(&log(), 5..8);
    let store = patient(bucket(&proxy.endpoint(), ""), Patience::Endless);
    store.put(KEY, &body, &link).unwrap();
    for fault in Fault::ALL {
        proxy.fail_next("GET", fault);
        assert_eq!(store.list("ntp/", "").unwrap().0, [KEY], "{fault:?}");
        proxy.fail_next("HEAD", fault);
        assert_eq!(store.head_existing(KEY).unwrap(), Some(link.clone()), "{fault:?}");
    }
}

#[test]
fn an_outage_is_waited_out() {
    let server = Server::start();
    let proxy = FaultProxy::start(server.port());
    let store = Patient::new(Arc::from(bucket(&proxy.endpoint(), "")), Patience::Endless, Arc::default());
    let (body, link) = file_of(&log(), 5..8);
    proxy.fail_all_for(Duration::from_secs(3));
    let begun = Instant::now();
    assert!(matches!(store.put(KEY, &body, &link).unwrap(), chain::Put::Stored));
    assert!(begun.elapsed() > Duration::from_secs(3));
}

#[test]
fn a_stop_does_not_wait_for_an_outage() {
    let stop = Arc::new(AtomicBool::new(false));
    let store = Patient::new(Arc::from(bucket("http://127.0.0.1:9", "")), Patience::Endless, stop.clone());
    let asked = thread::spawn(move || store.head(KEY));
    thread::sleep(Duration::from_millis(500));
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(matches!(asked.join().unwrap(), Err(Stopped::Asked)));
}

#[test]
fn a_wrong_bucket_is_named() {
    let server = Server::start();
    let wrong = S3Settings { bucket: "no-such-bucket".into(), ..settings(&server.endpoint(), "") };
    let what = refusal(wrong, keys(SECRET_KEY));
    assert!(what.contains("404 NoSuchBucket") && what.contains("no bucket `no-such-bucket`"), "{what}");
}

#[test]
fn a_wrong_secret_is_told_and_not_shown() {
    let server = Server::start();
    let what = refusal(settings(&server.endpoint(), ""), keys("not-the-secret"));
    assert!(what.contains("SignatureDoesNotMatch") && what.contains("secret is wrong"), "{what}");
    assert!(!what.contains("not-the-secret"), "{what}");
}

#[test]
fn a_missing_credential_is_told() {
    let server = Server::start();
    let origin = Origin::File { path: "/nowhere/credentials".into(), profile: "default".into() };
    let what = refusal(settings(&server.endpoint(), ""), origin);
    assert!(what.contains("no credentials") && what.contains("/nowhere/credentials"), "{what}");
}

#[test]
fn credentials_that_rotate_are_taken_anew_when_the_store_refuses_the_old() {
    let server = Server::start();
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("credentials");
    let write = |secret: &str| {
        std::fs::write(&path, format!("[default]\naws_access_key_id={ACCESS_KEY}\naws_secret_access_key={secret}\n"))
            .unwrap();
    };
    write("expired");
    let origin = Origin::File { path: path.clone(), profile: "default".into() };
    let store = S3::new(settings(&server.endpoint(), ""), origin).unwrap();
    let store = Patient::new(Arc::new(store), Patience::Endless, Arc::default()).hasty();
    let (body, link) = file_of(&log(), 5..8);
    thread::scope(|scope| {
        let put = scope.spawn(|| store.put(KEY, &body, &link).unwrap());
        while !store.is_refused() {
            assert!(!put.is_finished());
            thread::yield_now();
        }
        write(SECRET_KEY);
        assert!(matches!(put.join().unwrap(), chain::Put::Stored));
    });
    assert!(!store.is_refused());
}

#[test]
fn a_store_that_may_overwrite_is_looked_at_before_each_put() {
    let server = Server::start();
    let careless = S3Settings { conditional: false, ..settings(&server.endpoint(), "") };
    let store = S3::new(careless, keys(SECRET_KEY)).unwrap();
    let ((body, link), (other, other_link)) = (file_of(&log(), 5..8), file_of(&log(), 5..20));
    assert_eq!(store.put(KEY, &body, &link).unwrap(), Put::Stored);
    assert_eq!(store.put(KEY, &other, &other_link).unwrap(), Put::Taken);
    assert_eq!(server.read(KEY), body);
}
