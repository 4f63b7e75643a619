//! What a worker answers by itself for one run: the clock, the end of the wall time, lines of the log. It answers for as long as it was given to, by
//! the time that it was told, and keeps what it answered until that is reported; it never answers what could be refused in a way that a guest sees.

use std::time::{Duration, Instant};

use agentry_abi::port::{Quick, QuickCall, Reply, Request};
use agentry_abi::wire::Batch;
use agentry_kernel::time::Millis;
use agentry_store::limits::{LOG_LINES_MAX, QUICK_LEASE_MS};

/// One run's.
pub(super) struct QuickCalls {
    /// When its wall time ends, by its clock.
    deadline: Millis,
    /// The time as it was told last, and when; none if it is to ask.
    lease: Option<(Millis, Instant)>,
    unreported: Batch,
    /// Lines of the log that it has said, whoever answered. What is beyond those that are kept moves no clock and is counted by the other side.
    lines: u32,
}

impl QuickCalls {
    pub(super) fn new(deadline: Millis) -> Self {
        Self { deadline, lease: None, unreported: Batch::default(), lines: 0 }
    }

    /// The other side has answered; it may be asked less from here on.
    pub(super) fn lease(&mut self, now: Option<Millis>) {
        self.lease = now.map(|now| (now, Instant::now()));
    }

    /// The answer, and what the guest's clock shows from here on, which has come to `clock`.
    ///
    /// # Errors
    /// The request, if the other side is to be asked.
    #[expect(clippy::result_large_err, reason = "it is the request itself, which goes on")]
    pub(super) fn answer(&mut self, request: Request, clock: Millis) -> Result<(Reply, Millis), Request> {
        let call = QuickCall::of(request)?;
        if let QuickCall::LogEvent(_) = call {
            if self.lines >= LOG_LINES_MAX {
                return Err(call.request());
            }
            self.lines += 1;
        }
        let Some(now) = self.now() else { return Err(call.request()) };
        let at = now.max(clock);
        let reply = call.reply(at, self.deadline);
        self.unreported.push(Quick { at, call }).map_err(|quick| quick.call.request())?;
        Ok((reply, at))
    }

    /// What is to be reported, if there is something.
    pub(super) fn take(&mut self) -> Option<Batch> {
        (!self.unreported.is_empty()).then(|| std::mem::take(&mut self.unreported))
    }

    /// True if nothing is to be reported.
    pub(super) fn is_reported(&self) -> bool {
        self.unreported.is_empty()
    }

    /// The time of the other side, which was told it before it came here: so this is never ahead of it.
    fn now(&self) -> Option<Millis> {
        let (told, at) = self.lease?;
        let passed = at.elapsed();
        let passed = (passed < Duration::from_millis(QUICK_LEASE_MS)).then_some(passed)?;
        Some(told.plus(u64::try_from(passed.as_millis()).unwrap_or(QUICK_LEASE_MS)))
    }
}

#[cfg(test)]
mod tests {
    use agentry_abi::bindings::agentry::agent::log::Level;
    use agentry_abi::port::{LogEvent, Syscall as _, TimersDeadline, TimersNow, TimersSleep};
    use agentry_store::limits::{LOG_LINE_MAX_BYTES, QUICK_CALLS_MAX};

    use super::*;

    const NOW: Millis = Millis(1_000);

    fn leased() -> QuickCalls {
        let mut quick = QuickCalls::new(Millis(61_000));
        quick.lease(Some(NOW));
        quick
    }

    fn says(line: &str) -> Request {
        LogEvent { level: Level::Info, line: line.to_owned() }.into()
    }

    #[test]
    fn nothing_is_answered_before_it_is_given_to_and_nothing_else_after() {
        let mut quick = QuickCalls::new(Millis(61_000));
        assert_eq!(quick.answer(says("one"), NOW), Err(says("one")));
        quick.lease(Some(NOW));
        let sleeps = Request::from(TimersSleep { ms: 1 });
        assert_eq!(quick.answer(sleeps.clone(), NOW), Err(sleeps));
        let (reply, _) = quick.answer(TimersDeadline {}.into(), NOW).unwrap();
        assert_eq!(TimersDeadline::read(reply), Some(Ok(Some(61_000))));
        quick.lease(None);
        assert!(quick.answer(TimersNow {}.into(), NOW).is_err());
    }

    #[test]
    fn the_clock_never_goes_back_and_its_answers_are_reported_in_order_with_what_they_showed() {
        let mut quick = leased();
        let (reply, at) = quick.answer(TimersNow {}.into(), Millis(90_000)).unwrap();
        assert_eq!((TimersNow::read(reply), at), (Some(Ok(90_000)), Millis(90_000)), "it had come further already");
        let (_, later) = quick.answer(says("two"), at).unwrap();
        assert_eq!(later, at);
        let reported: Vec<Quick> = quick.take().unwrap().into_iter().collect();
        let line = LogEvent { level: Level::Info, line: "two".to_owned() };
        assert_eq!(reported, [Quick { at, call: QuickCall::TimersNow }, Quick { at, call: QuickCall::LogEvent(line) }]);
        assert!(quick.take().is_none() && quick.is_reported());
    }

    #[test]
    fn what_waits_to_be_reported_is_bounded_in_number_and_bytes() {
        let mut quick = leased();
        let answered = (0..).take_while(|_| quick.answer(TimersNow {}.into(), NOW).is_ok()).count();
        assert_eq!(answered, QUICK_CALLS_MAX);
        let (mut quick, long) = (leased(), "x".repeat(LOG_LINE_MAX_BYTES));
        let answered = (0..).take_while(|_| quick.answer(says(&long), NOW).is_ok()).count();
        assert!((1..8).contains(&answered), "{answered}");
    }

    #[test]
    fn lines_beyond_those_that_are_kept_are_for_the_other_side_to_count() {
        let mut quick = leased();
        for _ in 0..LOG_LINES_MAX {
            // Answered here or passed: it is one line.
            let _ = quick.answer(says("x"), NOW);
        }
        let _ = quick.take();
        quick.lease(Some(NOW));
        assert!(quick.answer(says("one more"), NOW).is_err());
        assert!(quick.answer(TimersNow {}.into(), NOW).is_ok());
    }
}
