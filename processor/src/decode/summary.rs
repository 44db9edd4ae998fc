//! The table at the end: what was read, what was written, what was lost and what was weird.

use std::{cmp::Reverse, collections::BTreeMap, fmt::Write as _};

use weir_contract::RecordType;

use super::Report;
use crate::{output::OutputError, terminal};

/// Kinds of Weirds, and of what is unknown, that are shown; the others are added up.
const KINDS_SHOWN: usize = 10;

impl Report {
    /// Whether everything was read and written.
    pub fn is_complete(&self) -> bool {
        let damaged = self.outcomes.iter().any(|outcome| !outcome.damage.problems.is_empty());
        let unwritten = self.errors.iter().any(|error| !error.is_broken_pipe());
        !damaged && !self.failed && !unwritten && self.inputs.errors.is_empty()
    }

    /// Whether decoding was ended from outside.
    pub fn was_interrupted(&self) -> bool {
        self.interrupted
    }

    /// Prints what went wrong with writing, and the table, to the standard error. Says no more where nothing
    /// could be opened, and nothing at all to a reader that went away.
    pub fn print(&self) {
        if self.errors.iter().any(OutputError::is_broken_pipe) {
            return;
        }
        let (of_stdout, of_files): (Vec<_>, Vec<_>) = self.errors.iter().partition(|error| error.is_of_stdout());
        // Each type fails by itself, and for the same reason.
        for error in of_stdout.into_iter().take(1).chain(of_files) {
            terminal::tell(format_args!("error: {error}"));
        }
        if self.opened {
            terminal::tell(self.table().trim_end());
        }
    }

    fn table(&self) -> String {
        let mut table = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_table(&mut table);
        table
    }

    fn write_table(&self, out: &mut String) -> std::fmt::Result {
        self.write_records(out)?;
        self.write_unknowns(out)?;
        self.write_weirds(out)?;
        self.write_losses(out)?;
        if self.filtered_packets > 0 {
            writeln!(out, "\n{} left out by --bpf", counted(self.filtered_packets, "packet"))?;
        }
        if !self.errors.is_empty() {
            writeln!(out, "\nstopped, since writing failed: the rest was not read")?;
        }
        if self.interrupted {
            writeln!(out, "\ninterrupted: what was read until then is here")?;
        }
        let Self { counters, elapsed, .. } = self;
        let seconds = elapsed.as_secs_f64().max(1e-6);
        writeln!(
            out,
            "\n{}, {} in {seconds:.2} s: {} packets/s, {}/s",
            counted(counters.packets, "packet"),
            bytes(counters.bytes as f64),
            grouped(per_second(counters.packets, *elapsed)),
            bytes(counters.bytes as f64 / seconds),
        )
    }

    fn write_records(&self, out: &mut String) -> std::fmt::Result {
        let rows: Vec<_> = self.tally.records().collect();
        let width = rows.iter().map(|(record_type, ..)| record_type.name().len()).max().unwrap_or_default().max(11);
        let path_of = |record_type| {
            let written = self.written.iter().find(|written| written.record_type == record_type)?;
            written.path.as_ref().map(|path| format!("  {}", path.display()))
        };
        let file = if self.written.iter().any(|written| written.path.is_some()) { "  file" } else { "" };
        if !rows.is_empty() {
            writeln!(out, "{:width$}  {:>12}  {:>14}{file}", "record type", "records", "protobuf bytes")?;
        }
        for (record_type, number, bytes) in rows {
            let path = path_of(record_type).unwrap_or_default();
            writeln!(out, "{:width$}  {:>12}  {:>14}{path}", record_type.name(), grouped(number), grouped(bytes))?;
        }
        Ok(())
    }

    /// Records that were decoded and are in no file, where writing failed.
    fn unwritten(&self) -> u64 {
        if self.errors.is_empty() {
            return 0;
        }
        let decoded: u64 = self.tally.records().map(|(_, number, _)| number).sum();
        let written: u64 = self.written.iter().map(|written| written.rows).sum();
        let kept: u64 = self.errors.iter().map(OutputError::kept_rows).sum();
        decoded.saturating_sub(written + kept)
    }

    /// Who meets an empty folder learns here that nobody reads the link type, say.
    fn write_unknowns(&self, out: &mut String) -> std::fmt::Result {
        if self.tally.unknowns.is_empty() {
            return Ok(());
        }
        writeln!(out, "\nunknown")?;
        write_kinds(out, &self.tally.unknowns, |(key, value)| match key.as_str() {
            "" => "not named by a number".to_owned(),
            key => format!("{} {value}", key.replace('_', " ")),
        })
    }

    fn write_weirds(&self, out: &mut String) -> std::fmt::Result {
        if !self.selection.contains(RecordType::Weird) {
            return writeln!(out, "\nweird: not selected");
        }
        if self.tally.weirds.is_empty() {
            return writeln!(out, "\nweird: nothing");
        }
        writeln!(out, "\nweird")?;
        write_kinds(out, &self.tally.weirds, |(layer, reason)| {
            format!("{layer}: {}", reason.to_lowercase().replace('_', " "))
        })
    }

    fn write_losses(&self, out: &mut String) -> std::fmt::Result {
        let count = |packets: i64| u64::try_from(packets).unwrap_or_default();
        let damaged = self.outcomes.iter().map(|outcome| count(outcome.damage.packets)).sum();
        let losses = [
            (self.unwritten(), "records not written"),
            (count(self.dropped_packets), "packets dropped by the kernel or the interface"),
            (damaged, "packets damaged in the capture"),
            (self.counters.failed_packets, "packets on which a decoder failed: please report this"),
            (self.counters.late_flows, "flows that began later than the watermark allowed"),
            (self.counters.evicted_flows, "flows written early: --flows was reached"),
            (self.counters.evicted_datagrams, "datagrams given up: --fragment-bytes was reached"),
            (self.counters.evicted_streams, "connections read no further: --stream-bytes was reached"),
        ];
        let losses: Vec<_> = losses.into_iter().filter(|(number, _)| *number > 0).collect();
        if losses.is_empty() {
            return writeln!(out, "lost:  nothing");
        }
        writeln!(out, "\nlost")?;
        losses.into_iter().try_for_each(|(number, what)| writeln!(out, "  {:>10}  {what}", grouped(number)))
    }
}

/// The most frequent kinds of something, one a line.
fn write_kinds<K>(out: &mut String, kinds: &BTreeMap<K, u64>, name: impl Fn(&K) -> String) -> std::fmt::Result {
    let mut kinds: Vec<_> = kinds.iter().collect();
    kinds.sort_by_key(|(_, number)| Reverse(**number));
    for (kind, number) in kinds.iter().take(KINDS_SHOWN) {
        writeln!(out, "  {:>10}  {}", grouped(**number), name(kind))?;
    }
    let rest: u64 = kinds.iter().skip(KINDS_SHOWN).map(|(_, number)| **number).sum();
    if rest > 0 {
        writeln!(out, "  {:>10}  of other kinds", grouped(rest))?;
    }
    Ok(())
}

/// An amount by the second, in whole numbers.
fn per_second(amount: u64, elapsed: std::time::Duration) -> u64 {
    let millis = elapsed.as_millis().max(1);
    u64::try_from(u128::from(amount) * 1000 / millis).unwrap_or(u64::MAX)
}

/// A number of things.
fn counted(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", grouped(number))
}

/// A number with a comma before each three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Bytes in the unit that leaves up to three digits before the point.
fn bytes(number: f64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB"];
    let mut number = number;
    let mut unit = 0;
    while number >= 999.95 && unit + 1 < units.len() {
        number /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{number:.0} {}", units[unit]) } else { format!("{number:.1} {}", units[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!((grouped(0).as_str(), grouped(1_234_567).as_str()), ("0", "1,234,567"));
        assert_eq!((bytes(999.0).as_str(), bytes(12_345_678.0).as_str()), ("999 B", "12.3 MB"));
    }
}
