//! Celery: tasks and their results, recognised inside the messages of a broker. Pure functions; the parsers of AMQP and
//! Redis call them.
//!
//! | module | what it is |
//! |---|---|
//! | `task` | the envelope of a task (message protocols 1 and 2, <https://docs.celeryq.dev/en/stable/internals/protocol.html>) |
//! | `result` | what a worker writes to the result backend |
//! | `redis` | where both are in Redis: kombu's virtual transport, and the Redis backend |
//! | `json` | a JSON object's members, also of one that is cut short |
//!
//! Arguments of tasks and their results are never looked at; of what exceptions say, what they quote is left out.

mod json;
mod redis;
mod result;
mod task;

pub use redis::{Queued, Write, reply, settled, write};
pub use result::{Outcome, outcome};
pub use task::{Action, Headers, Task, Value, embedded};
