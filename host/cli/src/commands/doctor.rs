//! `agentry doctor`: what of this machine and this home is in the way of agents, each with the line that mends it. It changes nothing.

mod growth;
mod home;
mod machine;

use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::home::HomeArgs;
use crate::screen::{self, BAD, BOLD, GOOD, HINT, styled, text, units};

/// Looks at this machine and this home, and says what is wrong and how to mend it
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  agentry doctor
  agentry doctor --json | jq '.[] | select(.state != \"good\")'

Exit code 2 if something is wrong; what could be better is told and changes nothing.")]
pub struct Args {
    #[command(flatten)]
    home: HomeArgs,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

/// One thing that was looked at.
pub struct Finding {
    /// What.
    pub about: &'static str,
    /// How it stands.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What mends it; empty if it is good.
    pub mend: String,
    /// The same in numbers, for programs; null if there are none.
    pub figures: Value,
}

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should be.
    Good,
    /// Agents run, and it could be better.
    Odd,
    /// It is in the way.
    Wrong,
}

impl Finding {
    /// It is as it should be.
    pub fn good(about: &'static str, found: impl Into<String>) -> Self {
        Self { about, state: State::Good, found: found.into(), mend: String::new(), figures: Value::Null }
    }

    /// It could be better.
    pub fn odd(about: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { about, state: State::Odd, found: found.into(), mend: mend.into(), figures: Value::Null }
    }

    /// It is in the way.
    pub fn wrong(about: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { about, state: State::Wrong, found: found.into(), mend: mend.into(), figures: Value::Null }
    }

    /// An error with its hint, if it has one.
    pub fn error(about: &'static str, error: &anyhow::Error) -> Self {
        let (found, hints) = text::explain(error);
        Self::wrong(about, found, hints.join("; "))
    }
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Odd => "odd",
            Self::Wrong => "wrong",
        }
    }
}

/// Columns in front of what was found: mark and title.
const TITLE_COLUMNS: usize = 15;

/// On fewer columns than this what was found is not set in any more.
const FOUND_COLUMNS_MIN: usize = 40;

/// Looks, and prints what was found.
pub fn run(args: &Args) -> Result<ExitCode> {
    let home = args.home.resolve()?;
    let mut findings = machine::look(home.path());
    findings.extend(home::look(&home));
    for finding in &mut findings {
        finding.mend = screen::given::completed(&finding.mend);
    }
    let wrong = findings.iter().filter(|finding| finding.state == State::Wrong).count();
    if args.json {
        screen::print_json(&findings.iter().map(as_json).collect::<Vec<_>>())?;
    } else {
        screen::page(&page(&findings, wrong))?;
    }
    Ok(if wrong > 0 { Exit::Usage } else { Exit::Done }.into())
}

fn page(findings: &[Finding], wrong: usize) -> String {
    let mut page = String::new();
    for Finding { about, state, found, mend, .. } in findings {
        let (mark, style) = match state {
            State::Good => ("✓", GOOD),
            State::Odd => ("!", HINT),
            State::Wrong => ("✗", BAD),
        };
        let found = beside(text::ours(found)).replace('\n', "\n               ");
        page.push_str(&format!("{} {} {found}\n", styled(style, mark), styled(BOLD, format_args!("{about:<12}"))));
        if !mend.is_empty() {
            let mend = text::ours(mend).replace('\n', "\n               ");
            page.push_str(&format!("               {}: {mend}\n", styled(HINT, "hint")));
        }
    }
    let odd = findings.iter().filter(|finding| finding.state == State::Odd).count() as u64;
    page.push_str(&match (wrong as u64, odd) {
        (0, 0) => format!("{}\n", styled(GOOD, "nothing is wrong")),
        (0, odd) => format!(
            "{}\n",
            styled(GOOD, format_args!("nothing is wrong; {} could be better", units::plural(odd, "thing")))
        ),
        (wrong, _) => format!("{}\n", styled(BAD, format_args!("{} in the way", units::plural(wrong, "thing")))),
    });
    page
}

/// What was found, folded where it stands: behind its title, so that on a narrow screen no line of it is taken for a title.
fn beside(found: String) -> String {
    let room = screen::fold::columns().and_then(|columns| columns.checked_sub(TITLE_COLUMNS));
    room.filter(|room| *room >= FOUND_COLUMNS_MIN).map_or(found.clone(), |room| screen::fold::fold(&found, room))
}

fn as_json(Finding { about, state, found, mend, figures }: &Finding) -> Value {
    let mut object = json!({"about": about, "state": state.word(), "found": found, "mend": mend});
    if !figures.is_null() {
        object["figures"] = figures.clone();
    }
    object
}
