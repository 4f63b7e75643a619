//! Builds guests, runs the demo, the tests and the tidy checks. It imports no room: it uses Agentry as a person would.
#![allow(unreachable_pub, reason = "nothing of a binary can be reached; `pub` marks what a file gives to the others")]

mod demo;
mod fuzz;
mod guests;
mod model_server;
mod python;
mod readme;
mod steps;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;

const USAGE: &str = "\
usage: cargo xtask VERB

  demo          watch an agent work, and be refused (a first time some minutes, then less than three)
  test          every check and every test; the last line counts them
  fuzz          let a fuzzer look for texts that break a property of `host/fuzz`; `fuzz SECONDS` says how long for each (600)
  guests        build the examples to target/guests and the test guests to target/test-guests
  tidy          what a compiler cannot check: rooms, names, file heads, the surface
  model-server  fetch a small real model and llama.cpp's server, for tests; prints the command that starts it
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let verb = arguments.next();
    let seconds = if verb.as_deref() == Some("fuzz") { arguments.next() } else { None };
    if let Some(extra) = arguments.next() {
        eprintln!("error: `{extra}` is one argument too many\n\n{USAGE}");
        return ExitCode::from(2);
    }
    let outcome = match verb.as_deref() {
        Some("demo") => demo::run(),
        Some("test") => return test::run(),
        Some("fuzz") => fuzz::run(seconds.as_deref()),
        Some("guests") => guests::all(),
        Some("tidy") => tidy::run(),
        Some("model-server") => model_server::show(),
        Some("help" | "--help" | "-h") => {
            print!("{USAGE}");
            Ok(())
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    report(outcome)
}

fn report(outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
