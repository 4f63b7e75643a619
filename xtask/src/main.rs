//! Builds guests, runs the demo, the tests and the tidy checks. It imports no room: it uses Agentry as a person would.
#![allow(unreachable_pub, reason = "nothing of a binary can be reached; `pub` marks what a file gives to the others")]

mod debian;
mod demo;
mod dist;
mod figures;
mod fuzz;
mod guests;
mod house;
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
  dist          make what people install, in target/dist: binary, wheel, npm package, .deb, checksums; `--out DIR`, `--key FILE`
  figures       measure what the documents give numbers for, each beside its limit; `figures SUBJECT` one of them
  fuzz          let a fuzzer look for texts that break a property of `host/fuzz`; `fuzz SECONDS` says how long for each (600)
  guests        build the examples to target/guests and the test guests to target/test-guests
  house         draw the crates of the host and their layers to docs/house.svg, from the code
  tidy          what a compiler cannot check: rooms, names, file heads, the surface
  model-server  fetch a small real model and llama.cpp's server, for tests; prints the command that starts it
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let verb = arguments.next();
    let rest: Vec<String> = arguments.collect();
    let taken = match verb.as_deref() {
        Some("figures" | "dist") => usize::MAX,
        Some("fuzz") => 1,
        _ => 0,
    };
    if let Some(extra) = rest.get(taken) {
        eprintln!("error: `{extra}` is one argument too many\n\n{USAGE}");
        return ExitCode::from(2);
    }
    let first = rest.first().map(String::as_str);
    let outcome = match verb.as_deref() {
        Some("demo") => demo::run(),
        Some("dist") => dist::Order::read(&rest).and_then(|order| dist::run(&order)),
        Some("test") => return test::run(),
        Some("figures") => figures::run(first, rest.get(1..).unwrap_or_default()),
        Some("fuzz") => fuzz::run(first),
        Some("guests") => guests::all(),
        Some("house") => house::run(),
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
