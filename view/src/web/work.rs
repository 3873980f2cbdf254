//! What takes longer than a moment: off the threads that serve connections, a bounded number at a time, for a bounded
//! time, and not at all once nobody waits.
//!
//! Memory is asked in two ways. *Figures* are answered from rows, names and counts while memory stands still, within some
//! milliseconds. *Spans* have to be decompressed and written out: they are taken out of memory first, and read while
//! memory goes on. Each has places of its own, so that whoever reads long traces keeps nobody from the figures; and those
//! who come over the socket have places of their own.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Shared;
use super::params::Refusal;
use crate::store::stop::{Stop, Stopped};
use crate::store::{Memory, Reader};

/// How long a question waits for its turn, and a finished answer for room to be sent.
const TURN: Duration = Duration::from_secs(10);
/// How long the work for one answer may take.
const WORK: Duration = Duration::from_secs(10);
/// Bytes of answers that are being sent at a time, over one kind of connection.
const ANSWERS: usize = 32 << 20;
/// Bytes of an answer that are handed on at a time.
const CHUNK: usize = 64 << 10;

/// Where there is room for so much work at a time.
pub struct Desk {
    figures: Arc<Semaphore>,
    spans: Arc<Semaphore>,
    /// In KiB.
    answers: Arc<Semaphore>,
}

/// What a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// Rows, names and counts.
    Figures,
    /// The spans of traces.
    Spans,
}

impl Desk {
    /// So many questions of each kind at a time.
    pub fn new(places: usize) -> Self {
        Self {
            figures: Arc::new(Semaphore::new(places)),
            spans: Arc::new(Semaphore::new(places)),
            answers: Arc::new(Semaphore::new(ANSWERS >> 10)),
        }
    }
}

impl From<Stopped> for Refusal {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Left => Self::busy("nobody waited for the answer"),
            Stopped::TooLong => Self::busy("this takes too long: narrow it, by a service or by a shorter time"),
        }
    }
}

impl Shared {
    /// Asks something, and waits for the answer.
    ///
    /// # Errors
    /// If there is no turn in time, if it takes too long, or if the question itself is refused.
    pub async fn work<T: Send + 'static>(
        &self,
        about: About,
        question: impl FnOnce(&Reader, &Stop) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let places = match about {
            About::Figures => &self.desk.figures,
            About::Spans => &self.desk.spans,
        };
        let turn = tokio::time::timeout(TURN, Arc::clone(places).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(Refusal::busy("too many questions at a time: ask again"));
        };
        // Dropped with this future, which is when the reader leaves.
        let (stop, _waiting) = Stop::after(WORK);
        let reader = self.shown.reader.clone();
        let work = move || {
            let answer = stop.check().map_err(Refusal::from).and_then(|()| question(&reader, &stop));
            // Whoever left does not make room before the work has ended.
            drop(turn);
            answer
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| Refusal::internal())?
    }

    /// Answers from rows, names and counts.
    ///
    /// # Errors
    /// As [`Shared::work`].
    pub async fn figures<T: Serialize>(
        &self,
        question: impl FnOnce(&Memory) -> T + Send + 'static,
    ) -> Result<Response, Refusal> {
        let work = move |reader: &Reader, _: &Stop| {
            let found = question(&reader.read());
            render(&found)
        };
        let body = self.work(About::Figures, work).await?;
        self.answer(body).await
    }

    /// Answers from spans; the question takes out of memory what it needs, and writes the answer as JSON.
    ///
    /// # Errors
    /// As [`Shared::work`].
    pub async fn spans(
        &self,
        question: impl FnOnce(&Reader, &Stop) -> Result<Vec<u8>, Refusal> + Send + 'static,
    ) -> Result<Response, Refusal> {
        let body = self.work(About::Spans, question).await?;
        self.answer(body).await
    }

    /// A response of this JSON, which has its place among the answers until it is sent.
    async fn answer(&self, body: Vec<u8>) -> Result<Response, Refusal> {
        let room = (body.len() >> 10).min((ANSWERS >> 10) - 1) + 1;
        let place = Arc::clone(&self.desk.answers).acquire_many_owned(room as u32);
        let Ok(Ok(place)) = tokio::time::timeout(TURN, place).await else {
            return Err(Refusal::busy("too many long answers are being sent: ask again"));
        };
        let body = Body::new(Answer { body, sent: 0, _place: place });
        Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response())
    }
}

/// A value as JSON.
///
/// # Errors
/// None but a defect.
pub fn render(value: &impl Serialize) -> Result<Vec<u8>, Refusal> {
    serde_json::to_vec(value).map_err(|error| {
        log::error!("the view cannot write an answer: {error}");
        Refusal::internal()
    })
}

/// A body that is handed on piece by piece: what the connection has not asked for yet stays here, and counts.
struct Answer {
    body: Vec<u8>,
    sent: usize,
    _place: OwnedSemaphorePermit,
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let rest = &self.body[self.sent..];
        if rest.is_empty() {
            return Poll::Ready(None);
        }
        let piece = Bytes::copy_from_slice(&rest[..rest.len().min(CHUNK)]);
        self.sent += piece.len();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.sent == self.body.len()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact((self.body.len() - self.sent) as u64)
    }
}
