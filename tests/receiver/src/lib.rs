//! A small REST receiver for tests and the demo: it takes what the push worker posts, remembers it, and plays faults on
//! request.
//!
//! ```
//! use rest_receiver::{Answer, Options, Receiver};
//!
//! let receiver = Receiver::start(Options::default())?;
//! receiver.answer_next([Answer::status(503).with_header("Retry-After", "7")]);
//! println!("post to {}, and it will fail once", receiver.url("/api/v1/events"));
//! # Ok::<(), rest_receiver::StartError>(())
//! ```
//!
//! A request goes from `socket`, which can break the connection, through `serve` and `routes` to the `plan`, which says
//! how it is answered, and into the `record`, which tests wait for. `control` is the fault switch for other processes.

mod answer;
mod control;
mod gate;
mod plan;
mod receiver;
mod record;
mod routes;
mod serve;
mod socket;

pub use answer::Answer;
pub use gate::Gate;
pub use receiver::{Options, Receiver, StartError, Transport};
pub use record::{MOST_KEPT, NotWithin, Observed, Request};
