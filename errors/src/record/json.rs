//! A record that is an object of JSON: its fields, those of objects within it by the whole of their names.

use serde_json::{Map, Value};

use super::{Field, Record};

/// Objects within objects that are taken apart.
const MAX_DEPTH: usize = 3;

pub(super) fn parse(line: &str) -> Option<Record> {
    let line = line.trim();
    if !line.starts_with('{') || !line.ends_with('}') {
        return None;
    }
    let object: Map<String, Value> = serde_json::from_str(line).ok()?;
    let mut record = Record::default();
    take(&mut record, "", object, MAX_DEPTH);
    // An object that says nothing is what was printed, and no record.
    (record.severity.is_some() || !record.message.is_empty()).then(|| record.read(line))
}

fn take(record: &mut Record, within: &str, object: Map<String, Value>, depth: usize) {
    for (name, value) in object {
        let name = if within.is_empty() { name } else { format!("{within}.{name}") };
        let field = match value {
            Value::Null => continue,
            Value::String(text) => Field::Text(text),
            Value::Bool(is) => Field::Bool(is),
            Value::Number(number) => match number.as_i64() {
                Some(number) => Field::Int(number),
                None => Field::Double(number.as_f64().unwrap_or_default()),
            },
            Value::Object(inner) if depth > 0 => {
                take(record, &name, inner, depth - 1);
                continue;
            }
            value => Field::Text(value.to_string()),
        };
        record.names(&name, field);
    }
}
