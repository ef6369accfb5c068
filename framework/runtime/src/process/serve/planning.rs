//! Answers to a run that asks which kinds this program has, and what comes of their stages.

use std::sync::Arc;

use arrow_schema::{Schema, SchemaRef};
use gristmill_stage::reading::Declared;
use gristmill_stage::{Error, ErrorKind, Kind, Planned, Registry, Result, Role};
use gristmill_wire::{Answer, Description, KindDescription, Message, Question, Side};
use serde_json::Value;

use super::inbox::Inbox;
use super::outbox::Outbox;
use crate::drive::guarded;

/// Answers until the run has no more questions.
pub(super) async fn answer(registry: &Registry, inbox: &Inbox, outbox: &Outbox) -> Result<()> {
    let kinds = registry.iter().map(|kind| describe(&**kind)).collect();
    outbox.say(&Message::Described(Box::new(Description { kinds })))?;
    let mut input = None;
    while let Some(message) = inbox.next().await {
        match message {
            Message::Schema(Side::Input, schema) => input = Some(schema),
            Message::Plan(question) => {
                let Question { kind, options } = *question;
                let input = input.take();
                let planned = guarded(|| plan(find(registry, &kind)?, &options, input.as_ref()));
                say(planned, outbox)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn describe(kind: &dyn Kind) -> KindDescription {
    KindDescription {
        name: kind.name().to_owned(),
        summary: kind.summary().to_owned(),
        role: kind.role(),
        input: kind.input().to_owned(),
        output: kind.output().to_owned(),
        example: kind.example().to_owned(),
        options: kind.options(),
        readings: kind.readings().iter().map(Declared::of).collect(),
    }
}

fn find<'a>(registry: &'a Registry, name: &str) -> Result<&'a dyn Kind> {
    let kind = registry.get(name).map(|kind| &**kind);
    kind.ok_or_else(|| Error::new(ErrorKind::Options, format!("there is no kind `{name}` here")))
}

fn plan(kind: &dyn Kind, options: &Value, input: Option<&SchemaRef>) -> Result<Planned> {
    let mut planned = kind.plan(options, input)?;
    if kind.role() == Role::Sink {
        planned.output = Arc::new(Schema::empty());
    }
    Ok(planned)
}

fn say(planned: Result<Planned>, outbox: &Outbox) -> Result<()> {
    let planned = match planned {
        Ok(planned) => planned,
        Err(error) => return outbox.say(&Message::Error((&error).into())).map(drop),
    };
    outbox.say(&Message::Schema(Side::Output, planned.output.clone()))?;
    outbox.say(&Message::Planned(Box::new(Answer::of(&planned)))).map(drop)
}
