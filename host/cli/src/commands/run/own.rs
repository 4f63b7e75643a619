//! What of a command line is `agentry run`'s own, and what is the agent's. It reads no schema.

use std::ffi::OsString;

use clap::{Arg, Args as _, Command};

use super::Args;

/// Puts behind `--` what follows an agent's name and is no option of `run`: a flag of the agent.
pub fn flags_apart(arguments: Vec<OsString>) -> Vec<OsString> {
    let is_run = arguments.get(1).is_some_and(|verb| verb == "run");
    if !is_run || arguments.iter().any(|argument| argument == "--") {
        return arguments;
    }
    let run = verb();
    let known = |word: &str| {
        let (name, value) = word.split_once('=').map_or((word, false), |(name, _)| (name, true));
        let option = run.get_arguments().find(|option| option.get_long() == name.strip_prefix("--"))?;
        Some(option.get_action().takes_values() && !value)
    };
    let (mut kept, mut apart, mut agent) = (Vec::new(), Vec::new(), false);
    let mut rest = arguments.into_iter().enumerate().peekable();
    while let Some((place, argument)) = rest.next() {
        let word = argument.to_string_lossy().into_owned();
        let is_flag = place > 1 && word.len() > 2 && word.starts_with("--") && word != "--help";
        match known(&word).filter(|_| is_flag) {
            Some(takes) => {
                kept.push(argument);
                kept.extend(rest.next_if(|_| takes).map(|(_, value)| value));
            }
            // In the order in which they were said: what stands around a flag may be a sentence.
            None if agent && word != "--help" && !is_short(&word) => apart.push(argument),
            None => {
                agent |= place > 1 && !word.starts_with('-');
                kept.push(argument);
            }
        }
    }
    if !apart.is_empty() {
        kept.push("--".into());
        kept.extend(apart);
    }
    kept
}

/// Whether a word is an option of one letter: no agent has such, and `run` says of each whether it has it.
fn is_short(word: &str) -> bool {
    word.strip_prefix('-').is_some_and(|rest| rest.len() == 1 && rest.bytes().all(|byte| byte.is_ascii_alphabetic()))
}

/// The options that `agentry run` has of its own.
pub fn options() -> Vec<String> {
    verb().get_arguments().filter_map(|option| option.get_long().map(str::to_owned)).collect()
}

/// The same by their names alone, for a script that completes them beside the flags of an agent: conflicts with words would name what is not there.
pub fn for_completion() -> Vec<Arg> {
    let named = |option: &Arg| {
        let long = option.get_long()?.to_owned();
        Some(Arg::new(option.get_id().clone()).long(long).action(option.get_action().clone()))
    };
    verb().get_arguments().filter_map(named).collect()
}

/// This verb alone: to make all of them takes a sixth of a whole `run --detach`.
fn verb() -> Command {
    Args::augment_args(Command::new("run"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_no_option_of_run_is_a_flag_of_the_agent() {
        let apart = |line: &str| {
            let words = flags_apart(line.split(' ').map(OsString::from).collect());
            words.into_iter().map(|word| word.into_string().expect("it is text")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(apart("agentry run a --loud --json --times 3 x"), "agentry run a --json -- --loud --times 3 x");
        assert_eq!(apart("agentry run a --input {} --root d=x"), "agentry run a --input {} --root d=x");
        assert_eq!(apart("agentry run a --n -3 ask"), "agentry run a -- --n -3 ask");
        assert_eq!(apart("agentry run a --n -.5 --loud -q"), "agentry run a -q -- --n -.5 --loud");
        assert_eq!(apart("agentry run --walk"), "agentry run --walk");
        assert_eq!(apart("agentry ps --walk"), "agentry ps --walk");
    }
}
