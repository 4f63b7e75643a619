//! Runs whose guests were lost, and that are to go on in another place.

use agentry_kernel::call::Wait;
use agentry_store::rows::run::RunRecord;

use super::*;
use crate::run::activity::{Holder, Waiting};

/// One below `parent`, of which nobody knows but the gate.
fn below(host: &Host, parent: &RunContext, id: u64) -> Arc<RunContext> {
    let child = Arc::new(RunContext::new(RunId(id), "porter", NOW, Observer::nobody()));
    let above = Some((parent.id, CallId(1)));
    child.set_record(RunRecord { id: child.id, parent: above, ..parent.record().expect("it has begun").clone() });
    parent.adopt(&child);
    host.gate.0.audience.join(&child);
    child
}

async fn relocate(host: &Host, run: &Arc<RunContext>) {
    let within = Duration::from_secs(20);
    tokio::time::timeout(within, host.gate.relocate(run)).await.expect("it leaves, or is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_one_that_is_over_brings_its_tree_nowhere_the_next_one_does() {
    let home = tempfile::tempdir().unwrap();
    let host = host(home.path()).await;
    let top = host.run(1);
    let (first, second) = (below(&host, &top, 2), below(&host, &top, 3));
    let asks = Waiting::begin(&top, CallId(1), Wait::Model, NOW);
    let both = async { tokio::join!(relocate(&host, &first), relocate(&host, &second)) };
    let happens = async {
        while !top.moves() {
            tokio::task::yield_now().await;
        }
        // What is being done for the one above goes on, and whoever began has no time for it.
        first.cancelled.cancel();
        tokio::time::sleep(Duration::from_millis(20)).await;
        drop(asks);
    };
    tokio::join!(both, happens);
    assert!(top.moves() && top.leaves.is_cancelled(), "it goes on in another place");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_looks_whether_a_run_can_rest_holds_it_nowhere_else() {
    let home = tempfile::tempdir().unwrap();
    let host = host(home.path()).await;
    let run = host.run(1);
    run.activity.hold(Holder::Parking, true);
    relocate(&host, &run).await;
    assert!(run.moves() && !run.activity.is_held_by_person());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_a_person_holds_is_held_where_it_goes_on_and_does_not_rest() {
    let home = tempfile::tempdir().unwrap();
    let host = host(home.path()).await;
    let run = host.run(1);
    assert_eq!((host.gate.hold(run.id, true), host.gate.rest(run.id)), (Some(true), false));
    relocate(&host, &run).await;
    assert!(run.moves() && run.activity.is_held_by_person());
}
