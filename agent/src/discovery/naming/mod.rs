//! What a program is called, from its command line: `python app.py` is `app`, `java -jar shop.jar` is `shop`.
//!
//! One file per runtime; [`RUNTIMES`] says which file reads which executable. What no runtime claims is called as its executable.

use super::facts::Facts;

/// A language as `telemetry.sdk.language` spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// .NET.
    Dotnet,
    /// Erlang, Elixir.
    Erlang,
    /// JVM languages.
    Java,
    /// JavaScript on Node, Deno and Bun.
    Nodejs,
    /// PHP.
    Php,
    /// Python.
    Python,
    /// Ruby.
    Ruby,
}

impl Language {
    /// Value of `telemetry.sdk.language`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dotnet => "dotnet",
            Self::Erlang => "erlang",
            Self::Java => "java",
            Self::Nodejs => "nodejs",
            Self::Php => "php",
            Self::Python => "python",
            Self::Ruby => "ruby",
        }
    }

    /// Value of `process.runtime.name`, empty where the executable does not tell which one it is.
    pub fn runtime(self) -> &'static str {
        match self {
            Self::Nodejs => "nodejs",
            Self::Dotnet => ".NET",
            Self::Php => "php",
            Self::Erlang => "BEAM",
            _ => "",
        }
    }
}

/// A program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// What it is called; empty when nothing is known.
    pub name: String,
    /// What it is written in, where the runtime shows it.
    pub language: Option<Language>,
    /// The runtime's version, where its executable's name says it (`python3.11`).
    pub version: String,
}

/// Names a program.
pub fn program(facts: &Facts) -> Program {
    Program { name: facts.exe_name().to_string(), ..Program::default() }
}
