//! Keeps `docs/agent.md` true.

use super::{Cli, File};
use crate::metrics::METRICS;
use clap::CommandFactory as _;
use weir_service::metrics::{COMMON, to_markdown};
use weir_tests::docs::{check_page, settings};

const HEAD: &str = "\
# The agent: settings and metrics

Written by `make docs` from the program's own description.

Settings come from a TOML file, the environment and flags; what is said later in this order counts. A key, variable or
flag that does not exist is refused, and the nearest one named. `--check` tries the settings, `--print-config` prints
them as a file. Secrets come from files, or from the environment (`WEIR_KAFKA_SASL_PASSWORD`), and are never printed.

The exit status is 0 if every packet was delivered or kept for the next run, 1 if some were lost or a file could not be
read, 2 if what was asked for cannot be done, and for a replay 130 if it was stopped.

";

const FILE: &str = "\
A file:

```toml
[kafka]
brokers = \"kafka-0:9092,kafka-1:9092\"
tls = true

[capture]
interface = [\"eth1\", \"eth2\"]
sensor = \"edge-1\"

[spool]
spool-folder = \"/var/lib/weir-agent\"
```

";

const METRICS_HEAD: &str = "\
## Metrics

At any moment, received packets + those that were found in the spool = published + queued + in flight + in the spool +
dropped. The agent checks this when it ends, and logs it.

";

#[test]
fn settings_and_metrics_are_described_as_the_program_has_them() {
    let is_key = |table: &str, key: &str| {
        let error = toml::from_str::<File>(&format!("[{table}]\n{key} = {{}}\n")).unwrap_err();
        !error.message().starts_with("unknown field")
    };
    let settings = settings(Cli::command(), &["kafka", "metrics", "spool"], is_key);
    let metrics: Vec<_> = METRICS.iter().chain(COMMON).copied().collect();
    check_page("agent.md", &format!("{HEAD}{settings}{FILE}{METRICS_HEAD}{}", to_markdown(&metrics)));
}
