//! Connections that are encrypted and not read: whose they are, and that they are nobody's requests.

use wirespan_common::{STATE_LET_GO, StateEvent};

use super::*;

/// Hellos, and something encrypted. (All of it is text, as far as this goes.)
fn hello() -> String {
    let message = [&[3, 3], &[7; 32][..], &[0, 0, 2, 0x13, 1, 1, 0]].concat();
    let body = [&[1, 0, 0, message.len() as u8][..], &message].concat();
    text([&[22, 3, 1, 0, body.len() as u8][..], &body].concat())
}

fn answer() -> String {
    let message = [&[3, 3], &[9; 32][..], &[0, 0x13, 1, 0]].concat();
    let body = [&[2, 0, 0, message.len() as u8][..], &message].concat();
    text([&[22, 3, 3, 0, body.len() as u8][..], &body].concat())
}

fn secret() -> String {
    text([&[23, 3, 3, 0, 40][..], &[0x2a; 40]].concat())
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

impl World {
    /// A session in which something is said, and which has not ended.
    fn whisper(&mut self, from: &mut Socket, client: UnitId, to: &mut Socket, server: UnitId) {
        self.pass(from, client, to, server, &hello());
        self.pass(to, server, from, client, &answer());
        self.pass(from, client, to, server, &secret());
        self.pass(to, server, from, client, &secret());
    }

    fn let_go(&mut self, socket: &Socket, unit: UnitId) {
        self.now += 100;
        let event = StateEvent {
            kind: Kind::State as u8,
            old: 1,
            new: 4,
            flags: STATE_LET_GO,
            error: 0,
            time: self.now,
            cookie: socket.cookie,
            tx_position: u64::from(socket.tx as u32),
            rx_position: u64::from(socket.rx as u32),
            unit,
            endpoints: socket.endpoints,
        };
        let process = self.process(unit.tgid);
        self.connections.state(&event, Some(process), &mut self.signals);
        for signal in std::mem::take(&mut self.signals) {
            self.traces.signal(signal, self.now);
        }
    }
}

#[test]
fn a_connection_that_is_not_read_hangs_below_the_request_that_opened_it_and_has_both_its_ends() {
    let mut world = World::new();
    for unit in [FRONT, BACK] {
        world.process(unit.tgid).tls.was_unread();
    }
    let (mut a, mut b) = world.connect(80);
    let (mut c, mut d) = world.connect(81);
    world.pass(&mut a, CLIENT, &mut b, FRONT, &get("/pay", ""));
    world.whisper(&mut c, FRONT, &mut d, BACK);
    world.let_go(&c, FRONT);
    world.let_go(&d, BACK);
    world.pass(&mut b, FRONT, &mut a, CLIENT, OK);
    let traces = world.traces();
    let described: Vec<_> = traces.iter().map(|spans| describe(spans)).collect();
    let wanted = ["Client GET /pay parent=None", "Server GET /pay parent=Some(0)", "Client TLS parent=Some(1)"];
    assert_eq!(described, [[&wanted[..], &["Server TLS parent=Some(2)"]].concat()]);
}

#[test]
fn nothing_hangs_below_a_connection_that_is_not_read() {
    let mut world = World::new();
    world.process(FRONT.tgid).tls.was_unread();
    let (mut a, mut b) = world.connect(80);
    let (mut c, mut d) = world.connect(81);
    world.whisper(&mut a, CLIENT, &mut b, FRONT);
    // Whose call this is only who reads the connection could tell.
    world.pass(&mut c, FRONT, &mut d, BACK, &get("/stock", ""));
    world.pass(&mut d, BACK, &mut c, FRONT, OK);
    world.let_go(&b, FRONT);
    let traces = world.traces();
    let mut described: Vec<_> = traces.iter().map(|spans| describe(spans)).collect();
    described.sort();
    assert_eq!(described[0], ["Client GET /stock parent=None", "Server GET /stock parent=Some(0)"]);
    assert!(described[1..].iter().flatten().all(|span| span.ends_with("TLS parent=None")), "{described:?}");
    assert!(described.len() > 1);
}

#[test]
fn what_shows_late_is_hung_below_nothing() {
    let mut world = World::new();
    let (mut a, mut b) = world.connect(80);
    let (mut c, mut d) = world.connect(81);
    world.pass(&mut a, CLIENT, &mut b, FRONT, &get("/pay", ""));
    world.whisper(&mut c, FRONT, &mut d, BACK);
    // That it is not read shows when the client speaks again, and much may have happened by then.
    world.now += 60_000_000;
    world.pass(&mut c, FRONT, &mut d, BACK, &secret());
    world.let_go(&c, FRONT);
    world.let_go(&d, BACK);
    world.pass(&mut b, FRONT, &mut a, CLIENT, OK);
    let traces = world.traces();
    let mut described: Vec<_> = traces.iter().map(|spans| describe(spans)).collect();
    described.sort();
    assert_eq!(described[0], ["Client GET /pay parent=None", "Server GET /pay parent=Some(0)"]);
    assert_eq!(described[1], ["Client TLS parent=None", "Server TLS parent=Some(0)"]);
}
