//! What gateways' protocols share: a request as variables (RFC 3875 §4.1), its response as a document with a head (§6).
//!
//! | module | what it is |
//! |---|---|
//! | `variables` | the variables that matter, and the HTTP request that they were made of |
//! | `document` | the response: its status, and how long it is |
//! | `call` | one request and what came of it |
//! | `single` | connections with one request at a time: uwsgi, SCGI |

pub(crate) mod call;
pub(crate) mod document;
pub(crate) mod single;
pub(crate) mod variables;

pub(crate) use call::Call;
pub(crate) use variables::Variables;
