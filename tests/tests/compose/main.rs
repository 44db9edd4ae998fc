//! The Compose file: that it is clean, that each service is bounded, and that what it starts does what the README says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod plugin;
mod site;
mod tour;

use serde_json::Value;

/// The strings of a list.
fn strings(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().map(|value| value.as_str().unwrap()).collect()
}

#[test]
fn every_service_is_pinned_bounded_healthy_and_not_reachable_from_elsewhere() {
    let services = plugin::services("eth0");
    for (name, service) in services.as_object().unwrap() {
        let image = service["image"].as_str().unwrap();
        let tag = image.rsplit_once(':').map(|(_, tag)| tag.trim_start_matches('v'));
        let parts: Vec<_> = tag.unwrap_or_default().split('.').map(str::parse::<u32>).collect();
        assert!(parts.len() == 3 && parts.iter().all(Result::is_ok), "{name}: {image} is no release");
        assert!(service["mem_limit"].is_string(), "{name} has no bound of memory");
        assert_eq!(service["read_only"], true, "{name}: the root can be written to");
        assert_eq!(strings(&service["cap_drop"]), ["ALL"], "{name} has capabilities");
        assert_eq!(strings(&service["security_opt"]), ["no-new-privileges:true"], "{name}");
        let added = strings(&service["cap_add"]);
        assert_eq!(added, if name == "live" { vec!["NET_RAW"] } else { vec![] }, "{name}");
        let ends = matches!(name.as_str(), "topics" | "weir");
        assert!(ends || service["healthcheck"]["test"].is_array(), "{name}: nobody can tell whether it works");
        for port in service["ports"].as_array().into_iter().flatten() {
            assert_eq!(port["host_ip"], "127.0.0.1", "{name} listens beyond this machine");
        }
    }
}

#[test]
fn without_a_key_nothing_starts() {
    let output = plugin::config(&[]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("run compose/secrets.sh"), "{said}");
}

#[test]
fn grafana_finds_what_it_is_told_to_read() {
    let services = plugin::services("eth0");
    let mounts = services["grafana"]["volumes"].as_array().unwrap();
    let source = |target: &str| {
        let mount = mounts.iter().find(|mount| mount["target"] == target).unwrap();
        std::path::PathBuf::from(mount["source"].as_str().unwrap())
    };
    let provisioning = source("/etc/grafana/provisioning");
    let read = |path: &str| std::fs::read_to_string(provisioning.join(path)).unwrap();
    assert!(read("dashboards/weir.yaml").contains("path: /dashboards"));
    assert!(read("datasources/prometheus.yaml").contains("url: http://prometheus:9090"));
    let home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"].as_str().unwrap();
    assert!(source("/dashboards").join(home.strip_prefix("/dashboards/").unwrap()).is_file());
}
