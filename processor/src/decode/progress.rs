//! How far decoding has come: a bar on a terminal, nothing in a pipe.

use std::{fmt, fs::Metadata, io, path::PathBuf, time::Duration};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use weir_agent::{Outcome, SourceProblem};

use super::Input;
use crate::terminal;

/// Of known size: 80 columns leave 27 for the bar.
const BAR: &str = "[{wide_bar}] {percent:>3}%  {decimal_bytes:>9} of {decimal_total_bytes:<9} \
                   {decimal_bytes_per_sec:>11}  {eta:>3} left";

/// The least that the bar's line takes.
const BAR_COLUMNS: usize = 64;

/// Of known size on a narrow terminal.
const NARROW: &str = "{percent:>3}%  {eta} left";

/// The standard input and pipes, whose size nobody knows.
const STREAM: &str = "{spinner} {decimal_bytes}  {msg}  {decimal_bytes_per_sec}  {elapsed}";

/// An interface: its position counts packets.
const LIVE: &str = "{spinner} {human_pos} packets  {packet_rate}  {elapsed}";

/// How often the rate and the time left are brought up to date.
const TICK: Duration = Duration::from_millis(200);

/// Progress through capture files, or of an interface.
pub struct Progress {
    bar: ProgressBar,
    counts_packets: bool,
}

impl Progress {
    /// A bar over the files' sizes where these say how much there is to read, else a counter.
    pub fn start(input: &Input, files: &[PathBuf]) -> Self {
        let size = |file: &PathBuf| {
            let metadata = file.metadata().ok().filter(Metadata::is_file);
            metadata.map(|metadata| metadata.len())
        };
        let total: Option<u64> = files.iter().map(size).sum();
        let counts_packets = matches!(input, Input::Interfaces(_));
        let bar = match total.filter(|&total| total > 0) {
            _ if counts_packets => ProgressBar::new_spinner().with_style(style(LIVE)),
            Some(total) => {
                let is_narrow = terminal::columns(&io::stderr()).is_some_and(|columns| columns < BAR_COLUMNS);
                let template = if is_narrow { NARROW } else { BAR };
                ProgressBar::new(total).with_style(style(template).progress_chars("=> "))
            }
            None => ProgressBar::new_spinner().with_style(style(STREAM)),
        };
        bar.enable_steady_tick(TICK);
        Self { bar, counts_packets }
    }

    /// Shows nothing: the terminal shows records.
    pub fn hidden() -> Self {
        Self { bar: ProgressBar::hidden(), counts_packets: false }
    }

    /// Shows how many packets, and how many bytes of the files, have been read.
    pub fn set(&self, packets: u64, bytes: u64) {
        if self.bar.is_hidden() {
            return;
        }
        self.bar.set_position(if self.counts_packets { packets } else { bytes });
        self.bar.set_message(format!("{packets} packets"));
    }

    /// Tells of what was wrong with sources that were read to their end.
    pub fn report(&self, outcomes: &[Outcome]) {
        let problems = outcomes.iter().flat_map(|outcome| &outcome.damage.problems);
        // Whoever stopped a stream knows.
        for problem in problems.filter(|problem| !matches!(problem.problem, SourceProblem::Stopped)) {
            let kind = if problem.is_damage() { "warning" } else { "error" };
            self.bar.suspend(|| terminal::tell(format_args!("{kind}: {problem}")));
        }
    }

    /// Tells of something that went wrong.
    pub fn error(&self, what: &str) {
        self.bar.suspend(|| terminal::tell(format_args!("error: {what}")));
    }

    /// Says what somebody may want to know.
    pub fn note(&self, what: &str) {
        self.bar.suspend(|| terminal::tell(format_args!("note: {what}")));
    }

    /// Removes the bar.
    pub fn finish(self) {
        self.bar.finish_and_clear();
    }
}

/// A template of ours parses; were it not to, the default look would do.
fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.with_key("packet_rate", |state: &ProgressState, out: &mut dyn fmt::Write| {
        // What can't be shown is left out.
        let _ = write!(out, "{:.0} packets/s", state.per_sec());
    })
}
