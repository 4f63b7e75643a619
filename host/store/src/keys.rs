//! Where everything stands in the store: one letter each, numbers big-endian so that their order is the keys' order.
//!
//! | key | value |
//! |---|---|
//! | `v` | the format of the store, one byte |
//! | `a` agent | the agent's books; the site's stand under no agent. Those of a later host stand under 0, host, agent |
//! | `b` SHA-256 | a content, as it is |
//! | `B` SHA-256 | nothing: a journal that named that content went, and perhaps nothing else names it |
//! | `c` host | a host that writes this store: its name and its epoch |
//! | `d` length of agent, agent | what is in its mailbox |
//! | `d` length of agent, agent, kind, number | a letter: one that waits, one that was taken, or a dead one |
//! | `e` time, run | nothing: a run that rests and comes back then |
//! | `f` SHA-256 of a place | the labels of a file or a directory |
//! | `g` length of agent, agent, run | nothing: a run that rests and comes back when a letter for that agent comes |
//! | `h` | how far the log of the first host goes, and the head of its last segment; of a later host, behind its number |
//! | `i` run, segment | nothing: that segment is this run's |
//! | `k` SHA-256 of a place | who keeps a file, and how much |
//! | `l` segment | a segment of the journal: two bytes say whose log it is of, six which of it |
//! | `m` length of namespace, namespace, key | an entry of memory |
//! | `n` time, run, call | a notice of an agent to people |
//! | `o` run | the run has not ended: whose it is, and if it rests, what it holds and what brings it back |
//! | `p` approver | which codes of theirs were used, and how many were wrong |
//! | `q` question | what people were asked, and what came of it |
//! | `r` run | the run's record |
//! | `R` run | that the run's journal went, and the name of what went |
//! | `s` length of agent, agent, rule | when a rule with a `rate` let calls through; of a later host, behind 65535 and its number |
//! | `t` | that every run has its row here, of which version |
//! | `t` start, run | the run's record once more: runs by time, listed without a look elsewhere; where a clock was set back, by when it was set back. Older versions left it empty |
//! | `u` run, call | a question of an agent to people, and what came of it |
//! | `w` trigger | what it has seen |
//! | `w` trigger, `h` | that a person holds it |
//! | `x` SHA-256 of a trigger, number | what it has noticed, until a run for that has ended |
//! | `y` | how far the time of the first host has come; of a later host, behind its number |
//! | `z` SHA-256 of a key | the run that was ordered under it |
//!
//! The first host of a store has number 0, and its keys are those of a store that knew of one host only.

use agentry_kernel::approval::ApprovalId;
use agentry_kernel::call::{CallId, RunId};
use agentry_kernel::digest::Digest;
use agentry_kernel::time::Millis;

use sha2::{Digest as _, Sha256};

use super::ids::{HostId, SegmentId};
use super::{Key, Range};

/// The format of the store.
pub const FORMAT: &[u8] = b"v";
/// Books.
pub const BOOKS: &[u8] = b"a";
/// Whose books the site's are: no agent has an empty name.
pub const SITE: &str = "";
/// Who keeps files.
pub const FILE_USAGE: &[u8] = b"k";
/// Segments of the journal.
pub const LOG: &[u8] = b"l";
/// Entries of memory.
pub const MEMORY: &[u8] = b"m";
/// Mailboxes.
pub const MAIL: &[u8] = b"d";
/// Contents.
pub const CONTENTS: &[u8] = b"b";
/// Contents of journals that went.
pub const ORPHANS: &[u8] = b"B";
/// Of runs whose journals went.
pub const RECEIPTS: &[u8] = b"R";
/// Which run a segment is of.
pub const INDEX: &[u8] = b"i";
/// How far the log goes.
pub const TIP: &[u8] = b"h";
/// Hosts.
pub const HOSTS: &[u8] = b"c";
/// A key of the log or of its index, at the longest.
pub const LOG_ROW_BYTES: usize = 17;
/// Notices of agents.
pub const NOTICES: &[u8] = b"n";
/// Questions of agents.
pub const INQUIRIES: &[u8] = b"u";
/// Runs that have not ended.
pub const OPEN: &[u8] = b"o";
/// Questions to people.
pub const QUESTIONS: &[u8] = b"q";
/// Records of runs.
pub const RUNS: &[u8] = b"r";
/// Calls that rules with a `rate` let through.
pub const RATES: &[u8] = b"s";
/// Runs that rest, by the time at which they come back.
pub const WAKES: &[u8] = b"e";
/// Runs that rest until a letter comes.
pub const READERS: &[u8] = b"g";
/// How far the time of hosts has come.
pub const CLOCK: &[u8] = b"y";
/// What is known of the codes of approvers.
pub const APPROVERS: &[u8] = b"p";
/// What triggers have noticed.
pub const CAUSES: &[u8] = b"x";
/// Orders of runs that have a key.
pub const ORDERS: &[u8] = b"z";
/// Runs by time.
pub const TIMES: &[u8] = b"t";

fn key(letter: &[u8], parts: &[&[u8]]) -> Key {
    let mut key = Vec::with_capacity(1 + parts.iter().map(|part| part.len()).sum::<usize>());
    key.extend_from_slice(letter);
    parts.iter().for_each(|part| key.extend_from_slice(part));
    key
}

/// What stands before the number of a later host in a key of books: no agent's name begins so.
const BOOKS_OF: [u8; 1] = [0];

/// The same in a key of rates: no agent's name is so long.
const RATES_OF: [u8; 2] = [u8::MAX; 2];

/// What a host keeps for itself in this table: nothing more for the first one, else `mark` and its number.
fn of_host(letter: &[u8], mark: &[u8], host: HostId) -> Key {
    if host.is_first() { letter.to_vec() } else { key(letter, &[mark, &host.0.to_be_bytes()]) }
}

/// Which host keeps this row of such a table, and what stands behind.
fn host_of<'a>(row: &'a [u8], letter: &[u8], mark: &[u8]) -> Option<(HostId, &'a [u8])> {
    let rest = row.strip_prefix(letter)?;
    let Some(later) = rest.strip_prefix(mark) else { return Some((HostId::FIRST, rest)) };
    let (host, rest) = later.split_first_chunk::<2>()?;
    Some((HostId(u16::from_be_bytes(*host)), rest))
}

/// The books that a host keeps of an agent, or of [`SITE`].
pub fn books(host: HostId, agent: &str) -> Key {
    let mut key = of_host(BOOKS, &BOOKS_OF, host);
    key.extend_from_slice(agent.as_bytes());
    key
}

/// The host and the agent of such a key.
pub fn books_of(key: &[u8]) -> Option<(HostId, String)> {
    let (host, agent) = host_of(key, BOOKS, &BOOKS_OF)?;
    Some((host, String::from_utf8_lossy(agent).into_owned()))
}

/// When a rule of an agent's grant let calls through on a host.
pub fn rate(host: HostId, agent: &str, rule: &str) -> Key {
    let length = u16::try_from(agent.len()).unwrap_or(u16::MAX);
    let mut key = of_host(RATES, &RATES_OF, host);
    [length.to_be_bytes().as_slice(), agent.as_bytes(), rule.as_bytes()].iter().for_each(|part| key.extend(*part));
    key
}

/// The host, the agent and the rule of such a key.
pub fn rate_of(key: &[u8]) -> Option<(HostId, String, String)> {
    let (host, rest) = host_of(key, RATES, &RATES_OF)?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let (agent, rule) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    Some((host, text(agent)?, text(rule)?))
}

/// A host.
pub fn host(host: HostId) -> Key {
    key(HOSTS, &[&host.0.to_be_bytes()])
}

/// The host of such a key.
pub fn host_number(key: &[u8]) -> Option<HostId> {
    let number = key.strip_prefix(HOSTS)?;
    Some(HostId(u16::from_be_bytes(number.try_into().ok()?)))
}

/// A content.
pub fn blob(digest: &Digest) -> Key {
    key(CONTENTS, &[&digest.0])
}

/// That a content may be nobody's any more.
pub fn orphan(digest: &Digest) -> Key {
    key(ORPHANS, &[&digest.0])
}

/// The digest of such a key, or of that of a content.
pub fn content_of(key: &[u8]) -> Option<Digest> {
    let digest = key.strip_prefix(CONTENTS).or_else(|| key.strip_prefix(ORPHANS))?;
    digest.try_into().ok().map(Digest)
}

/// That a segment is a run's.
pub fn index(run: RunId, segment: SegmentId) -> Key {
    key(INDEX, &[&run.0.to_be_bytes(), &segment.to_bytes()])
}

/// All that are a run's.
pub fn indices(run: RunId) -> Key {
    key(INDEX, &[&run.0.to_be_bytes()])
}

/// That a run's journal went.
pub fn receipt(run: RunId) -> Key {
    key(RECEIPTS, &[&run.0.to_be_bytes()])
}

/// A segment of the journal.
pub fn segment(segment: SegmentId) -> Key {
    key(LOG, &[&segment.to_bytes()])
}

/// The segment of such a key, or of one of the index.
pub fn segment_of(key: &[u8]) -> Option<SegmentId> {
    key.last_chunk::<8>().map(|bytes| SegmentId::from_bytes(*bytes))
}

/// All segments of a host.
pub fn log(host: HostId) -> Key {
    key(LOG, &[&host.0.to_be_bytes()])
}

/// How far the log of a host goes.
pub fn tip(host: HostId) -> Key {
    of_host(TIP, &[], host)
}

/// How far the time of a host has come.
pub fn clock(host: HostId) -> Key {
    of_host(CLOCK, &[], host)
}

/// The host of such a key.
pub fn tip_of(key: &[u8]) -> Option<HostId> {
    match key.strip_prefix(TIP)? {
        [] => Some(HostId::FIRST),
        later => Some(HostId(u16::from_be_bytes(later.try_into().ok()?))),
    }
}

/// An entry of memory. The namespace's length stands first, so that no namespace reaches into another.
pub fn memory(namespace: &str, name: &str) -> Key {
    let length = u16::try_from(namespace.len()).unwrap_or(u16::MAX);
    key(MEMORY, &[&length.to_be_bytes(), namespace.as_bytes(), name.as_bytes()])
}

/// Kinds of letters, as they stand behind the name of a mailbox.
const WAITS: u8 = b'a';
const RECEIVED: u8 = b'b';
const DEAD: u8 = b'c';

/// What is in an agent's mailbox. All rows of its letters begin with it.
pub fn mailbox(agent: &str) -> Key {
    let length = u16::try_from(agent.len()).unwrap_or(u16::MAX);
    key(MAIL, &[&length.to_be_bytes(), agent.as_bytes()])
}

fn letter_row(agent: &str, kind: u8, number: u64) -> Key {
    let mut row = mailbox(agent);
    row.push(kind);
    row.extend_from_slice(&number.to_be_bytes());
    row
}

/// The letters that wait in an agent's mailbox.
pub fn letters(agent: &str) -> Key {
    let mut letters = mailbox(agent);
    letters.push(WAITS);
    letters
}

/// A letter that waits.
pub fn letter(agent: &str, number: u64) -> Key {
    letter_row(agent, WAITS, number)
}

/// A letter that was taken.
pub fn received(agent: &str, number: u64) -> Key {
    letter_row(agent, RECEIVED, number)
}

/// A letter that nobody took.
pub fn dead_letter(agent: &str, number: u64) -> Key {
    letter_row(agent, DEAD, number)
}

/// The mailbox and the number of a letter that waits or is dead, and whether it is dead.
pub fn letter_of(key: &[u8]) -> Option<(String, bool, u64)> {
    let (length, rest) = key.strip_prefix(MAIL)?.split_first_chunk::<2>()?;
    let (agent, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let (kind, number) = rest.split_first()?;
    let dead = match *kind {
        WAITS => false,
        DEAD => true,
        _ => return None,
    };
    let number = u64::from_be_bytes(*number.first_chunk::<8>()?);
    Some((String::from_utf8(agent.to_vec()).ok()?, dead, number))
}

/// The labels of a place of that digest.
pub fn mark(place: &[u8; 32]) -> Key {
    key(b"f", &[place])
}

/// Who keeps the file of that digest.
pub fn file_usage(place: &[u8; 32]) -> Key {
    key(FILE_USAGE, &[place])
}

/// That a run has not ended.
pub fn open(run: RunId) -> Key {
    key(OPEN, &[&run.0.to_be_bytes()])
}

/// That a run rests and comes back at this time.
pub fn wake(at: Millis, run: RunId) -> Key {
    key(WAKES, &[&at.0.to_be_bytes(), &run.0.to_be_bytes()])
}

/// The time of such a key.
pub fn wakes_at(key: &[u8]) -> Option<Millis> {
    let at = key.strip_prefix(WAKES)?.first_chunk::<8>()?;
    Some(Millis(u64::from_be_bytes(*at)))
}

/// That a run rests and comes back when a letter for this agent comes.
pub fn reader(agent: &str, run: RunId) -> Key {
    let mut key = readers(agent);
    key.extend_from_slice(&run.0.to_be_bytes());
    key
}

/// All that do.
pub fn readers(agent: &str) -> Key {
    let length = u16::try_from(agent.len()).unwrap_or(u16::MAX);
    key(READERS, &[&length.to_be_bytes(), agent.as_bytes()])
}

/// The agent of such a key.
pub fn reader_of(key: &[u8]) -> Option<String> {
    let (length, rest) = key.strip_prefix(READERS)?.split_first_chunk::<2>()?;
    let agent = rest.get(..usize::from(u16::from_be_bytes(*length)))?;
    String::from_utf8(agent.to_vec()).ok()
}

/// What is known of an approver's codes.
pub fn approver(name: &str) -> Key {
    key(APPROVERS, &[name.as_bytes()])
}

/// A question to people.
pub fn question(id: ApprovalId) -> Key {
    key(QUESTIONS, &[&id.0.to_be_bytes()])
}

/// A question of an agent.
pub fn inquiry(run: RunId, call: CallId) -> Key {
    key(INQUIRIES, &[&run.0.to_be_bytes(), &call.0.to_be_bytes()])
}

/// A notice of an agent.
pub fn notice(at: Millis, run: RunId, call: CallId) -> Key {
    key(NOTICES, &[&at.0.to_be_bytes(), &run.0.to_be_bytes(), &call.0.to_be_bytes()])
}

/// What a trigger has seen.
pub fn trigger(id: &str) -> Key {
    key(b"w", &[Sha256::digest(id.as_bytes()).as_slice()])
}

/// That a person holds a trigger.
pub fn hold(id: &str) -> Key {
    let mut key = trigger(id);
    key.push(b'h');
    key
}

/// All that a trigger has noticed.
pub fn causes(id: &str) -> Key {
    key(CAUSES, &[Sha256::digest(id.as_bytes()).as_slice()])
}

/// One of these.
pub fn cause(id: &str, number: u64) -> Key {
    let mut key = causes(id);
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// The run that was ordered under this key.
pub fn order(name: &str) -> Key {
    key(ORDERS, &[Sha256::digest(name.as_bytes()).as_slice()])
}

/// The record of a run.
pub fn run(run: RunId) -> Key {
    key(RUNS, &[&run.0.to_be_bytes()])
}

/// All runs that began before `end`, and not before `begin`.
pub fn times(begin: Millis, end: Option<Millis>) -> Range {
    let to = end.map_or_else(|| Range::of(TIMES).to, |end| key(TIMES, &[&end.0.to_be_bytes()]));
    Range { from: key(TIMES, &[&begin.0.to_be_bytes()]), to, reverse: false }
}

/// A run by the time of its start.
pub fn time(start: Millis, run: RunId) -> Key {
    key(TIMES, &[&start.0.to_be_bytes(), &run.0.to_be_bytes()])
}

/// The time and the run of such a key.
pub fn time_of(key: &[u8]) -> Option<(Millis, RunId)> {
    let (start, run) = key.strip_prefix(TIMES)?.split_first_chunk::<8>()?;
    Some((Millis(u64::from_be_bytes(*start)), RunId(u64::from_be_bytes(run.try_into().ok()?))))
}

/// The number at the end of a key: a run's.
pub fn number(key: &[u8]) -> Option<u64> {
    key.last_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_has_its_own_log_books_and_rates_and_those_of_the_first_are_as_they_were() {
        let (first, later) = (HostId::FIRST, HostId(7));
        assert_eq!(books(first, "scribe"), b"ascribe");
        assert_eq!(segment(SegmentId { host: first, number: 258 }), b"l\0\0\0\0\0\0\x01\x02");
        assert_eq!(rate(first, "ab", "r"), b"s\0\x02abr");
        assert_eq!(tip(first), b"h");
        for host in [first, later, HostId(u16::MAX)] {
            for agent in ["", "scribe"] {
                assert_eq!(books_of(&books(host, agent)), Some((host, agent.to_owned())));
                assert_eq!(rate_of(&rate(host, agent, "r")), Some((host, agent.to_owned(), "r".to_owned())));
            }
            let last = SegmentId { host, number: SegmentId::NUMBER_MAX };
            assert_eq!(segment_of(&segment(last)), Some(last));
            assert!(segment(last).starts_with(&log(host)) && index(RunId(1), last).len() == LOG_ROW_BYTES);
            assert_eq!((tip_of(&tip(host)), host_number(&super::host(host))), (Some(host), Some(host)));
        }
    }
}
