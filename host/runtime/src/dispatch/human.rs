//! `human`: questions to people and notices. It checks what an agent wants to say, and names it.

use std::sync::Arc;

use agentry_abi::bindings::agentry::agent::human::Question;
use agentry_abi::bindings::agentry::agent::types::Error;
use agentry_abi::driver::Completed;
use agentry_abi::fault::{self, invalid};
use agentry_abi::port::{HumanAsk, HumanNotify, Passed};
use agentry_kernel::{Amounts, Call};
use agentry_store::content::Content;
use agentry_store::limits::{
    HUMAN_CHOICE_MAX_BYTES, HUMAN_CHOICES_MAX, HUMAN_TEXT_MAX_BYTES, HUMAN_TTL_MAX_MS, NOTICES_PER_RUN_MAX,
};
use agentry_store::rows::notice::Notice;
use agentry_store::rows::question::{self, Inquiry};

use super::Dispatch;
use crate::gate::CallRequest;
use crate::run::events::Event;

pub(super) fn notify(of: &Dispatch, HumanNotify { text }: HumanNotify) -> Passed {
    if let Err(error) = said(&text) {
        return of.now::<HumanNotify>(Err(error));
    }
    let content = Content::of(text.clone());
    let what = Call::HumanNotify { text: content.digest };
    // Counted also when the run is executed again, so that it comes to the same end.
    if of.run.count_notice() > NOTICES_PER_RUN_MAX {
        let why = format!("a run tells people at most {NOTICES_PER_RUN_MAX} things");
        let error = of.drivers.gate.reject(&of.run, what.into(), fault::unavailable(&why, None));
        return of.now::<HumanNotify>(Err(error));
    }
    let (drivers, run) = (Arc::clone(&of.drivers), Arc::clone(&of.run));
    let mut told = false;
    let tell = move |permit: &agentry_kernel::kernel::Permit| {
        let (at, agent) = (run.clock.now(), run.agent.clone());
        let notice = Notice { at, run: permit.run(), call: permit.call(), agent, text: text.clone() };
        if !std::mem::replace(&mut told, true) {
            let event = Event::Said(Box::new(notice.clone()));
            drivers.gate.tell_host(&event);
            run.observer.tell(event);
        }
        drivers.human.notice(&notice, run.payer())
    };
    of.begun::<HumanNotify>(of.drivers.gate.pass_store(&of.run, CallRequest::with(what, vec![content]), tell))
}

pub(super) fn ask(of: &Dispatch, HumanAsk { question }: HumanAsk) -> Passed {
    if let Err(error) = checked(&question) {
        return of.now::<HumanAsk>(Err(error));
    }
    let Question { text, choices, expires_s } = question;
    let expires_ms = expires_s.map(|seconds| seconds.saturating_mul(1000).min(HUMAN_TTL_MAX_MS));
    let content = Content::question(&text, &choices);
    let what = Call::HumanAsk { question: content.digest, expires_ms };
    let (drivers, run) = (Arc::clone(&of.drivers), Arc::clone(&of.run));
    let asking = CallRequest::with(what, vec![content]);
    let answer = of.drivers.gate.pass(&of.run, asking, move |permit, cancelled| async move {
        let (asked, agent) = (drivers.gate.clock().now(), run.agent.clone());
        let expires = expires_ms.map(|ms| asked.plus(ms));
        let (id, call, open) = (permit.run(), permit.call(), question::State::Open);
        let inquiry = Inquiry { run: id, call, agent, text, choices, asked, expires, state: open };
        let shown = drivers.human.ask(inquiry, (&cancelled, &run.cancelled), |inquiry| {
            let event = Event::Inquired(Box::new(inquiry.clone()));
            drivers.gate.tell_host(&event);
            run.observer.tell(event);
        });
        Completed::of(shown.await, Amounts::ZERO)
    });
    of.begun::<HumanAsk>(answer)
}

fn said(text: &str) -> Result<(), Error> {
    match text.len() {
        0 => Err(invalid("text is empty")),
        length if length > HUMAN_TEXT_MAX_BYTES => {
            Err(invalid(format!("text has {length} bytes, more than {HUMAN_TEXT_MAX_BYTES}")))
        }
        _ => Ok(()),
    }
}

fn checked(question: &Question) -> Result<(), Error> {
    let choices = &question.choices;
    said(&question.text)?;
    if choices.len() > HUMAN_CHOICES_MAX {
        return Err(invalid(format!("{} choices are more than {HUMAN_CHOICES_MAX}", choices.len())));
    }
    for (place, choice) in choices.iter().enumerate() {
        if choice.trim().is_empty() || choice.len() > HUMAN_CHOICE_MAX_BYTES {
            return Err(invalid(format!("a choice has from 1 to {HUMAN_CHOICE_MAX_BYTES} bytes")));
        }
        if choices.iter().take(place).any(|other| other == choice) {
            return Err(invalid(format!("choice {} stands there twice", place + 1)));
        }
    }
    if question.expires_s == Some(0) {
        return Err(invalid("expires-s is 0: nobody could answer"));
    }
    Ok(())
}
