//! Decodes the records of the ring.

use wirespan_common::{ExecEvent, FactEvent, IoEvent, Kind, LineEvent, PathEvent, PlainEvent, StateEvent, TaskEvent};

/// One record, borrowed from the ring.
#[derive(Debug)]
pub enum Record<'a> {
    /// A socket operation and the bytes captured of it.
    Io(IoEvent, &'a [u8]),
    /// A TCP connection opened or ended.
    State(StateEvent),
    /// A Unix socket could not be connected.
    Path(PathEvent),
    /// A thread or process was created.
    Fork(TaskEvent),
    /// A thread ended.
    Exit(TaskEvent),
    /// Something else that says who does what for whom.
    Fact(FactEvent),
    /// Plaintext that passed through a TLS library, and the bytes captured of it.
    Plain(PlainEvent, &'a [u8]),
    /// Something was written to where a process's lines go, and the bytes captured of it.
    Lines(LineEvent, &'a [u8]),
    /// A process runs a new program: arguments, environment (both NUL-separated, perhaps cut short).
    Exec(ExecEvent, &'a [u8], &'a [u8]),
}

impl<'a> Record<'a> {
    /// Decodes one record; `None` if it is too short for what it claims or of an unknown kind.
    pub fn decode(data: &'a [u8]) -> Option<Self> {
        let kind = *data.first()?;
        if kind == Kind::Io as u8 {
            let (event, rest) = split::<IoEvent>(data)?;
            return Some(Self::Io(event, rest.get(..event.captured as usize)?));
        }
        if kind == Kind::State as u8 {
            return Some(Self::State(split(data)?.0));
        }
        if kind == Kind::Path as u8 {
            return Some(Self::Path(split(data)?.0));
        }
        if kind == Kind::Fork as u8 {
            return Some(Self::Fork(split(data)?.0));
        }
        if kind == Kind::Exit as u8 {
            return Some(Self::Exit(split(data)?.0));
        }
        if kind == Kind::Fact as u8 {
            return Some(Self::Fact(split(data)?.0));
        }
        if kind == Kind::Plain as u8 {
            let (event, rest) = split::<PlainEvent>(data)?;
            return Some(Self::Plain(event, rest.get(..event.captured as usize)?));
        }
        if kind == Kind::Lines as u8 {
            let (event, rest) = split::<LineEvent>(data)?;
            return Some(Self::Lines(event, rest.get(..event.captured as usize)?));
        }
        if kind == Kind::Exec as u8 {
            let (event, rest) = split::<ExecEvent>(data)?;
            let args = rest.get(..event.args_len as usize)?;
            let env = rest.get(event.args_len as usize..)?.get(..event.env_len as usize)?;
            return Some(Self::Exec(event, args, env));
        }
        None
    }
}

impl Record<'_> {
    /// Captured bytes.
    pub fn payload(&self) -> u64 {
        match self {
            Self::Io(_, bytes) | Self::Plain(_, bytes) | Self::Lines(_, bytes) => bytes.len() as u64,
            Self::Exec(_, args, env) => (args.len() + env.len()) as u64,
            Self::State(_) | Self::Path(_) | Self::Fork(_) | Self::Exit(_) | Self::Fact(_) => 0,
        }
    }
}

/// Types whose every bit pattern is valid, so that they can be read from bytes.
trait Plain: Copy {}
impl Plain for IoEvent {}
impl Plain for StateEvent {}
impl Plain for PathEvent {}
impl Plain for TaskEvent {}
impl Plain for ExecEvent {}
impl Plain for FactEvent {}
impl Plain for PlainEvent {}
impl Plain for LineEvent {}

fn split<T: Plain>(data: &[u8]) -> Option<(T, &[u8])> {
    let (head, rest) = data.split_at_checked(size_of::<T>())?;
    // SAFETY: `head` has the size of a `T`, and `Plain` types are integers and arrays of integers only.
    Some((unsafe { std::ptr::read_unaligned(head.as_ptr().cast()) }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_is_shorter_than_it_claims_is_refused() {
        let mut data = vec![0u8; size_of::<IoEvent>() + 3];
        data[0] = Kind::Io as u8;
        data[4] = 4; // captured
        assert!(Record::decode(&data).is_none());
        data.push(0);
        assert!(matches!(Record::decode(&data), Some(Record::Io(_, [0, 0, 0, 0]))));
        for len in 0..size_of::<IoEvent>() {
            assert!(Record::decode(&data[..len]).is_none());
        }
    }

    #[test]
    fn an_unknown_kind_is_refused() {
        assert!(Record::decode(&[99; 256]).is_none());
        assert!(Record::decode(&[]).is_none());
    }
}
