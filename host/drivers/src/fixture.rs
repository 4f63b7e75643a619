//! For tests only: real permits, of a kernel with one grant.

use std::sync::Arc;

use agentry_kernel::call::RunId;
use agentry_kernel::digest::Digest;
use agentry_kernel::kernel::{Kernel, Permit, Start};
use agentry_kernel::manifest::Manifest;
use agentry_kernel::policy::{Policy, Source};
use agentry_kernel::{Amounts, Answer, Call, CallId, Labels, Millis};

pub(crate) const NOW: Millis = Millis(1_800_000_000_000);

const MANIFEST: &str = r#"{ "format": 1, "name": "acme:scribe", "version": "1.0.0", "wit": "0.1.0", "wants": {} }"#;

const GRANT: &str = "format = 1\nlayer = \"grant\"\nagent = \"scribe\"\n";

/// Lends a real permit for something that costs nothing.
pub(crate) fn with_permit<R>(read: impl FnOnce(&Permit) -> R) -> R {
    with_permit_that_carries(&Labels::NONE, read)
}

/// The same, of a run that holds these labels.
pub(crate) fn with_permit_that_carries<R>(labels: &Labels, read: impl FnOnce(&Permit) -> R) -> R {
    let source = Source { file: "policies/50-scribe.toml", text: GRANT };
    let policy = Policy::parse(&[source], Digest::default()).expect("the grant is well formed");
    let mut kernel = Kernel::new(Arc::new(policy), Vec::new(), Vec::new());
    let manifest: Manifest = serde_json::from_str(MANIFEST).expect("the manifest is well formed");
    let start = Start { agent: "scribe".to_owned(), manifest: Arc::new(manifest), signer: None };
    let run = RunId(1);
    kernel.start(run, &start, NOW).0.expect("the run is granted");
    let next = |kernel: &mut Kernel, call| match kernel.admit(run, CallId(call), &Call::TimersNow, NOW).0 {
        Answer::Permit(permit) => permit,
        other => panic!("the time is everyone's: {other:?}"),
    };
    let mut before = next(&mut kernel, 1);
    before.bring(labels);
    let _ = kernel.settle(before, Amounts::ZERO, NOW);
    let permit = next(&mut kernel, 2);
    let result = read(&permit);
    let _ = kernel.settle(permit, Amounts::ZERO, NOW);
    result
}
