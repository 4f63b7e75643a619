//! People's answers under thousands of seeds: answers that fit and that do not, replayed, altered and late, policies that
//! change in between and clocks that go back. A permit comes out exactly when it may, once, and nothing stays held.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;

use super::super::simulation::Random;
use super::*;
use crate::approval::{ApprovalId, Approver, Approvers, Factor, Facts, Required, Unfit};
use crate::journal::{Entry, Started, Unfinished};
use crate::kernel::{Answered, Asked, How, Unasked, Vote, Waiter};
use crate::limits::{QUESTIONS_OPEN_MAX, QUESTIONS_SPAN_MS};
use crate::refusal::Rule;

mod registry;

const OTHER: RunId = RunId(2);
const TTL_MS: u64 = 60_000;
const STEPS: usize = 120;

const OPEN_GRANT: &str = "format = 1\nlayer = \"grant\"\nagent = \"scribe\"\nexpires = 2027-01-20\n\
    llm = { models = [\"small\"] }\nallow = [{ id = \"scribe/mail\", tool = \"mail.send\" }]\n\
    [budget]\ntool_calls_day = 10_000\nwall_run = \"60s\"\n";

fn epoch(number: u8) -> Arc<Policy> {
    let source = Source { file: "policies/50-scribe.toml", text: OPEN_GRANT };
    Arc::new(Policy::parse(&[source], Digest([number; 32])).expect("the grant is whole"))
}

fn attended() -> Kernel {
    let mut kernel = Kernel::new(epoch(0), models(), tools());
    for run in [RUN, OTHER] {
        kernel.start(run, &start(), NOW).expect("the grant covers it");
        kernel.attend(run);
    }
    kernel
}

fn mail() -> Call {
    tool_call("mail.send", "{}")
}

fn facts(number: u8) -> Facts {
    Facts { call: Digest([number; 32]), tool: Digest([1; 32]), component: Digest([2; 32]) }
}

fn required(from: &str, factor: Factor, quorum: u32) -> Required {
    let rule = Rule { id: format!("site/{from}-{quorum}"), file: "site.toml".into(), line: 1 };
    let required = Required { rule, from: from.parse().expect("well formed"), factor, quorum, ttl_ms: TTL_MS };
    assert_eq!(required.flaw(), None);
    required
}

fn rules() -> [Required; 3] {
    [required("anyone", Factor::Confirm, 1), required("group:ops", Factor::Totp, 2), required("alice", Factor::Totp, 1)]
}

fn person(name: &str, proven: bool) -> Approver {
    let groups = if name == "eve" { Vec::new() } else { vec![String::from("ops")] };
    Approver { name: name.into(), groups, proven }
}

/// A call that is admitted, as if this rule had asked for people: its budget is held.
fn unasked(kernel: &mut Kernel, run: RunId, call: u32, required: &Required, now: Millis) -> Option<Unasked> {
    match kernel.admit(run, CallId(call), &mail(), now) {
        Answer::Permit(permit) => {
            let (model, class) = (None, Class::Normal);
            let (required, name, tool) = (required.clone(), "tools.call".into(), kernel.tool_of(&mail()));
            Some(Unasked { permit, model, class, required, name, tool, raise: None })
        }
        Answer::Refused(_) => None,
        other => panic!("nobody else waits: {other:?}"),
    }
}

fn question(kernel: &mut Kernel, call: u32, required: &Required, facts: Facts) -> Asked {
    let unasked = unasked(kernel, RUN, call, required, NOW).expect("it is granted");
    kernel.ask(unasked, (ApprovalId(u64::from(call)), None), facts, NOW).expect("it asks little")
}

fn held(kernel: &Kernel) -> u64 {
    kernel.account("scribe").map_or(0, |account| account.held[Resource::ToolCalls])
}

fn code(answer: Answer) -> Code {
    match answer {
        Answer::Refused(refusal) => refusal.code,
        other => panic!("it is refused: {other:?}"),
    }
}

fn spend(kernel: &mut Kernel, answer: Answer) {
    let Answer::Permit(permit) = answer else { panic!("it may be done: {answer:?}") };
    let _ = kernel.settle(permit, Amounts::ZERO, NOW);
}

/// What the test knows of a question.
struct Known {
    run: RunId,
    facts: Facts,
    rule: usize,
    epoch: u8,
    expires: Millis,
    waiters: Vec<Waiter>,
    yes: BTreeSet<&'static str>,
    open: bool,
}

struct Scenario {
    random: Random,
    kernel: Kernel,
    now: Millis,
    latest: Millis,
    epoch: u8,
    calls: u32,
    known: BTreeMap<ApprovalId, Known>,
    /// Calls that wait, and the question that let them through, once one has.
    waiting: BTreeMap<Waiter, (ApprovalId, bool)>,
    used: Vec<Waiter>,
    permits: u64,
}

impl Scenario {
    fn new(seed: u64) -> Self {
        let mut kernel = attended();
        // From here on it knows what time it was.
        let _ = kernel.answer(ApprovalId(7), &person("local", false), &Vote::Yes, NOW);
        Self {
            random: Random(seed),
            kernel,
            now: NOW,
            latest: NOW,
            epoch: 0,
            calls: 0,
            known: BTreeMap::new(),
            waiting: BTreeMap::new(),
            used: Vec::new(),
            permits: 0,
        }
    }

    fn step(&mut self) {
        match self.random.below(16) {
            0..5 => self.ask(),
            5..10 => self.answer(),
            10..13 => self.dispatch(),
            13 => self.forgo(),
            14 => self.turn_the_clock(),
            _ => self.reload(),
        }
        for closed in self.kernel.closed() {
            let known = self.known.get_mut(&closed.id).expect("only what was asked is closed");
            assert!(core::mem::take(&mut known.open), "it is closed once: {closed:?}");
            assert_eq!(closed.how == How::Void, known.epoch != self.epoch, "{closed:?}");
        }
        assert_eq!(held(&self.kernel), self.waiting.len() as u64, "what waits is held, and nothing else");
    }

    fn ask(&mut self) {
        let run = [RUN, OTHER][self.random.below(2) as usize];
        let (rule, facts) = (self.random.below(3) as usize, facts(self.random.below(3) as u8));
        self.calls += 1;
        let Some(unasked) = unasked(&mut self.kernel, run, self.calls, &rules()[rule], self.now) else {
            assert!(self.kernel.paused().count() > 0, "it is granted, but for a pause");
            return;
        };
        self.latest = self.latest.max(self.now);
        let id = ApprovalId(self.random.next());
        let Ok(asked) = self.kernel.ask(unasked, (id, None), facts, self.now) else {
            assert!(self.kernel.paused().count() > 0, "only who asks too much may not ask");
            return;
        };
        let (latest, epoch) = (self.latest, self.epoch);
        let known = self.known.entry(asked.binding.id).or_insert_with(|| Known {
            run,
            facts,
            rule,
            epoch,
            expires: latest.plus(TTL_MS),
            waiters: Vec::new(),
            yes: BTreeSet::new(),
            open: true,
        });
        assert_eq!((known.run, known.facts, known.rule, known.epoch), (run, facts, rule, epoch), "an equal call joins");
        assert!(known.open && self.latest < known.expires, "it joins what can still be answered");
        known.waiters.push(asked.waiter);
        assert_eq!((asked.binding.expires, asked.times), (known.expires, known.waiters.len()));
        self.waiting.insert(asked.waiter, (asked.binding.id, false));
    }

    fn answer(&mut self) {
        let ids: Vec<_> = self.known.keys().copied().collect();
        let id = self.random.pick(ids.len()).map_or(ApprovalId(7), |at| ids[at]);
        let name = ["alice", "bob", "eve"][self.random.below(3) as usize];
        let who = person(name, self.random.below(3) > 0);
        let no = self.random.below(6) == 0;
        let vote = if no { Vote::No { because: "no".into() } } else { Vote::Yes };
        self.latest = self.latest.max(self.now);
        let answered = self.kernel.answer(id, &who, &vote, self.now);
        let latest = self.latest;
        let Some(known) = self.known.get_mut(&id).filter(|known| known.open) else {
            return assert_eq!(answered, Err(Unfit::Closed), "what is closed stays closed");
        };
        let rule = &rules()[known.rule];
        let expected = match () {
            () if latest >= known.expires => Err(Unfit::Expired),
            () if no => Ok(Answered::Denied),
            () if rule.factor == Factor::Totp && !who.proven => Err(Unfit::NeedsCode),
            () if !who.is_among(&rule.from) => Err(Unfit::NotAsked { name: name.into(), asked: rule.from.clone() }),
            () if !known.yes.insert(name) => Err(Unfit::Twice { name: name.into() }),
            () => match rule.quorum - known.yes.len() as u32 {
                0 => Ok(Answered::Approved),
                more => Ok(Answered::MoreWanted(more)),
            },
        };
        assert_eq!(answered, expected);
        if answered == Ok(Answered::Approved) {
            let first = known.waiters[0];
            self.waiting.get_mut(&first).expect("who waits has not gone").1 = true;
        }
    }

    fn dispatch(&mut self) {
        let mut all: Vec<_> = self.waiting.keys().copied().collect();
        all.extend(&self.used);
        let Some(waiter) = self.random.pick(all.len()).map(|at| all[at]) else { return };
        let found = self.waiting.remove(&waiter);
        self.latest = self.latest.max(self.now);
        let id = found.map(|(id, _)| id);
        let true_facts = id.and_then(|id| self.known.get(&id)).map_or(facts(0), |known| known.facts);
        let altered = self.random.below(8) == 0;
        let about = if altered { facts(9) } else { true_facts };
        let answer = self.kernel.dispatch(waiter, about, &mail(), self.now);
        let may = found.is_some_and(|(id, granted)| {
            let known = &self.known[&id];
            granted && !altered && known.epoch == self.epoch && self.latest < known.expires
        });
        match answer {
            Answer::Permit(permit) => {
                assert!(may, "a permit without a fitting answer");
                self.permits += 1;
                let _ = self.kernel.settle(permit, Amounts::ZERO, self.now);
            }
            Answer::Refused(no) => assert!(!may && no.code == Code::NotApproved, "an answer that fits counts: {no}"),
            other => panic!("it is one or the other: {other:?}"),
        }
        self.used.push(waiter);
        self.leave(waiter);
    }

    fn forgo(&mut self) {
        let all: Vec<_> = self.waiting.keys().copied().collect();
        let Some(waiter) = self.random.pick(all.len()).map(|at| all[at]) else { return };
        self.waiting.remove(&waiter);
        self.latest = self.latest.max(self.now);
        self.kernel.forgo(waiter, self.now);
        self.used.push(waiter);
        self.leave(waiter);
    }

    fn leave(&mut self, waiter: Waiter) {
        self.known.values_mut().for_each(|known| known.waiters.retain(|other| *other != waiter));
    }

    fn turn_the_clock(&mut self) {
        self.now = match self.random.below(3) {
            0 => Millis(self.now.0 - DAY_MS),
            1 => self.latest.plus(self.random.below(TTL_MS)),
            _ => self.latest.plus(QUESTIONS_SPAN_MS),
        };
    }

    fn reload(&mut self) {
        if self.random.below(3) == 0 {
            self.epoch ^= 1;
        }
        self.kernel.reload(epoch(self.epoch));
    }
}

#[test]
fn a_permit_comes_out_exactly_when_people_allowed_this_call_and_once() {
    let mut permits = 0;
    for seed in 0..1000 {
        let mut scenario = Scenario::new(seed);
        for _ in 0..STEPS {
            scenario.step();
        }
        for run in [RUN, OTHER] {
            let _ = scenario.kernel.finish(run, Amounts::ZERO, scenario.now);
        }
        assert_eq!(held(&scenario.kernel), 0, "seed {seed}: something is held for ever");
        assert!(scenario.kernel.approvals.waiting.is_empty() && scenario.kernel.approvals.questions.is_empty());
        permits += scenario.permits;
    }
    assert!(permits > 200, "only {permits} were ever allowed");
}

#[test]
fn one_yes_is_for_one_call_and_one_dispatch() {
    let (mut kernel, rule) = (attended(), &rules()[0]);
    let (first, second) = (question(&mut kernel, 1, rule, facts(1)), question(&mut kernel, 2, rule, facts(1)));
    assert_eq!((first.binding, first.times, second.times), (second.binding, 1, 2));
    assert_eq!(kernel.answer(first.binding.id, &person("local", false), &Vote::Yes, NOW), Ok(Answered::Approved));
    assert_eq!(kernel.approved_by(first.waiter), ["local"]);
    let answer = kernel.dispatch(first.waiter, facts(1), &mail(), NOW);
    spend(&mut kernel, answer);
    assert_eq!(code(kernel.dispatch(first.waiter, facts(1), &mail(), NOW)), Code::NotApproved);
    assert_eq!(code(kernel.dispatch(second.waiter, facts(1), &mail(), NOW)), Code::NotApproved);
    assert_eq!(held(&kernel), 0);
}

#[test]
fn a_call_that_was_altered_after_the_yes_is_not_made() {
    let mut kernel = attended();
    for (number, about) in [
        Facts { call: Digest([7; 32]), ..facts(1) },
        Facts { tool: Digest([7; 32]), ..facts(1) },
        Facts { component: Digest([7; 32]), ..facts(1) },
    ]
    .into_iter()
    .enumerate()
    {
        let asked = question(&mut kernel, number as u32 + 1, &rules()[0], facts(1));
        kernel.answer(asked.binding.id, &person("local", false), &Vote::Yes, NOW).expect("it fits");
        assert_eq!(code(kernel.dispatch(asked.waiter, about, &mail(), NOW)), Code::NotApproved);
        assert_eq!(held(&kernel), 0);
    }
}

#[test]
fn a_policy_that_changes_in_between_makes_questions_and_answers_void() {
    let mut kernel = attended();
    let open = question(&mut kernel, 1, &rules()[0], facts(1));
    let answered = question(&mut kernel, 2, &rules()[0], facts(2));
    kernel.answer(answered.binding.id, &person("local", false), &Vote::Yes, NOW).expect("it fits");
    kernel.closed().clear();
    kernel.reload(epoch(1));
    let closed = kernel.closed();
    assert_eq!((closed.len(), &closed[0].how, &closed[0].wake), (1, &How::Void, &vec![open.waiter]));
    assert_eq!(code(kernel.dispatch(open.waiter, facts(1), &mail(), NOW)), Code::NotApproved);
    assert_eq!(code(kernel.dispatch(answered.waiter, facts(2), &mail(), NOW)), Code::NotApproved);
    assert_eq!(held(&kernel), 0);
}

#[test]
fn what_policy_says_at_the_dispatch_is_stronger_than_a_yes() {
    let mut kernel = attended();
    let asked = question(&mut kernel, 1, &Required { ttl_ms: 30 * DAY_MS, ..rules()[0].clone() }, facts(1));
    kernel.answer(asked.binding.id, &person("local", false), &Vote::Yes, NOW).expect("it fits");
    // The grant has ended by then, the yes has not.
    let end = Millis(1_800_403_200_000);
    assert!(end < asked.binding.expires);
    assert_eq!(code(kernel.dispatch(asked.waiter, facts(1), &mail(), end)), Code::Expired);
    assert_eq!(held(&kernel), 0);
}

#[test]
fn a_clock_that_is_set_back_makes_no_answer_younger() {
    let mut kernel = attended();
    let asked = question(&mut kernel, 1, &rules()[0], facts(1));
    kernel.answer(asked.binding.id, &person("local", false), &Vote::Yes, NOW).expect("it fits");
    let late = question(&mut kernel, 2, &rules()[0], facts(2));
    let _ = kernel.answer(ApprovalId(99), &person("local", false), &Vote::Yes, NOW.plus(TTL_MS));
    assert_eq!(kernel.answer(late.binding.id, &person("local", false), &Vote::Yes, NOW), Err(Unfit::Expired));
    assert_eq!(code(kernel.dispatch(asked.waiter, facts(1), &mail(), NOW)), Code::NotApproved);
}

#[test]
fn who_asks_too_much_is_paused_until_somebody_answers() {
    let mut kernel = attended();
    let mut ids = Vec::new();
    for number in 0..QUESTIONS_OPEN_MAX {
        ids.push(question(&mut kernel, number as u32 + 1, &rules()[0], facts(number as u8)).binding.id);
    }
    let over = unasked(&mut kernel, RUN, 90, &rules()[0], NOW).expect("it is not paused yet");
    let no = kernel.ask(over, (ApprovalId(90), None), facts(90), NOW).expect_err("that is too much");
    assert_eq!((no.code, no.wanted.as_str(), no.agent.as_str()), (Code::NotApproved, "tools.call", "scribe"));
    assert_eq!(held(&kernel), QUESTIONS_OPEN_MAX as u64);
    assert_eq!(refused(&mut kernel, (RUN, 91), &mail(), NOW).code, Code::Busy);
    assert!(matches!(kernel.admit(RUN, CallId(92), &Call::TimersNow, NOW), Answer::Permit(_)), "that reaches nothing");
    assert_eq!(refused(&mut kernel, (RUN, 93), &mail(), Millis(NOW.0 - DAY_MS)).code, Code::Busy);
    let denied = kernel.answer(ids[0], &person("local", false), &Vote::No { because: "no".into() }, NOW);
    assert_eq!((denied, kernel.paused().count()), (Ok(Answered::Denied), 0));
    question(&mut kernel, 94, &rules()[0], facts(90));
}

#[test]
fn a_call_nobody_is_asked_about_gives_back_what_it_held() {
    let mut kernel = attended();
    let unasked = unasked(&mut kernel, RUN, 1, &rules()[1], NOW).expect("it is granted");
    assert_eq!((unasked.held()[Resource::ToolCalls], held(&kernel)), (1, 1));
    let no = kernel.decline(unasked, "it is too long", NOW);
    assert!(no.because.contains("2 of group:ops, and it is too long"), "{no}");
    assert_eq!((no.code, held(&kernel)), (Code::NotApproved, 0));
}

#[test]
fn approvers_who_are_not_asked_do_not_count() {
    assert!(person("eve", true).is_among(&Approvers::Anyone));
    assert!(!person("eve", true).is_among(&Approvers::Group("ops".into())));
    assert!(!person("eve", true).is_among(&Approvers::Person("alice".into())));
}

const SITE: &str = "format = 1\nlayer = \"site\"\n\
    [[require]]\nid = \"site/ask\"\ntool = \"mail.send\"\napproval = { from = \"anyone\", factor = \"confirm\" }\n\
    [[forbid]]\nid = \"site/leak\"\neffect = \"egress\"\nwhen = { labels_any = [\"secret\"] }\n";

fn guarded() -> Kernel {
    let site = Source { file: "policies/00-site.toml", text: SITE };
    let grant = Source { file: "policies/50-scribe.toml", text: GRANT };
    let policy = Policy::parse(&[site, grant], Digest::default()).expect("both are whole");
    let mut kernel = Kernel::new(Arc::new(policy), models(), tools());
    kernel.start(RUN, &start(), NOW).expect("the grant covers it");
    kernel
}

/// Reads something secret: its run holds the label from here on.
fn read_a_secret(kernel: &mut Kernel, call: u32) {
    let Answer::Permit(mut permit) = kernel.admit(RUN, CallId(call), &read("docs", "a"), NOW) else {
        panic!("it may read")
    };
    permit.bring(&crate::labels::Labels::of(["secret"]));
    let _ = kernel.settle(permit, Amounts::ZERO, NOW);
}

#[test]
fn where_nobody_can_be_asked_what_needs_a_person_is_refused_and_holds_nothing() {
    let mut kernel = guarded();
    assert_eq!(refused(&mut kernel, (RUN, 1), &mail(), NOW).code, Code::NotApproved);
    assert_eq!(held(&kernel), 0);
}

#[test]
fn a_forbid_is_not_asked_about_and_one_that_comes_later_is_stronger_than_a_yes() {
    let mut kernel = guarded();
    kernel.attend(RUN);
    let Answer::Ask(unasked) = kernel.admit(RUN, CallId(1), &mail(), NOW) else { panic!("people are asked") };
    assert_eq!(unasked.required().rule.id, "site/ask");
    let asked = kernel.ask(unasked, (ApprovalId(1), None), facts(1), NOW).expect("it asks little");
    kernel.answer(asked.binding.id, &person("local", false), &Vote::Yes, NOW).expect("it fits");
    read_a_secret(&mut kernel, 2);
    let Answer::Refused(no) = kernel.dispatch(asked.waiter, facts(1), &mail(), NOW) else { panic!("it is forbidden") };
    assert_eq!(no.rule.map(|rule| rule.id).as_deref(), Some("site/leak"));
    let no = refused(&mut kernel, (RUN, 3), &mail(), NOW);
    assert_eq!(no.rule.map(|rule| rule.id).as_deref(), Some("site/leak"));
    assert_eq!(held(&kernel), 0);
}

#[test]
fn what_a_call_that_waits_for_people_holds_is_given_back_once_if_its_run_leaves_memory_meanwhile() {
    let mut kernel = Kernel::new(epoch(0), models(), tools());
    let allowance = kernel.start(RUN, &start(), NOW).expect("the grant covers it");
    kernel.attend(RUN);
    kernel.start(OTHER, &start(), NOW).expect("the grant covers it");
    let what = mail();
    let [anyone, ..] = rules();
    let unasked = unasked(&mut kernel, RUN, 1, &anyone, NOW).expect("it is granted");
    let waits = *unasked.held();
    kernel.ask(unasked, (ApprovalId(1), None), facts(1), NOW).expect("it asks little");
    // Another run of the agent holds as much.
    let Answer::Permit(other) = kernel.admit(OTHER, CallId(1), &what, NOW) else { panic!("it is granted") };
    let before = kernel.books("scribe");
    kernel.suspend(RUN, NOW);
    assert_eq!(kernel.books("scribe"), before, "they go on holding for it");
    assert_eq!(kernel.closed().len(), 1, "and nobody is asked any more");
    let started = Started {
        at: NOW,
        agent: "scribe".into(),
        package: String::new(),
        component: Digest::default(),
        input: Digest::default(),
        seed: 1,
        policy: Digest::default(),
        engine: String::new(),
        held: allowance.held(),
    };
    let (call, id, rule) = (CallId(1), ApprovalId(1), anyone.rule.clone());
    let questioned = Entry::Questioned {
        call,
        at: NOW,
        what,
        id,
        rule,
        binding: Digest::default(),
        held: waits,
        expires: NOW.plus(TTL_MS),
    };
    let past = Unfinished::of(&[Entry::Started(started), questioned]).expect("it has not ended");
    kernel.resume(RUN, &start(), &past, None, NOW).expect("the grant covers it");
    assert_eq!(held(&kernel), waits[Resource::ToolCalls], "what the other one holds");
    let _ = kernel.settle(other, Amounts::ZERO, NOW);
    assert_eq!(held(&kernel), 0);
}
