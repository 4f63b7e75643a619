//! Commands in a hint, with the home and the agent that this command was given: what is copied does what it was printed for. It changes
//! no other words.

use std::path::Path;
use std::sync::OnceLock;

use clap::Command;

use super::text;

/// The home that `--home` named, as a shell reads it.
static HOME: OnceLock<String> = OnceLock::new();

/// All verbs with their options, made where a hint is completed.
static VERBS: OnceLock<fn() -> Command> = OnceLock::new();

/// The same, once they were needed: they take as long as a screen of refusals.
static BUILT: OnceLock<Command> = OnceLock::new();

/// The agent that is to run.
static AGENT: OnceLock<Agent> = OnceLock::new();

/// What stands in a hint for its file.
const FILE: &str = "agentry inspect FILE";

/// Where its grant would lie, as the kernel says it.
const SOMEWHERE: &str = " in the policy directory";

struct Agent {
    /// As a shell reads it.
    file: String,
    /// What its file is called without the ending.
    stem: String,
    policies: String,
}

/// What knows which verbs there are: a hint names a home only to those that take one.
pub fn verbs(verbs: fn() -> Command) {
    let _ = VERBS.set(verbs);
}

/// Hints name this home from now on.
pub fn home(home: &Path) {
    let _ = HOME.set(text::word(home.display()));
}

/// Hints name this agent from now on, and the directory of its policies.
pub fn agent(file: &str, policies: &Path) {
    let stem = Path::new(file).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let _ = AGENT.set(Agent { file: text::word(file), stem, policies: text::word(policies.display()) });
}

/// The command of now once more, behind this run or call: the next page of the same list. A run that it calls `last` is this one.
pub fn page_after(place: &str, last: Option<&str>) -> String {
    let word = |word: std::ffi::OsString| match (word.to_string_lossy(), last) {
        (word, Some(run)) if word == "last" => run.to_owned(),
        (word, _) => word.into_owned(),
    };
    behind(std::env::args_os().skip(1).map(word).collect(), place)
}

fn behind(words: Vec<String>, place: &str) -> String {
    let mut again = vec!["agentry".to_owned()];
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--after" => drop(words.next()),
            word if word.starts_with("--after=") => {}
            word => again.push(text::word(word)),
        }
    }
    again.extend(["--after".to_owned(), place.to_owned()]);
    again.join(" ")
}

/// A hint, its commands completed with what was given.
pub fn completed(hint: &str) -> String {
    let hint = AGENT.get().map_or_else(|| hint.to_owned(), |agent| with_agent(hint, agent));
    match (HOME.get(), VERBS.get()) {
        (Some(home), Some(verbs)) => with_home(&hint, home, BUILT.get_or_init(verbs)),
        _ => hint,
    }
}

/// What is said of a grant is said of another agent than the one that was given, if a child lacks it.
fn with_agent(hint: &str, agent: &Agent) -> String {
    let is_of_another = hint.contains(SOMEWHERE) && !hint.contains(&format!("50-{}.toml", agent.stem));
    if is_of_another || !hint.contains(FILE) {
        return hint.to_owned();
    }
    let named = |verb: &str| (format!("agentry {verb} FILE"), format!("agentry {verb} {}", agent.file));
    let ((inspect, inspects), (run, runs)) = (named("inspect"), named("run"));
    let hint = hint.replace(&inspect, &inspects).replace(&format!("{run} "), &format!("{runs} "));
    hint.replace(SOMEWHERE, &format!(" in {}", agent.policies))
}

fn with_home(hint: &str, home: &str, verbs: &Command) -> String {
    let mut out = String::with_capacity(hint.len() + home.len() + 8);
    let mut rest = hint;
    while let Some(at) = rest.find("agentry ") {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let length = length(from, before.ends_with('`'));
        let begins = before.is_empty() || before.ends_with(['`', ' ']);
        let (command, after) = from.split_at(if begins { length } else { "agentry ".len() });
        out.push_str(command);
        if begins && takes_home(command, verbs) && !command.contains("--home") {
            out.push_str(" --home ");
            out.push_str(home);
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// How many bytes of a text that begins with `agentry ` are a command of this program, behind what stands before it; none if it only speaks of it.
pub fn command(before: &str, from: &str) -> Option<usize> {
    let verb = from.split(|letter: char| letter != '-' && !letter.is_ascii_alphabetic()).nth(1)?;
    let begins = before.is_empty() || before.ends_with(['`', ' ', '\'']);
    let is_verb = begins && VERBS.get().is_some_and(|verbs| BUILT.get_or_init(verbs).find_subcommand(verb).is_some());
    is_verb.then(|| length(from, before.ends_with('`')))
}

/// How many bytes belong to the command that this begins with.
fn length(text: &str, in_ticks: bool) -> usize {
    let ends: &[&str] = if in_ticks {
        &["`", " > ", " | ", " && "]
    } else {
        &["\n", "; ", ", ", " (", " > ", " | ", " && ", " #", "  "]
    };
    let end = ends.iter().filter_map(|end| text.find(end)).min().unwrap_or(text.len());
    text[..end].trim_end().len()
}

/// Whether this command has the option.
fn takes_home(command: &str, verbs: &Command) -> bool {
    let mut at = verbs;
    for word in command.split_whitespace().skip(1) {
        match at.find_subcommand(word) {
            Some(below) => at = below,
            None => break,
        }
    }
    at.get_arguments().any(|argument| argument.get_long() == Some("home"))
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command};

    use super::{Agent, behind, with_agent, with_home};

    #[test]
    fn commands_of_a_hint_name_the_home_that_was_named() {
        let verb = |name| Command::new(name).arg(Arg::new("home").long("home"));
        let verbs = ["models", "serve", "inspect", "approvals", "setup"].map(verb);
        let approver = Command::new("approver").subcommand(verb("list"));
        let verbs = Command::new("agentry").subcommands(verbs).subcommand(approver).subcommand(Command::new("build"));
        for (hint, completed) in [
            ("`agentry models --fetch` gets them; or not", "`agentry models --fetch --home 'a b'` gets them; or not"),
            ("start one: agentry serve", "start one: agentry serve --home 'a b'"),
            (
                "start one: agentry serve, or name another home",
                "start one: agentry serve --home 'a b', or name another home",
            ),
            ("agentry inspect x.wasm --grant > p", "agentry inspect x.wasm --grant --home 'a b' > p"),
            (
                "`agentry approvals` and `agentry approver list`",
                "`agentry approvals --home 'a b'` and `agentry approver list --home 'a b'`",
            ),
            ("`agentry build` makes one", "`agentry build` makes one"),
            ("agentry setup --home there", "agentry setup --home there"),
            ("give them to agentry serve", "give them to agentry serve --home 'a b'"),
            ("agentry is fine", "agentry is fine"),
        ] {
            assert_eq!(with_home(hint, "'a b'", &verbs), completed);
        }
    }

    #[test]
    fn the_next_page_is_one_of_the_same_list() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect();
        assert_eq!(
            behind(words("ps --agent a --after 0gx3 --limit 1"), "1b"),
            "agentry ps --agent a --limit 1 --after 1b"
        );
        assert_eq!(behind(words("ps --after=0gx3 --home ~x"), "1b"), "agentry ps --home '~x' --after 1b");
    }

    #[test]
    fn a_hint_about_the_agent_that_was_given_names_its_file() {
        let given =
            Agent { file: "a/echo.wasm".to_owned(), stem: "echo".to_owned(), policies: "h/policies".to_owned() };
        for (hint, completed) in [
            (
                "`agentry inspect FILE --grant` prints one; save it as 50-echo.toml in the policy directory",
                "`agentry inspect a/echo.wasm --grant` prints one; save it as 50-echo.toml in h/policies",
            ),
            (
                "`agentry inspect FILE --grant` prints one; save it as 50-other.toml in the policy directory",
                "`agentry inspect FILE --grant` prints one; save it as 50-other.toml in the policy directory",
            ),
            (
                "`agentry inspect FILE` shows it; so does `agentry run FILE --help`",
                "`agentry inspect a/echo.wasm` shows it; so does `agentry run a/echo.wasm --help`",
            ),
            ("`agentry run FILE.wasm` runs an agent", "`agentry run FILE.wasm` runs an agent"),
        ] {
            assert_eq!(with_agent(hint, &given), completed);
        }
    }
}
