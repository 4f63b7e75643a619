//! What fuzzers kept, tried again: each input once met a branch of its own, or broke a property.

use std::path::Path;

use agentry_fuzz::{ALL, feed};

#[test]
fn every_kept_input_keeps_its_properties() {
    for (name, holds) in ALL {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        let mut count = 0;
        for entry in std::fs::read_dir(&directory).expect("each target has a corpus") {
            let file = entry.expect("the directory can be read").path();
            let bytes = std::fs::read(&file).expect("the input can be read");
            // Shown only if the test fails, and then it is the last.
            println!("{}", file.display());
            feed(&bytes, holds);
            count += 1;
        }
        assert!(count >= 10, "the corpus of {name} has {count} inputs");
    }
}
