//! How far decoding has come: a bar on a terminal, nothing in a pipe.

use std::{fs::Metadata, path::PathBuf, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use weir_agent::Outcome;

/// Progress through capture files.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar over the files' sizes where these say how much there is to read, else a counter.
    pub fn start(files: &[PathBuf]) -> Self {
        let size = |file: &PathBuf| {
            let metadata = file.metadata().ok().filter(Metadata::is_file);
            metadata.map(|metadata| metadata.len())
        };
        let total: Option<u64> = files.iter().map(size).sum();
        let bar = match total.filter(|&total| total > 0) {
            Some(total) => ProgressBar::new(total).with_style(style(
                "{bar:30} {percent:>3} %  {binary_bytes} of {binary_total_bytes}  {binary_bytes_per_sec}  {msg}  {eta} left",
            )),
            None => ProgressBar::new_spinner().with_style(style("{spinner} {binary_bytes}  {binary_bytes_per_sec}  {msg}")),
        };
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar }
    }

    /// Shows how many packets, and how many bytes of the files, have been read.
    pub fn set(&self, packets: u64, bytes: u64) {
        if !self.bar.is_hidden() {
            self.bar.set_position(bytes);
            self.bar.set_message(format!("{packets} packets"));
        }
    }

    /// Tells of what was wrong with sources that were read to their end.
    pub fn report(&self, outcomes: &[Outcome]) {
        self.bar.suspend(|| {
            for problem in outcomes.iter().flat_map(|outcome| &outcome.damage.problems) {
                let kind = if problem.is_damage() { "warning" } else { "error" };
                eprintln!("{kind}: {problem}");
            }
        });
    }

    /// Removes the bar.
    pub fn finish(self) {
        self.bar.finish_and_clear();
    }
}

/// A template of ours parses; were it not to, the default look would do.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
