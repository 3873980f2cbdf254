//! Build, run, test and measure.
fn main() {}
