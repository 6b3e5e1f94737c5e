//! The shape of records as text, and whether it changed by the rule.
//!
//! Owns the comparison of what a crate's types are with what they were when its golden file was written. For tests only:
//! the types themselves say what they are (each is deserialized from nothing, variant by variant), so that nothing has to
//! be kept in step by hand.

use std::{collections::BTreeMap, fmt::Write, path::Path};

use serde::{
    Deserialize,
    de::{
        DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
        VariantAccess, Visitor, value::U32Deserializer,
    },
};

use crate::Fault;

/// Compares the records that `name` names with the golden file, in which they stand as they were once. The error is a
/// sentence that says what to do. With `CALLARBITER_GOLDEN=layout` what is new and allowed is written into the file.
pub fn check(golden: &Path, name: impl Fn(&mut Layout)) -> Result<(), String> {
    let mut present = Layout::default();
    name(&mut present);
    let present = present.to_text();
    let past = std::fs::read_to_string(golden).unwrap_or_default();
    differences(&past, &present)?;
    // As if an earlier version had written it.
    let mut earlier = Layout { written: Some(fields(&past)), ..Layout::default() };
    name(&mut earlier);
    if let Some(record) = earlier.refused {
        return Err(format!(
            "{record} cannot be read as earlier versions wrote it: each field that was added to it, or to a type in it, \
             needs #[serde(default)]"
        ));
    }
    if past == present {
        return Ok(());
    }
    if std::env::var("CALLARBITER_GOLDEN").is_ok_and(|what| what == "layout") {
        return std::fs::write(golden, present).map_err(|error| error.to_string());
    }
    Err(format!(
        "what was added to the saved state is added by the rule; now write it down, so that it stays: run this test with \
         CALLARBITER_GOLDEN=layout and commit {}",
        golden.display()
    ))
}

/// The shape of each type that was met, and of each record.
#[derive(Debug, Default)]
pub struct Layout {
    types: BTreeMap<&'static str, Type>,
    records: Vec<(String, String)>,
    /// How many fields an earlier version wrote of each struct and variant.
    written: Option<BTreeMap<String, usize>>,
    refused: Option<String>,
}

#[derive(Debug, Default)]
struct Type {
    what: &'static str,
    members: Vec<(&'static str, String)>,
    /// Which variant comes next.
    turn: usize,
}

/// More than any type needs until each variant of each enum in it had its turn.
const TURNS: usize = 2000;

impl Layout {
    /// Takes a record in.
    pub fn record<'de, T: Deserialize<'de>>(&mut self, name: impl Into<String>) {
        let name = name.into();
        let mut told = String::new();
        for _ in 0..TURNS {
            told.clear();
            if T::deserialize(Probe { layout: self, told: &mut told }).is_err() {
                self.refused.get_or_insert_with(|| name.clone());
                return;
            }
        }
        self.records.push((name, told));
    }

    fn to_text(&self) -> String {
        let mut text = String::from(
            "What is in the saved state: fields are told by place, variants and records by number.\n",
        );
        let records = self.records.iter().map(|(name, told)| (name.as_str(), told));
        list(&mut text, "the", "records", records);
        for (name, Type { what, members, .. }) in &self.types {
            list(&mut text, what, name, members.iter().map(|(name, told)| (*name, told)));
        }
        text
    }

    /// How many of these fields are there.
    fn fields(&self, of: &str, known: usize) -> usize {
        let written = self.written.as_ref().and_then(|written| written.get(of));
        written.map_or(known, |written| known.min(*written))
    }
}

fn list<'a>(
    text: &mut String,
    what: &str,
    name: &str,
    members: impl Iterator<Item = (&'a str, &'a String)>,
) {
    let _ = writeln!(text, "\n{what} {name}");
    for (member, told) in members {
        let beside = what == "enum" && told.starts_with('(');
        let space = if told.is_empty() || beside { "" } else { " " };
        let _ = writeln!(text, "    {member}{space}{told}");
    }
}

/// Names of types, and what stands below each.
fn parts(text: &str) -> BTreeMap<&str, Vec<&str>> {
    let blocks = text.split("\n\n").map(|block| {
        let (name, members) = block.trim_end().split_once('\n').unwrap_or((block.trim_end(), ""));
        (name, members.lines().map(str::trim).collect())
    });
    blocks.skip(1).collect()
}

/// Whether everything that was is still there, in its place.
fn differences(past: &str, present: &str) -> Result<(), String> {
    let present = parts(present);
    for (name, members) in parts(past) {
        let now = present.get(name).ok_or_else(|| {
            format!("{name} is in states that are on disks now, and is not known any more: keep it")
        })?;
        for (n, member) in members.iter().enumerate() {
            let grown = |now: &&str| {
                let begins = member.strip_suffix(" }").map(|begins| format!("{begins}, "));
                now == member || begins.is_some_and(|begins| now.starts_with(&begins))
            };
            let now = now.get(n).copied().unwrap_or("nothing");
            if !grown(&now) {
                return Err(format!(
                    "{name}: where `{member}` stood there is `{now}` now. What is saved is told by its place alone: put \
                     what is new last (a field with #[serde(default)]), and leave what was there as and where it was"
                ));
            }
        }
    }
    Ok(())
}

/// How many fields each struct and each variant had.
fn fields(text: &str) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    for (name, members) in parts(text) {
        let (what, name) = name.split_once(' ').unwrap_or_default();
        if what == "struct" {
            all.insert(name.to_owned(), members.len());
        }
        for (variant, rest) in members.iter().filter_map(|member| member.split_once(" { ")) {
            all.insert(format!("{name}::{variant}"), rest.split(", ").count());
        }
    }
    all
}

/// Gives a type what it asks for, and notes what that is.
struct Probe<'l, 't> {
    layout: &'l mut Layout,
    told: &'t mut String,
}

/// What was told of an item.
type Told = String;

impl Probe<'_, '_> {
    /// A value of so many items; what each of them is.
    fn items<'de, V: Visitor<'de>>(
        &mut self,
        left: usize,
        visitor: V,
    ) -> Result<(V::Value, Vec<Told>), Fault> {
        let mut items = Items { layout: self.layout, left, told: Vec::new() };
        let value = visitor.visit_seq(&mut items)?;
        Ok((value, items.told))
    }
}

macro_rules! plain {
    ($($name:ident: $told:literal, $visit:ident($value:expr);)*) => {$(
        fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            self.told.push_str($told);
            visitor.$visit($value)
        }
    )*};
}

/// Long enough for what has a fixed length.
const BYTES: &[u8] = &[0; 16];

impl<'de> Deserializer<'de> for Probe<'_, '_> {
    type Error = Fault;

    plain! {
        deserialize_bool: "bool", visit_bool(false);
        deserialize_u8: "u8", visit_u8(0);
        deserialize_u16: "u16", visit_u16(0);
        deserialize_u32: "u32", visit_u32(0);
        deserialize_u64: "u64", visit_u64(0);
        deserialize_str: "str", visit_borrowed_str("");
        deserialize_string: "str", visit_borrowed_str("");
        deserialize_bytes: "bytes", visit_borrowed_bytes(BYTES);
        deserialize_byte_buf: "bytes", visit_borrowed_bytes(BYTES);
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 f32 f64 char identifier ignored_any
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Fault> {
        Err(Fault::Damaged("no record has this"))
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.told.push_str("nothing");
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.told.push_str("optional ");
        visitor.visit_some(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Fault> {
        let (value, told) = self.items(1, visitor)?;
        let _ = write!(self.told, "list of {}", told.concat());
        Ok(value)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        mut self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let (value, told) = self.items(length, visitor)?;
        let _ = write!(self.told, "({})", told.join(", "));
        Ok(value)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.told.push_str(name);
        self.deserialize_tuple(fields, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let mut items = Items { layout: self.layout, left: 1, told: Vec::new() };
        let value = visitor.visit_map(&mut items)?;
        let _ = write!(self.told, "map of {}", items.told.join(" to "));
        Ok(value)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        mut self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.told.push_str(name);
        let there = self.layout.fields(name, fields.len());
        let (value, told) = self.items(there, visitor)?;
        let members = fields.iter().copied().zip(told).collect::<Vec<_>>();
        let known = self.layout.types.entry(name).or_default();
        assert!(
            known.members.is_empty() || known.members == members,
            "two types of the saved state are called {name}: give one another name, #[serde(rename)]"
        );
        *known = Type { what: "struct", members, turn: 0 };
        Ok(value)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.told.push_str(name);
        let known = self.layout.types.entry(name).or_default();
        if known.members.is_empty() {
            known.what = "enum";
            known.members = variants.iter().map(|variant| (*variant, String::new())).collect();
        }
        let turn = known.turn;
        known.turn = (turn + 1) % variants.len().max(1);
        visitor.visit_enum(Variant { layout: self.layout, of: name, turn })
    }
}

struct Items<'l> {
    layout: &'l mut Layout,
    left: usize,
    told: Vec<Told>,
}

impl Items<'_> {
    fn give<'de, T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Fault> {
        let mut told = String::new();
        let value = seed.deserialize(Probe { layout: self.layout, told: &mut told })?;
        self.told.push(told);
        Ok(value)
    }
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.give(seed).map(Some)
    }
}

impl<'de> MapAccess<'de> for Items<'_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        self.give(seed)
    }
}

struct Variant<'l> {
    layout: &'l mut Layout,
    of: &'static str,
    turn: usize,
}

impl Variant<'_> {
    fn note(&mut self, told: String) {
        let of = self.layout.types.get_mut(self.of);
        if let Some((_, member)) = of.and_then(|of| of.members.get_mut(self.turn)) {
            *member = told;
        }
    }
}

impl<'de> EnumAccess<'de> for Variant<'_> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        let place: U32Deserializer<Fault> = (self.turn as u32).into_deserializer();
        Ok((seed.deserialize(place)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(mut self, seed: T) -> Result<T::Value, Fault> {
        let mut told = String::new();
        let value = seed.deserialize(Probe { layout: self.layout, told: &mut told })?;
        self.note(format!("({told})"));
        Ok(value)
    }

    fn tuple_variant<V: Visitor<'de>>(
        mut self,
        fields: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let mut told = String::new();
        let probe = Probe { layout: self.layout, told: &mut told };
        let value = probe.deserialize_tuple(fields, visitor)?;
        self.note(told);
        Ok(value)
    }

    fn struct_variant<V: Visitor<'de>>(
        mut self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let of = self.layout.types.get(self.of).and_then(|of| of.members.get(self.turn));
        let name = format!("{}::{}", self.of, of.map_or("", |(variant, _)| variant));
        let there = self.layout.fields(&name, fields.len());
        let mut items = Items { layout: self.layout, left: there, told: Vec::new() };
        let value = visitor.visit_seq(&mut items)?;
        let told = fields.iter().zip(items.told).map(|(name, told)| format!("{name} {told}"));
        let told = told.collect::<Vec<_>>().join(", ");
        self.note(format!("{{ {told} }}"));
        Ok(value)
    }
}
