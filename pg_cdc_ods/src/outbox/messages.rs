//! Routes by topic: they see the messages of a batch as they came, whatever becomes of them.

use cdc_core::TopicPattern;
use pgrx::datum::DatumWithOid;
use pgrx::spi::SpiClient;

use super::documents::{self, Batch};
use super::evaluate::{Source, Wanted, ask};
use super::rules::Rules;
use crate::apply::{json, parameter};
use crate::messages::Message;

/// Messages in place of `cdc.routed_messages`.
const MESSAGES: &str = "(
    select m.topic, m.payload::jsonb as payload, m.headers::jsonb as headers, m.stream
      from unnest($4::text[], $5::text[], $6::text[], $7::text[]) as m(topic, payload, headers, stream)) as m";

/// Tells of the messages of a batch that are JSON and meet the condition of a route.
pub(crate) fn route_messages(client: &mut SpiClient<'_>, messages: &[Message<'_>]) {
    for route in Rules::current(client).routes_by_topic() {
        let Some(pattern) = TopicPattern::parse(&route.table) else { continue };
        let matching = messages.iter().filter(|message| pattern.matches(message.topic));
        let routed: Vec<(&Message<'_>, String)> =
            matching.filter_map(|message| Some((message, json(message)?))).collect();
        if routed.is_empty() {
            continue;
        }
        let arguments = || arguments(&routed);
        let source = Source::messages(MESSAGES, &arguments);
        ask(client, &route.question, &source, &Wanted::Met, |client, answer| {
            documents::of_route(client, route, "", Batch { keys: answer.keys, payloads: answer.payloads });
        });
    }
}

fn arguments(routed: &[(&Message<'_>, String)]) -> Vec<DatumWithOid<'static>> {
    let texts = |read: &dyn Fn(&(&Message<'_>, String)) -> Option<String>| {
        parameter("text", routed.iter().map(read).collect()).datum
    };
    vec![
        texts(&|(message, _)| Some(message.topic.to_owned())),
        texts(&|(_, payload)| Some(payload.clone())),
        texts(&|(message, _)| message.headers.map(ToString::to_string)),
        texts(&|(message, _)| Some(message.stream.to_owned())),
    ]
}
