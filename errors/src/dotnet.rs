//! `Ns.Type: message`, `   at Ns.C.M(String a) in /a.cs:line 1`, ` ---> inner`, `--- End of … ---`.

use std::collections::VecDeque;

use crate::exception::{Exception, Language, What};
use crate::machine::{BEFORE, Grammar, Open, Said};
use crate::text::{called_at, kind_and_message, kind_within, last_part};

pub const GRAMMAR: Grammar = Grammar { opens, goes_on };

fn is_frame(line: &str) -> bool {
    let Some(call) = called_at(line) else { return false };
    let Some((name, rest)) = call.split_once('(') else { return false };
    let sound = |c: char| c.is_alphanumeric() || "_.<>`[],|$+".contains(c);
    let call = rest.split_once(" in ").map_or(rest, |(call, _)| call);
    name.contains('.') && name.chars().all(sound) && call.ends_with(')')
}

/// `Ns.Type`: a namespace, and a name that exceptions have.
fn is_thrown(name: &str) -> bool {
    let upper = |part: &str| part.starts_with(|c: char| c.is_uppercase());
    name.contains('.') && name.split('.').all(upper) && last_part(name).ends_with("Exception")
}

fn opens(line: &str, before: &VecDeque<String>) -> Option<Open> {
    is_frame(line).then_some(())?;
    Open::with_head(before, BEFORE, line, |line| {
        if line.trim_start().starts_with("---") {
            return None;
        }
        let own = kind_and_message(line.trim_start()).filter(|(kind, _)| is_thrown(kind));
        let (kind, message) = own.or_else(|| kind_within(line, is_thrown))?;
        Some(Exception::with_head(Language::DotNet, kind, message))
    })
}

fn goes_on(_: &mut Open, line: &str) -> Option<Said> {
    let text = line.trim_start();
    if is_frame(line) || (text.starts_with("--- End of ") && text.ends_with("---")) {
        return Some((What::Frame, 0));
    }
    let (_, message) = kind_and_message(text.strip_prefix("---> ")?)?;
    Some((What::Head, line.len() - message.len()))
}
