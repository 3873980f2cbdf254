//! Of which processes what passes inside TLS is read.

use super::Rule;

/// Whether what a process says inside TLS is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// It is not.
    Off,
    /// Where that is cheap.
    #[default]
    Auto,
    /// Also where it is not.
    Force,
}

/// The first rule that matches says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsRules(Vec<(Rule, Tls)>);

impl TlsRules {
    /// Of what `tls` says: rules and words.
    pub(super) fn new(said: Vec<(Rule, Tls)>) -> Self {
        Self(said)
    }

    /// What one of them says.
    pub(super) fn parse(text: &str, users: &dyn Fn(&str) -> Option<u32>) -> Result<(Rule, Tls), String> {
        let (rule, word) = Rule::parse_named(text, users)?;
        let tls = match word.as_str() {
            "off" => Tls::Off,
            "auto" => Tls::Auto,
            "force" => Tls::Force,
            _ => return Err("is not off, auto or force, for everything or behind a rule: exe:*/curl=off".to_owned()),
        };
        if rule.is_port() {
            return Err("has a rule about ports, and libraries know none".to_owned());
        }
        Ok((rule, tls))
    }

    /// Of a process; `fits`: whether a rule is about it.
    pub fn of(&self, fits: impl Fn(&Rule) -> bool) -> Tls {
        self.0.iter().find(|(rule, _)| fits(rule)).map(|(_, tls)| *tls).unwrap_or_default()
    }

    /// Of what no rule is about.
    pub fn otherwise(&self) -> Tls {
        self.of(|rule| *rule == Rule::Any)
    }

    /// Whether it is read of anything.
    pub fn any(&self) -> bool {
        let before = self.0.iter().take_while(|(rule, _)| *rule != Rule::Any);
        self.otherwise() != Tls::Off || before.into_iter().any(|(_, tls)| *tls != Tls::Off)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(said: &[&str]) -> TlsRules {
        TlsRules::new(said.iter().map(|text| TlsRules::parse(text, &|_| None).unwrap()).collect())
    }

    #[test]
    fn the_first_rule_that_matches_says_it() {
        let some = rules(&["pid:7=force", "pid:8=off", "pid:7=off"]);
        let of = |pid: u32| some.of(|rule| *rule == Rule::Any || *rule == Rule::Pid(pid));
        assert_eq!([7, 8, 9].map(of), [Tls::Force, Tls::Off, Tls::Auto]);
        assert_eq!(rules(&["pid:7=force", "off"]).of(|rule| *rule == Rule::Any), Tls::Off);
    }

    #[test]
    fn nothing_is_read_if_everything_is_off() {
        let any = [&[][..], &["off"], &["pid:7=auto", "off"], &["off", "pid:7=auto"], &["pid:7=off"]];
        assert_eq!(any.map(|said| rules(said).any()), [true, false, true, false, true]);
    }

    #[test]
    fn another_word_and_a_rule_about_ports_are_refused() {
        let wrong = |text| TlsRules::parse(text, &|_| None).unwrap_err();
        assert!(wrong("on").contains("off, auto or force"));
        assert!(wrong("port:443=off").contains("ports"));
    }
}
