//! What frames mean for streams.

use super::detect::direction_of;
use super::frame::{self, Header};
use super::head::Head;
use super::hpack::{Fields, Outcome};
use super::kin::Unsaid;
use super::lane::{Block, MAX_BLOCK};
use super::stream::{Failure, Stream};
use super::{Http2, Verdict};
use crate::Direction;
use crate::context::Carrier;
use crate::exchange::{Mark, Marks, Output, SpanKind, Started};
use crate::grpc::{self, Call, Ending};
use crate::http::attributes::Target;
use crate::http::fields::{Length, is_events};
use crate::rules::{Answers, Applied, Asked};

impl Http2 {
    /// A HEADERS or PUSH_PROMISE frame came whole, or was cut and its beginning is in the block.
    pub(super) fn head_began(
        &mut self,
        direction: Direction,
        header: Header,
        first: Mark,
        payload: &[u8],
        out: &mut Vec<Output>,
    ) -> Verdict {
        if self.lane(direction).block.is_some() {
            return self.block_may_end(direction, header, out);
        }
        let Some(fragment) = header.fragment(payload) else { return Verdict::Nonsense };
        let cut = header.len as usize > MAX_BLOCK;
        if header.has(frame::END_HEADERS) {
            return self.head_ended(direction, &header, first, fragment, cut, out);
        }
        self.lane(direction).block = Some(Block { header, first, bytes: fragment.to_vec(), cut });
        Verdict::Sound
    }

    /// A CONTINUATION frame came whole, or was cut and its beginning is in the block.
    pub(super) fn head_continued(
        &mut self,
        direction: Direction,
        header: Header,
        payload: &[u8],
        out: &mut Vec<Output>,
    ) -> Verdict {
        let Some(block) = &mut self.lane(direction).block else { return Verdict::Nonsense };
        if !block.cut {
            let room = MAX_BLOCK - block.bytes.len().min(MAX_BLOCK);
            block.bytes.extend_from_slice(&payload[..payload.len().min(room)]);
            block.cut = header.len as usize > room;
        }
        self.block_may_end(direction, header, out)
    }

    fn block_may_end(&mut self, direction: Direction, header: Header, out: &mut Vec<Output>) -> Verdict {
        if !header.has(frame::END_HEADERS) {
            return Verdict::Sound;
        }
        match self.lane(direction).block.take() {
            Some(block) => self.head_ended(direction, &block.header, block.first, &block.bytes, block.cut, out),
            None => Verdict::Sound,
        }
    }

    /// A header block is complete, or `cut`. `header` is the frame that it began with.
    pub(super) fn head_ended(
        &mut self,
        direction: Direction,
        header: &Header,
        first: Mark,
        block: &[u8],
        cut: bool,
        out: &mut Vec<Output>,
    ) -> Verdict {
        self.settle_gap(direction, header);
        self.fields.clear();
        let lane = match direction {
            Direction::Request => &mut self.requests,
            Direction::Response => &mut self.responses,
        };
        let outcome = lane.decoder.decode(block, &mut self.fields);
        if outcome == Outcome::Invalid || (outcome == Outcome::Cut && !cut) {
            return Verdict::Nonsense;
        }
        if cut {
            lane.forget_heads();
        }
        let operation = lane.operation;
        if header.kind == frame::PUSH_PROMISE {
            self.unexpected_heads = true;
            return Verdict::Sound;
        }
        // Broken fields are the receiver's to refuse; but a response where requests are is no HTTP/2.
        if direction_of(&self.fields).flatten().is_some_and(|told| told != direction) {
            return Verdict::Reversed;
        }
        match direction {
            Direction::Request => self.request(header, Marks { first, last: operation }, out),
            Direction::Response => self.response(header, Marks { first, last: operation }, out),
        }
        Verdict::Sound
    }

    /// The first head after missed frames: if there was no other head among these, HPACK's table is as before.
    ///
    /// A client opens its streams in order, so if this one is the next, no request was missed (trailers of requests
    /// are not in use, except where they were seen). A server's only open stream has nobody to share with.
    fn settle_gap(&mut self, direction: Direction, header: &Header) {
        let Some(before) = self.lane(direction).before_gap.take() else { return };
        let none_missed = match direction {
            Direction::Request => self.last_stream != 0 && header.stream == self.last_stream + 2,
            Direction::Response => self.streams.is_only(header.stream) && !self.requests.doubtful && !self.strays,
        };
        if none_missed && !self.unexpected_heads {
            self.lane(direction).decoder = before;
        }
    }

    fn request(&mut self, header: &Header, marks: Marks, out: &mut Vec<Output>) {
        let number = header.stream;
        if let Some(stream) = self.streams.get(number) {
            self.unexpected_heads = true;
            stream.request.last = marks.last;
            stream.request_ended |= header.has(frame::END_STREAM);
            return;
        }
        // Streams are opened in order, by odd numbers; what is left of one that is over is of no interest.
        if number.is_multiple_of(2) || number <= self.last_stream {
            return;
        }
        if self.are_trailers() {
            self.unexpected_heads = true;
            return;
        }
        self.last_stream = number;
        let marks = self.agreed(number, marks);
        let mut stream = self.start(number, marks, out);
        stream.request_ended = header.has(frame::END_STREAM);
        if !self.exports && stream.call.is_some() && stream.head.path().is_some_and(|p| grpc::exports_telemetry(&p)) {
            self.exports = true;
            out.push(Output::ExportsTelemetry);
        }
        self.strays |= !self.streams.open(number, stream, out);
    }

    /// Whether the fields just read cannot begin a request: they begin with a regular one (RFC 9113 §8.3), and no
    /// pseudo-field follows, which some servers forgive. They are the trailers of a request that was missed.
    fn are_trailers(&self) -> bool {
        let mut names = self.fields.iter().map(|(name, _)| name);
        let pseudo = |name: Option<&[u8]>| name.is_some_and(|name| name.starts_with(b":"));
        names.next().flatten().is_some_and(|first| !first.starts_with(b":")) && !names.any(pseudo)
    }

    /// Both ends of a connection agree on where a request begins in the client's stream, but with several requests in
    /// flight not on how far the server's stream had come: they agree on where that began, and on the stream's number.
    fn agreed(&self, number: u32, marks: Marks) -> Marks {
        let start = self.server_start.unwrap_or(marks.first.opposite);
        let known = !self.requests.doubtful && !self.responses.doubtful;
        let opposite = if known { start.wrapping_add(u64::from(number)) } else { u64::from(number) };
        Marks { first: Mark { opposite, ..marks.first }, ..marks }
    }

    /// Announces the request whose head was just read.
    fn start(&mut self, number: u32, request: Marks, out: &mut Vec<Output>) -> Stream {
        let mut carrier = Carrier::default();
        let mut timeout = None;
        for (name, value) in self.fields.iter() {
            let (Some(name), Some(value)) = (name.and_then(|n| std::str::from_utf8(n).ok()), value) else { continue };
            if !carrier.offer(name, value) && name == "grpc-timeout" {
                timeout = grpc::timeout(value);
            }
        }
        let context = carrier.context();
        let denied = context.is_none() && carrier.denies_sampling();
        let id = self.next_id;
        self.next_id += 1;
        let kind = SpanKind::from(self.settings.role);
        let head = Head::keep(&self.fields);
        // (All fields are read for it, so only where it is wanted.)
        let is_plain = kind == SpanKind::Server && !head.content_type().is_some_and(grpc::is_grpc);
        let asks = if is_plain { head.asks(&self.settings) } else { None };
        let started = Started::call(id, request, kind, context, denied);
        out.push(Output::Started(Started { stream: Some(u64::from(number)), asks, ..started }));
        let unsaid = match head.content_type() {
            // Of a connection that is older than the agent, the table may hold the type.
            None if head.method().is_none_or(|method| method == "POST") => {
                Unsaid::of(&self.fields, self.requests.decoder.number())
            }
            _ => None,
        };
        let call = match head.content_type() {
            Some(kind) => grpc::is_grpc(kind).then(|| Call::new(timeout)),
            None => unsaid.is_some().then(|| Call::guessed(timeout, speaks_of_calls(&self.fields))),
        };
        let mut stream = Stream::new(id, head, request, call);
        stream.unsaid = unsaid.map(Box::new);
        stream.answers = self.settings.rules.and_then(|rules| self.asked(rules, &stream));
        stream
    }

    /// What people ask for, as far as the head says it, and what is looked for in the bodies.
    fn asked(&self, rules: Applied, stream: &Stream) -> Option<Box<Answers>> {
        let mut fields: Vec<(&str, &[u8])> = Vec::new();
        for (name, value) in self.fields.iter() {
            let name = name.and_then(|name| std::str::from_utf8(name).ok()).filter(|name| rules.wants(name));
            fields.extend(name.zip(value));
        }
        let (method, target) = (stream.head.method(), stream.head.path());
        let method = method.as_deref().unwrap_or_default();
        let target = Target::parse(method, target.as_deref().unwrap_or_default());
        let (content_type, is_call) = (stream.head.content_type(), stream.call.is_some());
        let (path, query) = (target.path, target.query());
        rules.request(&Asked { method, path, query, fields: &fields, content_type, is_call })
    }

    fn response(&mut self, header: &Header, marks: Marks, out: &mut Vec<Output>) {
        let Some(stream) = self.streams.get(header.stream) else { return };
        let ended = header.has(frame::END_STREAM);
        let mut known = Response::default();
        for (name, value) in self.fields.iter() {
            if let (Some(name), Some(value)) = (name, value) {
                known.offer(name, value);
            }
        }
        // Interim responses never end a stream (RFC 9113 §8.1).
        if known.status.is_some_and(|s| (100..200).contains(&s)) && !ended {
            stream.seen = marks.last.time;
            return;
        }
        stream.touch(Direction::Response, &marks);
        let mut proven = None;
        match &mut stream.call {
            Some(call) if call.guessed && known.is_grpc => {
                call.guessed = false;
                proven = stream.unsaid.take();
            }
            Some(call) if call.guessed && known.is_other => stream.call = None,
            _ => {}
        }
        if known.is_grpc && stream.call.is_none() {
            let mut call = Call::default();
            // Messages may have passed before this was known.
            call.sent.lose();
            if stream.answered {
                call.received.lose();
            }
            stream.call = Some(Box::new(call));
        }
        let head = !stream.answered;
        stream.answered = true;
        stream.status = known.status.or(stream.status);
        stream.length = if head { known.length.known() } else { stream.length };
        stream.events |= known.is_events;
        if let Some(call) = &mut stream.call {
            call.stated(known.code.and_then(grpc::Code::parse));
            call.message(known.message.unwrap_or_default(), self.settings.keep_query_values);
            if ended && known.code.is_none() {
                let nameless = self.fields.iter().filter(|(name, _)| name.is_none()).map(|(_, value)| value);
                match grpc::status_among(nameless) {
                    Ok(code) => call.stated(Some(code)),
                    Err(()) => call.hide_status(),
                }
            }
        }
        if ended {
            stream.ending = Some(if head { Ending::Head } else { Ending::Trailers });
        }
        let tunnel = stream.connects() && stream.status.is_some_and(|s| (200..300).contains(&s));
        self.streams.kin.learn(proven);
        if ended || tunnel {
            self.strays |= !ended;
            self.streams.finish(header.stream, marks.last.time, None, out);
        }
    }

    /// Bytes of a DATA frame, of which `left` bytes were to come.
    pub(super) fn data_bytes(&mut self, direction: Direction, mut bytes: &[u8], mut left: u32, out: &mut Vec<Output>) {
        let lane = self.lane(direction);
        let (header, marks) = (lane.frame, Marks { first: lane.first, last: lane.operation });
        if header.has(frame::PADDED) && left == header.len && !bytes.is_empty() {
            lane.padding = Some(u32::from(bytes[0]));
            (bytes, left) = (&bytes[1..], left - 1);
        }
        let padding = lane.padding;
        let Some(stream) = self.streams.get(header.stream) else { return };
        stream.touch(direction, &marks);
        if let Some(padding) = padding {
            let content = bytes.len().min(left.saturating_sub(padding) as usize);
            stream.body(direction).add(content as u64);
            if let Some(messages) = stream.messages(direction) {
                messages.feed(&bytes[..content]);
            }
            if let Some(answers) = &mut stream.answers {
                answers.feed(direction, &bytes[..content]);
            }
            let nameless = direction == Direction::Request && stream.call.is_some() && stream.head.path().is_none();
            if nameless && !self.exports && self.suspect.shows(header.stream, &bytes[..content]) {
                self.exports = true;
                out.push(Output::ExportsTelemetry);
            }
        }
    }

    /// Of a DATA frame of which `left` bytes were to come, `missed` bytes were missed.
    pub(super) fn data_missed(&mut self, direction: Direction, left: u32, missed: u32) {
        let lane = self.lane(direction);
        let (number, marks) = (lane.frame.stream, Marks { first: lane.first, last: lane.operation });
        let padding = lane.padding;
        let Some(stream) = self.streams.get(number) else { return };
        stream.touch(direction, &marks);
        stream.answers.iter_mut().for_each(|answers| answers.lose(direction));
        if direction == Direction::Request {
            self.suspect.miss(number);
        }
        let content = padding.map(|padding| u64::from(missed.min(left.saturating_sub(padding))));
        match content {
            Some(content) => stream.body(direction).add(content),
            None => stream.body(direction).miss(),
        }
        match (stream.messages(direction), content) {
            (Some(messages), Some(content)) => messages.skip(content),
            (Some(messages), None) => messages.lose(),
            (None, _) => {}
        }
    }

    /// The sender in `direction` has said all that it has to say on a stream.
    pub(super) fn stream_ended(&mut self, direction: Direction, number: u32, operation: Mark, out: &mut Vec<Output>) {
        match (direction, self.streams.get(number)) {
            (_, None) => {}
            (Direction::Request, Some(stream)) => {
                stream.request_ended = true;
                stream.answers.iter_mut().for_each(|answers| answers.complete(direction));
                stream.request.last = operation;
                stream.seen = operation.time;
            }
            (Direction::Response, Some(stream)) => {
                stream.ending = Some(Ending::Data);
                self.streams.finish(number, operation.time, None, out);
            }
        }
    }

    /// One end ends a stream before its time. The code is not known if it was missed.
    pub(super) fn reset(
        &mut self,
        direction: Direction,
        number: u32,
        code: Option<u32>,
        time: u64,
        out: &mut Vec<Output>,
    ) {
        self.strays |= self.streams.contains(number);
        self.streams.finish(number, time, Some(Failure::Reset(code, direction)), out);
    }
}

/// Whether fields have names, or a value, that calls have. REST gateways are asked with some of them, too, so that is no proof.
fn speaks_of_calls(fields: &Fields) -> bool {
    fields.iter().any(|(name, value)| match name {
        Some(b"grpc-timeout" | b"grpc-encoding" | b"grpc-accept-encoding" | b"grpc-message-type") => true,
        Some(b"user-agent") => value.is_some_and(|value| value.starts_with(b"grpc-")),
        _ => false,
    })
}

/// What a response's head or trailers say that matters.
#[derive(Default)]
struct Response<'a> {
    status: Option<u16>,
    length: Length,
    is_grpc: bool,
    /// Its type is known, and not gRPC's.
    is_other: bool,
    is_events: bool,
    /// `grpc-status`.
    code: Option<&'a [u8]>,
    /// `grpc-message`.
    message: Option<&'a [u8]>,
}

impl<'a> Response<'a> {
    fn offer(&mut self, name: &[u8], value: &'a [u8]) {
        match name {
            b":status" => {
                self.status = std::str::from_utf8(value).ok().filter(|v| v.len() == 3).and_then(|v| v.parse().ok());
            }
            b"content-length" => {
                self.length.offer("content-length", value);
            }
            b"content-type" => {
                self.is_grpc |= grpc::is_grpc(value);
                self.is_other = !self.is_grpc;
                self.is_events |= is_events(value);
            }
            b"grpc-message" => self.message = Some(value),
            b"grpc-status" => {
                self.is_grpc = true;
                self.code = Some(value);
            }
            _ => {}
        }
    }
}
