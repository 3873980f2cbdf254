//! How messages end: settled, returned, given up with their channel or connection, or nobody knows how.

use std::borrow::Cow;

use super::Amqp;
use super::attributes;
use super::channel::{Channel, Confirms, Ledger, Load, Mode, Waiting};
use super::method;
use crate::Direction;
use crate::exchange::{Marks, Output, Reason};

/// The code of a close in order (AMQP 0-9-1 §1.1 of the reference); `close-ok` and `open` have none.
const ORDERLY: [u16; 2] = [0, 200];

impl Amqp {
    /// A client settles what was delivered to it; a broker, what was published.
    pub(super) fn settled(
        &mut self,
        direction: Direction,
        id: u16,
        (tag, multiple): (u64, bool),
        refused: Option<&'static str>,
        out: &mut Vec<Output>,
    ) {
        let lane = self.lane(direction);
        let marks = Marks { first: lane.first, last: lane.operation };
        let Some(channel) = self.channels.get_mut(&id) else { return };
        let ledger = match direction {
            Direction::Request => {
                channel.settles(tag);
                &mut channel.delivered
            }
            Direction::Response => &mut channel.published,
        };
        for mut waiting in ledger.take(tag, multiple, &mut self.load) {
            (waiting.span.response, waiting.span.end) = (Some(marks), marks.last.time);
            let error = waiting.returned.map(code).or(refused.map(Cow::Borrowed));
            end(waiting, error, out);
        }
    }

    /// A client asks for everything once more that it did not acknowledge: it comes as new deliveries.
    pub(super) fn recover(&mut self, id: u16, out: &mut Vec<Output>) {
        if let Some(channel) = self.channels.get_mut(&id) {
            drop_all(&mut channel.delivered, &mut self.load, Reason::Unanswered, out);
        }
    }

    /// One side closes a channel, or the connection.
    pub(super) fn closing(&mut self, by: Direction, id: Option<u16>, reply: u16, time: u64, out: &mut Vec<Output>) {
        self.closed(by, id, reply, time, out);
        for (_, channel) in self.channels.iter_mut().filter(|(known, _)| id.is_none_or(|id| **known == id)) {
            channel.closing = true;
        }
    }

    /// A channel is over, or all are. In order, what was published and not confirmed was sent, at least, and what was
    /// delivered and not settled goes back to its queue.
    pub(super) fn closed(&mut self, by: Direction, id: Option<u16>, reply: u16, time: u64, out: &mut Vec<Output>) {
        let error = (by == Direction::Response && !ORDERLY.contains(&reply)).then(|| code(reply));
        let ids: Vec<u16> = match id {
            Some(id) => vec![id],
            None => self.channels.keys().copied().collect(),
        };
        for id in ids {
            self.replace_both(id, out);
            let Some(channel) = self.channels.get_mut(&id) else { continue };
            let mut channel = std::mem::replace(&mut **channel, Channel::new(Confirms::Off));
            for (ledger, sent) in [(&mut channel.published, true), (&mut channel.delivered, false)] {
                for mut waiting in ledger.clear(&mut self.load) {
                    match &error {
                        Some(error) => {
                            waiting.span.end = time;
                            end(waiting, Some(error.clone()), out);
                        }
                        None if sent => end(waiting, None, out),
                        None => out.push(Output::Dropped { id: waiting.span.id, reason: Reason::Unanswered }),
                    }
                }
            }
        }
    }

    fn replace_both(&mut self, id: u16, out: &mut Vec<Output>) {
        if self.channels.contains_key(&id) {
            self.replace(Direction::Request, id, None, Reason::Unanswered, out);
            self.replace(Direction::Response, id, None, Reason::Unanswered, out);
        }
    }

    /// Where frames of `direction` begin is not known any more.
    pub(super) fn lost(&mut self, direction: Direction, out: &mut Vec<Output>) {
        self.lane(direction).lose();
        self.unseen(direction, Reason::Gap, out);
    }

    /// There may have been methods that were not seen: what they may have settled cannot end any more.
    pub(super) fn unseen(&mut self, direction: Direction, reason: Reason, out: &mut Vec<Output>) {
        self.complete &= direction == Direction::Response;
        let ids: Vec<u16> = self.channels.keys().copied().collect();
        for id in ids {
            self.replace(direction, id, None, reason, out);
            let Some(channel) = self.channels.get_mut(&id) else { continue };
            if let Some(get) = channel.get.take() {
                let span = self.get_span(&get, out);
                out.push(Output::Dropped { id: span.id, reason });
            }
            let Some(channel) = self.channels.get_mut(&id) else { continue };
            match direction {
                Direction::Request => {
                    drop_all(&mut channel.delivered, &mut self.load, reason, out);
                    if matches!(channel.confirms, Confirms::On(_)) {
                        channel.confirms = Confirms::Unknown;
                    }
                    for consumer in &mut channel.consumers {
                        consumer.mode = Mode::Unknown(Default::default());
                    }
                }
                Direction::Response => drop_all(&mut channel.published, &mut self.load, reason, out),
            }
        }
    }

    /// The client sends nothing any more: it settles nothing.
    pub(super) fn client_finished(&mut self, time: u64, out: &mut Vec<Output>) {
        self.requests.lose();
        let ids: Vec<u16> = self.channels.keys().copied().collect();
        for id in ids {
            if let Some(mut span) = self.channels.get_mut(&id).and_then(|c| c.sending.take()).and_then(|c| c.span) {
                span.end = time;
                span.status = attributes::failed(crate::CONNECTION_CLOSED.into(), &mut span.attributes);
                out.push(Output::Finished(span));
            }
            let Some(channel) = self.channels.get_mut(&id) else { continue };
            fail_all(&mut channel.delivered, crate::CONNECTION_CLOSED, time, &mut self.load, out);
        }
    }

    /// The connection broke at `time`, under everything.
    pub(super) fn fail(&mut self, error: &'static str, time: u64, out: &mut Vec<Output>) {
        for (_, channel) in std::mem::take(&mut self.channels) {
            let mut channel = *channel;
            let get = channel.get.take().map(|get| self.get_span(&get, out));
            let in_transfer = [channel.sending.take(), channel.receiving.take()];
            let spans = in_transfer.into_iter().flatten().filter_map(|content| content.span).chain(get);
            for mut span in spans {
                span.end = time;
                span.status = attributes::failed(error.into(), &mut span.attributes);
                out.push(Output::Finished(span));
            }
            fail_all(&mut channel.published, error, time, &mut self.load, out);
            fail_all(&mut channel.delivered, error, time, &mut self.load, out);
        }
        self.requests.lose();
        self.responses.lose();
    }

    /// Nothing can be known of any message.
    pub(super) fn forget(&mut self, reason: Reason, out: &mut Vec<Output>) {
        for direction in [Direction::Request, Direction::Response] {
            self.unseen(direction, reason, out);
        }
    }
}

fn drop_all(ledger: &mut Ledger, load: &mut Load, reason: Reason, out: &mut Vec<Output>) {
    out.extend(ledger.clear(load).into_iter().map(|waiting| Output::Dropped { id: waiting.span.id, reason }));
}

fn fail_all(ledger: &mut Ledger, error: &'static str, time: u64, load: &mut Load, out: &mut Vec<Output>) {
    for mut waiting in ledger.clear(load) {
        waiting.span.end = time;
        end(waiting, Some(error.into()), out);
    }
}

fn end(mut waiting: Waiting, error: Option<Cow<'static, str>>, out: &mut Vec<Output>) {
    if let Some(error) = error {
        waiting.span.status = attributes::failed(error, &mut waiting.span.attributes);
    }
    out.push(Output::Finished(waiting.span));
}

/// The name of a reply code, or its digits.
fn code(code: u16) -> Cow<'static, str> {
    method::code_name(code).map_or_else(|| code.to_string().into(), Cow::Borrowed)
}
