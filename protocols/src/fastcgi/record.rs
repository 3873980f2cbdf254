//! Records (FastCGI 1.0 §3.3), by whose grammar FastCGI is recognised.

use crate::{Detection, Direction};

/// Bytes of a record's head, of the body of BEGIN_REQUEST, and of that of END_REQUEST.
pub(super) const HEAD: usize = 8;
/// The only version there is.
const VERSION: u8 = 1;
/// The roles that an application may be asked to play: responder, authorizer, filter.
const ROLES: std::ops::RangeInclusive<u16> = 1..=3;

/// What a record is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Begin,
    Abort,
    End,
    Params,
    Stdin,
    Stdout,
    Stderr,
    Data,
    /// It is about the application, and no request.
    Management,
}

impl Kind {
    fn parse(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Begin,
            2 => Self::Abort,
            3 => Self::End,
            4 => Self::Params,
            5 => Self::Stdin,
            6 => Self::Stdout,
            7 => Self::Stderr,
            8 => Self::Data,
            9..=11 => Self::Management,
            _ => return None,
        })
    }

    fn goes(self, direction: Direction) -> bool {
        match self {
            Self::Begin | Self::Abort | Self::Params | Self::Stdin | Self::Data => direction == Direction::Request,
            Self::End | Self::Stdout | Self::Stderr => direction == Direction::Response,
            Self::Management => true,
        }
    }

    /// Whether its content is a few bytes, of which all are needed.
    pub(super) fn is_short(self) -> bool {
        matches!(self, Self::Begin | Self::End)
    }
}

/// The head of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub kind: Kind,
    /// Of the request; 0 for management.
    pub number: u16,
    /// Bytes of content.
    pub len: u16,
    /// Bytes behind the content.
    pub padding: u8,
}

impl Head {
    /// Reads a head, if that may go in this direction.
    pub(super) fn parse(bytes: [u8; HEAD], direction: Direction) -> Option<Self> {
        let [VERSION, kind, n1, n0, l1, l0, padding, 0] = bytes else { return None };
        let kind = Kind::parse(kind).filter(|kind| kind.goes(direction))?;
        let (number, len) = (u16::from_be_bytes([n1, n0]), u16::from_be_bytes([l1, l0]));
        let sound = match kind {
            Kind::Begin | Kind::End => len == HEAD as u16,
            Kind::Abort => len == 0,
            _ => true,
        };
        (sound && (number == 0) == (kind == Kind::Management)).then_some(Self { kind, number, len, padding })
    }
}

/// Whether BEGIN_REQUEST may hold these bytes.
pub(super) fn begins(body: [u8; HEAD]) -> bool {
    let [r1, r0, 0 | 1, 0, 0, 0, 0, 0] = body else { return false };
    ROLES.contains(&u16::from_be_bytes([r1, r0]))
}

/// Whether bytes begin with a request: BEGIN_REQUEST and then its first PARAMS. Those are the better part of 24 bytes that
/// can hardly be otherwise, so nothing else is mistaken for it. Responses are not asked for: they say less.
pub fn detect(bytes: &[u8]) -> Detection {
    let sound = |head: [u8; HEAD]| Head::parse(head, Direction::Request);
    let Some(head) = bytes.first_chunk::<HEAD>() else {
        let known = [VERSION, 1];
        let fits = bytes.iter().zip(known).all(|(is, known)| *is == known);
        return if fits { Detection::NeedMore } else { Detection::No };
    };
    let Some(begin) = sound(*head).filter(|head| head.kind == Kind::Begin) else { return Detection::No };
    let Some(body) = bytes[HEAD..].first_chunk::<HEAD>() else { return Detection::NeedMore };
    if !begins(*body) {
        return Detection::No;
    }
    let next = bytes.get(2 * HEAD + usize::from(begin.padding)..).and_then(|rest| rest.first_chunk::<HEAD>());
    match next.map(|next| sound(*next)) {
        None => Detection::NeedMore,
        Some(Some(next)) if next.kind == Kind::Params && next.number == begin.number && next.len > 0 => {
            Detection::Match(Direction::Request)
        }
        Some(_) => Detection::No,
    }
}
