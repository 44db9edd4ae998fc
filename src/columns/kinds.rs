//! The kinds of columns that messages are made of: leaves, and what wraps them.

use std::{mem, sync::Arc};

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, ListArray, PrimitiveArray, StringArray, StructArray,
};
use arrow::buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::error::ArrowError;

use super::schema;
use super::wire::{Input, Key, LENGTH, Reader, Scalar, Text};
use crate::{FieldInfo, FieldKind};

/// Part of a record batch under construction.
pub(super) trait Column {
    /// Bytes of memory that it has, with room for rows to come.
    fn allocated(&self) -> usize;

    /// Keeps the first `rows` rows, and nothing of a row that was begun.
    fn truncate(&mut self, rows: usize);

    /// Takes the rows out, as an array of the type that `info` describes.
    fn finish(&mut self, info: &FieldInfo, nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError>;
}

/// A column of which a list has many items in a row.
pub(super) trait Items: Column + Default {
    fn len(&self) -> usize;

    /// Reads one occurrence of a repeated field, and gives the offset behind it.
    fn append(&mut self, key: Key, reader: Reader<'_>) -> Option<usize>;
}

/// A column of single values.
pub(super) trait Scalars: Items {
    type Item<'a>: Default;

    fn push(&mut self, item: Self::Item<'_>);
}

/// The columns of one message. Implemented by generated code.
pub(super) trait Message: Default {
    /// What was read of a message that has not ended.
    type Row<'a>: Default;

    /// Reads one field.
    fn field<'a>(&mut self, row: &mut Self::Row<'a>, key: Key, reader: &mut Reader<'a>) -> Option<()>;

    /// Ends the row.
    fn push(&mut self, row: &Self::Row<'_>);

    /// Bytes of memory that the columns have.
    fn allocated(&self) -> usize;

    /// Every column, in the order of the message's declaration.
    fn columns<'a>(&'a mut self, out: &mut Vec<&'a mut dyn Column>);

    /// Reads fields up to the offset `end`, and gives it back.
    #[inline(never)]
    fn fields<'a>(&mut self, row: &mut Self::Row<'a>, end: usize, mut reader: Reader<'a>) -> Option<usize> {
        while reader.at() < end {
            let key = reader.key()?;
            if self.field(row, key, &mut reader).is_none() {
                return reader.blame(key);
            }
        }
        reader.leave(end)
    }

    /// Reads one occurrence of the message into a row that may hold fields of earlier ones, and gives
    /// the offset behind it.
    #[inline]
    fn merge<'a>(&mut self, row: &mut Self::Row<'a>, key: Key, mut reader: Reader<'a>) -> Option<usize> {
        let end = reader.enter(key)?;
        self.fields(row, end, reader)
    }
}

/// A record's columns, whatever its type.
pub(super) trait Table: Send {
    /// Reads one record. After a fault the columns hold parts of it.
    fn push_record(&mut self, input: &Input<'_>) -> Option<()>;

    /// Bytes of memory that the columns have.
    fn all_allocated(&self) -> usize;

    /// Every column, Meta's first.
    fn all_columns(&mut self) -> Vec<&mut dyn Column>;
}

impl<M: Message + Send> Table for M {
    fn push_record(&mut self, input: &Input<'_>) -> Option<()> {
        let mut row = M::Row::default();
        self.fields(&mut row, input.end(), input.reader())?;
        self.push(&row);
        Some(())
    }

    fn all_allocated(&self) -> usize {
        self.allocated()
    }

    fn all_columns(&mut self) -> Vec<&mut dyn Column> {
        let mut columns = Vec::new();
        self.columns(&mut columns);
        columns
    }
}

/// Numbers of one width.
pub(super) struct Numbers<T: ArrowPrimitiveType>(Vec<T::Native>);

impl<T: ArrowPrimitiveType> Default for Numbers<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: ArrowPrimitiveType> Column for Numbers<T> {
    fn allocated(&self) -> usize {
        self.0.capacity() * size_of::<T::Native>()
    }

    fn truncate(&mut self, rows: usize) {
        self.0.truncate(rows);
    }

    fn finish(&mut self, _: &FieldInfo, nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
        let values = mem::take(&mut self.0);
        Ok(Arc::new(PrimitiveArray::<T>::try_new(values.into(), nulls)?))
    }
}

impl<T: ArrowPrimitiveType> Items for Numbers<T>
where
    T::Native: for<'a> Scalar<'a>,
{
    fn len(&self) -> usize {
        self.0.len()
    }

    fn append(&mut self, key: Key, reader: Reader<'_>) -> Option<usize> {
        append_packable(key, reader, |item| self.0.push(item))
    }
}

impl<T: ArrowPrimitiveType> Scalars for Numbers<T>
where
    T::Native: for<'a> Scalar<'a>,
{
    type Item<'a> = T::Native;

    #[inline]
    fn push(&mut self, item: T::Native) {
        self.0.push(item);
    }
}

/// Truth values.
///
/// They are packed to bits at the end: cheaper than bit by bit.
#[derive(Default)]
pub(super) struct Bools(Vec<bool>);

impl Column for Bools {
    fn allocated(&self) -> usize {
        self.0.capacity()
    }

    fn truncate(&mut self, rows: usize) {
        self.0.truncate(rows);
    }

    fn finish(&mut self, _: &FieldInfo, nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
        Ok(Arc::new(BooleanArray::new(mem::take(&mut self.0).into(), nulls)))
    }
}

impl Items for Bools {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn append(&mut self, key: Key, reader: Reader<'_>) -> Option<usize> {
        append_packable(key, reader, |item| self.0.push(item))
    }
}

impl Scalars for Bools {
    type Item<'a> = bool;

    #[inline]
    fn push(&mut self, item: bool) {
        self.0.push(item);
    }
}

/// Numbers of a closed set, which leave as names.
#[derive(Default)]
pub(super) struct Enums(Vec<i32>);

impl Column for Enums {
    fn allocated(&self) -> usize {
        self.0.capacity() * size_of::<i32>()
    }

    fn truncate(&mut self, rows: usize) {
        self.0.truncate(rows);
    }

    fn finish(&mut self, info: &FieldInfo, nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
        let FieldKind::Enum(_, names) = info.kind else {
            return Err(ArrowError::SchemaError(format!("`{}` is no enum", info.name)));
        };
        let mut texts = Bytes::default();
        for number in mem::take(&mut self.0) {
            match names.iter().find(|(known, _)| *known == number) {
                Some((_, name)) => texts.push(name.as_bytes()),
                // A newer sender's value: its number is the only name it has here.
                None => texts.push(number.to_string().as_bytes()),
            }
        }
        let (offsets, data) = texts.finish();
        Ok(Arc::new(StringArray::try_new(offsets, data, nulls)?))
    }
}

impl Items for Enums {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn append(&mut self, key: Key, reader: Reader<'_>) -> Option<usize> {
        append_packable(key, reader, |item| self.0.push(item))
    }
}

impl Scalars for Enums {
    type Item<'a> = i32;

    #[inline]
    fn push(&mut self, item: i32) {
        self.0.push(item);
    }
}

/// Reads one occurrence of a repeated number: one value, or any number of them packed.
fn append_packable<'a, T: Scalar<'a>>(key: Key, mut reader: Reader<'a>, mut push: impl FnMut(T)) -> Option<usize> {
    if key.wire_type != LENGTH {
        push(reader.scalar(key)?);
        return Some(reader.at());
    }
    let end = reader.enter(key)?;
    while reader.at() < end {
        push(T::decode(&mut reader)?);
    }
    reader.leave(end)
}

/// Byte strings, one behind the other.
struct Bytes {
    offsets: Vec<i32>,
    data: Vec<u8>,
}

impl Default for Bytes {
    fn default() -> Self {
        Self { offsets: vec![0], data: Vec::new() }
    }
}

impl Bytes {
    fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    fn allocated(&self) -> usize {
        self.offsets.capacity() * size_of::<i32>() + self.data.capacity()
    }

    #[inline]
    fn push(&mut self, item: &[u8]) {
        self.data.extend_from_slice(item);
        self.offsets.push(offset(self.data.len()));
    }

    fn truncate(&mut self, rows: usize) {
        self.offsets.truncate(rows + 1);
        self.data.truncate(last(&self.offsets));
    }

    fn finish(&mut self) -> (OffsetBuffer<i32>, Buffer) {
        let Self { offsets, data } = mem::take(self);
        (OffsetBuffer::new(ScalarBuffer::from(offsets)), Buffer::from_vec(data))
    }
}

/// Text.
#[derive(Default)]
pub(super) struct Texts(Bytes);

impl Column for Texts {
    fn allocated(&self) -> usize {
        self.0.allocated()
    }

    fn truncate(&mut self, rows: usize) {
        self.0.truncate(rows);
    }

    fn finish(&mut self, _: &FieldInfo, nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
        let (offsets, data) = self.0.finish();
        Ok(Arc::new(StringArray::try_new(offsets, data, nulls)?))
    }
}

impl Items for Texts {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn append(&mut self, key: Key, mut reader: Reader<'_>) -> Option<usize> {
        self.push(reader.scalar(key)?);
        Some(reader.at())
    }
}

impl Scalars for Texts {
    type Item<'a> = Text<'a>;

    #[inline]
    fn push(&mut self, item: Text<'_>) {
        self.0.push(item.0);
    }
}

/// Bytes.
#[derive(Default)]
pub(super) struct Blobs(Bytes);

impl Column for Blobs {
    fn allocated(&self) -> usize {
        self.0.allocated()
    }

    fn truncate(&mut self, rows: usize) {
        self.0.truncate(rows);
    }

    fn finish(&mut self, _: &FieldInfo, nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
        let (offsets, data) = self.0.finish();
        Ok(Arc::new(BinaryArray::try_new(offsets, data, nulls)?))
    }
}

impl Items for Blobs {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn append(&mut self, key: Key, mut reader: Reader<'_>) -> Option<usize> {
        self.push(reader.scalar(key)?);
        Some(reader.at())
    }
}

impl Scalars for Blobs {
    type Item<'a> = &'a [u8];

    #[inline]
    fn push(&mut self, item: &[u8]) {
        self.0.push(item);
    }
}

/// Nested messages: one row each.
#[derive(Default)]
pub(super) struct Messages<M> {
    rows: usize,
    columns: M,
}

impl<M: Message> Column for Messages<M> {
    fn allocated(&self) -> usize {
        self.columns.allocated()
    }

    fn truncate(&mut self, rows: usize) {
        self.rows = rows;
        let mut columns = Vec::new();
        self.columns.columns(&mut columns);
        for column in columns {
            column.truncate(rows);
        }
    }

    fn finish(&mut self, info: &FieldInfo, nulls: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
        let rows = mem::take(&mut self.rows);
        let mut columns = Vec::new();
        self.columns.columns(&mut columns);
        let arrays = finish_all(columns, info.fields)?;
        Ok(Arc::new(StructArray::try_new_with_length(schema::fields(info.fields), arrays, nulls, rows)?))
    }
}

impl<M: Message> Messages<M> {
    #[inline]
    fn push(&mut self, row: &M::Row<'_>) {
        self.rows += 1;
        self.columns.push(row);
    }
}

impl<M: Message> Items for Messages<M> {
    fn len(&self) -> usize {
        self.rows
    }

    fn append(&mut self, key: Key, reader: Reader<'_>) -> Option<usize> {
        let mut row = M::Row::default();
        let end = self.columns.merge(&mut row, key, reader)?;
        self.push(&row);
        Some(end)
    }
}

/// Finishes columns that stand side by side.
pub(super) fn finish_all(columns: Vec<&mut dyn Column>, infos: &[FieldInfo]) -> Result<Vec<ArrayRef>, ArrowError> {
    columns.into_iter().zip(infos).map(|(column, info)| column.finish(info, None)).collect()
}

/// Values of which some are absent.
#[derive(Default)]
pub(super) struct Optional<C> {
    present: Vec<bool>,
    values: C,
}

impl<C: Scalars> Optional<C> {
    #[inline]
    pub fn push(&mut self, item: Option<C::Item<'_>>) {
        self.present.push(item.is_some());
        self.values.push(item.unwrap_or_default());
    }
}

#[allow(dead_code, reason = "needed once a message of `proto/` holds another one singly")]
impl<M: Message> Optional<Messages<M>> {
    /// Reads one occurrence of a message that should occur once; further ones merge into the first.
    pub fn merge<'a>(&mut self, row: &mut Option<M::Row<'a>>, key: Key, reader: Reader<'a>) -> Option<usize> {
        self.values.columns.merge(row.get_or_insert_default(), key, reader)
    }

    pub fn push_row(&mut self, row: Option<&M::Row<'_>>) {
        self.present.push(row.is_some());
        match row {
            Some(row) => self.values.push(row),
            None => self.values.push(&M::Row::default()),
        }
    }
}

impl<C: Column> Column for Optional<C> {
    fn allocated(&self) -> usize {
        self.present.capacity() + self.values.allocated()
    }

    fn truncate(&mut self, rows: usize) {
        self.present.truncate(rows);
        self.values.truncate(rows);
    }

    fn finish(&mut self, info: &FieldInfo, _: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
        let nulls = NullBuffer::from(mem::take(&mut self.present));
        self.values.finish(info, Some(nulls).filter(|nulls| nulls.null_count() > 0))
    }
}

/// Lists of values. Items are pushed as they are met; the row's list is what came since the last one.
pub(super) struct Lists<C> {
    offsets: Vec<i32>,
    items: C,
}

impl<C: Default> Default for Lists<C> {
    fn default() -> Self {
        Self { offsets: vec![0], items: C::default() }
    }
}

impl<C: Items> Lists<C> {
    pub fn append(&mut self, key: Key, reader: Reader<'_>) -> Option<usize> {
        self.items.append(key, reader)
    }

    #[inline]
    pub fn close(&mut self) {
        self.offsets.push(offset(self.items.len()));
    }
}

impl<C: Items> Column for Lists<C> {
    fn allocated(&self) -> usize {
        self.offsets.capacity() * size_of::<i32>() + self.items.allocated()
    }

    fn truncate(&mut self, rows: usize) {
        self.offsets.truncate(rows + 1);
        self.items.truncate(last(&self.offsets));
    }

    fn finish(&mut self, info: &FieldInfo, _: Option<NullBuffer>) -> Result<ArrayRef, ArrowError> {
        let offsets = OffsetBuffer::new(mem::replace(&mut self.offsets, vec![0]).into());
        let items = self.items.finish(info, None)?;
        Ok(Arc::new(ListArray::try_new(schema::element(info), offsets, items, None)?))
    }
}

/// Lengths stay below 2³¹, since a batch is bounded: see [`BATCH_BYTES_MAX`](super::BATCH_BYTES_MAX).
/// (Packed enums grow most: from one byte to a name, which would have to exceed 31 letters.)
#[inline]
fn offset(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}

fn last(offsets: &[i32]) -> usize {
    offsets.last().and_then(|&offset| usize::try_from(offset).ok()).unwrap_or_default()
}
