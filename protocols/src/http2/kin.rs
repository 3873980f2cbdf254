//! Which requests are calls because another one was.
//!
//! On a connection that is older than the agent, what says that a request is a gRPC call stands in HPACK's table, where nobody saw
//! it. But its place there can be told. A call that passed whole shows what it is by its messages and its end, so one of the hidden
//! fields of its head was `content-type: application/grpc`; a later request that refers to all the same fields has that one, too,
//! and is a call, even if it is given up before anything shows it.

use super::hpack::Fields;

/// Most fields of a head that are kept; a call that hides more teaches nothing.
const MAX_FIELDS: usize = 32;
/// Most different heads of calls that are kept. Clients have one, or one for each kind of metadata.
const MAX_HEADS: usize = 4;
/// Fields that every request has (RFC 9113 §8.3.1), in front of all others (§8.3).
const REQUIRED: [&[u8]; 3] = [b":method", b":scheme", b":path"];

/// The fields of a head that refer to what was said before anybody listened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unsaid {
    /// The table that they stand in.
    table: u32,
    /// Their places there, in the order of the head.
    places: Box<[i64]>,
    /// The first of those that can be the content's type; as many as `places` if it is not among them.
    types: usize,
}

impl Unsaid {
    /// Those of `fields`, which refer to the table of this number. `None` if there are none.
    pub(super) fn of(fields: &Fields, table: u32) -> Option<Self> {
        let places: Vec<i64> = fields.places().filter_map(|(_, place)| place).collect();
        if places.is_empty() {
            return None;
        }
        // Of what every request has, what has no known name is among the first that have none.
        let known = |wanted: &[u8]| fields.iter().any(|(name, _)| name == Some(wanted));
        let missing = REQUIRED.iter().filter(|wanted| !known(wanted)).count();
        let required = fields.places().filter(|(named, _)| !named).take(missing);
        let types = required.filter(|(_, place)| place.is_some()).count();
        // The type may as well have a value that is known, and no name.
        let spoken = fields.iter().filter(|(name, _)| name.is_none()).skip(missing);
        let spoken = spoken.filter_map(|(_, value)| value).any(|value| value.starts_with(b"application/"));
        let types = if spoken { places.len() } else { types };
        Some(Self { table, places: places.into(), types })
    }

    /// Those that the type is among.
    fn candidates(&self) -> &[i64] {
        &self.places[self.types..]
    }

    /// Bytes of memory held.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.places)
    }
}

/// Heads of calls.
#[derive(Debug, Default)]
pub(super) struct Kin(Vec<Unsaid>);

impl Kin {
    /// A request with this head was a call.
    pub(super) fn learn(&mut self, call: Option<Box<Unsaid>>) {
        let Some(call) = call else { return };
        if call.candidates().is_empty() || call.places.len() > MAX_FIELDS || self.has(&call) {
            return;
        }
        self.0.retain(|known| known.table == call.table);
        if self.0.len() == MAX_HEADS {
            self.0.remove(0);
        }
        self.0.push(*call);
    }

    /// Whether a request with this head is a call, since one was that has no field else that may be its type.
    pub(super) fn has(&self, request: &Unsaid) -> bool {
        let among = |place: &i64| request.places.contains(place);
        self.0.iter().any(|call| call.table == request.table && call.candidates().iter().all(among))
    }

    /// Bytes of memory held.
    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(Unsaid::bytes).sum()
    }
}
