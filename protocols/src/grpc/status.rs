//! Status codes (<https://github.com/grpc/grpc/blob/master/doc/statuscodes.md>).

use std::borrow::Cow;

use crate::Role;

const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Code(u32);

impl Code {
    pub const CANCELLED: Self = Self(1);
    const UNKNOWN: Self = Self(2);
    pub const DEADLINE_EXCEEDED: Self = Self(4);
    const PERMISSION_DENIED: Self = Self(7);
    const RESOURCE_EXHAUSTED: Self = Self(8);
    pub const UNIMPLEMENTED: Self = Self(12);
    const INTERNAL: Self = Self(13);
    pub const UNAVAILABLE: Self = Self(14);
    const DATA_LOSS: Self = Self(15);
    const UNAUTHENTICATED: Self = Self(16);

    /// Reads `grpc-status`.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let digits = std::str::from_utf8(value.trim_ascii()).ok()?;
        let sound = (1..=4).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        sound.then(|| digits.parse().ok().map(Self))?
    }

    /// Whether a value is one that `grpc-status` has: there are 17, written without leading zeroes.
    pub fn is_value(value: &[u8]) -> bool {
        let canonical = !(value.len() > 1 && value.starts_with(b"0"));
        canonical && value.len() <= 2 && Self::parse(value).is_some_and(|code| (code.0 as usize) < NAMES.len())
    }

    /// What a client makes of RST_STREAM, by error code (PROTOCOL-HTTP2.md, *Errors*).
    pub fn of_reset(error: u32) -> Self {
        match error {
            7 => Self::UNAVAILABLE,
            8 => Self::CANCELLED,
            11 => Self::RESOURCE_EXHAUSTED,
            12 => Self::PERMISSION_DENIED,
            _ => Self::INTERNAL,
        }
    }

    /// What a client makes of a response without `grpc-status`, by its HTTP status.
    pub fn of_http(status: u16) -> Self {
        match status {
            400 => Self::INTERNAL,
            401 => Self::UNAUTHENTICATED,
            403 => Self::PERMISSION_DENIED,
            404 => Self::UNIMPLEMENTED,
            429 | 502 | 503 | 504 => Self::UNAVAILABLE,
            _ => Self::UNKNOWN,
        }
    }

    /// The name; the number of a code that has none.
    pub fn name(self) -> Cow<'static, str> {
        match NAMES.get(self.0 as usize) {
            Some(name) => Cow::Borrowed(*name),
            None => Cow::Owned(self.0.to_string()),
        }
    }

    /// Which codes are errors, as the semantic conventions for gRPC say.
    pub fn is_error(self, role: Role) -> bool {
        const SERVER: [Code; 6] = [
            Code::UNKNOWN,
            Code::DEADLINE_EXCEEDED,
            Code::UNIMPLEMENTED,
            Code::INTERNAL,
            Code::UNAVAILABLE,
            Code::DATA_LOSS,
        ];
        match role {
            Role::Client => self.0 != 0,
            Role::Server => SERVER.contains(&self),
        }
    }
}
