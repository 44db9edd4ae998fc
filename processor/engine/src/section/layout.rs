//! How states are laid out, found by asking for one: a deserializer that answers every question and takes notes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::PathBuf,
};

use serde::{
    Deserializer,
    de::{
        DeserializeOwned, DeserializeSeed, EnumAccess, Error as _, IntoDeserializer as _, MapAccess, SeqAccess,
        VariantAccess, Visitor,
        value::{self, Error},
    },
};

/// Elements of a list of bytes: as many as the state of a hash has, which takes no other number.
const BYTES: usize = 104;

/// Questions until each choice was seen.
const ROUNDS_MAX: usize = 100;

/// The layout of one section.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    name: String,
    number: u32,
    /// Its types, each on a line.
    types: String,
}

impl Layout {
    pub(crate) fn of<T: DeserializeOwned>(name: &str, number: u32) -> Self {
        let mut types = Types::default();
        let mut shape = String::new();
        for round in 0.. {
            shape.clear();
            T::deserialize(Trace { types: &mut types, shape: &mut shape }).unwrap();
            if types.is_complete() {
                break;
            }
            assert!(round < ROUNDS_MAX, "{name}: {types:?}");
        }
        Self { name: name.to_owned(), number, types: format!("    {shape}\n{}", types.text()) }
    }

    fn text(&self) -> String {
        format!("{} {}\n{}", self.name, self.number, self.types)
    }
}

/// Names of fields or choices.
type Names = &'static [&'static str];

/// Structs and enums.
#[derive(Debug, Default)]
struct Types {
    structs: BTreeSet<(&'static str, String)>,
    enums: BTreeMap<(&'static str, Names), Choices>,
}

#[derive(Debug, Default)]
struct Choices {
    shapes: BTreeMap<usize, String>,
    next: usize,
}

impl Types {
    fn is_complete(&self) -> bool {
        self.enums.iter().all(|((_, names), choices)| choices.shapes.len() == names.len())
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (name, shape) in &self.structs {
            writeln!(text, "    {name} ={shape}").unwrap();
        }
        for ((name, names), choices) in &self.enums {
            writeln!(text, "    {name} =").unwrap();
            for (name, shape) in names.iter().zip(choices.shapes.values()) {
                writeln!(text, "        | {name}{shape}").unwrap();
            }
        }
        text
    }
}

/// Answers questions, and notes in `shape` what they were.
struct Trace<'t> {
    types: &'t mut Types,
    shape: &'t mut String,
}

/// The fields of a struct or the elements of a tuple or list, `left` of which are to come.
struct Fields<'t> {
    types: &'t mut Types,
    names: Names,
    shapes: Vec<String>,
    left: usize,
}

impl<'t> Fields<'t> {
    fn new(types: &'t mut Types, names: Names, left: usize) -> Self {
        Self { types, names, shapes: Vec::new(), left }
    }

    fn next<'de, S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        let mut shape = String::new();
        let value = seed.deserialize(Trace { types: self.types, shape: &mut shape })?;
        self.shapes.push(shape);
        Ok(value)
    }

    /// Of a struct or tuple.
    fn text(self) -> String {
        let count = self.shapes.len();
        match &self.shapes[..] {
            [first, rest @ ..] if self.names.is_empty() && count > 1 && rest.iter().all(|shape| shape == first) => {
                format!("[{first}; {count}]")
            }
            shapes if self.names.is_empty() => format!("({})", shapes.join(", ")),
            shapes => {
                let fields = self.names.iter().zip(shapes);
                fields.map(|(name, shape)| format!("\n        {name}: {shape}")).collect()
            }
        }
    }
}

impl<'de> SeqAccess<'de> for &mut Fields<'_> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.next(seed).map(Some)
    }
}

/// A list: one element, or as many bytes as are needed.
struct List<'t>(Fields<'t>);

impl<'de> SeqAccess<'de> for &mut List<'_> {
    type Error = Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        let most = match self.0.shapes.first() {
            Some(shape) if shape == "u8" => BYTES,
            _ => 1,
        };
        if self.0.shapes.len() == most { Ok(None) } else { self.0.next(seed).map(Some) }
    }
}

/// A map of one entry.
impl<'de> MapAccess<'de> for &mut Fields<'_> {
    type Error = Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Error> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Error> {
        self.next(seed)
    }
}

/// A choice of an enum.
struct Choice<'t> {
    types: &'t mut Types,
    at: usize,
    shape: &'t mut String,
}

impl<'de> EnumAccess<'de> for Choice<'_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Error> {
        let at = u32::try_from(self.at).unwrap();
        let name: value::U32Deserializer<Error> = at.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for Choice<'_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        let mut fields = Fields::new(self.types, &[], 1);
        let value = fields.next(seed)?;
        *self.shape = fields.text();
        Ok(value)
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Error> {
        let mut fields = Fields::new(self.types, &[], length);
        let value = visitor.visit_seq(&mut fields)?;
        *self.shape = fields.text();
        Ok(value)
    }

    fn struct_variant<V: Visitor<'de>>(self, names: Names, visitor: V) -> Result<V::Value, Error> {
        let mut fields = Fields::new(self.types, names, names.len());
        let value = visitor.visit_seq(&mut fields)?;
        *self.shape = fields.text().replace("\n    ", "\n        ");
        Ok(value)
    }
}

/// Answers of types without parts: nothing and zero.
macro_rules! plain {
    ($($question:ident $answer:ident $value:expr, $shape:literal;)+) => {
        $(fn $question<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.shape.push_str($shape);
            visitor.$answer($value)
        })+
    };
}

impl<'de> Deserializer<'de> for Trace<'_> {
    type Error = Error;

    plain! {
        deserialize_bool visit_bool false, "bool";
        deserialize_i8 visit_i8 0, "i8";
        deserialize_i16 visit_i16 0, "i16";
        deserialize_i32 visit_i32 0, "i32";
        deserialize_i64 visit_i64 0, "i64";
        deserialize_i128 visit_i128 0, "i128";
        deserialize_u8 visit_u8 0, "u8";
        deserialize_u16 visit_u16 0, "u16";
        deserialize_u32 visit_u32 0, "u32";
        deserialize_u64 visit_u64 0, "u64";
        deserialize_u128 visit_u128 0, "u128";
        deserialize_f32 visit_f32 0.0, "f32";
        deserialize_f64 visit_f64 0.0, "f64";
        deserialize_char visit_char ' ', "char";
        deserialize_str visit_str "", "string";
        deserialize_string visit_str "", "string";
        deserialize_bytes visit_bytes &[], "bytes";
        deserialize_byte_buf visit_bytes &[], "bytes";
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Error> {
        Err(Error::custom("a state has to know what it is made of"))
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.shape.push_str("nothing");
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.shape.push_str("option of ");
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let mut list = List(Fields::new(self.types, &[], 0));
        let value = visitor.visit_seq(&mut list)?;
        let shape = list.0.shapes.first().unwrap();
        write!(self.shape, "list of {shape}").unwrap();
        Ok(value)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let mut entry = Fields::new(self.types, &[], 1);
        let value = visitor.visit_map(&mut entry)?;
        write!(self.shape, "map of {} to {}", entry.shapes[0], entry.shapes[1]).unwrap();
        Ok(value)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Error> {
        let mut fields = Fields::new(self.types, &[], length);
        let value = visitor.visit_seq(&mut fields)?;
        self.shape.push_str(&fields.text());
        Ok(value)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        names: Names,
        visitor: V,
    ) -> Result<V::Value, Error> {
        let mut fields = Fields::new(&mut *self.types, names, names.len());
        let value = visitor.visit_seq(&mut fields)?;
        let shape = fields.text();
        self.types.structs.insert((name, shape));
        self.shape.push_str(name);
        Ok(value)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        names: Names,
        visitor: V,
    ) -> Result<V::Value, Error> {
        let choices = self.types.enums.entry((name, names)).or_default();
        let at = choices.next % names.len();
        choices.next += 1;
        let mut shape = String::new();
        let value = visitor.visit_enum(Choice { types: &mut *self.types, at, shape: &mut shape })?;
        self.types.enums.entry((name, names)).or_default().shapes.insert(at, shape);
        self.shape.push_str(name);
        Ok(value)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_any(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_any(visitor)
    }
}

/// Layouts and their numbers as they were last.
fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/section/layouts.txt")
}

/// The number that a text has for a layout, and its types.
fn kept<'t>(text: &'t str, name: &str) -> Option<(u32, &'t str)> {
    let begin = text.split_inclusive('\n').scan(0, |end, line| {
        *end += line.len();
        Some((*end, line))
    });
    let mut heads = begin.filter(|(_, line)| !line.starts_with(' '));
    let (types, number) = heads.find_map(|(end, line)| {
        let number = line.trim_end().strip_prefix(name)?.strip_prefix(' ')?;
        Some((&text[end..], number.parse().ok()?))
    })?;
    let end: usize = types.split_inclusive('\n').take_while(|line| line.starts_with(' ')).map(str::len).sum();
    Some((number, &types[..end]))
}

#[test]
#[allow(clippy::disallowed_methods)]
fn a_layout_that_changes_has_another_number() {
    let layouts = crate::snapshot::layouts();
    let before = fs::read_to_string(path()).unwrap_or_default();
    for layout in &layouts {
        let Some((number, types)) = kept(&before, &layout.name) else { continue };
        assert!(
            types == layout.types || number != layout.number,
            "a build before this one lays {} out otherwise, so what it saved would be misread: raise its LAYOUT\n{types}\n{}",
            layout.name,
            layout.types
        );
    }
    let now: String = layouts.iter().map(Layout::text).collect();
    if std::env::var_os("UPDATE_LAYOUTS").is_some() {
        fs::write(path(), &now).unwrap();
    } else {
        assert_eq!(before, now, "UPDATE_LAYOUTS=1 cargo test -p weir-engine layout writes it anew");
    }
}

#[test]
fn layouts_tell_of_every_part() {
    #[derive(serde::Deserialize)]
    #[allow(dead_code)]
    enum Choice {
        None,
        Pair(u8, u16),
        Named { list: Vec<Option<i64>> },
    }

    #[derive(serde::Deserialize)]
    #[allow(dead_code)]
    struct State {
        choice: Choice,
        bytes: [u8; 4],
        names: BTreeMap<u32, String>,
    }

    let layout = Layout::of::<State>("test", 3);
    let expected = "test 3
    State
    State =
        choice: Choice
        bytes: [u8; 4]
        names: map of u32 to string
    Choice =
        | None
        | Pair(u8, u16)
        | Named
            list: list of option of i64
";
    assert_eq!(layout.text(), expected);
    assert_eq!(kept(&format!("a 1\n    x\n{expected}b 2\n"), "test"), Some((3, &layout.types[..])));
}
