//! Where the lake's files stand: a local folder, or a bucket of an S3 store.
//!
//! A [`Store`] does one thing once. Everything that waits, tries again, renews credentials or looks whether a put
//! whose answer is lost has happened is in [`Patient`], for both.

pub mod credentials;
mod folder;
#[cfg(test)]
pub mod memory;
mod patient;
mod put;
mod s3;
#[cfg(test)]
pub mod tests;

use std::fmt;

use super::link::{Link, Source, hour_key, read_key};
use super::{chain, link::Hour};
pub use folder::Folder;
pub use patient::{Patience, Patient, Stopped};
pub use s3::{Encryption, S3, S3Settings};

/// What holds the lake's files. Keys are paths below the lake's own prefix, separated by `/`.
pub trait Store: Send + Sync {
    /// Puts a file where there is none of that key. `link` is what the body's footer says.
    ///
    /// # Errors
    ///
    /// It is not known whether the file was put, unless the failure's kind is [certain](Kind::is_certain).
    fn put(&self, key: &str, body: &[u8], link: &Link) -> Result<Put, Failure>;

    /// What there is of that key.
    ///
    /// # Errors
    ///
    /// The store can't be asked.
    fn head(&self, key: &str) -> Result<Head, Failure>;

    /// Up to some thousand keys that begin with `prefix` and are greater than `after`, in order, and whether
    /// there are more.
    ///
    /// # Errors
    ///
    /// The store can't be asked.
    fn list(&self, prefix: &str, after: &str) -> Result<(Vec<String>, bool), Failure>;

    /// Takes credentials anew from where they come from.
    ///
    /// # Errors
    ///
    /// They can't be had.
    fn renew(&self) -> Result<(), Failure> {
        Ok(())
    }
}

/// Whether a file was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It was.
    Stored,
    /// There was one.
    Taken,
}

/// What there is of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// Nothing.
    Absent,
    /// A file: what it says of itself, unless no sink wrote it, and its size.
    File { link: Option<Link>, bytes: u64 },
}

/// What a store answered, or did not.
#[derive(Clone, Debug)]
pub struct Failure {
    pub kind: Kind,
    /// In words, with the name of the bucket or file.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// Kinds of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No connection, or it broke.
    Connection,
    /// No answer in time.
    TimeOut,
    /// 5xx.
    Server,
    /// 429, or 503 with `SlowDown`.
    Throttled,
    /// 409: another put of that key is under way.
    Conflict,
    /// An answer that can't be: a success that says error, or is cut.
    Answer,
    /// 401 or 403: wrong or expired credentials, a wrong clock, a missing permission.
    Denied,
    /// There is no such bucket.
    NoBucket,
    /// Any other refusal.
    Refused,
    /// A file that was listed, or in the way of a put, isn't there.
    Vanished,
    /// The disk is full or fails.
    Disk,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 11] = [
        Self::Connection,
        Self::TimeOut,
        Self::Server,
        Self::Throttled,
        Self::Conflict,
        Self::Answer,
        Self::Denied,
        Self::NoBucket,
        Self::Refused,
        Self::Vanished,
        Self::Disk,
    ];

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::TimeOut => "timeout",
            Self::Server => "server",
            Self::Throttled => "throttled",
            Self::Conflict => "conflict",
            Self::Answer => "answer",
            Self::Denied => "denied",
            Self::NoBucket => "no_bucket",
            Self::Refused => "refused",
            Self::Vanished => "vanished",
            Self::Disk => "disk",
        }
    }

    /// Whether a put that failed so has not happened, and will not.
    pub fn is_certain(self) -> bool {
        matches!(self, Self::Throttled | Self::Conflict | Self::Denied | Self::NoBucket | Self::Refused | Self::Disk)
    }

    /// Whether somebody has to do something before it can work.
    pub fn is_refusal(self) -> bool {
        matches!(self, Self::Denied | Self::NoBucket | Self::Refused)
    }
}

/// The last file of a partition's chain among those of `hour` and later.
///
/// # Errors
///
/// The sink stops.
pub fn tail(store: &Patient, source: &Source, hour: Hour) -> Result<Option<chain::Tail>, Stopped> {
    let prefix = super::link::type_folder(source.record_type);
    let mut after = hour_key(source.record_type, hour);
    let mut last: Option<(i64, String)> = None;
    loop {
        let (keys, more) = store.list(&prefix, &after)?;
        for key in &keys {
            if let Some((_, first)) = read_key(key).filter(|(of, _)| of == source)
                && last.as_ref().is_none_or(|(greatest, _)| first > *greatest)
            {
                last = Some((first, key.clone()));
            }
        }
        match keys.last() {
            Some(key) if more => after.clone_from(key),
            _ => break,
        }
    }
    let Some((first, key)) = last else { return Ok(None) };
    Ok(Some(chain::Tail { first, link: store.head_existing(&key)? }))
}
