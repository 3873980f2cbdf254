//! How grave records are: by the words and numbers of loggers.

use super::Field;

/// How grave something is, as a number of OpenTelemetry's log data model: 1 to 4 is a trace, 5 debug, 9 information, 13 a warning, 17 an
/// error, 21 fatal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Severity(u8);

impl Severity {
    /// An error.
    pub const ERROR: Self = Self(17);

    /// `SeverityNumber`.
    pub fn number(self) -> u8 {
        self.0
    }
}

/// Fields in which loggers put it.
pub(super) const NAMES: [&str; 15] = [
    "level",
    "severity",
    "lvl",
    "levelname",
    "log.level",
    "loglevel",
    "log_level",
    "@l",
    "severity_text",
    "severityText",
    "severity_number",
    "severityNumber",
    "level_name",
    "Level",
    "LogLevel",
];

/// Words, and their numbers. (Syslog's as the data model's appendix maps them.)
const WORDS: [(&str, u8); 33] = [
    ("TRACE", 1),
    ("TRC", 1),
    ("FINEST", 1),
    ("FINER", 1),
    ("VERBOSE", 1),
    ("SILLY", 1),
    ("DEBUG", 5),
    ("DBG", 5),
    ("DEBU", 5),
    ("FINE", 5),
    ("INFO", 9),
    ("INF", 9),
    ("INFORMATION", 9),
    ("INFORMATIONAL", 9),
    ("LOG", 9),
    ("NOTICE", 10),
    ("WARN", 13),
    ("WRN", 13),
    ("WARNING", 13),
    ("ERROR", 17),
    ("ERR", 17),
    ("ERRO", 17),
    ("SEVERE", 17),
    ("CRITICAL", 18),
    ("CRIT", 18),
    ("ALERT", 19),
    ("FATAL", 21),
    ("FTL", 21),
    ("FATA", 21),
    ("EMERGENCY", 21),
    ("EMERG", 21),
    ("PANIC", 21),
    ("DPANIC", 21),
];
/// Syslog's, by its own numbers.
const SYSLOG: [u8; 8] = [21, 19, 18, 17, 13, 10, 9, 5];

/// By a word, however it is written.
pub(super) fn of_word(word: &str) -> Option<Severity> {
    WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, number)| Severity(*number))
}

/// By one of syslog's numbers.
pub(super) fn of_syslog(number: u8) -> Severity {
    Severity(SYSLOG[usize::from(number & 7)])
}

/// By a letter, as glog's and Ruby's loggers begin lines.
pub(super) fn of_letter(letter: u8) -> Option<Severity> {
    let number = match letter {
        b'D' => 5,
        b'I' => 9,
        b'W' => 13,
        b'E' => 17,
        b'F' => 21,
        _ => return None,
    };
    Some(Severity(number))
}

/// By a field: a word; a number as pino's and Bunyan's (10, 20, …), or syslog's (0 to 7).
pub(super) fn of_field(field: &Field) -> Option<Severity> {
    match field {
        Field::Text(word) => of_word(word.trim()).or_else(|| of_field(&Field::Int(word.parse().ok()?))),
        Field::Int(number @ 0..=7) => Some(of_syslog(*number as u8)),
        Field::Int(number @ 10..=69) => Some(Severity([1, 5, 9, 13, 17, 21][(*number / 10 - 1) as usize])),
        _ => None,
    }
}
