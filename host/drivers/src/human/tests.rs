//! The rows of this version, which every later one must read.

use agentry_kernel::time::Millis;
use expect_test::expect_file;

use super::*;

#[test]
fn questions_and_notices_of_agents_stay_readable() {
    let (run, call, agent, at) = (RunId(7), CallId(2), "scribe".to_owned(), Millis(1_800_000_000_000));
    let open = Inquiry {
        run,
        call,
        agent: agent.clone(),
        text: "Which day?".to_owned(),
        choices: vec!["monday".to_owned(), "tuesday".to_owned()],
        asked: at,
        expires: Some(Millis(at.0 + 1000)),
        state: State::Open,
    };
    let states = [
        State::Answered { text: "monday".to_owned() },
        State::Declined { because: "no time".to_owned() },
        State::Expired,
        State::Withdrawn,
        State::Gone,
    ];
    let inquiries: Vec<_> =
        std::iter::once(open.clone()).chain(states.map(|state| Inquiry { state, ..open.clone() })).collect();
    let notice = Notice { at, run, call, agent, text: "done".to_owned() };
    let rows: Vec<_> = inquiries.iter().map(Inquiry::encode).chain([notice.encode()]).collect();
    let hex = |row: &Vec<u8>| row.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let lines: Vec<String> = rows.iter().map(hex).collect();
    expect_file!["../../../../../tests/golden/human-1.hex"].assert_eq(&(lines.join("\n") + "\n"));
    for (inquiry, row) in inquiries.iter().zip(&rows) {
        assert_eq!(Inquiry::decode(row).as_ref(), Ok(inquiry));
        assert!(Inquiry::decode(&row[..row.len() - 1]).is_err());
    }
}
