//! What any bytes are as lines: no panic, bounded, nothing is left open at the end, and nothing is told that was not written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wirespan_errors::{Field, MAX_EXCEPTION, MAX_FIELDS, MAX_LINE, Reader, Record};

fuzz_target!(|input: &[u8]| {
    for mut reader in [Reader::default(), Reader::of_records()] {
        let mut rest = input;
        let mut written = 0;
        while let Some((length, bytes)) = rest.split_first() {
            let (piece, behind) = bytes.split_at(bytes.len().min(usize::from(*length)));
            reader.write(piece, *length % 7 != 3, &());
            written += piece.len();
            assert!(reader.weight() < 4 * (MAX_LINE + MAX_EXCEPTION) * size_of::<usize>() + 512 * piece.len());
            rest = behind;
        }
        reader.idle();
        assert!(!reader.is_open());
        let mut told = 0;
        for found in reader.take() {
            assert!(found.line.is_some() || found.exception.is_some());
            if let Some(exception) = found.exception {
                assert!(!exception.kind.is_empty());
                assert!(exception.trace(str::to_owned).len() <= MAX_EXCEPTION);
            }
            if let Some(line) = found.line {
                // (What is no UTF-8 is told as three bytes.)
                told += line.len();
                check(&Record::parse(&line), &line);
            }
        }
        assert!(told <= 3 * written);
    }
});

fn check(record: &Record, line: &str) {
    assert!(!record.message.trim().is_empty());
    assert!(record.message.len() <= line.len());
    assert!(record.fields.len() <= MAX_FIELDS);
    for (name, field) in &record.fields {
        assert!(name.len() <= line.len());
        // (Numbers within lists are written out: `1e15`.)
        assert!(!matches!(field, Field::Text(text) if text.len() > 8 * line.len()));
    }
    assert!(record.severity.is_some() || record.level.is_empty());
    assert!(record.context.is_none_or(|context| context.trace_id != [0; 16]));
}
