//! What a ruler says last: whoever runs it quotes that.

use std::process::ExitCode;

use anyhow::{Result, bail};

/// Success, or an error that lists all that is wrong, a line each.
pub fn of(wrong: &[String]) -> Result<ExitCode> {
    if wrong.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    bail!("{} wrong:\n{}", wrong.len(), wrong.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_wrong_is_told() {
        assert!(of(&[]).is_ok());
        let error = of(&["one: late".to_owned(), "two: lost".to_owned()]).expect_err("two are wrong");
        assert_eq!(error.to_string(), "2 wrong:\none: late\ntwo: lost");
    }
}
