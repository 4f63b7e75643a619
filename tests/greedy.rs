//! Guests that take more than they are given: of time, fuel, memory, handles or lines. Each is ended within its limits.

use crate::guests::{Run, SOON, run, run_short};

pub mod spin {
    use super::*;

    #[test]
    fn a_loop_is_ended_by_its_fuel() {
        run("spin").ends(4, "exhausted", "fuel");
    }
}

pub mod recurse {
    use super::*;

    #[test]
    fn endless_recursion_ends_the_guest_and_not_the_host() {
        // The stack of a Rust guest lies in its own memory and runs out of that, before the engine's does.
        run("recurse").ends(1, "failed", "the agent");
    }
}

pub mod grow {
    use super::*;

    #[test]
    fn memory_ends_at_its_limit() {
        run("grow").ends(4, "exhausted", "memory");
    }
}

pub mod gigabyte {
    use super::*;

    #[test]
    fn a_gigabyte_is_never_made() {
        run("gigabyte").ends(4, "exhausted", "memory");
    }
}

pub mod huge_output {
    use super::*;

    #[test]
    fn an_output_that_is_too_long_is_refused() {
        let run = run("huge_output");
        assert!(matches!(run.ended.code, 1 | 4), "{}", run.ended.stderr);
        assert!(run.ended.stdout.len() < 100_000, "it was printed");
    }
}

pub mod invalid_output {
    use super::*;

    #[test]
    fn an_output_that_is_no_json_is_a_failure() {
        run("invalid_output").ends(1, "failed", "not JSON");
    }
}

pub mod panic {
    use super::*;

    #[test]
    fn a_panic_is_reported_with_its_words() {
        let run = run("panic").ends(1, "failed", "the guest gave up on purpose");
        assert!(run.ended.stderr.contains("the guest gave up on purpose"), "{}", run.ended.stderr);
    }
}

pub mod fail {
    use super::*;

    #[test]
    fn a_failure_of_its_own_is_told_in_its_words() {
        run("fail").ends(1, "failed", "the guest does not want to");
    }
}

pub mod sleep_year {
    use super::*;

    #[test]
    fn a_wait_ends_with_the_wall_time() {
        run_short("sleep_year").ends(4, "exhausted", "wall time");
    }
}

pub mod sleep_std {
    use super::*;

    #[test]
    fn a_sleep_of_std_holds_no_thread_longer_than_the_wall_time() {
        run_short("sleep_std").ends(4, "exhausted", "");
    }
}

pub mod busy_poll {
    use super::*;

    #[test]
    fn polling_without_waiting_is_ended_too() {
        run_short("busy_poll").ends(4, "exhausted", "");
    }
}

pub mod heavy_calls {
    use super::*;

    #[test]
    fn calls_do_not_stretch_the_wall_time() {
        let run = run_short("heavy_calls").ends(4, "exhausted", "wall time");
        let took = run.ended.took;
        assert!(took < SOON / 3, "a wall time of 4 s took {took:?}");
    }
}

pub mod flood_futures {
    use super::*;

    #[test]
    fn handles_end_at_a_maximum() {
        let run = run("flood_futures");
        assert!(matches!(run.ended.code, 1 | 4), "{}", run.ended.stderr);
    }
}

pub mod flood_log {
    use super::*;

    #[test]
    fn a_flood_of_lines_is_cut_and_counted_and_the_run_goes_on() {
        let run = run("flood_log");
        let run = Run { ended: run.ended.with(0), stage: run.stage };
        assert!(run.ended.stderr.len() < 4 * 1024 * 1024, "{} bytes of log", run.ended.stderr.len());
    }
}

pub mod flood_llm {
    use super::*;

    #[test]
    fn calls_past_the_limit_are_refused_however_often_it_asks() {
        let given = run("flood_llm").gives();
        assert_eq!(given[0].as_u64().zip(given[1].as_u64()).map(|(a, b)| a + b), Some(10_000));
        assert!(given[0].as_u64().is_some_and(|answered| (1..=20).contains(&answered)), "{given}");
    }
}
