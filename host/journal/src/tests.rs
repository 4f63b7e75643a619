//! The bytes of this version, which every later one must read.

use agentry_kernel::budget::Period;
use agentry_kernel::call::{Call, CallId, Class, Completion, Delegation, Place, Post};
use agentry_kernel::journal::{BasisId, Ended, Outcome, PrunedRun, Started, Status};
use agentry_kernel::labels::Labels;
use agentry_kernel::refusal::{Argument, Code, Refusal, Rule};
use agentry_kernel::time::Day;
use agentry_kernel::{Amounts, Millis, Resource};
use agentry_store::rows::run::{Cause, Imported};
use expect_test::expect_file;

use super::*;

const GOLDEN_1: &str = include_str!("../../../tests/golden/journal-1.hex");
const GOLDEN_2: &str = include_str!("../../../tests/golden/journal-2.hex");
const GOLDEN_3: &str = include_str!("../../../tests/golden/journal-3.hex");
const GOLDEN_4: &str = include_str!("../../../tests/golden/journal-4.hex");
const GOLDEN_5: &str = include_str!("../../../tests/golden/journal-5.hex");
const GOLDEN_6: &str = include_str!("../../../tests/golden/journal-6.hex");
const GOLDEN_7: &str = include_str!("../../../tests/golden/journal-7.hex");
const GOLDEN_8: &str = include_str!("../../../tests/golden/journal-8.hex");

fn refusal() -> Refusal {
    Refusal {
        agent: "scribe".to_owned(),
        wanted: "llm.complete".to_owned(),
        code: Code::Exhausted { what: Resource::Tokens, refills_in_s: Some(60) },
        rule: Some(Rule { id: "scribe/budget".to_owned(), file: "policies/50-scribe.toml".to_owned(), line: 9 }),
        argument: Some(Argument { name: "model".to_owned(), value: "large".to_owned(), allowed: "small".to_owned() }),
        because: "the day's tokens are spent".to_owned(),
        hint: "wait a minute".to_owned(),
        reference: Some((RunId(7), CallId(3))),
    }
}

/// A run in which decisions rest on `basis`, as every version could write it.
fn entries_on(basis: BasisId) -> Vec<Entry> {
    let (at, name) = (Millis(1_800_000_000_000), Digest([0xab; 32]));
    let place = Place { root: "docs".to_owned(), path: "a/b.txt".to_owned() };
    let ask = Completion {
        model: "small".to_owned(),
        messages: vec![name],
        settings: name,
        input_tokens_max: 20,
        output_tokens_max: Some(10),
        class: Class::Batch,
        local_only: true,
        microusd_max: None,
    };
    let spent = Amounts::of(Resource::Tokens, 7).with(Resource::LlmCalls, 1);
    let error = Outcome::Error { kind: "unavailable".to_owned(), text: "down".to_owned(), partial: Some(name) };
    vec![
        Entry::Started(Started {
            at,
            agent: "scribe".to_owned(),
            package: "acme:scribe@1.0.0".to_owned(),
            component: name,
            input: name,
            seed: 42,
            policy: name,
            engine: "wasmtime 48".to_owned(),
            held: Amounts::of(Resource::Fuel, 1000),
        }),
        Entry::Called {
            call: CallId(1),
            at,
            what: Call::FilesRead(place),
            outcome: Outcome::Inline(vec![1, 2]),
            basis,
        },
        Entry::Asked { call: CallId(2), at, what: Call::LlmStream(ask.clone()), held: spent, basis },
        Entry::Answered { call: CallId(2), at, outcome: Outcome::Stored { content: name, bytes: 4096 }, spent },
        Entry::Observed { call: CallId(2), dropped: false },
        Entry::Refused { call: CallId(3), at, what: Call::LlmComplete(ask), refusal: refusal(), basis },
        Entry::Called { call: CallId(4), at, what: Call::TimersSleep { ms: 5 }, outcome: error, basis },
        Entry::Observed { call: CallId(5), dropped: true },
        Entry::Ended(Ended { at, status: Status::Done, output: name, spent }),
    ]
}

/// The same as version 3 could write it.
fn entries_of_3() -> Vec<Entry> {
    let (id, policy, rule) = (BasisId(1), Digest([0xcd; 32]), refusal().rule);
    let mut entries = entries_on(id);
    entries.insert(1, Entry::Basis { id, policy, rule });
    let last = entries.len() - 1;
    entries.insert(last, Entry::Heard { call: CallId(2), pieces: vec![1, 2] });
    entries
}

/// The same as version 4 could write it.
fn entries_of_4() -> Vec<Entry> {
    let (call, at) = (CallId(6), Millis(1_800_000_000_001));
    let held = Amounts::of(Resource::Usd, 300);
    let mut entries = entries_of_3();
    let last = entries.pop();
    entries.extend([
        Entry::Queued { call, at, what: Call::TimersNow, held },
        Entry::Unknown { call, at, spent: held },
        Entry::Resolved { call, at, happened: false, returned: held, because: "the shop says so".to_owned() },
        Entry::Resumed { at },
        Entry::Spawned { call: CallId(7), run: RunId(8) },
        Entry::Forked { at, from: RunId(9), call },
    ]);
    entries.extend(last);
    entries
}

/// The same as versions 5 and 6 could write it.
fn entries_of_6() -> Vec<Entry> {
    let mut entries = entries_of_4();
    let last = entries.len() - 1;
    entries.insert(last, Entry::Rested { at: Millis(1_800_000_000_002), calls: vec![CallId(6)] });
    entries
}

fn entries() -> Vec<Entry> {
    let mut entries = entries_of_7();
    let runs = vec![PrunedRun { run: RunId(9), segments: 3, digest: Digest([0x12; 32]) }];
    entries.push(Entry::Pruned { at: Millis(1_800_000_000_004), runs });
    entries
}

/// The same as version 7 could write it.
fn entries_of_7() -> Vec<Entry> {
    let (at, labels) = (Millis(1_800_000_000_003), Labels::of(["secret", "untrusted"]));
    let mut entries = entries_of_6();
    entries.extend([
        Entry::Imported { at, signer: Some(Digest([0xef; 32])) },
        Entry::Adopted { at, held: Amounts::of(Resource::Fuel, 1000), labels },
    ]);
    entries
}

#[test]
fn a_segment_of_this_version_stays_readable() {
    let mut bytes = Vec::new();
    segment::extend(&mut bytes, RunId(7), &entries());
    Tip::default().link(&mut bytes);
    let hex: Vec<String> =
        bytes.chunks(32).map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect()).collect();
    expect_file!["../../../tests/golden/journal-8.hex"].assert_eq(&(hex.join("\n") + "\n"));
    assert_eq!(segment::decode(&unhex(GOLDEN_8)), Ok((RunId(7), entries())));
}

#[test]
fn segments_of_older_versions_are_still_read() {
    for golden in [GOLDEN_1, GOLDEN_2] {
        assert_eq!(segment::decode(&unhex(golden)), Ok((RunId(7), entries_on(BasisId::NONE))));
    }
    assert_eq!(segment::decode(&unhex(GOLDEN_3)), Ok((RunId(7), entries_of_3())));
    assert_eq!(segment::decode(&unhex(GOLDEN_4)), Ok((RunId(7), entries_of_4())));
    for golden in [GOLDEN_5, GOLDEN_6] {
        assert_eq!(segment::decode(&unhex(golden)), Ok((RunId(7), entries_of_6())));
    }
    assert_eq!(segment::decode(&unhex(GOLDEN_7)), Ok((RunId(7), entries_of_7())));
    let all = [GOLDEN_1, GOLDEN_2, GOLDEN_3, GOLDEN_4, GOLDEN_5, GOLDEN_6, GOLDEN_7, GOLDEN_8].map(unhex);
    let linked = |segment: &Vec<u8>| segment::link(segment).is_some();
    assert_eq!(all.each_ref().map(linked), [false, true, true, true, true, true, true, true]);
    // Before version 6 an export left contents out.
    let whole = |segment: &Vec<u8>| segment::is_whole(segment);
    assert_eq!(all.each_ref().map(whole), [false, false, false, false, false, true, true, true]);
    // What lacks contents is still written as version 5, so that nobody takes it for whole.
    let mut lacking = Vec::new();
    segment::extend_as(Trail::lacking(RunId(7)).format(), &mut lacking, RunId(7), &entries_of_6());
    Tip::default().link(&mut lacking);
    assert_eq!(lacking, unhex(GOLDEN_5));
}

#[test]
fn an_account_of_version_1_goes_on_as_the_books_of_a_day() {
    // Format, 1200 tokens spent, 34 held, day 20800.
    let bytes = b"\x01\0\xb0\x09\0\0\0\0\0\0\0\0\x22\0\0\0\0\0\0\0\x01\xc0\xa2\x01";
    let books = rows::run::books(bytes).unwrap();
    assert_eq!(books.day.spent, Amounts::of(Resource::Tokens, 1200));
    assert_eq!(books.day.held, Amounts::of(Resource::Tokens, 34));
    assert_eq!((books.day.period, books.minute.spent), (Period::Day(Day(20_800)), Amounts::ZERO));
    assert_eq!(rows::run::books(&rows::run::encode(&books)), Ok(books));
}

/// The record of a run, and of one that a call of it made.
fn records() -> [RunRecord; 2] {
    let first = RunRecord {
        id: RunId(7),
        agent: "scribe".to_owned(),
        package: "acme:scribe@1.0.0".to_owned(),
        component: Digest([0xab; 32]),
        status: Status::Running,
        started: Millis(1_800_000_000_000),
        ended: None,
        spent: Amounts::of(Resource::Tokens, 7),
        calls: 3,
        refused: 1,
        failure: None,
        labels: Labels::of(["untrusted"]),
        parent: None,
        cause: None,
        imported: None,
        trigger: None,
        listed: None,
    };
    let status = Status::Done;
    let cause = Cause { kind: "denied".to_owned(), text: "no-grant".to_owned(), hint: "grant it".to_owned() };
    let parent = Some((RunId(7), CallId(2)));
    let imported = Some(Imported { at: Millis(1_800_000_000_001), signer: Some(Digest([0xef; 32])), adopted: true });
    let trigger = Some("cron 0 7 * * *".to_owned());
    let child = RunRecord { id: RunId(8), status, parent, cause: Some(cause), imported, trigger, ..first.clone() };
    [first, child]
}

#[test]
fn a_record_of_this_version_stays_readable_and_so_do_those_of_versions_2_to_5() {
    let written = records().map(|record| {
        let mut batch = Batch::default();
        record.write(&mut batch);
        batch.writes.into_iter().find_map(|(key, row)| row.filter(|_| key == keys::run(record.id))).unwrap()
    });
    let hex = |row: &Vec<u8>| row.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let lines: Vec<String> = written.iter().map(hex).collect();
    expect_file!["../../../tests/golden/record-6.hex"].assert_eq(&(lines.join("\n") + "\n"));
    assert_eq!(written.each_ref().map(|row| RunRecord::decode(row).unwrap()), records());
    // What only this version knows is written in it, and nothing else.
    let moved = records().map(|record| RunRecord { listed: Some(Millis(1_700_000_000_000)), ..record });
    let rows = moved.each_ref().map(RunRecord::encoded);
    expect_file!["../../../tests/golden/record-7.hex"].assert_eq(&(rows.each_ref().map(hex).join("\n") + "\n"));
    assert_eq!(rows.each_ref().map(|row| RunRecord::decode(row).unwrap()), moved);
    let read = |rows: &str| rows.lines().map(|row| RunRecord::decode(&unhex(row)).unwrap()).collect::<Vec<_>>();
    let fifth = records().map(|record| RunRecord { trigger: None, ..record });
    assert_eq!(read(include_str!("../../../tests/golden/record-5.hex")), fifth);
    let fourth = fifth.map(|record| RunRecord { imported: None, ..record });
    assert_eq!(read(include_str!("../../../tests/golden/record-4.hex")), fourth);
    let third = fourth.map(|record| RunRecord { cause: None, ..record });
    assert_eq!(read(include_str!("../../../tests/golden/record-3.hex")), third);
    // Version 2 had all but the parent, the cause, where it comes from and what started it, which stand last.
    let [mut second, _] = written;
    second[0] = 2;
    second.truncate(second.len() - 4);
    assert_eq!(RunRecord::decode(&second), Ok(records()[0].clone()));
}

#[test]
fn calls_of_other_agents_stay_readable() {
    let name = Digest([0xab; 32]);
    let post = Post { agent: "clerk".to_owned(), content: name, bytes: 300 };
    let share = vec![(Resource::Tokens, 100)];
    let calls = [
        Call::AgentsFind { provides: "calendar".to_owned() },
        Call::AgentsCall(Delegation { agent: "clerk".to_owned(), input: name, share, fuel: 1000 }),
        Call::AgentsSend(post.clone()),
        Call::AgentsReply { letter: "scribe/3".to_owned(), post },
        Call::AgentsReceive { timeout_ms: Some(5000) },
    ];
    let rows: Vec<Vec<u8>> = calls.iter().map(|call| postcard::to_allocvec(call).unwrap()).collect();
    let hex = |row: &Vec<u8>| row.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let lines: Vec<String> = rows.iter().map(hex).collect();
    expect_file!["../../../tests/golden/calls-4.hex"].assert_eq(&(lines.join("\n") + "\n"));
    for (call, row) in calls.iter().zip(&rows) {
        assert_eq!(postcard::from_bytes::<Call>(row).as_ref(), Ok(call));
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).unwrap();
    digits.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

#[test]
fn a_segment_is_read_some_entries_at_a_time() {
    for golden in [GOLDEN_1, GOLDEN_2, GOLDEN_3, GOLDEN_8] {
        let bytes = unhex(golden);
        let (_, whole) = segment::decode(&bytes).unwrap();
        for most in [1, 3, whole.len(), usize::MAX] {
            let (mut parts, mut read) = (segment::Parts::of(bytes.clone()).unwrap(), Vec::new());
            loop {
                let part = parts.next(most).unwrap();
                if part.is_empty() {
                    break;
                }
                assert!(part.len() <= most);
                read.extend(part);
            }
            assert_eq!(read, whole);
        }
    }
}

#[test]
fn a_segment_that_is_none_is_damage_and_not_a_panic() {
    let mut bytes = Vec::new();
    segment::extend(&mut bytes, RunId(7), &entries());
    for length in 0..bytes.len() {
        // A cut may fall between two entries; nowhere else it decodes.
        let _ = segment::decode(&bytes[..length]);
    }
    bytes[0] = 9;
    assert!(matches!(segment::decode(&bytes), Err(StoreError::Damaged { .. })));
    assert!(matches!(segment::decode(b""), Err(StoreError::Damaged { .. })));
}
