//! Containers, pods and what they are called. Pure: no connection, no file, no clock.
//!
//! | module | what it is |
//! |---|---|
//! | [`place`] | which container and pod a control group's path shows |
//! | [`objects`] | what the API writes, of each object what is read here |
//! | [`follow`] | how a collection of objects is listed and watched |
//! | [`pod`] | what is kept of a pod |
//! | [`pods`] | the pods of this node, and in which of them a process runs |
//! | [`peers`] | whose an address is, and since when that is proven |
//! | [`claims`] | which addresses an object claims |
//! | [`names`] | resource attributes, and what a service is called |
//! | [`text`] | texts of strangers, bounded |

pub mod claims;
pub mod follow;
pub mod names;
pub mod objects;
pub mod peers;
pub mod place;
pub mod pod;
pub mod pods;
pub mod text;
