//! `weir schema export`: what it writes is about what `weir decode` writes.

use std::{collections::BTreeSet, fs, path::Path};

use prost_reflect::DescriptorPool;
use serde_json::Value;

use crate::harness::*;

fn export(arguments: &[&str]) -> Run {
    let run = Run::of(weir().args(["schema", "export"]).args(arguments));
    run.assert(0, &[]);
    run
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn keys(object: &Value) -> BTreeSet<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn json_schemas_name_what_lines_of_json_have() {
    let folder = tempfile::tempdir().unwrap();
    export(&["json", "--out", folder.path().to_str().unwrap()]);
    let run = decode([capture("office.pcapng").to_str().unwrap(), "--records", "all", "--out", "-"]);
    let mut types = BTreeSet::new();
    for record in run.json() {
        let name = record["record"].as_str().unwrap();
        let schema = json(&folder.path().join(format!("{name}.schema.json")));
        assert_eq!(keys(&record), keys(&schema["properties"]), "{name}");
        types.insert(name.to_owned());
    }
    assert!(types.len() > 10, "{types:?}");
    assert!(files(folder.path()).len() > 40, "every type has a schema");
}

#[test]
fn arrow_schemas_name_the_columns_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let capture = capture("office.pcapng").display().to_string();
    let out = folder.path().join("csv").display().to_string();
    decode([&capture, "--records", "all", "-f", "csv", "-o", &out]).assert(0, &[]);
    let schemas = folder.path().join("schemas");
    export(&["arrow", "-o", schemas.to_str().unwrap()]);
    for (name, bytes) in files(out.as_ref()) {
        let name = name.strip_suffix(".csv").unwrap();
        let schema = json(&schemas.join(format!("{name}.arrow.json")));
        let fields: Vec<_> =
            schema["fields"].as_array().unwrap().iter().map(|of| of["name"].as_str().unwrap()).collect();
        assert_eq!(fields.join(","), std::str::from_utf8(&bytes).unwrap().lines().next().unwrap(), "{name}");
    }
}

#[test]
fn standard_output_takes_one_schema_or_several_by_name() {
    let one: Value = serde_json::from_slice(&export(&["json", "-r", "dns"]).stdout).unwrap();
    assert_eq!(one["title"], "dns");
    let several: Value = serde_json::from_slice(&export(&["json", "-r", "dns,ntp"]).stdout).unwrap();
    assert_eq!(keys(&several), BTreeSet::from(["dns", "ntp"]));
    assert_eq!(several["dns"], one);
    let arrow: Value = serde_json::from_slice(&export(&["arrow", "-r", "dns"]).stdout).unwrap();
    assert_eq!(arrow["fields"][0]["name"], "ts");
}

#[test]
fn the_descriptor_set_describes_every_message() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weir.desc");
    let stdout = export(&["descriptor"]).stdout;
    export(&["descriptor", "-o", path.to_str().unwrap()]);
    assert_eq!(fs::read(&path).unwrap(), stdout);
    let pool = DescriptorPool::decode(stdout.as_slice()).unwrap();
    for name in ["Dns", "Connection", "Meta", "PacketBatch"] {
        assert!(pool.get_message_by_name(&format!("weir.v1.{name}")).is_some(), "{name}");
    }
}

#[test]
fn what_cannot_be_exported_is_told() {
    let refused = |arguments: &[&str], parts: &[&str]| {
        Run::of(weir().args(["schema", "export"]).args(arguments)).assert(2, parts);
    };
    refused(&["json", "-r", "dsn"], &["no record type or group is called `dsn`; did you mean `dns`?"]);
    refused(&["avro"], &["unrecognized subcommand 'avro'"]);
    refused(&["json", "-o", "/dev/null/x"], &["/dev/null/x: writing failed: Not a directory", "--out"]);
    refused(&["descriptor", "-o", "/nonexistent/x"], &["/nonexistent/x: writing failed: No such file"]);
}
