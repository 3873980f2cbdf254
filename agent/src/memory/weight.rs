//! What the things are taken for that pass between stages.

use wirespan_protocols::weight::{piece, text};

use wirespan_links::Speaks;

use crate::connections::{Signal, StartedSignal};

/// A signal, with its place in a list.
pub fn signal(signal: &Signal) -> usize {
    let boxed = match signal {
        Signal::Started(started) => piece(size_of::<StartedSignal>()) + started.started.weight(),
        Signal::Finished(_, _, weight) => *weight,
        Signal::UnderWay(_, name) => text(name),
        Signal::Task(_, event) => event.weight(),
        Signal::Speaks(_) => piece(size_of::<Speaks>()),
        Signal::Said { said: Some(said), .. } | Signal::SaidByNobody(said) => said.weight(),
        _ => 0,
    };
    // A list has up to twice the room that it needs.
    2 * size_of::<Signal>() + boxed
}
