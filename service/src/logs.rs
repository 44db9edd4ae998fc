//! Logs: for people on a terminal, as JSON otherwise.

use std::io::{self, IsTerminal as _};

use anyhow::Context as _;
use tracing_subscriber::{EnvFilter, fmt};

/// The variable of the environment that says what is logged: `info`, `debug`, `weir=trace,warn`.
pub const FILTER_VARIABLE: &str = "WEIR_LOG";

/// Sends this process's logs to the standard error, from level `info` on unless `WEIR_LOG` says otherwise.
///
/// # Errors
///
/// A filter that can't be read, or logs that already go somewhere.
pub fn init() -> anyhow::Result<()> {
    let text = std::env::var(FILTER_VARIABLE).unwrap_or_else(|_| "info".into());
    let filter = EnvFilter::try_new(&text)
        .with_context(|| format!("{FILTER_VARIABLE} is {text:?}, but must be a level or a list of target=level"))?;
    let logs = fmt().with_env_filter(filter).with_writer(io::stderr);
    let done = if io::stderr().is_terminal() { logs.try_init() } else { logs.json().flatten_event(true).try_init() };
    done.map_err(|error| anyhow::anyhow!("logs can't be set up: {error}"))
}
