//! One decision of the kernel, by how many rules there are: the lookup alone, a whole decision on a tool's call that a grant allows
//! by its arguments, and the same with 1 KB of arguments read first. Then whether one policy of 1000 rules is wider than another.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agentry_benches::{line, preemptions};
use agentry_kernel::inquiry::{DiffVerdict, Scenario, diff};
use agentry_kernel::kernel::{Kernel, Start};
use agentry_kernel::manifest::Manifest;
use agentry_kernel::policy::{Policy, Source};
use agentry_kernel::tool::{Effect, Tool};
use agentry_kernel::{Call, Digest, Millis, RunId, json};

const RUN: RunId = RunId(1);
const NOW: Millis = Millis(1_800_000_000_000);

const SAMPLES: usize = 2_000;

/// Samples of what takes milliseconds.
const SHOWN_SAMPLES: usize = 100;

/// Rules of one file.
const FILE: usize = 250;

/// Rules of each policy that is compared with another.
const COMPARED: usize = 1_000;

/// Rules of these that say less in the other.
const NARROWED: usize = 100;

const MANIFEST: &str = "format = 1\nname = \"acme:sender\"\nversion = \"1.0.0\"\nwit = \"0.1.0\"\n\
    wants = { tools = [{ tool = \"*\", why = \"To send.\" }] }\n";

fn main() {
    let subject = "x".repeat(900);
    let text = format!(r#"{{"body":"{subject}","subject":"report of the week","to":["ops@example.org"]}}"#);
    let call = call(&text);
    for rules in [10, 100, 1_000, 10_000] {
        let kernel = kernel(rules);
        assert_eq!(kernel.look(RUN, &call, NOW), Ok(()));
        assert_eq!(kernel.rules_looked_at(RUN, &call), 1, "the table leaves the rule that is about it");
        // So many together as take some microseconds: a clock is slower than one, and a sample is to be short.
        let found = measured(64, || kernel.rules_looked_at(RUN, black_box(&call)) == 1);
        let decided = measured(16, || kernel.look(RUN, black_box(&call), NOW).is_ok());
        let parsed = measured(4, || kernel.look(RUN, &self::call(black_box(&text)), NOW).is_ok());
        tell(&format!("{rules} rules: the lookup"), found, Duration::from_nanos(90));
        tell(&format!("{rules} rules: a whole decision"), decided, Duration::from_nanos(90));
        tell(&format!("{rules} rules: with {} bytes read", text.len()), parsed, Duration::from_nanos(600));
    }
    let read = measured(4, || json::parse(black_box(&text)).is_ok());
    tell(&format!("{} bytes of arguments read, alone", text.len()), read, Duration::from_nanos(510));
    let (old, new) = (compared(0), compared(0));
    let alike = measured(1, || diff(black_box(&old), &new).verdict() == DiffVerdict::Same);
    tell("1000 × 1000 rules: is one policy wider?", alike, Duration::from_millis(1));
    let narrowed = compared(NARROWED);
    let shown = measured_in(SHOWN_SAMPLES, 1, || diff(black_box(&old), &narrowed).verdict() == DiffVerdict::Narrower);
    tell("the same, 100 rules narrowed: with calls that show it", shown, Duration::from_millis(100));
}

fn tell(what: &str, (p50, p99): (Duration, Duration), limit: Duration) {
    line(&format!("{what}, p50"), p50, "its limit", limit);
    line(&format!("{what}, p99"), p99, "its limit", limit);
}

/// The median and the 99th percentile of samples of so many together. A sample in which the system gave the core to somebody
/// else is taken again: it would tell how long others work.
fn measured(together: u32, decide: impl FnMut() -> bool) -> (Duration, Duration) {
    measured_in(SAMPLES, together, decide)
}

fn measured_in(most: usize, together: u32, mut decide: impl FnMut() -> bool) -> (Duration, Duration) {
    let mut samples = Vec::with_capacity(most);
    let mut tries = 0;
    while samples.len() < most && tries < 4 * most {
        let before = preemptions();
        let start = Instant::now();
        for _ in 0..together {
            assert!(black_box(decide()));
        }
        let took = start.elapsed() / together;
        tries += 1;
        if preemptions() == before {
            samples.push(took);
        }
    }
    samples.sort_unstable();
    (samples[samples.len() / 2], samples[samples.len() * 99 / 100])
}

fn call(arguments: &str) -> Call {
    let value = json::parse(arguments).expect("it is JSON");
    Call::ToolsCall { name: "mail.send".to_owned(), arguments: Digest::default(), value: Arc::new(value) }
}

fn policy(files: &[String]) -> Arc<Policy> {
    let names: Vec<String> = (0..files.len()).map(|count| format!("{count}.toml")).collect();
    let sources: Vec<Source<'_>> = names.iter().zip(files).map(|(file, text)| Source { file, text }).collect();
    let policy = Policy::parse(&sources, Digest::default());
    Arc::new(policy.unwrap_or_else(|mistakes| panic!("{}", mistakes[0])))
}

/// A kernel with so many rules: a grant's few, the rest the site's, half of them by whole names and half by beginnings.
fn kernel(rules: usize) -> Kernel {
    let allow = |count: usize| {
        format!(
            "[[allow]]\nid = \"sender/{count}\"\ntool = \"t{count}.send\"\nargs.cents = {{ min = 1, max = {} }}\nwhy = \"x\"\n",
            count + 1
        )
    };
    let granted = (rules / 2).min(FILE);
    let mut grant = String::from(
        "format = 1\nlayer = \"grant\"\nagent = \"sender\"\n[[allow]]\nid = \"sender/mail\"\ntool = \"mail.send\"\nwhy = \"x\"\n\
         args.to = { each_in = [\"ops@example.org\"], min_items = 1 }\nargs.subject = { prefix = \"report\" }\n\
         args.body = { max_bytes = 20_000 }\n",
    );
    grant.extend((1..granted).map(allow));
    let forbid = |count: usize| {
        let tool = if count.is_multiple_of(2) { format!("t{count}.send") } else { format!("t{count}.*") };
        format!(
            "[[forbid]]\nid = \"site/{count}\"\ntool = \"{tool}\"\nunless = {{ cents = {{ min = 1, max = 9 }} }}\nwhy = \"x\"\n"
        )
    };
    let forbids: Vec<String> = (granted..rules).map(forbid).collect();
    let site = |rules: &[String]| format!("format = 1\nlayer = \"site\"\n{}", rules.concat());
    let files: Vec<String> = forbids.chunks(FILE).map(site).chain([grant]).collect();
    let tool = Tool { name: "mail.send".to_owned(), effect: Effect::Egress, ..Tool::default() };
    let mut kernel = Kernel::new(policy(&files), Vec::new(), vec![tool]);
    let manifest = Arc::new(Manifest::parse_toml(MANIFEST).expect("the manifest is whole"));
    kernel
        .start(RUN, &Start { agent: "sender".to_owned(), manifest, signer: None }, NOW)
        .0
        .expect("the grant covers it");
    kernel
}

/// A policy of [`COMPARED`] rules for four agents, of which the first so many let less through.
fn compared(narrowed: usize) -> Scenario {
    let allow = |agent: usize, count: usize| {
        let most = if agent * FILE + count < narrowed { 50 } else { 100 };
        format!(
            "[[allow]]\nid = \"a{agent}/{count}\"\ntool = \"t{count}.send\"\nargs.cents = {{ min = 1, max = {most} }}\n\
             args.to = {{ each_in = [\"a\", \"b\"], min_items = 1 }}\n"
        )
    };
    let grant = |agent: usize| {
        let rules: String = (0..FILE).map(|count| allow(agent, count)).collect();
        format!("format = 1\nlayer = \"grant\"\nagent = \"a{agent}\"\n{rules}")
    };
    let files: Vec<String> = (0..COMPARED / FILE).map(grant).collect();
    Scenario { policy: policy(&files), models: Vec::new(), tools: Vec::new(), at: NOW }
}
