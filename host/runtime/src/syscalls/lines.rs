//! What a guest says: lines of the log, by `log` and on its standard streams, cut to their length; and of these the last ones that may explain
//! its end.

use std::collections::VecDeque;
use std::sync::Arc;

use agentry_abi::bindings::agentry::agent::log::Level;
use agentry_abi::port::LogEvent;
use agentry_kernel::text::cut;
use agentry_store::limits::LOG_LINE_MAX_BYTES;
use parking_lot::Mutex;

use crate::guest::Guest;

/// Lines of standard error that are remembered for the end.
const TAIL_LINES_MAX: usize = 32;

/// How a traceback of Python begins. The runtime that it runs in panics behind it, and says nothing that is not said there.
const TRACEBACK: &str = "Traceback (most recent call last)";

/// How panics begin, in the other languages that say where: Rust and C, Go, JavaScript.
const BEGINNINGS: [&str; 4] = [" panicked at ", "Assertion failed", "panic: ", "Uncaught "];

/// The log of one guest.
pub(crate) struct Lines {
    guest: Arc<Guest>,
    said: Mutex<LastWords>,
}

#[derive(Default)]
struct LastWords {
    /// What a program says before it breaks: its last error in the log, or what it said last on standard error.
    last_words: Option<String>,
    /// The last lines of standard error, of which a panic or a traceback takes several.
    tail: VecDeque<String>,
}

impl Lines {
    pub(crate) fn new(guest: Arc<Guest>) -> Self {
        Self { guest, said: Mutex::default() }
    }

    /// Whose they are.
    pub(crate) fn guest(&self) -> &Guest {
        &self.guest
    }

    /// Writes a line that is no longer than a line may be.
    pub(crate) fn log(&self, level: Level, line: String) {
        if level == Level::Error {
            self.said.lock().last_words = Some(line.clone());
        }
        // The log answers nothing: a run that may make no more calls says no more.
        drop(self.guest.pass(LogEvent { level, line }));
    }

    /// A line of standard error.
    pub(crate) fn complain(&self, line: String) {
        // After its own words, the standard hook for panics says how to see more; that explains nothing.
        if !line.starts_with("note: run with `RUST_BACKTRACE=1`") {
            let mut said = self.said.lock();
            if said.tail.len() == TAIL_LINES_MAX {
                said.tail.pop_front();
            }
            said.tail.push_back(line.clone());
            said.last_words = Some(whole(&said.tail));
        }
        self.log(Level::Warn, line);
    }

    /// What it said last that may explain its end.
    pub(crate) fn last_words(&self) -> Option<String> {
        self.said.lock().last_words.clone()
    }
}

/// All of what was said last: from where a panic or a traceback begins, or the last line alone.
fn whole(tail: &VecDeque<String>) -> String {
    let traceback = tail.iter().rposition(|line| line.contains(TRACEBACK));
    let panic = || tail.iter().rposition(|line| BEGINNINGS.iter().any(|beginning| line.contains(beginning)));
    let begins = traceback.or_else(panic).unwrap_or(tail.len().saturating_sub(1));
    tail.iter().skip(begins).map(String::as_str).collect::<Vec<_>>().join("\n")
}

/// Bytes of a stream until they are lines.
#[derive(Debug, Default)]
pub(crate) struct Unfinished {
    bytes: Vec<u8>,
    /// The line is longer than one may be; its rest is dropped until it ends.
    over: bool,
}

impl Unfinished {
    /// Takes bytes and gives each line that they finish.
    pub(crate) fn take(&mut self, mut bytes: &[u8], mut each: impl FnMut(String)) {
        while !bytes.is_empty() {
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let (line, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            let room = LOG_LINE_MAX_BYTES.saturating_sub(self.bytes.len());
            self.over |= line.len() > room;
            self.bytes.extend_from_slice(&line[..line.len().min(room)]);
            if end.is_some() {
                self.finish(&mut each);
            }
            bytes = rest.get(1..).unwrap_or_default();
        }
    }

    /// Gives what stands there as a line, if something does.
    pub(crate) fn finish(&mut self, mut each: impl FnMut(String)) {
        let bytes = std::mem::take(&mut self.bytes);
        let over = std::mem::take(&mut self.over);
        if bytes.is_empty() {
            return;
        }
        let mut line = String::from_utf8_lossy(&bytes).into_owned();
        if over {
            line.push('…');
        }
        each(cut(line, LOG_LINE_MAX_BYTES));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(parts: &[&[u8]]) -> Vec<String> {
        let (mut unfinished, mut lines) = (Unfinished::default(), Vec::new());
        for part in parts {
            unfinished.take(part, |line| lines.push(line));
        }
        unfinished.finish(|line| lines.push(line));
        lines
    }

    #[test]
    fn bytes_become_lines_wherever_they_are_split() {
        assert_eq!(lines(&[b"a", b"b\nc", b"\n\nd"]), ["ab", "c", "d"]);
        assert_eq!(lines(&[b"\xff\n"]), ["\u{fffd}"]);
    }

    #[test]
    fn a_panic_is_told_whole_and_other_words_are_the_last_line() {
        let tail = |lines: &[&str]| whole(&lines.iter().map(|line| (*line).to_owned()).collect());
        let panic = ["noise", "thread 'main' panicked at src/lib.rs:4:9:", "index out of bounds", "and more"];
        assert_eq!(tail(&panic), panic[1..].join("\n"));
        let traceback = ["Traceback (most recent call last):", "  File \"app.py\", line 3", "ValueError: no"];
        assert_eq!(tail(&traceback), traceback.join("\n"));
        let in_a_runtime = [&traceback[..], &["thread '<unnamed>' panicked at runtime/src/lib.rs:9:5:"]].concat();
        assert_eq!(tail(&in_a_runtime), in_a_runtime.join("\n"));
        assert_eq!(tail(&["one", "two"]), "two");
        assert_eq!(tail(&[]), "");
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let lines = lines(&[&[b'x'; 100_000], b"y\nz"]);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].len() <= LOG_LINE_MAX_BYTES && lines[0].ends_with('…'));
    }
}
