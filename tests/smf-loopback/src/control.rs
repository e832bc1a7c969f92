//! The control port: one command for each line, one line of JSON for each answer.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::str::FromStr;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use serde::Serialize;

use crate::broker::Broker;
use crate::config::Quota;
use crate::faults::UnknownQueue;
use crate::listener::Listener;
use crate::stats::Stats;

/// Longest command; the longest sensible one names a queue and a refusal text.
const MAX_LINE_BYTES: u64 = 4096;

const HELP: &str = "stats | drop [CLIENT] | crash | forget-publisher-flows | hold-acks on|off | \
                    refuse-publishes CODE TEXT|off | refuse-logins CODE TEXT|off | \
                    unbind QUEUE CODE TEXT | queue-quota QUEUE MESSAGES|unlimited BYTES|unlimited | \
                    silence-keep-alives on|off | quit";

/// Says once that the process shall end.
#[derive(Debug, Default)]
pub(crate) struct QuitSignal {
    raised: Mutex<bool>,
    changed: Condvar,
}

impl QuitSignal {
    pub(crate) fn raise(&self) {
        *self.raised.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    pub(crate) fn wait(&self) {
        let raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
        let _raised =
            self.changed.wait_while(raised, |raised| !*raised).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Opens the control port.
pub(crate) fn listen(addr: SocketAddr, broker: Arc<Broker>, quit: Arc<QuitSignal>) -> io::Result<Listener> {
    Listener::start(addr, move |stream| {
        if let Err(error) = serve(&stream, &broker, &quit) {
            tracing::debug!(%error, "control connection ended");
        }
    })
}

fn serve(stream: &TcpStream, broker: &Broker, quit: &QuitSignal) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        if reader.by_ref().take(MAX_LINE_BYTES).read_line(&mut line)? == 0 {
            return Ok(());
        }
        let command = line.parse::<Command>();
        let quits = matches!(command, Ok(Command::Quit));
        let answer = match command.and_then(|command| command.run(broker)) {
            Ok(answer) => answer,
            Err(error) => Answer::Error { error: error.to_string() },
        };
        let mut text = serde_json::to_string(&answer)?;
        text.push('\n');
        (&*stream).write_all(text.as_bytes())?;
        if quits {
            quit.raise();
        }
    }
}

/// A hook and what it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Command {
    Stats,
    Drop { client: Option<String> },
    Crash,
    ForgetPublisherFlows,
    HoldAcks(Switch),
    RefusePublishes(Option<Refusal>),
    RefuseLogins(Option<Refusal>),
    Unbind { queue: String, reason: Refusal },
    QueueQuota { queue: String, quota: Quota },
    SilenceKeepAlives(Switch),
    Quit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Switch {
    On,
    Off,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Refusal {
    code: u32,
    text: String,
}

#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error("unknown or incomplete command; commands: {HELP}")]
    Usage,
    #[error(transparent)]
    UnknownQueue(#[from] UnknownQueue),
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Answer {
    Stats(Box<Stats>),
    /// How many connections or flows it struck.
    Struck {
        ok: bool,
        count: usize,
    },
    Done {
        ok: bool,
    },
    Error {
        error: String,
    },
}

impl FromStr for Command {
    type Err = CommandError;

    fn from_str(line: &str) -> Result<Self, CommandError> {
        let (name, rest) = first_word(line);
        let command = match name {
            "stats" => Self::Stats,
            "drop" => Self::Drop { client: Some(rest).filter(|name| !name.is_empty()).map(str::to_owned) },
            "crash" => Self::Crash,
            "forget-publisher-flows" => Self::ForgetPublisherFlows,
            "hold-acks" => Self::HoldAcks(rest.parse()?),
            "refuse-publishes" => Self::RefusePublishes(refusal_or_off(rest)?),
            "refuse-logins" => Self::RefuseLogins(refusal_or_off(rest)?),
            "unbind" => {
                let (queue, reason) = first_word(rest);
                Self::Unbind { queue: queue.to_owned(), reason: reason.parse()? }
            }
            "queue-quota" => {
                let (queue, amounts) = first_word(rest);
                let (messages, bytes) = first_word(amounts);
                let quota = Quota { messages: amount(messages)?, bytes: amount(bytes)? };
                Self::QueueQuota { queue: queue.to_owned(), quota }
            }
            "silence-keep-alives" => Self::SilenceKeepAlives(rest.parse()?),
            "quit" => Self::Quit,
            _ => return Err(CommandError::Usage),
        };
        Ok(command)
    }
}

impl FromStr for Switch {
    type Err = CommandError;

    fn from_str(text: &str) -> Result<Self, CommandError> {
        match text {
            "on" => Ok(Self::On),
            "off" => Ok(Self::Off),
            _ => Err(CommandError::Usage),
        }
    }
}

impl FromStr for Refusal {
    type Err = CommandError;

    fn from_str(text: &str) -> Result<Self, CommandError> {
        let (code, text) = first_word(text);
        let code = code.parse().map_err(|_| CommandError::Usage)?;
        Ok(Self { code, text: text.to_owned() })
    }
}

fn refusal_or_off(text: &str) -> Result<Option<Refusal>, CommandError> {
    if text == "off" { Ok(None) } else { text.parse().map(Some) }
}

fn amount(text: &str) -> Result<u64, CommandError> {
    if text == "unlimited" { Ok(u64::MAX) } else { text.parse().map_err(|_| CommandError::Usage) }
}

fn first_word(text: &str) -> (&str, &str) {
    let text = text.trim();
    text.split_once(char::is_whitespace).map_or((text, ""), |(word, rest)| (word, rest.trim_start()))
}

impl Command {
    fn run(self, broker: &Broker) -> Result<Answer, CommandError> {
        let struck = |count| Answer::Struck { ok: true, count };
        match self {
            Self::Stats => return Ok(Answer::Stats(Box::new(broker.stats()))),
            Self::Drop { client: None } => return Ok(struck(broker.drop_connections())),
            Self::Drop { client: Some(name) } => return Ok(struck(broker.drop_client(&name))),
            Self::Crash => return Ok(struck(broker.crash())),
            Self::ForgetPublisherFlows => return Ok(struck(broker.forget_publisher_flows())),
            Self::Unbind { queue, reason } => {
                return Ok(struck(broker.unbind_flows(&queue, reason.code, &reason.text)?));
            }
            Self::QueueQuota { queue, quota } => broker.set_queue_quota(&queue, quota)?,
            Self::HoldAcks(Switch::On) => broker.hold_publish_acks(),
            Self::HoldAcks(Switch::Off) => broker.release_publish_acks(),
            Self::RefusePublishes(Some(refusal)) => broker.refuse_publishes(refusal.code, &refusal.text),
            Self::RefusePublishes(None) => broker.accept_publishes(),
            Self::RefuseLogins(Some(refusal)) => broker.refuse_logins(refusal.code, &refusal.text),
            Self::RefuseLogins(None) => broker.accept_logins(),
            Self::SilenceKeepAlives(Switch::On) => broker.silence_keep_alives(),
            Self::SilenceKeepAlives(Switch::Off) => broker.answer_keep_alives(),
            Self::Quit => {}
        }
        Ok(Answer::Done { ok: true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Command {
        line.parse().unwrap()
    }

    #[test]
    fn commands_are_read_word_by_word() {
        assert_eq!(parse("stats\n"), Command::Stats);
        assert_eq!(parse("drop"), Command::Drop { client: None });
        assert_eq!(parse("drop bridge/1"), Command::Drop { client: Some("bridge/1".into()) });
        assert_eq!(parse(" hold-acks  on "), Command::HoldAcks(Switch::On));
        assert_eq!(parse("refuse-logins off"), Command::RefuseLogins(None));
        assert_eq!(
            parse("refuse-publishes 503 Spool Over Quota"),
            Command::RefusePublishes(Some(Refusal { code: 503, text: "Spool Over Quota".into() }))
        );
        assert_eq!(
            parse("unbind q1 503 Queue Shutdown"),
            Command::Unbind {
                queue: "q1".into(),
                reason: Refusal { code: 503, text: "Queue Shutdown".into() }
            }
        );
        assert_eq!(
            parse("queue-quota q1 10 unlimited"),
            Command::QueueQuota { queue: "q1".into(), quota: Quota { messages: 10, bytes: u64::MAX } }
        );
    }

    #[test]
    fn incomplete_commands_are_refused() {
        for line in ["", "nonsense", "hold-acks", "hold-acks maybe", "unbind q1", "queue-quota q1 10"] {
            assert!(line.parse::<Command>().is_err(), "{line:?}");
        }
    }
}
