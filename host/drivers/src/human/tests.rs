//! The rows of this version, which every later one must read.

use agentry_kernel::time::Millis;
use expect_test::expect_file;

use super::*;

#[tokio::test]
async fn questions_and_notices_of_agents_stay_readable() {
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
    let rows: Vec<_> = inquiries.iter().map(Inquiry::encode).collect();
    let hex = |row: &Vec<u8>| row.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let golden = include_str!("../../../../tests/golden/human-1.hex");
    let (questions, notice_1) = golden.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(rows.iter().map(hex).collect::<Vec<_>>().join("\n"), questions);
    for (inquiry, row) in inquiries.iter().zip(&rows) {
        assert_eq!(Inquiry::decode(row).as_ref(), Ok(inquiry));
        assert!(Inquiry::decode(&row[..row.len() - 1]).is_err());
    }
    let notice = Notice { at, run, call, agent, text: "done".to_owned() };
    let row = notice.encode("office");
    expect_file!["../../../../tests/golden/notice-2.hex"].assert_eq(&(hex(&row) + "\n"));
    // Version 1 did not say who keeps it: its agent does.
    let byte = |at| u8::from_str_radix(&notice_1[at..at + 2], 16).unwrap();
    let row_1: Vec<u8> = (0..notice_1.len()).step_by(2).map(byte).collect();
    let home = tempfile::tempdir().unwrap();
    let store = agentry_store::RedbStore::open(home.path()).unwrap();
    for (row, owner) in [(row_1, "scribe"), (row, "office")] {
        assert_eq!(rows::notice::owner(&row).map(|(owner, _)| owner).as_deref(), Some(owner));
        let mut batch = Batch::default();
        batch.put(keys::notice(at, run, call), row);
        store.commit(batch).await.unwrap();
        assert_eq!(rows::notice::notices(&store, 10), Ok(vec![notice.clone()]));
    }
}
