//! What the rulers and their tests share.

pub mod stacks;
