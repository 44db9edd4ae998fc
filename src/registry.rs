//! What record types exist, what is known of each, and which of them a user wants.

use std::fmt;

/// What the contract knows of a record type.
#[derive(Debug)]
pub struct RecordInfo {
    /// The type.
    pub record_type: RecordType,
    /// Number of the type, which never changes its meaning.
    pub id: u32,
    /// Name of the protobuf message: `TlsClientHello`.
    pub message: &'static str,
    /// Name on the command line, in tables and metrics: `tls_client_hello`.
    pub name: &'static str,
    /// What a record of the type describes.
    pub doc: &'static str,
    /// Groups the type can be selected by.
    pub groups: &'static [&'static str],
    /// How many records traffic causes.
    pub volume: Volume,
    /// Written only when selected.
    pub opt_in: bool,
    /// Columns, Meta's first.
    pub fields: &'static [FieldInfo],
}

/// What the contract knows of a field.
#[derive(Debug)]
pub struct FieldInfo {
    /// Name, with its unit as suffix.
    pub name: &'static str,
    /// Number on the wire, in the message that declares the field.
    pub number: u32,
    /// Type of one value.
    pub kind: FieldKind,
    /// A list of such values.
    pub repeated: bool,
    /// Absence is a fact.
    pub optional: bool,
    /// What a text or a bytes field tells of addresses.
    pub holds: Holds,
    /// Meaning, unit and source.
    pub doc: &'static str,
    /// Fields of the message that the field holds.
    pub fields: &'static [FieldInfo],
}

/// Type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum FieldKind {
    Int64,
    Uint32,
    Bool,
    Double,
    String,
    Bytes,
    /// Name of a closed set, with its numbers and names; the names as columns show them, without the enum's:
    /// `bad_length`.
    Enum(&'static str, &'static [(i32, &'static str)]),
    /// Name of a nested message.
    Message(&'static str),
}

/// What a text or a bytes field tells of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// Whatever was sent; of fields of other kinds nothing.
    Anything,
    /// An IP address, or a prefix with its length, and nothing else.
    Ip,
    /// A link-layer address and nothing else.
    Mac,
    /// The identity of a connection: a hash of addresses, among others.
    Uid,
    /// A Community ID: a hash of addresses and ports.
    CommunityId,
    /// No address, though it may look like one.
    NoAddress,
    /// Text that may hold an address in a form that can't be found.
    Opaque,
}

/// How many records of a type traffic causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Volume {
    /// A handful per host and hour.
    Low,
    /// Some per connection.
    Medium,
    /// Up to one per packet.
    High,
}

include!(concat!(env!("OUT_DIR"), "/registry.rs"));

impl RecordInfo {
    /// Its fields in two parts: those of Meta, which all types begin with, and its own.
    pub fn meta_and_own(&self) -> (&'static [FieldInfo], &'static [FieldInfo]) {
        self.fields.split_at_checked(META_FIELDS).unwrap_or((&[], self.fields))
    }
}

impl RecordType {
    /// All types, in the order of the registry.
    pub fn all() -> &'static [RecordInfo] {
        &RECORDS
    }

    /// What is known of the type.
    pub fn info(self) -> &'static RecordInfo {
        &RECORDS[self.index()]
    }

    /// Place of the type in the registry, dense from 0.
    pub fn index(self) -> usize {
        usize::from(self as u8)
    }

    /// Name on the command line, in tables and metrics.
    pub fn name(self) -> &'static str {
        self.info().name
    }

    /// The type of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        RECORDS.iter().find(|info| info.name == name).map(|info| info.record_type)
    }

    /// Name of the topic that carries the type: the prefix, and the name with `-` for `_`.
    ///
    /// ```
    /// # use weir_contract::RecordType;
    /// assert_eq!(RecordType::Dns.topic("weir"), "weir-dns");
    /// ```
    pub fn topic(self, prefix: &str) -> String {
        format!("{prefix}-{}", self.name().replace('_', "-"))
    }
}

/// A set of record types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selection([u64; 4]);

impl Default for Selection {
    /// All types but those that are opt-in.
    fn default() -> Self {
        let mut selection = Self::none();
        for info in RECORDS.iter().filter(|info| !info.opt_in) {
            selection.set(info.record_type, true);
        }
        selection
    }
}

impl Selection {
    /// No type at all.
    pub const fn none() -> Self {
        Self([0; 4])
    }

    /// Every type.
    pub fn all() -> Self {
        let mut selection = Self::none();
        for info in &RECORDS {
            selection.set(info.record_type, true);
        }
        selection
    }

    /// Whether the type is selected.
    #[inline]
    pub fn contains(&self, record_type: RecordType) -> bool {
        let index = record_type.index();
        self.0[index / 64] >> (index % 64) & 1 == 1
    }

    /// The selected types, in the order of the registry.
    pub fn types(&self) -> impl Iterator<Item = RecordType> {
        let selection = *self;
        RECORDS.iter().map(|info| info.record_type).filter(move |&record_type| selection.contains(record_type))
    }

    fn set(&mut self, record_type: RecordType, on: bool) {
        let index = record_type.index();
        let bit = 1 << (index % 64);
        if on { self.0[index / 64] |= bit } else { self.0[index / 64] &= !bit }
    }

    /// Reads a selection: names of types or groups, separated by commas. A list whose first word has
    /// `+` or `-` changes the default selection, any other list is the selection. `default` and `all`
    /// are groups too.
    ///
    /// ```
    /// # use weir_contract::{RecordType, Selection};
    /// let selection = Selection::parse("+packet-layers,-dns").unwrap();
    /// assert!(selection.contains(RecordType::Tcp) && !selection.contains(RecordType::Dns));
    /// ```
    ///
    /// # Errors
    ///
    /// Names the word that is neither a type nor a group, and the nearest one that is.
    pub fn parse(text: &str) -> Result<Self, UnknownRecord> {
        let words: Vec<&str> = text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
        let relative = words.first().is_none_or(|word| word.starts_with(['+', '-']));
        let mut selection = if relative { Self::default() } else { Self::none() };
        for word in words {
            let on = !word.starts_with('-');
            let name = word.trim_start_matches(['+', '-']).replace('_', "-").to_ascii_lowercase();
            let matches = |info: &RecordInfo| {
                name == "all"
                    || (name == "default" && !info.opt_in)
                    || info.name.replace('_', "-") == name
                    || info.message.eq_ignore_ascii_case(&name)
                    || info.groups.contains(&name.as_str())
            };
            let mut found = false;
            for info in RECORDS.iter().filter(|info| matches(info)) {
                selection.set(info.record_type, on);
                found = true;
            }
            if !found {
                return Err(UnknownRecord { nearest: nearest(&name), name: word.to_owned() });
            }
        }
        Ok(selection)
    }

    /// Every group of the registry, sorted, with `all` and `default`.
    pub fn groups() -> Vec<&'static str> {
        let mut groups: Vec<_> = RECORDS.iter().flat_map(|info| info.groups.iter().copied()).collect();
        groups.extend(["all", "default"]);
        groups.sort_unstable();
        groups.dedup();
        groups
    }
}

/// A name that is neither a record type nor a group.
#[derive(Debug, PartialEq, Eq)]
pub struct UnknownRecord {
    /// The name.
    pub name: String,
    /// The nearest name that exists.
    pub nearest: String,
}

impl fmt::Display for UnknownRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no record type or group is called `{}`; did you mean `{}`? `weir records` lists them",
            self.name, self.nearest
        )
    }
}

impl std::error::Error for UnknownRecord {}

fn nearest(name: &str) -> String {
    let names = RECORDS.iter().map(|info| info.name.replace('_', "-"));
    let groups = Selection::groups().into_iter().map(str::to_owned);
    crate::text::nearest(name, names.chain(groups)).unwrap_or_default()
}
