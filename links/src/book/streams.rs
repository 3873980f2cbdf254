//! Requests on connections with streams: one unit takes them all in, others serve one each. Joined by the unit that has the
//! connection, and the stream's number, whichever is told first.

use rustc_hash::FxHashMap as HashMap;

use super::Alone;
use super::recent::Recent;
use crate::facts::UnitKey;
use crate::live::SpanKey;
use wirespan_signals::Slim as _;

/// Who has the connection, and the stream's number.
type Key = (UnitKey, u64);

/// All that are in flight.
#[derive(Debug, Default)]
pub struct Streams {
    /// Requests, and when they came.
    came: HashMap<Key, Vec<(SpanKey, u64)>>,
    keys: HashMap<SpanKey, [Option<Key>; 2]>,
    /// What units took up.
    taken: Recent<UnitKey, Key>,
}

impl Streams {
    /// A request came on a stream to one of these units' connection.
    pub fn came(&mut self, request: SpanKey, readers: [Option<UnitKey>; 2], stream: u64, time: u64) {
        let keys = readers.map(|reader| reader.map(|reader| (reader, stream)));
        for key in keys.into_iter().flatten() {
            self.came.entry(key).or_default().push((request, time));
        }
        self.keys.insert(request, keys);
    }

    /// A unit serves, from now on, the request on a stream of the connection that `from` has.
    pub fn taken_up(&mut self, by: UnitKey, from: UnitKey, stream: u64, time: u64) {
        self.taken.push(by, (from, stream), time);
    }

    /// The request that a unit had last taken up by `time`, if it ever had one, whether or not it is over by then.
    pub fn served_by(&self, unit: UnitKey, time: u64) -> Option<Alone> {
        let (key, last) = self.taken.until(&unit, time)?.max_by_key(|(_, time)| *time)?;
        let came = self.came.get(key).map_or(&[][..], Vec::as_slice);
        let mut before = came.iter().filter(|(_, came)| came <= last);
        Some(match (before.next(), before.next()) {
            (Some((request, _)), None) => Alone::One(*request),
            (None, _) => Alone::None,
            _ => Alone::Several,
        })
    }

    /// A request's span is gone.
    pub fn forget(&mut self, request: SpanKey) {
        for key in self.keys.remove(&request).into_iter().flatten().flatten() {
            if let Some(came) = self.came.get_mut(&key) {
                came.retain(|(other, _)| *other != request);
                if came.is_empty() {
                    self.came.remove(&key);
                }
            }
        }
    }

    /// Forgets what nobody will ask for.
    pub fn sweep(&mut self, now: u64) {
        self.taken.sweep(now);
        self.came.slim();
        self.keys.slim();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::recent::FORGOTTEN;
    use slotmap::SlotMap;

    fn unit(id: u64) -> UnitKey {
        UnitKey { tgid: 1, kind: 1, id }
    }

    #[test]
    fn a_stream_is_served_by_whoever_took_it_up_whichever_is_told_first() {
        let mut spans: SlotMap<SpanKey, ()> = SlotMap::with_key();
        let request = spans.insert(());
        for first in [true, false] {
            let mut streams = Streams::default();
            let came = |streams: &mut Streams| streams.came(request, [Some(unit(1)), Some(unit(2))], 3, 10);
            if first {
                came(&mut streams);
            }
            streams.taken_up(unit(9), unit(2), 3, 20);
            if !first {
                came(&mut streams);
            }
            assert_eq!(streams.served_by(unit(9), 25), Some(Alone::One(request)));
            assert_eq!(streams.served_by(unit(9), 15), None, "not yet");
            assert_eq!(streams.served_by(unit(8), 25), None, "another unit");
            streams.forget(request);
            assert!(streams.came.is_empty() && streams.keys.is_empty());
            streams.sweep(2 * FORGOTTEN);
            assert!(streams.taken.is_empty());
        }
    }

    #[test]
    fn two_connections_whose_streams_cannot_be_told_apart_prove_nothing() {
        let mut spans: SlotMap<SpanKey, ()> = SlotMap::with_key();
        let mut streams = Streams::default();
        for reader in [1, 2] {
            streams.came(spans.insert(()), [Some(unit(reader)), Some(unit(3))], 1, 10);
        }
        streams.taken_up(unit(9), unit(3), 1, 20);
        assert_eq!(streams.served_by(unit(9), 25), Some(Alone::Several));
        // What came later is another's.
        streams.taken_up(unit(8), unit(1), 1, 5);
        assert_eq!(streams.served_by(unit(8), 25), Some(Alone::None));
    }
}
