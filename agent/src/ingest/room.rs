//! Room for a message, from its first byte to the spans that it becomes: part of the one bound on memory.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::Frame;

use crate::memory::Account;

/// What one message has taken of what there is for all; given back when it is dropped.
#[derive(Debug)]
pub struct Room {
    account: Account,
    taken: AtomicUsize,
    refused: AtomicBool,
    too_large: AtomicBool,
}

/// Why a message finds no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRoom {
    /// Others have it. It may come again.
    Now,
    /// It is larger than all that there is.
    Ever,
}

impl Room {
    /// Nothing is taken yet.
    pub fn new(account: &Account) -> Arc<Self> {
        let (refused, too_large) = Default::default();
        Arc::new(Self { account: account.clone(), taken: AtomicUsize::new(0), refused, too_large })
    }

    /// Takes so many bytes more, if there is room.
    pub fn grow(&self, bytes: usize) -> bool {
        let too_large = self.taken.load(Ordering::Relaxed).saturating_add(bytes) > self.account.limit();
        if too_large || !self.account.try_take(bytes) {
            self.too_large.fetch_or(too_large, Ordering::Relaxed);
            self.refused.store(true, Ordering::Relaxed);
            return false;
        }
        self.taken.fetch_add(bytes, Ordering::Relaxed);
        true
    }

    /// Whether it ever found none, and why.
    pub fn refused(&self) -> Option<NoRoom> {
        let why = if self.too_large.load(Ordering::Relaxed) { NoRoom::Ever } else { NoRoom::Now };
        self.refused.load(Ordering::Relaxed).then_some(why)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.account.give(*self.taken.get_mut());
    }
}

/// A body whose bytes take room as they come.
pub struct Metered {
    inner: Body,
    room: Arc<Room>,
}

impl Metered {
    /// This body.
    pub fn body(inner: Body, room: Arc<Room>) -> Body {
        Body::new(Self { inner, room })
    }
}

impl HttpBody for Metered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
            && !self.room.grow(data.len())
        {
            return Poll::Ready(Some(Err(axum::Error::new("there is no room for the message"))));
        }
        Poll::Ready(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_given_back_and_a_message_learns_whether_it_may_come_again() {
        let account = Account::new(1000);
        let (one, two) = (Room::new(&account), Room::new(&account));
        assert!(one.grow(600) && two.grow(300));
        assert!(!two.grow(200));
        assert_eq!((one.refused(), two.refused()), (None, Some(NoRoom::Now)));
        drop(one);
        assert!(two.grow(200));
        assert!(!two.grow(501));
        assert_eq!(two.refused(), Some(NoRoom::Ever));
        drop(two);
        assert_eq!(account.held(), 0);
    }
}
