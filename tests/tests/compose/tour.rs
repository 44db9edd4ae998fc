//! The tour of the README: all services run, its commands show data, so does every query of the dashboards, and no alert
//! fires.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use weir_tests::namespace::ip;
use weir_tests::process::{Process, Scratch, wait_until};

use crate::site::Site;

/// Files are put after 20 s; the rest is patience with a machine that is busy.
const LIMIT: Duration = Duration::from_secs(240);

/// A pair of interfaces of this machine; what goes into one comes out of the other.
struct Pair(String);

impl Pair {
    /// None where the test may not.
    fn new() -> Option<Self> {
        let pair = Self(format!("wt{}", std::process::id()));
        let made = ip(&format!("link add {0}a type veth peer name {0}b", pair.0))
            && ip(&format!("link set {}a up", pair.0))
            && ip(&format!("link set {}b up", pair.0));
        made.then_some(pair)
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        ip(&format!("link del {}a", self.0));
    }
}

/// The queries of all dashboards, with where they stand, and the variables filled in.
fn queries() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../helm/weir/files/dashboards");
    let mut queries = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let query = target["expr"].as_str().unwrap();
                let query = query.replace("$__rate_interval", "1m").replace("$instance", ".+");
                assert!(!query.contains('$'), "the test doesn't know a variable of {query}");
                let place = format!("{}, {}", path.file_name().unwrap().display(), panel["title"]);
                queries.push((place, query));
            }
        }
    }
    queries
}

/// The answer of Prometheus' interface.
fn ask(url: &str, query: Option<&str>) -> Value {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--get", url]);
    if let Some(query) = query {
        curl.args(["--data-urlencode", &format!("query={query}")]);
    }
    let output = curl.output().expect("`make test` installs curl");
    let mut answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    assert_eq!(answer["status"], "success", "{url} {query:?}: {answer}");
    answer["data"].take()
}

/// Whether an answer has a number.
fn has_data(answer: &Value) -> bool {
    let values = answer["result"].as_array().unwrap().iter().map(|sample| sample["value"][1].as_str().unwrap());
    values.map(|value| value.parse::<f64>().unwrap()).any(f64::is_finite)
}

/// Whether everybody may read all files of a folder, of which there are some, and of those below it.
fn is_readable_by_all(folder: &Path) -> bool {
    let mut entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).peekable();
    let readable = |path: &Path| path.metadata().unwrap().mode() & 0o444 == 0o444;
    entries.peek().is_some() && entries.all(|path| readable(&path) && (path.is_file() || is_readable_by_all(&path)))
}

/// Lines of the README's section that are run in it.
fn commands() -> Vec<String> {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let section = readme.split("\n## ").find(|section| section.starts_with("One host\n")).unwrap();
    let block = section.split("```").nth(1).unwrap();
    block
        .strip_prefix("sh\n")
        .unwrap()
        .lines()
        .map(|line| line.split("  #").next().unwrap().trim().to_owned())
        .collect()
}

/// The words of a command line that has single quotes at most.
fn words(line: &str) -> Vec<&str> {
    let parts = line.split('\'').enumerate();
    parts
        .flat_map(|(number, part)| if number % 2 == 1 { vec![part] } else { part.split_whitespace().collect() })
        .collect()
}

#[test]
fn the_tour_of_the_readme_gives_data_and_no_alert() {
    let pair = Pair::new();
    let captured = pair.as_ref().map_or_else(|| "none".to_owned(), |pair| format!("{}b", pair.0));
    let mut site = Site::new(&captured);
    site.start_kafka();
    site.start("s3");
    site.run("topics", &[]);
    for service in ["processor", "sink", "replay", "prometheus"] {
        site.start(service);
    }
    let logs = Scratch::new("tour");
    let traffic = pair.as_ref().map(|pair| {
        site.start("live");
        let mut tcpreplay = Command::new("tcpreplay");
        tcpreplay.args(["--quiet", "--loop=0", "--pps=100", &format!("--intf1={}a", pair.0)]);
        tcpreplay.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/dns-types.pcap"));
        Process::start(tcpreplay, &logs.path().join("tcpreplay.log"))
    });
    if traffic.is_none() {
        eprintln!("skipped: queries of captured interfaces, since making an interface takes root and the program `ip`");
    }

    // Each query must give something at some time: nothing is there at once.
    let query_url = site.here("http://127.0.0.1:9090/api/v1/query");
    let mut left = queries();
    left.retain(|(_, query)| traffic.is_some() || !query.contains("weir_agent_capture_"));
    assert!(left.len() > 50, "the dashboards are not where they were");
    let all = wait_until(LIMIT, || {
        left.retain(|(_, query)| !has_data(&ask(&query_url, Some(query))));
        std::thread::sleep(Duration::from_secs(1));
        left.is_empty()
    });
    assert!(all, "no data: {left:#?}\nsink:\n{}", site.log("sink"));

    let mut shown = 0;
    for line in commands() {
        let words = words(&line);
        let output = match *words {
            ["docker", "compose", "--file", "compose/compose.yaml", "run", "--rm", service, ref arguments @ ..] => {
                site.run(service, arguments)
            }
            ["curl", ref arguments @ ..] => {
                let arguments: Vec<_> = arguments.iter().map(|argument| site.here(argument)).collect();
                let output = Command::new("curl").args(arguments).output().unwrap();
                assert!(output.status.success(), "{line}");
                String::from_utf8(output.stdout).unwrap()
            }
            // What the test has done by itself: the key, and all services.
            ["compose/secrets.sh"] | ["docker", "compose", .., "up", "--detach", "--wait"] => continue,
            _ => panic!("the test can't do {line}"),
        };
        assert!(output.len() > 100, "{line} shows only:\n{output}");
        shown += 1;
    }
    assert_eq!(shown, 3);

    assert!(is_readable_by_all(&site.lake()), "the user of the host can't read the lake");

    let url = site.here("http://127.0.0.1:9090/api/v1");
    let rules = ask(&format!("{url}/rules"), None);
    let rules: Vec<_> =
        rules["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
    assert!(rules.len() > 10 && rules.iter().all(|rule| rule["health"] == "ok"), "{rules:#?}");
    // One may be pending as long as something has just begun.
    let active = || ask(&format!("{url}/alerts"), None)["alerts"].as_array().unwrap().clone();
    assert!(wait_until(LIMIT, || active().is_empty()), "{:#?}", active());

    drop(traffic);
    assert_eq!(site.stop(), Vec::<String>::new());
}
