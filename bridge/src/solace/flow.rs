//! A flow: the messages of one durable queue, each acknowledged by the application.

use std::ffi::{c_uint, c_void};
use std::mem::size_of;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc as blocking_mpsc};
use std::time::{Duration, SystemTime};

use tokio::sync::{Notify, mpsc};

use super::error::Error;
use super::ffi::{FlowEventCallback, FlowEventInfo, Functions, Handle, callback, flow_event, return_code};
use super::library::{Library, run_callback, text};
use super::message::{AckId, InboundMessage};
use super::properties::PropertyList;
use super::session::Session;

/// Messages that the broker may send ahead of the library's receipts; the largest number it allows. So many can
/// still arrive after a stop.
const TRANSPORT_WINDOW: &std::ffi::CStr = c"255";
/// How long a broker may take to answer a bind, in ms.
const BIND_TIMEOUT_MS: &std::ffi::CStr = c"10000";
/// How long to wait for the outcome of a bind: longer than the library does, which knows better why none came.
const BIND_PATIENCE: Duration = Duration::from_secs(15);
/// Acks are gathered so long, in ms, and lost if the process dies meanwhile: shorter than the library's default
/// of 1 s, so that fewer messages come twice.
const ACK_TIMER_MS: &std::ffi::CStr = c"100";

/// What a flow is bound to, and how much it may pile up.
#[derive(Debug, Clone)]
pub struct FlowOptions {
    /// Name of the durable queue.
    pub queue: String,
    /// Whether messages are wanted at once.
    pub start: FlowStart,
    /// When [`Flow::over_limit`] is ready.
    pub limits: HeldLimits,
}

/// Whether a new flow delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowStart {
    /// It delivers from the beginning.
    Started,
    /// It delivers after [`Flow::start`].
    Stopped,
}

/// How much may be received and not yet taken from the flow.
#[derive(Debug, Clone, Copy)]
pub struct HeldLimits {
    /// Number of messages.
    pub messages: usize,
    /// Sum of their payloads in bytes.
    pub bytes: usize,
}

/// What happens to a flow after it was bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FlowEvent {
    /// The broker has ended it, or it cannot be bound again; make a new one.
    Down {
        /// Why.
        text: String,
    },
    /// The connection is lost; the library binds again.
    Reconnecting,
    /// It is bound again.
    Reconnected,
}

/// What a flow brings.
pub enum Delivery {
    /// A message.
    Message(InboundMessage),
    /// News of the flow itself.
    Event(FlowEvent),
}

/// Received and not yet taken.
#[derive(Debug, Default)]
pub struct Held {
    messages: AtomicUsize,
    bytes: AtomicUsize,
}

impl Held {
    /// Number of messages.
    pub fn messages(&self) -> usize {
        self.messages.load(Ordering::Relaxed)
    }

    /// Sum of their payloads in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// What the callbacks of a flow use.
pub(super) struct FlowState {
    library: Library,
    queue: String,
    bind_outcome: blocking_mpsc::Sender<Result<(), Error>>,
    messages: mpsc::UnboundedSender<InboundMessage>,
    events: mpsc::UnboundedSender<FlowEvent>,
    held: Arc<Held>,
    limits: HeldLimits,
    /// Whether `over_limit` has been told since the last start.
    told: AtomicBool,
    over_limit: Notify,
}

impl FlowState {
    /// Runs on the library's thread for each message: hands it on and never waits.
    fn receive(&self, message: InboundMessage) {
        let messages = self.held.messages.fetch_add(1, Ordering::Relaxed) + 1;
        let bytes =
            self.held.bytes.fetch_add(message.payload_len(), Ordering::Relaxed) + message.payload_len();
        let over = messages > self.limits.messages || bytes > self.limits.bytes;
        // When nobody listens any more the message is freed here and delivered again to a later flow.
        let _ = self.messages.send(message);
        if over && !self.told.swap(true, Ordering::Relaxed) {
            self.over_limit.notify_one();
        }
    }
}

/// A bound flow. Dropping it sends the pending acks and unbinds, which waits for the broker; messages not
/// acknowledged are then delivered again, to whoever binds next.
pub struct Flow {
    session: Session,
    handle: Handle,
    state: Arc<FlowState>,
    messages: mpsc::UnboundedReceiver<InboundMessage>,
    events: mpsc::UnboundedReceiver<FlowEvent>,
}

// SAFETY: the handle is opaque and the API allows its use from any thread; the rest is Send.
unsafe impl Send for Flow {}
// SAFETY: as above; the calls by `&Flow` (start, stop, ack) may be made from several threads.
unsafe impl Sync for Flow {}

impl Session {
    /// Binds a flow to a durable queue; waits for the broker, at most 15 s. Not for the library's own thread.
    ///
    /// The library's blocking bind is not used: when the connection is lost and restored meanwhile it reports a flow
    /// whose later end it never tells.
    ///
    /// # Errors
    /// [`Error::Call`] if the broker refuses, such as for an unknown queue, and [`Error::NotBound`] if no outcome
    /// came.
    pub fn bind(&self, options: &FlowOptions) -> Result<Flow, Error> {
        let library = self.library();
        let (message_sender, messages) = mpsc::unbounded_channel();
        let (event_sender, events) = mpsc::unbounded_channel();
        let (bind_outcome, bound) = blocking_mpsc::channel();
        let state = Arc::new(FlowState {
            library,
            queue: options.queue.clone(),
            bind_outcome,
            messages: message_sender,
            events: event_sender,
            held: Arc::default(),
            limits: options.limits,
            told: AtomicBool::new(false),
            over_limit: Notify::new(),
        });
        let user: *mut c_void = Arc::as_ptr(&state).cast_mut().cast();
        let mut functions = Functions::<FlowEventCallback> {
            old_callback: ptr::null_mut(),
            old_user: ptr::null_mut(),
            event: Some(on_event),
            event_user: user,
            message: Some(on_message),
            message_user: user,
        };
        let mut handle = ptr::null_mut();
        let code = flow_properties(options)?.with_pointer(|properties| {
            // SAFETY: all pointers are valid during the call; the state is kept by the flow, and then by the
            // session until no callback can use it.
            unsafe {
                (library.api().session_create_flow)(
                    properties,
                    self.handle(),
                    &raw mut handle,
                    &raw mut functions,
                    size_of::<Functions<FlowEventCallback>>(),
                )
            }
        });
        if code != return_code::IN_PROGRESS
            && let Err(error) = library.check(code, || binding(&options.queue))
        {
            self.retire_flow(state);
            return Err(error);
        }
        // From here on, dropping the flow destroys it.
        let flow = Flow { session: self.clone(), handle, state, messages, events };
        match bound.recv_timeout(BIND_PATIENCE) {
            Ok(outcome) => outcome.map(|()| flow),
            Err(_) => Err(Error::NotBound { queue: options.queue.clone(), waited: BIND_PATIENCE }),
        }
    }
}

impl Flow {
    /// The next message, waiting for it. Safe to cancel.
    pub async fn next(&mut self) -> Option<InboundMessage> {
        let message = self.messages.recv().await?;
        self.count_out(&message);
        Some(message)
    }

    /// The next message if there is one.
    pub fn try_next(&mut self) -> Option<InboundMessage> {
        let message = self.messages.try_recv().ok()?;
        self.count_out(&message);
        Some(message)
    }

    fn count_out(&self, message: &InboundMessage) {
        self.state.held.messages.fetch_sub(1, Ordering::Relaxed);
        self.state.held.bytes.fetch_sub(message.payload_len(), Ordering::Relaxed);
    }

    /// The next event, or else the next message, waiting for one of them. Safe to cancel.
    pub async fn next_delivery(&mut self) -> Delivery {
        tokio::select! {
            biased;
            Some(event) = self.events.recv() => Delivery::Event(event),
            Some(message) = self.messages.recv() => {
                self.count_out(&message);
                Delivery::Message(message)
            }
            // Both channels live as long as the flow's state, which the flow holds.
            else => std::future::pending().await,
        }
    }

    /// Waits until more is held than the limits allow. Ready once after each [`start`](Self::start).
    pub async fn over_limit(&self) {
        self.state.over_limit.notified().await;
    }

    /// What has been received and not yet taken.
    pub fn held(&self) -> &Arc<Held> {
        &self.state.held
    }

    /// Lets the broker send.
    ///
    /// # Errors
    /// [`Error::Call`] if the flow is down.
    pub fn start(&self) -> Result<(), Error> {
        self.state.told.store(false, Ordering::Relaxed);
        let library = self.session.library();
        // SAFETY: a living flow.
        library.check(unsafe { (library.api().flow_start)(self.handle) }, || "starting a flow".to_owned())
    }

    /// Asks the broker to send no more. What is on its way, at most 255 messages, still arrives.
    ///
    /// # Errors
    /// [`Error::Call`] if the flow is down.
    pub fn stop(&self) -> Result<(), Error> {
        let library = self.session.library();
        // SAFETY: a living flow.
        library.check(unsafe { (library.api().flow_stop)(self.handle) }, || "stopping a flow".to_owned())
    }

    /// Acknowledges a message of this flow: the broker may forget it. The ack leaves within 100 ms, in any order
    /// with others, and is lost if the process dies before.
    ///
    /// Acks of the newest 512 messages share frames; of an older one the library sends a frame at once, which is a third
    /// of what the bridge costs under full load. Fewer messages on their way would cost more.
    ///
    /// # Errors
    /// [`Error::Call`] if the flow is down; the message will be delivered again.
    pub fn ack(&self, id: AckId) -> Result<(), Error> {
        let library = self.session.library();
        // SAFETY: a living flow; unknown ids are refused.
        let code = unsafe { (library.api().flow_send_ack)(self.handle, id.0) };
        library.check(code, || "acknowledging a message".to_owned())
    }
}

fn binding(queue: &str) -> String {
    format!("binding to queue {queue:?}")
}

impl Drop for Flow {
    fn drop(&mut self) {
        let api = self.session.library().api();
        // SAFETY: made by `session_create_flow`, destroyed once, and not from a callback of its own.
        unsafe { (api.flow_destroy)(&raw mut self.handle) };
        self.session.retire_flow(Arc::clone(&self.state));
    }
}

fn flow_properties(options: &FlowOptions) -> Result<PropertyList, Error> {
    Ok(PropertyList::new()
        .constant(c"FLOW_BIND_ENTITY_ID", c"2")
        .flag(c"FLOW_BIND_ENTITY_DURABLE", true)
        .text(c"FLOW_BIND_NAME", &options.queue)?
        .flag(c"FLOW_BIND_BLOCKING", false)
        .constant(c"FLOW_BIND_TIMEOUT_MS", BIND_TIMEOUT_MS)
        .constant(c"FLOW_MAX_BIND_TRIES", c"1")
        .constant(c"FLOW_ACKMODE", c"2")
        .constant(c"FLOW_ACK_TIMER_MS", ACK_TIMER_MS)
        .constant(c"FLOW_WINDOWSIZE", TRANSPORT_WINDOW)
        .flag(c"FLOW_START_STATE", options.start == FlowStart::Started))
}

unsafe extern "C" fn on_message(_flow: Handle, message: Handle, user: *mut c_void) -> c_uint {
    // SAFETY: `user` is the state given to `session_create_flow`, which outlives every callback.
    let state = unsafe { &*user.cast_const().cast::<FlowState>() };
    // SAFETY: the message is valid, and answering TAKE_MSG below makes it ours to free.
    let message = unsafe { InboundMessage::take(state.library, message, SystemTime::now()) };
    run_callback(|| state.receive(message));
    callback::TAKE_MSG
}

unsafe extern "C" fn on_event(_flow: Handle, info: *mut FlowEventInfo, user: *mut c_void) {
    run_callback(|| {
        // SAFETY: the struct is valid during the call; `user` is the flow's state, which outlives every callback.
        let (info, state) = unsafe { (&*info, &*user.cast_const().cast::<FlowState>()) };
        // SAFETY: the text is null or terminated, and valid during the call.
        let text = unsafe { text(info.info) }.unwrap_or_default();
        // Only the first outcome counts, and nobody listens after it.
        let event = match info.event {
            flow_event::UP_NOTICE => {
                let _ = state.bind_outcome.send(Ok(()));
                return;
            }
            flow_event::DOWN_ERROR | flow_event::BIND_FAILED_ERROR => {
                let error = Error::last(&state.library, binding(&state.queue), return_code::FAIL);
                let _ = state.bind_outcome.send(Err(error));
                FlowEvent::Down { text }
            }
            flow_event::RECONNECTING => FlowEvent::Reconnecting,
            flow_event::RECONNECTED => FlowEvent::Reconnected,
            other => {
                tracing::debug!(event = other, text, "flow event");
                return;
            }
        };
        // When nobody listens any more the flow is being dropped.
        let _ = state.events.send(event);
    });
}
