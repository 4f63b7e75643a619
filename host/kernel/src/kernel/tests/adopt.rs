//! Runs out of files: nothing that they bring counts here, and they carry whatever this home may say of what they read.

use super::*;
use crate::budget::Shortage;
use crate::journal::{BasisId, Entry, Outcome, Started, Unfinished};
use crate::kernel::{Adopted, Afterwards};
use crate::labels::Labels;

const MARKED: &str = r#"format = 1
layer = "grant"
agent = "scribe"
memory = { read = ["team/board"], labels = ["team"] }
files = [{ root = "docs", access = "r", labels = ["secret"] }]
allow = [{ id = "scribe/mail", tool = "mail.read", args = { box = { prefix = "inbox" } }, labels = ["mail"] }]

[budget]
usd_run = "0.01"
wall_run = "60s"
"#;

fn files(root: &str) -> Call {
    Call::FilesRead(Place { root: root.into(), path: "a".into() })
}

/// What a stranger's file says: a run that had all there is, spent all there is, and read without a mark.
fn strangers(calls: &[Call]) -> Vec<Entry> {
    let all = Amounts::by(|_| u64::MAX);
    let mut entries = vec![Entry::Started(Started {
        at: Millis(0),
        agent: "scribe".into(),
        package: String::new(),
        component: Digest::default(),
        input: Digest::default(),
        seed: 1,
        policy: Digest::default(),
        engine: String::new(),
        held: all,
    })];
    for (number, what) in calls.iter().enumerate() {
        let call = CallId(u32::try_from(number).expect("a few") + 1);
        let (what, outcome) = (what.clone(), Outcome::Inline(Vec::new()));
        entries.push(Entry::Called { call, at: NOW, what, outcome, basis: BasisId::NONE });
    }
    let (call, what) = (CallId(90), files("docs"));
    entries.push(Entry::Asked { call, at: NOW, what, held: all, basis: BasisId::NONE });
    entries.push(Entry::Unknown { call, at: NOW, spent: all });
    let usd = Shortage {
        what: Resource::Usd,
        window: crate::budget::Window::Run,
        limit: 0,
        spent: 0,
        reserved: 0,
        more: u64::MAX,
    };
    entries.push(Entry::Raised { call, at: NOW, id: crate::approval::ApprovalId(1), raised: vec![usd] });
    entries.push(Entry::Imported { at: NOW, signer: None });
    entries
}

fn adopted(grant: &str, calls: &[Call]) -> (Kernel, Result<Adopted, Refusal>) {
    let entries = strangers(calls);
    let past = Unfinished::of(&entries).expect("it has not ended");
    assert!(past.holds().is_zero() && past.imported);
    let mut kernel = Kernel::new(policy(grant), models(), tools());
    let adopted = kernel.adopt(RUN, &start(), &past, calls.iter(), NOW);
    (kernel, adopted)
}

#[test]
fn a_run_out_of_a_file_gets_what_one_that_begins_gets_and_nothing_that_it_brings() {
    let (mut kernel, adopted) = adopted(MARKED, &[]);
    let adopted = adopted.expect("the grant covers it");
    let mut other = Kernel::new(policy(MARKED), models(), tools());
    let begun = other.start(RUN, &start(), NOW).expect("the grant covers it");
    assert_eq!(adopted.allowance, begun);
    assert_eq!(kernel.books("scribe"), other.books("scribe"));
    assert_eq!(kernel.balances(RUN, NOW), other.balances(RUN, NOW));
    let [lost] = adopted.lost.as_slice() else { panic!("one call has no answer") };
    assert_eq!((lost.then, lost.spent), (Afterwards::Again, Amounts::ZERO));
    kernel.finish(RUN, Amounts::ZERO, NOW);
    let books = kernel.books("scribe").expect("it ran").day;
    assert!(books.held.is_zero() && books.spent.is_zero(), "{books:?}");
}

#[test]
fn it_carries_what_this_home_says_of_all_that_it_read_whatever_the_file_says() {
    let labels = |calls: &[Call]| adopted(MARKED, calls).1.expect("the grant covers it").labels;
    assert_eq!(labels(&[]), Labels::of(["untrusted"]));
    assert_eq!(labels(&[files("docs")]), Labels::of(["secret", "untrusted"]));
    assert_eq!(labels(&[files("elsewhere")]), Labels::of(["untrusted"]));
    let get = Call::MemoryGet { namespace: "team/other".into(), key: "a".into() };
    assert_eq!(labels(&[get]), Labels::of(["team", "untrusted"]));
    // With arguments that the rule does not allow, too: the file says which they were.
    let (name, arguments) = ("mail.read".into(), Digest::default());
    let read = Call::ToolsCall { name, arguments, value: Arc::default() };
    assert_eq!(labels(&[read, Call::TimersNow]), Labels::of(["mail", "untrusted"]));
}

#[test]
fn without_a_grant_it_does_not_go_on() {
    let (mut kernel, refused) = adopted(&MARKED.replace("\"scribe\"\n", "\"clerk\"\n"), &[]);
    assert_eq!(refused.expect_err("nothing is granted").code, Code::NoGrant);
    assert!(kernel.balances(RUN, NOW).is_empty());
}

#[test]
fn what_came_out_of_a_file_counts_from_the_word_of_this_home_on() {
    let mut entries = strangers(&[files("docs")]);
    let held = Amounts::of(Resource::Fuel, 10).with(Resource::WallTime, 20).with(Resource::Memory, 30);
    let (at, labels) = (NOW.plus(5), Labels::of(["secret"]));
    entries.extend([Entry::Adopted { at, held, labels: labels.clone() }, Entry::Resumed { at }]);
    let usd = Amounts::of(Resource::Usd, 7);
    let (call, what) = (CallId(91), files("docs"));
    entries.push(Entry::Asked { call, at: at.plus(3), what, held: usd, basis: BasisId::NONE });
    let past = Unfinished::of(&entries).expect("it has not ended");
    assert_eq!((past.imported, past.wall_ms, past.spent), (false, 3, Amounts::ZERO));
    assert_eq!(past.holds(), held.with(Resource::Memory, 0).with(Resource::Usd, 7));
    assert!(past.labels.has_all(&labels) && past.labels.has("untrusted"));
    // Another home takes nothing of that either.
    entries.push(Entry::Imported { at: NOW.plus(9), signer: None });
    let past = Unfinished::of(&entries).expect("it has not ended");
    assert!(past.imported && past.holds().is_zero() && past.open.len() == 2 && past.labels.has("untrusted"));
}
