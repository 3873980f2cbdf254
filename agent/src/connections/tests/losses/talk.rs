//! Conversations of numbered requests and responses, as two programs would have them, and the records of both ends.

use std::collections::VecDeque;

use wirespan_common::{EGRESS, INGRESS};

use super::words::Words;

/// How a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// One request at a time.
    Waits,
    /// Some requests, then all their responses.
    Batches,
    /// A new request whenever fewer than so many are outstanding, or not, as chance has it.
    Overlaps(usize),
    /// Always so many outstanding.
    Window(usize),
}

/// So many requests come one at a time in any case, as connections begin.
const CALM: usize = 3;

/// What is to be said, and how.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub words: Words,
    pub manner: Manner,
    /// So many requests.
    pub count: usize,
    /// Messages come in pieces at times, and there are pauses.
    pub ragged: bool,
    /// From this request on, some messages are longer than what is captured.
    pub long_from: usize,
    pub seed: u64,
}

/// One operation of one end.
#[derive(Clone, Debug)]
pub struct Record {
    pub direction: u8,
    pub bytes: Vec<u8>,
    /// Behind it: bytes sent and received by this end since the beginning.
    pub tx: u64,
    pub rx: u64,
    pub time: u64,
}

/// All of a conversation.
pub struct Talk {
    /// Where each request, and each response, begins in its direction; and where the last one ends.
    pub requests: Vec<u64>,
    pub responses: Vec<u64>,
    /// Records of the client and of the server, in order.
    pub ends: [Vec<Record>; 2],
}

/// Both programs and the wire between them.
struct Stage {
    talk: Talk,
    random: fastrand::Rng,
    plan: Plan,
    now: u64,
    /// What is on its way, per direction: to the server, to the client.
    wire: [VecDeque<(usize, Vec<u8>)>; 2],
    /// Bytes sent and received by each end.
    moved: [[u64; 2]; 2],
    asked: usize,
    read: usize,
    answered: usize,
    heard: usize,
    /// Left of the batch that is being sent.
    batch: usize,
}

/// Lets two programs talk.
pub fn talk(plan: Plan) -> Talk {
    let talk = Talk { requests: vec![0], responses: vec![0], ends: Default::default() };
    let mut stage = Stage {
        talk,
        random: fastrand::Rng::with_seed(plan.seed),
        plan,
        now: 1_000_000_000,
        wire: Default::default(),
        moved: [[0; 2]; 2],
        asked: 0,
        read: 0,
        answered: 0,
        heard: 0,
        batch: 0,
    };
    while stage.heard < plan.count {
        stage.step();
    }
    stage.talk
}

impl Stage {
    fn step(&mut self) {
        let Plan { manner, count, .. } = self.plan;
        let outstanding = self.asked - self.heard;
        let manner = if self.asked < CALM { Manner::Waits } else { manner };
        if manner == Manner::Batches && outstanding == 0 && self.batch == 0 {
            self.batch = self.random.usize(1..5);
        }
        let asks = self.asked < count
            && match manner {
                Manner::Waits => outstanding == 0,
                Manner::Batches => self.batch > 0,
                Manner::Overlaps(most) => outstanding < most && self.random.bool(),
                Manner::Window(size) => outstanding < size,
            };
        if asks {
            return self.ask();
        }
        if manner != Manner::Waits && self.random.u8(..3) == 0 && self.read > self.answered {
            return self.answer();
        }
        // Databases answer all that they have read before they read on; other servers need not.
        let reads_ahead = matches!(manner, Manner::Overlaps(_) | Manner::Window(_)) && self.random.bool();
        if !self.wire[0].is_empty() && (self.read == self.answered || reads_ahead) {
            return self.receive(1);
        }
        if self.read > self.answered {
            return self.answer();
        }
        if !self.wire[1].is_empty() {
            self.receive(0);
        }
    }

    fn ask(&mut self) {
        let bytes = self.plan.words.request(self.asked, self.asked >= self.plan.long_from, &mut self.random);
        self.asked += 1;
        self.batch = self.batch.saturating_sub(1);
        self.talk.requests.push(self.talk.requests[self.asked - 1] + bytes.len() as u64);
        self.send(0, bytes);
    }

    fn answer(&mut self) {
        let bytes = self.plan.words.response(self.answered, self.answered >= self.plan.long_from, &mut self.random);
        self.answered += 1;
        self.talk.responses.push(self.talk.responses[self.answered - 1] + bytes.len() as u64);
        self.send(1, bytes);
    }

    /// `end` sends a message, in one operation or several.
    fn send(&mut self, end: usize, bytes: Vec<u8>) {
        for piece in self.pieces(&bytes) {
            self.record(end, EGRESS, piece);
        }
        self.wire[end].push_back((1, bytes));
    }

    /// `end` takes in what is on its way to it: of the next message, or of all.
    fn receive(&mut self, end: usize) {
        let from = 1 - end;
        let some = if self.random.bool() { 1 } else { self.wire[from].len() };
        let messages: Vec<_> = self.wire[from].drain(..some).collect();
        let bytes: Vec<u8> = messages.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
        for piece in self.pieces(&bytes) {
            self.record(end, INGRESS, piece);
        }
        *(if end == 1 { &mut self.read } else { &mut self.heard }) += messages.len();
    }

    fn pieces(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        if !self.plan.ragged || self.random.u8(..4) > 0 {
            return vec![bytes.to_vec()];
        }
        let at = self.random.usize(1..bytes.len());
        vec![bytes[..at].to_vec(), bytes[at..].to_vec()]
    }

    fn record(&mut self, end: usize, direction: u8, bytes: Vec<u8>) {
        let pause = if self.plan.ragged && self.random.u8(..40) == 0 { 70_000_000 } else { 20_000 };
        self.now += pause;
        self.moved[end][usize::from(direction)] += bytes.len() as u64;
        let [rx, tx] = self.moved[end];
        self.talk.ends[end].push(Record { direction, bytes, tx, rx, time: self.now });
    }
}

const _: () = assert!(INGRESS == 0 && EGRESS == 1, "directions index what was moved");
