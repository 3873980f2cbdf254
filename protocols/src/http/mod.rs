//! What HTTP means whatever its version (RFC 9110): header fields, span names, attributes.
//!
//! | module | what it is |
//! |---|---|
//! | `fields` | the header fields that matter |
//! | `forwarded` | what proxies say of the original request |
//! | `lines` | where a head ends |
//! | `attributes` | names and attributes of spans |

pub(crate) mod attributes;
pub(crate) mod fields;
pub(crate) mod forwarded;
pub(crate) mod lines;
