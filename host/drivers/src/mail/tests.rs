//! Mailboxes on a store: order, bounds, what goes dead, what is put back.

use agentry_store::RedbStore;
use agentry_store::rows::mail::list;

use super::*;

const NOW: Millis = Millis(1_800_000_000_000);

fn letter(sender: &str, body: &str, at: Millis) -> Waiting {
    let (sender, body) = (sender.to_owned(), body.to_owned());
    let owner = sender.clone();
    Waiting { sender, run: RunId(7), subject: "x".to_owned(), body, labels: Labels::of(["untrusted"]), at, owner }
}

struct Office {
    mail: Mail,
    store: Arc<dyn Store>,
    _home: tempfile::TempDir,
}

impl Office {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(RedbStore::open(home.path()).unwrap());
        Self { mail: Mail::new(Arc::clone(&store)), store, _home: home }
    }

    async fn send(&self, to: &str, letter: &Waiting) -> Result<String, Error> {
        let (batch, id) = self.mail.put(to, letter)?;
        self.store.commit(batch).await.unwrap();
        Ok(id)
    }

    async fn take(&self, mailbox: &str, now: Millis) -> Option<Taken> {
        let (batch, taken, labels) = self.mail.take(mailbox, now).unwrap()?;
        assert_eq!(labels, Labels::of(["untrusted"]), "they travel with it");
        self.store.commit(batch).await.unwrap();
        Some(taken)
    }

    fn count(&self, mailbox: &str, dead: bool) -> usize {
        list(&*self.store, Some(mailbox), dead).unwrap().len()
    }
}

#[tokio::test]
async fn letters_come_out_in_the_order_in_which_they_were_sent_and_only_of_their_own_mailbox() {
    let office = Office::new();
    for body in 0..3 {
        office.send("clerk", &letter("scribe", &body.to_string(), NOW)).await.unwrap();
    }
    // A name that begins with the other one.
    assert!(office.send("clerk-2", &letter("scribe", "9", NOW)).await.unwrap().starts_with("clerk-2/"));
    for body in 0..3 {
        let taken = office.take("clerk", NOW).await.unwrap();
        assert_eq!((taken.letter.body_json.as_str(), taken.letter.sender.as_str()), (&*body.to_string(), "scribe"));
    }
    assert!(office.take("clerk", NOW).await.is_none());
    assert_eq!(office.count("clerk-2", false), 1);
}

#[tokio::test]
async fn of_two_who_take_the_same_letter_one_has_it() {
    let office = Office::new();
    office.send("clerk", &letter("scribe", "1", NOW)).await.unwrap();
    let (first, ..) = office.mail.take("clerk", NOW).unwrap().unwrap();
    let (second, ..) = office.mail.take("clerk", NOW).unwrap().unwrap();
    assert_eq!(office.store.commit(first).await, Ok(()));
    assert_eq!(office.store.commit(second).await, Err(StoreError::Conflict));
}

#[tokio::test]
async fn a_letter_is_not_taken_twice_because_its_mailbox_looks_as_before() {
    let office = Office::new();
    let mut ids = Vec::new();
    for body in ["1", "2"] {
        ids.push(office.send("clerk", &letter("scribe", body, NOW)).await.unwrap());
    }
    let first = office.take("clerk", NOW).await.unwrap();
    let (late, ..) = office.mail.take("clerk", NOW).unwrap().unwrap();
    assert_eq!(office.take("clerk", NOW).await.unwrap().letter.id, ids[1]);
    office.store.commit(office.mail.put_back(&first).unwrap()).await.unwrap();
    assert_eq!(office.store.commit(late).await, Err(StoreError::Conflict), "the second is gone");
    assert_eq!(office.take("clerk", NOW).await.unwrap().letter.id, ids[0]);
}

#[tokio::test]
async fn a_letter_that_nobody_saw_is_the_first_again() {
    let office = Office::new();
    let mut ids = Vec::new();
    for body in ["1", "2"] {
        ids.push(office.send("clerk", &letter("scribe", body, NOW)).await.unwrap());
    }
    let taken = office.take("clerk", NOW).await.unwrap();
    assert!(office.mail.answers("clerk", &taken.letter.id).is_ok());
    let before = office.mail.taken_before("clerk", taken.letter.clone(), NOW).unwrap();
    let (row, mailbox) = (Waiting { run: RunId::HOST, ..taken.row.clone() }, &taken.mailbox);
    assert_eq!(
        (&before.row, &before.mailbox, before.number),
        (&row, mailbox, taken.number),
        "its journal brings it back"
    );
    office.store.commit(office.mail.put_back(&taken).unwrap()).await.unwrap();
    assert!(office.mail.answers("clerk", &taken.letter.id).is_err(), "nobody has it");
    assert_eq!(office.take("clerk", NOW).await.unwrap().letter.id, ids[0]);
    assert_eq!(office.take("clerk", NOW).await.unwrap().letter.id, ids[1]);
}

#[tokio::test]
async fn what_nobody_takes_in_time_is_dead_and_makes_room() {
    let office = Office::new();
    let mut ids = vec![office.send("clerk", &letter("scribe", "1", NOW)).await.unwrap()];
    let late = NOW.plus(LETTER_TTL_MS);
    ids.push(office.send("clerk", &letter("scribe", "2", late)).await.unwrap());
    assert_eq!((office.count("clerk", false), office.count("clerk", true)), (1, 1));
    let dead = list(&*office.store, None, true).unwrap().remove(0);
    assert_eq!((&dead.id, dead.dead.unwrap().why.as_str()), (&ids[0], "nobody took it in time"));
    assert_eq!(office.take("clerk", late).await.unwrap().letter.id, ids[1]);
    let batch = discard(&*office.store, &ids[0]).unwrap().unwrap();
    office.store.commit(batch).await.unwrap();
    assert_eq!(office.count("clerk", true), 0);
    for none in [&*ids[0], "clerk/0", "clerk", "clerk/x", "nobody/0", "clerk/99999999999999999999"] {
        assert!(discard(&*office.store, none).unwrap().is_none(), "{none}");
    }
}

#[tokio::test]
async fn a_mailbox_holds_so_many_bytes_whatever_the_number_of_letters() {
    let office = Office::new();
    let long = "x".repeat(agentry_store::limits::LETTER_MAX_BYTES);
    let fits = usize::try_from(MAILBOX_MAX_BYTES).unwrap() / (long.len() + 1);
    for _ in 0..fits {
        office.send("clerk", &letter("scribe", &long, NOW)).await.unwrap();
    }
    assert!(matches!(office.send("clerk", &letter("scribe", &long, NOW)).await, Err(Error::Unavailable(_))));
    office.take("clerk", NOW).await.unwrap();
    office.send("clerk", &letter("scribe", &long, NOW)).await.unwrap();
}

#[tokio::test]
async fn an_id_is_a_letter_of_its_own_mailbox_only() {
    let office = Office::new();
    let id = office.send("clerk", &letter("scribe", "1", NOW)).await.unwrap();
    office.take("clerk", NOW).await.unwrap();
    assert!(office.mail.answers("clerk", &id).is_ok() && office.mail.answers("clerk", "clerk/0").is_ok());
    for other in ["clerk/", "clerk/+0", "clerk-2/0", "scribe/0", "clerk/0/0", "0", "", &id.replace("clerk", "scribe")] {
        assert!(office.mail.answers("clerk", other).is_err(), "{other}");
    }
}

#[tokio::test]
async fn a_mailbox_is_full_for_whoever_filled_it_and_for_nobody_else() {
    let office = Office::new();
    for _ in 0..LETTERS_WAITING_MAX {
        office.send("clerk", &letter("scribe", "1", NOW)).await.unwrap();
    }
    assert!(matches!(office.send("clerk", &letter("scribe", "1", NOW)).await, Err(Error::Unavailable(_))));
    office.send("clerk", &letter("spy", "1", NOW)).await.unwrap();
    office.take("clerk", NOW).await.unwrap();
    office.send("clerk", &letter("scribe", "1", NOW)).await.unwrap();
}
