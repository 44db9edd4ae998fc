//! `weir schema export`: what it writes is about what `weir decode` writes.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use prost_reflect::{Cardinality, DescriptorPool, FieldDescriptor, Kind};
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

/// What protoc makes of a file that was exported.
fn compiled(file: &Path) -> DescriptorPool {
    let (folder, out) = (file.parent().unwrap(), file.with_extension("desc"));
    let mut protoc = Command::new("protoc");
    let arguments = [format!("-I{}", folder.display()), format!("-o{}", out.display()), file.display().to_string()];
    let output = protoc.args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    DescriptorPool::decode(fs::read(out).unwrap().as_slice()).unwrap()
}

fn contract() -> DescriptorPool {
    DescriptorPool::decode(export(&["descriptor"]).stdout.as_slice()).unwrap()
}

/// All of a field that reaches the wire or a program that reads it.
fn essence(field: &FieldDescriptor) -> (u32, String, String, Cardinality) {
    let kind = match field.kind() {
        Kind::Enum(of) => {
            format!("{:?}", of.values().map(|of| (of.number(), of.name().to_owned())).collect::<Vec<_>>())
        }
        kind => format!("{kind:?}"),
    };
    (field.number(), field.name().to_owned(), kind, field.cardinality())
}

#[test]
fn the_file_of_messages_says_what_the_contract_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weir.proto");
    export(&["proto", "--out", path.to_str().unwrap()]);
    let (exported, contract) = (compiled(&path), contract());
    let mut messages = 0;
    for message in exported.all_messages() {
        let declared = contract.get_message_by_name(message.full_name()).unwrap();
        let fields = |of: &prost_reflect::MessageDescriptor| of.fields().map(|of| essence(&of)).collect::<Vec<_>>();
        assert_eq!(fields(&message), fields(&declared), "{}", message.name());
        for (field, declared) in message.fields().zip(declared.fields()) {
            assert_eq!(field.supports_presence(), declared.supports_presence(), "{}", field.full_name());
        }
        let options = |of: &prost_reflect::MessageDescriptor| {
            let options = of.parent_file().file_descriptor_proto().options.clone().unwrap();
            (options.java_package().to_owned(), options.java_multiple_files())
        };
        assert_eq!(options(&message), options(&declared));
        messages += 1;
    }
    assert!(messages > 60, "{messages}");
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains("  // Response code, with the upper bits that EDNS adds"), "fields have their comments");
}

#[test]
fn for_flink_what_may_be_absent_is_a_list() {
    let folder = tempfile::tempdir().unwrap();
    export(&["flink", "-r", "all", "-o", folder.path().to_str().unwrap()]);
    let (exported, contract) = (compiled(&folder.path().join("weir.proto")), contract());
    let mut lists = 0;
    for message in exported.all_messages() {
        let declared = contract.get_message_by_name(message.full_name()).unwrap();
        for (field, declared) in message.fields().zip(declared.fields()) {
            let (mut should, is) = (essence(&declared), essence(&field));
            if declared.supports_presence() && declared.name() != "meta" {
                should.3 = Cardinality::Repeated;
                lists += 1;
            }
            assert_eq!(is, should, "{}", field.full_name());
        }
        let options = message.parent_file().file_descriptor_proto().options.clone().unwrap();
        assert_eq!(options.java_package(), "weir.v1.flink");
    }
    assert!(lists > 100, "{lists}");
}

/// Whether engines understand the statements is seen in tests/tests/readers.
#[test]
fn statements_are_about_the_topics_asked_for() {
    for engine in ["flink", "clickhouse"] {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().to_str().unwrap();
        export(&[engine, "-r", "dns,weird", "--brokers", "k'1:1,k2:2", "--topic-prefix", "lab", "-o", out]);
        let statements = fs::read_to_string(folder.path().join("weir.sql")).unwrap();
        for part in ["'lab-dns'", "'lab-weird'", "k2:2"] {
            assert_eq!(statements.matches(part).count(), if part == "k2:2" { 2 } else { 1 }, "{engine}: {part}");
        }
        assert!(!statements.contains("k'1"), "{engine}: quotes in values are escaped");
        assert!(!statements.contains("`connection"), "{engine}");
        for field in contract().get_message_by_name("weir.v1.Dns").unwrap().fields().filter(|of| of.name() != "meta") {
            assert!(statements.contains(&format!("`{}`", field.name())), "{engine}: {}", field.name());
        }
    }
}

#[test]
fn what_cannot_be_exported_is_told() {
    let refused = |arguments: &[&str], parts: &[&str]| {
        Run::of(weir().args(["schema", "export"]).args(arguments)).assert(2, parts);
    };
    refused(&["json", "-r", "dsn"], &["no record type or group is called `dsn`; did you mean `dns`?"]);
    refused(&["avro"], &["unrecognized subcommand 'avro'"]);
    refused(&["flink", "--topic-prefix", "a.b", "-o", "/tmp"], &["the topic prefix is \"a.b\", but must be"]);
    refused(&["clickhouse", "-o", "/dev/null/x"], &["/dev/null/x: writing failed: Not a directory", "--out"]);
    refused(&["json", "-o", "/dev/null/x"], &["/dev/null/x: writing failed: Not a directory", "--out"]);
    refused(&["descriptor", "-o", "/nonexistent/x"], &["/nonexistent/x: writing failed: No such file"]);
}
