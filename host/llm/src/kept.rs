//! What fuzzers kept of answers, tried again, and the answers of servers in use that they began with.

#[allow(unreachable_pub, reason = "it is a part of the fuzzers' crate")]
#[path = "../../fuzz/src/answers.rs"]
mod answers;
#[allow(unreachable_pub, reason = "it is a part of the fuzzers' crate")]
#[path = "../../fuzz/src/events.rs"]
mod events;

use std::path::Path;

/// A property of bytes.
type Holds = fn(&[u8]);

#[test]
fn every_kept_answer_keeps_its_properties() {
    let all: [(&str, Holds); 9] = [
        ("events", events::holds),
        ("chat", answers::chat),
        ("messages", answers::messages),
        ("responses", answers::responses),
        ("gemini", answers::gemini),
        ("ollama", answers::ollama),
        ("converse", answers::converse),
        ("amazon", answers::amazon),
        ("vectors", answers::vectors),
    ];
    for (name, holds) in all {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
        let files = std::fs::read_dir(&directory).expect("each target has a corpus");
        let mut count = 0;
        for file in files {
            let file = file.expect("the directory can be read").path();
            // Shown only if the test fails, and then it is the last.
            println!("{}", file.display());
            holds(&std::fs::read(&file).expect("the input can be read"));
            count += 1;
        }
        assert!(count >= 10, "the corpus of {name} has {count} inputs");
    }
}
