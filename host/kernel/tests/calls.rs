//! That every call there is has been looked at: none is missing, none is as harmless as nobody said it was, and each names its contents.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use agentry_kernel::call::{Durability, Effect, Repeat, Wait};
use agentry_kernel::{Call, Digest, Resource};

/// Variants by their place in the encoding of a journal, which is what they are known by for ever.
fn kinds() -> BTreeMap<u8, Call> {
    let place = |call: &Call| postcard::to_allocvec(call).unwrap()[0];
    Call::every().into_iter().map(|call| (place(&call), call)).collect()
}

/// Every function that `wit/` gives to a guest, by interface and name.
fn table() -> BTreeSet<String> {
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    let mut functions = BTreeSet::new();
    for file in std::fs::read_dir(wit).unwrap() {
        let path = file.unwrap().path();
        let interface = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let mut resource = String::new();
        for line in std::fs::read_to_string(&path).unwrap().lines().map(str::trim) {
            if let Some(name) = line.strip_prefix("resource ") {
                resource = name.trim_end_matches([' ', '{']).to_owned();
            }
            if line.starts_with("constructor(") {
                functions.insert(format!("{interface}.{resource}"));
            }
            if let Some((name, _)) = line.split_once(": func(") {
                functions.insert(format!("{interface}.{}", name.trim_start_matches('%')));
            }
        }
    }
    functions
}

#[test]
fn every_kind_of_call_that_a_journal_can_have_is_walked() {
    let kinds = kinds();
    let count = u8::try_from(kinds.len()).unwrap();
    assert_eq!(kinds.keys().copied().collect::<Vec<_>>(), (0..count).collect::<Vec<_>>());
    // No kind stands behind the last one: what ends too soon is another error than what is no kind.
    let mut next = vec![count];
    next.extend([0; 1024]);
    assert!(postcard::from_bytes::<Call>(&next).is_err(), "kind {count} is missing in Call::every()");
}

#[test]
fn every_function_of_the_table_is_a_call_and_every_call_is_a_function_of_the_table() {
    let names: BTreeSet<String> = Call::every().iter().map(|call| call.name().to_owned()).collect();
    assert_eq!(names, table());
}

#[test]
fn every_content_that_a_call_names_is_told() {
    for call in Call::every() {
        // Every digest in it is 32 equal bytes, other than zero.
        let bytes = postcard::to_allocvec(&call).unwrap();
        let inside: BTreeSet<Digest> = bytes
            .windows(32)
            .filter(|window| window[0] != 0 && window.iter().all(|byte| *byte == window[0]))
            .map(|window| Digest(window.try_into().unwrap()))
            .collect();
        let told: BTreeSet<Digest> = call.spec().contents.collect();
        assert_eq!(told, inside, "{}", call.name());
    }
}

#[test]
fn what_nobody_may_do_twice_or_for_nothing_is_recorded_before_it_happens() {
    for call in Call::every() {
        let (name, spec) = (call.name(), call.spec());
        let ahead = spec.durability == Durability::WriteAhead;
        assert_eq!(spec.effect == Effect::External, ahead, "{name}");
        assert!(ahead || (spec.repeat == Repeat::Safe && !spec.billed && !spec.reaches_out), "{name}");
        assert!(spec.counted.is_none() || spec.billed, "{name} counts and costs nothing");
        // Another host finds a call that rests only by its entry.
        assert!(!spec.wait.rests() || ahead || spec.durability == Durability::Intent, "{name}");
        assert!(spec.timeout_ms.is_none() || spec.wait.rests(), "{name}");
        assert!(spec.durability != Durability::Atomic || spec.blocks, "{name} commits while its guest goes on");
    }
}

#[test]
fn what_asks_a_model_is_no_inner_call_whatever_its_interface() {
    for name in ["llm.complete", "llm.stream", "llm.embed", "context.complete", "context.stream"] {
        let call = Call::every().into_iter().find(|call| call.name() == name).unwrap();
        let spec = call.spec();
        assert_eq!((spec.effect, spec.durability), (Effect::External, Durability::WriteAhead), "{name}");
        assert!(spec.billed && !spec.blocks, "{name}");
        assert_eq!((spec.counted, spec.wait), (Some(Resource::LlmCalls), Wait::Model), "{name}");
    }
}

#[test]
fn only_what_touches_nothing_is_let_through_by_a_lock() {
    let inner: BTreeSet<String> = Call::every()
        .iter()
        .filter(|call| call.spec().effect == Effect::Inner)
        .map(|call| call.name().to_owned())
        .collect();
    let known = [
        "budget.remaining",
        "budget.split",
        "llm.count-tokens",
        "llm.models",
        "log.event",
        "timers.deadline",
        "timers.now",
        "timers.sleep",
        "tools.list",
    ];
    assert_eq!(inner, known.map(str::to_owned).into());
}

#[test]
fn a_call_is_what_it_repeats_and_nothing_else_is() {
    let every = Call::every();
    for (place, asked) in every.iter().enumerate() {
        for (other, recorded) in every.iter().enumerate() {
            assert_eq!(asked.repeats(recorded), place == other, "{} beside {}", asked.name(), recorded.name());
        }
        let read: Call = postcard::from_bytes(&postcard::to_allocvec(asked).unwrap()).unwrap();
        assert!(asked.repeats(&read), "{} is not what its journal has", asked.name());
    }
}
