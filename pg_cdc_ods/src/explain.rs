//! `cdc.explain_event()`: what an event would do, by the code that would do it, changing nothing.

use pgrx::JsonB;
use pgrx::prelude::*;

use crate::apply::{Explanation, explain};
use crate::inbox;
use crate::messages::Message;

#[expect(clippy::type_complexity, reason = "the columns of a table function")]
#[pg_extern]
fn explain_event(
    topic: &str,
    payload: &str,
    headers: default!(Option<JsonB>, "null"),
) -> TableIterator<
    'static,
    (
        name!(part, &'static str),
        name!(name, Option<String>),
        name!(value, Option<String>),
        name!(goes_to, Option<String>),
    ),
> {
    let message = Message {
        seq: 0,
        stream: "explain_event",
        topic,
        payload: payload.as_bytes(),
        message_id: None,
        headers: headers.as_ref().map(|json| &json.0),
        received_at: inbox::now().into(),
        sent_at: None,
    };
    let explanations = Spi::connect_mut(|client| explain(client, &message));
    let row = |Explanation { part, name, value, goes_to }| (part, name, value, goes_to);
    TableIterator::new(explanations.into_iter().map(row))
}
