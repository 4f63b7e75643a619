//! The tree of budgets: minutes, the site, tokens read and written, storage, and children.

use super::*;
use crate::budget::{Limits, Window};
use crate::call::Call;
use crate::limits::{WRITTEN_DAY_DEFAULT_BYTES, WRITTEN_RUN_DEFAULT_BYTES};

/// A grant with this budget only.
fn granting(budget: &str) -> String {
    let head = GRANT.split("[budget]").next().expect("the grant has a head");
    alloc::format!("{head}\n[budget]\n{budget}")
}

/// A policy with this budget of the site above it.
fn under(site: &str, budget: &str) -> Arc<Policy> {
    let mut whole = Policy::clone(&policy(&granting(budget)));
    let mut above = policy(&granting(site)).grants[0].budget.clone();
    above.rule = crate::refusal::Rule { id: "site/budget".into(), file: "policies/00-site.toml".into(), line: 3 };
    whole.budget = above;
    Arc::new(whole)
}

fn started(policy: Arc<Policy>) -> Kernel {
    let mut kernel = Kernel::new(policy, models(), tools());
    kernel.start(RUN, &start(), NOW).expect("the grant covers it");
    kernel
}

fn put(key: &str, grows: u64) -> Call {
    let (namespace, key) = ("agent/scribe/x".into(), key.into());
    Call::MemoryPut { namespace, key, content: Digest::default(), bytes: grows, grows }
}

fn first_no(kernel: &mut Kernel, run: RunId, call: &Call, now: Millis) -> Refusal {
    refused(kernel, (run, 9), call, now)
}

fn ask_and_settle(kernel: &mut Kernel, now: Millis) {
    let Answer::Permit(permit) = kernel.admit(RUN, CallId(8), &Call::LlmComplete(ask("small", 10, 10)), now) else {
        panic!("it fits")
    };
    let _ = kernel.settle(permit, Amounts::of(Resource::Tokens, 20), now);
}

#[test]
fn a_minute_is_a_budget_of_its_own_and_refills_by_itself() {
    let mut kernel = started(policy(&granting("llm_calls_minute = 2\nllm_calls_day = 5\n")));
    ask_and_settle(&mut kernel, NOW);
    ask_and_settle(&mut kernel, NOW.plus(59_999));
    let call = Call::LlmComplete(ask("small", 10, 10));
    let no = first_no(&mut kernel, RUN, &call, NOW.plus(59_999));
    expect![[r#"
        exhausted  scribe → llm.complete: the budget of model calls for this minute does not hold the most that this can take
          rule  scribe/budget   policies/50-scribe.toml:14
          arg   llm_calls_minute = 1 model call, allowed up to 0 model calls (limit 2 model calls)
          hint  raise `llm_calls_minute` of the budget in policies/50-scribe.toml, or wait: it refills in 1 s
          ref   0000000000001/9"#]]
    .assert_eq(&no.to_string());
    assert_eq!(no.code, Code::Exhausted { what: Resource::LlmCalls, refills_in_s: Some(1) });
    let back = first_no(&mut kernel, RUN, &call, Millis(NOW.0 - 60_000));
    assert_eq!(back.code, Code::Exhausted { what: Resource::LlmCalls, refills_in_s: Some(120) }, "a clock set back");
    ask_and_settle(&mut kernel, NOW.plus(60_000));
    ask_and_settle(&mut kernel, NOW.plus(120_000));
    ask_and_settle(&mut kernel, NOW.plus(180_000));
    let day = first_no(&mut kernel, RUN, &call, NOW.plus(240_000));
    assert!(day.because.contains("for today"), "{day}");
}

#[test]
fn what_was_spent_in_a_time_that_has_not_come_counts_for_now_and_refills_when_now_is_over() {
    let mut kernel = started(policy(&granting("llm_calls_minute = 2\nllm_calls_day = 3\n")));
    let (call, ahead) = (Call::LlmComplete(ask("small", 10, 10)), NOW.plus(30 * 86_400_000));
    ask_and_settle(&mut kernel, ahead);
    ask_and_settle(&mut kernel, ahead);
    // Without a word of a person, it would refill in a month.
    let stuck = first_no(&mut kernel, RUN, &call, NOW);
    assert!(matches!(stuck.code, Code::Exhausted { refills_in_s: Some(s), .. } if s > 2_000_000), "{stuck}");
    assert_eq!(kernel.set_back(NOW), ["scribe"]);
    assert_eq!(kernel.set_back(NOW), Vec::<alloc::string::String>::new(), "once");
    let no = first_no(&mut kernel, RUN, &call, NOW);
    assert_eq!(no.code, Code::Exhausted { what: Resource::LlmCalls, refills_in_s: Some(60) }, "nothing is given back");
    ask_and_settle(&mut kernel, NOW.plus(60_000));
    let day = first_no(&mut kernel, RUN, &call, NOW.plus(120_000));
    assert!(day.because.contains("for today"), "{day}");
    let tomorrow = NOW.plus(86_400_000);
    ask_and_settle(&mut kernel, tomorrow);
}

#[test]
fn the_site_bounds_all_agents_together_and_each_run() {
    let mut kernel =
        started(under("tokens_day = 100\ntokens_run = 5000\n", "tokens_day = 10_000\ntokens_run = 9000\n"));
    let no = first_no(&mut kernel, RUN, &Call::LlmComplete(ask("small", 100, 1)), NOW);
    expect![[r#"
        exhausted  scribe → llm.complete: the site's budget of tokens for today does not hold the most that this can take
          rule  site/budget   policies/00-site.toml:14
          arg   tokens_day = 101 tokens, allowed up to 100 tokens (limit 100 tokens)
          hint  raise `tokens_day` of the budget in policies/00-site.toml
          ref   0000000000001/9"#]]
    .assert_eq(&no.to_string());
    assert!(kernel.site_books().day.held[Resource::Tokens] == 0, "a refusal holds nothing on any account");
    let run = first_no(&mut kernel, RUN, &Call::LlmComplete(ask("small", 5000, 1)), NOW);
    assert!(run.because.contains("for this run") && run.rule.is_some_and(|rule| rule.id == "site/budget"));
    let limits = kernel.statements(NOW);
    assert_eq!((limits[0].agent.as_deref(), limits[1].agent.as_deref()), (None, Some("scribe")));
    assert!(
        limits[0]
            .lines
            .iter()
            .any(|line| (line.what, line.window, line.limit) == (Resource::Tokens, Window::Day, Some(100)))
    );
}

#[test]
fn tokens_read_and_written_have_limits_of_their_own() {
    let mut kernel = started(policy(&granting("tokens_in_run = 100\ntokens_out_day = 50\n")));
    let read = first_no(&mut kernel, RUN, &Call::LlmComplete(ask("small", 101, 1)), NOW);
    assert!(read.because.contains("tokens read"), "{read}");
    let written = first_no(&mut kernel, RUN, &Call::LlmComplete(ask("small", 1, 51)), NOW);
    assert!(written.because.contains("tokens written"), "{written}");
    let permit = permit(&mut kernel, &Call::LlmComplete(ask("small", 100, 50)));
    let _ = kernel.settle(permit, Amounts::of(Resource::TokensIn, 60).with(Resource::TokensOut, 50), NOW);
    let _ = first_no(&mut kernel, RUN, &Call::LlmComplete(ask("small", 1, 1)), NOW);
}

#[test]
fn what_is_written_is_a_sum_that_counts_whatever_came_of_the_call() {
    const KIB: u64 = 1024;
    let mut kernel = started(policy(&granting("written_run = \"4KiB\"\nwritten_day = \"5KiB\"\n")));
    let written = |kernel: &Kernel| kernel.account("scribe").unwrap().spent[Resource::Written];
    let failed = permit(&mut kernel, &put("a", KIB));
    let _ = kernel.settle(failed, Amounts::ZERO, NOW);
    let dropped = permit(&mut kernel, &put("a", KIB));
    let _ = kernel.forfeit(dropped, KIB, NOW);
    let unsent = permit(&mut kernel, &put("a", KIB));
    let _ = kernel.give_back(unsent, NOW);
    assert_eq!(written(&kernel), 2 * KIB, "and what was never written down does not");
    kernel.free("scribe", &Amounts::of(Resource::Storage, 2 * KIB));
    assert_eq!(written(&kernel), 2 * KIB, "nothing that is deleted comes back");
    // How long an answer is, is known when it has come: as much of it is taken as there is, and the next one is refused.
    let told = permit(&mut kernel, &read("docs", "a"));
    let settled = kernel.settle(told, Amounts::of(Resource::Written, 3 * KIB), NOW);
    assert_eq!((settled.spent[Resource::Written], settled.overrun[Resource::Written]), (2 * KIB, KIB));
    let no = first_no(&mut kernel, RUN, &read("docs", "a"), NOW);
    expect![[r#"
        exhausted  scribe → files.read: the budget of bytes written for this run does not hold the most that this can take
          rule  scribe/budget   policies/50-scribe.toml:14
          arg   written_run = 1 byte, allowed up to 0 bytes (limit 4 KiB)
          hint  raise `written_run` of the budget in policies/50-scribe.toml
          ref   0000000000001/9"#]]
    .assert_eq(&no.to_string());
    let clock = permit(&mut kernel, &Call::TimersNow);
    let _ = kernel.settle(clock, Amounts::ZERO, NOW);
    assert_eq!(
        first_no(&mut kernel, RUN, &put("b", 1), NOW.plus(DAY_MS)).code,
        no.code,
        "a run is one run, however long"
    );
}

#[test]
fn a_grant_that_says_nothing_of_what_is_written_has_a_limit() {
    let mut kernel = started(policy(&granting("")));
    let lines = kernel.statements(NOW).swap_remove(1).lines;
    let written = lines.iter().find(|line| line.what == Resource::Written).unwrap();
    assert_eq!((written.window, written.limit), (Window::Day, Some(WRITTEN_DAY_DEFAULT_BYTES)));
    let most = permit(&mut kernel, &put("a", WRITTEN_RUN_DEFAULT_BYTES));
    let _ = kernel.give_back(most, NOW);
    let no = first_no(&mut kernel, RUN, &put("a", WRITTEN_RUN_DEFAULT_BYTES + 1), NOW);
    assert!(no.hint.contains("written_run") && no.because.contains("bytes written"), "{no}");
}

#[test]
fn storage_is_a_level_that_no_day_refills_and_a_deletion_lowers() {
    const KIB: u64 = 1024;
    let mut kernel = started(under("storage_mb = 2\n", "storage_mb = 1\n"));
    let first = permit(&mut kernel, &put("a", 900 * KIB));
    let _ = kernel.settle(first, Amounts::of(Resource::Storage, 800 * KIB), NOW);
    let no = first_no(&mut kernel, RUN, &put("b", 225 * KIB), NOW.plus(DAY_MS));
    expect![[r#"
        exhausted  scribe → memory.put: the budget of storage for all that it keeps does not hold the most that this can take
          rule  scribe/budget   policies/50-scribe.toml:14
          arg   storage_mb = 225 KiB, allowed up to 224 KiB (limit 1 MiB)
          hint  raise `storage_mb` of the budget in policies/50-scribe.toml, or let it delete what it does not need
          ref   0000000000001/9"#]]
    .assert_eq(&no.to_string());
    assert_eq!(no.code, Code::Exhausted { what: Resource::Storage, refills_in_s: None });
    let place = crate::call::Place { root: "docs".into(), path: "out/x".into() };
    let file = Call::FilesWrite { place, content: Digest::default(), bytes: 225 * KIB, grows: 225 * KIB };
    let no = first_no(&mut kernel, RUN, &file, NOW);
    assert_eq!(no.code, Code::Exhausted { what: Resource::Storage, refills_in_s: None }, "a file is kept, too");
    kernel.free("scribe", &Amounts::of(Resource::Storage, 100 * KIB));
    assert_eq!(kernel.site_books().day.spent[Resource::Storage], 700 * KIB);
    let lost = permit(&mut kernel, &put("b", 300 * KIB));
    let books = kernel.books("scribe").expect("it runs");
    drop(lost);
    let mut after = Kernel::new(policy(&granting("storage_mb = 1\n")), models(), tools());
    after.restore("scribe", books, &Amounts::ZERO);
    let level = after.account("scribe").expect("it was restored").spent[Resource::Storage];
    assert_eq!(level, 700 * KIB, "what was not written down is not kept");
}

#[test]
fn every_call_that_leaves_something_for_others_to_read_holds_storage_for_it() {
    let keeps = Call::every().into_iter().filter(|call| call.spec().keeps > 0);
    let mut names: Vec<String> = keeps.map(|call| call.name().into()).collect();
    // One of them was written in another way before.
    names.dedup();
    let all = ["memory.put", "files.write", "human.ask", "human.notify", "agents.send", "agents.reply"];
    assert_eq!(names.len(), all.len(), "{names:?}");
    assert!(all.iter().all(|name| names.iter().any(|other| other == name)), "{names:?}");
}

#[test]
fn what_went_back_to_where_it_lay_is_kept_again_whatever_the_limits_say() {
    let mut kernel = started(under("storage_mb = 1\n", "storage_mb = 1\n"));
    let permit = permit(&mut kernel, &put("a", 1024 * 1024));
    let _ = kernel.settle(permit, Amounts::of(Resource::Storage, 1024 * 1024), NOW);
    let letter = Amounts::of(Resource::Storage, 300);
    kernel.keep("scribe", &letter);
    kernel.keep("nobody", &letter);
    let levels = |kernel: &Kernel| {
        let of = |books: crate::budget::Books| books.day.spent[Resource::Storage];
        (of(kernel.books("scribe").expect("it runs")), of(kernel.site_books()))
    };
    assert_eq!(levels(&kernel), (1024 * 1024 + 300, 1024 * 1024 + 300));
    kernel.free("scribe", &letter);
    assert_eq!(levels(&kernel), (1024 * 1024, 1024 * 1024));
}

#[test]
fn a_child_never_has_what_its_parent_has_not() {
    let mut kernel =
        started(policy(&granting("tokens_run = 1000\ntokens_day = 1500\nfuel_run = 100\nwall_run = \"60s\"\n")));
    let share = |tokens: u64, fuel: u64| Limits::NONE.with(Resource::Tokens, tokens).with(Resource::Fuel, fuel);
    for (share, fuel_left) in [(share(1001, 10), 100), (share(10, 101), 100), (share(10, 50), 49)] {
        let no = kernel.split(RUN, share, fuel_left, NOW).expect_err("the run has less");
        assert!(matches!(no.code, Code::Exhausted { .. }), "{no}");
    }
    let first = kernel.split(RUN, share(600, 40), 100, NOW).expect("it fits");
    kernel.split(RUN, share(401, 10), 100, NOW).expect_err("600 of 1000 are set aside");
    let _ = first_no(&mut kernel, RUN, &Call::LlmComplete(ask("small", 401, 0)), NOW);
    let child = kernel.start_child(RunId(2), &start(), first, NOW.plus(20_000)).expect("it fits");
    assert_eq!((child.fuel, child.wall_ms), (40, 40_000), "it ends with its parent");
    let _ = first_no(&mut kernel, RunId(2), &Call::LlmComplete(ask("small", 601, 0)), NOW);
    let Answer::Permit(permit) = kernel.admit(RunId(2), CallId(1), &Call::LlmComplete(ask("small", 600, 0)), NOW)
    else {
        panic!("it was set aside")
    };
    let _ = kernel.settle(permit, Amounts::of(Resource::Tokens, 250), NOW);
    let _ = kernel.finish(RunId(2), Amounts::of(Resource::Fuel, 7), NOW);
    let Answer::Permit(rest) = kernel.admit(RUN, CallId(3), &Call::LlmComplete(ask("small", 750, 0)), NOW) else {
        panic!("what the child did not spend came back")
    };
    let _ = kernel.give_back(rest, NOW);
    let _ = kernel.finish(RUN, Amounts::of(Resource::Fuel, 60), NOW);
    let account = kernel.account("scribe").expect("it ran");
    assert_eq!((account.spent[Resource::Tokens], account.spent[Resource::Fuel]), (250, 67));
    assert!(account.held.is_zero());
}

#[test]
fn children_nest_only_so_deep_and_a_share_of_a_run_that_is_over_is_worth_nothing() {
    let mut kernel = started(policy(&granting("fuel_run = 1000\n")));
    let mut run = RUN;
    for depth in 1.. {
        let share = Limits::NONE.with(Resource::Fuel, 1000 - depth);
        match kernel.split(run, share, u64::MAX, NOW) {
            Ok(share) => {
                run = RunId(100 + depth);
                kernel.start_child(run, &start(), share, NOW).expect("it has its fuel");
            }
            Err(no) => {
                assert_eq!((no.code, depth), (Code::Busy, 1 + crate::limits::CHILD_DEPTH_MAX as u64));
                break;
            }
        }
    }
    let share = kernel.split(RUN, Limits::NONE.with(Resource::Fuel, 1), u64::MAX, NOW).expect("one is left");
    let _ = kernel.finish(RUN, Amounts::ZERO, NOW);
    let no = kernel.start_child(RunId(7), &start(), share, NOW).expect_err("its parent is over");
    assert_eq!(no.code, Code::Ended);
}

#[test]
fn what_the_next_host_restores_is_what_the_last_one_stored() {
    let grant = granting("tokens_day = 1000\ntokens_minute = 500\n");
    let mut kernel = started(policy(&grant));
    let call = Call::LlmComplete(ask("small", 100, 100));
    let _lost = permit(&mut kernel, &call);
    let (books, site) = (kernel.books("scribe").expect("it runs"), kernel.site_books());
    let mut next = Kernel::new(policy(&grant), models(), tools());
    next.restore_site(site, &Amounts::ZERO);
    next.restore("scribe", books, &Amounts::ZERO);
    for books in [next.site_books(), next.books("scribe").expect("it was restored")] {
        assert_eq!((books.minute.spent[Resource::Tokens], books.day.spent[Resource::Tokens]), (200, 200));
        assert!(books.minute.held.is_zero() && books.day.held.is_zero());
    }
    next.start(RUN, &start(), NOW).expect("it may run again");
    next.restore("scribe", books, &Amounts::ZERO);
    assert_eq!(
        next.books("scribe").expect("it runs").day.held,
        next.site_books().day.held,
        "books in use are left alone"
    );
}

#[test]
fn a_call_is_made_again_as_often_as_granted_and_each_time_counts() {
    let again = |retries: &str| {
        granting("llm_calls_run = 9\n").replace("max_tokens = 500", &alloc::format!("max_tokens = 500, {retries}"))
    };
    let mut kernel = started(policy(&again("retries = 2")));
    let call = Call::LlmComplete(ask("small", 10, 10));
    for (asked, counted) in [(0, 1), (2, 2), (9, 3)] {
        let permit = permit(&mut kernel, &call);
        assert_eq!((permit.retries(), permit.held()[Resource::LlmCalls]), (2, 3));
        let cost = Amounts::of(Resource::Tokens, 20).with(Resource::LlmCalls, asked);
        assert_eq!(kernel.settle(permit, cost, NOW).spent[Resource::LlmCalls], counted);
    }
}

#[test]
fn a_call_is_not_made_again_more_often_than_makes_sense_nor_if_nobody_says_so() {
    let mut kernel = started(policy(&granting("llm_calls_run = 5\n")));
    let permit = permit(&mut kernel, &Call::LlmComplete(ask("small", 10, 10)));
    assert_eq!((permit.retries(), permit.held()[Resource::LlmCalls]), (0, 1));
    let text = GRANT.replace("max_tokens = 500", "max_tokens = 500, retries = 6");
    let source = Source { file: "p.toml", text: &text };
    let mistakes = Policy::parse(&[source], Digest::default()).expect_err("it is over the limit");
    assert_eq!(mistakes[0].message, "`retries` is over 5");
}
