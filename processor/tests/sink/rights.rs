//! The policy that the documentation gives a sink's key: it is enough, nothing of it can go, and all else is denied.

use std::path::Path;

use serde_json::{Value, json};
use weir_tests::s3::{BUCKET, OWNER, S3, User};

use crate::kit::{LIMIT, Lab, Writer, assert_exact};

const SINK: User<'_> = ("sink-access-key", "sink-secret-key");

/// The statements of the policy in `docs/threat-model.md`, as those of the bucket.
fn statements() -> Vec<Value> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/threat-model.md");
    let page = std::fs::read_to_string(page).unwrap();
    let policy = page.split("```").find_map(|block| block.strip_prefix("json\n")).expect("a block of JSON");
    let policy: Value = serde_json::from_str(&policy.replace("BUCKET", BUCKET).replace("PREFIX", "lake")).unwrap();
    let mut statements = policy["Statement"].as_array().unwrap().clone();
    for statement in &mut statements {
        statement["Principal"] = json!({ "AWS": [SINK.0] });
        let fields = statement.as_object_mut().unwrap();
        // This server knows no `s3:if-none-match`, and refuses a policy with it.
        if fields.get("Condition").is_some_and(|condition| condition.get("Null").is_some()) {
            fields.remove("Condition");
        }
    }
    statements
}

fn allow(s3: &S3, statements: &[Value]) {
    let policy = json!({ "Version": "2012-10-17", "Statement": statements }).to_string();
    let answer = s3.ask(OWNER, "PUT", &format!("/{BUCKET}?policy="), &policy);
    assert!(answer.starts_with("204"), "{answer}");
}

#[test]
fn a_sink_needs_what_its_policy_allows_and_is_denied_all_else() {
    let mut lab = Lab::with_store(S3::start_with_users(&[SINK]), 1);
    let statements = statements();
    allow(&lab.s3, &statements);
    lab.environment = vec![("AWS_ACCESS_KEY_ID", SINK.0.into()), ("AWS_SECRET_ACCESS_KEY", SINK.1.into())];
    let mut writer = Writer::new(&lab, 1);
    // Twice: the second one finds what the first one left.
    for records in [100, 200] {
        writer.write(100);
        let mut sink = lab.sink(&[]);
        lab.wait_for(records, &[&sink]);
        assert!(sink.stop_within(LIMIT).success(), "{}", sink.log());
        assert!(!sink.log().contains("AccessDenied"), "{}", sink.log());
    }
    assert_exact(&lab, 200);

    let file = format!("/{BUCKET}/{}", lab.files()[0].replace('=', "%3D").replace('+', "%2B"));
    let (bucket, elsewhere) = (format!("/{BUCKET}"), format!("/{BUCKET}/elsewhere/file"));
    assert!(lab.s3.ask(OWNER, "PUT", &elsewhere, "theirs").starts_with("200"));
    let ask = |method: &str, path: &str| lab.s3.ask(SINK, method, path, "");
    assert!(ask("GET", &file).starts_with("200 PAR1"));
    assert!(ask("GET", &format!("{bucket}?list-type=2&prefix=lake%2F")).starts_with("200"));
    for (method, path) in [
        ("DELETE", &file),
        ("GET", &format!("{file}?acl=")),
        ("PUT", &format!("{file}?acl=")),
        ("GET", &format!("{file}?tagging=")),
        ("GET", &elsewhere),
        ("PUT", &elsewhere),
        ("DELETE", &elsewhere),
        ("GET", &format!("{bucket}?list-type=2")),
        ("GET", &format!("{bucket}?list-type=2&prefix=elsewhere%2F")),
        ("GET", &format!("{bucket}?policy=")),
        ("PUT", &format!("{bucket}?policy=")),
        ("DELETE", &format!("{bucket}?policy=")),
        ("DELETE", &bucket),
    ] {
        let answer = ask(method, path);
        assert!(answer.starts_with("403") && answer.contains("AccessDenied"), "{method} {path}: {answer}");
    }
    assert_exact(&lab, 200);

    // Without one to come, nothing is listed.
    writer.write(1);
    for without in 0..statements.len() {
        let mut fewer = statements.clone();
        fewer.remove(without);
        allow(&lab.s3, &fewer);
        let mut sink = lab.sink(&[]);
        sink.write_within(LIMIT, "the sink needs s3:PutObject, s3:GetObject and s3:ListBucket");
        sink.kill();
    }
}
