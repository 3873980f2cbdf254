use wirespan_protocols::exchange::{Event, KeyValue, Unit, Value};

use super::*;
use crate::config::{Config, Settings, Surroundings};
use crate::discovery::{HostInfo, Processes};

/// There is no such process.
const PID: u32 = 0x7000_0000;
const TRACE: &str = "ERROR in app: Exception on /w/7 [GET]
Traceback (most recent call last):
  File \"/app/a.py\", line 9, in outer
    raise ValueError(f'no {name!r}')
ValueError: no 's3cret'
";

fn process() -> Arc<Process> {
    let surroundings =
        Surroundings { environment: Default::default(), read: &|_| Err(std::io::ErrorKind::NotFound.into()) };
    let settings = Settings::resolve(&Default::default(), &surroundings).unwrap();
    let config = Config::from_settings(&settings, &surroundings).unwrap();
    let mut processes = Processes::new(&config, "/nonexistent".into(), HostInfo::read("/nonexistent".as_ref()));
    Arc::clone(processes.get(PID))
}

fn lines() -> Lines {
    Lines::new(Places::new("/nowhere".into()), Telling::default(), Arc::default())
}

fn write(lines: &mut Lines, tid: u32, time: u64, text: &str, out: &mut Vec<Signal>) {
    let unit = Unit { tgid: PID, tid, ..Unit::default() };
    let mark = Mark { time, unit, ..Mark::default() };
    lines.written(&Written { place: 1, mark, bytes: text.as_bytes(), is_whole: true }, &process(), out);
}

/// By an exception's name, its event's texts, if there is one.
type Told = Vec<(u64, Option<Vec<String>>)>;

/// What was announced, by name and thread, and what was told.
fn told(out: Vec<Signal>) -> (Vec<(u64, u32)>, Told) {
    let (mut announced, mut told) = (Vec::new(), Vec::new());
    for signal in out {
        match signal {
            Signal::Speaks(speaks) => announced.push((speaks.id, speaks.at.unit.tid)),
            Signal::Said { id, said } => told.push((id, said.and_then(|said| said.event).map(|event| texts(&event)))),
            other => panic!("{other:?}"),
        }
    }
    (announced, told)
}

fn texts(event: &Event) -> Vec<String> {
    let text = |a: &KeyValue| match &a.value {
        Value::Str(text) => text.to_string(),
        other => panic!("{other:?}"),
    };
    event.attributes.iter().map(text).collect()
}

#[test]
fn an_exception_is_announced_when_it_begins_and_told_when_its_unit_falls_silent() {
    let (mut lines, mut out) = (lines(), Vec::new());
    write(&mut lines, 9, 100, TRACE, &mut out);
    assert!(matches!(&out[..], [Signal::Speaks(speaks)] if speaks.at.time == 100), "{out:?}");
    lines.tick(100 + IDLE, &mut out);
    assert_eq!(out.len(), 1, "more may come");
    lines.tick(100 + IDLE + LOOK_EVERY, &mut out);
    let (announced, told) = told(out);
    assert_eq!(announced, [(1, 9)]);
    let texts = told[0].1.as_ref().unwrap();
    assert_eq!(texts[..2], ["ValueError", "no ?"]);
    assert!(texts[2].ends_with("raise ValueError(f'no {name!r}')\nValueError: no ?"), "{}", texts[2]);
    assert!(lines.writers.is_empty());
}

#[test]
fn what_threads_write_at_the_same_time_in_pieces_is_told_apart() {
    let (mut lines, mut out) = (lines(), Vec::new());
    for line in TRACE.split_inclusive('\n') {
        for tid in [8, 9] {
            for (n, piece) in [&line[..line.len() / 2], &line[line.len() / 2..]].into_iter().enumerate() {
                write(&mut lines, tid, 100 + n as u64, piece, &mut out);
            }
        }
    }
    lines.finish(&mut out);
    let (announced, told) = told(out);
    assert_eq!(announced, [(1, 8), (2, 9)]);
    assert!(told.len() == 2 && told.iter().all(|(_, event)| event.as_ref().is_some_and(|e| e[0] == "ValueError")));
}

#[test]
fn what_was_announced_is_told_to_be_nothing_if_it_turns_out_so() {
    for text in
        ["Traceback (most recent call last):\nno more of it\n", &format!("{TRACE}INFO: and more\nINFO: of others\n")]
    {
        let (mut lines, mut out) = (lines(), Vec::new());
        write(&mut lines, 9, 100, text, &mut out);
        lines.finish(&mut out);
        let (announced, told) = told(out);
        assert_eq!(announced.len(), told.len());
        assert!(told.iter().all(|(_, event)| event.is_none()), "{told:?}");
    }
}

#[test]
fn one_process_does_not_tell_without_end() {
    let (mut lines, mut out) = (lines(), Vec::new());
    let head = "Traceback (most recent call last):";
    let frames = "  File \"/app/a.py\", line 9, in outer\n".repeat(1500);
    for n in 0..100 {
        write(&mut lines, 9, n, &format!("{head}\n{frames}ValueError: x\n"), &mut out);
    }
    lines.finish(&mut out);
    let (announced, told) = told(out);
    assert_eq!((announced.len(), told.len()), (100, 100));
    let kept = told.iter().filter(|(_, event)| event.is_some()).count();
    assert!((40..99).contains(&kept), "{kept}");
    assert_eq!(lines.counters.exceptions_limited.get(), 100 - kept as u64);
}

#[test]
fn a_process_that_is_gone_is_forgotten() {
    let (mut lines, mut out) = (lines(), Vec::new());
    lines.places().ask(PID);
    write(&mut lines, 9, 100, TRACE, &mut out);
    lines.forget(PID, &mut out);
    assert!(lines.writers.is_empty());
    assert_eq!(told(out).1.len(), 1);
}

fn all() -> Lines {
    let telling = Telling { exceptions: true, records: true, ..Telling::default() };
    Lines::new(Places::new("/nowhere".into()), telling, Arc::default())
}

/// The records that are told: for whom, if that is asked, and what they say.
fn records(out: &[Signal]) -> Vec<(bool, &wirespan_signals::Log)> {
    let told = out.iter().filter_map(|signal| match signal {
        Signal::Said { said: Some(said), .. } => Some((true, said.log.as_ref()?)),
        Signal::SaidByNobody(said) => Some((false, said.log.as_ref()?)),
        _ => None,
    });
    told.collect()
}

#[test]
fn every_record_is_told_with_its_severity_and_without_its_secrets() {
    let (mut lines, mut out) = (all(), Vec::new());
    write(&mut lines, 9, 100, "2026-11-30 09:12:17 WARN for bob token=s3cret\n", &mut out);
    write(
        &mut lines,
        9,
        101,
        "{\"level\":\"error\",\"msg\":\"to http://u:p@h/\",\"password\":\"s3cret\",\"n\":7}\n",
        &mut out,
    );
    let told = records(&out);
    let says = |at: usize| (told[at].0, told[at].1.severity, &*told[at].1.severity_text, &*told[at].1.body);
    assert_eq!(says(0), (true, 13, "WARN", "for bob token=REDACTED"));
    assert_eq!(says(1), (true, 17, "error", "to http://REDACTED:REDACTED@h/"));
    let expected = [KeyValue { key: "n".into(), value: Value::Int(7) }, KeyValue::str("password", "REDACTED")];
    let mut attributes = told[1].1.attributes.clone();
    attributes.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(attributes, expected);
    let counters = &lines.counters;
    assert_eq!((counters.log_records_read.get(), counters.log_records_redacted.get()), (2, 2));
    assert!(!format!("{out:?}").contains("s3cret"));
}

#[test]
fn what_a_record_names_is_cut_where_no_secret_is_known_by_the_rest() {
    let (mut lines, mut out) = (all(), Vec::new());
    let fields = [
        format!("\"a\":\"{}\"", "é".repeat(1024)),
        format!("\"b\":\"{} postgres://bob:s3cret@h/x\"", "x".repeat(1024 - " postgres://bob:s3cr".len())),
        format!("\"{}.password\":\"s3cret\"", "n".repeat(128)),
    ];
    write(&mut lines, 9, 100, &format!("{{\"msg\":\"it\",{}}}\n", fields.join(",")), &mut out);
    let attributes = &records(&out)[0].1.attributes;
    let said = |key: &str| match attributes.iter().find(|attribute| attribute.key == key).map(|found| &found.value) {
        Some(Value::Str(text)) => text.to_string(),
        other => panic!("{key}: {other:?}"),
    };
    assert_eq!(said("a"), "é".repeat(512));
    assert!(said("b").len() == 1024 && said("b").ends_with(" postgres://REDACTED"), "{attributes:?}");
    assert_eq!(said(&"n".repeat(128)), "REDACTED");
    let counters = &lines.counters;
    assert_eq!((counters.log_records_shortened.get(), counters.log_records_redacted.get()), (1, 1));
    assert!(!format!("{out:?}").contains("s3cr"));
}

#[test]
fn of_what_was_gathered_nobody_is_asked_and_who_names_the_span_is_believed() {
    let (mut lines, mut out) = (all(), Vec::new());
    write(&mut lines, 9, 100, "INFO one\nINFO two\n", &mut out);
    let id = "0af7651916cd43dd8448eb211c80319c";
    write(&mut lines, 9, 101, &format!("{{\"msg\":\"named\",\"trace_id\":\"{id}\"}}\n"), &mut out);
    let told = records(&out);
    assert_eq!(told.iter().map(|(asked, _)| *asked).collect::<Vec<_>>(), [false; 3]);
    assert!(out.iter().all(|signal| matches!(signal, Signal::SaidByNobody(_))), "{out:?}");
    let span = told[2].1.span.unwrap();
    assert_eq!((wirespan_signals::hex(&span.trace_id), span.span_id), (id.to_owned(), [0; 8]));
    assert_eq!(lines.counters.log_records_shared.get(), 2);
}

#[test]
fn an_exception_is_a_record_as_well_and_its_head_is_none() {
    let (mut lines, mut out) = (all(), Vec::new());
    write(&mut lines, 9, 100, TRACE, &mut out);
    for line in ["a.b.OrderException: no 's3cret'\n", "\tat a.B.c(B.java:1)\n", "\tat a.B.d(B.java:2)\n"] {
        write(&mut lines, 8, 100, line, &mut out);
    }
    lines.finish(&mut out);
    let mut bodies: Vec<&str> =
        records(&out).iter().map(|(asked, log)| (*asked).then_some(&*log.body).unwrap()).collect();
    bodies.sort_unstable();
    assert_eq!(bodies, ["ValueError: no ?", "a.b.OrderException: no ?", "in app: Exception on /w/7 [GET]"]);
    let events = out.iter().filter(|s| matches!(s, Signal::Said { said: Some(said), .. } if said.event.is_some()));
    assert_eq!(events.count(), 2);
    assert!(!format!("{:?}", records(&out)).contains("s3cret"));
}

#[test]
fn records_are_bounded_each_and_together() {
    let (mut lines, mut out) = (all(), Vec::new());
    let long = "x".repeat(60 << 10);
    for n in 0..400 {
        write(&mut lines, 9, n, &format!("INFO {long}\n"), &mut out);
    }
    let told = records(&out);
    assert!((200..400).contains(&told.len()), "{}", told.len());
    assert!(told.iter().all(|(_, log)| log.body.len() == 16 << 10));
    let counters = &lines.counters;
    assert_eq!(counters.log_records_limited.get(), 400 - told.len() as u64);
    assert_eq!(counters.log_records_shortened.get(), 400);
    let announced = out.iter().filter(|s| matches!(s, Signal::Speaks(_))).count();
    let ended = out.iter().filter(|s| matches!(s, Signal::Said { .. })).count();
    assert_eq!(announced, ended, "nothing is announced that is not told");
}
