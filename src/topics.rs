//! Names of Weir's topics; those of records are [`RecordType::topic`](crate::RecordType::topic).
//!
//! ```
//! use weir_contract::topics;
//!
//! assert_eq!(topics::packets("weir"), "weir-packets");
//! assert!(topics::check_prefix("lab.weir").is_err());
//! ```

/// The prefix of topics where nobody chose another.
pub const DEFAULT_PREFIX: &str = "weir";

/// Longest prefix: Kafka's limit of 249 letters, less room for the longest name of a record type.
const MAX_PREFIX: usize = 128;

/// The topic of packet batches.
pub fn packets(prefix: &str) -> String {
    format!("{prefix}-packets")
}

/// The compacted topic of the processors' progress and snapshots; it has as many partitions as that of
/// packet batches.
pub fn state(prefix: &str) -> String {
    format!("{prefix}-state")
}

/// The topic of messages that could not be read.
pub fn dead_letter(prefix: &str) -> String {
    format!("{prefix}-dead-letter")
}

/// The compacted topic that tells one life of a topic from the next: see
/// [`TopicIncarnation`](crate::record::TopicIncarnation).
pub fn incarnations(prefix: &str) -> String {
    format!("{prefix}-topics")
}

/// Says what is wrong with a prefix. Letters, digits and `-` alone are allowed, since Kafka takes `.` and `_`
/// for the same letter in the names of metrics.
///
/// # Errors
///
/// What a prefix may be.
pub fn check_prefix(prefix: &str) -> Result<(), String> {
    let fine = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    if prefix.is_empty() || prefix.len() > MAX_PREFIX || !prefix.chars().all(fine) {
        return Err(format!("the topic prefix is {prefix:?}, but must be 1 to {MAX_PREFIX} letters, digits and `-`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RecordType;

    #[test]
    fn no_record_type_has_the_name_of_another_topic() {
        let own = [packets("weir"), state("weir"), dead_letter("weir"), incarnations("weir")];
        assert!(RecordType::all().iter().all(|info| !own.contains(&info.record_type.topic("weir"))));
    }

    #[test]
    fn every_topic_fits_with_the_longest_prefix() {
        let prefix = "p".repeat(MAX_PREFIX);
        assert_eq!(check_prefix(&prefix), Ok(()));
        assert!(RecordType::all().iter().all(|info| info.record_type.topic(&prefix).len() <= 249));
        assert!(check_prefix("").is_err() && check_prefix("weir_lab").is_err());
    }
}
