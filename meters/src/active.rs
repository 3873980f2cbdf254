//! Requests that HTTP servers have under way: what changed since they were last counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use wirespan_signals::{Active, Resource};

use crate::instruments::FamilyName;
use crate::table::{Seen, Values};
use crate::{Meters, State, unix_nanos};

/// By service and by what is asked: a process of that service, and how many there are.
pub(crate) type Counted = BTreeMap<(usize, &'static str, &'static str), (Arc<Resource>, i64)>;

impl Meters {
    /// Takes in how many there are now.
    pub fn set_active(&self, active: &[Active]) {
        if !self.settings.conventions {
            return;
        }
        let now = unix_nanos();
        let mut state = self.state();
        let mut counted = Counted::new();
        for Active { resource, asks, count } in active {
            let memory = state.bytes < self.settings.bytes;
            let (service, grown) = state.services.of(resource, now, memory);
            let Some(service) = service else { continue };
            service.last = now;
            let key = (Arc::as_ptr(&service.resource) as usize, asks.method, asks.scheme);
            counted.entry(key).or_insert_with(|| (Arc::clone(resource), 0)).1 +=
                i64::try_from(*count).unwrap_or(i64::MAX);
            state.bytes += grown;
        }
        let before = std::mem::take(&mut state.active);
        for (key, (resource, count)) in &counted {
            let change = count - before.get(key).map_or(0, |(_, before)| *before);
            self.change(&mut state, key, resource, change, now);
        }
        for (key, (resource, count)) in before.iter().filter(|(key, _)| !counted.contains_key(*key)) {
            self.change(&mut state, key, resource, -count, now);
        }
        state.active = counted;
        self.publish(&state);
    }

    fn change(
        &self,
        state: &mut State,
        (_, method, scheme): &(usize, &'static str, &'static str),
        resource: &Arc<Resource>,
        change: i64,
        now: u64,
    ) {
        if change == 0 {
            return;
        }
        let name = FamilyName::HttpServerActive;
        let room = self.room(state.bytes);
        let (Some(service), _) = state.services.of(resource, now, room.memory) else { return };
        let mut values = Values::default();
        (values[0], values[1]) = (Some(Seen::Text(method)), Some(Seen::Text(scheme)));
        let measured = [Some(change as f64), None, None];
        let noted = service.tables[name as usize].note(name.family(), &values, measured, (now, None), room);
        self.account(state, noted);
    }
}
