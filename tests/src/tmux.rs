//! A real terminal: a program inside tmux, on a server of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crate::wait;

/// How long the screen may take to show something.
const PATIENCE: Duration = wait::PATIENCE;

/// A terminal with one program in it.
pub struct Terminal {
    socket: PathBuf,
    written: PathBuf,
}

impl Terminal {
    /// Runs `command` in a terminal of this size. All that it writes is kept.
    pub fn start(dir: &Path, columns: u16, rows: u16, command: &Command) -> Self {
        let name = format!("tmux-{}", wait::free_port());
        let terminal = Self { socket: dir.join(&name), written: dir.join(format!("{name}.out")) };
        let quote = |text: &std::ffi::OsStr| format!("'{}'", text.to_string_lossy().replace('\'', r"'\''"));
        let words: Vec<String> = std::iter::once(command.get_program()).chain(command.get_args()).map(quote).collect();
        let set: Vec<String> = command
            .get_envs()
            .map(|(name, value)| match value {
                Some(value) => format!("{}={}", name.to_string_lossy(), quote(value)),
                None => format!("-u {}", name.to_string_lossy()),
            })
            .collect();
        // It begins once its output is kept, and its last words stay on the screen.
        let script = format!("read -r _; env {} {}; echo \"ended: $?\"; exec cat", set.join(" "), words.join(" "));
        let (columns, rows) = (columns.to_string(), rows.to_string());
        terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", &columns, "-y", &rows, &script]);
        let keep = format!("cat > '{}'", terminal.written.display());
        terminal.tmux(&["pipe-pane", "-o", &keep]);
        terminal.keys(&["Enter"]);
        terminal
    }

    /// Presses keys, as tmux names them: `q`, `Enter`, `C-c`.
    pub fn keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    /// Gives the terminal another size.
    pub fn resize(&self, columns: u16, rows: u16) {
        self.tmux(&["resize-window", "-x", &columns.to_string(), "-y", &rows.to_string()]);
    }

    /// What is on the screen now.
    pub fn screen(&self) -> String {
        String::from_utf8_lossy(&self.tmux(&["capture-pane", "-p"]).stdout).into_owned()
    }

    /// Everything that was written so far, control sequences and all.
    pub fn written(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.written).unwrap_or_default()).into_owned()
    }

    /// Waits until the screen is as wanted, and returns it.
    ///
    /// # Panics
    ///
    /// When it is not in time.
    pub fn wait_for(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let found = wait::until(PATIENCE, || Some(self.screen()).filter(|screen| wanted(screen)));
        found.unwrap_or_else(|| panic!("the terminal does not show {what}:\n{}", self.screen()))
    }

    /// Waits until the program has ended, and returns its exit status.
    ///
    /// # Panics
    ///
    /// When it does not end in time.
    pub fn ended(&self) -> i32 {
        let screen = self.wait_for("the end", |screen| screen.contains("ended: "));
        let status = screen.rsplit("ended: ").next().and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        status.unwrap_or_else(|| panic!("no exit status:\n{screen}"))
    }

    /// The process id of the program.
    ///
    /// # Panics
    ///
    /// When it does not run.
    pub fn program(&self) -> u32 {
        let shell = self.tmux(&["display-message", "-p", "#{pane_pid}"]).stdout;
        let shell = String::from_utf8_lossy(&shell).trim().to_owned();
        let children = || fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).ok();
        let child = || children()?.split_whitespace().next()?.parse().ok();
        wait::until(PATIENCE, child).expect("the shell runs the program")
    }

    /// Whether the terminal shows the screen that programs take for themselves, instead of the usual one.
    pub fn is_alternate(&self) -> bool {
        String::from_utf8_lossy(&self.tmux(&["display-message", "-p", "#{alternate_on}"]).stdout).trim() == "1"
    }

    fn tmux(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(&self.socket).args(arguments).env_remove("TMUX").env("LC_ALL", "C.UTF-8");
        let output = command.output().expect("tmux is installed");
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the terminal showed at the end:\n{}", self.screen());
        }
        let _ = Command::new("tmux").arg("-S").arg(&self.socket).arg("kill-server").output();
    }
}
