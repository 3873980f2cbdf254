//! The end-to-end tests: one module per subject.

mod services;
