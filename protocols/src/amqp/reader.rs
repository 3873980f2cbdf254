//! Fields (AMQP 0-9-1 §4.2.5) read from a slice, each `None` once the slice is too short.

/// What is left of a slice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

/// A field of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field<'a> {
    Text(&'a [u8]),
    Int(i64),
    /// `true`.
    True,
    /// No value.
    Void,
    /// Any other type.
    Other,
}

impl<'a> Reader<'a> {
    pub(super) fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// A short string: at most 255 bytes.
    pub(super) fn short(&mut self) -> Option<&'a [u8]> {
        let len = self.u8()?;
        self.take(usize::from(len))
    }

    /// A long string, an array, or a table: what its length says.
    fn long(&mut self) -> Option<&'a [u8]> {
        let len = self.u32()?;
        self.take(usize::try_from(len).ok()?)
    }

    /// Shows each entry of a table to `see`, as far as the table is here. `None` if it is cut short, or holds a type
    /// that is not known. Tables within are not entered, so there is no depth.
    pub(super) fn table(&mut self, mut see: impl FnMut(&'a [u8], Field<'a>)) -> Option<()> {
        let len = usize::try_from(self.u32()?).ok()?;
        let mut entries = Reader::new(self.rest.get(..len).unwrap_or(self.rest));
        while !entries.is_empty() {
            let name = entries.short()?;
            see(name, entries.field()?);
        }
        self.take(len).map(|_| ())
    }

    /// A field with its type before it, as RabbitMQ writes them
    /// (<https://www.rabbitmq.com/docs/amqp-0-9-1-errata#section_3>).
    fn field(&mut self) -> Option<Field<'a>> {
        let int = |n: i64| Some(Field::Int(n));
        let skip = |reader: &mut Self, len| reader.take(len).map(|_| Field::Other);
        match self.u8()? {
            b'S' => self.long().map(Field::Text),
            b'V' => Some(Field::Void),
            b'b' => int(i64::from(i8::from_be_bytes(self.array()?))),
            b'B' => int(i64::from(self.u8()?)),
            b's' | b'U' => int(i64::from(i16::from_be_bytes(self.array()?))),
            b'u' => int(i64::from(self.u16()?)),
            b'I' => int(i64::from(i32::from_be_bytes(self.array()?))),
            b'i' => int(i64::from(self.u32()?)),
            b'l' | b'L' => int(i64::from_be_bytes(self.array()?)),
            b't' => Some(if self.u8()? == 0 { Field::Other } else { Field::True }),
            b'f' => skip(self, 4),
            b'D' => skip(self, 5),
            b'd' | b'T' => skip(self, 8),
            b'A' | b'F' | b'x' => self.long().map(|_| Field::Other),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table of these entries, each a name and the bytes of a typed value.
    fn table(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (name, value) in entries {
            body.push(name.len() as u8);
            body.extend_from_slice(name.as_bytes());
            body.extend_from_slice(value);
        }
        [&(body.len() as u32).to_be_bytes()[..], &body].concat()
    }

    #[test]
    fn every_type_of_a_table_is_read_or_passed_over() {
        let values: &[(&str, &[u8])] = &[
            ("bool", b"t\x01"),
            ("i8", b"b\xff"),
            ("u8", b"B\xff"),
            ("i16", b"s\xff\xfe"),
            ("u16", b"u\xff\xfe"),
            ("i32", b"I\xff\xff\xff\xfd"),
            ("u32", b"i\xff\xff\xff\xfd"),
            ("i64", b"l\xff\xff\xff\xff\xff\xff\xff\xfc"),
            ("float", b"f1234"),
            ("double", b"d12345678"),
            ("decimal", b"D12345"),
            ("time", b"T12345678"),
            ("array", b"A\0\0\0\x02t\x01"),
            ("table", b"F\0\0\0\x04\x01at\0"),
            ("bytes", b"x\0\0\0\x01z"),
            ("void", b"V"),
            ("text", b"S\0\0\0\x02hi"),
        ];
        let bytes = table(values);
        let mut seen = Vec::new();
        let mut reader = Reader::new(&bytes);
        assert!(reader.table(|name, field| seen.push((String::from_utf8_lossy(name).into_owned(), field))).is_some());
        assert!(reader.is_empty());
        let field = |name: &str| seen.iter().find(|(n, _)| n == name).map(|(_, f)| *f);
        assert_eq!(seen.len(), values.len());
        assert_eq!(field("i8"), Some(Field::Int(-1)));
        assert_eq!(field("u8"), Some(Field::Int(255)));
        assert_eq!(field("i16"), Some(Field::Int(-2)));
        assert_eq!(field("u16"), Some(Field::Int(65534)));
        assert_eq!(field("i32"), Some(Field::Int(-3)));
        assert_eq!(field("u32"), Some(Field::Int(4_294_967_293)));
        assert_eq!(field("i64"), Some(Field::Int(-4)));
        assert_eq!(field("void"), Some(Field::Void));
        assert_eq!(field("text"), Some(Field::Text(b"hi")));
    }

    #[test]
    fn a_table_cut_short_shows_what_came_before_the_cut() {
        let bytes = table(&[("a", b"S\0\0\0\x02hi"), ("b", b"S\0\0\0\x02ho")]);
        for cut in 0..bytes.len() {
            let mut seen = Vec::new();
            let whole = Reader::new(&bytes[..cut]).table(|name, _| seen.push(name.to_vec()));
            assert!(whole.is_none(), "{cut}");
            assert_eq!(seen.len(), usize::from(cut >= 4 + 9), "{cut}");
        }
    }
}
