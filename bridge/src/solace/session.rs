//! A connection to a broker that repairs itself.

use std::ffi::{CString, c_uint, c_void};
use std::mem::size_of;
use std::path::PathBuf;
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};

use super::context::Context;
use super::error::Error;
use super::ffi::{
    Functions, Handle, PROVISION_IGNORE_EXIST_ERRORS, PROVISION_WAIT_FOR_CONFIRM, SUBSCRIBE_WAIT_FOR_CONFIRM,
    SessionEventCallback, SessionEventInfo, callback, session_event, sub_code,
};
use super::flow::FlowState;
use super::library::{Library, run_callback, text};
use super::properties::PropertyList;
use crate::secret::Secret;

/// How long one attempt to connect may take, in ms. The caller tries again.
const CONNECT_TIMEOUT_MS: &std::ffi::CStr = c"10000";
/// How long a broker may take to create a queue, in ms.
const PROVISION_TIMEOUT_MS: &std::ffi::CStr = c"10000";
/// Pause between the library's own attempts after a lost connection, in ms.
const RECONNECT_WAIT_MS: &std::ffi::CStr = c"1000";
/// The library's number for "without end".
const FOREVER: &std::ffi::CStr = c"-1";
/// Unacknowledged published messages that the library holds; the largest number it allows.
pub(super) const PUBLISH_WINDOW: usize = 255;
const PUBLISH_WINDOW_TEXT: &std::ffi::CStr = c"255";
/// Versions of TLS that are broken.
const EXCLUDED_TLS_VERSIONS: &std::ffi::CStr = c"SSLv3,TLSv1,TLSv1.1";
/// States of flows that are gone are kept until so many later ones are gone too. A callback that was running when
/// its flow was destroyed has long returned by then, for the same thread answered the binds of the later flows.
const RETIRED_FLOWS_KEPT: usize = 8;

/// How to reach a broker and log in.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// Hosts to try in turn, separated by commas: `tcp://host:55555` or `tcps://host:55443`.
    pub hosts: String,
    /// Message VPN.
    pub vpn: String,
    /// Client user name.
    pub username: String,
    /// The user's password.
    pub password: Secret,
    /// How `tcps` hosts are checked.
    pub tls: Tls,
    /// What the broker shows as the client's description.
    pub description: String,
}

/// How the broker's certificate is checked on `tcps` hosts.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// Folder of PEM files with the certificates of trusted authorities.
    pub trust_store_dir: Option<PathBuf>,
    /// Whether the certificate is checked at all.
    pub check: CertificateCheck,
}

/// Whether the broker must prove who it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CertificateCheck {
    /// Its certificate must be of a trusted authority, valid now, and for the host's name.
    #[default]
    Full,
    /// Any certificate will do: encrypted, but open to whoever sits in between.
    None,
}

/// What happens to a session after it was connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionEvent {
    /// It is up for the first time.
    Up,
    /// The connection is lost; the library connects again, for ever.
    Reconnecting {
        /// Why it was lost.
        text: String,
    },
    /// It is up again, with its flows and publishers.
    Reconnected,
    /// It is down and will not come back; make a new one.
    Down {
        /// Why.
        text: String,
    },
    /// The broker has a published message safe.
    Acknowledged {
        /// Its correlation tag.
        tag: u64,
    },
    /// The broker refuses a published message.
    Rejected {
        /// Its correlation tag.
        tag: u64,
        /// Why, in the broker's words.
        text: String,
    },
    /// A send that would have blocked can be tried again.
    CanSend,
}

type Handler = Box<dyn Fn(SessionEvent) + Send + Sync>;

/// A connected session. Clones are the same session; it disconnects, sending all pending acks, when the last clone
/// and the last of its flows are dropped. Dropping may wait for the broker for some seconds.
#[derive(Clone)]
pub struct Session {
    inner: Arc<Inner>,
}

struct Inner {
    library: Library,
    handle: Handle,
    // The order matters: first the context ends its thread, then what its callbacks use may go.
    _context: Context,
    _handler: Box<Handler>,
    retired_flows: Mutex<Vec<Arc<FlowState>>>,
}

// SAFETY: the handle is opaque and the API allows its use from any thread; the rest is Send and Sync.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

impl Session {
    /// Connects and logs in; waits for the broker, at most 10 s for each host.
    ///
    /// `handler` is called on the library's thread for each event and must not wait. After a connection is lost the
    /// library restores it, with flows and unacknowledged messages, until it succeeds.
    ///
    /// # Errors
    /// [`Error::Call`] if the broker cannot be reached or refuses the login. Trying again may help.
    pub fn connect(
        library: Library,
        options: &SessionOptions,
        handler: impl Fn(SessionEvent) + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let properties = session_properties(options)?;
        let context = Context::start(library)?;
        let handler: Box<Handler> = Box::new(Box::new(handler));
        let mut functions = Functions::<SessionEventCallback> {
            old_callback: ptr::null_mut(),
            old_user: ptr::null_mut(),
            event: Some(on_event),
            event_user: (&raw const *handler).cast_mut().cast(),
            message: Some(on_direct_message),
            message_user: ptr::null_mut(),
        };
        let mut handle = ptr::null_mut();
        let code = properties.with_pointer(|properties| {
            // SAFETY: all pointers are valid during the call; `handler` outlives the session's thread.
            unsafe {
                (library.api().session_create)(
                    properties,
                    context.handle(),
                    &raw mut handle,
                    &raw mut functions,
                    size_of::<Functions<SessionEventCallback>>(),
                )
            }
        });
        library.check(code, || "creating a session".to_owned())?;
        let inner = Inner {
            library,
            handle,
            _context: context,
            _handler: handler,
            retired_flows: Mutex::new(Vec::new()),
        };
        // SAFETY: a session made above. If this fails, dropping `inner` frees it.
        let code = unsafe { (library.api().session_connect)(inner.handle) };
        library.check(code, || format!("connecting to {}", options.hosts))?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Creates a durable exclusive queue if it does not exist; waits for the broker.
    ///
    /// # Errors
    /// [`Error::Call`] if the broker refuses.
    pub fn create_queue(&self, queue: &str) -> Result<(), Error> {
        let properties = queue_properties(queue)?
            .constant(c"ENDPOINT_PERMISSION", c"c")
            .constant(c"ENDPOINT_ACCESSTYPE", c"1");
        let library = self.library();
        let code = properties.with_pointer(|properties| {
            // SAFETY: `properties` is valid during the call; no tag and no place for a name are wanted.
            unsafe {
                (library.api().session_endpoint_provision)(
                    properties,
                    self.handle(),
                    PROVISION_WAIT_FOR_CONFIRM | PROVISION_IGNORE_EXIST_ERRORS,
                    ptr::null_mut(),
                    ptr::null_mut(),
                    0,
                )
            }
        });
        // A queue made by an administrator with other properties is there too, which is all that is wanted.
        ignore(
            library.check(code, || format!("creating queue {queue:?}")),
            &[sub_code::ENDPOINT_ALREADY_EXISTS, sub_code::ENDPOINT_PROPERTY_MISMATCH],
        )
    }

    /// Deletes a durable queue and all messages in it, if it exists; waits for the broker.
    ///
    /// # Errors
    /// [`Error::Call`] if the broker refuses.
    pub fn delete_queue(&self, queue: &str) -> Result<(), Error> {
        let properties = queue_properties(queue)?;
        let library = self.library();
        let code = properties.with_pointer(|properties| {
            // SAFETY: `properties` is valid during the call; no tag is wanted.
            unsafe {
                (library.api().session_endpoint_deprovision)(
                    properties,
                    self.handle(),
                    PROVISION_WAIT_FOR_CONFIRM | PROVISION_IGNORE_EXIST_ERRORS,
                    ptr::null_mut(),
                )
            }
        });
        library.check(code, || format!("deleting queue {queue:?}"))
    }

    /// Adds a topic subscription to a queue if it does not have it; waits for the broker.
    ///
    /// # Errors
    /// [`Error::Call`] if the broker refuses.
    pub fn subscribe_queue(&self, queue: &str, topic: &str) -> Result<(), Error> {
        let properties = queue_properties(queue)?;
        let topic_text =
            CString::new(topic).map_err(|_| Error::InteriorNul { what: "a topic subscription" })?;
        let library = self.library();
        let code = properties.with_pointer(|properties| {
            // SAFETY: all pointers are valid during the call; no tag is wanted.
            unsafe {
                (library.api().session_endpoint_topic_subscribe)(
                    properties,
                    self.handle(),
                    SUBSCRIBE_WAIT_FOR_CONFIRM,
                    topic_text.as_ptr(),
                    ptr::null_mut(),
                )
            }
        });
        ignore(
            library.check(code, || format!("subscribing queue {queue:?} to {topic:?}")),
            &[sub_code::SUBSCRIPTION_ALREADY_PRESENT],
        )
    }

    pub(super) fn library(&self) -> Library {
        self.inner.library
    }

    pub(super) fn handle(&self) -> Handle {
        self.inner.handle
    }

    /// Keeps the state of a destroyed flow until no callback can be using it.
    pub(super) fn retire_flow(&self, state: Arc<FlowState>) {
        let mut retired = self.inner.retired_flows.lock().unwrap_or_else(PoisonError::into_inner);
        if retired.len() == RETIRED_FLOWS_KEPT {
            retired.remove(0);
        }
        retired.push(state);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let api = self.library.api();
        // SAFETY: made by `session_create`, destroyed once, and no flow of it is left: each holds its session.
        // A session that never was connected may be disconnected, too.
        unsafe {
            (api.session_disconnect)(self.handle);
            (api.session_destroy)(&raw mut self.handle);
        }
    }
}

fn session_properties(options: &SessionOptions) -> Result<PropertyList, Error> {
    let checked = options.tls.check == CertificateCheck::Full;
    let properties = PropertyList::new()
        .text(c"SESSION_HOST", &options.hosts)?
        .text(c"SESSION_VPN_NAME", &options.vpn)?
        .text(c"SESSION_USERNAME", &options.username)?
        .text(c"SESSION_PASSWORD", options.password.expose())?
        .text(c"SESSION_APPLICATION_DESCRIPTION", &options.description)?
        .flag(c"SESSION_CONNECT_BLOCKING", true)
        .flag(c"SESSION_SUBSCRIBE_BLOCKING", true)
        .flag(c"SESSION_SEND_BLOCKING", false)
        .constant(c"SESSION_CONNECT_TIMEOUT_MS", CONNECT_TIMEOUT_MS)
        .constant(c"SESSION_PROVISION_TIMEOUT_MS", PROVISION_TIMEOUT_MS)
        .constant(c"SESSION_RECONNECT_RETRIES", FOREVER)
        .constant(c"SESSION_RECONNECT_RETRY_WAIT_MS", RECONNECT_WAIT_MS)
        .flag(c"SESSION_REAPPLY_SUBSCRIPTIONS", true)
        .constant(c"SESSION_PUB_WINDOW_SIZE", PUBLISH_WINDOW_TEXT)
        .flag(c"SESSION_SSL_VALIDATE_CERTIFICATE", checked)
        .flag(c"SESSION_SSL_VALIDATE_CERTIFICATE_HOST", checked)
        .constant(c"SESSION_SSL_EXCLUDED_PROTOCOLS", EXCLUDED_TLS_VERSIONS);
    match &options.tls.trust_store_dir {
        Some(dir) => properties.text(c"SESSION_SSL_TRUST_STORE_DIR", &dir.to_string_lossy()),
        None => Ok(properties),
    }
}

fn queue_properties(queue: &str) -> Result<PropertyList, Error> {
    PropertyList::new()
        .constant(c"ENDPOINT_ID", c"2")
        .flag(c"ENDPOINT_DURABLE", true)
        .text(c"ENDPOINT_NAME", queue)
}

fn ignore(outcome: Result<(), Error>, harmless: &[c_uint]) -> Result<(), Error> {
    outcome.or_else(|error| match error.sub_code() {
        Some(sub_code) if harmless.contains(&sub_code) => Ok(()),
        _ => Err(error),
    })
}

unsafe extern "C" fn on_event(_session: Handle, info: *mut SessionEventInfo, user: *mut c_void) {
    run_callback(|| {
        // SAFETY: the library passes a struct that is valid during the call, and as `user` the handler given to
        // `session_create`, which lives until the context's thread has ended.
        let (info, handler) = unsafe { (&*info, &*user.cast_const().cast::<Handler>()) };
        // SAFETY: the text is null or terminated, the tag null or of a message published by `Publisher`.
        if let Some(event) = unsafe { event_of(info) } {
            handler(event);
        }
    });
}

/// Translates an event; `None` for those that need no action.
///
/// # Safety
/// `info.info` must be null or a C text, `info.correlation` null or the tag of a message of ours.
unsafe fn event_of(info: &SessionEventInfo) -> Option<SessionEvent> {
    // SAFETY: by contract.
    let reason = || unsafe { text(info.info) }.unwrap_or_default();
    // SAFETY: by contract; tags are eight bytes, of any alignment.
    let tag =
        || (!info.correlation.is_null()).then(|| unsafe { info.correlation.cast::<u64>().read_unaligned() });
    Some(match info.event {
        session_event::UP_NOTICE => SessionEvent::Up,
        session_event::DOWN_ERROR => SessionEvent::Down { text: reason() },
        session_event::RECONNECTING_NOTICE => SessionEvent::Reconnecting { text: reason() },
        session_event::RECONNECTED_NOTICE => SessionEvent::Reconnected,
        session_event::ACKNOWLEDGEMENT => SessionEvent::Acknowledged { tag: tag()? },
        session_event::REJECTED_MSG_ERROR => SessionEvent::Rejected { tag: tag()?, text: reason() },
        session_event::CAN_SEND => SessionEvent::CanSend,
        other => {
            tracing::debug!(event = other, text = reason(), "session event");
            return None;
        }
    })
}

/// The API wants a callback for direct messages; none is subscribed to.
unsafe extern "C" fn on_direct_message(_session: Handle, _message: Handle, _user: *mut c_void) -> c_uint {
    callback::OK
}
