//! HPACK (RFC 7541), read by somebody who may have missed something.
//!
//! No decoder on crates.io fits: each treats an index that it cannot resolve as the end of the connection. To this one
//! it is a field whose name or value is not known, while later insertions keep their right numbers.
//!
//! | module | what it is |
//! |---|---|
//! | `tables` | the tables of the RFC's appendices |
//! | `table` | static and dynamic table |
//! | `huffman` | the string code |

mod huffman;
mod table;
mod tables;

use table::{Found, Table};

/// Largest text of one field list that is kept; servers refuse more. Fields beyond are read and not kept.
const MAX_TEXT: usize = 64 * 1024;
/// Most size updates at the start of a block: the lowest and the last (§4.2).
const MAX_UPDATES: u8 = 2;
/// Largest table size that makes sense.
const MAX_LIMIT: usize = 1 << 24;

/// How reading a block ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it is read.
    Whole,
    /// It ends within a field.
    Cut,
    /// It is not HPACK.
    Invalid,
}

/// A list of fields; unknown parts are `None`.
#[derive(Debug, Default)]
pub struct Fields {
    text: Vec<u8>,
    fields: Vec<Field>,
}

#[derive(Clone, Copy, Debug)]
struct Field {
    /// Where in the text the name begins.
    start: u32,
    name: Option<u32>,
    value: Option<u32>,
    /// Of one that is not known at all: its place.
    place: Option<i64>,
}

impl Fields {
    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Option<&[u8]>, Option<&[u8]>)> {
        self.fields.iter().map(|field| {
            let text = &self.text[field.start as usize..];
            let (name, rest) = text.split_at(field.name.unwrap_or_default() as usize);
            (field.name.map(|_| name), field.value.map(|len| &rest[..len as usize]))
        })
    }

    /// Whether each field's name is known, in order, and if nothing of it is: the place in the table that it stands at. The same
    /// place is the same field, for one [`Decoder::number`].
    pub fn places(&self) -> impl Iterator<Item = (bool, Option<i64>)> {
        self.fields.iter().map(|field| (field.name.is_some(), field.place))
    }

    /// Forgets the list and keeps its memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.fields.clear();
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        self.text.capacity() + self.fields.capacity() * size_of::<Field>()
    }

    fn push(&mut self, name: Option<&[u8]>, value: Option<&[u8]>, place: Option<i64>) {
        let len = name.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
        if self.text.len() + len > MAX_TEXT || self.fields.len() * size_of::<Field>() > MAX_TEXT {
            return;
        }
        let start = self.text.len() as u32;
        self.text.extend_from_slice(name.unwrap_or_default());
        self.text.extend_from_slice(value.unwrap_or_default());
        let len = |text: &[u8]| text.len() as u32;
        self.fields.push(Field { start, name: name.map(len), value: value.map(len), place });
    }
}

/// The decoder of one direction.
#[derive(Debug)]
pub struct Decoder {
    table: Table,
    name: Vec<u8>,
    value: Vec<u8>,
    number: u32,
}

/// Reading stopped: `None` for want of bytes.
type Read<T> = Result<T, Outcome>;

/// What is left of a block.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    /// An integer whose first byte has `prefix` bits for it (§5.1).
    fn integer(&mut self, prefix: u32) -> Read<usize> {
        let mask = (1usize << prefix) - 1;
        let mut number = usize::from(self.byte()?) & mask;
        if number < mask {
            return Ok(number);
        }
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            number += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Outcome::Invalid)
    }

    fn byte(&mut self) -> Read<u8> {
        let (first, rest) = self.0.split_first().ok_or(Outcome::Cut)?;
        self.0 = rest;
        Ok(*first)
    }

    /// A string (§5.2).
    fn string(&mut self, text: &mut Vec<u8>) -> Read<()> {
        text.clear();
        let coded = self.0.first().is_some_and(|b| b & 0x80 != 0);
        let len = self.integer(7)?;
        let (string, rest) = self.0.split_at_checked(len).ok_or(Outcome::Cut)?;
        self.0 = rest;
        if coded {
            return huffman::decode(string, text).ok_or(Outcome::Invalid);
        }
        text.extend_from_slice(string);
        Ok(())
    }
}

impl Decoder {
    /// At the start of a connection.
    pub fn new() -> Self {
        Self { table: Table::empty(), name: Vec::new(), value: Vec::new(), number: 0 }
    }

    /// In the middle of a connection: what was inserted before is not known.
    pub fn joined_late() -> Self {
        Self { table: Table::unknown(), ..Self::new() }
    }

    /// The same, called the `number`th of its direction.
    pub fn numbered(self, number: u32) -> Self {
        Self { number, ..self }
    }

    /// Which decoder of its direction it is.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Insertions were missed.
    pub fn lose(&mut self) {
        self.table = Table::unknown();
    }

    /// Bytes of memory held.
    pub fn bytes(&self) -> usize {
        self.table.bytes() + self.name.capacity() + self.value.capacity()
    }

    /// Reads a block, and appends its fields. What it inserted is inserted even if it is then cut or invalid.
    pub fn decode(&mut self, block: &[u8], fields: &mut Fields) -> Outcome {
        let mut input = Input(block);
        let mut updates = MAX_UPDATES;
        while let Some(first) = input.0.first().copied() {
            let update = first & 0xe0 == 0x20;
            let read =
                if update { self.update(&mut input, &mut updates) } else { self.field(first, &mut input, fields) };
            if let Err(outcome) = read {
                return outcome;
            }
            if !update {
                updates = 0;
            }
        }
        Outcome::Whole
    }

    /// A size update, which stands before all fields (§4.2).
    fn update(&mut self, input: &mut Input<'_>, left: &mut u8) -> Read<()> {
        let limit = input.integer(5)?;
        if *left == 0 || limit > MAX_LIMIT {
            return Err(Outcome::Invalid);
        }
        *left -= 1;
        self.table.resize(limit);
        Ok(())
    }

    fn field(&mut self, first: u8, input: &mut Input<'_>, fields: &mut Fields) -> Read<()> {
        if first & 0x80 != 0 {
            return self.indexed(input.integer(7)?, fields);
        }
        let inserts = first & 0x40 != 0;
        let index = input.integer(if inserts { 6 } else { 4 })?;
        let known = match index {
            0 => {
                input.string(&mut self.name)?;
                true
            }
            _ => match self.table.get(index) {
                Found::Entry(name, _) => {
                    self.name.clear();
                    self.name.extend_from_slice(name.unwrap_or_default());
                    name.is_some()
                }
                Found::Unknown(_) => false,
                Found::No => return Err(Outcome::Invalid),
            },
        };
        input.string(&mut self.value)?;
        let name = known.then_some(&self.name[..]);
        fields.push(name, Some(&self.value), None);
        if inserts {
            self.table.insert(name, &self.value);
        }
        Ok(())
    }

    fn indexed(&mut self, index: usize, fields: &mut Fields) -> Read<()> {
        match self.table.get(index) {
            Found::Entry(name, value) => fields.push(name, Some(value), None),
            Found::Unknown(place) => fields.push(None, None, Some(place)),
            Found::No => return Err(Outcome::Invalid),
        }
        Ok(())
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}
