//! One decision of the kernel, by how many rules there are: a call of a tool that a grant allows by its arguments, and that
//! rules of the site are looked up for. Then the same with 1 KB of arguments read first.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agentry_benches::line;
use agentry_kernel::kernel::{Kernel, Start};
use agentry_kernel::manifest::Manifest;
use agentry_kernel::policy::{Policy, Source};
use agentry_kernel::tool::{Effect, Tool};
use agentry_kernel::{Call, Digest, Millis, RunId, json};

const RUN: RunId = RunId(1);
const NOW: Millis = Millis(1_800_000_000_000);

/// Decisions that are timed together, because a clock is slower than one.
const TOGETHER: u32 = 64;
const SAMPLES: usize = 4_000;

/// Rules of one file.
const FILE: usize = 250;

const MANIFEST: &str = "format = 1\nname = \"acme:sender\"\nversion = \"1.0.0\"\nwit = \"0.1.0\"\n\
    wants = { tools = [{ tool = \"*\", why = \"To send.\" }] }\n";

fn main() {
    for rules in [10, 100, 1_000, 10_000] {
        let kernel = kernel(rules);
        let subject = "x".repeat(900);
        let text = format!(r#"{{"body":"{subject}","subject":"report of the week","to":["ops@example.org"]}}"#);
        let call = call(&text);
        assert_eq!(kernel.look(RUN, &call, NOW), Ok(()));
        let decided = measured(|| kernel.look(RUN, black_box(&call), NOW).is_ok());
        let parsed = measured(|| kernel.look(RUN, &self::call(black_box(&text)), NOW).is_ok());
        tell(&format!("a decision, {rules} rules"), decided, Duration::from_nanos(90));
        tell(&format!("with {} bytes of arguments read, {rules} rules", text.len()), parsed, Duration::from_nanos(600));
    }
}

fn tell(what: &str, (p50, p99): (Duration, Duration), limit: Duration) {
    line(&format!("{what}: p50"), p50, "its limit", limit);
    line(&format!("{what}: p99"), p99, "its limit", limit);
}

fn measured(mut decide: impl FnMut() -> bool) -> (Duration, Duration) {
    let mut samples: Vec<Duration> = (0..SAMPLES)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..TOGETHER {
                assert!(black_box(decide()));
            }
            start.elapsed() / TOGETHER
        })
        .collect();
    samples.sort_unstable();
    (samples[SAMPLES / 2], samples[SAMPLES * 99 / 100])
}

fn call(arguments: &str) -> Call {
    let value = json::parse(arguments).expect("it is JSON");
    Call::ToolsCall { name: "mail.send".to_owned(), arguments: Digest::default(), value: Arc::new(value) }
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
    let files: Vec<String> =
        forbids.chunks(FILE).map(|rules| format!("format = 1\nlayer = \"site\"\n{}", rules.concat())).collect();
    let sources: Vec<Source<'_>> =
        files.iter().chain([&grant]).map(|text| Source { file: "policy.toml", text }).collect();
    let policy = Policy::parse(&sources, Digest::default()).unwrap_or_else(|mistakes| panic!("{}", mistakes[0]));
    let tool = Tool { name: "mail.send".to_owned(), effect: Effect::Egress, ..Tool::default() };
    let mut kernel = Kernel::new(Arc::new(policy), Vec::new(), vec![tool]);
    let manifest = Arc::new(Manifest::parse_toml(MANIFEST).expect("the manifest is whole"));
    kernel.start(RUN, &Start { agent: "sender".to_owned(), manifest }, NOW).expect("the grant covers it");
    kernel
}
